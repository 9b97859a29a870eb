"""The workloads: what a unit is, for both sides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents import peer_units, texts
from agents.llama import Setting
from agents.unit import Numbers, Unit

FLASH_OFF = Setting("no flash attention", ("-fa", "off"))
UNIFIED = Setting("one cache for all slots", ("--kv-unified",))
PRIMED = Setting("shared text by save and restore", primes=True)
PRIMED_UNIFIED = Setting("shared text by save and restore, one cache", ("--kv-unified",), primes=True)
COMMON = (Setting("plain"), FLASH_OFF, UNIFIED)


@dataclass(frozen=True)
class Workload:
    """So many units at once, each done by one program of ours, and by one coroutine of the peer's client."""

    name: str
    units: int
    unit: str  # in words
    program: str
    numbers: Numbers  # that both sides are told
    small: Numbers  # for the tests and to warm up
    tokens: Callable[[Numbers], int] | None  # that a unit writes; none: as many as its schema takes
    peer: Callable[[peer_units.Llama, Numbers, Unit], Awaitable[int]]
    context: Callable[[Numbers], int]  # tokens of the longest sequence
    slots: int  # of the peer: sequences at once
    settings: tuple[Setting, ...] = COMMON  # that the peer is tried with
    steps: Callable[[Numbers], list[dict[str, str]]] = lambda _: [{}]  # its programs, the first one last
    given: Callable[[Unit], dict[str, str]] = lambda _: {}  # texts that its programs are told

    def launches(self, numbers: Numbers, unit: Unit) -> list[list[str]]:
        """Arguments of the programs of a unit. All but the last say "ready" and wait for others."""
        common: dict[str, int | str] = {**numbers, "text": unit.text, **self.given(unit)}
        if "shared" in numbers:
            common["shared-text"] = unit.shared_text
        return [
            [part for name, value in (common | more).items() for part in (f"--{name}", str(value))]
            for more in self.steps(numbers)
        ]


def _beginning(numbers: Numbers) -> int:
    return numbers.get("shared", 0) + numbers["prompt"]


def _turns(numbers: Numbers) -> int:
    return numbers["turns"] * numbers["tokens"]


def _tree_context(numbers: Numbers) -> int:
    return _beginning(numbers) + numbers["depth"] * (numbers["ask"] + numbers["tokens"]) + 16


def _nodes(numbers: Numbers) -> int:
    return sum(numbers["branch"] ** level for level in range(1, numbers["depth"] + 1))


def _roles(numbers: Numbers) -> list[dict[str, str]]:
    return [{"role": str(role)} for role in reversed(range(numbers["roles"]))]


def _ngrams(name: str, *flags: str) -> Setting:
    return Setting(name, ("--spec-type", *flags))


WORKLOADS = (
    Workload(
        "react", 16, "system text of 512 in common, 8 turns: 32 new, 100 ms of a tool, 24 of its result",
        "agents-loop",
        {"shared": 512, "prompt": 32, "turns": 8, "tokens": 32, "pause-ms": 100, "result": 24},
        {"shared": 48, "prompt": 8, "turns": 2, "tokens": 4, "pause-ms": 1, "result": 5},
        _turns, peer_units.loop,
        lambda n: _beginning(n) + n["turns"] * (n["tokens"] + n["result"]), 16,
        (*COMMON, PRIMED, PRIMED_UNIFIED),
    ),
    Workload(
        "codeact", 16, "system text of 512 in common, 6 turns: 48 new, 50 ms of running, 64 of its result",
        "agents-loop",
        {"shared": 512, "prompt": 32, "turns": 6, "tokens": 48, "pause-ms": 50, "result": 64},
        {"shared": 48, "prompt": 8, "turns": 2, "tokens": 5, "pause-ms": 1, "result": 20},
        _turns, peer_units.loop,
        lambda n: _beginning(n) + n["turns"] * (n["tokens"] + n["result"]), 16,
        (*COMMON, PRIMED, PRIMED_UNIFIED),
    ),
    Workload(
        "swarm", 8, "pipeline of four roles with texts of 64, 64 new each, handed on by topic",
        "agents-swarm", {"shared": 64, "prompt": 64, "roles": 4, "tokens": 64},
        {"shared": 20, "prompt": 10, "roles": 3, "tokens": 4},
        lambda n: n["roles"] * n["tokens"], peer_units.swarm,
        lambda n: n["shared"] + n["prompt"] + n["tokens"], 8, steps=_roles,
    ),
    Workload(
        "completion", 32, "64 in, 64 new",
        "agents-completion", {"prompt": 64, "tokens": 64}, {"prompt": 20, "tokens": 6},
        lambda n: n["tokens"], peer_units.completion,
        lambda n: n["prompt"] + n["tokens"], 32,
    ),
    Workload(
        "prefix_tree", 4, "tree of depth 3 and fan-out 4, 128 an edge, 32 new at each leaf",
        "agents-tree", {"prompt": 128, "depth": 3, "fan-out": 4, "tokens": 32},
        {"prompt": 20, "depth": 2, "fan-out": 2, "tokens": 3},
        lambda n: n["fan-out"] ** n["depth"] * n["tokens"], peer_units.prefix_tree,
        lambda n: n["depth"] * n["prompt"] + n["tokens"], 16,
    ),
    Workload(
        "tree_of_thought", 8, "problem of 128, depth 3, branch 3: 32 new a thought, 8 to judge it",
        "agents-thoughts",
        {"prompt": 128, "depth": 3, "branch": 3, "ask": 8, "tokens": 32, "judge": 8},
        {"prompt": 20, "depth": 2, "branch": 2, "ask": 3, "tokens": 4, "judge": 2},
        lambda n: _nodes(n) * (n["tokens"] + n["judge"]), peer_units.tree_of_thought,
        _tree_context, 32,
        (*COMMON, Setting("branches by n_cmpl", forks=True),
         Setting("branches by n_cmpl, one cache", ("--kv-unified",), forks=True),
         Setting("16 slots", slots=16)),
    ),
    Workload(
        "graph_of_thought", 8, "problem of 128; 4 parts of 48 new, merged in pairs, merged again",
        "agents-graph", {"prompt": 128, "parts": 4, "ask": 8, "tokens": 48},
        {"prompt": 20, "parts": 2, "ask": 3, "tokens": 5},
        lambda n: (2 * n["parts"] - 1) * n["tokens"], peer_units.graph_of_thought,
        lambda n: _beginning(n) + n["ask"] + 3 * n["tokens"], 32,
    ),
    Workload(
        "recursion_of_thought", 8,
        "instructions of 128 in common, question of 64; depth 3, two questions each, 32 new",
        "agents-recursion", {"shared": 128, "prompt": 64, "depth": 3, "ask": 8, "tokens": 32},
        {"shared": 20, "prompt": 10, "depth": 2, "ask": 3, "tokens": 4},
        lambda n: (3 * 2 ** n["depth"] - 2) * n["tokens"], peer_units.recursion_of_thought,
        lambda n: _beginning(n) + 2 * n["ask"] + 4 * n["tokens"], 32,
        (*COMMON, PRIMED),
    ),
    Workload(
        "skeleton_of_thought", 16, "question of 128, outline of 48 new, then 5 points of 48 at once",
        "agents-skeleton", {"prompt": 128, "outline": 48, "points": 5, "ask": 8, "tokens": 48},
        {"prompt": 20, "outline": 5, "points": 2, "ask": 3, "tokens": 4},
        lambda n: n["outline"] + n["points"] * n["tokens"], peer_units.skeleton_of_thought,
        lambda n: _beginning(n) + n["outline"] + n["ask"] + n["tokens"], 32,
        (*COMMON, Setting("80 slots", slots=80)),
    ),
    Workload(
        "prefix_caching", 32, "prefix of 1,024 in common, 16 of its own, 32 new",
        "agents-completion", {"shared": 1024, "prompt": 16, "tokens": 32},
        {"shared": 64, "prompt": 4, "tokens": 5},
        lambda n: n["tokens"], peer_units.completion,
        lambda n: _beginning(n) + n["tokens"], 32,
        (*COMMON, PRIMED, PRIMED_UNIFIED),
    ),
    Workload(
        "json_schema", 32, "128 in, a function call of about 64 under a schema",
        "agents-call", {"prompt": 128, "limit": 256}, {"prompt": 10, "limit": 256},
        None, peer_units.json_schema,
        lambda n: n["prompt"] + n["limit"], 32,
        given=lambda _: {"schema": texts.call_schema()},
    ),
    Workload(
        "speculative_edit", 8, "a file of about 400 in, 256 new, mostly copied from it; greedy",
        "agents-edit", {"tokens": 256}, {"tokens": 12},
        lambda n: n["tokens"], peer_units.speculative_edit,
        lambda n: 800 + n["tokens"], 8,
        (*COMMON, _ngrams("n-grams, as they come", "ngram-simple"),
         _ngrams("n-grams of 4, drafts of 16", "ngram-simple", "--spec-ngram-simple-size-n", "4",
                 "--spec-ngram-simple-size-m", "16"),
         _ngrams("n-grams of 8, drafts of 32", "ngram-simple", "--spec-ngram-simple-size-n", "8",
                 "--spec-ngram-simple-size-m", "32"),
         _ngrams("its default for drafts without a model", "ngram-mod")),
        given=lambda unit: {"file": texts.code(unit.text)},
    ),
    Workload(
        "beam", 8, "64 in, 4 beams, 48 new",
        "agents-beam", {"prompt": 64, "width": 4, "tokens": 48}, {"prompt": 20, "width": 2, "tokens": 4},
        lambda n: n["tokens"], peer_units.beam,
        lambda n: n["prompt"] + n["tokens"], 32,
    ),
    Workload(
        "attention_sink", 8, "64 in, 1,024 new, window of 128, sink of 4",
        "agents-sink", {"prompt": 64, "sink": 4, "window": 128, "tokens": 1024},
        {"prompt": 20, "sink": 2, "window": 8, "tokens": 20},
        lambda n: n["tokens"], peer_units.attention_sink,
        lambda n: n["sink"] + n["window"], 8,
        (Setting("context shift", ("--context-shift",)),
         Setting("context shift, no flash attention", ("--context-shift", "-fa", "off")),
         Setting("context shift at the window",
                 ("--context-shift", "--kv-unified", "--kv-unified-per-slot", "132"))),
    ),
)  # fmt: skip

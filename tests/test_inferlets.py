"""What the programs under inferlets/ claim to show, on a real server and its model."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server
from tests.inferlets import COMPLETED, figure, on, refusal, result
from tests.wire import Peer


def test_parallel_generation_gives_the_same_texts_in_fewer_steps(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=Tell me about a lighthouse.", "--count=6", "--max-tokens=24"]
        begin = await figure(peer, "model.steps.count")
        together = await result(peer, "parallel-generation", *options)
        middle = await figure(peer, "model.steps.count")
        apart = await result(peer, "parallel-generation", *options, "--one-by-one")
        end = await figure(peer, "model.steps.count")
        assert together == apart
        assert len(set(json.loads(together))) == 6
        assert (middle - begin) * 3 < end - middle, (begin, middle, end)
        assert "[--count] got 0" in await refusal(peer, "parallel-generation", "--prompt=x", "--count=0")

    on(server, main)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "mood": {"enum": ["happy", "sad"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 3},
    },
    "required": ["name", "age", "mood", "tags"],
    "additionalProperties": False,
}


def is_valid(text: str) -> bool:
    """Whether a text is JSON as SCHEMA wants it."""
    value = json.loads(text)
    return (
        set(value) == set(SCHEMA["required"])
        and isinstance(value["name"], str)
        and 1 <= len(value["name"]) <= 20
        and type(value["age"]) is int
        and 0 <= value["age"] <= 120
        and value["mood"] in ("happy", "sad")
        and len(value["tags"]) <= 3
        and all(isinstance(tag, str) and len(tag) <= 12 for tag in value["tags"])
    )


def test_constrained_decoding_gives_what_its_schema_wants(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=Invent a robot.", f"--schema={json.dumps(SCHEMA)}", "--temperature=1"]
        answers = await asyncio.gather(
            *(result(peer, "constrained-decoding", *options, f"--seed={seed}") for seed in range(12))
        )
        assert all(is_valid(answer) for answer in answers), answers
        assert len(set(answers)) == 12
        assert answers[3] == await result(peer, "constrained-decoding", *options, "--seed=3")
        # What has no alternative costs no pass of its own.
        instance = await peer.launch("std/constrained-decoding", options)
        await peer.final(instance)
        counts = re.search(r"\[tokens\] (\d+) in (\d+) passes", peer.output(instance, "Stderr"))
        assert counts and int(counts[2]) < int(counts[1])

    on(server, main)


@pytest.mark.parametrize(("option", "pattern"), [
    (r"--regex=(19|20)\d\d-[01]\d-[0-3]\d", r"(19|20)\d\d-[01]\d-[0-3]\d"),
    ('--grammar=root ::= term (" + " term)?\nterm ::= [1-9] [0-9]? | "(" root ")"', r"[0-9+() ]+"),
])  # fmt: skip
def test_constrained_decoding_follows_grammars(server: Server, option: str, pattern: str) -> None:
    async def main(peer: Peer) -> None:
        for seed in range(4):
            answer = await result(peer, "constrained-decoding", "--prompt=Go on.", option, f"--seed={seed}")
            assert re.fullmatch(pattern, answer), answer
            assert answer.count("(") == answer.count(")")
        assert "[--max-tokens] got 1" in await refusal(
            peer, "constrained-decoding", "--prompt=x", "--regex=a{40}b{40}c", "--max-tokens=1"
        )
        assert "expected one of" in await refusal(peer, "constrained-decoding", "--prompt=x")

    on(server, main)


async def scored(peer: Peer, program: str, prompt: str, tokens: list[int]) -> float:
    """The log-probability of an answer's tokens together, computed anew (tests/programs/score.cpp)."""
    end = await peer.final(await peer.launch(program, [prompt, *map(str, tokens)]))
    assert end["event"] == COMPLETED, end["message"]
    return float(end["message"])


async def samples(peer: Peer, *options: str) -> tuple[list[dict[str, Any]], str]:
    """The answers of best-of-n, and the chosen one."""
    instance = await peer.launch("std/best-of-n", list(options))
    end = await peer.final(instance)
    assert end["event"] == COMPLETED, end["message"]
    messages = [
        f["message"]
        for f in peer.frames
        if f["type"] == "instance_event" and f["instance_id"] == instance and f["event"] == 0
    ]
    return [json.loads(message) for message in messages], str(end["message"])


def test_best_of_n_returns_the_most_probable(server: Server, programs: Path) -> None:
    async def main(peer: Peer) -> None:
        score = await peer.upload_file(programs / "score.wasm")
        prompt = "Tell me in one sentence what a lighthouse is for."
        all, chosen = await samples(peer, f"--prompt={prompt}", "--count=6", "--max-tokens=20")
        assert len({one["text"] for one in all}) == 6
        means = [await scored(peer, score, prompt, one["tokens"]) / len(one["tokens"]) for one in all]
        assert means == pytest.approx([one["mean_log_probability"] for one in all], abs=0.01)
        assert chosen == all[means.index(max(means))]["text"]
        assert "[--count] got 0" in await refusal(peer, "best-of-n", "--prompt=x", "--count=0")

    on(server, main)


def test_best_of_n_returns_what_most_answers_say(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=What is 7 + 5? Answer with one number.", "--count=16", "--max-tokens=16"]
        all, chosen = await samples(peer, *options, "--vote", "--temperature=1")
        votes = Counter(one["number"] for one in all if one["number"])
        assert len(votes) > 1, "a vote that is not unanimous"
        winners = [one for one in all if votes[one["number"]] == max(votes.values())]
        assert chosen == max(winners, key=lambda one: one["mean_log_probability"])["text"]
        assert all == (await samples(peer, *options, "--vote", "--temperature=1"))[0]

    on(server, main)


@pytest.mark.parametrize("prompt", ["Name a colour.", "Why is the sky blue?", "Write about the sea."])
def test_beam_search_finds_what_is_more_probable_than_greedy(
    server: Server, programs: Path, prompt: str
) -> None:
    async def main(peer: Peer) -> None:
        score = await peer.upload_file(programs / "score.wasm")
        options = [f"--prompt={prompt}", "--max-tokens=10"]
        greedy = json.loads(await result(peer, "beam-search", *options, "--width=1"))
        best = json.loads(await result(peer, "beam-search", *options, "--width=6"))
        assert best["log_probability"] >= greedy["log_probability"]
        for answer in (greedy, best):
            assert len(answer["tokens"]) == 10
            anew = await scored(peer, score, prompt, answer["tokens"])
            assert anew == pytest.approx(answer["log_probability"], abs=0.02)
        assert "[--width] got 0" in await refusal(peer, "beam-search", *options, "--width=0")

    on(server, main)


def paths(node: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The texts of a tree from its root to each leaf."""
    own = (*before, node["text"])
    children = node.get("children", [])
    return [path for child in children for path in paths(child, own)] if children else [own]


def chain(path: tuple[str, ...]) -> dict[str, Any]:
    """A tree of one path."""
    return {"text": path[0], "children": [chain(path[1:])]} if path[1:] else {"text": path[0]}


def test_prefix_tree_computes_each_prefix_once(own_server: Server) -> None:
    shared = "A lighthouse keeper wrote down every ship that passed, its colour, its flag and its name. " * 4
    question = [" Which colour do ships have?", " Why did he write?", " Who reads such a book in the end?"]
    tree: dict[str, Any] = {"text": shared, "children": [
        {"text": "One day he was ill." + shared[::2], "children": [{"text": one} for one in question]},
        {"text": " One day he was glad.", "children": [{"text": one} for one in question]},
        {"text": " Then he died."},
    ]}  # fmt: skip

    async def main(peer: Peer) -> None:
        async def counts(tree: dict[str, Any]) -> tuple[int, int, int]:
            begin = await figure(peer, "model.steps.tokens") + await figure(peer, "prefix_cache.tokens_saved")
            instance = await peer.launch("std/prefix-tree", [f"--tree={json.dumps(tree)}", "--max-tokens=1"])
            assert (await peer.final(instance))["event"] == COMPLETED
            end = await figure(peer, "model.steps.tokens") + await figure(peer, "prefix_cache.tokens_saved")
            said = re.search(r"\[tokens\] (\d+) computed, (\d+) without", peer.output(instance, "Stderr"))
            assert said
            return end - begin, int(said[1]), int(said[2])

        measured, computed, apart = await counts(tree)
        assert measured == computed
        edges = [shared, *(node["text"] for node in tree["children"]), *question, *question]
        alone = {text: (await counts({"text": text}))[2] for text in edges}
        forks_max = 2 + 2 + 2  # all children but the last one of a node compute one page again
        assert computed <= sum(alone[text] for text in edges) + 16 * forks_max
        assert apart == sum(alone[text] for path in paths(tree) for text in path)
        assert computed * 3 < apart
        # The answers are those of the prompts one by one.
        answers = json.loads(
            await result(peer, "prefix-tree", f"--tree={json.dumps(tree)}", "--max-tokens=8")
        )
        for path, answer in zip(paths(tree), answers, strict=True):
            one = await result(peer, "prefix-tree", f"--tree={json.dumps(chain(path))}", "--max-tokens=8")
            assert json.loads(one) == [answer]
        instance = await peer.launch("std/prefix-tree", ["--tree=@", "--max-tokens=8"])
        await peer.send("signal_instance", instance_id=instance, message=json.dumps(tree))
        assert json.loads((await peer.final(instance))["message"]) == answers
        assert "expected one with a string" in await refusal(peer, "prefix-tree", "--tree={}")

    on(own_server, main)


NAME, DAY = "[A-Z][a-z]{2,9}", "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


def test_template_generation_fills_the_holes_of_its_template(server: Server) -> None:
    parts = [
        "# Log of (the) lighthouse [1]\nKeeper: ",
        NAME,
        "\nBorn: ",
        DAY,
        "\nHe liked ",
        "",
        ". Then\n* ",
        "",
        "\n{done}",
    ]
    names = ["keeper", "born", "likes", "then"]
    holes = [f"<<{n}:{r}>>" if r else f"<<{n}>>" for n, r in zip(names, parts[1::2], strict=True)]
    template = "".join(a + b for a, b in zip(parts[::2], [*holes, ""], strict=True))

    async def main(peer: Peer) -> None:
        seen = set()
        for seed in range(6):
            options = [f"--template={template}", f"--seed={seed}", "--temperature=1", "--hole-tokens=24"]
            if seed % 2:
                options.append("--prompt=Invent a lighthouse keeper.")
            instance = await peer.launch("std/template-generation", options)
            end = await peer.final(instance)
            assert end["event"] == COMPLETED, end["message"]
            values = json.loads(end["message"])
            assert list(values) == names
            assert re.fullmatch(NAME, values["keeper"]) and re.fullmatch(DAY, values["born"]), values
            assert ". Then\n* " not in values["likes"] and "\n{done}" not in values["then"]
            filled = "".join(a + b for a, b in zip(parts[::2], [*values.values(), ""], strict=True))
            assert peer.output(instance) == filled
            seen.add(filled)
        assert len(seen) == 6
        mistakes = {
            "x <<a": "got << without >>",
            "x": "no hole",
            "<<a>>": "a hole first",
            "x <<:a>>": "a name",
            "x <<a:(>>": "[<<a>>]",
            "x <<a:[a-z]{400}>>": "expected its end within",
        }
        for wrong, why in mistakes.items():
            assert why in await refusal(peer, "template-generation", f"--template={wrong}")

    on(server, main)


@pytest.mark.parametrize("name", ["Anna", "Tim"])
def test_template_generation_fills_a_hole_by_the_text_before(server: Server, name: str) -> None:
    template = f"{name} keeps the lighthouse. {name} likes ships.\nThe keeper's name: <<name:Tim|Anna>>\n"

    async def main(peer: Peer) -> None:
        values = await result(peer, "template-generation", f"--template={template}")
        assert json.loads(values) == {"name": name}

    on(server, main)


def test_watermarking_shows_in_its_texts_and_in_no_others(server: Server) -> None:
    async def main(peer: Peer) -> None:
        async def z(text: str, key: int = 1) -> float:
            said = json.loads(await result(peer, "watermarking", f"--detect={text}", f"--key={key}"))
            assert said["tokens"] > 40, text
            return float(said["z"])

        for number, subject in enumerate(["the sea", "a long winter", "how bread is made"]):
            options = [f"--prompt=Write a story about {subject}.", f"--seed={number}", "--max-tokens=80"]
            marked = await result(peer, "watermarking", *options)
            plain = await result(peer, "watermarking", *options, "--bias=0")
            assert await z(marked) > 5, marked
            assert abs(await z(plain)) < 4, plain
            assert abs(await z(marked, key=2)) < 4, marked
        assert "expected one of" in await refusal(peer, "watermarking")

    on(server, main)


def messages(peer: Peer, instance: str) -> list[dict[str, str]]:
    """The JSON objects that an instance has sent, in order."""
    events = [f for f in peer.frames if f["type"] == "instance_event" and f["instance_id"] == instance]
    return [json.loads(event["message"]) for event in events if event["event"] == 0]


def test_launcher_gathers_what_the_programs_it_launches_return(server: Server) -> None:
    async def main(peer: Peer) -> None:
        topics = ["lighthouses", "the sea", "a robot", "snow"]
        options = ["--max-tokens=24", "--temperature=0"]
        alone = {
            topic: await result(
                peer, "text-completion", f"--prompt=Write one sentence about {topic}.", *options
            )
            for topic in topics
        }
        before = await figure(peer, "model.steps.count")
        instance = await peer.launch("std/launcher", [*topics, *options])
        end = await peer.final(instance)
        assert end["event"] == COMPLETED, end["message"]
        middle = await figure(peer, "model.steps.count")
        assert json.loads(end["message"]) == alone
        told = messages(peer, instance)
        assert {one["topic"]: one["text"] for one in told} == alone
        assert len({one["instance"] for one in told} | {instance}) == 5
        await result(peer, "launcher", *topics, *options, "--one-by-one")
        after = await figure(peer, "model.steps.count")
        assert (middle - before) * 3 < (after - middle) * 2, (before, middle, after)
        assert "[topics] got none" in await refusal(peer, "launcher")
        assert "Program not found" in await refusal(peer, "launcher", "x", "--program=std/nothing")

    on(server, main)


def test_agent_swarm_hands_on_from_role_to_role_by_topics(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--task=Write a slogan for a lighthouse.", "--max-tokens=24"]

        async def swarm(*more: str) -> tuple[str, list[dict[str, str]]]:
            instance = await peer.launch("std/agent-swarm", [*options, *more])
            end = await peer.final(instance)
            assert end["event"] == COMPLETED, end["message"]
            return str(end["message"]), messages(peer, instance)

        # Two at once keep to their own topics, and children say what tasks say.
        (text, told), other, as_tasks = await asyncio.gather(swarm(), swarm(), swarm("--tasks"))
        assert [one["role"] for one in told] == ["planner", "writer", "critic", "editor"]
        assert told[-1]["text"] == text and all(one["text"] for one in told)
        assert other == (text, told) == as_tasks
        # Each role works on what the one before it has made.
        shorter = await result(peer, "agent-swarm", options[0], "--max-tokens=8")
        assert shorter != text
        assert "[--role] got 'cook'" in await refusal(peer, "agent-swarm", "--role=cook", "--channel=x")

    on(server, main)

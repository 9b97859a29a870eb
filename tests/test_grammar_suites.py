"""JSON Schema under a grammar, with the default model's tokenizer: each schema compiles or is refused by
name, every valid instance is accepted token by token, every invalid one is refused. Masks agree with what
is accepted, step by step.

A grammar is about texts, and fixes what a value leaves open: properties come in the order of the schema,
integers have no fraction. A value is allowed when one of its texts is.

The schemas are not part of the repository (`shared/data`, see its README): without them the test is
skipped. It takes half a minute.

What the default model writes under a sample of them, at temperature 1, is valid for a validator that knows
nothing of grammars; `python -m tests.reliability.structured_output` does it for all.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import BUILD, MODEL, Server
from tests.reliability.structured_output import SHORT, answers
from tests.schema_suites import SUITES, name_of, suite

READER = BUILD / "cmake" / "release" / "tests" / "pie_grammar_suite"


def schemas(name: str) -> list[dict[str, Any]]:
    """The suite."""
    try:
        return suite(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@dataclass
class Outcome:
    """What became of a suite."""

    counts: Counter[str] = field(default_factory=Counter)
    compile_us: list[float] = field(default_factory=list)
    mask_us: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # what was refused that is valid, and so on

    def report(self) -> str:
        """Coverage and times."""
        times = "; ".join(
            f"{what} p50 {percentile(us, 0.5):.0f} us, p99 {percentile(us, 0.99):.0f} us, "
            f"longest {max(us):.0f} us"
            for what, us in (("compile", self.compile_us), ("mask", self.mask_us))
        )
        return f"{dict(self.counts)}\n{times}\n{self.reasons.most_common(60)}\n" + "\n".join(self.wrong)


def percentile(values: list[float], share: float) -> float:
    """Of what was measured."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def members_in(schema: object) -> Iterator[list[str]]:
    """The names of each object's members, in the order of the text, and before them all of them."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    below = [one for value in inner for one in members_in(value)]
    yield list(
        dict.fromkeys(
            [*(schema if isinstance(schema, dict) else ()), *(name for one in below for name in one)]
        )
    )
    if isinstance(schema, dict):
        yield list(schema)
    yield from below


def ordered(data: Any, lists: list[list[str]]) -> Any:
    """The same value as the schema would write it: by the shortest list that has all of its names."""
    if isinstance(data, dict):
        fitting = [names for names in lists if set(data) <= set(names)]
        order = min(fitting, key=len) if fitting else list(data)
        return {name: ordered(data[name], lists) for name in sorted(data, key=order.index)}
    if isinstance(data, list):
        return [ordered(one, lists) for one in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def texts_of(case: dict[str, Any], test: dict[str, Any]) -> list[bytes]:
    """An instance as JSON, as it is and as the schema would write it; none when it is no text: single
    surrogates are none."""
    values = test["data"], ordered(test["data"], list(members_in(case["schema"])))
    try:
        return [
            text.encode() for text in dict.fromkeys(json.dumps(one, ensure_ascii=False) for one in values)
        ]
    except UnicodeEncodeError:
        return []


def read(cases: list[dict[str, Any]]) -> Outcome:
    """Reads every instance of every schema."""
    pieces: list[bytes] = []
    for case in cases:
        texts = [(b"schema", json.dumps(case["schema"]).encode())]
        texts += [(b"instance", text) for test in case["tests"] for text in texts_of(case, test)]
        pieces += [b"%s %d\n%s\n" % (kind, len(text), text) for kind, text in texts]
    done = subprocess.run([READER, MODEL], input=b"".join(pieces), capture_output=True, check=True)
    said = iter(done.stdout.decode(errors="replace").splitlines()[1:])
    outcome = Outcome()
    for case in cases:
        verdict, us, *reason = next(said).split(" ", 2)
        outcome.counts[verdict] += 1
        outcome.compile_us.append(float(us))
        if reason:
            outcome.reasons[reason[0]] += 1
        for test in case["tests"]:
            lines = [next(said) for _ in texts_of(case, test)]
            if lines and lines[0] != "unread":
                judge(outcome, case, test, lines)
    return outcome


def judge(outcome: Outcome, case: dict[str, Any], test: dict[str, Any], lines: list[str]) -> None:
    """Counts what became of one instance."""
    results = [line.split(" ")[0] for line in lines]
    result = next((one for one in ("failed", "allowed") if one in results), "refused")
    valid = "valid" if test["valid"] else "invalid"
    outcome.counts[f"{valid} {result}"] += 1
    for one, line in zip(results, lines, strict=True):
        if one != "failed":
            outcome.mask_us += [float(us) for us in line.split(" ")[3 if one == "refused" else 1 :]]
    if (result == "allowed") != test["valid"]:
        said = lines[results.index(result)][: 200 if result == "failed" else 30]
        outcome.wrong.append(f"{name_of(case)}: {valid} {said}: {test['data']!r:.150}")


ONLY_AN_ANNOTATION = "format: "
"""For the suite's draft a format forbids nothing; a grammar enforces it."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SUITES)
def test_instances_are_allowed_exactly_where_they_are_valid(name: str) -> None:
    cases = schemas(name)
    outcome = read(cases)
    print(f"{name}: {len(cases)} schemas\n{outcome.report()}")
    assert outcome.counts["valid failed"] + outcome.counts["invalid failed"] == 0
    assert outcome.counts["compiled"] > 0.4 * len(cases)
    assert all(reason.startswith("[json-schema] ") for reason in outcome.reasons)
    assert [one for one in outcome.wrong if not one.startswith(ONLY_AN_ANNOTATION)] == []


@pytest.mark.parametrize("name", SUITES)
def test_what_is_written_under_a_schema_is_valid(server: Server, name: str) -> None:
    cases = schemas(name)[:: SHORT.every]
    done = asyncio.run(answers(server.url, cases, seed=1, tokens_max=SHORT.tokens_max))
    assert done.wrong == []
    assert done.counts.keys() <= {"valid", "unfinished", "refused"}
    assert done.counts["valid"] + done.counts["unfinished"] > len(cases) // 4, done.counts

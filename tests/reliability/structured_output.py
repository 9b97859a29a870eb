#!/usr/bin/env python3
"""What the default model writes under JSON Schemas at temperature 1, against an independent validator.

python -m tests.reliability.structured_output [--short] [--seed S] [--suite NAME] [--match TEXT]

Each schema of the suites (tests/schema_suites.py) goes to `std/constrained-decoding`, many instances at
once. What is written has to parse and to be valid for the `jsonschema` package, `format` included as far
as that knows it; what the limit of tokens cut off has to be the beginning of JSON. A schema that is refused
is counted: tests/test_grammar_suites.py says which ones may be.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import random
import re
import sys
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema.validators
import referencing.exceptions

from tests.conftest import Server
from tests.reliability.common import Link, Tally, parser, run
from tests.schema_suites import SUITES, name_of, suite

PROGRAM = "std/constrained-decoding"
PROMPT = "Give me a short example. Keep every text and every list short."
AT_ONCE = 32
COMPLETED = 1
ERROR = "Runtime error: "  # what an end begins with that is an error of the program's own
ANSWER_WITHIN_S = 1_800.0


@dataclass(frozen=True)
class Form:
    """How much of it is done."""

    every: int  # of so many schemas one
    tokens_max: int


SHORT, LONG = Form(60, 160), Form(1, 384)


@dataclass
class Answers:
    """What came of the schemas of a suite."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    """By verdict: valid, unfinished, refused, and what must not be."""
    wrong: list[str] = field(default_factory=list)
    """What must not be."""

    def __str__(self) -> str:
        return ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.counts.items()))


def parse(text: str) -> Any:
    """The value of a JSON text; NaN and Infinity are none."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def fault_of(schema: Any, text: str) -> str | None:
    """Why a text is not what its schema asks for."""
    try:
        value = parse(text)
    except ValueError as error:
        return f"does not parse ({error})"
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind(schema, format_checker=kind.FORMAT_CHECKER).validate(value)
    except jsonschema.ValidationError as error:
        return f"is not valid: at {error.json_path} {error.message[:200]}"
    except (re.error, referencing.exceptions.Unresolvable) as error:
        return f"can't be judged by the validator ({error})"
    return None


def closers(text: str) -> tuple[str, bool]:
    """What closes the arrays and objects that a text leaves open, and whether it ends inside a string."""
    stack: list[str] = []
    before, quote, _ = re.sub(r'"(?:[^"\\]|\\.)*"', "", text).partition('"')
    for one in before:
        if one in "[{":
            stack.append("]" if one == "[" else "}")
        elif one in "]}" and stack:
            stack.pop()
    return "".join(reversed(stack)), bool(quote)


REST_OF_VALUE = ("", "0", "rue", "ue", "e", "alse", "lse", "se", "ull", "ll", "l")
REST_OF_STRING = ("", "\\", "n", "0000", "000", "00", "0")
REST_OF_MEMBER = ("", ":0", '"":0')


def begins_json(text: str) -> bool:
    """Whether something can be added to a text so that it parses."""
    tail, is_in_string = closers(text)
    rests: Iterable[str] = REST_OF_VALUE
    if is_in_string:
        rests = (f'{rest}"' for rest in REST_OF_STRING)
    for rest, member in itertools.product(rests, REST_OF_MEMBER):
        try:
            parse(f"{text}{rest}{member}{tail}")
        except ValueError:
            continue
        return True
    return False


def verdict(schema: Any, code: int, said: str, written: str) -> tuple[str, str | None]:
    """What came of a schema and what is wrong with it, by the instance's end and what it has written."""
    if said.startswith(f"{ERROR}[json-schema] "):
        return "refused", None
    if said.startswith(f"{ERROR}[--max-tokens] got "):
        return "unfinished", None if begins_json(written) else "is not the beginning of JSON"
    if code != COMPLETED:
        return "failed", said
    fault = fault_of(schema, written)
    return ("wrong", fault) if fault else ("valid", None)


async def answers(url: str, cases: Iterable[dict[str, Any]], seed: int, tokens_max: int) -> Answers:
    """Has an answer written under each schema, AT_ONCE at a time; each has a seed of its own."""
    link = await Link.open(url)
    done = Answers()
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            own_seed = seed ^ zlib.crc32(name_of(case).encode())
            schema = json.dumps(case["schema"], ensure_ascii=False)
            options = [f"--prompt={PROMPT}", f"--schema={schema}", f"--max-tokens={tokens_max}"]
            instance = await link.launch(PROGRAM, [*options, f"--seed={own_seed}"])
            try:
                end = await link.end_of(instance, ANSWER_WITHIN_S)
            except TimeoutError:
                done.wrong.append(f"{name_of(case)}: no end within {ANSWER_WITHIN_S} s")
                continue
            written = "".join(one.text for one in link.events.pop(instance) if one.kind == "out")
            kind, fault = verdict(case["schema"], end.code, end.text, written)
            done.counts[kind] += 1
            if fault is not None:
                done.wrong.append(f"{name_of(case)}: {fault}: {written[-300:]!r}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    await link.close()
    return done


def main() -> int:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--suite", choices=SUITES, help="one of them alone")
    options.add_argument("--match", default="", help="schemas whose name has this text")
    chosen = options.parse_args()
    form = SHORT if chosen.short else LONG

    async def body(tally: Tally, random: random.Random, folder: Path) -> None:
        server = Server(folder / "home").start()
        try:
            for name in [chosen.suite] if chosen.suite else SUITES:
                try:
                    cases = suite(name)
                except FileNotFoundError as missing:
                    tally.say(f"not done: {missing}")
                    continue
                cases = [case for case in cases if chosen.match in name_of(case)][:: form.every]
                started = time.monotonic()
                done = await answers(server.url, cases, random.getrandbits(32), form.tokens_max)
                for one in done.wrong:
                    tally.add("lost", f"{name}: {one}")
                tally.say(f"{name}: {len(cases)} schemas: {done} ({time.monotonic() - started:.0f} s)")
            tally.alive(server)
        finally:
            server.stop()

    return run("structured_output", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

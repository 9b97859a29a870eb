"""pie:decode on the real model: generations that the engine runs, with drafts and without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.test_sdk import tiny_server
from tests.wire import DEADLINE_S, Peer

PROGRAM = "generate_scenarios.wasm"
CODE = """def area(width, height):
    return width * height

def volume(width, height, depth):
    return width * height * depth

# The same file again, with type hints:
"""
OPENINGS = ["Write a rhyme about", "List the parts of", "Count the days until", "Repeat after me:"]
SUBJECTS = ["a ship", "the moon", "seven red apples", "a clock that is late", "two brothers"]
PROMPTS = [
    CODE,
    *(f"{opening} {subject}. Tell it twice. First:" for opening in OPENINGS for subject in SUBJECTS),
][:20]


@pytest.mark.parametrize("scenario", [
    "steps", "goes_on", "stops", "cancels", "suggestions", "penalties", "details", "parallel", "window",
    "constrained", "mistakes",
])  # fmt: skip
def test_generate(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/generate_scenarios.cpp says what each scenario shows; it fails with a reason."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / PROGRAM)
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())


@pytest.mark.parametrize(("temperature", "seed"), [("0", "0"), ("0.9", "11")])
def test_a_text_with_drafts_is_the_text_without(
    server: Server, programs: Path, temperature: str, seed: str
) -> None:
    """Twenty prompts, greedy and seeded, with penalties: token for token, and in fewer passes."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / PROGRAM)

            async def text(prompt: str, draft: str) -> tuple[str, int]:
                arguments = ["text", prompt, "80", draft, temperature, seed]
                end = await peer.final(await peer.launch(hash, arguments))
                assert end["event"] == 1, end["message"]
                tokens, _, passes = str(end["message"]).partition("in ")
                return tokens, int(passes.split()[0])

            plain = await asyncio.gather(*(text(prompt, "0") for prompt in PROMPTS))
            drafted = await asyncio.gather(*(text(prompt, "16") for prompt in PROMPTS))
            for prompt, one, other in zip(PROMPTS, plain, drafted, strict=True):
                assert one[0] == other[0], prompt
                assert one[1] == len(one[0].split())
            assert sum(passes for _, passes in drafted) < sum(passes for _, passes in plain)

    asyncio.run(main())


def test_a_generation_beyond_the_trained_length_is_noted_once(tmp_path: Path, programs: Path) -> None:
    async def main() -> None:
        async with tiny_server(tmp_path, "llama") as (one, peer):
            hash = await peer.upload_file(programs / PROGRAM)
            noted = "is longer than the 256 that tiny was trained for"
            for tokens, count in (("200", 0), ("300", 1)):
                end = await peer.final(await peer.launch(hash, ["text", "hello", tokens, "0", "1", "7"]))
                assert end["event"] == 1, end["message"]
                # The log is written by a thread of its own.
                async with asyncio.timeout(DEADLINE_S):
                    while one.log.read_text().count(noted) < count:
                        await asyncio.sleep(0)
                assert one.log.read_text().count(noted) == count

    asyncio.run(main())

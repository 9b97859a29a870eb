"""pie:chat/conversation on a real model that calls tools, through the C++ SDK."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.wire import Peer

DEFAULT = "smollm2-135m-instruct"


def said(server: Server, programs: Path, *arguments: str) -> tuple[list[list[str]], str]:
    """What tests/programs/conversation.cpp says, in words of a line, and how it ends."""

    async def main() -> tuple[list[list[str]], str]:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "conversation.wasm")
            instance = await peer.launch(hash, list(arguments))
            end = await peer.final(instance)
            lines = peer.output(instance).splitlines()
            return [line.split(" ", 2) for line in lines], end["message"]

    return asyncio.run(main())


@pytest.mark.parametrize(("question", "tool", "wanted"), [
    ("What is the weather in Paris?", "get_weather", {"city": "Paris"}),
    ("What is the current weather in Tokyo?", "get_weather", {"city": "Tokyo"}),
    ("Please add 17 and 25.", "add", {"a": 17, "b": 25}),
])  # fmt: skip
def test_a_question_becomes_a_call_with_its_arguments(
    coder_server: Server, programs: Path, question: str, tool: str, wanted: dict[str, object]
) -> None:
    lines, end = said(coder_server, programs, "coder", question)
    assert lines, end
    assert lines[0][:2] == ["call", tool], (lines, end)
    assert json.loads(lines[0][2]) == wanted
    # What was told while the answer streamed is the same.
    assert " ".join(lines[1][1:]) == lines[0][2]


def test_the_result_of_a_call_is_answered(coder_server: Server, programs: Path) -> None:
    """What the small model makes of it is its own."""
    lines, end = said(coder_server, programs, "coder", "What is the weather in Paris?")
    assert end == "done" and lines[2][0] == "answer", (lines, end)


def test_a_model_without_tools_is_told_of_them_in_words(coder_server: Server, programs: Path) -> None:
    """The default model's template knows none: the prompt and the grammar come all the same."""
    lines, end = said(coder_server, programs, DEFAULT, "What is the weather in Paris?")
    assert "grammar" not in end and "template" not in end, (lines, end)

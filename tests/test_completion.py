"""`text-completion` as users see it, alone and beside 63 others."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

from tests.conftest import BUILD, Server
from tests.wire import Peer

QUESTIONS = [
    "What is the capital of France? Answer in one sentence.",
    "Name three rivers in Africa.",
    "Write a haiku about the sea.",
    "What is 17 plus 25?",
    "Explain what a hash table is in two sentences.",
    "Translate 'good morning' into German.",
    "List four colours.",
    "Who wrote Hamlet?",
    "Why is the sky blue?",
    "Write a Python function that adds two numbers.",
    "Was ist die Hauptstadt von Italien?",
    "Quelle est la capitale de l'Espagne ?",
    "Describe a cat in one sentence.",
    "What comes after Wednesday?",
    "Give me a recipe for pancakes.",
    "What is water made of?",
]
COMPLETED = 1
MAX_TOKENS = 32


def arguments(question: str) -> list[str]:
    """Greedy, short."""
    return ["--prompt", question, "--temperature", "0", "--max-tokens", str(MAX_TOKENS)]


async def answer(peer: Peer, question: str) -> str:
    """The whole text that text-completion returns."""
    end = await peer.final(await peer.launch("text-completion", arguments(question)), 170)
    assert end["event"] == COMPLETED, end
    return str(end["message"])


def test_the_answer_is_right_streamed_and_returned_whole(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch("text-completion", arguments(QUESTIONS[0]))
            end = await peer.final(instance)
            assert "Paris" in end["message"]
            assert peer.output(instance).strip() == end["message"].strip()
            pieces = [f for f in peer.frames if f["type"] == "streaming_output"]
            assert len(pieces) >= 4  # token by token, not at the end

    asyncio.run(main())


def test_messages_are_further_turns_of_the_same_conversation(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch("text-completion", arguments("My name is Ada. Say hello."))
            await peer.send("signal_instance", instance_id=instance, message="What is my name?")
            end = await peer.final(instance)
            assert end["event"] == COMPLETED
            assert "Ada" in peer.output(instance)

    asyncio.run(main())


def reference_margins(question: str, text_tokens: list[int]) -> list[float]:
    """Top-2 margins of llama.cpp's logits along a continuation."""
    request = {"question": question, "tokens": text_tokens}
    done = subprocess.run(
        [str(BUILD / "cmake" / "release" / "tests" / "pie_reference"), os.environ["PIE_TEST_MODEL"]],
        input=json.dumps([request]), text=True, check=True, capture_output=True,
    )  # fmt: skip
    return list(json.loads(done.stdout)[0]["margins"])


def test_64_at_once_give_the_text_of_each_alone_whatever_happens_to_two_others(
    server: Server,
) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            alone = {question: await answer(peer, question) for question in QUESTIONS}
        async with Peer(server.url) as peer, Peer(server.url) as vanishing:
            doomed = await peer.launch("text-completion", ["--prompt", "Tell a long story.", "-n", "500"])
            await vanishing.launch("text-completion", ["--prompt", "Tell a longer story.", "-n", "500"])
            await vanishing.wait_for(lambda f: f["type"] == "streaming_output")
            tasks = [asyncio.create_task(answer(peer, q)) for q in QUESTIONS * 4]
            await peer.wait_for(lambda f: f["type"] == "streaming_output")
            vanishing.drop()
            assert (await peer.call("terminate_instance", instance_id=doomed))["successful"]
            together = await asyncio.gather(*tasks)
        for question, text in zip(QUESTIONS * 4, together, strict=True):
            assert text == alone[question], question

    asyncio.run(main())


def test_kv_pages_are_free_when_the_instance_ends(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            await answer(peer, QUESTIONS[1])
            async with asyncio.timeout(60):
                while True:
                    status = json.loads(
                        (await peer.call("query", subject="model_status", record=""))["result"]
                    )
                    used = [v for k, v in status.items() if ".resource.g0." in k and k.endswith(".used")]
                    if used and all(value == "0" for value in used):
                        return
                    await asyncio.sleep(0.05)

    asyncio.run(main())


def test_the_model_file_is_the_real_one(programs: Path) -> None:
    assert Path(os.environ["PIE_TEST_MODEL"]).stat().st_size > 90_000_000

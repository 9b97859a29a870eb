"""`text-completion` as users see it, alone and beside 63 others."""

from __future__ import annotations

import asyncio
import json
import subprocess

from tests.conftest import BUILD, MODEL, Server
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
            first = "The secret word is banana. What is the secret word?"
            instance = await peer.launch("text-completion", arguments(first))
            await peer.send("signal_instance", instance_id=instance, message="Say the secret word again.")
            end = await peer.final(instance)
            assert end["event"] == COMPLETED
            answers = peer.output(instance).split("\n", 1)
            assert len(answers) == 2
            assert "banana" in answers[1]  # which only the first turn has told

    asyncio.run(main())


def check_by_the_margin_rule(texts: dict[str, str]) -> None:
    """Each text equals llama.cpp's own greedy one, or leaves it first where llama.cpp's choice is
    not clear (docs/NUMERICS.md); never at a clear one."""
    prompts = [
        f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{question}"
        "<|im_end|>\n<|im_start|>assistant\n"
        for question in texts
    ]
    program = BUILD / "cmake" / "release" / "tests" / "pie_reference"
    done = subprocess.run([str(program), str(MODEL), str(MAX_TOKENS), "1"], input=json.dumps(prompts),
                          text=True, check=True, capture_output=True)  # fmt: skip
    answer = json.loads(done.stdout)
    for (question, text), row in zip(texts.items(), answer["results"], strict=True):
        end = row["turn_end"] if row["turn_end"] >= 0 else len(row["pieces"])
        rest = text.encode()
        for piece, margin in zip(row["pieces"][:end], row["margins"][:end], strict=True):
            if not rest.startswith(bytes.fromhex(piece)):
                assert margin <= answer["clear_margin"], (question, text, piece, margin)
                print(f"{question!r} leaves the reference at a margin of {margin}")
                break
            rest = rest[len(bytes.fromhex(piece)) :]
        else:
            clear = row["turn_end"] < 0 or row["margins"][end] > answer["clear_margin"]
            assert not (clear and rest), (question, text, rest)


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
        check_by_the_margin_rule(alone)
        for n in range(0, len(together), len(QUESTIONS)):
            round = dict(zip(QUESTIONS, together[n:], strict=False))
            if round != alone:
                check_by_the_margin_rule(round)

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

"""What the decoding programs under inferlets/ claim to show, on a real server and its model."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.inferlets import COMPLETED, on, refusal, result, told
from tests.wire import Peer

STORY = (
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the lamp, counted "
    "the ships and wrote their names into a book."
)


def passes(stderr: str) -> tuple[int, int]:
    """Tokens and passes, as programs say them."""
    counts = re.search(r"\[tokens\] (\d+) in (\d+) passes", stderr)
    assert counts, stderr
    return int(counts[1]), int(counts[2])


def test_jacobi_decoding_gives_the_greedy_text_in_fewer_passes(server: Server) -> None:
    async def main(peer: Peer) -> None:
        for prompt in (STORY, "1 2 3 4 5 6 7 8 9 10 11 12 13", "a b c a b c a b c a b c"):
            options = [f"--prompt={prompt}", "--max-tokens=40"]
            jacobi, stderr = await told(peer, "jacobi-decoding", *options, "--block=8")
            greedy, one_by_one = await told(peer, "jacobi-decoding", *options, "--block=1")
            assert jacobi == greedy
            tokens, took = passes(stderr)
            assert took <= tokens
            if prompt != STORY:
                assert took * 4 < tokens * 3, stderr
        # What repeats itself settles many tokens at a time.
        assert took * 3 < passes(one_by_one)[1]

    on(server, main)


def test_speculative_gives_the_plain_text_in_fewer_passes(server: Server) -> None:
    async def main(peer: Peer) -> None:
        source = "The keeper of the lighthouse counts the ships. " * 2
        options = [f"--prompt=Repeat this: {source}", "--max-tokens=48"]
        drafted, stderr = await told(peer, "speculative", *options, f"--source={source}")
        plain, one_by_one = await told(peer, "speculative", *options, "--plain")
        assert drafted == plain
        tokens, took = passes(stderr)
        assert passes(one_by_one) == (tokens, tokens)
        assert took * 3 < tokens * 2, stderr

    on(server, main)


def test_token_healing_goes_on_from_the_middle_of_a_word(server: Server) -> None:
    """The model's own text, cut anywhere, is nearly always gone on with as it was."""

    async def main(peer: Peer) -> None:
        start = "The capital of France is"
        whole = start + await result(peer, "token-healing", f"--prompt={start}", "--max-tokens=16")
        healed = plain = 0
        places = range(len(start) + 8, len(whole) - 16, 2)
        for place in places:
            options = [f"--prompt={whole[:place]}", "--max-tokens=4"]
            texts = await asyncio.gather(
                result(peer, "token-healing", *options), result(peer, "token-healing", *options, "--plain")
            )
            both = [text[:6] == whole[place : place + 6] for text in texts]
            healed, plain = healed + both[0], plain + both[1]
        assert healed * 4 > len(places) * 3, (healed, plain, len(places))
        assert healed > 2 * plain, (healed, plain)

    on(server, main)


def test_classifier_free_guidance_pulls_towards_the_system_turn(server: Server) -> None:
    async def main(peer: Peer) -> None:
        def at(scale: float, system: str = "You talk about ships only.") -> list[str]:
            return ["--prompt=What do you like?", f"--system={system}", f"--scale={scale}", "--max-tokens=20"]

        texts = await asyncio.gather(
            *(result(peer, "classifier-free-guidance", *at(s)) for s in (0, 0.5, 1, 2, 4))
        )
        pulls = [json.loads(text)["pull"] for text in texts]
        assert pulls[0] < pulls[2] < pulls[4], pulls
        greedy = await result(peer, "text-completion", "--prompt=What do you like?", "--temperature=0",
                              "--system=You talk about ships only.", "--max-tokens=20")  # fmt: skip
        assert json.loads(texts[2])["text"] == greedy
        # Without guidance the system turn is as if it were not there.
        other = await result(peer, "classifier-free-guidance", *at(0, "You are a pirate."))
        assert json.loads(other)["tokens"] == json.loads(texts[0])["tokens"]

    on(server, main)


def test_contrastive_decoding_takes_plausible_tokens_that_the_context_speaks_for(server: Server) -> None:
    async def main(peer: Peer) -> None:
        def at(beta: float) -> list[str]:
            return [f"--context={STORY}", "--prompt= In the evening the", f"--beta={beta}", "--max-tokens=24"]

        plain = json.loads(await result(peer, "contrastive-decoding", *at(0)))
        assert set(plain["ranks"]) == {0}
        whole = STORY + " In the evening the"
        greedy = await result(peer, "jacobi-decoding", f"--prompt={whole}", "--max-tokens=24")
        assert plain["text"] == greedy
        contrasted = json.loads(await result(peer, "contrastive-decoding", *at(2)))
        assert contrasted["text"] != plain["text"]
        assert max(contrasted["ranks"]) > 0
        # At most so many tokens have a tenth of the best one's probability or more.
        assert max(contrasted["ranks"]) < 11
        assert "[--alpha] got 0" in await refusal(peer, "contrastive-decoding", *at(0), "--alpha=0")

    on(server, main)


def test_attention_sink_holds_as_many_pages_however_long_the_text_is(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = [f"--prompt={STORY}", "--sink=4", "--window=64"]
        short, long = [
            json.loads(await result(peer, "attention-sink", *options, f"--max-tokens={n}"))
            for n in (150, 400)
        ]
        assert long["tokens"] - short["tokens"] == 250
        assert long["pages_without"] > 25
        assert long["pages"] <= 4 + 128 // 16 + 64 // 16

    on(server, main)


def test_windowed_attention_is_what_the_mask_gives_anew(server: Server, programs: Path) -> None:
    """tests/programs/windowed.cpp computes the same tokens in one pass, each with its own row of the mask."""

    async def main(peer: Peer) -> None:
        windowed = await peer.upload_file(programs / "windowed.wasm")
        for window in (16, 40):
            said = json.loads(
                await result(peer, "windowed-attention", f"--prompt={STORY}", f"--window={window}")
            )
            assert len(said["answer"]) == 32
            assert said["pages"] <= window // 16 + 2
            arguments = [str(window), str(len(said["prompt"])), *map(str, said["prompt"] + said["answer"])]
            end = await peer.final(await peer.launch(windowed, arguments))
            assert end["event"] == COMPLETED, end["message"]
            assert json.loads(end["message"]) == said["answer"]

    on(server, main)


def test_hierarchical_attention_attends_to_little_of_a_long_text(server: Server) -> None:
    async def main(peer: Peer) -> None:
        text = " ".join(
            f"On day {i} the keeper of the lighthouse saw {i + 3} ships, and one was called Anna {i}."
            for i in range(30)
        )
        options = [f"--text={text}", "--question=What did the keeper see?", "--section=64", "--note=8"]
        said = json.loads(await result(peer, "hierarchical-attention", *options))
        assert said["tokens"] > 700 and said["answer"]
        assert said["attended"] < said["tokens"] // 3
        assert said["pages"] * 16 < said["tokens"] // 2

    on(server, main)


def test_synthid_watermark_shows_in_its_texts_and_in_no_others(server: Server) -> None:
    async def main(peer: Peer) -> None:
        async def z(text: str, key: int = 1) -> float:
            said: dict[str, Any] = json.loads(
                await result(peer, "synthid-watermark", f"--detect={text}", f"--key={key}")
            )
            assert said["tokens"] > 40, text
            return float(said["z"])

        for number, subject in enumerate(["the sea", "a long winter"]):
            options = [f"--prompt=Write a story about {subject}.", f"--seed={number}", "--max-tokens=100"]
            marked = await result(peer, "synthid-watermark", *options)
            plain = await result(peer, "synthid-watermark", *options, "--rounds=0")
            assert await z(marked) > 5, marked
            assert abs(await z(plain)) < 4, plain
            assert abs(await z(marked, key=2)) < 4, marked
        assert "expected one of" in await refusal(peer, "synthid-watermark")

    on(server, main)

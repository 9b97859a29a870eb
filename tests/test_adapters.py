"""inferlet:adapter and inferlet:zo on the real model: adapters from files, and one that is trained."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server
from tests.inferlets import COMPLETED, ended, on, refusal, result
from tests.wire import Peer

EXCEPTION, OUT_OF_RESOURCES = 3, 5
PROMPT = "The secret word is"
TARGET = " banana, and nobody knows it."
Candidates = list[dict[str, Any]]


async def sent_blob(peer: Peer, instance: str) -> bytes:
    """The first blob that an instance sends."""

    def chunks() -> list[dict[str, Any]]:
        return [f for f in peer.frames if f["type"] == "download_blob" and f["instance_id"] == instance]

    await peer.wait_until(lambda: bool(chunks()) and len(chunks()) == chunks()[0]["total_chunks"])
    return b"".join(chunk["chunk_data"] for chunk in chunks())


async def rollout(peer: Peer, name: str, seeds: list[int]) -> Candidates:
    """Losses of candidates, or of the mean."""
    options = [f"--name={name}", f"--prompt={PROMPT}", f"--target={TARGET}"]
    if seeds:
        options.append("--seeds=" + ",".join(map(str, seeds)))
    candidates: Candidates = json.loads(await result(peer, "es-rollout", *options))
    assert [one.get("seed") for one in candidates] == (seeds or [None])
    return candidates


async def loss(peer: Peer, name: str) -> float:
    """The mean's."""
    return float((await rollout(peer, name, []))[0]["loss"])


async def update(peer: Peer, name: str, candidates: Candidates) -> None:
    """The next generation."""
    await result(peer, "es-update", f"--name={name}", f"--candidates={json.dumps(candidates)}")


async def generation(peer: Peer, name: str, first_seed: int, pairs: int) -> None:
    """Tries mirrored candidates in two instances at once, and updates the adapter by their losses."""
    seeds = [seed * sign for seed in range(first_seed, first_seed + pairs) for sign in (1, -1)]
    halves = await asyncio.gather(*(rollout(peer, name, half) for half in (seeds[:pairs], seeds[pairs:])))
    await update(peer, name, halves[0] + halves[1])


def test_an_evolution_strategy_trains_an_adapter_that_others_do_not_see(server: Server) -> None:
    async def main(peer: Peer) -> None:
        chat = ["--prompt=Name a fruit.", "--max-tokens=12", "--temperature=0"]
        before = await result(peer, "text-completion", *chat)
        await result(peer, "es-init", "--name=toy", "--sigma=0.05", "--population=16")
        await result(peer, "es-init", "--name=untouched", "--sigma=0.05", "--population=16")
        first = await loss(peer, "toy")
        for number in range(8):
            await generation(peer, "toy", 1 + 8 * number, 8)
        last = await loss(peer, "toy")
        assert last < first - 0.5, (first, last)
        assert await loss(peer, "untouched") == first, "another export is another adapter"
        assert await result(peer, "text-completion", *chat) == before

    on(server, main)


def test_candidates_are_the_same_whoever_tries_them_and_beside_whom(server: Server) -> None:
    async def main(peer: Peer) -> None:
        await result(peer, "es-init", "--name=same", "--sigma=0.1")
        together = await rollout(peer, "same", [3, -3, 4])
        assert together == [(await rollout(peer, "same", [seed]))[0] for seed in (3, -3, 4)]
        assert len({*(one["loss"] for one in together), await loss(peer, "same")}) == 4

    on(server, main)


def test_a_trained_adapter_goes_on_from_its_file(server: Server) -> None:
    async def main(peer: Peer) -> None:
        await result(peer, "es-init", "--name=kept", "--sigma=0.1")
        candidates = [{"seed": seed, "loss": loss} for seed, loss in ((1, 2.5), (2, 1.5), (-2, 3))]
        instance = await peer.launch("std/es-update", [
            "--name=kept", f"--candidates={json.dumps(candidates)}", "--send"])  # fmt: skip
        file = await sent_blob(peer, instance)
        assert await ended(peer, instance) == "kept"
        assert file[:4] == b"GGUF"
        instance = await peer.launch("std/es-init", ["--name=again", "--file"])
        await peer.upload_blob(instance, file)
        assert await ended(peer, instance) == "again"
        assert await loss(peer, "kept") == await loss(peer, "again") > 0
        assert await rollout(peer, "kept", [5, -5]) == await rollout(peer, "again", [5, -5])

    on(server, main)


def test_programs_that_train_say_what_is_wrong(server: Server) -> None:
    async def main(peer: Peer) -> None:
        wrong = await refusal(peer, "es-rollout", "--name=none", "-p", "a", "-t", "b")
        assert "[adapter] got 'none', which is not exported" in wrong
        wrong = await refusal(peer, "es-rollout", "--seeds=1,x", "-p", "a", "-t", "b")
        assert "[--seeds] got '1,x', expected numbers" in wrong
        wrong = await refusal(peer, "es-update", '--candidates=[{"loss":1}]')
        assert "[candidates[0].seed] got nothing" in wrong
        assert "[--rank] got 0" in await refusal(peer, "es-init", "--rank=0")

    on(server, main)


@pytest.mark.parametrize("scenario", ["cache", "fork", "generate", "refusals", "values"])
def test_adapters(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/adapter_scenarios.cpp says what each scenario shows; it fails with a reason."""

    async def main(peer: Peer) -> None:
        hash = await peer.upload_file(programs / "adapter_scenarios.wasm")
        end = await peer.final(await peer.launch(hash, [scenario]))
        assert end["event"] == COMPLETED, end["message"]
        assert end["message"] == f"{scenario}: passed"

    on(server, main)


@pytest.mark.parametrize(("call", "message"), [
    ("unmapped", "[set-adapter] got adapter pointer 7, expected one that this instance has allocated"),
    ("empty", "[set-adapter] got adapter pointer 0, where nothing was put yet"),
    ("no-gguf", "[gguf] got no magic, expected the bytes 'GGUF' (in the adapter 'wrong')"),
    ("seed-alone", "[execute] got an adapter seed without an adapter"),
    ("rank", "initialize-adapter: [rank] got 0, expected 1 to 512"),
    ("scores", "update-adapter: [seeds] got 2 for 1 scores, expected as many of both"),
])  # fmt: skip
def test_what_is_wrong_ends_the_instance_and_is_named(
    server: Server, programs: Path, call: str, message: str
) -> None:
    async def main(peer: Peer) -> None:
        hash = await peer.upload_file(programs / "adapter_scenarios.wasm")
        end = await peer.final(await peer.launch(hash, ["wrong", call]))
        assert end["event"] == EXCEPTION, end
        assert message in end["message"], end["message"]

    on(server, main)


def test_what_adapters_take_is_bounded(server: Server, programs: Path) -> None:
    async def main(peer: Peer) -> None:
        hash = await peer.upload_file(programs / "adapter_scenarios.wasm")
        end = await peer.final(await peer.launch(hash, ["wrong", "memory"]))
        assert end["event"] == OUT_OF_RESOURCES, end
        assert "host memory" in end["message"], end["message"]

    on(server, main)

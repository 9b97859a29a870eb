"""pie:logits on the real model: masks, bias, penalties, raw logits, log-probabilities, seeds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.wire import Peer


@pytest.mark.parametrize("scenario", [
    "forbidden", "sets", "bias", "penalties", "rows", "mistakes", "raw", "mirostat",
])  # fmt: skip
def test_logits(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/logits_scenarios.cpp says what each scenario shows; it fails with a reason."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "logits_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())


def test_a_seed_repeats_its_text_whatever_else_runs(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "logits_scenarios.wasm")

            async def text(seed: int) -> str:
                end = await peer.final(await peer.launch(hash, ["seeded", str(seed)]))
                assert end["event"] == 1, end["message"]
                return str(end["message"])

            alone = await text(7)
            together = await asyncio.gather(text(7), text(8), text(9), text(7))
            assert together[0] == together[3] == alone
            assert len({*together}) == 3, "another seed, another text"

    asyncio.run(main())

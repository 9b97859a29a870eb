"""The C++ guest SDK: its checked-in object matches wit/, and Context does what it promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server
from tests.wire import Peer


def test_the_component_type_object_is_not_stale_against_wit() -> None:
    """Mended by running tools/update_component_type.py and committing the result."""
    command = [sys.executable, str(ROOT / "tools" / "update_component_type.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scenario", [
    "fork", "fork-chat", "parallel", "chunks", "mask", "drop-pages", "samplers", "stop", "stream",
    "conversation", "reply-prefix", "beam",
])  # fmt: skip
def test_context(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/sdk_scenarios.cpp says what each scenario shows; it fails with a reason."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "sdk_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())

"""The C++ guest SDK: its checked-in object matches wit/, and Context does what it promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BUILD, ROOT, Server
from tests.wire import Peer


def test_the_component_type_object_is_not_stale_against_wit() -> None:
    """Mended by running tools/update_component_type.py and committing the result."""
    command = [sys.executable, str(ROOT / "tools" / "update_component_type.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_an_earlier_build_left_in_the_sdk_is_removed(tmp_path: Path) -> None:
    sdk = tmp_path / "sdk"
    for name in ("lib/abi.o", "lib/component_type.o", "include/pie/old.h", "include/pie/new.h"):
        (sdk / name).parent.mkdir(parents=True, exist_ok=True)
        (sdk / name).write_text(name)
    script = tmp_path / "update.cmake"
    script.write_text(f"include({ROOT}/cmake/RemoveOthers.cmake)\n"
                      f"pie_remove_others({sdk} {sdk}/lib/abi.o {sdk}/include/pie/new.h {sdk}/absent.o)\n"
                      f"pie_remove_others({tmp_path}/nowhere {sdk}/lib/abi.o)\n")  # fmt: skip
    subprocess.run(["cmake", "-P", script], check=True)
    left = sorted(str(path.relative_to(sdk)) for path in sdk.rglob("*") if path.is_file())
    assert left == ["include/pie/new.h", "lib/abi.o"]
    # And the SDK of this build holds nothing but what it installs.
    built = BUILD / "share" / "pie" / "sdk"
    objects = {path.stem for path in (built / "lib").iterdir()}
    sources = {path.stem for path in (ROOT / "sdk" / "src").glob("*.cc")}
    assert objects == sources - {"run_entry", "http_entry"}


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

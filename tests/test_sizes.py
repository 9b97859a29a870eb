"""What a server takes of its machine, and a model file that changes while it is served."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conftest import MODEL, PIE, Server
from tests.probe import Probe, with_probe
from tests.test_models import next_token

ALIAS = "served"


def test_a_limit_of_addresses_is_refused_by_its_name(tmp_path: Path) -> None:
    command = ["prlimit", "--as=1000000000", str(PIE), "serve", "--port", "0"]
    done = subprocess.run(command, env=dict(os.environ, PIE_HOME=str(tmp_path / "home")), text=True,
                          capture_output=True, check=False, timeout=100)  # fmt: skip
    assert done.returncode == 1
    assert "RLIMIT_AS (ulimit -v)" in done.stderr
    assert "expected at least" in done.stderr


def test_the_log_says_which_sizes_were_chosen_and_why(own_server: Server) -> None:
    log = own_server.log.read_text()
    for part in ["of memory can be taken (", "threads compute at once (", "threads run programs",
                 "open files (", "KV pages of f16 = ", "tokens for all programs", "on disk"]:  # fmt: skip
        assert part in log, log


def test_a_served_file_that_is_cut_or_written_over_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "copy.gguf"
    file.write_bytes(MODEL.read_bytes())
    server = Server(tmp_path / "home", "--model", f"{ALIAS}={file}", "--kv-pages", "64").start()
    texts: list[int] = []

    async def test(probe: Probe) -> None:
        texts.append(await next_token(probe, ALIAS, "The river"))

    try:
        with_probe(server, test, ready=False)
        os.truncate(file, 1000)
        file.write_bytes(b"!" * 2_000_000)
        with_probe(server, test, ready=False)
        assert texts[0] == texts[1]
    finally:
        assert server.stop() == 0, server.log.read_text()[-4000:]

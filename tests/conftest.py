"""Fixtures: real servers (the built `pie serve`, the real model, real sockets)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PIE = BUILD / "bin" / "pie"
INFERLETS = BUILD / "inferlets"
SEEDS = ROOT.parent / "shared" / "seeds"
DEADLINE_S = 120.0
MODEL = next((BUILD / "share" / "pie" / "models").glob("*.gguf"))


class Server:
    """One `pie serve` process on a free port, with a PIE_HOME of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.arguments = arguments
        self.port = 0
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home.parent / f"{home.name}.log"

    def start(self) -> Server:
        """Starts it and waits until it answers."""
        ready = self.home.parent / f"{self.home.name}.ready"
        ready.unlink(missing_ok=True)
        command = [str(PIE), "serve", "--port", str(self.port), "--ready-file", str(ready), *self.arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=dict(os.environ, PIE_HOME=str(self.home)), stdout=log, stderr=log
            )
        deadline = time.monotonic() + DEADLINE_S
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pie serve did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.005)
        self.url = ready.read_text().strip()
        return self

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that many tests share; it must survive all of them."""
    one = Server(tmp_path_factory.mktemp("shared") / "home").start()
    pid = one.pid
    yield one
    assert one.process is not None and one.process.poll() is None, one.log.read_text()[-4000:]
    assert one.pid == pid
    assert one.stop() == 0, one.log.read_text()[-4000:]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test, which may kill it."""
    one = Server(tmp_path / "home").start()
    yield one
    assert one.process is not None
    if one.process.poll() is None:
        one.stop()


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the built guest programs, the hostile ones and the probe included."""
    assert (INFERLETS / "text-completion.wasm").exists(), "run `make test`: no guest programs"
    return INFERLETS

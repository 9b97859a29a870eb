"""Fixtures: real servers (the built `pie serve`, the real model, real sockets)."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PIE = BUILD / "bin" / "pie"
INFERLETS = BUILD / "inferlets"
USER_DOCS = ROOT / "docs" / "user"
DEADLINE_S = 120.0
MODEL = next((BUILD / "share" / "pie" / "models").glob("*.gguf"))


PORTS_OF_A_WORKER = 3_000
"""Below the ports that the kernel hands out: nobody's outgoing connection comes to lie on one."""


def _ports_of_this_worker() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    first = 20_000 + worker * PORTS_OF_A_WORKER
    for number in itertools.count(random.SystemRandom().randrange(PORTS_OF_A_WORKER)):
        yield first + number % PORTS_OF_A_WORKER


_ports = _ports_of_this_worker()


def free_port() -> int:
    """A port that nobody listens on, nor will: each process of a parallel run has its own."""
    while True:
        port = next(_ports)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def with_ccache(base: Path) -> dict[str, str]:
    """An environment in which what was compiled before, in another copy of `base`, is not compiled again."""
    cache = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie") / "ccache"
    return dict(os.environ, CCACHE_DIR=str(cache), CCACHE_BASEDIR=str(base), CCACHE_NOHASHDIR="1",
                CCACHE_SLOPPINESS="time_macros,include_file_mtime,include_file_ctime")  # fmt: skip


class Server:
    """One `pie serve` process on a port of its own (kept by restarts), with a PIE_HOME of its own.

    `prefix`: a command that replaces itself by the server (`prlimit`, ...). `environment`: more variables.
    """

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.arguments = arguments
        self.prefix: list[str] = []
        self.environment: dict[str, str] = {}
        self.port = free_port()
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home.parent / f"{home.name}.log"

    def start(self) -> Server:
        """Starts it and waits until it answers."""
        ready = self.home.parent / f"{self.home.name}.ready"
        ready.unlink(missing_ok=True)
        command = [*self.prefix, str(PIE), "serve", "--port", str(self.port), "--ready-file", str(ready),
                   *self.arguments]  # fmt: skip
        environment = dict(os.environ, PIE_HOME=str(self.home)) | self.environment
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
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
        return self._status_bytes("VmRSS")

    def forget_peak(self) -> None:
        """peak_rss_bytes() counts from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_rss_bytes(self) -> int:
        """The most resident memory that the process has had."""
        return self._status_bytes("VmHWM")

    def open_files(self) -> int:
        """Descriptors that the process has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status_bytes(self, field: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split(f"{field}:")[1].split()[0]) * 1024


LONGEST = ("test_short", "test_user_docs", "test_wheel", "test_cmake_package", "test_models", "test_cache",
           "test_completion", "test_client_memory", "test_client_docs")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For parallel runs: what takes long begins first, and what shares a fixture stays in one process."""
    items.sort(key=lambda item: not item.path.stem.startswith(LONGEST))
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
        if any(one.scope == "module" for several in fixtures for one in several):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that many tests share; it must survive all of them."""
    one = Server(tmp_path_factory.mktemp("shared") / "home").start()
    pid = one.pid
    yield one
    assert one.process is not None and one.process.poll() is None, one.log.read_text()[-4000:]
    assert one.pid == pid
    assert one.stop() == 0, one.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the test module's LIMITS as its configuration, which none of its tests brings down."""
    home = tmp_path_factory.mktemp("limited") / "home"
    home.mkdir()
    (home / "config.toml").write_text(request.module.LIMITS)
    one = Server(home).start()
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def coder_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default model, and Qwen2.5-Coder 0.5B, which calls tools, as `coder`."""
    home = tmp_path_factory.mktemp("coder") / "home"
    coder = os.environ.get("PIE_TEST_CODER", "")
    one = Server(home, "--model", MODEL.stem.rsplit(".", 1)[0].lower(), "--model", f"coder={coder}",
                 "--kv-pages", "256").start()  # fmt: skip
    yield one
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

"""The `pie` command when its streams, its signals and its input are not as everybody's."""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import os
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import MODEL, PIE, Server
from tests.test_cli import pie
from tests.wire import Peer

NAME = "x" * 120_000
"""`hello` greets it: more than a pipe holds."""
GREETING = f"Hello, {NAME}!\n"
SLOW_S = 60
"""What ends at once does so within it."""


def start(*arguments: str, home: Path, **streams: object) -> subprocess.Popen[str]:
    env = dict(os.environ, PIE_HOME=str(home))
    return subprocess.Popen([str(PIE), *arguments], env=env, text=True, **streams)  # type: ignore[call-overload]


def wait_until_full(pipe: int) -> None:
    """Until a pipe that nobody reads takes nothing more."""
    waiting = array.array("i", [0])
    while waiting[0] < 65_536:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        time.sleep(0.001)


def finished_greeting(server: Server) -> str:
    """The id of a detached instance that has said its greeting and ended."""
    id = pie("submit", "-d", "hello", "--", NAME, home=server.home).stdout.strip()
    deadline = time.monotonic() + SLOW_S
    while json.loads(pie("list", "--json", home=server.home).stdout)[0]["status"] != "Finished":
        assert time.monotonic() < deadline
    return id


def attach_to_the_rest(server: Server, id: str, written: int) -> None:
    """What comes, after at most so many characters were written, is all the rest; then nothing is left."""
    done = pie("attach", id, home=server.home)
    assert done.returncode == 0 and GREETING.endswith(done.stdout), done
    assert len(done.stdout) >= len(GREETING) - written
    assert pie("list", "--json", home=server.home).stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [
    ["--model", "{}", "text-completion"], ["--model={}", "text-completion"],
    ["text-completion", "--model", "{}"], ["-m", "{}", "text-completion"],
    ["--model", "first={}", "--model", "second={}", "text-completion"],
])  # fmt: skip
def test_a_model_of_ones_own_runs_in_every_spelling(arguments: list[str], tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.symlink_to(MODEL)
    (tmp_path / "other.gguf").symlink_to(MODEL)
    spelt = [word.format(own if "first" not in word else tmp_path / "other.gguf") for word in arguments]
    done = pie("run", *spelt, "--", "--prompt", "What is the capital of France?", "--temperature", "0",
               "--max-tokens", "8", home=tmp_path / "home")  # fmt: skip
    assert (done.returncode, "Paris" in done.stdout) == (0, True), done


def test_what_follows_the_dashes_is_the_programs_whatever_it_looks_like(server: Server) -> None:
    done = pie("submit", "--server", server.url, "hello", "--", "--", "serve", home=server.home)
    assert done.stdout == "Hello, --!\n"
    done = pie("submit", "--server", server.url, "hello", "one", "--", "-d", home=server.home)
    assert done.stdout == "Hello, one!\n"
    forgotten = pie("run", "hello", "--prompt", "x", home=server.home)
    assert forgotten.returncode == 2 and "-- --prompt" in forgotten.stderr


@pytest.mark.parametrize("command", ["submit", "attach"])
def test_a_slow_reader_of_a_nonblocking_pipe_gets_everything(command: str, own_server: Server) -> None:
    """Row 41."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    arguments = ["hello", "--", NAME] if command == "submit" else [finished_greeting(own_server)]
    process = start(command, *arguments, home=own_server.home, stdout=writing)
    os.close(writing)
    wait_until_full(reading)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == GREETING
    assert process.wait(SLOW_S) == 0
    assert pie("list", "--json", home=own_server.home).stdout.strip() == "[]"


def test_what_cannot_be_written_stays_in_the_instances_log(own_server: Server) -> None:
    """Row 41: a full disk, a reader that leaves, SIGTERM and kill -9 in the middle."""
    home = own_server.home
    id = finished_greeting(own_server)
    with Path("/dev/full").open("w") as full:
        done = start("attach", id, home=home, stdout=full, stderr=subprocess.PIPE)
        _, said = done.communicate(timeout=SLOW_S)
    assert done.returncode == 1
    assert "[standard output] got: No space left on device" in said and f"pie attach {id}" in said
    attach_to_the_rest(own_server, id, 0)
    for end, code in ((None, 141), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        id = finished_greeting(own_server)
        reading, writing = os.pipe()
        process = start("attach", id, home=home, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        wait_until_full(reading)
        if end is not None:
            process.send_signal(end)
            assert process.wait(SLOW_S) == code
        os.close(reading)
        assert process.wait(SLOW_S) == code
        said = process.communicate()[1]
        assert end is not None or said == ""
        attach_to_the_rest(own_server, id, 65_536)


def test_an_output_that_fails_is_said_and_exits_with_1(own_server: Server) -> None:
    home = own_server.home
    for command in ("--version", "--help", "list", "config show", "ping", "submit -d hello", "submit hello"):
        for stream in (">/dev/full", ">&-"):
            done = subprocess.run(["sh", "-c", f"exec {PIE} {command} {stream}"], text=True, check=False,
                                  env=dict(os.environ, PIE_HOME=str(home)), capture_output=True,
                                  timeout=SLOW_S)  # fmt: skip
            assert done.returncode == 1, (command, stream, done)
            assert "[standard output] got:" in done.stderr, (command, stream, done)
    for command, code in (("nonsense", 2), ("ping --server ws://127.0.0.1:1", 1), ("attach nobody", 1)):
        for stream in ("2>/dev/full", "2>&-", "2>&- >&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", f"exec {PIE} {command} {stream}"], check=False,
                                  env=dict(os.environ, PIE_HOME=str(home)), timeout=SLOW_S)  # fmt: skip
            assert done.returncode == code, (command, stream)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_server_that_loads_ends_at_once(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """Row 37."""
    home = tmp_path / "home"
    models = []
    for i in range(20):
        (tmp_path / f"m{i}.gguf").symlink_to(MODEL)
        models += ["--model", str(tmp_path / f"m{i}.gguf")]
    process = start("serve", "--port", "0", *models, home=home, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)  # fmt: skip
    while not (home / "pie.db").exists():  # the models come after it
        time.sleep(0.001)
    process.send_signal(number)
    assert process.wait(SLOW_S) == code
    again = Server(home).start()  # nothing is left behind that is in its way
    assert again.stop() == 0


def test_a_second_signal_does_not_wait_for_the_end(tmp_path: Path) -> None:
    """Row 37: clients are given time to leave, which a client that does not answer uses up."""
    server = Server(tmp_path / "home").start()
    assert server.process is not None

    async def main() -> None:
        async with Peer(server.url) as peer:
            assert (await peer.call("ping"))["successful"]
            server.process.send_signal(signal.SIGSTOP)  # both signals are there when it goes on
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
            server.process.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(server.process.wait, SLOW_S) in (130, 143)

    asyncio.run(main())


def test_a_ready_file_that_cannot_be_made_is_found_before_the_load(tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "none" / "x", "folder does not exist"), (tmp_path, "is a folder")):
        done = pie("serve", "--port", "0", "--ready-file", str(file), home=tmp_path / "home")
        assert done.returncode == 1 and reason in done.stderr and str(file) in done.stderr
    assert not (tmp_path / "home" / "pie.db").exists()


def test_a_log_pipe_that_nobody_reads_holds_nobody_up(tmp_path: Path, programs: Path) -> None:
    """Row 47."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filler = b"x" * 4_096
    try:
        while True:
            os.write(writing, filler)
    except BlockingIOError:
        os.set_blocking(writing, True)
    ready, home = tmp_path / "ready", tmp_path / "home"
    process = start("serve", "--verbose", "--port", "0", "--ready-file", str(ready), home=home,
                    stdout=writing, stderr=writing)  # fmt: skip
    try:
        deadline = time.monotonic() + SLOW_S
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        for program in ("hello", str(programs / "trap.wasm")):
            done = pie("run", program, home=home, timeout=SLOW_S)
            assert (done.returncode == 0) == (program == "hello"), done
        process.send_signal(signal.SIGTERM)
        assert process.wait(SLOW_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        os.close(reading)


def test_every_key_of_the_input_is_added_or_none(tmp_path: Path) -> None:
    """Row 40."""
    for name in ("a", "b"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    both = (tmp_path / "a.pub").read_text() + "\n# the other one\n" + (tmp_path / "b.pub").read_text()
    refused = pie("auth", "add", "ann", "laptop", home=tmp_path, input=both)
    assert refused.returncode == 1 and "got 'laptop' for 2 keys" in refused.stderr
    wrong = pie("auth", "add", "ann", home=tmp_path, input=both + "\x1b[31mgarbage\x07 AAAA\n")
    assert wrong.returncode == 1 and "(line 5)" in wrong.stderr
    assert "\x1b" not in wrong.stderr and r"\x1b[31mgarbage\x07" in wrong.stderr
    assert json.loads(pie("auth", "list", "--json", home=tmp_path).stdout) == []
    added = pie("auth", "add", "ann", home=tmp_path, input="\ufeff" + both)
    assert added.returncode == 0, added.stderr
    assert [line.split("key ")[1].split()[0] for line in added.stdout.splitlines()] == ["key1", "key2"]
    users = json.loads(pie("auth", "list", "--json", home=tmp_path).stdout)
    assert [(one["user"], one["key"]) for one in users] == [("ann", "key1"), ("ann", "key2")]


def test_what_an_error_quotes_is_not_obeyed_by_the_terminal(tmp_path: Path) -> None:
    for arguments in (["ping", "--server", "ws://h\x1b[2J:1"], ["config", "get", "a\x1b[2J"],
                      ["model", "info", "a\x1b[2J"], ["list", "--\x1b[2J"]):  # fmt: skip
        done = pie(*arguments, home=tmp_path)
        assert done.returncode != 0 and "\x1b" not in done.stderr and r"\x1b[2J" in done.stderr, done

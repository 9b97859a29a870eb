"""What `pie` does at a terminal: Ctrl-C, Ctrl-D, colours, passphrases; and without one."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PIE, Server
from tests.terminal import CTRL_C, CTRL_D, Terminal
from tests.test_cli import pie


def status_of(home: Path, id: str) -> str:
    """The instance's status by `pie list`; "" when it is gone."""
    rows = json.loads(pie("list", "--json", home=home).stdout)
    return next((str(row["status"]) for row in rows if row["id"] == id), "")


def submit_long(home: Path, seconds: str = "600") -> str:
    """A detached instance that prints every 50 ms."""
    done = pie("submit", "-d", "long-running-task", "--", "--seconds", seconds, "--every", "0.05", home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ctrl_c_terminates_what_is_attached(own_server: Server) -> None:
    home = own_server.home
    id = submit_long(home)
    terminal = Terminal("attach", id[:8], home=home)
    terminal.read_until("s\r\n")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "Aborted" in terminal.shown and "Signal termination" in terminal.shown
    assert status_of(home, id) == ""


@pytest.mark.parametrize("typed", [b"", b"half a line"])
def test_ctrl_d_detaches_and_the_instance_goes_on(own_server: Server, typed: bytes) -> None:
    home = own_server.home
    id = submit_long(home)
    terminal = Terminal("attach", id[:8], home=home)
    terminal.read_until("Ctrl-D detaches")
    terminal.read_until("s\r\n")
    terminal.type(typed + CTRL_D)
    assert terminal.wait() == 0
    assert f"pie attach {id}" in terminal.shown
    assert status_of(home, id) == "Detached"
    again = Terminal("attach", id[:8], home=home)
    again.read_until("s\r\n")
    again.type(CTRL_D)
    assert again.wait() == 0
    assert pie("abort", id, home=home).returncode == 0


def test_without_a_terminal_the_end_of_input_does_not_detach(own_server: Server) -> None:
    home = own_server.home
    id = submit_long(home, "1")
    done = pie("attach", id, home=home, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "detach" not in done.stderr and status_of(home, id) == ""
    id = submit_long(home, "1")
    done = pie("attach", id, home=home, input="")
    assert done.returncode == 0 and status_of(home, id) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_attach_leaves_the_instance_running(
    own_server: Server, number: signal.Signals
) -> None:
    home = own_server.home
    id = submit_long(home)
    terminal = Terminal("attach", id, home=home)
    terminal.read_until("s\r\n")
    terminal.process.send_signal(number)
    assert terminal.wait() == 0
    assert status_of(home, id) == "Detached"


def test_ctrl_c_terminates_what_was_submitted(own_server: Server) -> None:
    terminal = Terminal("submit", "long-running-task", "--", "--seconds", "600", "--every", "0.05",
                        home=own_server.home)  # fmt: skip
    terminal.read_until("s\r\n")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert json.loads(pie("list", "--json", home=own_server.home).stdout) == []


def test_colours_are_shown_on_a_terminal_alone(own_server: Server) -> None:
    home = own_server.home
    id = submit_long(home)
    coloured = Terminal("list", home=home)
    assert coloured.wait() == 0
    assert "\x1b[33mDetached\x1b[0m" in coloured.shown and id[:8] in coloured.shown
    plain = Terminal("list", home=home, NO_COLOR="1")
    assert plain.wait() == 0 and "\x1b[" not in plain.shown and "Detached" in plain.shown
    assert "\x1b[" not in pie("list", "--long", home=home).stdout
    wrong = Terminal("attach", "nothing-like-it", home=home)
    assert wrong.wait() == 1 and "\x1b[31mpie attach:\x1b[0m no instance" in wrong.shown
    assert pie("abort", id, home=home).returncode == 0


def test_a_passphrase_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", key], check=True)
    server = Server(tmp_path / "home", "--auth")
    subprocess.run([str(PIE), "auth", "add", "ann", "--file", f"{key}.pub"], check=True,
                   env={"PIE_HOME": str(server.home)}, capture_output=True)  # fmt: skip
    server.start()
    try:
        terminal = Terminal("ping", "--user", "ann", "--key", str(key), home=server.home)
        terminal.read_until("Passphrase of ")
        terminal.type(b"open sesame\n")
        assert terminal.wait() == 0
        assert "Pong" in terminal.shown and "sesame" not in terminal.shown
        refused = pie("ping", "--user", "ann", "--key", str(key), home=server.home, stdin=subprocess.DEVNULL)
        assert refused.returncode == 1 and "passphrase" in refused.stderr
    finally:
        server.stop()

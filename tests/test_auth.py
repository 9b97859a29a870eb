"""protocol.md section 5: challenge and response with real keys against `pie serve --auth`."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pie
import pytest
from pie import ParsedPrivateKey, PieClient

from tests.conftest import PIE, Server
from tests.wire import Peer

KINDS = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "p256": ["-t", "ecdsa", "-b", "256"],
    "p384": ["-t", "ecdsa", "-b", "384"],
}


def make_key(folder: Path, name: str, *options: str, passphrase: str = "") -> Path:
    """A key pair by ssh-keygen: the private half's path."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", *options, "-N", passphrase, "-f", str(path)], check=True)
    return path


def auth(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `pie auth`."""
    return subprocess.run([str(PIE), "auth", *arguments], env=dict(os.environ, PIE_HOME=str(home)),
                          input=stdin, text=True, capture_output=True, check=False, timeout=60)  # fmt: skip


def add(home: Path, user: str, key: Path, *name: str) -> None:
    """Authorizes a key."""
    done = auth(home, "add", user, *name, stdin=Path(f"{key}.pub").read_text())
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for keys."""
    one = Server(tmp_path_factory.mktemp("guarded") / "home", "--auth").start()
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


async def sign_in(server: Server, user: str, key: Path, passphrase: str | None = None) -> None:
    """Signs in and does something that only users may."""
    async with PieClient(server.url) as client:
        await client.authenticate(user, ParsedPrivateKey.from_file(key, passphrase=passphrase))
        await client.list_instances()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_signs_in_and_others_do_not(guarded: Server, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path, "k", *KINDS[kind], passphrase="secret" if kind == "ed25519" else "")
    other = make_key(tmp_path, "other", *KINDS[kind])
    add(guarded.home, kind, key)
    passphrase = "secret" if kind == "ed25519" else None
    asyncio.run(sign_in(guarded, kind, key, passphrase))
    with pytest.raises(pie.AuthenticationError, match="Signature verification failed"):
        asyncio.run(sign_in(guarded, kind, other))


def test_the_documents_quick_start_signs_in_with_the_key_of_the_home_folder(
    guarded: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    key = make_key(tmp_path / ".ssh", "id_ed25519", "-t", "ed25519")
    add(guarded.home, "username", key)
    monkeypatch.setenv("HOME", str(tmp_path))
    asyncio.run(sign_in(guarded, "username", Path("~/.ssh/id_ed25519")))


def test_several_keys_changes_without_restart_and_removal(guarded: Server, tmp_path: Path) -> None:
    first = make_key(tmp_path, "first", "-t", "ed25519")
    second = make_key(tmp_path, "second", *KINDS["p256"])
    add(guarded.home, "ann", first, "laptop")
    add(guarded.home, "ann", second, "desk")
    asyncio.run(sign_in(guarded, "ann", first))
    asyncio.run(sign_in(guarded, "ann", second))
    listed = auth(guarded.home, "list").stdout
    assert "laptop" in listed and "desk" in listed and "SHA256:" in listed
    assert auth(guarded.home, "remove", "ann", "laptop").returncode == 0
    with pytest.raises(pie.AuthenticationError, match="Signature verification failed"):
        asyncio.run(sign_in(guarded, "ann", first))
    asyncio.run(sign_in(guarded, "ann", second))
    assert auth(guarded.home, "remove", "ann").returncode == 0
    with pytest.raises(pie.AuthenticationError, match="User 'ann' is not authorized"):
        asyncio.run(sign_in(guarded, "ann", second))
    file = guarded.home / "authorized_users.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_is_needed_and_the_error_says_so(guarded: Server, tmp_path: Path) -> None:
    add(guarded.home, "keyless", make_key(tmp_path, "k", "-t", "ed25519"))

    async def main() -> None:
        async with PieClient(guarded.url) as client:
            with pytest.raises(pie.AuthenticationError, match="private key"):
                await client.authenticate("keyless")

    asyncio.run(main())


def test_weak_and_wrong_keys_are_refused_when_added_and_when_used(guarded: Server, tmp_path: Path) -> None:
    weak = make_key(tmp_path, "weak", "-t", "rsa", "-b", "1024")
    refused = auth(guarded.home, "add", "eve", stdin=Path(f"{weak}.pub").read_text())
    assert refused.returncode == 1 and "weak RSA key of 1024 bits" in refused.stderr
    private = auth(guarded.home, "add", "eve", stdin=weak.read_text())
    assert private.returncode == 1 and "private key" in private.stderr
    assert auth(guarded.home, "add", "internal", stdin="x").returncode == 1
    file = guarded.home / "authorized_users.toml"
    before = file.read_text()
    file.write_text(f'{before}\n[users.eve.keys]\nk = "{Path(f"{weak}.pub").read_text().strip()}"\n')

    async def main() -> None:
        async with Peer(guarded.url, username=None) as peer:
            answer = await peer.call("identification", username="eve")
            assert answer["result"] == "User 'eve' is not authorized"

    asyncio.run(main())
    file.write_text(before)


def test_a_file_that_got_damaged_keeps_the_users_and_one_at_start_is_refused(
    guarded: Server, tmp_path: Path
) -> None:
    key = make_key(tmp_path, "k", "-t", "ed25519")
    add(guarded.home, "steady", key)
    file = guarded.home / "authorized_users.toml"
    good = file.read_text()
    asyncio.run(sign_in(guarded, "steady", key))
    file.write_text(good + "\n[users.broken")
    try:
        asyncio.run(sign_in(guarded, "steady", key))
    finally:
        file.write_text(good)
    home = tmp_path / "home"
    home.mkdir()
    (home / "authorized_users.toml").write_text("[users.x.keys]\nk = 3\n")
    done = subprocess.run([str(PIE), "serve", "--auth", "--port", "0"], text=True, check=False,
                          env=dict(os.environ, PIE_HOME=str(home)), capture_output=True)  # fmt: skip
    assert done.returncode != 0 and "line 2" in done.stderr


def test_the_order_of_messages_is_held(guarded: Server, tmp_path: Path) -> None:
    add(guarded.home, "order", make_key(tmp_path, "k", "-t", "ed25519"))

    async def refused(*messages: tuple[str, dict[str, object]]) -> None:
        async with Peer(guarded.url, username=None) as peer:
            for type, fields in messages:
                answer = await peer.call(type, **fields)
            assert not answer["successful"]
            await asyncio.wait_for(peer.closed.wait(), 30)
            assert peer.close_code == 1008

    async def main() -> None:
        await refused(("ping", {}))
        await refused(("identification", {"username": "order"}), ("list_instances", {}))
        await refused(("signature", {"signature": "AAAA"}))
        async with Peer(guarded.url, username=None) as peer:
            challenge = await peer.call("identification", username="order")
            assert challenge["successful"] and len(base64.b64decode(challenge["result"])) == 48
            answer = await peer.call("signature", signature="%%%")
            assert answer["result"].startswith("Invalid signature encoding: ")
            again = await peer.call("identification", username="order")
            assert again["successful"] and again["result"] != challenge["result"]
            token = (guarded.home / "run" / "internal_token").read_text()
        async with Peer(guarded.url, username=None) as peer:
            answer = await peer.call("internal_authenticate", token=token)
            assert answer["result"] == "Authenticated"

    asyncio.run(main())


def test_failures_wait_in_line_and_hold_up_nobody_else(guarded: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path, "k", "-t", "ed25519")
    add(guarded.home, "quick", key)

    async def fail() -> float:
        async with Peer(guarded.url, username=None) as peer:
            started = time.monotonic()
            assert not (await peer.call("identification", username="nobody"))["successful"]
            return time.monotonic() - started

    async def main() -> None:
        failures = [asyncio.create_task(fail()) for _ in range(5)]
        await sign_in(guarded, "quick", key)
        assert not any(task.done() and task.exception() for task in failures)
        waited = sorted(await asyncio.gather(*failures))
        assert waited[0] >= 0.9 and waited[-1] >= 4.5

    asyncio.run(main())


def test_the_command_line_signs_in_with_a_key(guarded: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path, "k", "-t", "ed25519", passphrase="open sesame")
    add(guarded.home, "cli", key)
    env = dict(os.environ, PIE_HOME=str(guarded.home), PIE_KEY_PASSPHRASE="open sesame")
    command = [str(PIE), "submit", "--user", "cli", "--key", str(key), "hello"]
    done = subprocess.run(command, env=env, text=True, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    stranger = subprocess.run([str(PIE), "ping", "--user", "stranger"], env=env, text=True,
                              capture_output=True, check=False, timeout=120)  # fmt: skip
    assert stranger.returncode == 1 and "--key" in stranger.stderr


def test_an_open_network_needs_authentication(tmp_path: Path) -> None:
    one = Server(tmp_path / "home", "--auth", "--host", "0.0.0.0").start()
    assert one.url.startswith("ws://0.0.0.0:")
    assert one.stop() == 0

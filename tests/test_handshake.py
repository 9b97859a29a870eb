"""The port of the server as raw sockets see it: which handshakes are taken, what all else is answered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.reliability.attackers import Raw

FOREIGN = "Origin: https://example.org\r\n"


def answer(server: Server, request: bytes) -> bytes:
    """What a raw request gets, until the server has said the head of its answer or closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got and (piece := connection.recv(65_536)):
            got += piece
        if got.startswith(b"HTTP/1.1 101"):
            return got
        while piece := connection.recv(65_536):
            got += piece
        return got


def handshake(server: Server, extra: str = "", host: str = "") -> bytes:
    """What an opening handshake with further fields gets."""
    request = Raw.request(extra).replace(b"Host: x", f"Host: {host or f'127.0.0.1:{server.port}'}".encode())
    return answer(server, request)


def with_origins(folder: Path, origins: str) -> Server:
    """A server with this setting."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(f"origins_allow = {origins}\n")
    return Server(home)


def test_a_page_of_a_foreign_origin_is_refused_with_a_reason(server: Server) -> None:
    assert handshake(server).startswith(b"HTTP/1.1 101")  # no browser
    for origin in (FOREIGN, "Origin: null\r\n", f"Origin: http://127.0.0.1:{server.port}\r\n"):
        got = handshake(server, origin)
        assert got.startswith(b"HTTP/1.1 403"), got
        assert b"origins_allow" in got
    # Whatever it asks for.
    assert answer(server, f"GET / HTTP/1.1\r\nHost: x\r\n{FOREIGN}\r\n".encode()).startswith(b"HTTP/1.1 403")


def test_a_page_that_the_operator_allows_connects_by_a_name_of_this_machine(tmp_path: Path) -> None:
    server = with_origins(tmp_path, '["https://example.org"]').start()
    try:
        assert handshake(server, FOREIGN).startswith(b"HTTP/1.1 101")
        assert handshake(server, FOREIGN, "localhost").startswith(b"HTTP/1.1 101")
        assert handshake(server, FOREIGN, "example.org").startswith(b"HTTP/1.1 403")  # rebinding
        assert handshake(server, "Origin: https://example.com\r\n").startswith(b"HTTP/1.1 403")
    finally:
        assert server.stop() == 0


def test_an_origin_that_is_none_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"origins_allow. got 'example\.org'"):
        with_origins(tmp_path, '["example.org"]').start()


def test_what_is_no_handshake_is_answered_and_closed(server: Server) -> None:
    for request, status in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (Raw.request("Content-Length: 3\r\n") + b"abc", b"400"),
        (b"\x16\x03\x01\x00\x05hello\x00", b"400"),  # a TLS client
    ]:
        got = answer(server, request)
        assert got.startswith(b"HTTP/1.1 " + status), (request[:60], got)


def test_a_handshake_with_large_cookies_is_taken(server: Server) -> None:
    assert handshake(server, f"Cookie: {'x' * 8_000}\r\n").startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("host", ["::1", "[::1]", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]", "LOCALHOST"])
def test_every_way_to_write_a_loopback_address_serves_without_authentication(
    tmp_path: Path, host: str
) -> None:
    server = Server(tmp_path / "home", "--host", host).start()
    try:
        name = host.strip("[]")
        assert server.url == f"ws://{f'[{name}]' if ':' in name else name}:{server.port}"
        with socket.create_connection((name, server.port), timeout=60):
            pass
    finally:
        assert server.stop() == 0


def test_a_name_that_only_looks_like_loopback_is_refused(tmp_path: Path) -> None:
    for host in ("127.evil.example", "::ffff:10.0.0.1"):
        with pytest.raises(RuntimeError, match="expected a loopback address"):
            Server(tmp_path / "home", "--host", host).start()

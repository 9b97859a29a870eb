"""How the length of an HTTP message is told (RFC 9112): nothing that two readers could read in two ways is
taken, neither from clients of HTTP instances nor from servers that programs ask."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.http_handler import DEADLINE_S, Handler, with_handler
from tests.test_http_outgoing import allowing, outcomes

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def exchange(port: int, request: bytes) -> bytes:
    """What a raw request gets until the server closes, or has answered it whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(request)
        got = b""
        while piece := connection.recv(65_536):
            got += piece
            if got.startswith(b"HTTP/1.1 200") and got.endswith(b"\r\n0\r\n\r\n"):
                break
        return got


def test_requests_whose_length_could_be_read_in_two_ways_are_refused(server: Server, programs: Path) -> None:
    codings = (b"identity", b"gzip", b"xchunked", b"chunked, identity", b"gzip, chunked", b"chunked;x=1")
    requests = [POST + b"Transfer-Encoding: " + one + b"\r\n\r\n" + CHUNKS for one in codings]
    requests += [POST + b"Transfer-Encoding: " + one + b"\r\nContent-Length: 15\r\n\r\n" + CHUNKS
                 for one in (*codings, b"chunked")]  # fmt: skip
    requests += [
        POST + b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        POST + b"Content-Length: 5, 6\r\n\r\nhello!",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nX: a\rb\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nX: a\0b\r\n\r\nhello",
        POST + b"Content-Length: 5\n\nhello",
        POST.replace(b"Host: x", b"Host: x y") + b"Content-Length: 5\r\n\r\nhello",
        POST.replace(b"/echo", b"/echo#x") + b"Content-Length: 5\r\n\r\nhello",
    ]

    async def refused(handler: Handler) -> None:
        for request in requests:
            got = await asyncio.to_thread(exchange, handler.port, request)
            assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), (request, got)
            assert b"connection: close" in got and got.count(b"HTTP/1.1") == 1, (request, got)

    with_handler(server, programs, refused, "framing")


def test_an_empty_line_before_a_request_is_passed_over(server: Server, programs: Path) -> None:
    async def passed(handler: Handler) -> None:
        whole = POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS
        got = await asyncio.to_thread(exchange, handler.port, b"\r\n" + whole)
        assert got.startswith(b"HTTP/1.1 200") and got.endswith(b"5\r\nhello\r\n0\r\n\r\n")
        # Also after a body, by clients that add one.
        reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
        writer.write(POST + b"Content-Length: 5\r\n\r\nhello\r\n" + whole)
        for _ in range(2):
            assert b"5\r\nhello\r\n" in await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()

    with_handler(server, programs, passed, "empty-line")


def test_chunks_that_say_too_much_beside_their_bytes_are_refused(server: Server, programs: Path) -> None:
    async def refused(handler: Handler) -> None:
        head = b"POST /whole HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        last = head.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
        short = b"1;a=b\r\nx\r\n" * 10 + b"0\r\n\r\n"
        assert b"xxxxxxxxxx" in await asyncio.to_thread(exchange, handler.port, last + short)
        long = (b"1;a=" + b"b" * 4_000 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n"
        got = await asyncio.to_thread(exchange, handler.port, head + long)
        assert got.startswith(b"HTTP/1.1 400"), got
        got = await asyncio.to_thread(exchange, handler.port, head + b"zz\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 400"), got

    with_handler(server, programs, refused, "extensions")


ANSWERS = {
    "no-reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "reason": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "interim": b"HTTP/1.1 103\r\nLink: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "switch": b"HTTP/1.1 101\r\nUpgrade: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "identity": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "old": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "cut": b"HTTP/1.1 20",
}


@pytest.fixture(scope="module")
def odd() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers a path with the raw text of that name; the requests that came."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65_536)):
                    head += piece
                requests.append(head)
                connection.sendall(ANSWERS[head.split()[1].decode().split("?")[0].strip("/")])

    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1]), requests
    listener.close()


def test_responses_are_read_in_one_way_or_not_at_all(
    tmp_path: Path, programs: Path, odd: tuple[int, list[bytes]]
) -> None:
    port, requests = odd
    base = f"http://127.0.0.1:{port}"
    with allowing(tmp_path, base) as server:
        got = outcomes(server, programs, *(f"GET {base}/{name}" for name in ANSWERS),
                       f"GET {base}/reason?a=b#fragment")  # fmt: skip
    assert dict(zip(ANSWERS, got, strict=False)) == {
        "no-reason": "200 2 ok",
        "reason": "200 2 ok",
        "interim": "200 2 ok",
        "switch": "error HTTP-protocol-error",
        "gzip": "error HTTP-response-transfer-coding",
        "both": "error HTTP-protocol-error",
        "identity": "error HTTP-protocol-error",
        "lengths": "error HTTP-protocol-error",
        "nul": "error HTTP-protocol-error",
        "old": "error HTTP-protocol-error",
        "cut": "error connection-terminated",
    }
    assert got[-1] == "200 2 ok"
    assert requests[-1].startswith(b"GET /reason?a=b HTTP/1.1\r\n")  # a fragment is never sent

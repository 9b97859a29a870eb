"""HTTP instances (protocol.md, section 9): the limits of their requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.conftest import Server
from tests.http_handler import DEADLINE_S, Handler, with_handler

LIMITS = """
[limits]
http_connections_max = 4
http_header_bytes_max = 4096
http_body_bytes_max = 1000000
http_header_s_max = 1
http_request_s_max = 2
"""


def test_requests_beyond_the_limits_are_refused(limited: Server, programs: Path) -> None:
    async def limits(handler: Handler) -> None:
        assert (await handler.ask("/head", x="y" * 5_000))[0] == 431
        assert (await handler.ask("/whole", b"x" * 1_000_001))[0] == 413
        for text, status in [
            (b"POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"413"),
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\n\r\n", b"400"),
            (b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        ]:
            reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
            writer.write(text)
            assert (await reader.read()).startswith(b"HTTP/1.1 " + status), text
            writer.close()
        # A chunked body tells its length only as it comes.
        reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
        writer.write(b"POST /whole HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
        status_line = await reader.readline()
        assert status_line.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
        writer.close()
        assert await handler.ask("/echo", b"fine") == (200, b"fine")

    with_handler(limited, programs, limits, "limits")


def test_a_program_that_takes_too_much_is_ended(limited: Server, programs: Path) -> None:
    async def too_much(handler: Handler) -> None:
        await handler.attach()
        assert await handler.ask("/spin") == (504, b"the program took too long\n")
        assert await handler.ask("/wait") == (504, b"the program took too long\n")
        assert await handler.ask("/allocate") == (503, b"the program failed\n")
        log = await handler.told("[GET /allocate] out of resources: memory")
        assert "[GET /spin] out of resources: time of one request: used more than 2 s" in log

    with_handler(limited, programs, too_much, "too-much")


def test_slow_senders_are_dropped_and_hold_up_nobody(limited: Server, programs: Path) -> None:
    async def slow(handler: Handler) -> None:
        slow_ones = [await asyncio.open_connection("127.0.0.1", handler.port) for _ in range(3)]
        for _, writer in slow_ones:
            writer.write(b"GET /echo HTTP/1.1\r\nHost: x\r\nX-")
        assert await handler.ask("/echo", b"meanwhile") == (200, b"meanwhile")
        # A fifth connection waits until the first of them is dropped.
        fourth = await asyncio.open_connection("127.0.0.1", handler.port)
        assert await handler.ask("/echo", b"fifth") == (200, b"fifth")
        for reader, writer in [*slow_ones, fourth]:
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            writer.close()

    with_handler(limited, programs, slow, "slowloris")

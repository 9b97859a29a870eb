"""HTTP instances (protocol.md, section 9): what goes through them, and that nothing stays of it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.http_handler import DEADLINE_S, Handler, eventually, with_handler


def test_head_and_method_of_a_request_come_through(server: Server, programs: Path) -> None:
    async def heads(handler: Handler) -> None:
        status, text = await handler.ask("/head?q=1", method="PATCH", accept="x/y", authorization="secret")
        lines = text.decode().splitlines()
        assert status == 200
        assert lines[0] == f"PATCH /head?q=1 127.0.0.1:{handler.port}"
        assert "accept: x/y" in lines and "authorization: secret" in lines
        assert not any(line.lower().startswith(("host:", "connection:")) for line in lines)
        _, text = await handler.ask("/bad-header")
        assert text.decode().splitlines() == [
            "good taken", "bad name refused", "split refused", "Connection refused",
            "transfer-encoding refused", "host refused"]  # fmt: skip

    with_handler(server, programs, heads, "heads")


def test_bodies_stream_both_ways_piece_by_piece(server: Server, programs: Path) -> None:
    async def both_ways(handler: Handler) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
        writer.write(b"POST /pieces/3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and b"transfer-encoding: chunked" in head
        for number in range(3):
            # Each answer comes after its question and before the next one.
            writer.write(b"3\r\ngo\n\r\n")
            assert await reader.readuntil(b"\r\n") == b"8\r\n"
            assert await reader.readexactly(10) == f"piece {number}\n\r\n".encode()
        writer.write(b"0\r\n\r\n")
        assert await reader.readexactly(5) == b"0\r\n\r\n"
        # The connection goes on.
        writer.write(b"GET /arguments HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"value\n")).startswith(b"HTTP/1.1 200")
        writer.close()

    with_handler(server, programs, both_ways, "streams")


def test_large_bodies_come_through_whole(server: Server, programs: Path) -> None:
    async def large(handler: Handler) -> None:
        body = os.urandom(3_000_000)
        assert await handler.ask("/echo", body) == (200, body)
        assert await handler.ask("/whole", body) == (200, body)
        assert await handler.ask("/bytes/5000000") == (200, b"x" * 5_000_000)
        assert await handler.ask("/bytes/0") == (200, b"")

    with_handler(server, programs, large, "large")


def test_a_slow_reader_holds_the_program_in_bounded_memory(server: Server, programs: Path) -> None:
    total, most = 48 << 20, 24 << 20

    async def slow(handler: Handler) -> None:
        await handler.attach()
        before = server.rss_bytes()
        connection = socket.create_connection(("127.0.0.1", handler.port))
        connection.sendall(f"GET /blocks/{total} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

        def written() -> int:
            lines = re.findall(r"written (\d+)", handler.peer.output(handler.id))
            return int(lines[-1]) if lines else 0

        await eventually(lambda: written() > 0)
        seen, since = written(), time.monotonic()
        while time.monotonic() - since < 1.5:  # nothing more for a while: it waits
            await asyncio.sleep(0.05)
            if written() != seen:
                seen, since = written(), time.monotonic()
        assert seen < most
        assert server.rss_bytes() - before < most

        def read_all() -> int:
            connection.settimeout(DEADLINE_S)
            with connection:
                return sum(len(piece) for piece in iter(lambda: connection.recv(1 << 16), b""))

        assert await asyncio.to_thread(read_all) > total
        # What the program printed last comes by another connection than the body.
        await eventually(lambda: written() == total)

    with_handler(server, programs, slow, "slow")


def test_one_connection_serves_many_requests(server: Server, programs: Path) -> None:
    async def many(handler: Handler) -> None:
        def one_connection() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", handler.port, timeout=DEADLINE_S)
            connection.connect()
            local = connection.sock.getsockname()
            for method, path, body, expected in [
                ("POST", "/echo", b"one", (200, b"one")),
                ("HEAD", "/bytes/100", None, (200, b"")),
                ("POST", "/ignore", b"x" * 200_000, (200, b"ignored\n")),
                ("GET", "/nothing", None, (500, b"the program failed\n")),
                ("GET", "/trap", None, (500, b"the program failed\n")),
                ("PUT", "/echo", b"", (200, b"")),
            ]:
                connection.request(method, path, body)
                response = connection.getresponse()
                assert (response.status, response.read()) == expected, path
                assert connection.sock.getsockname() == local
            connection.close()

        await asyncio.to_thread(one_connection)
        # Two requests in one packet, and a client of HTTP/1.0.
        reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
        writer.write(b"GET /bytes/1 HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        for _ in range(2):
            assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"\r\n1\r\nx\r\n0\r\n\r\n")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", handler.port)
        writer.write(b"GET /bytes/3 HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        assert answer.endswith(b"\r\n\r\nxxx") and b"chunked" not in answer
        writer.close()

    with_handler(server, programs, many, "keep-alive")


def test_several_requests_at_once(server: Server, programs: Path) -> None:
    async def at_once(handler: Handler) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", handler.port) for _ in range(8)]
        for _, writer in streams:
            writer.write(b"POST /pieces/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for reader, _ in streams:
            await reader.readuntil(b"\r\n\r\n")  # each has begun, none has ended
        for reader, writer in reversed(streams):
            writer.write(b"1\r\nx\r\n0\r\n\r\n")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"8\r\npiece 0\n")
            writer.close()

    with_handler(server, programs, at_once, "at-once")


def test_the_store_and_the_model_are_there(server: Server, programs: Path) -> None:
    async def core(handler: Handler) -> None:
        assert [await handler.ask("/count") for _ in range(3)] == [(200, b"1"), (200, b"2"), (200, b"3")]
        told = {await handler.ask("/complete", b"What is the capital of France?") for _ in range(2)}
        status, text = told.pop()
        assert not told and status == 200 and len(text) > 10
        await handler.until_pages(False)

    with_handler(server, programs, core, "core")


def test_what_breaks_off_is_seen_to_break_off(server: Server, programs: Path) -> None:
    async def broken(handler: Handler) -> None:
        await handler.attach()
        for path in ("/half", "/trap-later", "/short", "/long"):
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                await handler.ask(path)
        assert "[GET /trap-later] wasm trap:" in await handler.told("/trap-later")
        # A program may be ended with its broken connection before it has said what it was told.
        async with asyncio.timeout(DEADLINE_S):
            while "finish: HTTP-response-body-size" not in handler.peer.output(handler.id):
                with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                    await handler.ask("/short")
        assert await handler.ask("/echo", b"next") == (200, b"next")

    with_handler(server, programs, broken, "broken")


def test_a_client_that_goes_away_ends_its_program(server: Server, programs: Path) -> None:
    async def away(handler: Handler) -> None:
        for request in (b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"):  # fmt: skip
            with socket.create_connection(("127.0.0.1", handler.port)) as connection:
                connection.sendall(request)
                await handler.until_pages(True)
            await handler.until_pages(False)
        # It is no failure of the program's.
        await handler.attach()
        await handler.ask("/trap")
        assert "/hold" not in await handler.told("/trap")

    with_handler(server, programs, away, "away")


def test_terminate_ends_what_it_is_doing(server: Server, programs: Path) -> None:
    async def ended(handler: Handler) -> None:
        spinning = asyncio.create_task(handler.ask("/spin"))
        holding = asyncio.create_task(handler.ask("/hold"))
        await handler.until_pages(True)
        answer = await handler.peer.call("terminate_instance", instance_id=handler.id)
        assert answer["result"] == "Instance terminated"
        for task in (spinning, holding):
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                await task
        assert (await handler.row())["kv_pages_used"] == 0

    with_handler(server, programs, ended, "terminator")


def test_nothing_is_left_of_hundreds_of_requests(server: Server, programs: Path) -> None:
    def descriptors() -> int:
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    async def many(handler: Handler) -> None:
        async def round(count: int) -> None:
            slots = asyncio.Semaphore(8)

            async def one(number: int) -> None:
                async with slots:
                    path = ("/echo", "/bytes/20000", "/trap", "/half", "/ignore", "/count")[number % 6]
                    with contextlib.suppress(http.client.HTTPException, ConnectionError):
                        await handler.ask(path, b"x" * 20_000)

            await asyncio.gather(*(one(number) for number in range(count)))

        async def pools() -> dict[str, str]:
            answer = await handler.peer.call("query", subject="model_status", record="")
            status = json.loads(answer["result"])
            return {key: value for key, value in status.items() if ".used" in key or "active_count" in key}

        await handler.attach()
        await handler.ask("/trap")  # opens the log's file
        open_files, figures = descriptors(), await pools()
        await round(120)
        rss = server.rss_bytes()
        await round(480)
        await eventually(lambda: descriptors() <= open_files)
        async with asyncio.timeout(DEADLINE_S):
            while await pools() != figures:
                await asyncio.sleep(0.02)
        assert server.rss_bytes() - rss < 16 << 20

    with_handler(server, programs, many, "leaks")

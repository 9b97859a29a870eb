"""HTTP instances (protocol.md, section 9) and requests of programs to others."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pie import PieClient, PieError

from tests.conftest import BUILD, PIE, ROOT, Server
from tests.test_tls import Authority
from tests.wire import Frame, Peer

SERVER_ERROR = 4
DEADLINE_S = 60.0
LIMITS = """
[limits]
http_connections_max = 4
http_header_bytes_max = 4096
http_body_bytes_max = 1000000
http_header_s_max = 1
http_request_s_max = 2
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def serve(peer: Peer, program: str, port: int, arguments: list[str] | None = None) -> str:
    """Launches an HTTP instance; its id, as the list tells it."""
    answer = await peer.call("launch_server_instance", port=port, inferlet=program,
                             arguments=arguments or [])  # fmt: skip
    assert answer == {"type": "response", "corr_id": answer["corr_id"], "successful": True,
                      "result": "server launched"}  # fmt: skip
    return str((await peer.call("list_instances"))["instances"][0]["id"])


Answer = tuple[int, bytes]


def fetch(port: int, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
    """One request on a connection of its own: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


async def ask(port: int, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
    """As fetch(), beside what else this thread does."""
    return await asyncio.to_thread(fetch, port, path, body, method, **headers)


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


class Handler:
    """An HTTP instance of tests/programs/http_handler that this test uses, attached."""

    def __init__(self, peer: Peer, port: int, id: str) -> None:
        self.peer, self.port, self.id = peer, port, id

    async def ask(self, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
        """One request."""
        return await ask(self.port, path, body, method, **headers)

    async def attach(self) -> None:
        """From now on its log comes to the peer."""
        answer = await self.peer.call("attach_instance", instance_id=self.id)
        assert answer["successful"], answer

    async def told(self, text: str, stream: str = "Stderr") -> str:
        """Waits until its log has this text; all that it has told."""
        await self.peer.wait_until(lambda: text in self.peer.output(self.id, stream))
        return self.peer.output(self.id, stream)

    async def row(self) -> Frame:
        """Its row of the list."""
        rows = (await self.peer.call("list_instances"))["instances"]
        return next(row for row in rows if row["id"] == self.id)

    async def until_pages(self, are_some: bool) -> None:
        """Waits until its requests hold some KV pages, or none."""
        async with asyncio.timeout(DEADLINE_S):
            while ((await self.row())["kv_pages_used"] > 0) != are_some:
                await asyncio.sleep(0.02)


def with_handler(server: Server, programs: Path, test: Callable[[Handler], Any], user: str) -> None:
    """Runs an async test with an HTTP instance, which it leaves terminated."""

    async def main() -> None:
        async with Peer(server.url, user) as peer:
            port = free_port()
            hash = await peer.upload_file(programs / "http_handler.wasm")
            id = await serve(peer, hash, port, ["--flag", "value"])
            await test(Handler(peer, port, id))
            await peer.call("terminate_instance", instance_id=id)

    asyncio.run(main())


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits for requests."""
    home = tmp_path_factory.mktemp("limited") / "home"
    home.mkdir()
    (home / "config.toml").write_text(LIMITS)
    one = Server(home).start()
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


# The instance


def test_it_is_listed_answers_and_leaves_its_port_when_terminated(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url, "web") as peer:
            hash = await peer.upload_file(programs / "http_handler.wasm")
            port = free_port()
            id = await serve(peer, hash, port, ["a", "b"])
            row = (await peer.call("list_instances"))["instances"][0]
            assert (row["status"], row["arguments"], row["username"]) == ("Detached", ["a", "b"], "web")
            assert await ask(port, "/echo", b"hello") == (200, b"hello")
            assert await ask(port, "/arguments") == (200, b"a\nb\n")
            assert await ask(port, "/nowhere") == (404, b"no such path\n")
            answer = await peer.call("terminate_instance", instance_id=id)
            assert answer["result"] == "Instance terminated"
            with pytest.raises(ConnectionRefusedError):
                await ask(port, "/echo", b"hello")
            # The port is free at once, its end waits to be fetched.
            again = await serve(peer, hash, port)
            assert await ask(port, "/count") == (200, b"1")
            rows = (await peer.call("list_instances"))["instances"]
            assert {row["id"]: row["status"] for row in rows} == {id: "Finished", again: "Detached"}
            await peer.call("attach_instance", instance_id=id)
            end = await peer.final(id)
            assert (end["event"], end["message"]) == (2, "Signal termination")
            await peer.call("terminate_instance", instance_id=again)

    asyncio.run(main())


def test_what_cannot_be_served_is_refused_with_a_reason(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url, "refused") as peer:
            web = await peer.upload_file(programs / "http_handler.wasm")

            async def reason(program: str, port: int) -> str:
                answer = await peer.call("launch_server_instance", port=port, inferlet=program, arguments=[])
                assert answer["type"] == "response" and not answer["successful"]
                return str(answer["result"])

            with socket.socket() as holder:
                holder.bind(("127.0.0.1", 0))
                holder.listen()
                taken = holder.getsockname()[1]
                assert f"127.0.0.1:{taken}] got: Address already in use" in await reason(web, taken)
            assert "got the port 0, expected 1 to 65535" in await reason(web, 0)
            assert "got the port 65536" in await reason(web, 65536)
            assert "without wasi:http/incoming-handler" in await reason("hello", free_port())
            assert await reason("no-such-program", free_port()) == "Program not found"
            answer = await peer.call("launch_instance", inferlet=web, arguments=[], detached=False)
            assert not answer["successful"] and "launch_server_instance" in answer["message"]
            assert (await peer.call("list_instances"))["instances"] == []

    asyncio.run(main())


def test_every_window_form_launches_it_and_our_client_too(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url, "windows") as peer:
            hash = await peer.upload_file(programs / "http_handler.wasm")
            for form in ({"inferlet": hash}, {"program_hash": hash}, {"program_hash": hash, "cmd_name": "w"}):
                port = free_port()
                answer = await peer.call("launch_server_instance", port=port, arguments=[], **form)
                assert answer["result"] == "server launched"
                assert (await ask(port, "/arguments"))[0] == 200
        async with PieClient(server.url) as client:
            await client.authenticate("windows")
            port = free_port()
            await client.launch_server_instance(port, hash, ["x"])
            assert await ask(port, "/arguments") == (200, b"x\n")
            with pytest.raises(PieError, match="Address already in use"):
                await client.launch_server_instance(port, hash)
            for row in await client.list_instances():
                assert row.status == "Detached"
                await client.terminate_instance(row.id)

    asyncio.run(main())


def test_the_command_line_launches_it(server: Server, programs: Path) -> None:
    port = free_port()
    command = [str(PIE), "submit", "--server", server.url, "--user", "shell", "--port", str(port),
               "-p", str(programs / "http_handler.wasm"), "--", "word"]  # fmt: skip
    done = subprocess.run(command, text=True, check=False, capture_output=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (0, f"http://127.0.0.1:{port}\n"), done.stderr
    assert fetch(port, "/arguments") == (200, b"word\n")
    done = subprocess.run(command, text=True, check=False, capture_output=True, timeout=DEADLINE_S)
    assert done.returncode != 0 and "Address already in use" in done.stderr


def test_the_example_of_the_page_builds_and_serves(server: Server, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "PROGRAMS.md").read_text()
    code = next(block for block in re.findall(r"```cpp\n(.*?)```", page, re.S) if "inferlet_http(" in block)
    (tmp_path / "my_server.cpp").write_text(code)
    wasm = tmp_path / "my_server.wasm"
    command = [str(PIE), "build", "--http", str(tmp_path / "my_server.cpp"), "-o", str(wasm)]
    share = str(BUILD / "share" / "pie")
    subprocess.run(command, check=True, timeout=DEADLINE_S, env=dict(os.environ, PIE_SHARE=share))

    async def main() -> None:
        async with Peer(server.url, "page") as peer:
            port = free_port()
            id = await serve(peer, await peer.upload_file(wasm), port)
            status, text = await ask(port, "/", b"Say hello.")
            assert status == 200 and text
            await peer.call("terminate_instance", instance_id=id)

    asyncio.run(main())


def test_somebody_elses_is_as_if_it_did_not_exist(server: Server, programs: Path) -> None:
    async def with_stranger(handler: Handler) -> None:
        async with Peer(server.url, "stranger") as stranger:
            for type in ("attach_instance", "terminate_instance"):
                answer = await stranger.call(type, instance_id=handler.id)
                assert (answer.get("result") or answer.get("message")) == "Instance not found"
            assert (await stranger.call("list_instances"))["instances"] == []
        assert await handler.ask("/echo", b"still here") == (200, b"still here")

    with_handler(server, programs, with_stranger, "owner")


def test_what_requests_print_and_fail_of_is_in_its_log(server: Server, programs: Path) -> None:
    async def told(handler: Handler) -> None:
        assert await handler.ask("/print", "héllo".encode()) == (200, "héllo".encode())
        status, text = await handler.ask("/trap")
        assert (status, text) == (500, b"the program failed\n")
        assert (await handler.ask("/nothing"))[0] == 500
        await handler.attach()
        assert (await handler.row())["status"] == "Attached"
        assert await handler.told("héllo", "Stdout") == "héllo"
        log = await handler.told("[GET /nothing] the program returned without an answer\n")
        assert log.startswith("[GET /trap] wasm trap:") and "inferlet_http" in log
        # Messages have nobody to go to.
        answer = await handler.peer.call("signal_instance", instance_id=handler.id, message="x")
        assert not answer["successful"] and "serves HTTP" in answer["result"]

    with_handler(server, programs, told, "logger")


def test_it_outlives_its_launcher_and_ends_with_the_server(own_server: Server, programs: Path) -> None:
    async def launch() -> tuple[int, str]:
        async with Peer(own_server.url, "gone") as peer:
            hash = await peer.upload_file(programs / "http_handler.wasm")
            port = free_port()
            return port, await serve(peer, hash, port)

    port, id = asyncio.run(launch())
    assert fetch(port, "/echo", b"alone") == (200, b"alone")
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert own_server.stop() == 0
        assert waiting.recv(1000)[:12] in (b"", b"HTTP/1.1 503")
    with pytest.raises(ConnectionRefusedError):
        fetch(port, "/echo", b"")
    own_server.start()

    async def after() -> None:
        async with Peer(own_server.url, "gone") as peer:
            await peer.call("attach_instance", instance_id=id)
            end = await peer.final(id)
            assert (end["event"], end["message"]) == (SERVER_ERROR, "server stopped")
            hash = await peer.upload_file(programs / "http_handler.wasm")
            crashed = await serve(peer, hash, port)
            await ask(port, "/print", b"before the crash")
            own_server.kill()
        own_server.start()
        async with Peer(own_server.url, "gone") as peer:
            await peer.call("attach_instance", instance_id=crashed)
            end = await peer.final(crashed)
            assert (end["event"], end["message"]) == (SERVER_ERROR, "server restarted")
            assert peer.output(crashed) == "before the crash"

    asyncio.run(after())


# Requests and answers


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
        said = await handler.told("finish", "Stdout")
        assert "finish: HTTP-response-body-size" in said
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


# Limits


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


# Requests to others


class Upstream:
    """Somebody else's server, on loopback."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Serve(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                """Answers by the path."""
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                if self.path == "/redirect":
                    return self.answer(302, b"moved", location="/elsewhere")
                if self.path == "/large":
                    return self.answer(200, b"y" * 2_000_000)
                if self.path == "/cut":
                    self.send_response(200)
                    self.send_header("content-length", "100")
                    self.end_headers()
                    self.wfile.write(b"only this")
                    self.close_connection = True
                    return None
                if self.path == "/chunks":
                    self.send_response(200)
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    for piece in (b"one ", b"two"):
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")
                    return None
                if self.path == "/headers":
                    return self.answer(200, b"", x="y" * 100_000)
                return self.answer(200, b"got " + body)

            do_POST = do_PUT = do_GET

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                """A whole response."""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.server.daemon_threads = True
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A server that programs may ask, if the operator lets them."""
    one = Upstream()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def secure_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, Authority]]:
    """The same over TLS, with a certificate of our own authority."""
    import ssl

    authority = Authority(tmp_path_factory.mktemp("upstream")).make()
    one = Upstream()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
    one.server.socket = context.wrap_socket(one.server.socket, server_side=True)
    yield one, authority
    one.stop()


@contextlib.contextmanager
def allowing(folder: Path, *patterns: str, more: str = "") -> Iterator[Server]:
    """A server that lets programs ask these hosts."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(f"http_allow = {json.dumps(patterns)}\n{more}")
    one = Server(home).start()
    try:
        yield one
    finally:
        assert one.stop() == 0, one.log.read_text()[-4000:]


def outcomes(server: Server, programs: Path, *requests: str) -> list[str]:
    """What a program prints of these requests."""

    async def main() -> str:
        async with Peer(server.url, "asker") as peer:
            hash = await peer.upload_file(programs / "fetch.wasm")
            id = await peer.launch(hash, list(requests))
            end = await peer.final(id)
            assert (end["event"], end["message"]) == (1, "done"), end
            return peer.output(id)

    return asyncio.run(main()).splitlines()


def test_requests_to_others_are_denied_by_default(server: Server, programs: Path, upstream: Upstream) -> None:
    urls = [
        f"http://127.0.0.1:{upstream.port}/",
        f"http://localhost:{upstream.port}/",
        "https://example.com/",
    ]
    assert outcomes(server, programs, *(f"GET {url}" for url in urls)) == ["error HTTP-request-denied"] * 3
    assert upstream.requests == []


def test_requests_that_the_operator_allows_go_through(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    base = f"http://127.0.0.1:{upstream.port}"
    closed = free_port()
    with allowing(tmp_path, base, f"127.0.0.1:{closed}") as server:
        got = outcomes(server, programs, f"GET {base}/a?b=c", f"POST {base}/post {'z' * 100_000}",
                       f"GET {base}/large", f"GET {base}/chunks", f"GET {base}/redirect",
                       f"GET {base}/cut", f"GET {base}/headers", f"HEAD {base}/x",
                       f"GET http://127.0.0.1:{closed}/", f"GET http://127.0.0.1:{free_port()}/",
                       f"GET https://127.0.0.1:{upstream.port}/")  # fmt: skip
    assert got[0] == "200 4 got "
    assert got[1].startswith("200 100004 got zzz")
    assert got[2].startswith("200 2000000 yyy")
    assert got[3:5] == ["200 7 one two", "302 5 moved"]
    assert got[5].startswith("broke off after 9: HTTP-response-incomplete")
    assert got[6] == "error HTTP-response-header-section-size"
    assert got[8:] == ["error connection-refused", "error HTTP-request-denied", "error HTTP-request-denied"]
    command, path, headers, _ = upstream.requests[0]
    assert (command, path, headers["host"]) == ("GET", "/a?b=c", f"127.0.0.1:{upstream.port}")
    assert headers["x-test"] == "yes"
    assert upstream.requests[1][3] == b"z" * 100_000
    assert not any(path == "/elsewhere" for _, path, _, _ in upstream.requests)


def test_no_name_and_no_wildcard_reaches_a_private_address(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    seen = len(upstream.requests)
    with allowing(tmp_path, "*:*", f"localhost:{upstream.port}") as server:
        got = outcomes(server, programs, f"GET http://localhost:{upstream.port}/",
                       f"GET http://127.0.0.1:{upstream.port}/",
                       f"GET http://[::ffff:127.0.0.1]:{upstream.port}/",
                       f"GET http://[::1]:{upstream.port}/", f"GET http://2130706433:{upstream.port}/",
                       f"GET http://127.1:{upstream.port}/",
                       f"GET http://x@127.0.0.1:{upstream.port}/")  # fmt: skip
    assert got == ["error destination-IP-prohibited", *["error HTTP-request-denied"] * 3,
                   *["error HTTP-request-URI-invalid"] * 3]  # fmt: skip
    assert len(upstream.requests) == seen


def test_a_name_goes_through_when_its_address_is_allowed_too(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    with allowing(tmp_path, f"localhost:{upstream.port}", f"127.0.0.0/8:{upstream.port}") as server:
        assert outcomes(server, programs, f"GET http://localhost:{upstream.port}/") == ["200 4 got "]


def test_https_asks_for_a_certificate_that_is_trusted(
    tmp_path: Path, programs: Path, secure_upstream: tuple[Upstream, Authority]
) -> None:
    one, authority = secure_upstream
    patterns = [f"https://localhost:{one.port}", f"127.0.0.1:{one.port}"]
    request = f"GET https://localhost:{one.port}/s"
    with allowing(tmp_path / "untrusted", *patterns) as server:
        assert outcomes(server, programs, request) == ["error TLS-certificate-error"]
    ca_file = f"http_ca_file = {json.dumps(authority.path('ca.pem'))}\n"
    with allowing(tmp_path / "trusted", *patterns, more=ca_file) as server:
        assert outcomes(server, programs, request) == ["200 4 got "]


def test_a_handler_asks_others_and_streams_their_answer(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    async def main(server: Server) -> None:
        async with Peer(server.url, "relay") as peer:
            hash = await peer.upload_file(programs / "http_relay.wasm")
            port = free_port()
            await serve(peer, hash, port)
            url = f"http://127.0.0.1:{upstream.port}"
            assert await ask(port, "/", **{"x-url": f"{url}/large"}) == (200, b"y" * 2_000_000)
            assert await ask(port, "/", **{"x-url": "http://10.0.0.1/"}) == (502, b"HTTP-request-denied")

    with allowing(tmp_path, f"http://127.0.0.1:{upstream.port}") as server:
        asyncio.run(main(server))


def test_a_pattern_that_is_none_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"http_allow.*got 'ftp://x'"), allowing(tmp_path, "ftp://x"):
        pass

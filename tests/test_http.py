"""HTTP instances (protocol.md, section 9): their launch, their end, their place among the others."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from pie import PieClient, PieError

from tests.conftest import BUILD, PIE, ROOT, Server, free_port
from tests.http_handler import DEADLINE_S, Handler, ask, fetch, serve, with_handler
from tests.wire import Peer

SERVER_ERROR = 4


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
            log = own_server.home / "instances" / f"{crashed}.log"
            async with asyncio.timeout(60):  # what was said is stored behind the answer
                while not log.exists() or b"before the crash" not in log.read_bytes():
                    await asyncio.sleep(0.02)
            own_server.kill()
        own_server.start()
        async with Peer(own_server.url, "gone") as peer:
            await peer.call("attach_instance", instance_id=crashed)
            end = await peer.final(crashed)
            assert (end["event"], end["message"]) == (SERVER_ERROR, "server restarted")
            assert peer.output(crashed) == "before the crash"

    asyncio.run(after())

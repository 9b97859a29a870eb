"""HTTP instances as tests use them: launching one, asking it, watching it."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Server, free_port
from tests.wire import Frame, Peer

DEADLINE_S = 60.0


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

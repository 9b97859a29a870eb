"""A server peer that each test scripts frame by frame, to show how the client takes what no real
server should do: vanish, go silent, answer late or wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve

from pie import PieClient

Message = dict[str, Any]
DEADLINE_S = 60.0
"""Generous: what should happen at once must happen within it on a busy machine."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def take(self, kind: str | None = None) -> Message:
        """The next message of the client."""
        frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        message: Message = msgpack.unpackb(frame)
        if kind is not None:
            assert message["type"] == kind, message
        return message

    async def give(self, kind: str, **fields: Any) -> None:
        await self.socket.send(msgpack.packb({"type": kind, **fields}))

    async def respond(self, to: Message, result: str, successful: bool = True) -> None:
        await self.give("response", corr_id=to["corr_id"], successful=successful, result=result)

    async def launch(self, instance_id: str = "i-1") -> Message:
        """Answers a launch with an instance."""
        message = await self.take()
        assert message["type"].startswith("launch_instance"), message
        await self.give(
            "instance_launch_result",
            corr_id=message["corr_id"],
            successful=True,
            message=instance_id,
        )
        return message

    async def event(self, code: int, text: str = "", instance_id: str = "i-1") -> None:
        await self.give("instance_event", instance_id=instance_id, event=code, message=text)

    async def stdout(self, text: str, instance_id: str = "i-1") -> None:
        await self.give("streaming_output", instance_id=instance_id, output={"Stdout": text})

    def vanish(self) -> None:
        """As when the server's process is killed: the socket is reset without a word."""
        self.socket.transport.abort()


Script = Callable[[Peer], Awaitable[None]]
ClientSide = Callable[[PieClient], Awaitable[None]]


@asynccontextmanager
async def serving(script: Script, **options: Any) -> AsyncIterator[str]:
    """Runs `script` for each connection; gives the address. The script's failure is the test's."""
    failures: list[BaseException] = []

    async def handle(socket: ServerConnection) -> None:
        try:
            await script(Peer(socket))
            await socket.wait_closed()
        except Exception as e:
            failures.append(e)

    async with serve(handle, "127.0.0.1", 0, max_size=None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
    if failures:
        raise failures[0]


@pytest.fixture
def run() -> Callable[..., None]:
    """Runs a client against a script, within the deadline."""

    def call(script: Script, client_side: ClientSide, **client_options: Any) -> None:
        async def main() -> None:
            async with serving(script) as url, PieClient(url, **client_options) as client:
                await client_side(client)

        asyncio.run(asyncio.wait_for(main(), DEADLINE_S))

    return call

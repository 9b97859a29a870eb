"""Talks to tests/programs/probe: each method call is one command to a program on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conftest import INFERLETS, Server
from tests.wire import DEADLINE_S, Frame, Peer


def hexed(text: str | bytes) -> str:
    """Text as the probe's commands carry it."""
    data = text.encode() if isinstance(text, str) else text
    return data.hex() or "-"


def unhexed(word: str) -> bytes:
    """The reverse of hexed."""
    return b"" if word == "-" else bytes.fromhex(word)


def numbers(values: list[int] | range) -> str:
    """A LIST of the probe."""
    return ",".join(map(str, values)) or "-"


class Ended(Exception):
    """The instance ended instead of answering: (event, message)."""

    def __init__(self, frame: Frame) -> None:
        self.event = int(frame["event"])
        self.message = str(frame["message"])
        super().__init__(f"event {self.event}: {self.message}")


class Probe:
    """One running probe."""

    def __init__(self, peer: Peer, instance: str) -> None:
        self.peer = peer
        self.instance = instance
        self._answers = 0
        self._seen = 0  # frames of the peer that were looked at
        self._events: list[Frame] = []

    @classmethod
    async def launch(cls, peer: Peer, arguments: list[str] | None = None) -> Probe:
        """Uploads (once per server is enough, but it is cheap) and launches the probe."""
        hash = await peer.upload_file(Path(INFERLETS / "probe.wasm"))
        return cls(peer, await peer.launch(hash, arguments))

    async def __aenter__(self) -> Probe:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.peer.send("terminate_instance", corr_id=self.peer.corr_id(),
                             instance_id=self.instance)  # fmt: skip

    def _has_events(self, count: int) -> bool:
        fresh = self.peer.frames[self._seen :]
        self._seen += len(fresh)
        self._events += [
            f for f in fresh if f["type"] == "instance_event" and f["instance_id"] == self.instance
        ]
        return len(self._events) >= count

    async def send(self, command: str) -> None:
        """Sends a command without waiting for its answer."""
        await self.peer.send("signal_instance", instance_id=self.instance, message=command)

    async def answer(self) -> str:
        """The next answer; raises Ended when the instance ended first."""
        index = self._answers
        await self.peer.wait_until(lambda: self._has_events(index + 1), DEADLINE_S)
        event = self._events[index]
        if event["event"] != 0:
            raise Ended(event)
        self._answers += 1
        return str(event["message"])

    async def __call__(self, command: str) -> str:
        """One command; what follows "ok", or "none"."""
        await self.send(command)
        answer = await self.answer()
        assert not answer.startswith("bad command"), answer
        return answer.removeprefix("ok").strip()

    async def all(self, *commands: str) -> list[str]:
        """Several commands, one after the other."""
        return [await self(command) for command in commands]

    async def ends(self, command: str) -> Ended:
        """A command that ends the instance."""
        try:
            answer = await self(command)
        except Ended as end:
            return end
        raise AssertionError(f"{command} was answered: {answer}")

    async def ready(self) -> None:
        """The usual beginning: the default model, a queue."""
        await self.all(f"get-model {hexed('smollm2-135m-instruct')}", "queue")

    async def tokenize(self, text: str) -> list[int]:
        """Token ids of a text."""
        return [int(word) for word in (await self(f"tokenize {hexed(text)}")).split(",")]

    async def forward(self, *commands: str) -> None:
        """A new pass made of these commands, executed and waited for."""
        await self("pass")
        await self.all(*commands)
        await self("execute")
        await self("wait")

    async def distribution(self) -> dict[int, float]:
        """The first distribution of the last result."""
        word = (await self("get-dist")).split()[0]
        pairs = [pair.split(":") for pair in word.split(",")]
        return {int(id): float(p) for id, p in pairs}


def with_probe(
    server: Server,
    test: Callable[[Probe], Coroutine[Any, Any, None]],
    username: str = "prober",
    arguments: list[str] | None = None,
    ready: bool = True,
) -> None:
    """Runs an async test with one probe."""

    async def main() -> None:
        async with Peer(server.url, username) as peer, await Probe.launch(peer, arguments) as probe:
            if ready:
                await probe.ready()
            await test(probe)

    asyncio.run(main())

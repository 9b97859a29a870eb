"""What the reliability programs share: a light client, a tally of what went wrong, process figures."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import websockets
from websockets.asyncio.client import ClientConnection

from tests.conftest import INFERLETS, Server
from tests.wire import CHUNK_BYTES, Frame, blake3_hex

DEADLINE_S = 60.0
FINAL = "end"


@dataclasses.dataclass(frozen=True)
class Event:
    """One event of an instance: kind is "out", "err", "message", "blob" or "end"."""

    kind: str
    text: str
    code: int = 0


class Tally:
    """Counts what was lost, leaked or crashed, and says so at the end."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.started = time.monotonic()
        self.counts = {"lost": 0, "leaked": 0, "crashed": 0}
        print(f"{name}: seed {seed}", flush=True)

    def say(self, text: str) -> None:
        """A line about what was done."""
        print(f"  {text}", flush=True)

    def add(self, kind: str, text: str) -> None:
        """Something went wrong; `kind` is "lost" (also: wrong), "leaked" or "crashed"."""
        self.counts[kind] += 1
        print(f"  {kind.upper()}: {text}", flush=True)

    def expect(self, is_right: bool, text: str, kind: str = "lost") -> None:
        """Counts `text` as gone wrong unless it is right."""
        if not is_right:
            self.add(kind, text)

    def alive(self, server: Server) -> None:
        """The server must not have ended by itself."""
        assert server.process is not None
        if server.process.poll() is not None:
            self.add("crashed", f"server exit code {server.process.returncode}:"
                                f"\n{server.log.read_text()[-3000:]}")  # fmt: skip

    def finish(self) -> int:
        """Prints the last line; the exit code."""
        print(f"{self.name}: {time.monotonic() - self.started:.0f} s")
        print(", ".join(f"{count} {kind}" for kind, count in self.counts.items()), flush=True)
        return 1 if any(self.counts.values()) else 0


def server_figures(server: Server) -> dict[str, int]:
    """Resident bytes, open descriptors and threads of the server."""
    folder = Path(f"/proc/{server.pid}")
    status = (folder / "status").read_text()

    def value(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", status, re.M)
        assert found is not None, status
        return int(found[1])

    return {
        "rss": value("VmRSS") * 1024,
        "fds": len(list((folder / "fd").iterdir())),
        "threads": value("Threads"),
    }


def waits_for_cpu(server: Server) -> dict[str, int]:
    """For how many nanoseconds each thread of the server could have run and was not let, so far."""
    waits = {}
    for thread in Path(f"/proc/{server.pid}/task").iterdir():
        try:
            waits[thread.name] = int((thread / "schedstat").read_text().split()[1])
        except (OSError, IndexError):  # it ended
            continue
    return waits


def owed_s(before: dict[str, int], after: dict[str, int]) -> float:
    """Seconds that a busy machine kept one thread of the server waiting between two readings, at most."""
    return max((wait - before[name] for name, wait in after.items() if name in before), default=0) / 1e9


def mib(size: int) -> str:
    """Bytes for people."""
    return f"{size / (1 << 20):.1f} MiB"


async def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Waits for something that has no event of its own."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


class Link:
    """One connection; answers by corr_id, events by instance."""

    def __init__(self, socket: ClientConnection, user: str) -> None:
        self.user = user
        self.socket = socket
        self.events: dict[str, list[Event]] = {}
        self.on_event: Callable[[str, Event], None] | None = None
        self.lost = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Frame]] = {}
        self._blobs: dict[str, bytes] = {}
        self._next = 0
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, user: str | None = "tester", **options: Any) -> Link:
        """Connects, and says who it is unless `user` is None."""
        settings: dict[str, Any] = {
            "max_size": None, "ping_interval": None, "compression": None,
            "open_timeout": DEADLINE_S, "close_timeout": 10, "proxy": None,
        } | options  # fmt: skip
        try:
            link = cls(await websockets.connect(url, **settings), user or "")
        except websockets.InvalidMessage as broken:  # the server was killed during the handshake
            raise ConnectionError(str(broken)) from None
        if user is not None:
            answer = await link.call("identification", username=user)
            assert answer["successful"], answer
        return link

    async def _read(self) -> None:
        try:
            async for data in self.socket:
                self._take(msgpack.unpackb(data, raw=False))
        except websockets.ConnectionClosed:
            pass
        self.lost.set()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionError(f"closed with {self.socket.close_code}"))
                future.exception()
        self._wake()

    def _take(self, frame: Frame) -> None:
        match frame["type"]:
            case "instance_event":
                kind = "message" if frame["event"] == 0 else FINAL
                event = Event(kind, frame["message"], frame["event"])
            case "streaming_output":
                ((stream, text),) = frame["output"].items()
                event = Event("out" if stream == "Stdout" else "err", text)
            case "download_blob":
                id = frame["instance_id"]
                self._blobs[id] = self._blobs.get(id, b"") + frame["chunk_data"]
                if frame["chunk_index"] + 1 < frame["total_chunks"]:
                    return
                blob = self._blobs.pop(id)
                is_right = blake3_hex(blob) == frame["blob_hash"]
                event = Event("blob", blob.hex() if is_right else "wrong hash")
            case "server_event":
                return
            case _:
                future = self._answers.pop(frame["corr_id"], None)
                if future is not None and not future.done():
                    future.set_result(frame)
                return
        self.events.setdefault(frame["instance_id"], []).append(event)
        if self.on_event is not None:
            self.on_event(frame["instance_id"], event)
        self._wake()

    def _wake(self) -> None:
        for condition, future in self._waiters:
            if future.done():
                continue
            if condition():
                future.set_result(None)
            elif self.lost.is_set():
                future.set_exception(ConnectionError(f"closed with {self.socket.close_code}"))
        self._waiters = [one for one in self._waiters if not one[1].done()]

    async def wait(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Until a condition on the events holds."""
        if condition():
            return
        if self.lost.is_set():
            raise ConnectionError(f"closed with {self.socket.close_code}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((condition, future))
        await asyncio.wait_for(future, deadline_s)

    async def send(self, type: str, **fields: Any) -> None:
        """Sends one message."""
        await self.raw(msgpack.packb({"type": type, **fields}))

    async def raw(self, data: bytes) -> None:
        """Sends one binary frame."""
        try:
            await self.socket.send(data)
        except websockets.ConnectionClosed as closed:
            raise ConnectionError(str(closed)) from None

    def expect(self, corr_id: int | None = None) -> tuple[int, asyncio.Future[Frame]]:
        """A corr_id, and where its answer will be."""
        if corr_id is None:
            self._next += 1
            corr_id = self._next
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._answers[corr_id] = future
        if self.lost.is_set():
            future.set_exception(ConnectionError(f"closed with {self.socket.close_code}"))
            future.exception()
        return corr_id, future

    async def call(self, type: str, **fields: Any) -> Frame:
        """Sends a request; its answer."""
        corr_id, future = self.expect()
        await self.send(type, corr_id=corr_id, **fields)
        return await asyncio.wait_for(future, DEADLINE_S)

    async def launch(self, program: str, arguments: list[str] | None = None, detached: bool = False) -> str:
        """Launches; the instance id."""
        answer = await self.call(
            "launch_instance", inferlet=program, arguments=arguments or [], detached=detached
        )
        if not answer["successful"]:
            raise RuntimeError(answer["message"])
        return str(answer["message"])

    async def upload(self, wasm: bytes, manifest: str | None = None) -> Frame:
        """Uploads a program; the answer."""
        fields: Frame = {"program_hash": blake3_hex(wasm)}
        if manifest is not None:
            fields["manifest"] = manifest
        return await self._chunks("upload_program", wasm, fields)

    async def upload_blob(self, instance: str, blob: bytes) -> Frame:
        """Uploads a blob; the answer."""
        return await self._chunks(
            "upload_blob", blob, {"instance_id": instance, "blob_hash": blake3_hex(blob)}
        )

    async def _chunks(self, type: str, data: bytes, fields: Frame) -> Frame:
        corr_id, future = self.expect()
        pieces = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)] or [b""]
        for index, piece in enumerate(pieces):
            await self.send(type, corr_id=corr_id, chunk_index=index, total_chunks=len(pieces),
                            chunk_data=piece, **fields)  # fmt: skip
        return await asyncio.wait_for(future, DEADLINE_S)

    async def rows(self) -> list[Frame]:
        """The rows of list_instances."""
        return list((await self.call("list_instances"))["instances"])

    async def query(self, subject: str, record: str = "") -> str:
        """The text of a query's answer."""
        return str((await self.call("query", subject=subject, record=record))["result"])

    def ended(self, instance: str) -> Event | None:
        """The instance's final event, if it came."""
        events = self.events.get(instance, [])
        return events[-1] if events and events[-1].kind == FINAL else None

    async def end_of(self, instance: str, deadline_s: float = DEADLINE_S) -> Event:
        """Waits for the instance's final event."""
        await self.wait(lambda: self.ended(instance) is not None, deadline_s)
        event = self.ended(instance)
        assert event is not None
        return event

    async def close(self) -> None:
        """Says goodbye."""
        await self.socket.close()
        await self._reader

    def reset(self) -> None:
        """Cuts the connection by a TCP reset."""
        raw: socket.socket = self.socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.transport.abort()

    async def closed(self) -> None:
        """Until the reader has noticed the end."""
        await self._reader


def unique_program(wasm: bytes, tag: str) -> bytes:
    """The same component with a custom section, and so with another hash."""
    name = b"tag"
    content = bytes([len(name)]) + name + tag.encode()
    assert len(content) < 128
    return wasm + b"\0" + bytes([len(content)]) + content


def program(name: str) -> bytes:
    """A built guest program."""
    return (INFERLETS / f"{name}.wasm").read_bytes()


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every program has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--seed", type=int, help="of everything random [from the machine]")
    options.add_argument("--short", action="store_true", help="the form that `make test` runs")
    return options


def run(name: str, options: argparse.Namespace,
        body: Callable[[Tally, random.Random, Path], Awaitable[None]]) -> int:  # fmt: skip
    """Runs a program in a folder of its own; the exit code."""
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
    tally = Tally(name, seed)
    with tempfile.TemporaryDirectory(prefix="pie-reliability-") as folder:
        try:
            asyncio.run(body(tally, random.Random(seed), Path(folder)))  # type: ignore[arg-type]
        except Exception as failure:
            import traceback

            traceback.print_exc(file=sys.stdout)
            tally.add("lost", f"{type(failure).__name__}: {failure}")
    return tally.finish()

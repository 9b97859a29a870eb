"""A protocol peer of its own, made from `websockets` and `msgpack` alone.

It shares no code with Pie, so that the tests hold the server to the written protocol and not to our
client's idea of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import blake3
import msgpack
import websockets
from websockets.asyncio.client import ClientConnection

CHUNK_BYTES = 262_144
DEADLINE_S = 60.0
Frame = dict[str, Any]


def blake3_hex(data: bytes) -> str:
    """The protocol's hash of some bytes."""
    return blake3.blake3(data).hexdigest()


class Peer:
    """One WebSocket connection; sends maps, keeps what it receives in order."""

    def __init__(self, url: str, username: str | None = "tester") -> None:
        self.url = url
        self.username = username
        self.frames: list[Frame] = []
        self.closed: asyncio.Event = asyncio.Event()
        self._next_corr_id = 100
        self._changed = asyncio.Condition()
        self._socket: ClientConnection
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Peer:
        self._socket = await websockets.connect(self.url, max_size=None, ping_interval=None, compression=None)
        self._reader = asyncio.create_task(self._read())
        if self.username is not None:
            answer = await self.call("identification", username=self.username)
            assert answer["successful"], answer
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                assert isinstance(data, bytes), "the server sent a text frame"
                frame = msgpack.unpackb(data, raw=False)
                assert isinstance(frame, dict) and all(isinstance(k, str) for k in frame)
                async with self._changed:
                    self.frames.append(frame)
                    self._changed.notify_all()
        except websockets.ConnectionClosed:
            pass
        self.closed.set()
        async with self._changed:
            self._changed.notify_all()

    @property
    def close_code(self) -> int | None:
        """The WebSocket code that the server closed with."""
        return self._socket.close_code

    def drop(self) -> None:
        """Cuts the TCP connection without a word."""
        self._socket.transport.abort()

    async def send_bytes(self, data: bytes) -> None:
        """Sends one binary frame as it is."""
        await self._socket.send(data)

    async def send(self, type: str, **fields: Any) -> None:
        """Sends one message."""
        await self.send_bytes(msgpack.packb({"type": type, **fields}))

    async def wait_for(self, match: Callable[[Frame], bool], deadline_s: float = DEADLINE_S) -> Frame:
        """The first frame, received before or later, that matches."""

        def found() -> Frame | None:
            return next((frame for frame in self.frames if match(frame)), None)

        await self.wait_until(lambda: found() is not None, deadline_s)
        frame = found()
        assert frame is not None
        return frame

    async def wait_until(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Waits until a condition on what was received holds."""
        async with asyncio.timeout(deadline_s), self._changed:
            while not condition():
                if self.closed.is_set():
                    raise ConnectionError(f"closed with {self.close_code}: {self.frames[-3:]}")
                await self._changed.wait()

    def corr_id(self) -> int:
        """A fresh correlation id."""
        self._next_corr_id += 1
        return self._next_corr_id

    async def call(self, type: str, **fields: Any) -> Frame:
        """Sends a request and returns the answer that echoes its corr_id."""
        corr_id = fields.pop("corr_id", None) or self.corr_id()
        await self.send(type, corr_id=corr_id, **fields)
        return await self.answer(corr_id)

    async def answer(self, corr_id: int) -> Frame:
        """The answer to a request that was sent."""
        return await self.wait_for(lambda f: f.get("corr_id") == corr_id and f["type"] != "download_blob")

    async def upload(self, wasm: bytes, manifest: str | None = None) -> Frame:
        """Uploads a program in chunks as W1/W2 (no manifest) or W3/W4 clients do."""
        fields: Frame = {} if manifest is None else {"manifest": manifest}
        return await self._chunks("upload_program", wasm, program_hash=blake3_hex(wasm), **fields)

    async def upload_blob(self, instance_id: str, blob: bytes) -> Frame:
        """Uploads a blob to an instance."""
        hash = blake3_hex(blob)
        return await self._chunks("upload_blob", blob, instance_id=instance_id, blob_hash=hash)

    async def _chunks(self, type: str, data: bytes, **fields: Any) -> Frame:
        corr_id = self.corr_id()
        pieces = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)] or [b""]
        for index, piece in enumerate(pieces):
            await self.send(type, corr_id=corr_id, chunk_index=index, total_chunks=len(pieces),
                            chunk_data=piece, **fields)  # fmt: skip
        return await self.answer(corr_id)

    async def upload_file(self, path: Path) -> str:
        """Uploads a program file; its hash."""
        wasm = path.read_bytes()
        answer = await self.upload(wasm)
        assert answer["successful"], answer
        return blake3_hex(wasm)

    async def launch(self, program: str, arguments: list[str] | None = None, detached: bool = False) -> str:
        """Launches by hash or name (W4 form); the instance id."""
        answer = await self.call(
            "launch_instance", inferlet=program, arguments=arguments or [], detached=detached
        )
        assert answer["type"] == "instance_launch_result" and answer["successful"], answer
        return str(answer["message"])

    async def final(self, instance_id: str, deadline_s: float = DEADLINE_S) -> Frame:
        """The final event of an instance."""
        return await self.wait_for(
            lambda f: f["type"] == "instance_event" and f["instance_id"] == instance_id and f["event"] != 0,
            deadline_s,
        )

    async def message(self, instance_id: str, text: str) -> Frame:
        """Waits for a Message event with exactly this text."""
        return await self.wait_for(
            lambda f: f["type"] == "instance_event"
            and f["instance_id"] == instance_id
            and f["event"] == 0
            and f["message"] == text
        )

    def output(self, instance_id: str, stream: str = "Stdout") -> str:
        """What an instance has printed so far."""
        return "".join(
            f["output"][stream]
            for f in self.frames
            if f["type"] == "streaming_output" and f["instance_id"] == instance_id and stream in f["output"]
        )

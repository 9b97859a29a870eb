"""A program that runs on the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO, NoReturn

from pie import _native
from pie._link import Link, Progress
from pie._numbers import seconds
from pie.errors import PieTimeoutError, error_from
from pie.events import Event

BlobData = bytes | bytearray | memoryview | os.PathLike[str] | Iterable[bytes]
"""What :meth:`Instance.upload_blob` takes."""


def readable(path: str | os.PathLike[str]) -> str:
    """The path with ``~`` expanded, of a file that can be read; raises OSError."""
    file = Path(path).expanduser()
    with file.open("rb"):
        return str(file)


def _collect(pieces: Iterable[bytes], file: BinaryIO) -> None:
    for piece in pieces:
        file.write(piece)
    file.flush()


class Instance:
    """A running program, as its client sees it. Launching or attaching gives one."""

    def __init__(self, native: _native.Instance, link: Link) -> None:
        """Use :meth:`PieClient.launch_instance` or :meth:`PieClient.attach_instance`."""
        self._native = native
        self._link = link

    @property
    def id(self) -> str:
        """The id to attach with, later or from elsewhere."""
        return self._native.id

    @property
    def instance_id(self) -> str:
        """The same as :attr:`id`."""
        return self._native.id

    async def send(self, message: str) -> None:
        """Sends the program a text message.

        A program that has ended reads no more: the message is dropped, and :meth:`recv` tells the
        end. Once it was told, sending raises PieError.
        """
        await self._link.call(self._link.native.send(self._native, message), type(None))

    async def upload_blob(self, data: BlobData, *, progress: Progress | None = None) -> str:
        """Sends the program bytes; returns their BLAKE3 hash.

        `data` is bytes or a view of them, read where they are; a path, whose file is read in
        pieces; or an iterable of bytes, collected in a temporary file first (on another thread).
        It must not change meanwhile.
        """
        with contextlib.ExitStack() as held:
            if isinstance(data, bytes | bytearray):
                source: _native.Buffer | str = data
            elif isinstance(data, memoryview):
                source = data if data.c_contiguous else bytes(data)
            elif isinstance(data, os.PathLike):
                source = readable(data)
            elif isinstance(data, str):
                raise TypeError("got a str, expected bytes, a pathlib.Path or an iterable of bytes")
            else:
                spool = held.enter_context(tempfile.TemporaryFile())
                await asyncio.to_thread(_collect, data, spool)
                source = f"/proc/self/fd/{spool.fileno()}"
            token = self._link.native.upload_blob(self._native, source)
            return await self._link.call(token, str, progress=progress)

    async def recv(self, timeout: float | None = None) -> tuple[Event, str | bytes]:
        """Waits for the next event: its kind, and its text (or bytes, of a blob).

        Raises PieError("instance has ended: ...") after the final event, ConnectionError when the
        connection is lost, PieTimeoutError after `timeout` seconds. No event is lost by a timeout
        or by cancelling.
        """
        self._link.check()
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + seconds("timeout", timeout)
        while True:
            got = self._native.try_recv()
            if isinstance(got, _native.ErrorInfo):
                raise error_from(got)
            if got is not None:
                return Event(got[0]), got[1]
            remaining = None if deadline is None else deadline - loop.time()
            if remaining is not None and remaining <= 0:
                raise PieTimeoutError(f"no event of instance {self.id} within {timeout} s")
            try:
                await asyncio.wait_for(self._link.wait(self._native), remaining)
            except asyncio.TimeoutError:
                continue  # an event may have come just now; the loop looks once more

    async def terminate(self) -> None:
        """Ends the program, whatever it does. Fine when it has ended by itself."""
        await self._link.call(self._link.native.terminate_instance(self._native), type(None))

    async def __aiter__(self) -> AsyncIterator[tuple[Event, str | bytes]]:
        """``async for event, data in instance``: every event, the final one included."""
        is_over = False
        while not is_over:
            event, data = await self.recv()
            is_over = event.is_final
            yield event, data

    def __reduce__(self) -> NoReturn:
        """Not to be pickled or copied."""
        raise TypeError("an Instance cannot be pickled or copied: pass its id and attach to it")

    def __repr__(self) -> str:
        """Names the id."""
        return f"<Instance {self.id}>"

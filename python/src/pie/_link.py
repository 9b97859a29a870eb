"""Between the C++ client, which has a thread of its own, and asyncio."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import Callable
from typing import TypeVar

from pie import _native
from pie.errors import PieError, error_from

Progress = Callable[[int, int], object]
"""Called with how many bytes of an upload are under way, and how many there are."""

T = TypeVar("T")

_open_links: weakref.WeakSet[Link] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """The C++ threads must be gone before the interpreter is."""
    for link in list(_open_links):
        link.native.close()


class Link:
    """One C++ client and the futures that wait for it, all of one event loop."""

    def __init__(
        self, uri: str, connect_timeout: float, silence_timeout: float, ca_file: str
    ) -> None:
        """Connects nothing yet. Must be made inside the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._progress: dict[int, Progress] = {}
        loop = self._loop
        # The C++ side holds `wake`; a weak reference keeps that from being a cycle.
        drain = weakref.WeakMethod(self.drain)

        def on_loop() -> None:
            method = drain()
            if method is not None:
                method()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(on_loop)

        self.native = _native.Client(uri, connect_timeout, silence_timeout, ca_file, wake)
        _open_links.add(self)

    def drain(self) -> None:
        """Hands what the C++ side has finished to whoever waits for it."""
        for token, value in self.native.take():
            if isinstance(value, _native.ProgressInfo):
                progress = self._progress.get(token)
                if progress is not None:
                    progress(value.sent_bytes, value.total_bytes)
                continue
            future = self._waiting.get(token)
            if future is not None and not future.done():
                future.set_result(value)

    async def call(
        self,
        token: int,
        kind: type[T],
        *,
        otherwise: type[PieError] = PieError,
        progress: Progress | None = None,
    ) -> T:
        """Waits for the call `token`, just started, and returns its value, which is a `kind`.

        A cancelled wait cancels the call.
        """
        if progress is not None:
            self._progress[token] = progress
        try:
            value = await self._result(token)
        except asyncio.CancelledError:
            self.native.cancel(token)
            raise
        finally:
            self._progress.pop(token, None)
        if isinstance(value, _native.ErrorInfo):
            raise error_from(value, otherwise)
        assert isinstance(value, kind)
        return value

    async def wait(self, instance: _native.Instance) -> None:
        """Waits until the instance's try_recv() has something to say."""
        token = instance.notify()
        try:
            await self._result(token)
        finally:
            instance.forget(token)

    async def close(self) -> None:
        """Closes the connection; whatever waits ends with a ConnectionError."""
        await self._loop.run_in_executor(None, self.native.close)
        self.drain()
        _open_links.discard(self)

    async def _result(self, token: int) -> object:
        future: asyncio.Future[object] = self._loop.create_future()
        self._waiting[token] = future
        try:
            return await future
        finally:
            del self._waiting[token]

"""Between the C++ client, which has a thread of its own, and asyncio."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
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


def _abandon_all() -> None:
    """In the child of a fork: the C++ threads stayed with the parent."""
    for link in list(_open_links):
        link.abandon()
    _open_links.clear()


os.register_at_fork(after_in_child=_abandon_all)


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

        self._native = _native.Client(uri, connect_timeout, silence_timeout, ca_file, wake)
        self._is_abandoned = False
        _open_links.add(self)

    @property
    def native(self) -> _native.Client:
        """The C++ client."""
        if self._is_abandoned:
            raise ConnectionError(
                "the client belongs to the process that forked this one: make another one here"
            )
        return self._native

    def check(self) -> None:
        """Raises ConnectionError in the child of a fork."""
        _ = self.native

    def abandon(self) -> None:
        """Leaves the connection to the parent process."""
        self._is_abandoned = True
        self._native.abandon()

    def drain(self) -> None:
        """Hands what the C++ side has finished to whoever waits for it.

        What a progress callback raises comes out of its upload, which is cancelled;
        KeyboardInterrupt and SystemExit come out of the loop, too. Everybody else's results are
        handed out either way.
        """
        stopping: BaseException | None = None
        for token, value in self.native.take():
            if isinstance(value, _native.ProgressInfo):
                stopping = self._tell_progress(token, value) or stopping
                continue
            future = self._waiting.get(token)
            if future is not None and not future.done():
                future.set_result(value)
        if stopping is not None:
            raise stopping

    def _tell_progress(self, token: int, info: _native.ProgressInfo) -> BaseException | None:
        progress = self._progress.get(token)
        if progress is None:
            return None
        try:
            progress(info.sent_bytes, info.total_bytes)
        except BaseException as error:
            del self._progress[token]
            self.native.cancel(token)
            future = self._waiting.get(token)
            is_stop = isinstance(error, KeyboardInterrupt | SystemExit)
            if future is not None and not future.done():
                if is_stop or isinstance(error, StopIteration):  # which futures do not take
                    future.set_exception(RuntimeError(f"the progress callback raised {error!r}"))
                else:
                    future.set_exception(error)
            return error if is_stop else None
        return None

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
        if self._is_abandoned:
            return
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

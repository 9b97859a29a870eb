"""The asyncio event loop of programs: it waits for pollables of the host and for timers.

All that the tasks of a program wait for is polled at once, by one call of the host. There are no
threads, signals, sockets or processes behind it.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.events
import threading
from typing import Any

from wit_world.imports import wasi_clocks_monotonic_clock_0_2_4 as clock
from wit_world.imports import wasi_io_poll_0_2_4 as host

from pie_runtime import output

_NANOSECONDS = 1_000_000_000
_TIMER_NS_MAX = 1 << 62


class _Selector:
    """What the loop waits for: pollables, each with the future that it completes."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[None], host.Pollable] = {}

    def select(self, timeout: float | None = None) -> list[asyncio.Future[None]]:
        """The futures whose pollables are ready, after at most so many seconds."""
        futures = list(self.waiting)
        if timeout is None and not futures:
            raise RuntimeError("[asyncio] got a program in which every task waits for another one")
        if timeout is not None and timeout <= 0 and not futures:
            return []
        pollables = [self.waiting[future] for future in futures]
        output.flush()
        if timeout is None:
            ready = host.poll(pollables)
        else:
            duration = min(max(0, int(timeout * _NANOSECONDS)), _TIMER_NS_MAX)
            with clock.subscribe_duration(duration) as timer:
                ready = host.poll([*pollables, timer])
        return [futures[index] for index in ready if index < len(futures)]

    def close(self) -> None:
        """Forgets all of them."""
        self.waiting.clear()


class EventLoop(asyncio.base_events.BaseEventLoop):
    """The one kind of loop that there is here."""

    runs = 0
    """How many loops a program has made."""

    def __init__(self) -> None:
        super().__init__()
        EventLoop.runs += 1
        self._selector = _Selector()

    def _process_events(self, ready: list[asyncio.Future[None]]) -> None:
        for future in ready:
            self._selector.waiting.pop(future, None)
            if not future.done():
                future.set_result(None)

    def _write_to_self(self) -> None:
        pass

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """As call_soon: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Runs the function at once: there are no threads."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    def close(self) -> None:
        """Forgets what was waited for."""
        if not self.is_closed():
            self._selector.close()
            super().close()

    async def until_ready(self, pollable: host.Pollable) -> None:
        """Waits until a pollable is ready; it stays the caller's."""
        future: asyncio.Future[None] = self.create_future()
        self._selector.waiting[future] = pollable
        try:
            await future
        finally:
            self._selector.waiting.pop(future, None)


def running_loop() -> EventLoop:
    """The loop of the calling task; an error outside of one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, EventLoop):
        raise RuntimeError(f"[asyncio] got a loop of {type(loop).__name__}, expected the runtime's own")
    return loop


async def ready(pollable: host.Pollable) -> None:
    """Waits until a pollable is ready, and drops it: also when the wait is cancelled."""
    with pollable:
        await running_loop().until_ready(pollable)


def block(pollable: host.Pollable) -> None:
    """Waits with the whole program, and drops the pollable."""
    output.flush()
    with pollable:
        pollable.block()


def install() -> None:
    """Makes this the loop of asyncio.run and of everything else that makes one."""
    asyncio.events.new_event_loop = EventLoop
    asyncio.new_event_loop = EventLoop
    asyncio.EventLoop = EventLoop  # type: ignore[assignment]

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("[threading] got a thread to start, expected asyncio tasks: programs have one thread")

    threading.Thread.start = refuse  # type: ignore[method-assign]

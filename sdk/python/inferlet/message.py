"""Messages and bytes to and from the client, and topics that the user's instances share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from inferlet import _host as host
from pie_runtime import output
from pie_runtime.event_loop import ready

_MESSAGE_BYTES_MAX = 16 << 20
_BROADCAST_BYTES_MAX = 1 << 20
_TOPIC_BYTES_MAX = 1 << 10
_Got = TypeVar("_Got", covariant=True)


def _sized(what: str, value: object, limit: int) -> str:
    text = host.text(what, value)
    size = len(text.encode())
    if size > limit:
        raise host.InferletError(f"[{what}] got {size} bytes, expected at most {limit}")
    return text


class _Later(Protocol[_Got]):
    def pollable(self) -> host.poll.Pollable: ...
    def get(self) -> _Got | None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


async def _taken(begin: Callable[[], _Later[_Got]]) -> _Got:
    """Waits for a result; dropped when cancelled, and then nothing was taken."""
    while True:
        with begin() as later:
            await ready(later.pollable())
            got = later.get()
        if got is not None:
            return got


def send(message: str) -> None:
    """Sends a message to the client."""
    text = _sized("send", message, _MESSAGE_BYTES_MAX)
    output.flush()
    host.message.send(text)


async def receive() -> str:
    """The client's next message. A receive that is cancelled swallows none."""
    return await _taken(host.message.receive)


def try_receive() -> str | None:
    """A message that is there already."""
    with host.message.receive() as later:
        return later.get()


def send_blob(data: bytes | bytearray | memoryview) -> None:
    """Sends bytes to the client, at most 16 MiB."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"[send_blob] got {type(data).__name__}, expected bytes")
    content = bytes(data)
    if len(content) > _MESSAGE_BYTES_MAX:
        raise host.InferletError(f"[send_blob] got {len(content)} bytes, expected at most {_MESSAGE_BYTES_MAX}")
    output.flush()
    host.message.send_blob(host.common.Blob(content))


def _content(blob: host.common.Blob) -> bytes:
    with blob:
        size = blob.size()
        piece = 8 << 20
        return b"".join(blob.read(at, min(piece, size - at)) for at in range(0, size, piece))


async def receive_blob() -> bytes:
    """The next bytes that the client uploads."""
    return _content(await _taken(host.message.receive_blob))


def broadcast(topic: str, message: str) -> None:
    """Sends a message of at most 1 MiB to all of the user's instances that have subscribed to the topic."""
    name = _sized("topic", topic, _TOPIC_BYTES_MAX)
    host.message.broadcast(name, _sized("broadcast", message, _BROADCAST_BYTES_MAX))


class Subscription:
    """The messages of a topic from now on: `async for message in Subscription("news")`.

    It holds 1,024 of them; when it is full the oldest go, and `[dropped N messages]` is in their place.
    """

    def __init__(self, topic: str) -> None:
        self._handle = host.message.subscribe(_sized("topic", topic, _TOPIC_BYTES_MAX))
        self._open = True

    async def next(self) -> str:
        """The next message."""
        while True:
            if (got := self.try_next()) is not None:
                return got
            await ready(self._handle.pollable())

    def try_next(self) -> str | None:
        """A message that is there already."""
        if not self._open:
            raise host.InferletError("[subscription] got a call after close()")
        return self._handle.get()

    async def __aiter__(self) -> AsyncIterator[str]:
        while self._open:
            yield await self.next()

    def close(self) -> None:
        """Subscribes to nothing any more. Fine to repeat."""
        if self._open:
            self._open = False
            self._handle.unsubscribe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

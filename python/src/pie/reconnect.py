"""A client that comes back after its connection was lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from pie import _native
from pie._numbers import seconds, whole
from pie.client import PieClient
from pie.errors import NotFoundError, error_from
from pie.events import Event
from pie.instance import Instance
from pie.keys import ParsedPrivateKey

T = TypeVar("T")


class ReconnectingClient:
    """Keeps a connection to a server, signs in again and attaches again when it is lost.

    async with ReconnectingClient(uri, "me", key) as client:
        instance = await client.launch_instance_from_registry("long-running-task", detached=True)
        async for event, data in instance:
            ...

    Instances are launched detached unless asked otherwise, so that nothing they say is lost while
    nobody is connected: what was not confirmed as delivered comes again after a reconnection, so an
    event may come twice, and none is skipped. Gives up with ConnectionError after `attempts` failed
    attempts in a row, which wait 0.1 s, 0.2 s, ... up to `delay_max` seconds; so does a call during
    which the connection is lost that often.
    """

    def __init__(
        self,
        server_uri: str,
        username: str,
        private_key: ParsedPrivateKey | None = None,
        *,
        attempts: int = 10,
        delay_max: float = 5.0,
        **options: Any,
    ) -> None:
        """`options` are those of :class:`PieClient`."""
        self._make: Callable[[], PieClient] = lambda: PieClient(server_uri, **options)
        self._username = username
        self._key = private_key
        self._rules = _native.ReconnectOptions(
            whole("attempts", attempts, 1, 1_000_000), seconds("delay_max", delay_max)
        )
        self._client: PieClient | None = None
        self._connecting = asyncio.Lock()
        self._is_closed = False

    async def __aenter__(self) -> ReconnectingClient:
        """Connects and signs in."""
        self._is_closed = False
        await self._connected(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes."""
        await self.close()

    async def close(self) -> None:
        """Closes the connection; what waits ends with ConnectionError. Fine to repeat."""
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def call(self, action: Callable[[PieClient], Awaitable[T]]) -> T:
        """Does something with the connected client; once more when the connection is lost.

        `action` may run several times, so it should be one that can be repeated. A call that is
        itself what ends the connection gives up after `attempts`.
        """
        losses = _native.CallLosses(self._rules, _native.CallKind.ACTS)
        client = await self._connected(None)
        while True:
            began = time.monotonic()
            try:
                return await action(client)
            except ConnectionError as error:
                await self._note(losses, error, began)
                client = await self._connected(client)

    async def launch_instance(
        self, program: str, args: Sequence[str] = (), detached: bool = True
    ) -> ReconnectingInstance:
        """Launches a program by its hash or name. Not repeated when the connection is lost."""
        client = await self._connected(None)
        launched = await client.launch_instance(program, args, detached)
        return await self._heard(client, launched, detached)

    async def launch_instance_from_registry(
        self, name: str, args: Sequence[str] = (), detached: bool = True
    ) -> ReconnectingInstance:
        """Launches a program of the registry. Not repeated when the connection is lost."""
        client = await self._connected(None)
        launched = await client.launch_instance_from_registry(name, args, detached)
        return await self._heard(client, launched, detached)

    async def attach_instance(self, instance_id: str) -> ReconnectingInstance:
        """Attaches to an instance."""
        client = await self._connected(None)
        return ReconnectingInstance(self, client, await client.attach_instance(instance_id))

    async def _heard(
        self, client: PieClient, launched: Instance, detached: bool
    ) -> ReconnectingInstance:
        """The instance with its events coming here: a detached one is attached to."""
        if detached:
            with contextlib.suppress(ConnectionError):  # recv() will find out and attach again
                launched = await client.attach_instance(launched.id)
        return ReconnectingInstance(self, client, launched)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConnectionError("the client is closed")

    async def _connected(self, lost: PieClient | None) -> PieClient:
        """A client that is connected and is not `lost`."""
        async with self._connecting:
            self._check_open()
            if self._client is not None and self._client is not lost:
                return self._client
            if lost is not None:
                await lost.close()
            attempts = _native.ConnectAttempts(self._rules)
            while True:
                client = self._make()
                try:
                    await client.connect()
                    await client.authenticate(self._username, self._key)
                    self._check_open()
                except ConnectionError as error:
                    await client.close()
                    delay = attempts.failed(str(error))
                    if isinstance(delay, _native.ErrorInfo):
                        raise
                except BaseException:
                    await client.close()
                    raise
                else:
                    self._client = client
                    return client
                await self._pause(delay)

    async def _note(self, losses: _native.CallLosses, error: ConnectionError, began: float) -> None:
        """One more loss, of a try that `began` then: waits, or raises when there were too many."""
        self._check_open()
        delay = losses.lost(str(error), time.monotonic() - began)
        if isinstance(delay, _native.ErrorInfo):
            raise error_from(delay) from error
        await self._pause(delay)

    async def _pause(self, delay: float) -> None:
        """Waits so many seconds; raises when the client is closed meanwhile."""
        self._check_open()
        await asyncio.sleep(delay)
        self._check_open()


class ReconnectingInstance:
    """An instance whose events go on over lost connections."""

    def __init__(self, owner: ReconnectingClient, client: PieClient, instance: Instance) -> None:
        """Use the calls of :class:`ReconnectingClient`."""
        self._owner = owner
        self._client = client
        self._instance = instance

    @property
    def id(self) -> str:
        """The instance's id."""
        return self._instance.id

    @property
    def instance_id(self) -> str:
        """The same as :attr:`id`."""
        return self.id

    async def send(self, message: str) -> None:
        """Sends a message. After a loss it is sent again, so it may arrive twice."""
        await self._keep_on(lambda: self._instance.send(message))

    async def upload_blob(self, data: bytes | bytearray | memoryview | os.PathLike[str]) -> str:
        """Sends the program bytes; returns their BLAKE3 hash. After a loss as :meth:`send`."""
        return await self._keep_on(lambda: self._instance.upload_blob(data))

    async def recv(self, timeout: float | None = None) -> tuple[Event, str | bytes]:
        """The next event; `timeout` as in :meth:`Instance.recv`, reconnections not counted."""
        if timeout is not None:
            seconds("timeout", timeout)
        return await self._keep_on(lambda: self._instance.recv(timeout), _native.CallKind.WAITS)

    async def terminate(self) -> None:
        """Ends the program."""
        await self._keep_on(lambda: self._instance.terminate())

    async def __aiter__(self) -> AsyncIterator[tuple[Event, str | bytes]]:
        """Every event, the final one included."""
        is_over = False
        while not is_over:
            event, data = await self.recv()
            is_over = event.is_final
            yield event, data

    async def _keep_on(
        self,
        action: Callable[[], Awaitable[T]],
        kind: _native.CallKind = _native.CallKind.ACTS,
    ) -> T:
        losses = _native.CallLosses(self._owner._rules, kind)
        while True:
            began = time.monotonic()
            try:
                return await action()
            except ConnectionError as error:
                await self._owner._note(losses, error, began)
                await self._attach_again(losses)

    async def _attach_again(self, losses: _native.CallLosses) -> None:
        while True:
            self._client = await self._owner._connected(self._client)
            began = time.monotonic()
            try:
                self._instance = await self._client.attach_instance(self.id)
            except ConnectionError as error:
                await self._owner._note(losses, error, began)
            except NotFoundError as gone:
                raise error_from(_native.instance_gone(self.id)) from gone
            else:
                return

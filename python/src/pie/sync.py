"""The client without ``await``: for scripts, notebooks and the interactive prompt.

with PieClient("ws://127.0.0.1:8080") as client:
    client.authenticate("me")
    instance = client.launch_instance_from_registry("text-completion", ["--prompt", "Hello"])
    for event, data in instance:
        print(event.name, data)

The same names, arguments and errors as in :mod:`pie`. Each client has an event loop on a thread of
its own, so it also works where a loop runs already, and from several threads at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import pie
from pie._link import Progress
from pie.client import InstanceInfo, StrPath
from pie.events import Event
from pie.instance import BlobData
from pie.keys import ParsedPrivateKey

__all__ = ["Instance", "PieClient"]

T = TypeVar("T")


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """The thread of a loop: until it is stopped; then what still waits is cancelled."""
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


class _LoopThread:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._posting = threading.RLock()  # again by a __del__ that runs while it is held
        self._is_stopped = False
        self._thread = threading.Thread(
            target=_run_loop, args=(self._loop,), name="pie.sync", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it on the loop and waits; an interrupt (Ctrl-C) cancels it."""
        if not self.is_alive or threading.current_thread() is self._thread:
            coroutine.close()
            raise ConnectionError("the client is closed")
        with self._posting:
            # What is posted before stop() is ended by it; nothing is posted after it.
            is_stopped = self._is_stopped
            if not is_stopped:
                future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        if is_stopped:
            coroutine.close()
            raise ConnectionError("the client is closed")
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ConnectionError("the client is closed") from None
        except BaseException:
            future.cancel()
            raise

    @property
    def is_alive(self) -> bool:
        """False after stop(), and in the child of a fork."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends the thread, and waits for that unless it is the caller's. Fine to repeat."""
        if not self._thread.is_alive():
            return
        with self._posting:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()


class Instance:
    """A running program, as its client sees it; see :class:`pie.Instance`."""

    def __init__(self, instance: pie.Instance, loop: _LoopThread) -> None:
        """Use :meth:`PieClient.launch_instance` or :meth:`PieClient.attach_instance`."""
        self._instance = instance
        self._loop = loop

    @property
    def id(self) -> str:
        """The id to attach with, later or from elsewhere."""
        return self._instance.id

    @property
    def instance_id(self) -> str:
        """The same as :attr:`id`."""
        return self._instance.id

    def send(self, message: str) -> None:
        """Sends the program a text message."""
        self._loop.run(self._instance.send(message))

    def upload_blob(self, data: BlobData, *, progress: Progress | None = None) -> str:
        """Sends the program bytes, of memory, a file or an iterable; returns their BLAKE3 hash."""
        return self._loop.run(self._instance.upload_blob(data, progress=progress))

    def recv(self, timeout: float | None = None) -> tuple[Event, str | bytes]:
        """Waits for the next event: its kind, and its text (or bytes, of a blob)."""
        return self._loop.run(self._instance.recv(timeout))

    def terminate(self) -> None:
        """Ends the program, whatever it does."""
        self._loop.run(self._instance.terminate())

    def __iter__(self) -> Iterator[tuple[Event, str | bytes]]:
        """``for event, data in instance``: every event, the final one included."""
        is_over = False
        while not is_over:
            event, data = self.recv()
            is_over = event.is_final
            yield event, data

    def __reduce__(self) -> NoReturn:
        """Not to be pickled or copied."""
        raise TypeError("an Instance cannot be pickled or copied: pass its id and attach to it")

    def __repr__(self) -> str:
        """Names the id."""
        return f"<Instance {self.id}>"


class PieClient:
    """A connection to a Pie server; see :class:`pie.PieClient` for each call."""

    def __init__(
        self,
        server_uri: str,
        *,
        connect_timeout: float = 10.0,
        silence_timeout: float = 30.0,
        ca_file: StrPath | None = None,
    ) -> None:
        """Connects nothing yet."""
        self._client = pie.PieClient(
            server_uri,
            connect_timeout=connect_timeout,
            silence_timeout=silence_timeout,
            ca_file=ca_file,
        )
        self._open_loop: _LoopThread | None = None

    def __enter__(self) -> PieClient:
        """Connects."""
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes."""
        self.close()

    def connect(self) -> None:
        """Connects; raises ConnectionError when there is no server, or it does not answer."""
        if self._open_loop is None:
            self._open_loop = _LoopThread()
        try:
            self._open_loop.run(self._client.connect())
        except ConnectionError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection and ends the client's thread. Fine to repeat."""
        loop, self._open_loop = self._open_loop, None
        if loop is not None and loop.is_alive:
            try:
                loop.run(self._client.close())
            finally:
                loop.stop()

    def __reduce__(self) -> NoReturn:
        """Not to be pickled or copied."""
        raise TypeError("a PieClient cannot be pickled or copied: make another one")

    def __del__(self) -> None:
        """A client that was forgotten leaves no thread behind."""
        loop = getattr(self, "_open_loop", None)
        if loop is not None:
            loop.stop()

    def authenticate(self, username: str, private_key: ParsedPrivateKey | None = None) -> None:
        """Says who the user is, and proves it if the server asks."""
        self._loop.run(self._client.authenticate(username, private_key))

    def internal_authenticate(self, token: str) -> None:
        """Authenticates a local tool by the server's own token."""
        self._loop.run(self._client.internal_authenticate(token))

    def upload_program(
        self,
        wasm_path: StrPath | bytes | bytearray | memoryview,
        manifest_path: StrPath | None = None,
        *,
        progress: Progress | None = None,
    ) -> str:
        """Uploads a program by its bytes or its files, and returns its hash."""
        return self._loop.run(
            self._client.upload_program(wasm_path, manifest_path, progress=progress)
        )

    def program_exists(
        self,
        inferlet: str,
        wasm_path: StrPath | None = None,
        manifest_path: StrPath | None = None,
    ) -> bool:
        """Whether the server has a program: by hash or name, made of these files if given."""
        return self._loop.run(self._client.program_exists(inferlet, wasm_path, manifest_path))

    def launch_instance(
        self,
        program: str,
        args: Sequence[str] = (),
        detached: bool = False,
        *,
        arguments: Sequence[str] | None = None,
    ) -> Instance:
        """Launches a program by its hash or its name."""
        return self._opened(
            self._client.launch_instance(program, args, detached, arguments=arguments)
        )

    def launch_instance_from_registry(
        self,
        name: str,
        args: Sequence[str] = (),
        detached: bool = False,
        *,
        arguments: Sequence[str] | None = None,
    ) -> Instance:
        """Launches a program of the server's registry."""
        return self._opened(
            self._client.launch_instance_from_registry(name, args, detached, arguments=arguments)
        )

    def launch_server_instance(
        self,
        port: int,
        program: str,
        args: Sequence[str] = (),
        *,
        arguments: Sequence[str] | None = None,
    ) -> None:
        """Serves an HTTP program on the server machine's 127.0.0.1:`port`."""
        self._loop.run(
            self._client.launch_server_instance(port, program, args, arguments=arguments)
        )

    def run(self, program: StrPath | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs a program, or a function, to its end; gives what it returned."""
        return self._loop.run(self._client.run(program, *args, **kwargs))

    def attach_instance(self, instance_id: str) -> Instance:
        """Attaches to a detached instance."""
        return self._opened(self._client.attach_instance(instance_id))

    def list_instances(self) -> list[InstanceInfo]:
        """The user's instances, newest first."""
        return self._loop.run(self._client.list_instances())

    def terminate_instance(self, instance_id: str) -> None:
        """Ends an instance; raises NotFoundError when there is none."""
        self._loop.run(self._client.terminate_instance(instance_id))

    def ping(self) -> None:
        """Asks the server for a sign of life."""
        self._loop.run(self._client.ping())

    def query(self, subject: str, record: str = "") -> str:
        """Asks the server something; returns the text."""
        return self._loop.run(self._client.query(subject, record))

    def _opened(self, opening: Coroutine[Any, Any, pie.Instance]) -> Instance:
        loop = self._loop
        return Instance(loop.run(opening), loop)

    @property
    def _loop(self) -> _LoopThread:
        if self._open_loop is None:
            raise ConnectionError("the client is not connected: use `with` or connect()")
        return self._open_loop

"""The connection to a Pie server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from pie import _native, archive, functions
from pie._link import Link, Progress
from pie._numbers import seconds, whole
from pie.errors import PieError, ProgramError
from pie.events import Event
from pie.instance import Instance, readable
from pie.keys import ParsedPrivateKey

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class InstanceInfo:
    """One line of :meth:`PieClient.list_instances`."""

    id: str
    cmd_name: str
    arguments: list[str]
    status: str
    """``"Attached"``, ``"Detached"`` or ``"Finished"``."""
    username: str
    elapsed_secs: int
    kv_pages_used: int


def _arguments(args: Sequence[str], arguments: Sequence[str] | None) -> list[str]:
    """A program's arguments by either name; one string alone would be taken for its characters."""
    given = args if arguments is None else arguments
    if isinstance(given, str | bytes):
        kind = type(given).__name__
        raise TypeError(f"[args] got one {kind}, expected a list of strings: [{given!r}]")
    return list(given)


async def _until_end(instance: Instance) -> str:
    """Prints what a program prints; what it returned."""
    try:
        async for event, data in instance:
            text = data if isinstance(data, str) else ""
            if event == Event.Stdout:
                sys.stdout.write(text)
                sys.stdout.flush()
            elif event == Event.Stderr:
                sys.stderr.write(text)
            elif event == Event.Completed:
                return text
            elif event.is_final:
                raise ProgramError(f"{event.name}: {text}")
    except BaseException:
        with contextlib.suppress(PieError, ConnectionError):
            await instance.terminate()
        raise
    raise ProgramError("the program's end was not told")


class PieClient:
    """A connection to a Pie server, for one asyncio event loop.

    Use it as an async context manager. A connection that is refused or lost is a ConnectionError,
    and ends every call and every `recv()` that waits; what the server refuses is a PieError.
    Cancelling a call leaves the client usable.
    """

    def __init__(
        self,
        server_uri: str,
        *,
        connect_timeout: float = 10.0,
        silence_timeout: float = 30.0,
        ca_file: StrPath | None = None,
    ) -> None:
        """Connects nothing yet.

        `server_uri` is a WebSocket address, ``ws://HOST:PORT`` or ``wss://HOST:PORT``; of the
        latter `ca_file` names PEM certificates to trust besides the system's (default: what the
        environment's PIE_CA_FILE names). A server that does not even answer
        a WebSocket ping for `silence_timeout` seconds is taken for gone.
        """
        self._uri = server_uri
        self._connect_timeout = seconds("connect_timeout", connect_timeout)
        self._silence_timeout = seconds("silence_timeout", silence_timeout)
        self._ca_file = "" if ca_file is None else str(Path(ca_file).expanduser())
        self._open_link: Link | None = None

    async def __aenter__(self) -> PieClient:
        """Connects."""
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes."""
        await self.close()

    async def connect(self) -> None:
        """Connects; raises ConnectionError when there is no server, or it does not answer."""
        if self._open_link is not None:
            raise PieError("the client is connected already")
        link = Link(self._uri, self._connect_timeout, self._silence_timeout, self._ca_file)
        self._open_link = link
        try:
            await link.call(link.native.connect(), type(None), otherwise=PieError)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Closes the connection; calls that wait end with a ConnectionError. Fine to repeat."""
        link, self._open_link = self._open_link, None
        if link is not None:
            await link.close()

    async def authenticate(
        self, username: str, private_key: ParsedPrivateKey | None = None
    ) -> None:
        """Says who the user is, and proves it if the server asks.

        A server whose authentication is off takes any name and needs no key.
        """
        key = None if private_key is None else private_key._native
        await self._link.call(self._link.native.authenticate(username, key), type(None))

    async def internal_authenticate(self, token: str) -> None:
        """Authenticates a local tool by the server's own token."""
        await self._link.call(self._link.native.internal_authenticate(token), type(None))

    async def upload_program(
        self,
        wasm_path: StrPath | bytes | bytearray | memoryview,
        manifest_path: StrPath | None = None,
        *,
        progress: Progress | None = None,
    ) -> str:
        """Uploads a program and returns its hash.

        ``upload_program(bytes)`` gives its bytes, ``upload_program(wasm_path, manifest_path)`` the
        files; with a manifest the program also has a name to launch it by. A program is a
        WebAssembly component, or Python: a ``.py`` file, a folder, or a ZIP of Python files.
        """
        if isinstance(wasm_path, bytes | bytearray | memoryview):
            program: _native.Buffer | str = bytes(wasm_path)
        elif archive.is_python(path := Path(wasm_path).expanduser()):
            program = archive.archive_of(path)
        else:
            program = readable(wasm_path)
        manifest = None
        if manifest_path is not None:
            manifest = Path(manifest_path).expanduser().read_text(encoding="utf-8")
        token = self._link.native.upload_program(program, manifest)
        return await self._link.call(token, str, otherwise=ProgramError, progress=progress)

    async def program_exists(
        self,
        inferlet: str,
        wasm_path: StrPath | None = None,
        manifest_path: StrPath | None = None,
    ) -> bool:
        """Whether the server has a program: by hash, or by name (``ns/name@version``).

        With the two files, whether what it has under that name is made of exactly them.
        """
        if (wasm_path is None) != (manifest_path is None):
            raise ValueError("got one of wasm_path and manifest_path, expected both or neither")
        record = inferlet
        if wasm_path is not None and manifest_path is not None:
            hashes = [
                _native.blake3_hex(Path(path).expanduser().read_bytes())
                for path in (wasm_path, manifest_path)
            ]
            record = f"{inferlet}#{hashes[0]}+{hashes[1]}"
        return await self._link.call(self._link.native.program_exists(record), bool)

    async def launch_instance(
        self,
        program: str,
        args: Sequence[str] = (),
        detached: bool = False,
        *,
        arguments: Sequence[str] | None = None,
    ) -> Instance:
        """Launches a program by its hash or its name.

        A detached instance goes on when its client leaves, and keeps what it says for whoever
        attaches. `arguments` is another name for `args`. When the call is cancelled, the instance
        that was about to start is terminated.
        """
        given = _arguments(args, arguments)
        token = self._link.native.launch(program, given, detached)
        return await self._opened(token)

    async def launch_instance_from_registry(
        self,
        name: str,
        args: Sequence[str] = (),
        detached: bool = False,
        *,
        arguments: Sequence[str] | None = None,
    ) -> Instance:
        """Launches a program of the server's registry, such as ``"text-completion"``."""
        given = _arguments(args, arguments)
        token = self._link.native.launch_from_registry(name, given, detached)
        return await self._opened(token)

    async def launch_server_instance(
        self,
        port: int,
        program: str,
        args: Sequence[str] = (),
        *,
        arguments: Sequence[str] | None = None,
    ) -> None:
        """Serves an HTTP program, by hash or name, on the server machine's 127.0.0.1:`port`.

        Returns when the port is bound; raises ProgramError with the reason when it cannot be. The
        instance is listed, and ends by :meth:`terminate_instance`.
        """
        number = whole("port", port, 0, 65535)
        given = _arguments(args, arguments)
        token = self._link.native.launch_server(number, program, given)
        await self._link.call(token, type(None), otherwise=ProgramError)

    async def run(self, program: StrPath | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs a program to its end, and gives what it returned.

        `program` is the path of one (a ``.py`` file, a folder, a ZIP, a component), or a function
        of the caller's, whose source is sent: it imports what it needs itself. It is uploaded
        where the server lacks it.

        A program of files has `args` as its arguments and `kwargs` as ``--name value``, and the
        text that it returned is the answer (JSON, where it returned something else). A function
        has them as they are, and its value is the answer, as far as JSON carries both.

        What it prints is printed here, to `sys.stdout` and `sys.stderr`; messages to the client are
        not for `run`. An end that is not Completed is a ProgramError with the reason. When the call
        is cancelled, the program is terminated.
        """
        if callable(program):
            content = functions.program_of(program)
            arguments = [functions.call_of(args, kwargs)]
        else:
            path = Path(program).expanduser()
            content = archive.archive_of(path) if archive.is_python(path) else path.read_bytes()
            options = [part for name, value in kwargs.items() for part in (f"--{name}", str(value))]
            arguments = [*map(str, args), *options]
        hash = _native.blake3_hex(content)
        if not await self.program_exists(hash):
            await self.upload_program(content)
        data = await _until_end(await self.launch_instance(hash, arguments))
        return json.loads(data) if callable(program) else data

    async def attach_instance(self, instance_id: str) -> Instance:
        """Attaches to a detached instance: first comes what it said meanwhile, then the rest."""
        return await self._opened(self._link.native.attach(instance_id))

    async def list_instances(self) -> list[InstanceInfo]:
        """The user's instances, newest first."""
        listed = await self._link.call(self._link.native.list_instances(), list)
        return [
            InstanceInfo(
                id=info.id,
                cmd_name=info.cmd_name,
                arguments=list(info.arguments),
                status=info.status,
                username=info.username,
                elapsed_secs=info.elapsed_secs,
                kv_pages_used=info.kv_pages_used,
            )
            for info in listed
        ]

    async def terminate_instance(self, instance_id: str) -> None:
        """Ends an instance; raises NotFoundError when there is none."""
        await self._link.call(self._link.native.terminate(instance_id), type(None))

    async def ping(self) -> None:
        """Asks the server for a sign of life."""
        await self._link.call(self._link.native.ping(), type(None))

    async def query(self, subject: str, record: str = "") -> str:
        """Asks the server something; returns the text. PieError when it is refused."""
        return await self._link.call(self._link.native.query(subject, record), str)

    def __reduce__(self) -> NoReturn:
        """Not to be pickled or copied."""
        raise TypeError("a PieClient cannot be pickled or copied: make another one")

    async def _opened(self, token: int) -> Instance:
        link = self._link
        native = await link.call(token, _native.Instance, otherwise=ProgramError)
        return Instance(native, link)

    @property
    def _link(self) -> Link:
        if self._open_link is None:
            raise ConnectionError("the client is not connected: use `async with` or connect()")
        return self._open_link

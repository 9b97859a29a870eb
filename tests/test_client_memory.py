"""protocol.md section 10: what the client keeps in memory, and what becomes of it by fork and copy."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pie
import pie.sync
import pytest
from pie import Event, PieClient

from tests.conftest import Server
from tests.wire import blake3_hex

BLOB_BYTES = 300 << 20
GROWTH_BYTES_MAX = 64 << 20

UPLOAD = """
import asyncio, pathlib, sys
from pie import PieClient

def memory():
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024

def pieces(path):
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            yield piece

async def main(url, kind, path):
    if kind == "file":
        data = pathlib.Path(path)
    elif kind == "iterable":
        data = pieces(path)
    else:
        data = memoryview(bytearray(pathlib.Path(path).read_bytes()))
    async with PieClient(url) as client:
        await client.authenticate("memory")
        instance = await client.launch_instance("long-running-task", ["--seconds", "600"])
        before, peak = memory(), 0
        def progress(sent, total):
            nonlocal peak
            peak = max(peak, memory())
        hash = await instance.upload_blob(data, progress=progress)
        await instance.terminate()
        print(hash, peak - before)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of BLOB_BYTES that does not repeat within a chunk."""
    path = tmp_path_factory.mktemp("large") / "blob"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(BLOB_BYTES >> 20):
            file.write(number.to_bytes(8, "little") + block[8:])
    yield path
    path.unlink()


@pytest.mark.parametrize("kind", ["file", "iterable", "memoryview"])
def test_a_large_blob_goes_in_bounded_memory(kind: str, server: Server, large_file: Path) -> None:
    """On both sides: the server spools it to its disk."""
    server.forget_peak()
    before = server.rss_bytes()
    done = subprocess.run([sys.executable, "-c", UPLOAD, server.url, kind, str(large_file)], text=True,
                          check=False, capture_output=True, timeout=160)  # fmt: skip
    assert done.returncode == 0, done.stderr
    hash, growth = done.stdout.split()
    assert hash == blake3_hex(large_file.read_bytes())
    assert int(growth) < GROWTH_BYTES_MAX, f"grew by {int(growth) >> 20} MiB"
    grown = server.peak_rss_bytes() - before
    assert grown < 2 * GROWTH_BYTES_MAX, f"the server grew by {grown >> 20} MiB"


NO_RECV = """
import asyncio, pathlib, sys
from pie import Event, PieClient

def memory():
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024

async def main(url, program):
    async with PieClient(url) as client:
        await client.authenticate("slow")
        hash = await client.upload_program(pathlib.Path(program).read_bytes())
        before = memory()
        instance = await client.launch_instance(hash)
        while any(one.id == instance.id and one.status == "Attached"
                  for one in await client.list_instances()):
            await asyncio.sleep(0.05)
        await client.ping()
        growth, total = memory() - before, 0
        async for event, data in instance:
            total += len(data)
        print(growth, total, event.name)

asyncio.run(main(*sys.argv[1:]))
"""


def test_events_that_nobody_receives_do_not_grow_the_client(programs: Path, tmp_path: Path) -> None:
    """A program prints until its output limit; the client takes it all, mostly on its disk."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"[limits]\noutput_bytes_max = {96 << 20}\n")
    server = Server(home).start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", NO_RECV, server.url, str(programs / "print_forever.wasm")],
            text=True, check=False, capture_output=True, timeout=160,
        )  # fmt: skip
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    growth, total, end = done.stdout.split()
    assert int(total) > GROWTH_BYTES_MAX and end == "OutOfResources", done.stdout
    assert int(growth) < GROWTH_BYTES_MAX, f"grew by {int(growth) >> 20} MiB"


def test_what_may_be_uploaded_says_so(server: Server, tmp_path: Path) -> None:
    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("kinds")
            instance = await client.launch_instance("echo")
            view = memoryview(b"a.b.c.")[::2]
            for data, sent in ((view, b"abc"), (iter([b"x", b"yz"]), b"xyz"), (iter([]), b""),
                               (bytearray(b"array"), b"array")):  # fmt: skip
                assert await instance.upload_blob(data) == blake3_hex(sent)
                assert await instance.recv(timeout=60) == (Event.Blob, sent)
            with pytest.raises(FileNotFoundError):
                await instance.upload_blob(tmp_path / "missing")
            with pytest.raises(TypeError, match="expected bytes"):
                await instance.upload_blob("text")
            with pytest.raises(TypeError):
                await instance.upload_blob([1, 2])  # type: ignore[list-item]

            def failing() -> Iterator[bytes]:
                yield b"x"
                raise KeyError("the caller's own")

            with pytest.raises(KeyError):
                await instance.upload_blob(failing())
            await client.ping()
            await instance.terminate()

    asyncio.run(main())


def test_clients_instances_and_keys_are_not_copied(server: Server) -> None:
    with pie.sync.PieClient(server.url) as client:
        client.authenticate("copier")
        instance = client.launch_instance("echo")
        for one in (client, client._client, instance, instance._instance):
            for action in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    action(one)
        instance.terminate()


def in_a_fork(action: Callable[[], None]) -> None:
    """Runs it in a child, which must end by itself and leave with 0."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException as failure:
            os.write(2, f"{failure!r}\n".encode())
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + 60
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    assert status == 0


def test_a_fork_leaves_the_connection_to_the_parent(server: Server) -> None:
    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("forker")
            instance = await client.launch_instance("echo")

            def child() -> None:
                for call in (client.ping(), instance.recv(), instance.send("x"), client.query("x")):
                    with pytest.raises(ConnectionError, match="belongs to the process that forked"):
                        call.send(None)
                with pie.sync.PieClient(server.url, connect_timeout=60) as another:
                    another.authenticate("forker")
                    another.ping()

            in_a_fork(child)
            await instance.send("still here")
            assert await instance.recv(timeout=60) == (Event.Message, "still here")
            await instance.terminate()

    asyncio.run(main())


def test_the_clients_thread_stays_known_to_the_interpreter(server: Server) -> None:
    """Else a fork may hang: see KnownThread in python/native/completions.cc."""
    of_thread = threading.local()
    wakes: list[tuple[int, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_soon = loop.call_soon_threadsafe

        def counting(*arguments: Any, **options: Any) -> asyncio.Handle:
            of_thread.count = getattr(of_thread, "count", 0) + 1
            wakes.append((threading.get_ident(), of_thread.count))
            return call_soon(*arguments, **options)

        loop.call_soon_threadsafe = counting  # type: ignore[method-assign]
        async with PieClient(server.url) as client:
            await client.authenticate("known")
            for _ in range(5):
                await client.ping()

    asyncio.run(main())
    of_the_client = [count for thread, count in wakes if thread != threading.get_ident()]
    assert max(of_the_client) >= 7, wakes


def test_a_fork_of_a_synchronous_client(server: Server) -> None:
    with pie.sync.PieClient(server.url) as client:
        client.authenticate("forker")

        def child() -> None:
            with pytest.raises(ConnectionError):
                client.ping()
            client.close()

        in_a_fork(child)
        client.ping()


def test_a_client_used_by_one_run_after_another_and_forgotten_leaves_no_thread(server: Server) -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    async def use() -> None:
        client = PieClient(server.url)
        await client.connect()
        await client.authenticate("forgetful")
        instance = await client.launch_instance("hello")
        assert [event async for event, _ in instance][-1] == Event.Completed

    asyncio.run(use())
    before = threads()
    for _ in range(3):
        asyncio.run(use())
    import gc

    gc.collect()
    assert threads() <= before and threading.active_count() >= 1

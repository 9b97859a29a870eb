"""protocol.md section 10: the synchronous face, and the client that comes back."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pie
import pie.sync
import pytest
from pie import Event, PieError, ReconnectingClient

from tests.conftest import Server


def test_the_synchronous_client_does_what_the_other_does(
    server: Server, programs: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "echo.toml"
    manifest.write_text('[package]\nname = "sync/echo"\nversion = "1.0.0"\n')
    with pie.sync.PieClient(server.url) as client:
        client.authenticate("sync")
        client.ping()
        hash = client.upload_program(programs / "echo.wasm", manifest)
        assert client.upload_program((programs / "echo.wasm").read_bytes()) == hash
        assert client.program_exists(hash) and client.program_exists("sync/echo@1.0.0")
        assert "model" in client.query("model_status")
        instance = client.launch_instance("sync/echo", ["x"])
        instance.send("hello")
        assert instance.recv(timeout=60) == (Event.Message, "hello")
        assert [info.id for info in client.list_instances()] == [instance.id]
        with pytest.raises(pie.PieTimeoutError):
            instance.recv(timeout=0.05)
        instance.terminate()
        assert [event for event, _ in instance] == [Event.Aborted]
        with pytest.raises(PieError, match="instance has ended"):
            instance.recv()
        detached = client.launch_instance_from_registry("hello", detached=True)
        events = [event for event, _ in client.attach_instance(detached.id)]
        assert events[-1] == Event.Completed
        with pytest.raises(pie.NotFoundError):
            client.terminate_instance(detached.id)
    with pytest.raises(ConnectionError):
        client.ping()


def test_it_works_inside_a_running_loop_and_from_threads(server: Server) -> None:
    failures: list[BaseException] = []

    async def in_a_notebook() -> None:
        with pie.sync.PieClient(server.url) as client:
            client.authenticate("notebook")

            def use() -> None:
                try:
                    events = list(client.launch_instance_from_registry("hello"))
                    assert events[-1][0] == Event.Completed
                except BaseException as failure:
                    failures.append(failure)

            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    asyncio.run(in_a_notebook())
    assert not failures


def test_a_client_that_is_forgotten_or_fails_leaves_no_thread(server: Server) -> None:
    before = threading.active_count()
    client = pie.sync.PieClient(server.url)
    client.connect()
    del client
    gc.collect()
    with pytest.raises(ConnectionError):
        pie.sync.PieClient("ws://127.0.0.1:1").connect()
    assert threading.active_count() == before


def test_a_reconnecting_client_goes_on_after_a_restart_of_the_server(own_server: Server) -> None:
    """kill -9 between events: what was said before comes, then the end that the crash was."""

    async def main() -> None:
        async with ReconnectingClient(own_server.url, "back", attempts=60) as client:
            instance = await client.launch_instance_from_registry(
                "long-running-task", ["--seconds", "600", "--every", "0.05"]
            )
            first = await instance.recv(timeout=60)
            assert first[0] in (Event.Stdout, Event.Message)
            own_server.kill()
            await asyncio.to_thread(own_server.start)
            events = [pair async for pair in instance]
            assert events[-1] == (Event.ServerError, "server restarted")
            assert await client.call(lambda one: one.list_instances()) == []

    asyncio.run(main())


def test_a_reconnecting_client_takes_its_instance_back(own_server: Server) -> None:
    """The connection is lost while the instance goes on: no event is skipped."""

    async def main() -> None:
        async with ReconnectingClient(own_server.url, "back") as client:
            instance = await client.launch_instance_from_registry("echo")
            seen: list[str | bytes] = []
            for number in range(30):
                await instance.send(str(number))
                if number % 10 == 9:
                    assert client._client is not None
                    client._client._link.native.close()  # as a network that fails
                while str(number) not in seen:
                    seen.append((await instance.recv(timeout=60))[1])
            await instance.send("quit")
            rest = [pair async for pair in instance]
            assert rest[-1][0] == Event.Completed
            assert sorted(set(map(int, seen))) == list(range(30))

    asyncio.run(main())


def test_a_reconnecting_client_that_is_closed_stays_closed(server: Server) -> None:
    async def main() -> None:
        client = ReconnectingClient(server.url, "back")
        async with client:
            instance = await client.launch_instance_from_registry("echo")
            waiting = asyncio.create_task(instance.recv())
            await asyncio.sleep(0)
        with pytest.raises(ConnectionError, match="closed"):
            await waiting
        with pytest.raises(ConnectionError, match="closed"):
            await client.call(lambda one: one.ping())
        async with client:  # and may be opened again
            await (await client.attach_instance(instance.id)).terminate()

    asyncio.run(main())


def test_it_gives_up_after_its_attempts() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with ReconnectingClient("ws://127.0.0.1:1", "x", attempts=2):
                pass

    asyncio.run(main())


def test_calls_that_race_with_close_end(server: Server) -> None:
    """What is posted while the loop is being stopped is not forgotten: every call ends."""
    for _ in range(30):
        client = pie.sync.PieClient(server.url)
        client.connect()
        client.authenticate("racing")
        started = threading.Barrier(4)

        def use(client: pie.sync.PieClient = client, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                while True:
                    client.ping()
            except ConnectionError:
                pass

        threads = [threading.Thread(target=use, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        client.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


def test_a_client_that_is_forgotten_on_its_own_loops_thread_ends_it(server: Server) -> None:
    """As when the garbage collector runs there."""
    client = pie.sync.PieClient(server.url)
    client.connect()
    loop = client._open_loop
    assert loop is not None
    last = [client]
    del client
    loop._loop.call_soon_threadsafe(last.clear)
    loop._thread.join(60)
    assert not loop._thread.is_alive()

"""protocol.md section 10: the Python package against the real server."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pie
import pytest
from pie import Event, PieClient, PieError

from tests.conftest import Server
from tests.wire import blake3_hex


async def connected(server: Server, username: str = "python") -> PieClient:
    """An authenticated client."""
    client = await PieClient(server.url).__aenter__()
    await client.authenticate(username)
    return client


def test_upload_both_forms_program_exists_both_forms_and_launch(
    server: Server, programs: Path, tmp_path: Path
) -> None:
    wasm = programs / "echo.wasm"
    manifest = tmp_path / "echo.toml"
    manifest.write_text('[package]\nname = "me/echo-form"\nversion = "0.3.0"\n')
    hash = blake3_hex(wasm.read_bytes())

    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("forms")
            assert await client.upload_program(wasm.read_bytes()) == hash
            assert await client.upload_program(str(wasm), str(manifest)) == hash
            assert await client.program_exists(hash) is True
            assert await client.program_exists("0" * 64) is False
            assert await client.program_exists("me/echo-form@0.3.0", str(wasm), str(manifest)) is True
            assert await client.program_exists("me/echo-form@0.3.0", wasm, programs / "hello.toml") is False
            for program in (hash, "me/echo-form"):
                instance = await client.launch_instance(program, arguments=["x"])
                await instance.send("hi")
                assert await instance.recv(timeout=60) == (Event.Message, "hi")
                await instance.terminate()
                assert (await instance.recv(timeout=60))[0] == Event.Aborted

    asyncio.run(main())


def test_events_arrive_whole_and_recv_after_the_end_raises(server: Server) -> None:
    async def main() -> None:
        client = await connected(server)
        instance = await client.launch_instance_from_registry("hello")
        events = [pair async for pair in instance]
        assert events[-1][0] == Event.Completed
        assert any(event == Event.Stdout for event, _ in events)
        with pytest.raises(PieError, match="instance has ended"):
            await instance.recv()
        await client.__aexit__(None, None, None)

    asyncio.run(main())


def test_blob_events_reach_the_user(server: Server) -> None:
    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("blobs")
            instance = await client.launch_instance("echo")
            for blob in (b"", b"\x00\xff" * 400_000):
                await instance.upload_blob(blob)
                assert await instance.recv(timeout=60) == (Event.Blob, blob)
            await instance.terminate()

    asyncio.run(main())


def test_a_server_that_is_killed_ends_every_pending_call_with_connection_error(
    own_server: Server,
) -> None:
    async def main() -> None:
        client = await connected(own_server)
        instance = await client.launch_instance("echo")
        pending = [asyncio.create_task(instance.recv()) for _ in range(3)]
        await asyncio.sleep(0)
        own_server.kill()
        for task in pending:
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(task, 30)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(client.ping(), 30)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(instance.recv(), 30)

    asyncio.run(main())


def test_cancelling_an_await_and_a_timeout_leave_the_client_usable(server: Server) -> None:
    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("canceller")
            instance = await client.launch_instance("echo")
            task = asyncio.create_task(instance.recv())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(PieError):
                await instance.recv(timeout=0.01)
            await instance.send("after")
            assert await instance.recv(timeout=60) == (Event.Message, "after")
            await instance.terminate()

    asyncio.run(main())


def test_detached_launch_list_reattach(server: Server) -> None:
    async def main() -> None:
        client = await connected(server, "detacher")
        instance = await client.launch_instance_from_registry("long-running-task", detached=True)
        id = instance.id
        assert id == instance.instance_id
        await client.__aexit__(None, None, None)
        async with PieClient(server.url) as again:
            await again.authenticate("detacher")
            rows = await again.list_instances()
            assert [row.id for row in rows] == [id] and rows[0].status in ("Detached", "Finished")
            assert isinstance(rows[0], pie.InstanceInfo) and rows[0].username == "detacher"
            attached = await again.attach_instance(id)
            await attached.recv(timeout=60)
            await again.terminate_instance(id)

    asyncio.run(main())


def test_query_returns_text_and_raises_when_refused(server: Server) -> None:
    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("asker")
            assert "smollm2-135m-instruct" in await client.query("model_status", "")
            with pytest.raises(PieError, match="model_status"):
                await client.query("nonsense", "")
            with pytest.raises(PieError, match="not found"):
                await client.launch_instance("no-such-program")

    asyncio.run(main())


def test_event_loops_in_several_threads(server: Server) -> None:
    errors: list[BaseException] = []

    def worker(n: int) -> None:
        async def main() -> None:
            async with PieClient(server.url) as client:
                await client.authenticate(f"thread{n}")
                for _ in range(20):
                    await client.ping()

        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors


def test_the_exported_names() -> None:
    assert [event.value for event in Event] == list(range(9))
    assert pie.__version__
    assert issubclass(pie.PieError, Exception)
    for name in ("PieClient", "Instance", "InstanceInfo", "Event", "ParsedPrivateKey", "PieError"):
        assert name in pie.__all__

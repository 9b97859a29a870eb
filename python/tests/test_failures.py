"""Nothing is lost and "nothing ever hangs" (section 10), whatever the server does."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable

import pytest
from conftest import DEADLINE_S, Peer, serving

import pie.sync
from pie import (
    AuthenticationError,
    Event,
    NotFoundError,
    PieClient,
    PieError,
    PieTimeoutError,
    ProgramError,
    ProtocolError,
    ReconnectingClient,
)

Run = Callable[..., None]


def test_a_refused_connection_is_a_connection_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        async with PieClient(f"ws://127.0.0.1:{port}"):
            pass

    with pytest.raises(ConnectionError, match=str(port)) as raised:
        asyncio.run(main())
    assert not isinstance(raised.value, PieError)


def test_an_address_that_is_none_says_so() -> None:
    async def main(uri: str) -> None:
        async with PieClient(uri):
            pass

    for uri in ("http://127.0.0.1:1", "ws://", "ws://host:99999", "127.0.0.1:8080"):
        with pytest.raises(PieError, match="server address"):
            asyncio.run(main(uri))


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_connect_timeout() -> None:
    async def main(port: int) -> None:
        async with PieClient(f"ws://127.0.0.1:{port}", connect_timeout=0.3):
            pass

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConnectionError):
            asyncio.run(asyncio.wait_for(main(silent.getsockname()[1]), DEADLINE_S))


def test_when_the_server_vanishes_every_call_and_every_recv_ends(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.launch()
        for _ in range(4):
            await peer.take()
        peer.vanish()

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        waiting = [
            asyncio.create_task(client.ping()),
            asyncio.create_task(client.query("model_status", "")),
            asyncio.create_task(client.launch_instance("b")),
            asyncio.create_task(instance.send("hi")),
            asyncio.create_task(instance.recv()),
            asyncio.create_task(instance.recv(timeout=1000)),
        ]
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, ConnectionError), ended
        with pytest.raises(ConnectionError):
            await client.ping()
        with pytest.raises(ConnectionError):
            await instance.recv()

    run(server, client_side)


def test_a_server_that_goes_silent_is_noticed() -> None:
    """Half open: the connection stands, but no byte comes any more, not even a pong."""

    async def pass_on_until(
        stop: asyncio.Event, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(65536):
            if stop.is_set():
                await asyncio.Event().wait()
            sink.write(data)

    async def main() -> None:
        stop = asyncio.Event()

        async def server(peer: Peer) -> None:
            await peer.launch()

        async with serving(server) as url:
            port = int(url.rsplit(":", 1)[1])

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                back, forth = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(
                    pass_on_until(stop, reader, forth), pass_on_until(stop, back, writer)
                )

            middle = await asyncio.start_server(relay, "127.0.0.1", 0)
            uri = f"ws://127.0.0.1:{middle.sockets[0].getsockname()[1]}"
            async with PieClient(uri, silence_timeout=1.0) as client:
                instance = await client.launch_instance("a")
                stop.set()
                with pytest.raises(ConnectionError, match="silent"):
                    await instance.recv()
            middle.close()

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


def test_closing_the_client_ends_what_waits(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.take()

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        ping = asyncio.create_task(client.ping())
        recv = asyncio.create_task(instance.recv())
        await asyncio.sleep(0)
        await client.close()
        for ended in await asyncio.gather(ping, recv, return_exceptions=True):
            assert isinstance(ended, ConnectionError), ended
        await client.close()

    run(server, client_side)


def test_events_before_the_launch_answer_are_kept(run: Run) -> None:
    async def server(peer: Peer) -> None:
        message = await peer.take("launch_instance")
        await peer.stdout("early")
        await peer.event(1, "done")
        await peer.give(
            "instance_launch_result", corr_id=message["corr_id"], successful=True, message="i-1"
        )

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        assert await instance.recv() == (Event.Stdout, "early")
        assert await instance.recv() == (Event.Completed, "done")

    run(server, client_side)


def test_after_the_final_event_recv_says_that_the_instance_has_ended(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.event(3, "Runtime error: no")

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        assert await instance.recv() == (Event.Exception, "Runtime error: no")
        for _ in range(2):
            with pytest.raises(PieError, match="instance has ended: Exception"):
                await instance.recv()
        with pytest.raises(PieError, match="instance has ended"):
            await instance.send("too late")

    run(server, client_side)


def test_a_message_to_a_program_that_just_ended_is_no_error(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.event(1)
        signal = await peer.take("signal_instance")
        await peer.respond(signal, "Instance not found", successful=False)

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        await instance.send("hello")
        assert (await instance.recv())[0] == Event.Completed

    run(server, client_side)


def test_a_timeout_or_a_cancelled_recv_loses_no_event(run: Run) -> None:
    proceed = asyncio.Event()

    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.take("ping")
        for n in range(50):
            await peer.stdout(str(n))
        await peer.event(1)

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        with pytest.raises(PieTimeoutError):
            await instance.recv(timeout=0.01)
        with pytest.raises(TimeoutError):
            await instance.recv(timeout=0)
        cancelled = [asyncio.create_task(instance.recv()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        ping = asyncio.create_task(client.ping())
        seen = []
        while len(seen) < 50:
            task = asyncio.create_task(instance.recv())
            await asyncio.sleep(0)
            if len(seen) % 2 and not task.done():
                task.cancel()
            try:
                event, data = await task
                assert event == Event.Stdout
                seen.append(data)
            except asyncio.CancelledError:
                seen.append((await instance.recv())[1])
        assert seen == [str(n) for n in range(50)]
        ping.cancel()

    proceed.set()
    run(server, client_side)


def test_cancelling_a_call_leaves_the_client_usable(run: Run) -> None:
    async def server(peer: Peer) -> None:
        slow = await peer.take("query")
        ping = await peer.take("ping")
        await peer.respond(slow, "late")
        await peer.respond(ping, "Pong")

    async def client_side(client: PieClient) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.query("slow", ""), 0.05)
        await client.ping()

    run(server, client_side)


def test_a_cancelled_launch_does_not_leave_its_instance_running(run: Run) -> None:
    async def server(peer: Peer) -> None:
        launch = await peer.take("launch_instance")
        ping = await peer.take("ping")
        await peer.give(
            "instance_launch_result", corr_id=launch["corr_id"], successful=True, message="i-9"
        )
        ended = await peer.take("terminate_instance")
        assert ended["instance_id"] == "i-9"
        await peer.respond(ping, "Pong")

    async def client_side(client: PieClient) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.launch_instance("a"), 0.05)
        await client.ping()

    run(server, client_side)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Program not found", NotFoundError),
        ("Failed to parse manifest: x", ProgramError),
        ("User 'u' is not authorized", AuthenticationError),
    ],
)
def test_refusals_become_exceptions_by_what_they_say(
    run: Run, text: str, kind: type[PieError]
) -> None:
    async def server(peer: Peer) -> None:
        message = await peer.take("launch_instance")
        await peer.give(
            "instance_launch_result", corr_id=message["corr_id"], successful=False, message=text
        )

    async def client_side(client: PieClient) -> None:
        with pytest.raises(PieError, match=text) as raised:
            await client.launch_instance("a")
        assert type(raised.value) is kind

    run(server, client_side)


def test_a_server_that_breaks_the_protocol_ends_the_connection(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.take("ping")
        await peer.socket.send(b"\xc1")

    async def client_side(client: PieClient) -> None:
        with pytest.raises(ProtocolError, match="broke the protocol"):
            await client.ping()

    run(server, client_side)


def test_a_blob_with_a_wrong_hash_is_an_error_and_the_next_event_still_comes(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.give(
            "download_blob",
            corr_id=0,
            instance_id="i-1",
            blob_hash="feed",
            chunk_index=0,
            total_chunks=1,
            chunk_data=b"x",
        )
        await peer.event(1)

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        with pytest.raises(ProtocolError, match="Hash mismatch"):
            await instance.recv()
        assert (await instance.recv())[0] == Event.Completed

    run(server, client_side)


def test_many_calls_at_once_get_their_own_answers(run: Run) -> None:
    async def server(peer: Peer) -> None:
        queries = [await peer.take("query") for _ in range(200)]
        for query in reversed(queries):
            await peer.respond(query, query["record"])

    async def client_side(client: PieClient) -> None:
        answers = await asyncio.gather(*(client.query("echo", str(n)) for n in range(200)))
        assert answers == [str(n) for n in range(200)]

    run(server, client_side)


def test_a_program_that_never_closes_its_client_still_exits() -> None:
    """The interpreter must not hang or crash over the C++ thread of an open client."""
    import subprocess
    import sys

    code = (
        "import asyncio, sys\n"
        "from pie import PieClient\n"
        "client = None\n"
        "async def main():\n"
        "    global client\n"
        "    client = PieClient(sys.argv[1])\n"
        "    await client.connect()\n"
        "    asyncio.ensure_future(client.ping())\n"
        "    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
    )

    async def main() -> None:
        async def server(peer: Peer) -> None:
            pass

        async with serving(server) as url:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, url, stderr=subprocess.PIPE
            )
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()

    started = time.monotonic()
    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))
    assert time.monotonic() - started < DEADLINE_S


def test_a_progress_callback_that_raises_ends_its_upload_and_nobody_elses_call(run: Run) -> None:
    async def server(peer: Peer) -> None:
        while (message := await peer.take())["type"] != "query":
            if message["type"] == "ping":
                await peer.respond(message, "Pong")
            elif message["chunk_index"] + 1 == message["total_chunks"]:
                await peer.respond(message, message["program_hash"])
        await peer.respond(message, "goodbye")

    async def client(one: PieClient) -> None:
        def fails(sent: int, total: int) -> None:
            raise KeyError(f"{sent} of {total}")

        bad = asyncio.create_task(one.upload_program(b"x" * 600_000, progress=fails))
        good = [asyncio.create_task(one.upload_program(b"y" * 600_000)) for _ in range(5)]
        pings = [asyncio.create_task(one.ping()) for _ in range(20)]
        await asyncio.wait_for(asyncio.gather(*good, *pings), DEADLINE_S)
        with pytest.raises(KeyError, match="of 600000"):
            await asyncio.wait_for(bad, DEADLINE_S)
        assert await asyncio.wait_for(one.query("x"), DEADLINE_S) == "goodbye"

    run(server, client)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1, -0.5, 1e300])
def test_a_number_that_is_none_is_refused_at_once(number: float, run: Run) -> None:
    for name in ("connect_timeout", "silence_timeout"):
        with pytest.raises(ValueError, match=name):
            PieClient("ws://127.0.0.1:1", **{name: number})
        with pytest.raises(ValueError, match=name):
            pie.sync.PieClient("ws://127.0.0.1:1", **{name: number})
        with pytest.raises(TypeError, match=name):
            PieClient("ws://127.0.0.1:1", **{name: "1"})  # type: ignore[arg-type]
    for name in ("attempts", "delay_max"):
        with pytest.raises(ValueError, match=name):
            ReconnectingClient("ws://127.0.0.1:1", "me", **{name: number})

    async def server(peer: Peer) -> None:
        await peer.launch()

    async def client(one: PieClient) -> None:
        instance = await one.launch_instance("p")
        with pytest.raises(ValueError, match="timeout"):
            await instance.recv(timeout=number)
        with pytest.raises(ValueError, match="port"):
            await one.launch_server_instance(number, "p")  # type: ignore[arg-type]
        with pytest.raises(PieTimeoutError):  # timers still fire
            await asyncio.wait_for(instance.recv(timeout=0.01), DEADLINE_S)

    run(server, client)


def test_a_call_that_ends_its_connection_itself_is_given_up() -> None:
    connections = 0

    async def server(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.respond(await peer.take("identification"), "Authenticated")
        while (await peer.take())["type"] == "ping":
            pass
        peer.vanish()

    async def main() -> None:
        async with (
            serving(server) as uri,
            ReconnectingClient(uri, "me", attempts=3, delay_max=0.01) as client,
        ):
            with pytest.raises(ConnectionError, match="lost 4 times during this call"):
                await client.call(lambda one: one.query("x"))

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))
    assert connections == 4

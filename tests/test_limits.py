"""protocol.md section 1: every limit on what clients can send can be set, and says so when it is met."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.conftest import Server
from tests.reliability.attackers import Raw, message
from tests.test_programs import with_limits
from tests.wire import Peer, blake3_hex

LIMITS = """
frame_bytes_max = 600000
program_bytes_max = 300000
blob_bytes_max = 300001
mailbox_bytes_max = 400000
instances_per_user_max = 2
requests_pending_max = 1
uploads_pending_max = 2
outbox_bytes_max = 524288
identify_s = 2
ping_interval_s = 1
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits, which none of these tests brings down."""
    one = with_limits(tmp_path_factory.mktemp("limits") / "home", LIMITS)
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


@contextlib.asynccontextmanager
async def stranger(server: Server, address: str = "127.0.0.1") -> AsyncIterator[ClientConnection]:
    """A connection that answers pings and says nothing else."""
    async with websockets.connect(server.url, ping_interval=None, local_addr=(address, 0)) as socket:
        yield socket


def test_a_frame_that_is_too_large_closes_with_1009(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            assert (await peer.call("query", subject="x" * 500_000, record=""))["successful"] is False
            with pytest.raises(ConnectionError):
                await peer.call("query", subject="x" * 700_000, record="")
            assert peer.close_code == 1009

    asyncio.run(main())


def test_a_program_and_a_blob_that_are_too_large_are_refused(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            answer = await peer.upload(b"x" * 300_001)
            assert not answer["successful"] and "300000" in answer["result"]
            instance = await peer.launch("long-running-task", ["--seconds", "600"])
            answer = await peer.upload_blob(instance, b"x" * 300_002)
            assert not answer["successful"] and "300001" in answer["result"]
            assert (await peer.upload_blob(instance, b"x" * 300_001))["successful"]
            answer = await peer.upload_blob(instance, b"x" * 300_001)  # nobody receives them
            assert not answer["successful"] and "400000" in answer["result"]
            await peer.call("terminate_instance", instance_id=instance)

    asyncio.run(main())


def test_more_instances_than_allowed_are_refused(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url, "many") as peer:
            for _ in range(2):
                await peer.launch("echo")
            answer = await peer.call("launch_instance", inferlet="echo", arguments=[], detached=False)
            assert not answer["successful"] and "expected fewer than 2" in answer["message"]

    asyncio.run(main())


def test_more_pending_requests_than_allowed_are_refused_and_pings_are_not(
    limited: Server, programs: Path
) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            wasm = (programs / "hello.wasm").read_bytes() + b"\0\x02\x01x"  # never compiled before
            corr_id = peer.corr_id()
            await peer.send("upload_program", corr_id=corr_id, program_hash=blake3_hex(wasm), chunk_index=0,
                            total_chunks=1, chunk_data=wasm)  # fmt: skip
            answer = await peer.call("list_instances")
            assert answer["type"] == "response" and not answer["successful"]
            assert "got more than 1 unanswered" in answer["result"]
            assert (await peer.call("ping"))["result"] == "Pong"
            assert (await peer.answer(corr_id))["successful"]
            assert (await peer.call("list_instances"))["type"] == "live_instances"

    asyncio.run(main())


def test_more_unfinished_uploads_than_allowed_close(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            for n in range(3):
                await peer.send("upload_program", corr_id=n + 1, program_hash=f"{n:064x}", chunk_index=0,
                                total_chunks=2, chunk_data=b"x")  # fmt: skip
            await asyncio.wait_for(peer.closed.wait(), 60)
            assert peer.close_code == 1008

    asyncio.run(main())


def test_a_client_that_does_not_read_its_answers_is_dropped(limited: Server) -> None:
    async def main() -> None:
        raw = await Raw.open(limited.url)
        raw.writer.transport.pause_reading()
        raw.writer.write(message("identification", corr_id=1, username="deaf"))
        question = message("query", corr_id=2, subject="x" * 60, record="") * 1_000
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                while not raw.writer.transport.is_closing():
                    raw.writer.write(question)
                    await raw.writer.drain()
        raw.drop()
        async with Peer(limited.url) as peer:
            assert (await peer.call("ping"))["successful"]

    asyncio.run(main())


def test_who_never_identifies_is_closed_with_a_reason(limited: Server) -> None:
    async def main() -> None:
        async with stranger(limited) as socket, Peer(limited.url) as peer:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 60)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
            assert "within 2 s" in closed.value.rcvd.reason
            await asyncio.sleep(0.5)
            assert (await peer.call("ping"))["successful"]  # who did goes on

    asyncio.run(main())


def test_a_peer_that_answers_no_pings_is_gone(limited: Server) -> None:
    async def main() -> None:
        raw = await Raw.open(limited.url)
        raw.writer.write(message("identification", corr_id=1, username="silent"))
        async with Peer(limited.url) as peer:  # says nothing, and answers pings
            got = await raw.ended(60)
            assert got.count(b"alive") >= 2  # pings came
            assert (await peer.call("ping"))["successful"]

    asyncio.run(main())


def test_strangers_of_one_address_do_not_keep_others_out(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", "strangers_per_address_max = 3\n")

    async def main() -> None:
        async with contextlib.AsyncExitStack() as strangers:
            for _ in range(3):
                await strangers.enter_async_context(stranger(server))
            with pytest.raises((OSError, websockets.InvalidHandshake, websockets.InvalidMessage, EOFError)):
                await strangers.enter_async_context(stranger(server))
            async with stranger(server, "127.0.0.2"):  # another address is not concerned
                pass
        async with contextlib.AsyncExitStack() as known:
            for n in range(10):  # nor are those who have said who they are
                async with asyncio.timeout(60):
                    while True:  # until the server has noticed that the strangers left
                        with contextlib.suppress(OSError, websockets.InvalidHandshake, EOFError):
                            await known.enter_async_context(Peer(server.url, f"user{n}"))
                            break

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


def test_more_connections_than_allowed_wait_for_their_turn(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", "connections_max = 2\n")

    async def main() -> None:
        async with Peer(server.url) as first, Peer(server.url):
            waiting = asyncio.create_task(Peer(server.url).__aenter__())
            for _ in range(5):
                assert (await first.call("ping"))["successful"]
                await asyncio.sleep(0.05)
            assert not waiting.done()
        late = await asyncio.wait_for(waiting, 60)
        assert (await late.call("ping"))["successful"]
        await late.__aexit__(None, None, None)

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


def test_who_has_not_signed_in_sends_small_frames_alone(server: Server) -> None:
    async def main() -> None:
        async with stranger(server) as socket:
            await socket.send(b"x" * 20_000)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 60)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        async with Peer(server.url) as peer:
            assert not (await peer.call("query", subject="x" * 1_000_000, record=""))["successful"]

    asyncio.run(main())


def test_one_user_has_a_share_of_the_connections(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", "user_connections_max = 3\n")
    token = (tmp_path / "home" / "run" / "internal_token").read_text()

    async def main() -> None:
        async with contextlib.AsyncExitStack() as own:
            last = None
            for _ in range(3):
                last = await own.enter_async_context(Peer(server.url, "ann"))
            async with Peer(server.url, None) as fourth:
                answer = await fourth.call("identification", username="ann")
                assert not answer["successful"]
                assert "expected at most 3 at once" in answer["result"]
                assert "user_connections_max" in answer["result"]
                async with Peer(server.url, "bob") as other:  # others are not concerned
                    assert (await other.call("ping"))["successful"]
                for _ in range(4):
                    internal = await own.enter_async_context(Peer(server.url, None))
                    assert (await internal.call("internal_authenticate", token=token))["successful"]
                assert last is not None
                last.drop()
                async with asyncio.timeout(60):  # until the server has noticed
                    while not (await fourth.call("identification", username="ann"))["successful"]:
                        await asyncio.sleep(0.02)

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


HALVES = """
frame_bytes_max = 600000
user_receive_bytes_max = 300000
ping_interval_s = 3
"""


class Half:
    """A client that sends one large question in two parts."""

    question = message("query", corr_id=2, subject="x" * 500_000, record="")
    cut = 400_000

    @classmethod
    async def begin(cls, server: Server, user: str) -> Half:
        """The first part."""
        one = cls()
        one.raw = await Raw.open(server.url)
        one.raw.writer.write(message("identification", corr_id=1, username=user))
        await one.until(b"\xa7corr_id\x01")
        one.raw.writer.write(cls.question[: cls.cut])
        return one

    async def end(self) -> None:
        """The second part, and the answer."""
        self.raw.writer.write(self.question[self.cut :])
        await self.until(b"\xa7corr_id\x02")

    async def until(self, part: bytes) -> None:
        """Waits until the server has said this."""
        got = b""
        async with asyncio.timeout(60):
            while part not in got:
                piece = await self.raw.reader.read(65_536)
                assert piece, got
                got += piece

    raw: Raw


def test_messages_of_a_user_that_are_still_coming_are_bounded_and_all_become_whole(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", HALVES)

    async def main() -> None:
        halves = [await Half.begin(server, "ann") for _ in range(8)]
        async with Peer(server.url, "bob") as other:  # others are not concerned
            assert not (await other.call("query", subject="x" * 500_000, record=""))["successful"]
        await asyncio.gather(*(half.end() for half in halves))
        # One that stalls is taken for gone; who waits for it is not.
        stalled = await Half.begin(server, "ann")
        waiting = await Half.begin(server, "ann")
        await asyncio.gather(stalled.raw.ended(60), waiting.end())
        for half in (*halves, waiting):
            half.raw.drop()

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0

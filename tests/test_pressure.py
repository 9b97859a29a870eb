"""A busy day and an unlucky user: descriptors, disk and answers run short for one, and only for one."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgpack

from tests.conftest import Server
from tests.reliability.attackers import Raw, message
from tests.test_programs import with_limits
from tests.wire import CHUNK_BYTES, Peer, blake3_hex

COMPLETED, SERVER_ERROR, OUT_OF_RESOURCES = 1, 4, 5


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for something that the server reaches by itself."""
    async with asyncio.timeout(120):
        while not await condition():
            await asyncio.sleep(0.05)


async def rows(peer: Peer) -> list[dict[str, object]]:
    """The instances that the peer sees."""
    listed = (await peer.call("list_instances"))["instances"]
    assert isinstance(listed, list)
    return listed


async def statuses(peer: Peer) -> list[object]:
    """The states of the instances that the peer sees, newest first."""
    return [row["status"] for row in await rows(peer)]


def test_undelivered_logs_keep_no_descriptors(tmp_path: Path) -> None:
    """With Debian's 1,024: 1,100 results wait, another user goes on, and all are there after a restart."""
    server = Server(tmp_path / "home")
    server.prefix = ["prlimit", "--nofile=1024:1024"]
    server.start()
    count = 1_100

    async def launch_all() -> str:
        async with Peer(server.url) as peer, Peer(server.url, username="other") as other:
            echo = await other.launch("echo")
            ids = [await peer.launch("hello", detached=True) for _ in range(count)]

            async def all_finished() -> bool:
                return (await statuses(peer)).count("Finished") == count

            await until(all_finished)
            assert server.open_files() < 200
            await other.send("signal_instance", instance_id=echo, message="still here")
            await other.message(echo, "still here")
            return ids[0]

    async def look(id: str) -> None:
        async with Peer(server.url) as peer:
            assert await statuses(peer) == ["Finished"] * count
            assert server.open_files() < 200
            await peer.call("attach_instance", instance_id=id)
            assert (await peer.final(id))["event"] == COMPLETED
            assert peer.output(id)

    try:
        first = asyncio.run(launch_all())
        server.kill()
        server.start()
        asyncio.run(look(first))
        assert server.stop() == 0
    finally:
        if server.process and server.process.poll() is None:
            server.kill()


def test_out_of_descriptors_a_launch_says_so_and_others_go_on(own_server: Server) -> None:
    async def main() -> None:
        async with Peer(own_server.url) as peer, Peer(own_server.url, username="other") as other:
            echo = await other.launch("echo")
            await other.send("signal_instance", instance_id=echo, message="before")
            await other.message(echo, "before")
            _, most = resource.prlimit(own_server.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(own_server.pid, resource.RLIMIT_NOFILE, (own_server.open_files(), most))
            for program in ("hello", "hello@0.1.0", "a" * 64):
                answer = await peer.call("launch_instance", inferlet=program, arguments=[], detached=True)
                assert not answer["successful"]
                assert "too many open files" in answer["message"].lower(), answer
            # What it says meanwhile waits for a descriptor.
            await other.send("signal_instance", instance_id=echo, message="without descriptors")
            assert (await other.call("ping"))["successful"]
            resource.prlimit(own_server.pid, resource.RLIMIT_NOFILE, (most, most))
            await other.message(echo, "without descriptors")
            assert (await peer.final(await peer.launch("hello")))["event"] == COMPLETED

    asyncio.run(main())


def test_a_home_is_closed_to_other_accounts(tmp_path: Path) -> None:
    """Also one that an earlier server has left open."""
    home = tmp_path / "home"
    (home / "programs").mkdir(parents=True)
    (home / "programs" / "left.wasm").write_bytes(b"x")
    for path, mode in ((home, 0o755), (home / "programs", 0o755), (home / "programs" / "left.wasm", 0o644)):
        path.chmod(mode)
    server = Server(home)
    server.prefix = ["sh", "-c", 'umask 022; exec "$@"', "sh"]
    server.start()

    async def main() -> None:
        async with Peer(server.url) as peer:
            await peer.launch("hello", ["secret"], detached=True)

    try:
        asyncio.run(main())
        for path in (home, *home.rglob("*")):
            mode = stat.S_IMODE(path.lstat().st_mode)
            assert path.is_symlink() or mode & 0o077 == 0, f"{path}: {mode:o}"
        assert "closed to them now" in server.log.read_text()
        assert server.stop() == 0
        server.start()
        assert server.log.read_text().count("closed to them now") == 1
    finally:
        assert server.stop() == 0


def test_a_home_that_holds_other_things_leaves_them_as_they_are(tmp_path: Path) -> None:
    """PIE_HOME may be somebody's home folder, or /tmp."""
    home = tmp_path / "home"
    (home / "instances").mkdir(parents=True)
    (home / "letters").mkdir()
    (home / "letters" / "one.txt").write_text("dear all")
    others = {home: 0o755, home / "letters": 0o755, home / "letters" / "one.txt": 0o644}
    for path, mode in (others | {home / "instances": 0o755}).items():
        path.chmod(mode)
    server = Server(home).start()
    try:
        for path, mode in others.items():
            assert stat.S_IMODE(path.stat().st_mode) == mode, path
        for path in (home / "instances", home / "pie.db", home / "run"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    finally:
        assert server.stop() == 0


def test_a_list_fits_an_answer_whatever_the_arguments(own_server: Server) -> None:
    """`list_instances` has "no cap" (section 7)."""

    async def main() -> None:
        async with Peer(own_server.url) as peer:
            ids = [await peer.launch("hello", ["x" * 14_000_000, "last"], detached=True) for _ in range(5)]
            listed = await rows(peer)
            assert [row["id"] for row in listed] == ids[::-1]
            assert all("bytes more" in row["arguments"][0] for row in listed)  # type: ignore[index]
            assert len(msgpack.packb(listed)) < 1_000_000
            await peer.call("terminate_instance", instance_id=ids[0])
            assert (await peer.call("ping"))["successful"]

    asyncio.run(main())


def test_a_close_frame_delivers_nothing(own_server: Server) -> None:
    """An event counts as delivered when the pong of a ping sent after it came back (section 7)."""

    async def main() -> None:
        raw = await Raw.open(own_server.url)
        raw.writer.write(message("identification", corr_id=1, username="tester"))
        launch = {"inferlet": "hello", "arguments": [], "detached": False}
        raw.writer.write(message("launch_instance", corr_id=2, **launch))
        async with Peer(own_server.url) as peer:
            # It reads nothing, answers no ping, and leaves with a word when the end has been sent.
            await raw.reader.readuntil(b"instance_launch_result")
            async with asyncio.timeout(60):
                got = b""
                while b"instance_event" not in got:
                    got += await raw.reader.read(65_536)
            raw.writer.write(Raw.frame(b"\x03\xe8", opcode=8))
            raw.writer.write_eof()
            await raw.ended()

            async def is_kept() -> bool:
                return await statuses(peer) == ["Finished"]

            await until(is_kept)
            id = str((await rows(peer))[0]["id"])
            assert (await peer.call("attach_instance", instance_id=id))["successful"]
            assert (await peer.final(id))["event"] == COMPLETED
            assert peer.output(id)

    asyncio.run(main())


async def begin_uploads(peer: Peer, count: int) -> list[int]:
    """Uploads that lack their last chunks."""
    corr_ids = []
    for _ in range(count):
        corr_ids.append(peer.corr_id())
        for index in range(20):
            await peer.send("upload_program", corr_id=corr_ids[-1], program_hash="0" * 64, chunk_index=index,
                            total_chunks=21, chunk_data=b"x" * CHUNK_BYTES)  # fmt: skip
    assert (await peer.call("ping"))["successful"]
    return corr_ids


def test_unfinished_uploads_are_the_users(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", "user_spool_bytes_max = 12000000\n")
    blob = os.urandom(9_000_000)

    async def main() -> None:
        async with Peer(server.url) as peer, Peer(server.url, username="other") as other:
            corr_ids = await begin_uploads(peer, 3)
            await peer.send("upload_program", corr_id=corr_ids[2], program_hash="0" * 64, chunk_index=20,
                            total_chunks=21, chunk_data=b"x")  # fmt: skip
            answer = await peer.answer(corr_ids[2])
            assert not answer["successful"]
            assert "12000000" in answer["result"] and "of the user" in answer["result"], answer
            echo = await other.launch("echo")
            assert (await other.upload_blob(echo, blob))["successful"]
        folder = server.home / "run" / "spool"
        async with Peer(server.url) as peer:  # what the connection had begun went with it

            async def is_empty() -> bool:
                return len(list(folder.iterdir())) <= 1

            await until(is_empty)
            echo = await peer.launch("echo")
            assert (await peer.upload_blob(echo, blob))["successful"]

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


def test_the_last_of_the_disk_is_for_what_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    disk = os.statvfs(tmp_path)
    kept = disk.f_bavail * disk.f_frsize - (2 << 30)
    server = with_limits(home, f"disk_reserve_bytes = {kept}\n")
    filler = tmp_path / "filler"

    async def main() -> None:
        async with Peer(server.url) as peer:
            echo = await peer.launch("echo")
            subprocess.run(["fallocate", "-l", "4G", str(filler)], check=True)
            answer = await peer.call("launch_instance", inferlet="hello", arguments=[], detached=True)
            assert not answer["successful"] and "disk_reserve_bytes" in answer["message"]
            answer = await peer.upload(b"\0asm")
            assert not answer["successful"] and "disk_reserve_bytes" in answer["result"]
            answer = await peer.upload_blob(echo, os.urandom(6_000_000))
            assert not answer["successful"] and "disk_reserve_bytes" in answer["result"]
            await peer.send("signal_instance", instance_id=echo, message="still here")
            await peer.message(echo, "still here")
            filler.unlink()
            assert (await peer.final(await peer.launch("hello")))["event"] == COMPLETED

    try:
        asyncio.run(main())
    finally:
        filler.unlink(missing_ok=True)
        assert server.stop() == 0


def test_output_waits_for_a_full_disk_and_nothing_is_lost(tmp_path: Path, programs: Path) -> None:
    """A bound on the size of files stands for the full disk. It has room again before the time is up."""

    server = with_limits(tmp_path / "home", "output_bytes_max = 20000000\n")

    async def main() -> None:
        async with Peer(server.url) as peer:
            printer = await peer.upload_file(programs / "print_forever.wasm")
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
            id = await peer.launch(printer, detached=True)

            async def has_failed() -> bool:
                return "instance log: " in server.log.read_text()

            await until(has_failed)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            assert await statuses(peer) == ["Detached"]
            log = server.home / "instances" / f"{id}.log"

            async def goes_on() -> bool:
                return log.stat().st_size > 5_000_000

            await until(goes_on)
            await peer.call("attach_instance", instance_id=id)
            assert (await peer.final(id))["event"] == OUT_OF_RESOURCES
            assert set(peer.output(id).split("\n")[:-1]) == {"x" * 4_095}

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


def test_an_upload_stays_what_it_began_as(own_server: Server, programs: Path) -> None:
    """The bound of a blob is not that of a program (limits of section 1)."""
    wasm = (programs / "hello.wasm").read_bytes()
    half = len(wasm) // 2
    hash = blake3_hex(wasm)

    async def main() -> None:
        async with Peer(own_server.url) as peer:
            corr_id = peer.corr_id()
            await peer.send("upload_blob", corr_id=corr_id, instance_id="x", blob_hash=hash, chunk_index=0,
                            total_chunks=2, chunk_data=wasm[:half])  # fmt: skip
            await peer.send("upload_program", corr_id=corr_id, program_hash=hash, chunk_index=1,
                            total_chunks=2, chunk_data=wasm[half:])  # fmt: skip
            answer = await peer.answer(corr_id)
            assert not answer["successful"] and "one corr_id" in answer["result"]

    asyncio.run(main())


def test_a_request_that_waits_is_the_users_memory(tmp_path: Path) -> None:
    server = with_limits(tmp_path / "home", "user_host_bytes_max = 13000000\n")

    async def main() -> None:
        async with Peer(server.url) as peer, Peer(server.url, username="other") as other:
            argument = ["x" * 14_000_000]
            answer = await peer.call("launch_instance", inferlet="hello", arguments=argument, detached=True)
            assert not answer["successful"] and "13000000" in answer["message"], answer
            assert (await peer.final(await peer.launch("hello")))["event"] == COMPLETED
            assert (await other.final(await other.launch("hello")))["event"] == COMPLETED

    try:
        asyncio.run(main())
    finally:
        assert server.stop() == 0


def test_compiling_goes_with_the_connection_that_asked(own_server: Server, programs: Path) -> None:
    """One user compiles on one thread; what a client that left has asked for is not compiled."""
    large = (programs / "text-completion.wasm").read_bytes()
    small = (programs / "hello.wasm").read_bytes()

    def fresh(wasm: bytes, number: int) -> bytes:
        return wasm + b"\0\x02\x01" + bytes([number])  # a custom section: never compiled before

    async def exists(peer: Peer, wasm: bytes) -> str:
        answer = await peer.call("query", subject="program_exists", record=blake3_hex(wasm))
        return str(answer["result"])

    async def main() -> None:
        async with Peer(own_server.url) as peer:
            uploads = [asyncio.create_task(peer.upload(fresh(large, number))) for number in range(4)]
            async with Peer(own_server.url) as leaving:
                corr_id = leaving.corr_id()
                wasm = fresh(small, 9)
                await leaving.send("upload_program", corr_id=corr_id, program_hash=blake3_hex(wasm),
                                   chunk_index=0, total_chunks=1, chunk_data=wasm)  # fmt: skip
                assert (await leaving.call("ping"))["successful"]
            async with Peer(own_server.url, username="other") as other:
                assert (await other.upload(fresh(small, 8)))["successful"]
                assert not all(upload.done() for upload in uploads)
            assert all(answer["successful"] for answer in await asyncio.gather(*uploads))
            assert (await peer.upload(fresh(small, 7)))["successful"]  # its turn is after that of what left
            assert await exists(peer, fresh(small, 7)) == "true"
            assert await exists(peer, fresh(small, 9)) == "false"

    asyncio.run(main())

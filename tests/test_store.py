"""The store: versions, damage, a disk that is full, programs that the registry knows by hash."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
from pathlib import Path

from tests.conftest import BUILD, PIE, Server
from tests.wire import Peer, blake3_hex

SERVER_ERROR = 4


def refused_start(home: Path) -> str:
    """Starts `pie serve`, which must refuse; what it says."""
    done = subprocess.run([str(PIE), "serve", "--port", "0"], text=True, check=False, timeout=60,
                          env=dict(os.environ, PIE_HOME=str(home)), capture_output=True)  # fmt: skip
    assert done.returncode != 0
    return done.stderr


def test_a_store_of_a_newer_version_is_refused_and_left_alone(own_server: Server) -> None:
    async def upload() -> None:
        async with Peer(own_server.url) as peer:
            assert (await peer.upload(b"x" * 10))["successful"] is False

    asyncio.run(upload())
    assert own_server.stop() == 0
    database = own_server.home / "pie.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    before = database.read_bytes()
    said = refused_start(own_server.home)
    assert f"got schema version {version + 1}" in said and "a newer pie wrote it" in said
    assert database.read_bytes() == before


def test_a_damaged_store_says_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "pie.db").write_bytes(b"not a database at all" * 500)
    said = refused_start(home)
    assert "damaged" in said and "restore a copy" in said


def test_a_damaged_log_costs_its_instance_and_nothing_else(
    own_server: Server,
) -> None:
    async def launch() -> list[str]:
        async with Peer(own_server.url) as peer:
            ids = [await peer.launch("hello", detached=True) for _ in range(2)]
            async with asyncio.timeout(60):
                while True:
                    rows = (await peer.call("list_instances"))["instances"]
                    if [row["status"] for row in rows] == ["Finished"] * 2:
                        return ids
                    await asyncio.sleep(0.02)

    damaged, whole = asyncio.run(launch())
    own_server.kill()
    log = own_server.home / "instances" / f"{damaged}.log"
    log.write_bytes(os.urandom(3000))
    own_server.start()

    async def look() -> None:
        async with Peer(own_server.url) as peer:
            await peer.call("attach_instance", instance_id=whole)
            assert (await peer.final(whole))["event"] == 1
            await peer.call("attach_instance", instance_id=damaged)
            assert (await peer.final(damaged))["event"] == SERVER_ERROR

    asyncio.run(look())


def test_a_full_disk_is_an_error_to_the_one_who_writes(own_server: Server, programs: Path) -> None:
    """A bound on the size of files stands for the full disk: writes fail where they would there."""
    limit = 150_000

    async def main() -> None:
        async with Peer(own_server.url) as peer, Peer(own_server.url, username="other") as other:
            echo = await other.launch("echo")
            printer = await peer.upload_file(programs / "print_forever.wasm")
            resource.prlimit(own_server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            wasm = (programs / "text-completion.wasm").read_bytes()
            assert len(wasm) > limit
            answer = await peer.upload(wasm)
            assert not answer["successful"] and "too large" in answer["result"].lower()
            id = await peer.launch(printer, detached=True)
            async with asyncio.timeout(60):
                while (await peer.call("list_instances"))["instances"][0]["status"] != "Finished":
                    await asyncio.sleep(0.02)
            await other.send("signal_instance", instance_id=echo, message="still here")
            await other.message(echo, "still here")
            resource.prlimit(own_server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            await peer.call("attach_instance", instance_id=id)
            end = await peer.final(id)
            assert end["event"] == SERVER_ERROR and "log cannot be stored" in end["message"]
            assert (await peer.upload(wasm))["successful"]

    asyncio.run(main())


def test_a_program_of_the_registry_is_known_by_its_hash_from_the_start(own_server: Server) -> None:
    shipped = next((BUILD / "share" / "pie" / "registry" / "std" / "hello").glob("*.wasm"))
    hash = blake3_hex(shipped.read_bytes())

    async def main() -> None:
        async with Peer(own_server.url) as peer:
            answer = await peer.call("query", subject="program_exists", record=hash)
            assert answer["result"] == "true"
            assert (await peer.final(await peer.launch(hash)))["event"] == 1

    asyncio.run(main())


def test_a_delivered_end_does_not_come_back_after_a_crash(own_server: Server) -> None:
    """What was confirmed is over, also when the server died before it forgot the instance: the
    record and the log are put back as they were a moment before they were removed."""

    database = own_server.home / "pie.db"
    backup = own_server.home / "before.db"

    async def finish_slowly() -> str:
        async with Peer(own_server.url) as peer:
            id = await peer.launch("hello", detached=True)
            log = own_server.home / "instances" / f"{id}.log"
            async with asyncio.timeout(60):
                while (await peer.call("list_instances"))["instances"][0]["status"] != "Finished":
                    await asyncio.sleep(0.02)
            with (
                contextlib.closing(sqlite3.connect(database)) as live,
                contextlib.closing(sqlite3.connect(backup)) as copy,
            ):
                live.backup(copy)
            os.link(log, own_server.home / "kept.log")
            await peer.call("attach_instance", instance_id=id)
            await peer.final(id)
            async with asyncio.timeout(60):
                while log.exists():
                    await asyncio.sleep(0.02)
            return id

    id = asyncio.run(finish_slowly())
    own_server.kill()
    for name in ("pie.db-wal", "pie.db-shm"):
        (own_server.home / name).unlink(missing_ok=True)
    shutil.copy(backup, database)
    shutil.move(own_server.home / "kept.log", own_server.home / "instances" / f"{id}.log")
    own_server.start()

    async def look() -> None:
        async with Peer(own_server.url) as peer:
            assert (await peer.call("list_instances"))["instances"] == []

    asyncio.run(look())

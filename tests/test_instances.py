"""protocol.md section 7: the life cycle of instances, and what crashes do not lose."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.wire import Frame, Peer, blake3_hex

COMPLETED, ABORTED, EXCEPTION, OUT_OF_RESOURCES = 1, 2, 3, 5


async def wait_for_status(peer: Peer, instance: str, status: str) -> Frame:
    """Polls list_instances until an instance has this status."""
    async with asyncio.timeout(60):
        while True:
            rows = (await peer.call("list_instances"))["instances"]
            for row in rows:
                if row["id"] == instance and row["status"] == status:
                    return dict(row)
            await asyncio.sleep(0.01)


def test_messages_stdout_and_blobs_keep_their_order(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch("long-running-task", ["--seconds", "0.5", "--every", "0.05"])
            end = await peer.final(instance)
            assert end["event"] == COMPLETED and end["message"]
            kinds = [f["type"] for f in peer.frames if f.get("instance_id") == instance]
            assert kinds.count("streaming_output") >= 3
            assert kinds[-1] == "instance_event"

    asyncio.run(main())


def test_detached_output_survives_a_disconnect_and_is_replayed_in_order(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch("echo", detached=True)
            for n in range(50):
                await peer.send("signal_instance", instance_id=instance, message=f"m{n}")
            assert (await peer.call("ping"))["successful"]
        async with Peer(server.url) as peer:
            answer = await peer.call("attach_instance", instance_id=instance)
            assert answer["successful"] and answer["message"] == "Instance attached"
            await peer.message(instance, "m49")
            got = [f["message"] for f in peer.frames if f["type"] == "instance_event"]
            assert got == [f"m{n}" for n in range(50)]
            await peer.call("terminate_instance", instance_id=instance)

    asyncio.run(main())


def test_a_finished_instance_is_kept_until_its_log_was_delivered(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url, "finisher") as peer:
            instance = await peer.launch(
                "long-running-task", ["--seconds", "0.2", "--every", "0.05"], detached=True
            )
        async with Peer(server.url, "finisher") as peer:
            row = await wait_for_status(peer, instance, "Finished")
            assert row["kv_pages_used"] == 0
            await peer.call("attach_instance", instance_id=instance)
            end = await peer.final(instance)
            assert end["event"] == COMPLETED and peer.output(instance)
            async with asyncio.timeout(60):  # gone once a pong has confirmed the delivery
                while (await peer.call("list_instances"))["instances"]:
                    await asyncio.sleep(0.01)
            answer = await peer.call("attach_instance", instance_id=instance)
            assert answer["message"] == "Instance not found"

    asyncio.run(main())


def test_attach_to_one_that_is_attached_elsewhere_and_alive_is_refused(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as first, Peer(server.url) as second:
            instance = await first.launch("echo")
            answer = await second.call("attach_instance", instance_id=instance)
            assert answer["successful"] is False
            assert answer["message"] == "Instance already attached"
            await first.call("terminate_instance", instance_id=instance)

    asyncio.run(main())


def test_one_that_lost_its_client_becomes_detached_and_can_be_taken_over(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as first:
            instance = await first.launch("echo")
            first.drop()
        async with Peer(server.url) as second:
            await wait_for_status(second, instance, "Detached")
            assert (await second.call("attach_instance", instance_id=instance))["successful"]
            await second.send("signal_instance", instance_id=instance, message="still here")
            await second.message(instance, "still here")
            await second.call("terminate_instance", instance_id=instance)

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 3_000_000])
def test_blobs_go_both_ways_hash_checked(server: Server, size: int) -> None:
    blob = bytes(i * 7 % 251 for i in range(size))

    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch("echo")
            answer = await peer.upload_blob(instance, blob)
            assert answer["successful"] and answer["result"] == "Blob sent to instance"
            last = await peer.wait_for(
                lambda f: f["type"] == "download_blob" and f["chunk_index"] == f["total_chunks"] - 1
            )
            chunks = [f for f in peer.frames if f["type"] == "download_blob"]
            assert b"".join(f["chunk_data"] for f in chunks) == blob
            assert last["blob_hash"] == blake3_hex(blob) and last["corr_id"] == 0
            assert all(len(f["chunk_data"]) <= 262_144 for f in chunks)
            await peer.call("terminate_instance", instance_id=instance)

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 3_000_000, 16 << 20])
def test_a_program_makes_a_blob_of_up_to_16_mib(server: Server, programs: Path, size: int) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "make_blob.wasm")
            instance = await peer.launch(hash, [str(size)])
            assert (await peer.final(instance))["event"] == COMPLETED
            chunks = [f for f in peer.frames if f["type"] == "download_blob"]
            blob = b"".join(f["chunk_data"] for f in chunks)
            assert blob == bytes(i * 7 % 251 for i in range(size))
            assert chunks[0]["blob_hash"] == blake3_hex(blob)

    asyncio.run(main())


def test_a_blob_above_16_mib_names_the_bound(server: Server, programs: Path) -> None:
    for size in ((16 << 20) + 1, 64 << 20):
        end = hostile(server, programs, "make_blob", [str(size)])
        assert end["event"] in (EXCEPTION, OUT_OF_RESOURCES), end
        assert re.search(r"expected at most 16777216|allowed \d+", end["message"]), end


# ---- ends


def hostile(server: Server, programs: Path, name: str, arguments: list[str] | None = None) -> Frame:
    """Uploads and runs a hostile program; its final event."""

    async def main() -> Frame:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / f"{name}.wasm")
            return await peer.final(await peer.launch(hash, arguments))

    return asyncio.run(main())


def test_a_trap_ends_in_exception_with_a_backtrace_that_names_the_guests_function(
    server: Server, programs: Path
) -> None:
    end = hostile(server, programs, "trap")
    assert end["event"] == EXCEPTION
    assert "unreachable" in end["message"] and "trap_here" in end["message"], end


def test_endless_recursion_is_an_exception(server: Server, programs: Path) -> None:
    end = hostile(server, programs, "recurse")
    assert end["event"] == EXCEPTION and "stack" in end["message"], end


def test_memory_over_the_limit_is_out_of_resources(server: Server, programs: Path) -> None:
    end = hostile(server, programs, "allocate")
    assert end["event"] == OUT_OF_RESOURCES and "memory" in end["message"], end


def test_finished_instances_hold_no_memory_of_their_programs(tmp_path: Path, programs: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"[limits]\nmemory_bytes_max = {100 << 20}\n")
    server = Server(home).start()

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "allocate.wasm")
            before = server.rss_bytes()
            for _ in range(6):
                await wait_for_status(peer, await peer.launch(hash, detached=True), "Finished")
            rows = (await peer.call("list_instances"))["instances"]
            assert [row["status"] for row in rows] == ["Finished"] * 6
            assert server.rss_bytes() - before < 200 << 20  # they have used 600 MiB
            for row in rows:
                await peer.call("attach_instance", instance_id=row["id"])
                end = await peer.final(row["id"])
                assert end["event"] == OUT_OF_RESOURCES and f"allowed {100 << 20}" in end["message"], end

    asyncio.run(main())
    assert server.stop() == 0


def test_a_thousand_handles_without_end_meet_their_limit(server: Server, programs: Path) -> None:
    end = hostile(server, programs, "handles")
    assert end["event"] == OUT_OF_RESOURCES and "handle" in end["message"], end


def test_guessed_pointers_end_only_the_guesser(server: Server, programs: Path) -> None:
    end = hostile(server, programs, "guess_pointers")
    assert end["event"] == EXCEPTION, end


def test_printing_without_end_meets_the_output_limit_in_bounded_memory(
    tmp_path: Path, programs: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"[limits]\noutput_bytes_max = {96 << 20}\n")
    server = Server(home).start()
    before = server.rss_bytes()
    end = hostile(server, programs, "print_forever")
    assert end["event"] == OUT_OF_RESOURCES and f"allowed {96 << 20}" in end["message"], end
    grown = server.peak_rss_bytes() - before
    assert grown < 48 << 20, f"grew by {grown >> 20} MiB"
    assert server.stop() == 0


def test_a_spinner_is_terminated_at_once_and_its_neighbours_go_on(server: Server, programs: Path) -> None:
    """Terminate "stops any program within 100 ms" (section 7)."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "spin.wasm")
            spinners = [await peer.launch(hash) for _ in range(4)]
            echo = await peer.launch("echo")
            await peer.send("signal_instance", instance_id=echo, message="alive")
            await peer.message(echo, "alive")
            for spinner in spinners:
                started = time.monotonic()
                answer = await peer.call("terminate_instance", instance_id=spinner)
                assert answer["successful"]
                end = await peer.final(spinner)
                assert (end["event"], end["message"]) == (ABORTED, "Signal termination")
                assert time.monotonic() - started < 1.0  # 100 ms; `make bench` reports the figure
            await peer.call("terminate_instance", instance_id=echo)

    asyncio.run(main())


# ---- kill -9


def test_kill_9_loses_no_program_no_log_and_no_result(own_server: Server, programs: Path) -> None:
    server = own_server
    wasm = (programs / "echo.wasm").read_bytes()
    manifest = '[package]\nname = "me/kept"\nversion = "1.0.0"\n'

    async def before() -> tuple[str, str]:
        async with Peer(server.url) as peer:
            assert (await peer.upload(wasm, manifest))["successful"]
            finished = await peer.launch(
                "long-running-task", ["--seconds", "0.2", "--every", "0.05"], detached=True
            )
            await wait_for_status(peer, finished, "Finished")
            running = await peer.launch("me/kept")
            await peer.send("signal_instance", instance_id=running, message="said before")
            await peer.message(running, "said before")
            detached = await peer.launch("me/kept", detached=True)
            await peer.send("signal_instance", instance_id=detached, message="kept")
            # The echo is in the log once the program answered; ask until it has.
            async with asyncio.timeout(60):
                log = ""
                while "kept" not in log:
                    answer = await peer.call("query", subject="instance_log", record=detached)
                    log = answer["result"]
                    await asyncio.sleep(0.01)
            server.kill()
            return finished, detached

    finished, detached = asyncio.run(before())
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 30.0  # one second on an idle machine

    async def after() -> None:
        async with Peer(server.url) as peer:
            await peer.call("attach_instance", instance_id=finished)
            end = await peer.final(finished)
            assert end["event"] == COMPLETED and end["message"] and peer.output(finished)
            assert (await peer.call("attach_instance", instance_id=detached))["successful"]
            end = await peer.final(detached)
            assert end["event"] == 4 and "server restarted" in end["message"]
            events = [f["message"] for f in peer.frames if f.get("instance_id") == detached]
            assert "kept" in events
            again = await peer.launch("me/kept")
            await peer.send("signal_instance", instance_id=again, message="hello")
            await peer.message(again, "hello")
            await peer.call("terminate_instance", instance_id=again)

    asyncio.run(after())

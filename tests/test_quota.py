"""Quotas of one user over all instances (protocol.md, section 1 and section 7, "Ends")."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.probe import Ended, Probe, hexed
from tests.wire import Peer

OUT_OF_RESOURCES = 5
LIMITS = """
[limits]
instances_per_user_max = 6
user_memory_bytes_max = 100000000
user_cpu_s_per_hour_max = 3
user_kv_pages_max = 100
user_output_bytes_per_hour_max = 20000000
user_log_bytes_max = 2000000
user_kvs_bytes_max = 50000
"""


def test_kv_pages_are_counted_over_all_instances_and_come_back(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="pages") as peer:
            first, second = await Probe.launch(peer), await Probe.launch(peer)
            await first.ready()
            await second.ready()
            await first("alloc 0 60")
            with pytest.raises(Ended) as over:
                await second("alloc 0 41")
            assert over.value.event == OUT_OF_RESOURCES
            assert "used 60 pages and 41 more asked for, allowed 100" in over.value.message
            async with Peer(limited.url, username="neighbour") as other:
                neighbour = await Probe.launch(other)
                await neighbour.ready()
                await neighbour("alloc 0 100")
            await first("dealloc 0 " + ",".join(map(str, range(60))))
            third = await Probe.launch(peer)
            await third.ready()
            await third("alloc 0 100")
            await peer.call("terminate_instance", instance_id=third.instance)
            fourth = await Probe.launch(peer)
            await fourth.ready()
            await fourth("alloc 0 100")

    asyncio.run(main())


def test_memory_is_counted_over_all_instances(limited: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="memory") as peer:
            hash = await peer.upload_file(programs / "allocate.wasm")
            end = await peer.final(await peer.launch(hash))
            assert end["event"] == OUT_OF_RESOURCES
            assert "memory of all instances of the user" in end["message"]
            assert "allowed 100000000" in end["message"]
            # What it held is free again.
            hello = await peer.launch("hello")
            assert (await peer.final(hello))["event"] == 1

    asyncio.run(main())


def test_cpu_time_of_an_hour_ends_who_uses_it_up(limited: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="cpu") as peer:
            hash = await peer.upload_file(programs / "spin.wasm")
            spinners = [await peer.launch(hash) for _ in range(2)]
            for spinner in spinners:
                end = await peer.final(spinner)
                assert end["event"] == OUT_OF_RESOURCES and "CPU time in this hour" in end["message"]
            async with Peer(limited.url, username="other") as other:
                assert (await other.final(await other.launch("hello")))["event"] == 1

    asyncio.run(main())


def test_output_of_an_hour_and_stored_logs_have_bounds(limited: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="printer") as peer:
            hash = await peer.upload_file(programs / "print_forever.wasm")
            end = await peer.final(await peer.launch(hash))
            assert end["event"] == OUT_OF_RESOURCES
            assert "of the user" in end["message"] and "allowed" in end["message"]
        async with Peer(limited.url, username="hoarder") as peer:
            hash = await peer.upload_file(programs / "print_forever.wasm")
            stored = await peer.launch(hash, detached=True)

            async def status(id: str) -> str:
                rows = (await peer.call("list_instances"))["instances"]
                return next((row["status"] for row in rows if row["id"] == id), "gone")

            async with asyncio.timeout(60):
                while await status(stored) != "Finished":
                    await asyncio.sleep(0.05)
            # Its end took what was left: nothing more that has to be kept is launched.
            long = ["x" * 100_000]
            answer = await peer.call("launch_instance", inferlet="hello", arguments=long, detached=True)
            assert not answer["successful"] and "stored logs of the user" in answer["message"]
            # What was stored is whole, and makes room once it is delivered.
            await peer.call("attach_instance", instance_id=stored)
            assert "stored logs" in (await peer.final(stored))["message"]
            assert len(peer.output(stored)) > 1_000_000
            await peer.launch("hello", ["x" * 100_000])

    asyncio.run(main())


def test_keys_and_values_of_all_instances_have_a_bound(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="keeper") as peer:
            first, second = await Probe.launch(peer), await Probe.launch(peer)
            await first.ready()
            await second.ready()
            await first(f"kvs-set {hexed('a')} {hexed('x' * 30_000)}")
            with pytest.raises(Ended) as over:
                await second(f"kvs-set {hexed('b')} {hexed('x' * 30_000)}")
            assert over.value.event == OUT_OF_RESOURCES
            assert "limits.user_kvs_bytes_max" in over.value.message
            await first(f"kvs-delete {hexed('a')}")
            await first(f"kvs-set {hexed('b')} {hexed('x' * 30_000)}")

    asyncio.run(main())


def test_arguments_are_kept_and_count_as_stored(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="arguer") as peer:
            arguments = ["x" * 600_000]
            ids = [await peer.launch("echo", arguments, detached=True) for _ in range(3)]
            answer = await peer.call("launch_instance", inferlet="echo", arguments=arguments, detached=True)
            assert not answer["successful"] and "stored logs of the user" in answer["message"]
            async with asyncio.timeout(60):
                while (await peer.call("terminate_instance", instance_id=ids[0]))["successful"]:
                    pass  # the first one ends it, or forgets what has ended
            await peer.launch("echo", arguments, detached=True)

    asyncio.run(main())


def test_more_instances_than_allowed_are_refused_with_a_reason(limited: Server) -> None:
    async def main() -> None:
        async with Peer(limited.url, username="many") as peer:
            for _ in range(6):
                await peer.launch("echo")
            answer = await peer.call("launch_instance", inferlet="echo", arguments=[], detached=False)
            assert not answer["successful"] and "expected fewer than 6" in answer["message"]

    asyncio.run(main())

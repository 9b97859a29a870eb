"""Programs that launch programs: pie:instance (docs/spec/inferlet-host.md, section 6)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server
from tests.wire import DEADLINE_S, Peer

COMPLETED, ABORTED, EXCEPTION, SERVER_ERROR, OUT_OF_RESOURCES = range(1, 6)
LIMITS = """
[limits]
children_max = 5
child_generations_max = 3
memory_bytes_max = 250000000
"""


async def rows(peer: Peer) -> list[dict[str, Any]]:
    """What lists show."""
    answer = await peer.call("list_instances")
    return list(answer["instances"])


async def no_rows(peer: Peer) -> None:
    """Until lists show nothing."""
    async with asyncio.timeout(DEADLINE_S):
        while await rows(peer):
            await asyncio.sleep(0)


async def parent_with_children(peer: Peer, programs: Path, detached: bool = False) -> str:
    """An instance that has launched three, each of which has launched one that spins."""
    hash = await peer.upload_file(programs / "family.wasm")
    parent = await peer.launch(hash, ["with-children", hash], detached)
    if detached:
        await peer.call("attach_instance", instance_id=parent)
    await peer.message(parent, "held")
    return parent


@pytest.mark.parametrize("scenario", ["heard", "both-ways", "at-once", "failures", "back-pressure", "names"])
def test_a_parent_and_its_children(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/family.cpp says what each scenario shows; it fails with a reason."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "family.wasm")
            instance = await peer.launch(hash, [scenario, hash])
            end = await peer.final(instance)
            assert (end["event"], end["message"]) == (COMPLETED, f"{scenario}: passed")
            if scenario != "names":
                return
            line = json.loads(peer.output(instance, "Stderr"))
            assert line["time"].endswith("Z") and line["instance"] == instance
            assert line["level"] == "warning" and line["message"] == 'a "line"\n'
            assert line["fields"] == {"user": "tester", "key": "värde"}

    asyncio.run(main())


def test_lists_show_children_and_a_client_may_end_but_not_hear_them(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url, username="lister") as peer:
            parent = await parent_with_children(peer, programs)
            listed = await rows(peer)
            assert len(listed) == 7
            assert {row["status"] for row in listed} == {"Attached"}
            assert {row["username"] for row in listed} == {"lister"}
            holders = [row["id"] for row in listed if row["arguments"][0] == "chain-of-holders"]
            assert len(holders) == 3
            refused = await peer.call("attach_instance", instance_id=holders[0])
            assert not refused["successful"] and refused["message"] == "Instance already attached"
            assert (await peer.call("terminate_instance", instance_id=holders[0]))["successful"]
            async with Peer(server.url, username="stranger") as other:
                assert await rows(other) == []
            await peer.call("terminate_instance", instance_id=parent)
            # Its answer comes after its children's ends.
            assert {row["id"] for row in await rows(peer)} <= {parent}

    asyncio.run(main())


@pytest.mark.parametrize("way", ["fails", "terminated", "client lost and terminated"])
def test_children_end_with_their_parent(server: Server, programs: Path, way: str) -> None:
    async def main() -> None:
        async with Peer(server.url, username=f"parent {way}") as peer:
            parent = await parent_with_children(peer, programs, detached=way.startswith("client"))
            if way == "fails":
                await peer.send("signal_instance", instance_id=parent, message="fail")
                assert (await peer.final(parent))["event"] == EXCEPTION
            elif way == "terminated":
                await peer.call("terminate_instance", instance_id=parent)
                assert (await peer.final(parent))["event"] == ABORTED
        async with Peer(server.url, username=f"parent {way}") as peer:
            if way.startswith("client"):
                assert len(await rows(peer)) == 7
                await peer.call("terminate_instance", instance_id=parent)
                await peer.call("terminate_instance", instance_id=parent)
            await no_rows(peer)

    asyncio.run(main())


def test_after_kill_9_nothing_of_a_child_comes_back(own_server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(own_server.url) as peer:
            parent = await parent_with_children(peer, programs)
        own_server.kill()
        own_server.start()
        async with Peer(own_server.url) as peer:
            assert [(row["id"], row["status"]) for row in await rows(peer)] == [(parent, "Finished")]
            await peer.call("attach_instance", instance_id=parent)
            end = await peer.final(parent)
            assert (end["event"], end["message"]) == (SERVER_ERROR, "server restarted")
        assert own_server.stop() == 0

    asyncio.run(main())


def test_a_server_that_stops_takes_families_with_it(own_server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(own_server.url) as peer:
            await parent_with_children(peer, programs)
            assert own_server.stop() == 0

    asyncio.run(main())


def test_a_family_has_together_what_one_instance_may_have(limited: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            hash = await peer.upload_file(programs / "family.wasm")
            end = await peer.final(await peer.launch(hash, ["share", hash]))
            assert end["event"] == COMPLETED, end["message"]
            assert end["message"].startswith("2 fit: memory of an instance and its children: used ")
            assert end["message"].endswith("allowed 250000000")

    asyncio.run(main())


def test_so_many_children_live_in_so_many_generations(limited: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(limited.url) as peer:
            hash = await peer.upload_file(programs / "family.wasm")
            end = await peer.final(await peer.launch(hash, ["crowd", hash]))
            assert end["message"] == (
                "5: [launch] got 5 children that live, expected fewer than 5; wait for their ends"
            )
            end = await peer.final(await peer.launch(hash, ["chain", hash]))
            assert end["message"] == (
                "1+1+1+1, then [launch] got an instance of generation 3, expected fewer than 3"
            )

    asyncio.run(main())

"""The programs of `make bench-agents`: each runs, and writes the tokens that its workload claims."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Server
from tests.wire import Peer

sys.path.append(str(ROOT / "bench"))
from agents import texts
from agents.table import WORKLOADS, Workload
from agents.unit import Unit

COMPLETED = 1


async def run(peer: Peer, program: str, launches: list[list[str]]) -> list[dict[str, Any]]:
    """What the programs of a unit return; all but the last wait for others when they are ready."""
    instances = []
    for arguments in launches[:-1]:
        instances.append(await peer.launch(program, arguments))
        await peer.message(instances[-1], "ready")
    instances.append(await peer.launch(program, launches[-1]))
    ends = [await peer.final(instance) for instance in instances]
    assert [end["event"] for end in ends] == [COMPLETED] * len(ends), ends
    return [json.loads(end["message"]) for end in ends]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_writes_what_it_claims(server: Server, programs: Path, workload: Workload) -> None:
    """Two units at once, with few tokens."""

    async def main() -> list[list[dict[str, Any]]]:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / f"{workload.program}.wasm")
            units = [workload.launches(workload.small, Unit(index, 1)) for index in range(2)]
            return await asyncio.gather(*(run(peer, hash, launches) for launches in units))

    for ends in asyncio.run(main()):
        written = sum(end["tokens"] for end in ends)
        assert all(end["text"] for end in ends)
        if workload.tokens is not None:
            assert written == workload.tokens(workload.small)
            continue
        call = json.loads(ends[0]["text"])
        schema = json.loads(texts.call_schema())
        assert call["name"] in schema["properties"]["name"]["enum"]
        assert set(call["arguments"]) == set(schema["properties"]["arguments"]["required"])
        assert 30 <= written <= 100


def test_units_read_texts_of_their_own() -> None:
    """No text of one unit is another's, but the one that they have in common."""
    numbers = {"shared": 4, "prompt": 4}
    first, second, other_run = (unit.beginning(numbers) for unit in (Unit(0, 1), Unit(1, 1), Unit(0, 2)))
    assert first[:4] == second[:4] != other_run[:4]
    assert first[4:] != second[4:]

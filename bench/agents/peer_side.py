"""The peer's side: llama-server and one asyncio client for all units."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path

import peer
from agents import llama
from agents.llama import Setting
from agents.pie_side import Run, cpu_seconds
from agents.table import Workload
from agents.unit import Numbers, Unit


def slots(workload: Workload, setting: Setting) -> int:
    """Sequences at once."""
    return setting.slots or workload.slots


async def run(
    running: peer.Running, workload: Workload, setting: Setting, numbers: Numbers, number: int, units: int
) -> Run:
    """All units at once."""
    latencies: list[float] = []
    async with llama.client(running.port, setting, slots(workload, setting)) as client:

        async def timed(unit: Unit) -> int:
            begun = time.perf_counter()
            tokens = await workload.peer(client, numbers, unit)
            latencies.append(time.perf_counter() - begun)
            return tokens

        cpu_before = cpu_seconds(running.pid)
        started = time.perf_counter()
        all_units = [Unit(index, number) for index in range(units)]
        if setting.primes:
            await client.prime(all_units[0].shared(numbers))
        tokens = await asyncio.gather(*(timed(unit) for unit in all_units))
        seconds = time.perf_counter() - started
    return Run(seconds, sum(tokens), latencies, cpu_seconds(running.pid) - cpu_before)


def server_for(
    workload: Workload, setting: Setting, model: Path, cores: str, folder: Path
) -> AbstractContextManager[peer.Running]:
    """A llama-server for the workload, its longest sequence in each slot."""
    context = workload.context(workload.numbers)
    return llama.server(model, cores, setting, slots(workload, setting), context, folder)

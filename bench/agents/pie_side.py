"""Our side: the real server, the programs of this folder, the Python client."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import ours
from agents.table import Workload
from agents.unit import Numbers, Unit
from pie import Event, Instance, PieClient


@dataclass(frozen=True)
class Run:
    """All units of a workload, once."""

    seconds: float  # from the first to the last
    tokens: int  # that were written, of use to whoever asked
    latencies: list[float]  # seconds of each unit
    cpu_seconds: float  # of the server and the client

    @property
    def rate(self) -> float:
        """Tokens per second of all units together."""
        return self.tokens / self.seconds


def cpu_seconds(server: int) -> float:
    """Processor time that a server and this process have had so far."""
    fields = Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + time.process_time()


async def unit(client: PieClient, program: str, launches: list[list[str]]) -> int:
    """Runs the programs of a unit; tokens that they wrote."""

    async def waiting(arguments: list[str]) -> Instance:
        instance = await client.launch_instance(program, arguments)
        event, data = await instance.recv()
        if event != Event.Message:
            raise RuntimeError(f"a program of the benchmark said {event.name}: {data}, expected ready")
        return instance

    instances = await asyncio.gather(*(waiting(each) for each in launches[:-1]))
    instances.append(await client.launch_instance(program, launches[-1]))
    ends = await asyncio.gather(*(ours.finish(instance) for instance in instances))
    return sum(int(json.loads(result)["tokens"]) for _, result in ends)


async def run(server: ours.Server, workload: Workload, numbers: Numbers, number: int, units: int) -> Run:
    """All units at once, over one connection."""
    latencies: list[float] = []
    async with PieClient(server.url) as client:
        await client.authenticate("bench")
        program = await ours.upload(client, workload.program)

        async def timed(index: int) -> int:
            begun = time.perf_counter()
            tokens = await unit(client, program, workload.launches(numbers, Unit(index, number)))
            latencies.append(time.perf_counter() - begun)
            return tokens

        cpu_before = cpu_seconds(server.process.pid)
        started = time.perf_counter()
        tokens = await asyncio.gather(*(timed(index) for index in range(units)))
        seconds = time.perf_counter() - started
    return Run(seconds, sum(tokens), latencies, cpu_seconds(server.process.pid) - cpu_before)

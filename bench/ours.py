"""Our side of the benchmarks: the real server, real programs, the Python client."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from pie import Event, Instance, PieClient

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
WORDS = ["river", "stone", "lamp", "paper", "cloud", "engine", "garden", "copper", "winter", "harbour"]


class Server:
    """`pie serve` pinned to some cores, with a PIE_HOME of its own."""

    def __init__(self, cores: str, folder: Path, *options: str) -> None:
        folder.mkdir(exist_ok=True)
        ready = folder / "ready"
        command = ["taskset", "-c", cores, str(BUILD / "bin" / "pie"), "serve", "--port", "0",
                   "--ready-file", str(ready), *options]  # fmt: skip
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, env=dict(os.environ, PIE_HOME=str(folder / "home")), stdout=log, stderr=log
            )
        while not ready.exists():
            if self.process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.01)
        self.url = ready.read_text().strip()

    def rss_bytes(self) -> int:
        """Resident memory of the server."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("no VmRSS")

    def private_bytes(self) -> int:
        """Memory that the server alone has: written pages, and those of no file."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(text.split("Private_Dirty:")[1].split()[0]) * 1024

    def stop(self) -> None:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def words(count: int) -> str:
    """Random words, so that no prompt is used twice."""
    return " ".join(random.choice(WORDS) for _ in range(count))


def unique_arguments() -> list[str]:
    """A prompt of about 64 tokens in all, not one page of which any other repetition has."""
    text = f"Write a very long story, without ever stopping, about these words: {words(18)}."
    return ["--system", words(6), "--prompt", text]


async def one_completion(
    client: PieClient, barrier: asyncio.Event, arguments: list[str], new_tokens: int
) -> list[float]:
    """Runs text-completion; launch time, then the arrival time of each piece of Stdout."""
    await barrier.wait()
    started = time.perf_counter()
    instance = await client.launch_instance(
        "text-completion", [*arguments, "--temperature", "0", "--max-tokens", str(new_tokens)]
    )
    times = [started]
    async for event, data in instance:
        if event == Event.Stdout:
            times.append(time.perf_counter())
        elif event not in (Event.Completed, Event.Message):
            raise SystemExit(f"text-completion ended with {event.name}: {data}")
    return times


async def completions(url: str, arguments: list[list[str]], new_tokens: int) -> list[list[float]]:
    """text-completion once for each list of arguments, all at once over one connection."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        barrier = asyncio.Event()
        tasks = [
            asyncio.create_task(one_completion(client, barrier, each, new_tokens)) for each in arguments
        ]
        await asyncio.sleep(0)
        barrier.set()
        return await asyncio.gather(*tasks)


def steady_rate(runs: list[list[float]]) -> float:
    """Tokens per second while all of them decode."""
    opened = max(times[1] for times in runs)
    closed = min(times[-1] for times in runs)
    tokens = sum(1 for times in runs for moment in times[1:] if opened < moment <= closed)
    return tokens / (closed - opened)


async def model_status(url: str) -> dict[str, str]:
    """What the server says of its models."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        status: dict[str, str] = json.loads(await client.query("model_status", ""))
    return status


async def steps(url: str) -> tuple[int, float]:
    """(steps that the engine has made, seconds of them all, each from its plan to its last sample)."""
    status = await model_status(url)
    count, seconds = (
        next(value for key, value in status.items() if key.endswith(name))
        for name in ("model.steps.count", "model.steps.seconds")
    )
    return int(count), float(seconds)


async def cached_tokens(url: str) -> int:
    """Prompt tokens that the prefix cache has spared this server so far."""
    status = await model_status(url)
    return sum(int(value) for key, value in status.items() if key.endswith("prefix_cache.tokens_saved"))


async def upload(client: PieClient, name: str) -> str:
    """The hash of one of the benchmark's programs."""
    if name.endswith(".py"):
        return await client.upload_program(ROOT / "bench" / "programs" / name)
    return await client.upload_program((BUILD / "inferlets" / f"{name}.wasm").read_bytes())


async def finish(instance: Instance) -> tuple[str, str]:
    """(everything on stdout, what the program returned)."""
    out = ""
    async for event, data in instance:
        if event == Event.Stdout:
            out += str(data)
        elif event == Event.Completed:
            return out, str(data)
        elif event != Event.Message:
            raise RuntimeError(f"a program of the benchmark ended with {event.name}: {data}")
    raise RuntimeError("a program of the benchmark ended without an end")


async def prefill_seconds(url: str, tokens: int, rounds: int) -> list[float]:
    """Seconds of prefill rounds, measured by a program; the first round is warm-up."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, "bench-prefill")
        arguments = ["--tokens", str(tokens), "--rounds", str(rounds + 1)]
        out, _ = await finish(await client.launch_instance(program, arguments))
    return [int(line) / 1e9 for line in out.split()][1:]


class Decoded(NamedTuple):
    """What programs that decode together measured, and what the engine did meanwhile."""

    step_s: float  # from a program's token to its next one
    pages: int  # that they held
    engine_step_s: float  # from a step's plan to its last sample


async def decode(url: str, programs: int, sequences: int, prefix: int, tokens: int) -> Decoded:
    """Programs that decode together, measured by themselves."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, "bench-decode")
        arguments = ["--sequences", str(sequences), "--prefix", str(prefix), "--tokens", str(tokens)]
        instances = [await client.launch_instance(program, arguments) for _ in range(programs)]
        for instance in instances:
            event, data = await instance.recv()
            if event != Event.Message:
                raise RuntimeError(f"bench-decode said {event.name}: {data}, expected ready")
        before = await steps(url)
        for instance in instances:
            await instance.send("go")
        results = await asyncio.gather(*(finish(instance) for instance in instances))
    after = await steps(url)
    figures = [result.split() for _, result in results]
    step = statistics.median(int(took) / tokens / 1e9 for took, _ in figures)
    engine_step_s = (after[1] - before[1]) / (after[0] - before[0])
    return Decoded(step, sum(int(pages) for _, pages in figures), engine_step_s)


async def generate(
    url: str, programs: int, arguments: list[str], name: str = "bench-generate"
) -> list[dict[str, int]]:
    """What bench-generate, or its twin in Python, says, of programs that begin together."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, name)
        instances = [await client.launch_instance(program, arguments) for _ in range(programs)]
        for instance in instances:
            event, data = await instance.recv()
            if event != Event.Message:
                raise RuntimeError(f"bench-generate said {event.name}: {data}, expected ready")
        for instance in instances:
            await instance.send("go")
        results = await asyncio.gather(*(finish(instance) for instance in instances))
    return [json.loads(result) for _, result in results]


async def agents(url: str, count: int, turns: int, pause_ms: tuple[int, int]) -> tuple[float, int]:
    """(tokens per second of all, deaths) of agents with contexts of 1,000 to 2,000 tokens."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, "bench-agent")
        started = time.perf_counter()
        instances = []
        for i in range(count):
            context = 1000 + 1000 * i // count
            instances.append(await client.launch_instance(program, [
                "--context", str(context), "--turns", str(turns), "--seed", str(i),
                "--pause-min", str(pause_ms[0]), "--pause-max", str(pause_ms[1])]))  # fmt: skip
        results = await asyncio.gather(*(finish(one) for one in instances), return_exceptions=True)
        took = time.perf_counter() - started
    tokens = sum(int(result[1]) for result in results if isinstance(result, tuple))
    return tokens / took, sum(1 for result in results if not isinstance(result, tuple))


async def launches(url: str, repetitions: int, name: str = "hello") -> float:
    """Median milliseconds from the launch call to the first output of a program that says something."""
    figures = []
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, name)
        for _ in range(repetitions + 3):
            started = time.perf_counter()
            instance = await client.launch_instance(program)
            async for event, _ in instance:
                if event == Event.Stdout:
                    figures.append(1000 * (time.perf_counter() - started))
                    break
            async for _ in instance:
                pass
    return statistics.median(figures[3:])


async def idle_bytes(server: Server, count: int) -> float:
    """Resident bytes of one instance that waits for a message."""
    async with PieClient(server.url) as client:
        await client.authenticate("bench")
        warm = [await client.launch_instance("echo") for _ in range(8)]
        before = server.rss_bytes()
        idle = [await client.launch_instance("echo") for _ in range(count)]
        await client.ping()
        figure = (server.rss_bytes() - before) / count
        for instance in warm + idle:
            await instance.terminate()
    return figure


async def idle_private_bytes(server: Server, count: int, name: str) -> float:
    """Bytes of the process's own that one instance takes, of a program that says when it waits."""
    async with PieClient(server.url) as client:
        await client.authenticate("bench")
        program = await upload(client, name)
        warm = [await client.launch_instance(program) for _ in range(8)]
        for instance in warm:
            await instance.recv()
        before = server.private_bytes()
        idle = [await client.launch_instance(program) for _ in range(count)]
        for instance in idle:
            await instance.recv()
        figure = (server.private_bytes() - before) / count
        for instance in warm + idle:
            await instance.terminate()
    return figure


async def spinner_ms(url: str, repetitions: int) -> float:
    """Median milliseconds from terminate to its answer, of a program that spins."""
    figures = []
    async with PieClient(url) as client:
        await client.authenticate("bench")
        program = await upload(client, "spin")
        for _ in range(repetitions):
            instance = await client.launch_instance(program)
            await asyncio.sleep(0.05)  # it spins
            started = time.perf_counter()
            await instance.terminate()
            figures.append(1000 * (time.perf_counter() - started))
    return statistics.median(figures)


async def many_idle(server: Server, many: int) -> dict[str, float]:
    """With `many` detached idle instances: bytes of each, and the latency of list and attach."""
    figures: dict[str, list[float]] = {"list": [], "attach": []}
    users = ("bench-a", "bench-b")  # the default limit is 8,192 instances a user
    before = server.rss_bytes()
    for user in users:
        async with PieClient(server.url) as client:
            await client.authenticate(user)
            left = many // len(users)
            while left > 0:
                count = min(left, 100)
                await asyncio.gather(*(client.launch_instance("echo", detached=True) for _ in range(count)))
                left -= count
    bytes_each = (server.rss_bytes() - before) / many
    for user in users:
        async with PieClient(server.url) as client:
            await client.authenticate(user)
            rows = await client.list_instances()
            for row in random.sample(rows, 20):
                calls = {"list": client.list_instances(), "attach": client.attach_instance(row.id)}
                for name, call in calls.items():
                    started = time.perf_counter()
                    await call
                    figures[name].append(1000 * (time.perf_counter() - started))
    return {"bytes": bytes_each} | {name: statistics.median(times) for name, times in figures.items()}

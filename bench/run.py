#!/usr/bin/env python3
"""`make bench`: Pie beside llama.cpp in the same run, on the same file and the same cores.

Prints a table and writes build/bench.json: {commit, machine, results: {key: {ours, peer, ratio,
unit, ...}}}; ratio always means *times better*. Keys end in _t1 and _t2: the whole group of
processes (server, programs, client; or the peer) is pinned to that many cores.

    bench/run.py                    everything (about half an hour)
    bench/run.py --quick            one repetition instead of five
    bench/run.py --only completion  keys that begin so
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import peer
from pie import Event, PieClient

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
NEW_TOKENS = 64
PROMPT_TOKENS = 64
CONCURRENCY = (1, 8, 32)
MANY = 10_000  # detached idle instances on one server
WORDS = ["river", "stone", "lamp", "paper", "cloud", "engine", "garden", "copper", "winter", "harbour"]


class Server:
    """`pie serve` pinned to some cores, with a PIE_HOME of its own."""

    def __init__(self, cores: str, folder: Path) -> None:
        ready = folder / "ready"
        command = ["taskset", "-c", cores, str(BUILD / "bin" / "pie"), "serve", "--port", "0",
                   "--ready-file", str(ready)]  # fmt: skip
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

    def stop(self) -> None:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def unique_prompt() -> str:
    """A prompt of about PROMPT_TOKENS tokens that no earlier repetition has used."""
    words = " ".join(random.choice(WORDS) for _ in range(24))
    return f"Write a very long story, without ever stopping, about these words: {words}."


async def one_completion(client: PieClient, barrier: asyncio.Event) -> list[float]:
    """Runs text-completion; launch time, then the arrival time of each piece of Stdout."""
    await barrier.wait()
    started = time.perf_counter()
    instance = await client.launch_instance(
        "text-completion",
        ["--prompt", unique_prompt(), "--temperature", "0", "--max-tokens", str(NEW_TOKENS)],
    )
    times = [started]
    async for event, data in instance:
        if event == Event.Stdout:
            times.append(time.perf_counter())
        elif event not in (Event.Completed, Event.Message):
            raise SystemExit(f"text-completion ended with {event.name}: {data}")
    return times


async def completions(url: str, count: int) -> tuple[float, list[float]]:
    """(tokens per second while all `count` instances decode, time to first token of each)."""
    async with PieClient(url) as client:
        await client.authenticate("bench")
        barrier = asyncio.Event()
        tasks = [asyncio.create_task(one_completion(client, barrier)) for _ in range(count)]
        await asyncio.sleep(0)
        barrier.set()
        runs = await asyncio.gather(*tasks)
    opened = max(times[1] for times in runs)
    closed = min(times[-1] for times in runs)
    tokens = sum(1 for times in runs for moment in times[1:] if opened < moment <= closed)
    return tokens / (closed - opened), [times[1] - times[0] for times in runs]


async def launches(url: str, repetitions: int) -> float:
    """Median milliseconds from the launch call to the first output of `hello`."""
    figures = []
    async with PieClient(url) as client:
        await client.authenticate("bench")
        for _ in range(repetitions + 3):
            started = time.perf_counter()
            instance = await client.launch_instance("hello")
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


async def spinner_ms(url: str, repetitions: int) -> float:
    """Median milliseconds from terminate to its answer, of a program that spins."""
    figures = []
    async with PieClient(url) as client:
        await client.authenticate("bench")
        hash = await client.upload_program((BUILD / "inferlets" / "spin.wasm").read_bytes())
        for _ in range(repetitions):
            instance = await client.launch_instance(hash)
            await asyncio.sleep(0.05)  # it spins
            started = time.perf_counter()
            await instance.terminate()
            figures.append(1000 * (time.perf_counter() - started))
    return statistics.median(figures)


async def many_idle(server: Server) -> dict[str, float]:
    """With MANY detached idle instances: bytes of each, and the latency of list and attach."""
    figures: dict[str, list[float]] = {"list": [], "attach": []}
    users = ("bench-a", "bench-b")  # the default limit is 8,192 instances a user
    before = server.rss_bytes()
    for user in users:
        async with PieClient(server.url) as client:
            await client.authenticate(user)
            left = MANY // len(users)
            while left > 0:
                count = min(left, 100)
                await asyncio.gather(*(client.launch_instance("echo", detached=True) for _ in range(count)))
                left -= count
    bytes_each = (server.rss_bytes() - before) / MANY
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


def better(ours: float, peers: float | None, unit: str, **more: Any) -> dict[str, Any]:
    """A result row; for times and bytes less is better."""
    row: dict[str, Any] = {"ours": round(ours, 3), "peer": None, "ratio": None, "unit": unit, **more}
    if peers:
        row["peer"] = round(peers, 3)
        row["ratio"] = round(ours / peers if unit == "tokens/s" else peers / ours, 3)
    return row


def measure(cores: str, repetitions: int, only: str, model: Path) -> dict[str, dict[str, Any]]:
    """All figures for one set of cores."""
    suffix = f"_t{len(cores.split(','))}"
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    results: dict[str, dict[str, Any]] = {}
    wanted = [n for n in CONCURRENCY if f"completion_{n}".startswith(only) or only in "completion_"]
    theirs: dict[int, dict[str, float]] = {}
    if wanted or "ttft".startswith(only):
        program = peer.build()
        rounds = [
            peer.batched(program, model, cores, PROMPT_TOKENS, NEW_TOKENS, sorted({1, *wanted}))
            for _ in range(min(repetitions, 3))
        ]
        for n in rounds[0]:
            theirs[n] = {
                "decode": statistics.median(r[n]["decode"] for r in rounds),
                "prefill_s": statistics.median(r[n]["prefill_s"] for r in rounds),
            }
    with tempfile.TemporaryDirectory(prefix="pie-bench-") as folder:
        server = Server(cores, Path(folder))
        first_tokens: list[float] = []
        asyncio.run(completions(server.url, 1))  # warm-up
        for n in wanted:
            runs = [asyncio.run(completions(server.url, n)) for _ in range(repetitions)]
            if n == 1:
                first_tokens = [1000 * t for _, times in runs for t in times]
            results[f"completion_{n}{suffix}"] = better(
                statistics.median(rate for rate, _ in runs), theirs[n]["decode"], "tokens/s",
                runs=[round(rate, 1) for rate, _ in runs], cached_tokens=0,
            )  # fmt: skip
        if "ttft".startswith(only):
            while len(first_tokens) < repetitions:
                first_tokens += [1000 * t for t in asyncio.run(completions(server.url, 1))[1]]
            results[f"ttft{suffix}"] = better(
                statistics.median(first_tokens), 1000 * theirs[1]["prefill_s"], "ms",
                note="ours: launch call to first Stdout at the client; peer: bare prefill",
            )  # fmt: skip
        if "launch".startswith(only):
            results[f"launch{suffix}"] = better(
                asyncio.run(launches(server.url, 10 * repetitions)), None, "ms"
            )
        if "idle_instance_bytes".startswith(only):
            results[f"idle_instance_bytes{suffix}"] = better(
                asyncio.run(idle_bytes(server, 200)), None, "bytes"
            )
        if "terminate_spinner_ms".startswith(only):
            results[f"terminate_spinner_ms{suffix}"] = better(
                asyncio.run(spinner_ms(server.url, 5 * repetitions)), None, "ms"
            )
        if any(key.startswith(only) for key in ("idle_10000_bytes", "list_10000_ms", "attach_10000_ms")):
            figures = asyncio.run(many_idle(server))
            results[f"idle_10000_bytes{suffix}"] = better(figures["bytes"], None, "bytes")
            results[f"list_10000_ms{suffix}"] = better(figures["list"], None, "ms", rows=MANY // 2)
            results[f"attach_10000_ms{suffix}"] = better(figures["attach"], None, "ms")
        server.stop()
    return results


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), "unknown",
    )  # fmt: skip
    flags = Path("/proc/cpuinfo").read_text()
    isa = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if f" {name}" in flags]
    return {"cpu": cpu, "isa": isa, "cores": os.cpu_count()}


def main() -> int:
    """Measures, prints, writes build/bench.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    repetitions = 1 if options.quick else 5
    model = next((BUILD / "share" / "pie" / "models").glob("*.gguf"))
    cores = sorted(os.sched_getaffinity(0))
    results: dict[str, dict[str, Any]] = {}
    for count in (1, 2):
        if count <= len(cores):
            pinned = ",".join(map(str, cores[:count]))
            results.update(measure(pinned, repetitions, options.only, model))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            check=False, stdout=subprocess.PIPE).stdout.strip()  # fmt: skip
    report = {"commit": commit, "machine": machine(), "model": model.name,
              "repetitions": repetitions, "flags": "release preset, -O3", "results": results}  # fmt: skip
    (BUILD / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{'key':28} {'ours':>12} {'peer':>12} {'ratio':>7}  unit")
    for key, row in results.items():
        theirs = "-" if row["peer"] is None else f"{row['peer']:.2f}"
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(f"{key:28} {row['ours']:12.2f} {theirs:>12} {ratio:>7}  {row['unit']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

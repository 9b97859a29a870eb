"""The figures of `make bench`, in groups that share a server; each gives rows of the report.

A row is {ours, peer, ratio, unit, ...}; ratio always means *times better*.
"""

from __future__ import annotations

import asyncio
import functools
import json
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ours
import peer
import texts

Row = dict[str, Any]
PROMPT_TOKENS = 64
NEW_TOKENS = 64
PREFIX_TOKENS = 1024
MANY = 10_000  # detached idle instances on one server
SYSTEM_WORDS = 210  # about 230 tokens before what differs
STEP_TOKENS = 512  # of a prompt, in one step


@dataclass(frozen=True)
class Limits:
    """What the cores can do together, by kernel_bench, and what share of it a rate is."""

    int8_peak_gops: float
    read_gbps: float

    @staticmethod
    def measured(cores: str) -> Limits:
        """Of these cores, now."""
        program = ours.BUILD / "cmake/release/bench/kernel_bench"
        command = ["taskset", "-c", cores, str(program), "--machine", str(len(cores.split(",")))]
        found = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
        return Limits(found["int8_peak_gops"], found["read_gbps"])

    def of_decode(self, model: Path, tokens_per_second: float, sequences: int) -> Row:
        """Shares of a decode: each step reads all weights once and multiplies with all of them."""
        size, parameters, _ = weights(model)
        steps = tokens_per_second / sequences
        return self._shares(steps * size, 2 * parameters * tokens_per_second)

    def of_prefill(self, model: Path, tokens_per_second: float) -> Row:
        """Shares of a prefill: one row alone meets the output matrix."""
        size, parameters, output = weights(model)
        return self._shares(tokens_per_second / STEP_TOKENS * size,
                            2 * (parameters - output) * tokens_per_second)  # fmt: skip

    def _shares(self, bytes_per_second: float, operations_per_second: float) -> Row:
        return {"of_bandwidth": round(bytes_per_second / 1e9 / self.read_gbps, 3),
                "of_int8_peak": round(operations_per_second / 1e9 / self.int8_peak_gops, 3)}  # fmt: skip


@functools.cache
def weights(model: Path) -> tuple[int, int, int]:
    """(bytes, weights, weights of the output matrix) of a model's file."""
    command = [str(ours.BUILD / "bin" / "pie"), "model", "info", str(model), "--json"]
    info = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
    return info["size_bytes"], info["parameters"], info["vocabulary"] * info["embedding"]


@dataclass
class Run:
    """What one set of cores is measured with."""

    cores: str
    repetitions: int
    model: Path
    gemma: Path | None
    folder: Path
    only: str
    limits: Limits

    @property
    def threads(self) -> int:
        """How many cores the whole group of processes may use."""
        return len(self.cores.split(","))

    def wants(self, *keys: str) -> bool:
        """Whether one of the keys was asked for."""
        return any(key.startswith(self.only) for key in keys)

    def server(self, *options: str) -> ours.Server:
        """A fresh server on these cores."""
        return ours.Server(self.cores, Path(tempfile.mkdtemp(dir=self.folder)), *options)

    def median(self, measure: Callable[[], Awaitable[float]]) -> float:
        """The median of the repetitions, each in an event loop of its own."""
        return statistics.median(asyncio.run(_awaited(measure)) for _ in range(self.repetitions))


async def _awaited(measure: Callable[[], Awaitable[float]]) -> float:
    return await measure()


def row(value: float, peers: float | None, unit: str, **more: Any) -> Row:
    """A result; for times and bytes less is better."""
    result: Row = {"ours": round(value, 4), "peer": None, "ratio": None, "unit": unit, **more}
    if peers:
        result["peer"] = round(peers, 4)
        result["ratio"] = round(value / peers if unit == "tokens/s" else peers / value, 3)
    return result


def peer_rate(run: Run, model: Path, prompt: int, new: int, sequences: int, shared: bool = False) -> float:
    """Tokens per second that the peer decodes, all sequences together, with its best setting."""
    return peer.best_batched(model, run.cores, prompt, new, sequences, run.repetitions, "decode", shared)[0]


def peer_prefill_s(run: Run, model: Path, prompt: int) -> float:
    """Seconds that the peer takes for a prompt, with its best setting."""
    return peer.best_batched(model, run.cores, prompt, 1, 1, run.repetitions, "prefill_s")[0]


def decoding(run: Run) -> Iterator[tuple[str, Row]]:
    """text-completion through the real server beside the peer's bare decode."""
    keys = {1: ("completion_1", "decode_1"), 8: ("completion_8",),
            32: ("completion_32", "decode_32", "decode_32_vs_best_format")}  # fmt: skip
    sizes = [n for n, names in keys.items() if run.wants(*names, *(("ttft",) if n == 1 else ()))]
    if not sizes:
        return
    server = run.server()
    asyncio.run(ours.completions(server.url, [ours.unique_arguments()], NEW_TOKENS))
    first_tokens: list[float] = []
    rates: dict[int, float] = {}
    for n in sizes:
        before = asyncio.run(ours.cached_tokens(server.url))
        figures = []
        for _ in range(run.repetitions):
            prompts = [ours.unique_arguments() for _ in range(n)]
            times = asyncio.run(ours.completions(server.url, prompts, NEW_TOKENS))
            figures.append(ours.steady_rate(times))
            if n == 1:
                first_tokens += [1000 * (t[1] - t[0]) for t in times]
        cached = asyncio.run(ours.cached_tokens(server.url)) - before
        rates[n] = statistics.median(figures)
        if not run.wants(*keys[n]):
            continue
        theirs = peer_rate(run, run.model, PROMPT_TOKENS, NEW_TOKENS, n)
        result = row(rates[n], theirs, "tokens/s", runs=[round(rate, 1) for rate in figures],
                     cached_tokens=cached) | run.limits.of_decode(run.model, rates[n], n)  # fmt: skip
        for key in keys[n]:
            if run.wants(key) and not key.endswith("best_format"):
                yield key, result
    if first_tokens and run.wants("ttft"):
        theirs = peer_prefill_s(run, run.model, PROMPT_TOKENS)
        yield "ttft", row(statistics.median(first_tokens), 1000 * theirs, "ms",
                          note="ours: launch to first Stdout at the client; peer: bare prefill")  # fmt: skip
    server.stop()
    if 32 in rates and run.wants("decode_32_vs_best_format"):
        best = peer_rate(run, peer.best_format(run.model), PROMPT_TOKENS, NEW_TOKENS, 32)
        yield "decode_32_vs_best_format", row(rates[32], best, "tokens/s")


def prefill(run: Run) -> Iterator[tuple[str, Row]]:
    """Prefill of random prompts, timed by a program on the real server."""
    sizes = [n for n, keys in ((512, ("prefill_512", "prefill_512_vs_best_format")),
                               (4096, ("prefill_4096",))) if run.wants(*keys)]  # fmt: skip
    if not sizes:
        return
    server = run.server()
    for n in sizes:
        before = asyncio.run(ours.cached_tokens(server.url))
        seconds = statistics.median(asyncio.run(ours.prefill_seconds(server.url, n, run.repetitions)))
        cached = asyncio.run(ours.cached_tokens(server.url)) - before
        if run.wants(f"prefill_{n}"):
            theirs = peer_prefill_s(run, run.model, n)
            result = row(n / seconds, n / theirs, "tokens/s", cached_tokens=cached)
            yield f"prefill_{n}", result | run.limits.of_prefill(run.model, n / seconds)
        if n == 512 and run.wants("prefill_512_vs_best_format"):
            theirs = peer_prefill_s(run, peer.best_format(run.model), n)
            yield "prefill_512_vs_best_format", row(n / seconds, n / theirs, "tokens/s")
    server.stop()


def shared_prefix(run: Run) -> Iterator[tuple[str, Row]]:
    """32 sequences behind one prefix: the time of a step and the pages held."""
    if not run.wants("shared_prefix_32"):
        return
    theirs = peer_rate(run, run.model, PREFIX_TOKENS, NEW_TOKENS, 32, shared=True)
    server = run.server()
    pages: list[int] = []

    async def measure() -> float:
        decoded = await ours.decode(server.url, 1, 32, PREFIX_TOKENS, NEW_TOKENS)
        pages.append(decoded.pages)
        return 1000 * decoded.step_s

    step_ms = run.median(measure)
    server.stop()
    tails = 32 * ((NEW_TOKENS + 4 + 15) // 16)
    least = PREFIX_TOKENS // 16 + tails
    result = row(step_ms, 32_000 / theirs, "ms", pages=max(pages),
                 memory_ratio=round(max(pages) / least, 3))  # fmt: skip
    yield "shared_prefix_32", result | run.limits.of_decode(run.model, 32_000 / step_ms, 32)


def serving(run: Run) -> Iterator[tuple[str, Row]]:
    """32 cold clients with a common prefix, sockets and protocols of both included."""
    if not run.wants("server_32_throughput", "server_32_ttft") or run.threads != 2:
        return

    def throughput(times: list[list[float]]) -> float:
        started = min(each[0] for each in times)
        return sum(len(each) - 1 for each in times) / (max(each[-1] for each in times) - started)

    def first(times: list[list[float]]) -> float:
        return 1000 * statistics.median(each[1] - each[0] for each in times)

    async def cold(port: int) -> list[list[float]]:
        barrier = asyncio.Event()
        prefix = f"system\nYou are a helpful assistant. {ours.words(SYSTEM_WORDS)}.\nuser\n"
        tasks = [
            asyncio.create_task(peer.completion(port, prefix + ours.words(10), NEW_TOKENS, barrier))
            for _ in range(32)
        ]
        await asyncio.sleep(0)
        barrier.set()
        return await asyncio.gather(*tasks)

    def of_peer(setting: peer.Setting, count: int) -> list[list[list[float]]]:
        flash, threads = setting
        with peer.server(run.model, run.cores, 32, 32 * 384, threads, ["-fa", flash]) as running:
            return [asyncio.run(cold(running.port)) for _ in range(count)]

    # Every setting is tried once; the best one is started again, warmed up and repeated.
    trials = {setting: of_peer(setting, 1)[0] for setting in peer.settings(run.cores)}
    best = max(trials, key=lambda setting: throughput(trials[setting]))
    runs = of_peer(best, run.repetitions + 1)[1:]
    their_rate = max(statistics.median(map(throughput, runs)), throughput(trials[best]))
    their_first = min([statistics.median(map(first, runs)), *map(first, trials.values())])
    server = run.server()
    mine = []
    for _ in range(run.repetitions + 1):
        system = f"You are a helpful assistant. {ours.words(SYSTEM_WORDS)}."
        arguments = [["--system", system, "--prompt", ours.words(10)] for _ in range(32)]
        mine.append(asyncio.run(ours.completions(server.url, arguments, NEW_TOKENS)))
    mine = mine[1:]  # the first is warm-up
    cached = asyncio.run(ours.cached_tokens(server.url)) / (run.repetitions + 1)
    server.stop()
    yield "server_32_throughput", row(statistics.median(map(throughput, mine)),
                                      their_rate, "tokens/s", cached_tokens=cached)  # fmt: skip
    yield "server_32_ttft", row(statistics.median(map(first, mine)), their_first, "ms",
                                cached_tokens=cached)  # fmt: skip


def program_tax(run: Run) -> Iterator[tuple[str, Row]]:
    """What a token costs more through a program than in the engine alone.

    The two are measured in turns, and the differences of neighbours taken: a machine that gets
    slower for a while does so for both. `gap_us` is the same from within one run: what the interval
    between a program's tokens has beyond the engine's step (one program only; of 64 some may wait
    for the step of others)."""
    for n in (1, 64):
        if not run.wants(f"program_tax_{n}"):
            continue
        server = run.server()
        command = ["taskset", "-c", run.cores, str(ours.BUILD / "cmake/release/bench/engine_alone"),
                   "--share", str(ours.BUILD / "share/pie"), "--sequences", str(n),
                   "--prefix", str(PROMPT_TOKENS), "--tokens", str(NEW_TOKENS)]  # fmt: skip
        asyncio.run(ours.decode(server.url, n, 1, PROMPT_TOKENS, NEW_TOKENS))  # warm-up
        through, alone, gaps = [], [], []
        for _ in range(run.repetitions):
            decoded = asyncio.run(ours.decode(server.url, n, 1, PROMPT_TOKENS, NEW_TOKENS))
            through.append(decoded.step_s)
            gaps.append(decoded.step_s - decoded.engine_step_s)
            done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)  # fmt: skip
            alone.append(float(json.loads(done.stdout)["seconds_per_step"]))
        server.stop()
        tax = statistics.median(a - b for a, b in zip(through, alone, strict=True))
        step = statistics.median(alone)
        more = {"gap_us": round(1e6 * statistics.median(gaps), 1)} if n == 1 else {}
        yield f"program_tax_{n}", row(1e6 * tax, None, "us a step", step_us=round(1e6 * step, 1),
                                      fraction_of_step=round(tax / step, 4), **more)  # fmt: skip


def fused_tax(run: Run) -> Iterator[tuple[str, Row]]:
    """What a token of a generation that the engine runs costs more than in the engine alone, for a program
    that reads every token; measured in turns, as program_tax."""
    for n in (1, 32):
        if not run.wants(f"fused_tax_{n}"):
            continue
        server = run.server()
        tokens = 4 * NEW_TOKENS
        command = ["taskset", "-c", run.cores, str(ours.BUILD / "cmake/release/bench/engine_alone"),
                   "--share", str(ours.BUILD / "share/pie"), "--sequences", str(n),
                   "--prefix", str(PROMPT_TOKENS), "--tokens", str(tokens)]  # fmt: skip
        arguments = ["--prefix", str(PROMPT_TOKENS), "--tokens", str(tokens)]
        asyncio.run(ours.generate(server.url, n, arguments))  # warm-up
        through, alone = [], []
        for _ in range(run.repetitions):
            took = [each["ns"] for each in asyncio.run(ours.generate(server.url, n, arguments))]
            through.append(statistics.median(took) / 1e9 / tokens)
            done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)  # fmt: skip
            alone.append(float(json.loads(done.stdout)["seconds_per_step"]))
        server.stop()
        tax = statistics.median(a - b for a, b in zip(through, alone, strict=True))
        step = statistics.median(alone)
        yield f"fused_tax_{n}", row(1e6 * tax / n, None, "us a token", step_us=round(1e6 * step, 1),
                                    of_engine_alone=round(step / (step + tax), 4))  # fmt: skip


def speculative(run: Run) -> Iterator[tuple[str, Row]]:
    """The loop with drafts beside the loop without: one sequence, greedy; the texts are equal."""
    for name, prompt in texts.PROMPTS.items():
        key = f"speculative_{name}"
        if not run.wants(key):
            continue
        server = run.server()
        figures: dict[str, list[float]] = {"0": [], "16": []}
        last: dict[str, dict[str, int]] = {}
        for i in range(run.repetitions + 1):
            for draft, rates in figures.items():
                arguments = ["--prompt", prompt, "--tokens", str(4 * NEW_TOKENS), "--draft", draft]
                last[draft] = asyncio.run(ours.generate(server.url, 1, arguments))[0]
                if i > 0:  # the first is warm-up
                    rates.append(last[draft]["tokens"] / last[draft]["ns"] * 1e9)
        server.stop()
        if last["0"]["hash"] != last["16"]["hash"]:
            raise RuntimeError(f"{key}: the text with drafts is another one")
        found = last["16"]
        yield key, row(statistics.median(figures["16"]), statistics.median(figures["0"]), "tokens/s",
                       passes=found["passes"], tokens=found["tokens"], drafted=found["drafted"],
                       accepted=found["accepted"], note="peer: the same loop without drafts")  # fmt: skip


def oversubscribed(run: Run) -> Iterator[tuple[str, Row]]:
    """64 agents with KV pages for a quarter of them, beside the same with pages for all."""
    if not run.wants("oversubscribed_4x"):
        return
    turns = 2 if run.repetitions == 1 else 4
    # The largest context plus what the turns add, in pages, for 64 agents: about 1,500 + 64 a turn.
    pages_of_all = 64 * ((1500 + turns * 64) // 16 + 2)
    figures = {}
    for name, pages in (("unlimited", 2 * pages_of_all), ("quarter", pages_of_all // 4)):
        server = run.server("--kv-pages", str(pages))
        figures[name] = asyncio.run(ours.agents(server.url, 64, turns, (100, 2000)))
        server.stop()
    (quarter, deaths), (unlimited, other_deaths) = figures["quarter"], figures["unlimited"]
    result = row(quarter, None, "tokens/s", deaths=deaths + other_deaths, unlimited=round(unlimited, 2))
    yield "oversubscribed_4x", result | {"ratio": round(quarter / unlimited, 3)}


def gemma(run: Run) -> Iterator[tuple[str, Row]]:
    """Gemma 3 270M, decoding."""
    sizes = [n for n in (1, 32) if run.wants(f"gemma3_decode_{n}")]
    if not sizes or run.gemma is None:
        return
    server = run.server("--model", str(run.gemma))
    for n in sizes:

        async def measure(programs: int = n) -> float:
            decoded = await ours.decode(server.url, programs, 1, PROMPT_TOKENS, NEW_TOKENS)
            return programs / decoded.step_s

        asyncio.run(measure())
        rate = run.median(measure)
        theirs = peer_rate(run, run.gemma, PROMPT_TOKENS, NEW_TOKENS, n)
        yield f"gemma3_decode_{n}", row(rate, theirs, "tokens/s") | run.limits.of_decode(run.gemma, rate, n)
    server.stop()


def lives(run: Run) -> Iterator[tuple[str, Row]]:
    """Launching, waiting and ending of instances."""
    keys = ("launch", "idle_instance_bytes", "terminate_spinner_ms", "idle_10000_bytes",
            "list_10000_ms", "attach_10000_ms")  # fmt: skip
    if not run.wants(*keys):
        return
    server = run.server()
    if run.wants("launch"):
        yield "launch", row(asyncio.run(ours.launches(server.url, 10 * run.repetitions)), None, "ms")
    if run.wants("idle_instance_bytes"):
        yield "idle_instance_bytes", row(asyncio.run(ours.idle_bytes(server, 200)), None, "bytes")
    if run.wants("terminate_spinner_ms"):
        figure = asyncio.run(ours.spinner_ms(server.url, 5 * run.repetitions))
        yield "terminate_spinner_ms", row(figure, None, "ms")
    if run.wants("idle_10000_bytes", "list_10000_ms", "attach_10000_ms"):
        figures = asyncio.run(ours.many_idle(server, MANY))
        yield "idle_10000_bytes", row(figures["bytes"], None, "bytes")
        yield "list_10000_ms", row(figures["list"], None, "ms", rows=MANY // 2)
        yield "attach_10000_ms", row(figures["attach"], None, "ms")
    server.stop()


def python_programs(run: Run) -> Iterator[tuple[str, Row]]:
    """Programs in Python beside their twins in C++: the launch, what an idle one takes, and a token of a
    generation that the engine runs and the program reads token by token; the last ones measured in turns."""
    tokens = {1: "python_token_1", 32: "python_token_32"}
    if not run.wants("python_launch", "python_idle_bytes", *tokens.values()):
        return
    server = run.server()
    if run.wants("python_launch"):
        python, cpp = (asyncio.run(ours.launches(server.url, 10 * run.repetitions, name))
                       for name in ("says_hello.py", "hello"))  # fmt: skip
        yield "python_launch", row(python, cpp, "ms", note="peer: the same in C++")
    if run.wants("python_idle_bytes"):
        figure = asyncio.run(ours.idle_private_bytes(server, 200, "waits.py"))
        yield "python_idle_bytes", row(figure, None, "bytes")
    for n, key in tokens.items():
        if not run.wants(key):
            continue
        arguments = ["--sequences", str(n), "--prefix", str(PROMPT_TOKENS), "--tokens", str(4 * NEW_TOKENS)]
        took: dict[str, list[float]] = {"bench-generate": [], "bench_generate.py": []}
        for i in range(run.repetitions + 1):
            for name, times in took.items():
                said = asyncio.run(ours.generate(server.url, 1, arguments, name))[0]
                if i > 0:  # the first is warm-up
                    times.append(1e6 * said["ns"] / 1e9 / said["tokens"])
        cpp, python = map(statistics.median, took.values())
        yield key, row(python, cpp, "us a token", note="peer: the same in C++")
    server.stop()


GROUPS: tuple[Callable[[Run], Iterator[tuple[str, Row]]], ...] = (
    decoding, prefill, shared_prefix, serving, program_tax, fused_tax, speculative, oversubscribed, gemma,
    lives, python_programs,
)  # fmt: skip

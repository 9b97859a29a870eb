"""The peer: llama.cpp's own tools, built by its own CMake defaults from the pinned source.

Every figure is the best over its settings: flash attention on and off, and each thread count up to
the number of cores that the run may use. Every setting is tried once, the best of them repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie")
PROGRAMS = ("llama-batched-bench", "llama-server", "llama-quantize")
START_TIMEOUT_S = 120
Setting = tuple[str, int]  # flash attention "on" or "off", threads


def dependency(name: str) -> Path:
    """The folder of a pinned dependency."""
    return Path(
        subprocess.run([sys.executable, str(ROOT / "tools" / "deps.py"), "get", name],
                       check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    )  # fmt: skip


def program(name: str) -> Path:
    """One of PROGRAMS; built once per pinned source and processor (minutes)."""
    source = dependency("llama")
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    processor = hashlib.sha256(flags.encode()).hexdigest()[:8]  # its defaults build for this machine
    folder = CACHE / "bench" / f"{source.name}-{processor}"
    path = folder / "bin" / name
    if not path.exists():
        print(f"[bench] building llama.cpp's {name} (minutes) ...", file=sys.stderr, flush=True)
        env = dict(os.environ, CCACHE_DIR=str(CACHE / "ccache"))
        for command in (
            ["cmake", "-G", "Ninja", "-S", f"{source}/source", "-B", str(folder),
             "-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_OPENSSL=OFF"],
            ["cmake", "--build", str(folder), "--target", name],
        ):  # fmt: skip
            done = subprocess.run(command, env=env, check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            if done.returncode != 0:
                raise SystemExit(f"[bench] {' '.join(command[:3])} failed:\n{done.stdout[-4000:]}")
    return path


def best_format(model: Path) -> Path:
    """The same weights as Q4_0, which llama.cpp repacks for its fastest kernels."""
    path = CACHE / "bench" / f"{model.stem}.requantized-q4_0.gguf"
    if not path.exists():
        partial = path.with_suffix(".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [str(program("llama-quantize")), "--allow-requantize", str(model), str(partial), "Q4_0"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        partial.rename(path)
    return path


def settings(cores: str) -> Iterator[Setting]:
    """Flash attention and thread counts that the peer may choose from."""
    for flash in ("on", "off"):
        for threads in range(1, len(cores.split(",")) + 1):
            yield flash, threads


def batched(
    model: Path, cores: str, prompt_tokens: int, new_tokens: int, sequences: int, setting: Setting,
    shared: bool = False,
) -> dict[str, float]:
    """One run of llama-batched-bench: {"decode": t/s, "prefill_s": s}.

    `shared`: one prompt for all sequences, kept once in the unified cache.
    """  # fmt: skip
    flash, threads = setting
    context = (1 if shared else sequences) * prompt_tokens + sequences * new_tokens + 256
    done = subprocess.run(
        ["taskset", "-c", cores, str(program("llama-batched-bench")), "-m", str(model),
         "-c", str(context), "-b", "2048", "-ub", "512", "-npp", str(prompt_tokens),
         "-ntg", str(new_tokens), "-npl", str(sequences), "-t", str(threads),
         "-tb", str(threads), "-fa", flash, "--output-format", "jsonl",
         *(["-pps", "-kvu"] if shared else [])],
        check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    row = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return {"decode": row["speed_tg"], "prefill_s": row["t_pp"]}


def best_batched(
    model: Path, cores: str, prompt_tokens: int, new_tokens: int, sequences: int, repetitions: int,
    wanted: str, shared: bool = False,
) -> tuple[float, Setting]:
    """The median of `wanted` with the best setting, and that setting.

    Each setting has a run of its own; the best one gets the other repetitions.
    """  # fmt: skip

    def run(setting: Setting) -> float:
        return batched(model, cores, prompt_tokens, new_tokens, sequences, setting, shared)[wanted]

    first = {setting: run(setting) for setting in settings(cores)}
    best = max(first, key=lambda setting: first[setting] * (1 if wanted == "decode" else -1))
    runs = [first[best], *(run(best) for _ in range(repetitions - 1))]
    return statistics.median(runs), best


class Running(NamedTuple):
    """A llama-server that answers."""

    port: int
    pid: int


@contextlib.contextmanager
def server(
    model: Path, cores: str, slots: int, context: int, threads: int, flags: Sequence[str]
) -> Iterator[Running]:
    """`llama-server` pinned to some cores."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["taskset", "-c", cores, str(program("llama-server")), "-m", str(model), "--host", "127.0.0.1",
         "--port", str(port), "-np", str(slots), "-c", str(context), "-t", str(threads),
         "-tb", str(threads), "-b", "2048", "-ub", "512", *flags],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while asyncio.run(status(port)) != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("[bench] got no answer from llama-server, expected 200 from /health")
            time.sleep(0.1)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        process.wait()


async def status(port: int) -> int:
    """What /health answers; 0 when nobody does."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return int(line.split()[1]) if line else 0


async def completion(port: int, prompt: str, new_tokens: int, barrier: asyncio.Event) -> list[float]:
    """One streamed /completion: the start, then the arrival time of each token."""
    await barrier.wait()
    started = time.perf_counter()
    body = json.dumps({"prompt": prompt, "n_predict": new_tokens, "temperature": 0, "stream": True,
                       "ignore_eos": True}).encode()  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /completion HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: "
                 + str(len(body)).encode() + b"\r\n\r\n" + body)  # fmt: skip
    times = [started]
    async for line in reader:
        if line.startswith(b"data: ") and b'"content":' in line and b'"stop":true' not in line:
            times.append(time.perf_counter())
    writer.close()
    return times

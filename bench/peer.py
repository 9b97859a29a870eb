"""The peer: llama.cpp's own tools, built by its own CMake defaults from the pinned source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie")


def build() -> Path:
    """Builds llama-batched-bench once per pinned source (minutes); its path."""
    source = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "deps.py"), "get", "llama"],
        check=True, text=True, stdout=subprocess.PIPE,
    ).stdout.strip()  # fmt: skip
    folder = CACHE / "bench" / Path(source).name
    program = folder / "bin" / "llama-batched-bench"
    if not program.exists():
        print("[bench] building llama.cpp's llama-batched-bench (minutes) ...", flush=True)
        env = dict(os.environ, CCACHE_DIR=str(CACHE / "ccache"))
        for command in (
            ["cmake", "-G", "Ninja", "-S", f"{source}/source", "-B", str(folder),
             "-DCMAKE_BUILD_TYPE=Release"],
            ["cmake", "--build", str(folder), "--target", "llama-batched-bench"],
        ):  # fmt: skip
            done = subprocess.run(command, env=env, check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            if done.returncode != 0:
                raise SystemExit(f"[bench] {' '.join(command[:3])} failed:\n{done.stdout[-4000:]}")
    return program


def batched(
    program: Path, model: Path, cores: str, prompt_tokens: int, new_tokens: int, sequences: list[int]
) -> dict[int, dict[str, float]]:
    """Decode and prefill speed of each batch size: {sequences: {"decode": t/s, "prefill_s": s}}.

    Runs once with and once without flash attention, and with every thread count up to the number
    of cores; keeps the best of each figure, since the peer gets the best of its settings.
    """
    best: dict[int, dict[str, float]] = {n: {"decode": 0.0, "prefill_s": 1e9} for n in sequences}
    context = max(sequences) * (prompt_tokens + new_tokens) + 64
    for flash in ("on", "off"):
        for threads in range(1, len(cores.split(",")) + 1):
            done = subprocess.run(
                ["taskset", "-c", cores, str(program), "-m", str(model), "-c", str(context),
                 "-b", "2048", "-ub", "512", "-npp", str(prompt_tokens), "-ntg", str(new_tokens),
                 "-npl", ",".join(map(str, sequences)), "-t", str(threads), "-tb", str(threads),
                 "-fa", flash, "--output-format", "jsonl"],
                check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            for line in done.stdout.splitlines():
                if not line.startswith("{"):
                    continue
                row = json.loads(line)
                figures = best[row["pl"]]
                figures["decode"] = max(figures["decode"], row["speed_tg"])
                figures["prefill_s"] = min(figures["prefill_s"], row["t_pp"])
    return best

#!/usr/bin/env python3
"""`make bench`: Pie beside llama.cpp in the same run, on the same file and the same cores.

Prints a table and writes build/bench.json: {commit, machine, results: {key: {ours, peer, ratio,
unit, ...}}}; ratio always means *times better*. Keys end in _t1 and _t2: the whole group of
processes (server, programs, client; or the peer) is pinned to that many cores. Prompts are new in
each repetition; `cached_tokens` says what the prefix cache spared all the same.

    bench/run.py                      everything (an hour or more)
    bench/run.py --quick              one repetition instead of five
    bench/run.py --only decode_32     keys that begin so
    bench/run.py --threads 2          one set of cores

The file is written after each row, and keeps rows of the same commit and model that this run did not
measure: what was cut off, or asked for key by key, adds up.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import peer
import rows

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    text = Path("/proc/cpuinfo").read_text()
    cpu = next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")),
        "unknown",
    )
    isa = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if f" {name}" in text]
    return {"cpu": cpu, "isa": isa, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def gemma() -> Path | None:
    """Gemma 3 270M, fetched for the benchmarks and tests alone; none where it can't be had."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "deps.py"), "get", "gemma3"],
                          check=False, text=True, stdout=subprocess.PIPE)  # fmt: skip
    if done.returncode != 0:
        print("[bench] got no Gemma 3 270M (tools/deps.py get gemma3): its rows are left out", flush=True)
        return None
    return next(Path(done.stdout.strip()).rglob("*.gguf"))


def show(key: str, row: dict[str, Any]) -> None:
    """One line of the table."""
    theirs = "-" if row["peer"] is None else f"{row['peer']:.2f}"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    known = ("ours", "peer", "ratio", "unit", "runs", "note")
    more = ", ".join(f"{name} {value}" for name, value in row.items() if name not in known)
    print(f"{key:30} {row['ours']:12.2f} {theirs:>12} {ratio:>7}  {row['unit']:10} {more}", flush=True)


def commit() -> str:
    """What is measured."""
    return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True,
                          check=False, stdout=subprocess.PIPE).stdout.strip()  # fmt: skip


class Report:
    """build/bench.json, as it grows."""

    def __init__(self, model: Path, repetitions: int) -> None:
        self.path = BUILD / "bench.json"
        self.values: dict[str, Any] = {
            "commit": commit(), "machine": machine(), "model": model.name, "flags": "release preset, -O3",
            "results": {},
        }  # fmt: skip
        self.repetitions = repetitions
        before = json.loads(self.path.read_text()) if self.path.exists() else {}
        if all(before.get(key) == self.values[key] for key in ("commit", "model")):
            self.values["results"] = before["results"]
            self.values["machine"] = before["machine"] | self.values["machine"]

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Prints and writes a row."""
        show(key, row)
        self.values["results"][key] = row | {"repetitions": self.repetitions}
        self.path.write_text(json.dumps(self.values, indent=1) + "\n")


def main() -> int:
    """Measures, prints, writes build/bench.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one repetition instead of five")
    parser.add_argument("--only", default="", help="keys that begin so")
    parser.add_argument("--threads", type=int, default=0, help="1 or 2; both when not given")
    options = parser.parse_args()
    repetitions = 1 if options.quick else 5
    model = next((BUILD / "share" / "pie" / "models").glob("*.gguf"))
    cores = sorted(os.sched_getaffinity(0))
    for name in peer.PROGRAMS:
        peer.program(name)
    report = Report(model, repetitions)
    print(f"{'key':30} {'ours':>12} {'peer':>12} {'ratio':>7}  unit", flush=True)
    with tempfile.TemporaryDirectory(prefix="pie-bench-") as folder:
        for count in (options.threads,) if options.threads else (1, 2):
            if count > len(cores):
                continue
            os.sched_setaffinity(0, set(cores[:count]))
            pinned = ",".join(map(str, cores[:count]))
            wanted = "gemma3".startswith(options.only) or options.only.startswith("gemma3")
            second = gemma() if wanted else None
            limits = rows.Limits.measured(pinned)
            report.values["machine"][f"t{count}"] = dataclasses.asdict(limits)
            print(f"{count} core(s): int8 peak {limits.int8_peak_gops:.0f} GOP/s, reads "
                  f"{limits.read_gbps:.1f} GB/s; of_... are the shares of them that a row reaches",
                  flush=True)  # fmt: skip
            run = rows.Run(pinned, repetitions, model, second, Path(folder), options.only, limits)
            for group in rows.GROUPS:
                for key, row in group(run):
                    report.add(f"{key}_t{count}", row)
    return 0


if __name__ == "__main__":
    sys.exit(main())

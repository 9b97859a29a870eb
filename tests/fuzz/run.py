#!/usr/bin/env python3
"""`make fuzz`: every decoder under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.

    tests/fuzz/run.py                 ten minutes each
    tests/fuzz/run.py --time 60       seconds each
    tests/fuzz/run.py --short         the seed corpus and some thousand inputs each; no build
    tests/fuzz/run.py --only gguf     one of them (may be repeated)

Seeds and the inputs of mended bugs are in tests/fuzz/corpus/NAME; what a long run finds besides stays
in build/fuzz/NAME. An input that breaks something is kept in build/fuzz/broken: run the program with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
PROGRAMS = ROOT / "build" / "cmake" / "fuzz" / "fuzz"
WORK = ROOT / "build" / "fuzz"
SHORT_RUNS = 4_000
SEED = 1


@dataclasses.dataclass
class Outcome:
    """What one fuzzer did."""

    name: str
    inputs: int
    coverage: int
    seconds: float
    problem: str  # "", "leaked" or "crashed"
    output: str


def fuzz(name: str, seconds: int) -> Outcome:
    """Runs one fuzzer; 0 seconds = the short form."""
    broken = WORK / "broken"
    corpus = WORK / name
    for folder in (broken, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(PROGRAMS / f"{name}_fuzz"), f"-artifact_prefix={broken}/{name}-", "-timeout=25",
               "-rss_limit_mb=3072", "-malloc_limit_mb=2048", "-max_len=65536",
               "-print_final_stats=1"]  # fmt: skip
    if seconds:
        command += [f"-max_total_time={seconds}", str(corpus), str(CORPUS / name)]
    else:
        # libFuzzer writes to the first folder: never to the repository's.
        command += [f"-seed={SEED}", f"-runs={SHORT_RUNS}", str(fresh_folder(name)), str(CORPUS / name)]
    started = time.monotonic()
    env = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
               ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1")  # fmt: skip
    done = subprocess.run(command, env=env, text=True, check=False, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
    coverage = re.findall(r"cov: (\d+)", done.stdout)
    problem = "" if done.returncode == 0 else "leaked" if "LeakSanitizer" in done.stdout else "crashed"
    return Outcome(name, int(inputs[1]) if inputs else 0, int(coverage[-1]) if coverage else 0,
                   time.monotonic() - started, problem, done.stdout)  # fmt: skip


def fresh_folder(name: str) -> Path:
    """An empty folder for what a short run finds."""
    folder = WORK / "short" / name
    folder.mkdir(parents=True, exist_ok=True)
    for one in folder.iterdir():
        one.unlink()
    return folder


def main() -> int:
    """Runs the fuzzers that were asked for."""
    names = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time", type=int, default=600, help="seconds of each [600]")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", action="append", choices=names)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once [cores]")
    options = parser.parse_args()
    names = options.only or names
    amount = f"{SHORT_RUNS} inputs" if options.short else f"{options.time} s"
    print(f"fuzz: {len(names)} decoders, {amount} each", flush=True)
    counts = {"lost": 0, "leaked": 0, "crashed": 0}
    with ThreadPoolExecutor(options.jobs) as pool:
        for one in pool.map(lambda name: fuzz(name, 0 if options.short else options.time), names):
            print(f"  {one.name}: {one.inputs} inputs, {one.coverage} edges, {one.seconds:.0f} s"
                  f" {one.problem}", flush=True)  # fmt: skip
            if one.problem:
                counts[one.problem] += 1
                print(one.output[-6000:])
            elif one.inputs < 2:
                counts["lost"] += 1
                print(f"  {one.name} ran nothing:\n{one.output[-3000:]}")
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()), flush=True)
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

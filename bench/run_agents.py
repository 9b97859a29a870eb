#!/usr/bin/env python3
"""`make bench-agents`: what agents do, as Pie programs and as an asyncio client of llama-server.

Both sides get the same model file, cores and texts, and write the same number of tokens; they are
measured in turns. Prints a table and writes build/bench-agents.json: {commit, machine, results:
{workload: {ours, peer, ratio, ...}}, geometric_mean}. `ours` and `peer` are tokens of use per second of
all units together, medians of the repetitions; latencies are of one unit, in seconds; every ratio
means *times better*; geometric_mean is that of the throughputs' ratios. On a machine that others use
as well, cpu_ratio (tokens per processor second of server and client) says more than the clock.
bench/agents/README.md says what each workload is and how the peer's settings were chosen.

    make bench-agents                                 everything, three repetitions (an hour or more)
    make bench-agents MODEL=/path/to/model.gguf       with another model
    make bench-agents ARGS="--quick"                  one repetition
    make bench-agents ARGS="--quick --only react --only completion"
    make bench-agents ARGS="--ours --only react"      our side alone
    make bench-agents ARGS="--try-settings"           each setting of the peer once; the best ones are kept
                                                      in bench/agents/peer_settings.json
    make bench-agents ARGS="--quick --json"           the file's content on stdout; the table on stderr

The file is written after each workload, and keeps rows of the same commit and model that this run did
not measure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ours
import peer
from agents import packages, peer_side, pie_side, settings
from agents.llama import Setting
from agents.pie_side import Run
from agents.table import WORKLOADS, Workload
from run import commit, machine

OUTPUT = ours.BUILD / "bench-agents.json"
TITLES = ("ours", "peer", "ratio", "ours s", "peer s", "ratio", "ratio/cpu")


def say(text: str) -> None:
    """Progress, and the table."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Session:
    """What the workloads are measured with."""

    model: Path
    cores: str
    folder: Path
    server: ours.Server
    repetitions: int
    units_max: int
    runs: int = 0  # made so far: each has texts of its own

    def next_run(self) -> int:
        """A number that no other run has."""
        self.runs += 1
        return (os.getpid() % 10_000) * 1000 + self.runs

    def units(self, workload: Workload) -> int:
        """How many at once."""
        return min(workload.units, self.units_max)

    def ours(self, workload: Workload) -> Run:
        """Our side, once."""
        return asyncio.run(pie_side.run(self.server, workload, workload.numbers, self.next_run(),
                                        self.units(workload)))  # fmt: skip

    def peer(self, running: peer.Running, workload: Workload, setting: Setting) -> Run:
        """The peer, once."""
        return asyncio.run(peer_side.run(running, workload, setting, workload.numbers, self.next_run(),
                                         self.units(workload)))  # fmt: skip

    def warm_up(
        self, workload: Workload, running: peer.Running | None = None, setting: Setting | None = None
    ) -> None:
        """A few tokens of the workload: programs are compiled, connections were made once."""
        number, numbers = self.next_run(), workload.small
        if running is None or setting is None:
            asyncio.run(pie_side.run(self.server, workload, numbers, number, 2))
        else:
            asyncio.run(peer_side.run(running, workload, setting, numbers, number, 2))


def row(workload: Workload, mine: list[Run], theirs: list[Run], setting: Setting) -> dict[str, Any]:
    """A result; the peer's values are null where it was not measured."""

    def middle(runs: list[Run]) -> tuple[float | None, float | None]:
        if not runs:
            return None, None
        latencies = [statistics.median(run.latencies) for run in runs]
        return round(statistics.median(run.rate for run in runs), 2), round(statistics.median(latencies), 3)

    def tokens_per_cpu_second(runs: list[Run]) -> float | None:
        rates = [run.tokens / run.cpu_seconds for run in runs]
        return round(statistics.median(rates), 2) if rates else None

    runs = mine or theirs
    (our_rate, our_latency), (peer_rate, peer_latency) = middle(mine), middle(theirs)
    our_cpu, peer_cpu = tokens_per_cpu_second(mine), tokens_per_cpu_second(theirs)
    return {
        "ours": our_rate, "peer": peer_rate, "ratio": _ratio(our_rate, peer_rate), "unit": "tokens/s",
        "latency_ours_s": our_latency, "latency_peer_s": peer_latency,
        "latency_ratio": _ratio(peer_latency, our_latency),
        "tokens_per_cpu_s_ours": our_cpu, "tokens_per_cpu_s_peer": peer_cpu,
        "cpu_ratio": _ratio(our_cpu, peer_cpu),
        "units": len(runs[0].latencies), "workload": workload.unit,
        "tokens_ours": [run.tokens for run in mine], "tokens_peer": [run.tokens for run in theirs],
        "runs_ours": [round(run.rate, 1) for run in mine],
        "runs_peer": [round(run.rate, 1) for run in theirs],
        "peer_setting": setting.name, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _ratio(better: float | None, worse: float | None) -> float | None:
    return round(better / worse, 3) if better and worse else None


def measure(session: Session, workload: Workload, sides: str) -> dict[str, Any]:
    """Both sides in turns."""
    mine: list[Run] = []
    theirs: list[Run] = []
    setting = settings.chosen(workload)
    if "ours" in sides:
        session.warm_up(workload)
    if "peer" not in sides:
        for _ in range(session.repetitions):
            mine.append(session.ours(workload))
        return row(workload, mine, theirs, setting)
    with peer_side.server_for(workload, setting, session.model, session.cores, session.folder) as running:
        session.warm_up(workload, running, setting)
        for repetition in range(session.repetitions):
            if "ours" in sides:
                mine.append(session.ours(workload))
                say(f"  {workload.name} {repetition + 1}: ours {mine[-1].rate:.1f} tokens/s")
            theirs.append(session.peer(running, workload, setting))
            say(f"  {workload.name} {repetition + 1}: peer {theirs[-1].rate:.1f} tokens/s")
    return row(workload, mine, theirs, setting)


def try_settings(session: Session, workload: Workload) -> None:
    """Each setting of the peer once; keeps the rates, and with them the best."""
    rates = {}
    for setting in workload.settings:
        with peer_side.server_for(workload, setting, session.model, session.cores, session.folder) as running:
            session.warm_up(workload, running, setting)
            rates[setting.name] = round(session.peer(running, workload, setting).rate, 1)
            say(f"  {workload.name}, {setting.name}: {rates[setting.name]} tokens/s")
    settings.keep(workload, rates)


class Report:
    """build/bench-agents.json, as it grows."""

    def __init__(self, model: Path, cores: str) -> None:
        self.values: dict[str, Any] = {
            "commit": commit(), "machine": machine() | {"used_cores": cores}, "model": model.name,
            "flags": "ours: release preset, -O3; peer: Release, for this processor (its defaults)",
            "results": {}, "geometric_mean": None,
        }  # fmt: skip
        before = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
        if all(before.get(key) == self.values[key] for key in ("commit", "model")):
            self.values["results"] = before["results"]

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Prints and writes a row."""
        say(line(name, result))
        self.values["results"][name] = result
        ratios = [each["ratio"] for each in self.values["results"].values() if each["ratio"]]
        if ratios:
            mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
            self.values["geometric_mean"] = round(mean, 3)
        OUTPUT.write_text(json.dumps(self.values, indent=1) + "\n")


def line(name: str, result: dict[str, Any]) -> str:
    """A row of the table."""
    keys = ("ours", "peer", "ratio", "latency_ours_s", "latency_peer_s", "latency_ratio",
            "cpu_ratio")  # fmt: skip
    cells = "".join(f"{'-' if result[key] is None else format(result[key], '.2f'):>10}" for key in keys)
    return f"{name:22}{cells}"


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one repetition instead of three")
    parser.add_argument("--only", action="append", default=[], metavar="WORKLOAD",
                        choices=[workload.name for workload in WORKLOADS],
                        help="one workload; may be given several times")  # fmt: skip
    parser.add_argument("--ours", action="store_true", help="our side alone")
    parser.add_argument("--peer", action="store_true", help="the peer alone")
    parser.add_argument("--try-settings", action="store_true", help="choose the peer's settings anew")
    parser.add_argument("--model", type=Path, default=None, help="a GGUF file instead of the default model")
    parser.add_argument("--threads", type=int, default=0, help="so many cores; all when not given")
    parser.add_argument("--units", type=int, default=1000, metavar="N", help="at most so many units at once")
    parser.add_argument("--json", action="store_true", help="print the file's content on stdout")
    return parser.parse_args()


def main() -> int:
    """Measures, prints, writes build/bench-agents.json."""
    chosen = options()
    model = chosen.model or next((ours.BUILD / "share" / "pie" / "models").glob("*.gguf"))
    if not model.is_file():
        raise SystemExit(f"[--model] got {model}, expected a GGUF file")
    cores = sorted(os.sched_getaffinity(0))[: chosen.threads or None]
    os.sched_setaffinity(0, set(cores))
    pinned = ",".join(map(str, cores))
    workloads = [each for each in WORKLOADS if not chosen.only or each.name in chosen.only]
    sides = "ours" if chosen.ours else "peer" if chosen.peer or chosen.try_settings else "ours and peer"
    if "peer" in sides:
        packages.provide()
        peer.program("llama-server")
    with tempfile.TemporaryDirectory(prefix="pie-bench-") as name:
        folder = Path(name)
        server = ours.Server(pinned, folder / "pie", *(("--model", str(model)) if chosen.model else ()))
        try:
            session = Session(model, pinned, folder, server, 1 if chosen.quick else 3, chosen.units)
            if chosen.try_settings:
                for workload in workloads:
                    try_settings(session, workload)
                return 0
            report = Report(model, pinned)
            say(f"{'':22}" + "".join(f"{title:>10}" for title in TITLES))
            for workload in workloads:
                report.add(workload.name, measure(session, workload, sides))
        finally:
            server.stop()
    say(f"geometric mean of the throughputs' ratios: {report.values['geometric_mean']}")
    if chosen.json:
        print(json.dumps(report.values, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

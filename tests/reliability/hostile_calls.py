#!/usr/bin/env python3
"""Calls every host function with huge, repeated, nested, overlapping and invalid arguments, over and over.

Each case of call_cases.py runs in an instance of its own and is terminated while it is inside its call;
meanwhile another user generates tokens. Terminate is answered in time, the neighbour's tokens keep coming
(what a busy machine kept the server's threads waiting is not counted), instances end in documented ways, and
afterwards the server holds no more than before. Every function of wit/
and every interface of the host's sources is called, and each function returns at least once, unless
NEVER_RETURN says why not.

    python -m tests.reliability.hostile_calls [--short] [--only REGEX] [--table FILE] [--seed S]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import math
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tests.conftest import Server, free_port
from tests.reliability.call_cases import every_case, handler_cases
from tests.reliability.call_program import Case, Program
from tests.reliability.common import (
    DEADLINE_S,
    Event,
    Link,
    Tally,
    mib,
    owed_s,
    parser,
    run,
    server_figures,
    until,
    waits_for_cpu,
)
from tests.reliability.wit_types import Wit, interfaces_of_sources
from tests.wire import blake3_hex

ANSWERED_WITHIN_S = 2.0
GAP_S_MAX = 3.0
RSS_SLACK = 64 << 20
STUCK_MAX = 3
RETURNED_WITHIN_S = 3.0
SHORT_S = 20.0
AGAIN_MAX = 20
ENDS = {1: "completed", 2: "aborted", 3: "exception", 5: "out of resources"}
PROMPT = "Write a very long story about a river, in great detail."
CONFIG = """
http_allow = ["{authority}"]
kv_pages = 128
step_tokens_max = 64
[limits]
log_bytes_max = 4194304
output_bytes_max = 33554432
"""

NEVER_RETURN = (
    (r"inferlet:(actor|image)/", "not served"),
    (r"wasi:cli/exit#", "ends the instance"),
    (r"^wasm#", "an instruction that takes as long as the machine needs"),
    (r"wasi:filesystem/types#\[method\]descriptor\.", "no folder is open to programs"),
    (r"#\[resource-drop\](global-context|adapter|optimizer|descriptor|terminal-(in|out)put|"
     r"tcp-socket|resolve-address-stream)$", "nobody gets one"),
)  # fmt: skip


@dataclasses.dataclass
class Job:
    """A case of a program on the server."""

    program: Program
    hash: str
    number: int

    @property
    def case(self) -> Case:
        """What it is."""
        return self.program.cases[self.number]

    @property
    def name(self) -> str:
        """Of the case, for people."""
        return f"{self.case.function}, {self.case.label}"


@dataclasses.dataclass
class Outcome:
    """What one case did to the server."""

    job: Job
    returned: bool
    answered_s: float
    ended_s: float
    owed_s: float  # for so long the machine let no thread of the server run that could
    peak_bytes: int
    end: Event

    @property
    def late(self) -> bool:
        """Whether terminate, or the end after it, took too long."""
        return max(self.answered_s, self.ended_s) - self.owed_s > ANSWERED_WITHIN_S

    def row(self) -> str:
        """A line of the table."""
        said = ": ".join([ENDS.get(self.end.code, str(self.end)), *self.end.text.splitlines()[:1]])[:110]
        return (f"{self.answered_s * 1e3:7.0f} ms {self.ended_s * 1e3:7.0f} ms"
                f" {self.owed_s * 1e3:7.0f} ms {mib(self.peak_bytes):>11}"
                f"  {self.job.name}: {said}")  # fmt: skip


class Neighbour:
    """Another user, whose tokens keep coming; the longest time between two."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tokens = 0
        self.gaps: list[tuple[float, str]] = [(0.0, "")]  # seconds, the cases that ran in them
        self.now: set[str] = set()  # the cases that run
        self.since: set[str] = set()  # and those that ran since the last token
        self._last = time.monotonic()
        self._waits: dict[str, int] = {}

    def hear(self, id: str, event: Event) -> None:
        """Something was generated."""
        now, waits = time.monotonic(), waits_for_cpu(self.server)
        gap_s = now - self._last - owed_s(self._waits, waits)
        if gap_s > min(GAP_S_MAX, max(self.gaps)[0]):
            self.gaps.append((gap_s, "; ".join(sorted(self.since))))
        self._last, self._waits = now, waits
        self.since = set(self.now)
        self.tokens += 1
        self.link.events[id] = self.link.events[id][-1:]

    @contextlib.contextmanager
    def beside(self, name: str) -> Iterator[None]:
        """While a case runs."""
        self.now.add(name)
        self.since.add(name)
        try:
            yield
        finally:
            self.now.discard(name)

    async def talk(self) -> None:
        """Generates until it is cancelled."""
        self.link = await Link.open(self.server.url, "neighbour")
        id = await self.link.launch("text-completion", ["--prompt", PROMPT * 140, "--max-tokens", "1"])
        await self.link.end_of(id, 300)  # every page of the pool was used once
        self.link.on_event = self.hear
        try:
            while True:
                self._last, self._waits = time.monotonic(), waits_for_cpu(self.server)
                id = await self.link.launch("text-completion", ["--prompt", PROMPT, "--max-tokens", "1500"])
                event = await self.link.end_of(id, 600)
                if event.code != 1:
                    raise RuntimeError(f"the neighbour's program ended: {event}")
                self.link.events.clear()
        finally:
            await self.link.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server whose bodies never end, or break off."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        while b"/endless" in head:
            writer.write(b"x" * 65_536)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


class Caller:
    """Launches cases, terminates them, and keeps what came of it."""

    def __init__(self, tally: Tally, server: Server, neighbour: Neighbour, rng: random.Random,
                 dwell_s: float, table: TextIO | None) -> None:  # fmt: skip
        self.tally, self.server, self.neighbour = tally, server, neighbour
        self.rng, self.dwell_s, self.table = rng, dwell_s, table
        self.outcomes: list[Outcome] = []
        self.stuck = 0

    async def upload(self, program: Program, wasm: bytes) -> list[Job]:
        """Uploads a program; its jobs."""
        link = await Link.open(self.server.url, "hostile")
        answer = await link.upload(wasm)
        assert answer["successful"], answer
        await link.close()
        return [Job(program, blake3_hex(wasm), number) for number in range(len(program.cases))]

    async def launch(self, link: Link, job: Job) -> tuple[str, asyncio.StreamWriter | None]:
        """Launches a case; one of a handler is asked for by a request, whose connection stays open."""
        if not job.program.handler:
            return await link.launch(job.hash, [str(job.number)]), None
        port = free_port()
        answer = await link.call("launch_server_instance", port=port, inferlet=job.hash,
                                 arguments=[str(job.number)])  # fmt: skip
        assert answer["successful"], answer
        id = next(str(row["id"]) for row in await link.rows() if row["arguments"] == [str(job.number)]
                  and row["status"] == "Detached")  # fmt: skip
        await link.call("attach_instance", instance_id=id)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return id, writer

    async def dwell(self, link: Link, job: Job, events: list[Event]) -> None:
        """Lets a small case and a chosen one return once, and others be somewhere in their calls."""
        if job.case.label != "small" and not job.case.chosen:
            return await asyncio.sleep(self.dwell_s * self.rng.random())
        with contextlib.suppress(TimeoutError):
            await link.wait(lambda: any(one.text == "returned" for one in events), RETURNED_WITHIN_S)
        return None

    async def call(self, links: tuple[Link, Link], job: Job) -> None:
        """One case; the second link terminates, as the first may have much to read."""
        link, other = links
        self.server.forget_peak()
        id, request = await self.launch(link, job)
        events = link.events.setdefault(id, [])
        await link.wait(lambda: bool(events))
        self.tally.expect(events[0].kind == "message", f"{job.name}: not ready: {events[0]}")
        await self.dwell(link, job, events)
        waits = waits_for_cpu(self.server)
        began = time.monotonic()
        await other.call("terminate_instance", instance_id=id)
        answered = time.monotonic()
        end = await link.end_of(id)
        ended = time.monotonic()
        owed = owed_s(waits, waits_for_cpu(self.server))
        returned = any(event.text == "returned" for event in events)
        del link.events[id]
        if request is not None:
            request.close()
        outcome = Outcome(job, returned, answered - began, ended - began, owed,
                          self.server.peak_rss_bytes(), end)  # fmt: skip
        self.outcomes.append(outcome)
        self.tally.expect(end.code in ENDS, f"{job.name}: {end}")
        if self.table is not None:
            print(outcome.row(), file=self.table, flush=True)

    async def work(self, jobs: list[Job], until_s: float) -> None:
        """Takes one job after the other until that time."""
        while jobs and self.stuck < STUCK_MAX and time.monotonic() < until_s:
            links = await Link.open(self.server.url, "hostile"), await Link.open(self.server.url, "hostile")
            try:
                while jobs and time.monotonic() < until_s:
                    job = jobs.pop()
                    with self.neighbour.beside(job.name):
                        await self.call(links, job)
                    self.tally.alive(self.server)
            except (TimeoutError, ConnectionError) as failure:
                self.stuck += 1
                silent = Event("", f"stuck: {failure!r}", 2)
                self.outcomes.append(Outcome(job, False, DEADLINE_S, DEADLINE_S, 0, 0, silent))
                self.tally.alive(self.server)
            for link in links:
                await link.close()

    async def all(self, jobs: list[Job], at_once: int, seconds: float = math.inf) -> None:
        """All jobs, some at once, or as many as there is time for."""
        until_s = time.monotonic() + seconds
        await asyncio.gather(*(self.work(jobs, until_s) for _ in range(at_once)))

    async def again(self) -> None:
        """What was late, alone: another case beside it may have been the reason."""
        self.tally.expect(self.stuck < STUCK_MAX, "stopped after so many cases that were stuck")
        self.stuck = 0
        late = [one for one in self.outcomes if one.late]
        for one in late[:AGAIN_MAX]:
            self.outcomes.remove(one)
            self.tally.say(f"late beside another, again: {one.row()}")
        await self.work([one.job for one in late[:AGAIN_MAX]], math.inf)

    def judge(self) -> None:
        """The table, and what took too long."""
        for what, key in (("slowest", lambda one: -one.answered_s), ("largest", lambda one: -one.peak_bytes)):
            self.tally.say(f"the {what}: terminate answered, ended, owed by the machine, memory, case, end")
            for one in sorted(self.outcomes, key=key)[:10]:
                self.tally.say(one.row())
        times = sorted(one.answered_s for one in self.outcomes)
        self.tally.say(f"{len(times)} cases, terminate answered within {times[len(times) // 2] * 1e3:.1f} ms"
                       f" (median), {times[-1] * 1e3:.0f} ms (worst)")  # fmt: skip
        for one in self.outcomes:
            self.tally.expect(not one.late, f"terminated too late: {one.row()}")
        longest = max(self.neighbour.gaps)[0] * 1e3
        self.tally.say(f"neighbour: {self.neighbour.tokens} tokens, {longest:.0f} ms between two at most")
        for gap_s, beside in self.neighbour.gaps:
            text = f"the neighbour waited {gap_s:.1f} s for a token beside {beside}"
            self.tally.expect(gap_s < GAP_S_MAX, text)

    def complete(self, wit: Wit) -> None:
        """Every function was called, and returned at least once."""
        unknown = interfaces_of_sources() - {one.split("@")[0] for one in wit.interfaces}
        unknown -= {"inferlet:core/run", "wasi:http/incoming-handler", "wasi:cli/terminal-"}
        self.tally.expect(not unknown, f"served and neither in wit/ nor in wasi.wit: {unknown}")
        missing = set(wit.functions) - {one.job.case.function for one in self.outcomes}
        self.tally.expect(not missing, f"never called: {missing}")
        for function in sorted({one.job.case.function for one in self.outcomes}):
            returned = any(one.returned for one in self.outcomes if one.job.case.function == function)
            why = any(re.search(pattern, function) for pattern, _ in NEVER_RETURN)
            self.tally.expect(returned or why, f"{function} never returned")


def chosen(jobs: list[Job], only: str, short: bool, rng: random.Random) -> tuple[list[Job], list[Job]]:
    """The small cases, and the other ones that are run, the last first; each function has its turn early."""
    jobs = [job for job in jobs if re.search(only, job.name)]
    rng.shuffle(jobs)
    small = [job for job in jobs if job.case.label == "small"]
    others = [job for job in jobs if job.case.label != "small"]
    firsts = {job.case.function: job for job in others}
    if short:
        others.sort(key=lambda job: (job.case.chosen, firsts[job.case.function] is job))
    return small, others


async def attack(tally: Tally, rng: random.Random, folder: Path, given: argparse.Namespace) -> None:
    """Starts everything, runs the cases, compares before and after."""
    authority = f"127.0.0.1:{free_port()}"
    web = await asyncio.start_server(serve, "127.0.0.1", int(authority.split(":")[1]))
    wit = Wit(folder)
    (folder / "home").mkdir()
    (folder / "home" / "config.toml").write_text(CONFIG.format(authority=authority))
    server = Server(folder / "home")
    await asyncio.to_thread(server.start)
    try:
        neighbour = Neighbour(server)
        caller = Caller(tally, server, neighbour, rng, 0.05 if given.short else 0.2, given.table)
        jobs = []
        for world, cases in (("runner", every_case), ("handler", handler_cases)):
            program = cases(wit, authority, rng, 0 if given.short else 4)
            jobs += await caller.upload(program, wit.component(program.wat(), world))
        talking = asyncio.create_task(neighbour.talk())
        await until(lambda: neighbour.tokens > 20, "the neighbour is silent", 300)
        small, others = chosen(jobs, given.only, given.short, rng)
        tally.say(f"{len(wit.functions)} functions, {len(jobs)} cases")
        await caller.all(small, 4)
        idle = server_figures(server)  # with what every function leaves once
        await caller.all(others, 2, SHORT_S if given.short else math.inf)
        await caller.again()
        tally.expect(not talking.done(), "the neighbour ended")
        caller.judge()
        if not given.only:
            caller.complete(wit)
        await given_back(tally, server, idle)
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
        tally.alive(server)
        tally.expect(await asyncio.to_thread(server.stop) == 0, "stop failed", "crashed")
    finally:
        web.close()
        if server.process is not None and server.process.poll() is None:
            server.kill()


async def given_back(tally: Tally, server: Server, idle: dict[str, int]) -> None:
    """Memory, descriptors and threads are as before."""

    def left() -> dict[str, int]:
        now = server_figures(server)
        return {name: now[name] - idle[name] for name in now}

    def back() -> bool:
        more = left()
        return more["rss"] < RSS_SLACK and more["fds"] <= 2 and more["threads"] <= 2

    with contextlib.suppress(TimeoutError):
        await until(back, "", 20)
    more = left()
    tally.say(f"afterwards {mib(more['rss'])}, {more['fds']} descriptors, {more['threads']} threads more")
    tally.expect(back(), f"not given back: {more}", "leaked")


def main() -> int:
    """Runs the form that was asked for."""
    options = parser(__doc__)
    options.add_argument("--only", default="", help="cases whose function and kind this finds")
    options.add_argument("--table", type=argparse.FileType("w"), help="where each case gets its line")
    given = options.parse_args()

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        await attack(tally, rng, folder, given)

    return run("hostile_calls", given, body)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""`make soak`: many connections exchange numbered messages; memory stays, no event is lost or reordered.

Each connection talks to an echo of its own; every tenth one drops the connection now and then (by a reset
or a goodbye) and attaches again. Memory, descriptors and threads are read every second; after the warm-up
they must not grow. At the end everything is terminated and closed, and must be given back.

    python -m tests.reliability.soak [--short] [--connections N] [--seconds S] [--seed S]
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from tests.conftest import Server
from tests.reliability.common import FINAL, Event, Link, Tally, mib, parser, run, server_figures, until

CONNECT_AT_ONCE = 50
RSS_SLACK = 64 << 20


class Talker:
    """One client and its echo."""

    def __init__(self, soak: Soak, number: int) -> None:
        self.soak = soak
        self.user = f"soak{number % 20}"
        self.drops = number % 10 == 0
        self.id = ""
        self.sent = 0
        self.heard = 0  # messages 0 to heard - 1 came back
        self.next: int | None = 0  # of this connection; None: the first may repeat
        self.link: Link | None = None

    async def start(self) -> None:
        """Connects and launches."""
        self.link = await Link.open(self.soak.server.url, self.user)
        self.link.on_event = self.hear
        self.id = await self.link.launch("echo", detached=self.drops)
        if self.drops:
            await self.link.call("attach_instance", instance_id=self.id)

    def hear(self, id: str, event: Event) -> None:
        """Holds an echoed message against the order."""
        if event.kind == FINAL:
            return
        self.soak.events += 1
        number = int(event.text.split(" ", 1)[0])
        right = number <= self.heard if self.next is None else number == self.next
        if not right:
            self.soak.tally.add("lost", f"{id}: got {number}, expected {self.next}, heard {self.heard}")
        self.next = number + 1
        self.heard = max(self.heard, number + 1)
        assert self.link is not None
        self.link.events[id].clear()

    async def again(self) -> None:
        """Loses the connection and attaches anew."""
        assert self.link is not None
        if self.soak.rng.random() < 0.5:
            self.link.reset()
            await self.link.closed()
        else:
            await self.link.close()
        self.soak.reconnections += 1
        self.link = await Link.open(self.soak.server.url, self.user)
        self.link.on_event = self.hear
        self.next = None
        answer = await self.link.call("attach_instance", instance_id=self.id)
        self.soak.tally.expect(answer["successful"], f"{self.id}: {answer['message']}")

    async def talk(self) -> None:
        """Messages in bursts until the time is over."""
        assert self.link is not None
        rng = self.soak.rng
        while time.monotonic() < self.soak.end:
            for _ in range(rng.randrange(1, 6)):
                text = f"{self.sent} " + "x" * rng.randrange(200)
                self.sent += 1
                await self.link.send("signal_instance", instance_id=self.id, message=text)
            if self.drops and rng.random() < 0.05:
                await self.link.call("ping")  # what was sent has arrived
                await self.again()
            await self.link.wait(lambda: self.heard >= self.sent)
            await asyncio.sleep(rng.uniform(0, self.soak.pause_s))

    async def stop(self) -> None:
        """Ends the echo, hears its end, says goodbye."""
        assert self.link is not None
        answer = await self.link.call("terminate_instance", instance_id=self.id)
        self.soak.tally.expect(answer["successful"], f"{self.id}: {answer['result']}")
        await self.link.end_of(self.id)
        # A detached one is kept until a pong has proven the delivery: a goodbye is no proof.
        async with asyncio.timeout(60):
            while self.drops and any(row["id"] == self.id for row in await self.link.rows()):
                await asyncio.sleep(0.05)
        await self.link.close()


class Soak:
    """All talkers and the server's figures."""

    def __init__(self, tally: Tally, rng: random.Random, folder: Path) -> None:
        self.tally, self.rng = tally, rng
        self.server = Server(folder / "home")
        self.events = 0
        self.reconnections = 0
        self.end = 0.0
        self.pause_s = 0.0
        self.figures: list[dict[str, int]] = []

    async def all(self, talkers: list[Talker], method: str) -> None:
        """Calls a method of each, a bounded number at once."""
        gate = asyncio.Semaphore(CONNECT_AT_ONCE)

        async def one(talker: Talker) -> None:
            async with gate:
                await getattr(talker, method)()

        await asyncio.gather(*(one(talker) for talker in talkers))

    async def watch(self) -> None:
        """Reads the figures every second."""
        while time.monotonic() < self.end:
            self.figures.append(server_figures(self.server))
            await asyncio.sleep(1)

    def judge(self, idle: dict[str, int], after: dict[str, int], connections: int) -> None:
        """Steady in between, given back at the end."""
        warm = self.figures[len(self.figures) // 3]
        last = self.figures[-1]
        for name, figures in (("idle", idle), ("warm", warm), ("last", last), ("after", after)):
            self.tally.say(f"{name}: {mib(figures['rss'])}, {figures['fds']} descriptors,"
                           f" {figures['threads']} threads")  # fmt: skip
        grown = last["rss"] - warm["rss"]
        self.tally.expect(grown < max(RSS_SLACK, warm["rss"] // 10), f"memory grew by {mib(grown)}", "leaked")
        more = last["fds"] - warm["fds"]
        self.tally.expect(more < connections // 10 + 20, f"{more} more descriptors", "leaked")
        self.tally.expect(last["threads"] <= warm["threads"], "more threads", "leaked")
        self.tally.expect(after["fds"] <= idle["fds"] + 5, "descriptors not given back", "leaked")
        self.tally.expect(after["threads"] <= idle["threads"] + 2, "threads not given back", "leaked")

    async def main(self, connections: int, seconds: float) -> None:
        """Connect, talk, watch, end."""
        await asyncio.to_thread(self.server.start)
        first = await Link.open(self.server.url, "warm-up")
        await first.end_of(await first.launch("hello"))
        await first.close()
        idle = server_figures(self.server)
        talkers = [Talker(self, n) for n in range(connections)]
        await self.all(talkers, "start")
        self.pause_s = connections / 500
        self.end = time.monotonic() + seconds
        await asyncio.gather(self.watch(), *(talker.talk() for talker in talkers))
        for talker in talkers:
            self.tally.expect(talker.heard == talker.sent, f"{talker.id}: {talker.heard} of {talker.sent}")
        await self.all(talkers, "stop")
        self.tally.say(f"{connections} connections, {seconds:.0f} s, {self.events} events,"
                       f" {self.reconnections} reconnections")  # fmt: skip
        try:
            await until(lambda: server_figures(self.server)["fds"] <= idle["fds"] + 5, "", 20)
        except TimeoutError:
            pass
        self.judge(idle, server_figures(self.server), connections)
        self.tally.alive(self.server)
        folder = self.server.home / "instances"
        try:
            await until(lambda: not any(folder.iterdir()), "", 20)
        except TimeoutError:
            left = [f"{path.name}: {path.stat().st_size}" for path in folder.iterdir()]
            self.tally.add("leaked", f"{len(left)} logs of instances that are gone: {left[:3]}")
        self.tally.expect(await asyncio.to_thread(self.server.stop) == 0, "stop failed", "crashed")


def main() -> int:
    """Runs the form that was asked for."""
    options = parser(__doc__)
    options.add_argument("--connections", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=600)
    chosen = options.parse_args()
    if chosen.short:
        chosen.connections, chosen.seconds = 200, 10

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        soak = Soak(tally, rng, folder)
        try:
            await soak.main(chosen.connections, chosen.seconds)
        finally:
            if soak.server.process is not None and soak.server.process.poll() is None:
                soak.server.kill()

    return run("soak", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

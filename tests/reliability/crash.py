#!/usr/bin/env python3
"""`make crash`: kill -9 at random moments under load; after each restart nothing promised is missing.

Under load are uploads (with and without manifests), detached instances that work and print, instances
that echo messages, and a kvs. Acknowledged uploads must be there and intact; an instance that was seen
Finished must give its whole log and result; what an instance said before the kill must come as a prefix
in order; an event that a client received and did not confirm may come again, and none is skipped.

    python -m tests.reliability.crash [--short] [--kills N] [--seed S]
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
import sys
from pathlib import Path

from tests.conftest import Server
from tests.probe import hexed
from tests.reliability.common import FINAL, Event, Link, Tally, parser, program, run, unique_program, until
from tests.wire import blake3_hex

COMPLETED, SERVER_ERROR = 1, 4
REPORT = re.compile(r"progress (\d+): ")


@dataclasses.dataclass
class Expected:
    """One detached instance: what its owner has heard of it so far."""

    id: str
    kind: str  # "worker" or "echo"
    heard: int = 0  # events 0 to heard - 1 were received
    finished: bool = False  # the list said so before a kill
    interrupted: bool = False  # a kill came before the list said so
    end: Event | None = None
    replay_next: int | None = None  # during an attach: the next event's number

    def begin_replay(self) -> None:
        """A new attach: it may repeat events."""
        self.replay_next = None

    def number(self, event: Event) -> int:
        """An event's place in the instance's order, -1 when it makes no sense."""
        if self.kind == "echo":
            return int(event.text[1:]) if event.text.startswith("m") else -1
        found = REPORT.match(event.text)
        return -1 if not found else 2 * (int(found[1]) - 1) + (event.kind == "message")

    def take(self, event: Event, tally: Tally) -> None:
        """Holds one received event against what came before."""
        if event.kind == FINAL:
            self.end = event
            total = re.search(r"(\d+) reports$", event.text)
            if event.code == COMPLETED and self.kind == "worker":
                count = 2 * int(total[1]) if total else -1
                tally.expect(self.heard == count, f"{self.id}: heard {self.heard} of {count} events")
            elif self.finished:
                tally.add("lost", f"{self.id}: was Finished, now ends with {event}")
            else:
                tally.expect(event.code == SERVER_ERROR and "server restarted" in event.text,
                             f"{self.id}: ended with {event}")  # fmt: skip
            return
        number = self.number(event)
        first = self.replay_next is None
        tally.expect(
            number >= 0 and (number <= self.heard if first else number == self.replay_next),
            f"{self.id}: got event {number} ({event}), expected {self.replay_next}, heard {self.heard}",
        )
        self.replay_next = number + 1
        self.heard = max(self.heard, number + 1)


class Crash:
    """The load, the kills and the checks."""

    def __init__(self, tally: Tally, rng: random.Random, folder: Path) -> None:
        self.tally, self.rng = tally, rng
        self.server = Server(folder / "home")
        self.wasm = program("hello")
        self.uploaded: dict[str, str] = {}  # hash -> name, "" without a manifest
        self.unchecked: set[str] = set()
        self.instances: dict[str, Expected] = {}
        self.kvs: dict[str, str] = {}
        self.kvs_tried: dict[str, str] = {}  # sent, not acknowledged
        self.counter = 0
        self.kills = 0
        self.counts = {"uploads": 0, "instances": 0, "logs": 0, "events": 0, "values": 0}

    async def load_uploads(self) -> None:
        """Uploads one program after the other; each is worth something once acknowledged."""
        link = await Link.open(self.server.url, "crash")
        while True:
            self.counter += 1
            wasm = unique_program(self.wasm, f"crash-{self.counter}")
            name = f"crash/p{self.counter}" if self.rng.random() < 0.5 else ""
            manifest = f'[package]\nname = "{name}"\nversion = "1.0.0"\n' if name else None
            answer = await link.upload(wasm, manifest)
            if not answer["successful"]:
                return self.tally.add("lost", f"upload refused: {answer['result']}")
            self.uploaded[blake3_hex(wasm)] = name
            self.unchecked.add(blake3_hex(wasm))
            self.counts["uploads"] += 1

    def hear(self, id: str, event: Event) -> None:
        """An event of an attached instance came."""
        if id in self.instances:
            self.counts["events"] += 1
            self.instances[id].take(event, self.tally)

    async def load_workers(self) -> None:
        """Launches detached workers; asks which of them have finished."""
        link = await Link.open(self.server.url, "crash")
        while True:
            seconds = f"{self.rng.uniform(0.02, 0.8):.3f}"
            id = await link.launch("long-running-task", ["--seconds", seconds, "--every", "0.01"], True)
            self.instances[id] = Expected(id, "worker")
            self.counts["instances"] += 1
            for row in await link.rows():
                one = self.instances.get(row["id"])
                if one and row["status"] == "Finished" and not one.interrupted:
                    one.finished = True
            await asyncio.sleep(self.rng.uniform(0, 0.1))

    async def load_echo(self) -> None:
        """Talks to a detached echo, attached for some of the time."""
        link = await Link.open(self.server.url, "crash")
        link.on_event = self.hear
        id = await link.launch("echo", detached=True)
        one = self.instances[id] = Expected(id, "echo")
        self.counts["instances"] += 1
        attach_at = self.rng.randrange(30)
        for n in range(1_000_000):
            if n == attach_at:
                await link.call("attach_instance", instance_id=id)
            await link.send("signal_instance", instance_id=id, message=f"m{n}")
            if n % 7 == 0:
                await link.call("ping")
            if n > attach_at:
                await link.wait(lambda n=n: one.heard >= n - 20)  # type: ignore[misc]

    async def load_replays(self) -> None:
        """Attaches to older instances, to be killed in the middle of it."""
        link = await Link.open(self.server.url, "crash")
        link.on_event = self.hear
        for one in list(self.instances.values()):
            if (one.finished or one.interrupted) and one.end is None and self.rng.random() < 0.5:
                await self.replay(link, one)

    async def load_kvs(self) -> None:
        """Sets values; each is worth something once the program has said so."""
        link = await Link.open(self.server.url, "crash")
        await link.upload(program("probe"))
        id = await link.launch(blake3_hex(program("probe")))
        for n in range(1_000_000):
            self.counter += 1
            key, value = f"k{n % 20}", f"v{self.counter}"
            self.kvs_tried[key] = value
            await link.send("signal_instance", instance_id=id,
                            message=f"kvs-set {hexed(key)} {hexed(value)}")  # fmt: skip
            await link.wait(lambda n=n: len(link.events.get(id, [])) > n)  # type: ignore[misc]
            self.tally.expect(link.events[id][n].text.startswith("ok"), f"kvs-set: {link.events[id][n]}")
            self.kvs[key] = self.kvs_tried.pop(key)
            self.counts["values"] += 1

    async def replay(self, link: Link, one: Expected) -> None:
        """Attaches and takes what comes until the end; the instance is done with."""
        one.begin_replay()
        answer = await link.call("attach_instance", instance_id=one.id)
        if not answer["successful"]:
            self.tally.expect(one.end is not None, f"{one.id}: {answer['message']}, its end not heard")
            self.instances.pop(one.id, None)
            return
        await link.end_of(one.id)
        self.counts["logs"] += 1

    async def check(self) -> None:
        """After a restart: everything that was acknowledged before."""
        link = await Link.open(self.server.url, "crash")
        link.on_event = self.hear
        some = self.rng.sample(sorted(self.uploaded), min(20, len(self.uploaded)))
        for hash in sorted({*self.unchecked, *some}):
            exists = await link.query("program_exists", hash)
            self.tally.expect(exists == "true", f"program {hash} is gone")
            if name := self.uploaded[hash]:
                exists = await link.query("program_exists", f"{name}@1.0.0#{hash}")
                self.tally.expect(exists == "true", f"name {name} is gone")
        self.unchecked.clear()
        if self.uploaded:
            hash = self.rng.choice(sorted(self.uploaded))
            end = await link.end_of(await link.launch(hash))
            self.tally.expect(end.code == COMPLETED, f"program {hash} does not run: {end}")
        for one in list(self.instances.values()):
            if self.rng.random() < 0.9:  # the rest is for a later round
                await self.replay(link, one)
        await self.check_kvs(link)
        await link.close()

    async def check_kvs(self, link: Link) -> None:
        """Each key has the value acknowledged last, or the one that was under way."""
        await link.upload(program("probe"))
        id = await link.launch(blake3_hex(program("probe")))
        for n, (key, value) in enumerate(sorted(self.kvs.items())):
            await link.send("signal_instance", instance_id=id, message=f"kvs-get {hexed(key)}")
            await link.wait(lambda n=n: len(link.events.get(id, [])) > n)  # type: ignore[misc]
            got = bytes.fromhex(link.events[id][n].text.split()[-1]).decode()
            self.tally.expect(got in (value, self.kvs_tried.get(key)), f"kvs {key}: {got}, not {value}")
            self.kvs[key] = got
        self.kvs_tried.clear()
        await link.call("terminate_instance", instance_id=id)

    async def round(self) -> None:
        """Load, kill -9, restart, check."""
        loads = [self.load_uploads(), self.load_workers(), self.load_echo(), self.load_echo(),
                 self.load_replays(), self.load_kvs()]  # fmt: skip
        tasks = [asyncio.create_task(load) for load in loads]
        await asyncio.sleep(self.rng.uniform(0.02, 1.5))
        self.tally.alive(self.server)
        self.server.kill()
        for one in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(one, Exception) and not isinstance(one, (ConnectionError, OSError)):
                raise one
        # Not before: answers that came before the kill were still to be read.
        for instance in self.instances.values():
            instance.interrupted = not instance.finished
        await asyncio.to_thread(self.server.start)
        await self.check()

    async def main(self, kills: int) -> None:
        """All rounds."""
        self.kills = kills
        await asyncio.to_thread(self.server.start)
        for n in range(kills):
            await self.round()
            if n % 20 == 19:
                self.tally.say(f"{n + 1} kills, {self.counts}")
        self.tally.say(f"{kills} kills; acknowledged or heard, and checked: {self.counts}")
        await self.leftovers()
        self.tally.expect(await asyncio.to_thread(self.server.stop) == 0, "stop failed", "crashed")

    async def leftovers(self) -> None:
        """What is on the disk belongs to something."""
        link = await Link.open(self.server.url, "crash")
        for one in list(self.instances.values()):
            await self.replay(link, one)
        for row in await link.rows():
            await link.call("terminate_instance", instance_id=row["id"])
        await link.close()

        def logs() -> list[Path]:
            return list((self.server.home / "instances").iterdir())

        try:
            await until(lambda: not logs(), "logs of no instance", 20)
        except TimeoutError:
            self.tally.add("leaked", f"{len(logs())} logs of no instance, such as {logs()[0]}")
        spools = list((self.server.home / "run" / "spool").iterdir())
        self.tally.expect(not spools, f"{len(spools)} spools of no upload", "leaked")
        files = {path.stem for path in (self.server.home / "programs").rglob("*") if path.is_file()}
        foreign = files - set(self.uploaded) - {blake3_hex(program("probe"))}
        self.tally.expect(len(foreign) <= self.kills, f"{len(foreign)} foreign files: {foreign}", "leaked")


def main() -> int:
    """Runs the kills that were asked for."""
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=200)
    chosen = options.parse_args()
    kills = 8 if chosen.short else chosen.kills

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        crash = Crash(tally, rng, folder)
        try:
            await crash.main(kills)
        finally:
            if crash.server.process is not None and crash.server.process.poll() is None:
                crash.server.kill()

    return run("crash", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

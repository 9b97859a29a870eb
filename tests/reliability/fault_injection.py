#!/usr/bin/env python3
"""Calls of the C library fail under load, one kind at a time: memory, mappings, files, the disk, threads.

A library of ours (tests/support/fault_injection.c) makes the N-th call of a kind fail, or every one of
them for a while; descriptors are taken away by the limit of the process. Two users work meanwhile. Each
failure ends in an answer or an end that names its true cause, for those concerned; the server lives; once
nothing fails any more everything works again, what was acknowledged is there (after a restart, too), and
memory, descriptors and threads are back.

Memory fails from 1 MiB on, which is what a client or a program can make the server ask for at once; small
allocations fail for good only where the machine has nothing left, and wasmtime's own ones end the process by
Rust's design: both are outside of what a server can promise.

    python -m tests.reliability.fault_injection [--short] [--only KIND] [--seed S]
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import errno
import mmap
import random
import re
import resource
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.conftest import ROOT, Server
from tests.probe import hexed
from tests.reliability.client_messages import FORM, padded
from tests.reliability.common import (
    FINAL,
    Event,
    Link,
    Tally,
    mib,
    parser,
    program,
    run,
    server_figures,
    until,
)
from tests.wire import blake3_hex

COMPLETED, EXCEPTION, SERVER_ERROR, OUT_OF_RESOURCES = 1, 3, 4, 5
OP_DEADLINE_S = 60.0
RSS_SLACK, FDS_SLACK, THREADS_SLACK = 64 << 20, 2, 0
ALWAYS = 1 << 40
CHAT = ["--prompt", "Say hi.", "--max-tokens", "4", "--temperature", "0"]
BLOB = bytes(range(256)) * 24_576  # 6 MiB: it goes to the disk


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of failing call."""

    bit: int  # as in fault_injection.c; 0: by the limit of descriptors
    number: int
    least_bytes: int
    cause: str  # what a refusal says


KINDS = {
    "memory": Kind(1, errno.ENOMEM, 1 << 20, r"memory|allocat|bad_alloc"),
    "mappings": Kind(2, errno.ENOMEM, 1, r"memory|map"),
    "open": Kind(4, errno.EMFILE, 0, r"too many open files|unable to open"),
    "write": Kind(8, errno.ENOSPC, 0, r"no space|room on the disk|disk is full"),
    "write-error": Kind(8, errno.EIO, 0, r"input/output error|disk I/O error"),
    "sync": Kind(16, errno.EIO, 0, r"input/output error|disk I/O error"),
    "threads": Kind(32, errno.EAGAIN, 0, r"resource temporarily unavailable|thread"),
    "rename": Kind(64, errno.ENOSPC, 0, r"no space|room on the disk|disk is full"),
    "descriptors": Kind(0, errno.EMFILE, 0, r"too many open files|unable to open"),
}


class Faults:
    """The page that the library reads; see struct Control there."""

    def __init__(self, folder: Path) -> None:
        self.library, page = folder / "faults.so", folder / "faults.page"
        source = ROOT / "tests" / "support" / "fault_injection.c"
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", str(self.library), str(source), "-ldl"], check=True
        )
        page.write_bytes(bytes(4096))
        self.environment = {"LD_PRELOAD": str(self.library), "PIE_FAULTS": str(page)}
        with page.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def arm(self, kind: Kind, path: str, skip: int = 0, count: int = ALWAYS, one_in: int = 1) -> None:
        """From now on calls of this kind fail."""
        self.disarm()
        self.page[64:256] = path.encode().ljust(192, b"\0")
        fields = (skip, count, kind.number, kind.least_bytes, one_in, 0, 0)
        self.page[8:64] = struct.pack("<7q", *fields)
        self.page[0:8] = struct.pack("<q", kind.bit)

    def disarm(self) -> None:
        """Nothing fails any more."""
        self.page[0:8] = bytes(8)

    @property
    def failed(self) -> int:
        """Calls that failed since arm()."""
        return int(struct.unpack("<q", self.page[56:64])[0])


NO_MEMORY = 1013  # "try again later": there was no memory for a message; what was acknowledged stays


class Refused(Exception):
    """A documented error: an answer that says no, or an end by the server's fault or for want of room."""


class Wrong(AssertionError):
    """What the server must not do, whatever fails."""


class User:
    """One user's doings; each either works, is Refused, or is Wrong."""

    def __init__(self, name: str, link: Link) -> None:
        self.name, self.link = name, link
        self.probe = ""
        self.programs: set[str] = set()  # acknowledged
        self.values: dict[str, set[str]] = {}  # key -> the acknowledged one, and those tried since
        self.finished: dict[str, str] = {}  # detached and not fetched: id -> its greeting
        self.counter = 0
        self.doings: dict[str, Callable[[], Awaitable[None]]] = {
            "attached": self.attached, "detached": self.detached, "upload": self.upload, "blob": self.blob,
            "message": self.message, "value": self.value, "chat": self.chat,
            "compile": self.compiled, "list": self.list,
        }  # fmt: skip

    async def do(self, name: str) -> None:
        """One of the doings, in time."""
        try:
            await asyncio.wait_for(self.doings[name](), OP_DEADLINE_S)
        except TimeoutError:
            raise Wrong(f"{self.name}: {name} was not answered") from None
        except ConnectionError as lost:
            if self.link.socket.close_code == NO_MEMORY:
                raise Refused(str(self.link.socket.close_reason)) from None
            raise Wrong(f"{self.name}: {name} lost its connection: {lost}") from None

    def taken(self, answer: dict[str, object]) -> str:
        """The text of an answer that says yes."""
        text = str(answer.get("result", answer.get("message")))
        if not answer["successful"]:
            raise Refused(text)
        return text

    async def end(self, id: str, what: str) -> str:
        """An instance completes; what it printed."""
        end = await self.link.end_of(id)
        said = "".join(event.text for event in self.link.events.pop(id) if event.kind == "out")
        if end.code in (SERVER_ERROR, OUT_OF_RESOURCES):
            raise Refused(end.text)
        if end.code == EXCEPTION and FORM.search(end.text.removeprefix("Runtime error: ")):
            raise Refused(end.text)
        if end.code != COMPLETED:
            raise Wrong(f"{self.name}: {what} ended with {end}")
        return said

    async def launch(self, program: str, arguments: list[str], detached: bool = False) -> str:
        """The id of a new instance."""
        fields = {"inferlet": program, "arguments": arguments, "detached": detached}
        return self.taken(await self.link.call("launch_instance", **fields))

    async def attached(self) -> None:
        """A program prints and ends."""
        self.counter += 1
        id = await self.launch("hello", [f"{self.name} {self.counter}"])
        said = await self.end(id, "hello")
        if said.strip() == "":
            raise Wrong(f"{self.name}: hello completed and said {said!r}")

    async def detached(self) -> None:
        """The same, while nobody listens; then its log is fetched."""
        id = await self.launch("hello", [], detached=True)
        self.finished[id] = "hello"
        async with asyncio.timeout(OP_DEADLINE_S):
            while not any(r["id"] == id and r["status"] == "Finished" for r in await self.link.rows()):
                await asyncio.sleep(0.01)
        if self.counter % 2:  # others are fetched after all failures, or after a restart
            await self.fetch(id)

    async def fetch(self, id: str) -> None:
        """The log of a finished one: whole, or its end says why not."""
        self.taken(await self.link.call("attach_instance", instance_id=id))
        self.finished.pop(id)
        said = await self.end(id, "a detached hello")
        if said.strip() == "":
            raise Wrong(f"{self.name}: the log of {id} was {said!r}")

    async def upload(self) -> None:
        """A program of its own; from its acknowledgement on it is there."""
        self.counter += 1
        wasm = padded(program("hello"), 80_000, f"{self.name} {self.counter} ".encode())
        self.taken(await self.link.upload(wasm))
        self.programs.add(blake3_hex(wasm))

    async def compiled(self) -> None:
        """A larger program is uploaded, compiled and run."""
        self.counter += 1
        wasm = padded(program("hello"), 2_500_000, f"{self.name} {self.counter} ".encode())
        hash = self.taken(await self.link.upload(wasm))
        self.programs.add(hash)
        await self.end(await self.launch(hash, []), "an uploaded program")

    async def ask(self, command: str) -> str:
        """A command of the user's probe, which is launched again when it has ended."""
        if not self.probe:
            self.taken(await self.link.upload(program("probe")))
            self.probe = await self.launch(blake3_hex(program("probe")), [])
        events = self.link.events.setdefault(self.probe, [])
        count = len(events)
        if self.link.ended(self.probe) is None:
            answer = await self.link.call("signal_instance", instance_id=self.probe, message=command)
            if answer["result"] != "Instance not found":  # else its end says why
                self.taken(answer)
            await self.link.wait(lambda: len(events) > count)
        event: Event = events[count] if len(events) > count else events[-1]
        if event.kind == FINAL:
            self.probe = ""
            if event.code not in (SERVER_ERROR, OUT_OF_RESOURCES, EXCEPTION):
                raise Wrong(f"{self.name}: {command[:20]} ended the probe with {event}")
            raise Refused(event.text)
        if event.text != "none" and not event.text.startswith("ok"):
            raise Refused(event.text)
        return event.text.removeprefix("ok").strip()

    async def forget_probe(self) -> None:
        """The next command goes to a new one."""
        if self.probe:
            await self.link.call("terminate_instance", instance_id=self.probe)
        self.probe = ""

    async def value(self) -> None:
        """A value of the key-value store is set and read."""
        self.counter += 1
        key, fresh = f"k{self.counter % 5}", f"v{self.counter}"
        self.values.setdefault(key, {""}).add(fresh)
        await self.ask(f"kvs-set {hexed(key)} {hexed(fresh)}")
        self.values[key] = {fresh}
        await self.kept(key)

    async def kept(self, key: str) -> None:
        """What was acknowledged is there."""
        got = await self.ask(f"kvs-get {hexed(key)}")
        text = "" if got == "none" else bytes.fromhex(got.split()[-1].removeprefix("-")).decode()
        if text not in self.values[key]:
            raise Wrong(f"{self.name}: {key} is {text!r}, not one of {self.values[key]}")

    async def blob(self) -> None:
        """A blob that waits on the disk reaches the probe whole."""
        await self.ask("version")
        answer = await self.link.upload_blob(self.probe, BLOB)
        if answer["result"] == "Instance not found":  # then its end says why
            await self.ask("version")
        self.taken(answer)
        got = await self.ask("receive-blob")
        size = await self.ask("blob-size")
        await self.ask("drop-blob")
        if size.split()[-1] != str(len(BLOB)):
            raise Wrong(f"{self.name}: the blob has {size} bytes ({got})")

    async def message(self) -> None:
        """A large message goes to a program and comes back."""
        id = await self.launch("echo", [])
        text = f"{self.counter}" + "x" * 3_000_000
        answer = await self.link.call("signal_instance", instance_id=id, message=text)
        if not answer["successful"]:
            await self.link.call("terminate_instance", instance_id=id)
            end = await self.link.end_of(id)
            raise Refused(end.text if answer["result"] == "Instance not found" else answer["result"])
        await self.link.wait(lambda: bool(self.link.events.get(id)))
        said = self.link.events[id][0]
        if said.kind == FINAL:
            raise Wrong(f"{self.name}: echo ended: {await self.end(id, 'echo')}")
        if said.text != text:
            raise Wrong(f"{self.name}: a message of {len(text)} came back as one of {len(said.text)}")
        await self.link.call("terminate_instance", instance_id=id)

    async def chat(self) -> None:
        """The model answers, and always the same."""
        said = await self.end(await self.launch("text-completion", CHAT), "text-completion")
        if not said.strip():
            raise Wrong(f"{self.name}: the model said {said!r}")

    async def list(self) -> None:
        """Lists and queries."""
        await self.link.rows()
        await self.link.query("model_status")


class Injection:
    """The kinds, one after the other, and what must hold after each."""

    def __init__(
        self, tally: Tally, rng: random.Random, server: Server, faults: Faults, is_short: bool
    ) -> None:
        self.tally, self.rng, self.server, self.faults, self.is_short = tally, rng, server, faults, is_short
        self.users: list[User] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.home = str(server.home)

    def arm(self, kind: Kind, skip: int = 0, count: int = ALWAYS, one_in: int = 1) -> None:
        """By the library, or by the limit of descriptors."""
        if kind.bit:
            return self.faults.arm(kind, self.home, skip, count, one_in)
        used = server_figures(self.server)["fds"]
        hard = resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE)[1]
        return resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (used + skip, hard)) and None

    def disarm(self) -> None:
        """Everything may work again."""
        self.faults.disarm()
        hard = resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (hard, hard))

    async def attempt(self, user: User, doing: str, kind: Kind | None) -> bool:
        """One doing; whether it was refused (in words that name the cause)."""
        self.counts["doings"] += 1
        try:
            await user.do(doing)
            return False
        except Refused as refused:
            self.counts["refused"] += 1
            text = str(refused)
            if kind is None:
                self.tally.add("lost", f"{doing} of {user.name} refused though nothing fails: {text[:300]}")
            elif not re.search(kind.cause, text, re.I):
                self.tally.add("lost", f"{doing} of {user.name}: the cause is not named: {text[:300]}")
            await self.connected(user)
            return True
        except Wrong as wrong:
            self.tally.add("lost", f"{doing} ({kind and kind.cause}): {wrong}")
            await self.connected(user)
            return False

    async def connected(self, user: User) -> None:
        """A user who has lost the connection opens another one."""
        try:
            if user.link.lost.is_set():
                user.link, user.probe = await Link.open(self.server.url, user.name), ""
        except OSError:
            pass  # the server has ended, which revive() counts

    async def nth(self, kind: Kind, doing: str, calls_max: int) -> None:
        """The first call fails, then the second, ... until there are no more; a neighbour works beside it."""
        user, neighbour = self.users
        for n in range(calls_max):
            self.arm(kind, skip=n, count=1)
            beside = self.rng.choice(["attached", "chat", "list"])
            refused = await asyncio.gather(
                self.attempt(user, doing, kind), self.attempt(neighbour, beside, kind)
            )
            failed = self.faults.failed
            self.disarm()
            await self.revive(f"{doing}, call {n}")
            self.counts["failures"] += failed
            self.tally.expect(
                sum(refused) <= max(failed, 1), f"{doing}: one failure, {sum(refused)} refusals"
            )
            if kind.bit and failed == 0:
                return

    def some_doings(self, count: int) -> list[str]:
        """In the short form so many, else all, in any order."""
        doings = list(self.users[0].doings)
        return self.rng.sample(doings, count if self.is_short else len(doings))

    async def burst(self, kind: Kind, one_in: int, rounds: int) -> None:
        """Everything of that kind fails (or some of it) while both users do everything."""
        self.arm(kind, one_in=one_in)

        async def all_of(user: User) -> None:
            for _ in range(rounds):
                for doing in self.some_doings(5):
                    await self.attempt(user, doing, kind)

        await asyncio.gather(*(all_of(user) for user in self.users))
        self.counts["failures"] += self.faults.failed
        self.disarm()
        await self.revive("all at once")

    async def revive(self, when: str) -> None:
        """A server that ended is counted and started again, so that the other failures are seen, too."""
        assert self.server.process is not None
        if self.server.process.poll() is not None:
            self.tally.say(f"{when}:")
            self.tally.alive(self.server)
            await asyncio.to_thread(self.server.start)
        if any(user.link.lost.is_set() for user in self.users):
            await self.connect()

    async def start_fails(self, name: str, skip: int) -> bool:
        """A start during which one call fails: it works, or ends and says why. False: no call was left."""
        kind, server = KINDS[name], Server(self.server.home.with_name("start"))
        server.environment = self.faults.environment
        self.faults.arm(kind, str(server.home), skip, 1)
        try:
            await asyncio.to_thread(server.start)
        except RuntimeError as failure:
            assert server.process is not None
            text = str(failure)
            self.counts["starts refused"] += 1
            is_right = server.process.returncode == 1 and re.search(kind.cause, text, re.I)
            self.tally.expect(bool(is_right), f"start, {name} {skip}: exit code {server.process.returncode},"
                                              f" {text[-300:]}", "crashed")  # fmt: skip
        else:
            self.tally.expect(
                await asyncio.to_thread(server.stop) == 0, f"{name} {skip}: stop failed", "crashed"
            )
        server.log.unlink()
        self.counts["starts"] += 1
        return self.faults.failed > 0

    async def starts(self, name: str) -> None:
        """The N-th call fails while a server starts; in the short form some of them."""
        one = random.Random(f"{self.tally.seed} {name}").randrange(16)
        for skip in [one] if self.is_short else range(200):
            if not await self.start_fails(name, skip):
                break
        self.faults.disarm()

    async def sound(self, when: str) -> None:
        """Nothing fails: every doing works, and what was acknowledged is there."""
        for user in self.users:
            await user.forget_probe()  # what failed may have ended it
            for doing in user.doings if user is self.users[0] or not self.is_short else ["attached"]:
                await self.attempt(user, doing, None)
            for hash in self.rng.sample(sorted(user.programs), min(8, len(user.programs))):
                exists = await user.link.query("program_exists", hash)
                self.tally.expect(exists == "true", f"{when}: program {hash} of {user.name} is gone")
            try:
                for key in user.values:
                    await user.kept(key)
                for id in list(user.finished):
                    await self.fetched(user, id)
            except (Wrong, Refused) as wrong:
                self.tally.add("lost", f"{when}: {wrong}")

    async def fetched(self, user: User, id: str) -> None:
        """A log that was not fetched: whole, or its instance was ended for a cause."""
        try:
            await user.fetch(id)
        except Refused as refused:
            self.tally.expect(any(re.search(kind.cause, str(refused), re.I) for kind in KINDS.values()),
                              f"a detached one: {refused}")  # fmt: skip

    async def figures(self, floor: dict[str, int] | None = None) -> dict[str, int]:
        """Of the server, when nobody does anything."""
        for user in self.users:
            while rows := await user.link.rows():  # one that runs is ended first, and then gone
                for row in rows:
                    await user.link.call("terminate_instance", instance_id=row["id"])
            user.probe = ""
        if floor is not None:
            slack = floor["fds"] + FDS_SLACK
            try:
                await until(lambda: server_figures(self.server)["fds"] <= slack, "", 20)
            except TimeoutError:
                pass
        return server_figures(self.server)

    async def one(self, name: str) -> None:
        """All of one kind."""
        kind, before, counts = KINDS[name], await self.figures(), dict(self.counts)
        doings = self.some_doings(3)
        for doing in doings:
            await self.nth(kind, doing, 2 if self.is_short else 40)
        if kind.bit:
            await self.starts(name)
        for one_in in (1,) if self.is_short else (1, 3):
            await self.burst(kind, one_in, 1 if self.is_short else 6)
        await self.sound(f"after {name}")
        after = await self.figures(before)
        made = {key: value - counts.get(key, 0) for key, value in self.counts.items()}
        grown = {key: after[key] - before[key] for key in before}
        self.tally.say(f"{name}: {made}; grew by {mib(grown['rss'])}, {grown['fds']} descriptors,"
                       f" {grown['threads']} threads")  # fmt: skip
        for key, slack in (("rss", RSS_SLACK), ("fds", FDS_SLACK), ("threads", THREADS_SLACK)):
            self.tally.expect(grown[key] <= slack, f"{name}: {key} grew by {grown[key]}", "leaked")

    async def connect(self) -> None:
        """Both users, anew."""
        for name in ("ann", "bob"):
            link = await Link.open(self.server.url, name)
            found = next((user for user in self.users if user.name == name), None)
            if found is None:
                self.users.append(User(name, link))
            else:
                found.link, found.probe = link, ""

    async def main(self, names: list[str]) -> None:
        """Every kind; then a restart."""
        await asyncio.to_thread(self.server.start)
        await self.connect()
        await self.sound("at first")
        for name in names:
            await self.one(name)
        for user in self.users:
            await user.detached()
            await user.link.close()
        self.tally.expect(await asyncio.to_thread(self.server.stop) == 0, "stop failed", "crashed")
        await asyncio.to_thread(self.server.start)
        await self.connect()
        await self.sound("after a restart")
        self.tally.say(f"{dict(self.counts)}, and a restart")
        self.tally.expect(await asyncio.to_thread(self.server.stop) == 0, "stop failed", "crashed")


def main() -> int:
    """Runs the kinds that were asked for."""
    options = parser(__doc__)
    options.add_argument("--only", action="append", choices=KINDS)
    chosen = options.parse_args()

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        faults = Faults(folder)
        server = Server(folder / "home")
        (folder / "home").mkdir()
        # Programs that are kept ready have their files open: at most one is.
        (folder / "home" / "config.toml").write_text("[limits]\ncompiled_memory_bytes_max = 1\n")
        server.environment = faults.environment
        try:
            await Injection(tally, rng, server, faults, chosen.short).main(chosen.only or list(KINDS))
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()

    return run("fault injection", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

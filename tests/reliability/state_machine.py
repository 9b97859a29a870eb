#!/usr/bin/env python3
"""Random sequences of valid and invalid messages from several users, held against a model of protocol.md.

The model knows the programs and names of each user, the instances with their states, what each has said
and how much of it which user has received, and so the text of every answer. Connections end at every
point: by a goodbye, a reset, in the middle of a frame, in the middle of an upload.

    python -m tests.reliability.state_machine [--short] [--steps N] [--seed S]
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import random
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack

from tests.conftest import Server
from tests.reliability.common import (
    DEADLINE_S,
    FINAL,
    Event,
    Link,
    Tally,
    parser,
    program,
    run,
    unique_program,
)
from tests.wire import CHUNK_BYTES, blake3_hex

USERS = ("alice", "bob", "carol")
GHOST = "00000000-0000-4000-8000-000000000000"
COMPLETED, ABORTED = 1, 2
TRACE_LINES = 25
LINKS_MAX = 7


@dataclasses.dataclass
class Instance:
    """What the specification says about one instance."""

    id: str
    owner: str
    detached: bool
    holder: Link | None
    said: list[Event] = dataclasses.field(default_factory=list)
    received: int = 0  # the events that some client has had
    cursor: int | None = None  # the next event on the current connection; None: the first may repeat
    finished: bool = False

    @property
    def status(self) -> str:
        """As list_instances names it."""
        return "Finished" if self.finished else "Attached" if self.holder else "Detached"


class Wrong(AssertionError):
    """The server did something that the model does not allow."""


class Machine:
    """The model, and the server that it is held against."""

    def __init__(self, tally: Tally, rng: random.Random, server: Server) -> None:
        self.tally, self.rng, self.server = tally, rng, server
        self.links: list[Link] = []
        self.instances: dict[str, Instance] = {}  # newest last
        self.programs: set[str] = set()
        self.names: dict[tuple[str, str], str] = {}  # (owner, ns/name@version) -> hash
        self.token = (server.home / "run" / "internal_token").read_text().strip()
        self.trace: collections.deque[str] = collections.deque(maxlen=TRACE_LINES)
        self.done: collections.Counter[str] = collections.Counter()
        self.counter = 0
        self.wasm = program("echo")

    def must(self, is_right: bool, text: str) -> None:
        """A rule of the specification."""
        if not is_right:
            raise Wrong(text)

    # ---- events

    def hear(self, link: Link, id: str, event: Event) -> None:
        """An event came: it must be the next one of this instance on this connection."""
        one = self.instances.get(id)
        if one is None or one.holder is not link:
            self.problem = f"{link.user} got {event} of {id}, which it does not hold"
            return
        places = range(one.received + 1) if one.cursor is None else [one.cursor]
        found = [n for n in places if n < len(one.said) and one.said[n] == event]
        if not found:
            self.problem = f"{id}: got {event} at {one.cursor}, heard {one.received}, said {one.said[-4:]}"
            return
        # Of equal events the last possible one counts; texts are unique, so there is one at most.
        one.cursor = found[-1] + 1
        one.received = max(one.received, one.cursor)

    async def caught_up(self, one: Instance) -> None:
        """Everything that an attached instance said arrives."""
        assert one.holder is not None
        await one.holder.wait(lambda: bool(self.problem) or one.cursor == len(one.said))
        self.must(not self.problem, self.problem)

    async def echoed(self, link: Link, one: Instance) -> None:
        """The last thing that was sent has come back: to whoever holds it, else into its log.

        An echo takes messages and blobs from two queues, and one that is ended says no more: without
        this the order of what it says, and whether, would be its own.
        """
        if one.holder:
            return await self.caught_up(one)
        last = one.said[-1]
        row = (
            {"event": "Blob", "bytes": len(last.text) // 2}
            if last.kind == "blob"
            else {"event": "Message", "text": last.text}
        )
        end = time.monotonic() + DEADLINE_S
        while True:
            answer = await link.call("query", subject="instance_log", record=f"{one.id} json")
            rows = json.loads(answer["result"])
            if rows and rows[-1] == row:
                return None
            self.must(time.monotonic() < end, f"{one.id}: {row} does not come: {rows[-4:]}")
            await asyncio.sleep(0.005)

    # ---- steps; each picks what it does by self.rng

    def link(self) -> Link:
        """One of the connections."""
        return self.rng.choice(self.links)

    def visible(self, link: Link, one: Instance | None) -> bool:
        """Whether the user of a connection may know of an instance."""
        return one is not None and link.user in (one.owner, "internal")

    def some_instance(self) -> tuple[str, Instance | None]:
        """An id: mostly of an instance, sometimes of none, sometimes none at all."""
        if self.instances and self.rng.random() < 0.85:
            one = self.rng.choice(list(self.instances.values()))
            return one.id, one
        return self.rng.choice([(GHOST, None), ("no id", None), ("", None)])

    async def connect(self) -> None:
        """A new connection, of a user or internal."""
        user = self.rng.choice([*USERS, *USERS, "internal"])
        if user == "internal":
            link = await Link.open(self.server.url, None)
            answer = await link.call("internal_authenticate", token=self.token)
            self.must(answer["result"] == "Authenticated", str(answer))
            link.user = user
        else:
            link = await Link.open(self.server.url, user)
        link.on_event = lambda id, event: self.hear(link, id, event)
        self.links.append(link)

    async def disconnect(self) -> None:
        """A connection ends in one of the possible ways."""
        link = self.link()
        how = self.rng.choice(["goodbye", "reset", "mid-frame", "mid-upload"])
        self.trace.append(f"  {how} of {link.user}")
        if how == "mid-upload":
            wasm = unique_program(self.wasm, f"never-{self.counter}")
            await link.send("upload_program", corr_id=9_000, program_hash=blake3_hex(wasm), chunk_index=0,
                            total_chunks=2, chunk_data=wasm[:1_000])  # fmt: skip
        if how == "mid-frame":
            link.socket.transport.write(b"\x82\xfe" + struct.pack(">H", 1_000) + b"mask" + b"x" * 10)
        if how == "goodbye":
            await link.close()
        else:
            link.reset()
            await link.closed()
        self.links.remove(link)
        for one in list(self.instances.values()):
            if one.holder is link:
                one.holder = None
        await self.settled()

    async def launch(self) -> None:
        """By hash, by name, from the registry, or of something that is not there."""
        link = self.link()
        mine = [key for (owner, key) in self.names if owner == link.user]
        hash = blake3_hex(self.wasm)
        choices = [("echo", True), ("std/echo", True), (hash, True), ("0" * 64, False), ("no-such", False)]
        name, exists = self.rng.choice(choices + [(key, True) for key in mine])
        detached = self.rng.random() < 0.5
        fields: dict[str, Any] = {"inferlet": name}
        if len(name) == 64 and self.rng.random() < 0.5:
            fields = {"program_hash": name, "cmd_name": "x"}
        answer = await link.call("launch_instance", arguments=[], detached=detached, **fields)
        self.must(answer["type"] == "instance_launch_result", str(answer))
        self.must(answer["successful"] is exists, f"launch of {name}: {answer}")
        if not exists:
            return self.must(answer["message"] == "Program not found", str(answer))
        id = answer["message"]
        self.must(id not in self.instances, "an id came twice")
        holder = None if detached else link
        self.instances[id] = Instance(id, link.user, detached, holder, cursor=None if detached else 0)
        return None

    async def signal(self) -> None:
        """A message to an instance, which an echo sends back; "quit" ends it."""
        link, (id, one) = self.link(), self.some_instance()
        self.counter += 1
        quits = self.rng.random() < 0.1
        text = "quit" if quits else f"message {self.counter} é"
        reaches = self.visible(link, one) and one is not None and not one.finished
        if reaches and one is not None:
            # Before it is sent: the echo may be faster than the answer. It counts messages and blobs.
            end = Event(FINAL, f"echoed {len(one.said)}", COMPLETED)
            one.said.append(end if quits else Event("message", text))
        answered = quits or self.rng.random() < 0.6
        if answered:
            answer = await link.call("signal_instance", instance_id=id, message=text)
            self.must(answer["successful"] is reaches, f"signal {id}: {answer}")
            if not reaches:
                self.refused(id, answer["result"])
        else:
            await link.send("signal_instance", instance_id=id, message=text)
            await link.call("ping")
        if not reaches or one is None:
            return
        if quits:
            await self.ended(one)
        else:
            await self.echoed(link, one)

    def refused(self, id: str, text: str) -> None:
        """The answer when there is no such instance for this user."""
        right = ["Instance not found"] if "-" in id else ["Invalid instance_id", "Malformed instance ID"]
        self.must(text in right, f"{id!r}: {text}")

    async def blob(self) -> None:
        """A blob to an instance, right or with a wrong hash."""
        link, (id, one) = self.link(), self.some_instance()
        self.counter += 1
        data = f"blob {self.counter}".encode() + b"." * (self.counter % 4096)  # each has its size
        reaches = self.visible(link, one) and one is not None and not one.finished
        if self.rng.random() < 0.2:
            corr_id, future = link.expect()
            await link.send("upload_blob", corr_id=corr_id, instance_id=id, blob_hash="0" * 64,
                            chunk_index=0, total_chunks=1, chunk_data=data)  # fmt: skip
            answer = await future
            wrong = f"Hash mismatch: expected {'0' * 64}, got {blake3_hex(data)}"
            return self.must(answer["result"] == wrong, str(answer))
        if reaches and one is not None:
            one.said.append(Event("blob", data.hex()))
        answer = await link.upload_blob(id, data)
        self.must(answer["successful"] is reaches, f"blob to {id}: {answer}")
        if not reaches or one is None:
            return self.refused(id, answer["result"])
        self.must(answer["result"] == "Blob sent to instance", str(answer))
        return await self.echoed(link, one)

    async def attach(self) -> None:
        """Attach: what was not delivered comes again, in order."""
        link, (id, one) = self.link(), self.some_instance()
        if one is not None and one.finished and one.holder:
            return None
        gets_it = one is not None and self.visible(link, one) and one.holder is None
        if gets_it and one is not None:
            one.holder, one.cursor = link, None  # before the answer: events may come with it
        answer = await link.call("attach_instance", instance_id=id)
        self.must(answer["type"] == "instance_attach_result", str(answer))
        if one is None or not self.visible(link, one):
            self.must(not answer["successful"], f"attach {id}: {answer}")
            return self.refused(id, answer["message"])
        if not gets_it:
            return self.must(answer["message"] == "Instance already attached", f"attach {id}: {answer}")
        self.must(answer["successful"] and answer["message"] == "Instance attached", f"attach {id}: {answer}")
        if len(one.said) > one.received or one.finished:
            await self.caught_up(one)
        if one.finished:
            await self.ended(one)
        return None

    async def terminate(self) -> None:
        """Terminates an instance, a finished one included."""
        link, (id, one) = self.link(), self.some_instance()
        ends = one is not None and self.visible(link, one) and not one.finished
        if ends and one is not None:
            one.said.append(Event(FINAL, "Signal termination", ABORTED))
        answer = await link.call("terminate_instance", instance_id=id)
        if one is None or not self.visible(link, one):
            self.must(not answer["successful"], f"terminate {id}: {answer}")
            return self.refused(id, answer["result"])
        self.must(answer["result"] == "Instance terminated", f"terminate {id}: {answer}")
        if ends:
            await self.ended(one)
        else:
            self.instances.pop(id)
        return None

    async def ended(self, one: Instance) -> None:
        """With a client it is gone once delivered; without one it stays as Finished."""
        one.finished = True
        if one.holder:
            await self.caught_up(one)
            self.instances.pop(one.id)
        await self.settled()

    async def upload(self) -> None:
        """A program: whole and right, or wrong in one of the ways that have a text."""
        link = self.link()
        self.counter += 1
        wasm = unique_program(self.wasm, f"machine-{self.counter % 40}")
        hash = blake3_hex(wasm)
        kind = self.rng.choice(["plain", "named", "hash", "index", "first", "count", "size", "manifest"])
        if kind in ("plain", "named"):
            key = f"{self.rng.choice(['std', 'mine'])}/p{self.rng.randrange(4)}@1.0.{self.rng.randrange(3)}"
            name, version = key.split("@")
            manifest = f'[package]\nname = "{name}"\nversion = "{version}"\n'
            answer = await link.upload(wasm, manifest if kind == "named" else None)
            if answer["successful"]:
                self.programs.add(hash)
                if kind == "named":
                    self.names[link.user, key] = hash
            taken = self.names.get((link.user, key)) != hash and kind == "named"
            return self.must(answer["successful"] or taken, f"upload: {answer}")
        if kind == "manifest":
            answer = await link.upload(wasm, self.rng.choice(["[", "a = ", '[package]\nname = "../x"\n']))
            return self.must(answer["result"].startswith("Failed to parse manifest: "), str(answer))
        chunks, text = {
            "hash": ([(0, 1, b"x")], f"Hash mismatch: expected {'1' * 64}, got {blake3_hex(b'x')}"),
            "index": ([(0, 3, b"x"), (2, 3, b"x")], "Out-of-order chunk: expected 1, got 2"),
            "first": ([(1, 2, b"x")], "First chunk index must be 0"),
            "count": ([(0, 3, b"x"), (1, 4, b"x"), (3, 4, b"x")], "Chunk count mismatch: expected 3, got 4"),
            "size": ([(0, 1, b"x" * (CHUNK_BYTES + 1))], "Chunk size 262145 exceeds limit 262144"),
        }[kind]
        corr_id, future = link.expect()
        for index, total, data in chunks:
            await link.send("upload_program", corr_id=corr_id, program_hash="1" * 64, chunk_index=index,
                            total_chunks=total, chunk_data=data)  # fmt: skip
        answer = await asyncio.wait_for(future, 60)
        return self.must(not answer["successful"] and answer["result"] == text, f"{kind}: {answer}")

    async def query(self) -> None:
        """program_exists in its forms, and a subject that is none."""
        link = self.link()
        owner, key = self.rng.choice([*self.names, ("nobody", "mine/none@1.0.0")])
        hash = self.names.get((owner, key), "2" * 64)
        mine = self.names.get((link.user, key))
        shared = self.names.get(("internal", key))
        found = mine or shared
        never = blake3_hex(unique_program(self.wasm, f"never-{self.counter}"))
        record, expected = self.rng.choice([
            (hash, hash in self.programs), (key, found is not None), (never, False), ("std/echo", True),
            (f"{key}#{hash}", found is not None and found == hash), ("../../x", False),
        ])  # fmt: skip
        answer = await link.call("query", subject="program_exists", record=record)
        self.must(answer["result"] == str(expected).lower(), f"{link.user} asks for {record}: {answer}")
        answer = await link.call("query", subject="nonsense", record="")
        self.must(not answer["successful"] and "model_status" in answer["result"], str(answer))

    async def nonsense(self) -> None:
        """Messages that are none: answered when they have a corr_id, else the connection is closed."""
        link = self.link()
        corr_id, future = link.expect()
        bad: list[dict[str, Any]] = [
            {"type": "no_such_type"}, {"type": "query", "subject": 7, "record": ""},
            {"type": "attach_instance"}, {"type": "launch_instance", "inferlet": "echo", "arguments": "x"},
            {"type": "upload_blob", "instance_id": "x"}, {"type": 3}, {},
        ]  # fmt: skip
        await link.raw(msgpack.packb({**self.rng.choice(bad), "corr_id": corr_id}))
        self.must((await asyncio.wait_for(future, 60))["successful"] is False, "nonsense was taken")
        answer = await link.call("identification", username="alice")
        self.must(answer["result"] == "Already authenticated", str(answer))
        if self.rng.random() < 0.3:
            stranger = await Link.open(self.server.url, self.rng.choice([None, "carol"]))
            await stranger.raw(self.rng.choice([b"\xc1", b"", b"\x93\x01\x02", b"\x81\xa4type\xa4ping"]))
            await stranger.closed()
            self.must(stranger.socket.close_code in (1007, 1008), f"code {stranger.socket.close_code}")

    async def look(self) -> None:
        """list_instances: exactly what this user may see, newest first; and a ping."""
        link = self.link()
        self.must((await link.call("ping"))["result"] == "Pong", "ping")
        rows = [(row["id"], row["status"], row["username"]) for row in await link.rows()]
        mine = [one for one in reversed(self.instances.values()) if self.visible(link, one)]
        expected = [(one.id, one.status, one.owner) for one in mine]
        self.must(rows == expected, f"{link.user} sees {rows}, expected {expected}")

    async def settled(self) -> None:
        """Ends and lost connections take a moment; then the list is as the model says."""
        if not hasattr(self, "watch"):
            self.watch = await Link.open(self.server.url, None)
            await self.watch.call("internal_authenticate", token=self.token)
        expected = {one.id: one.status for one in self.instances.values()}
        async with asyncio.timeout(30):
            while (got := {row["id"]: row["status"] for row in await self.watch.rows()}) != expected:
                if self.problem:
                    raise Wrong(self.problem)
                self.last_list = f"{got}, expected {expected}"
                await asyncio.sleep(0.005)

    problem = ""
    last_list = ""

    async def run(self, steps: int) -> None:
        """Random steps."""
        weights: dict[Callable[[], Awaitable[None]], int] = {
            self.connect: 4, self.disconnect: 4, self.launch: 10, self.signal: 25, self.blob: 8,
            self.attach: 12, self.terminate: 6, self.upload: 5, self.query: 6, self.nonsense: 4, self.look: 8,
        }  # fmt: skip
        for _ in range(steps):
            step = self.rng.choices(list(weights), list(weights.values()))[0]
            if len(self.links) < 2 or (step == self.disconnect and len(self.links) < 3):
                step = self.connect
            if step == self.connect and len(self.links) >= LINKS_MAX:
                step = self.disconnect
            if step == self.launch and len(self.instances) > 25:
                step = self.terminate
            self.trace.append(f"{sum(self.done.values())}: {step.__name__}")
            await step()
            self.must(not self.problem, self.problem)
            self.done[step.__name__] += 1


def main() -> int:
    """Runs the steps that were asked for."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=20_000)
    chosen = options.parse_args()
    steps = 1_500 if chosen.short and chosen.steps == 20_000 else chosen.steps

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        server = await asyncio.to_thread(Server(folder / "home").start)
        machine = Machine(tally, rng, server)
        try:
            await machine.run(steps)
        except (Wrong, TimeoutError, ConnectionError, RuntimeError) as wrong:
            tally.add("lost", f"{type(wrong).__name__}: {wrong} {machine.last_list}")
            tally.say("the last steps:\n    " + "\n    ".join(machine.trace))
            tally.say(f"again: python -m tests.reliability.state_machine --seed {tally.seed} "
                      f"--steps {sum(machine.done.values()) + 1}")  # fmt: skip
        tally.say(f"{sum(machine.done.values())} steps: {dict(machine.done)}")
        tally.alive(server)
        tally.expect(await asyncio.to_thread(server.stop) == 0, "stop failed", "crashed")

    return run("state machine", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

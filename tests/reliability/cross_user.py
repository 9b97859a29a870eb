#!/usr/bin/env python3
"""What a user may try on another one's things: each is refused as if they did not exist.

python -m tests.reliability.cross_user [--seed S]
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

from tests.conftest import Server
from tests.probe import hexed
from tests.reliability.common import Event, Link, Tally, parser, program, run, unique_program
from tests.wire import Frame, blake3_hex

GHOST = "00000000-0000-4000-8000-000000000000"
VICTIM, THIEF = "victim", "thief"


class CrossUser:
    """The victim's things, and the thief's attempts on them."""

    def __init__(self, tally: Tally, server: Server) -> None:
        self.tally, self.server = tally, server
        self.attempts = 0

    def refused(self, what: str, got: Frame, of_nothing: Frame) -> None:
        """The answer about somebody's thing equals the one about a thing that is not there."""
        self.attempts += 1
        keys = ("type", "successful", "result", "message")
        same = all(got.get(key) == of_nothing.get(key) for key in keys)
        self.tally.expect(same and not got["successful"], f"{what}: {got}, of nothing: {of_nothing}")

    async def instances(self, id: str, when: str) -> None:
        """Everything that names an instance."""
        for type, fields in (("attach_instance", {}), ("terminate_instance", {}),
                             ("signal_instance", {"message": "stolen"})):  # fmt: skip
            got = await self.thief.call(type, instance_id=id, **fields)
            ghost = await self.thief.call(type, instance_id=GHOST, **fields)
            self.refused(f"{type} of one that is {when}", got, ghost)
        got = await self.thief.upload_blob(id, b"stolen")
        self.refused(f"blob to one that is {when}", got, await self.thief.upload_blob(GHOST, b"stolen"))
        rows = [row["id"] for row in await self.thief.rows()]
        self.expect(id not in rows, f"list shows one that is {when}")

    def expect(self, is_right: bool, text: str) -> None:
        """One more attempt that must not succeed."""
        self.attempts += 1
        self.tally.expect(is_right, text)

    async def probe(self, link: Link) -> str:
        """A probe of a user."""
        await link.upload(program("probe"))
        return await link.launch(blake3_hex(program("probe")))

    async def ask(self, link: Link, probe: str, command: str) -> Event:
        """A command of a probe; its answer."""
        events = link.events.setdefault(probe, [])
        count = len(events)
        await link.send("signal_instance", instance_id=probe, message=command)
        await link.wait(lambda: len(events) > count)
        return events[count]

    async def inside(self) -> None:
        """kvs and topics, as programs reach them."""
        mine, theirs = await self.probe(self.victim), await self.probe(self.thief)
        key, topic = hexed("secret"), hexed("news")
        await self.ask(self.victim, mine, f"kvs-set {key} {hexed('value')}")
        for command, right in ((f"kvs-get {key}", "none"), (f"kvs-exists {key}", "false"), ("kvs-list", "")):
            answer = (await self.ask(self.thief, theirs, command)).text.removeprefix("ok").strip()
            self.expect(answer == right, f"{command}: {answer}")
        await self.ask(self.thief, theirs, f"kvs-delete {key}")
        kept = await self.ask(self.victim, mine, f"kvs-get {key}")
        self.expect(hexed("value") in kept.text, f"kvs-delete reached: {kept}")
        await self.ask(self.thief, theirs, f"subscribe {topic}")
        await self.ask(self.victim, mine, f"subscribe {topic}")
        await self.ask(self.victim, mine, f"broadcast {topic} {hexed('private')}")
        await self.ask(self.victim, mine, "sub-wait")
        heard = (await self.ask(self.thief, theirs, "sub-get")).text
        self.expect("none" in heard, f"topic of the same name: {heard}")

    async def programs(self) -> None:
        """Names belong to who uploaded them."""
        wasm = unique_program(program("echo"), "private")
        name = "hidden/tool@1.0.0"
        await self.victim.upload(wasm, '[package]\nname = "hidden/tool"\nversion = "1.0.0"\n')
        self.expect(await self.victim.query("program_exists", name) == "true", "own name is not there")
        self.expect(await self.thief.query("program_exists", name) == "false", "name is seen")
        got, ghost = [
            await self.thief.call("launch_instance", inferlet=one, arguments=[], detached=False)
            for one in (name, "hidden/none@1.0.0")
        ]
        self.refused("launch by name", got, ghost)

    async def main(self) -> None:
        """Every attempt."""
        self.victim = await Link.open(self.server.url, VICTIM)
        self.thief = await Link.open(self.server.url, THIEF)
        attached = await self.victim.launch("echo")
        detached = await self.victim.launch("echo", detached=True)
        finished = await self.victim.launch("hello", detached=True)
        async with asyncio.timeout(60):
            while not any(
                r["id"] == finished and r["status"] == "Finished" for r in await self.victim.rows()
            ):
                await asyncio.sleep(0.02)
        for id, when in ((attached, "attached"), (detached, "detached"), (finished, "finished")):
            await self.instances(id, when)
        for subject in ("model_status", "backend_stats"):
            text = await self.thief.query(subject)
            self.expect(not any(id in text for id in (attached, detached, finished)), f"{subject}: {text}")
        status = json.loads(await self.victim.query("model_status"))
        self.expect(any(attached in key for key in status), "the owner's status lacks its instance")
        await self.inside()
        await self.programs()
        await self.untouched(attached, detached, finished)
        self.tally.say(f"{self.attempts} attempts of another user, none reached anything")

    async def untouched(self, attached: str, detached: str, finished: str) -> None:
        """Nothing came through, and nothing was lost for its owner."""
        self.expect(not self.victim.events.get(attached), "the attached one heard something")
        await self.victim.call("attach_instance", instance_id=detached)
        await self.victim.send("signal_instance", instance_id=detached, message="mine")
        await self.victim.wait(lambda: bool(self.victim.events.get(detached)))
        self.expect([e.text for e in self.victim.events[detached]] == ["mine"], "the detached one heard more")
        await self.victim.call("attach_instance", instance_id=finished)
        await self.victim.end_of(finished)
        self.expect(
            any(e.kind == "out" for e in self.victim.events[finished]), "the finished one's log is gone"
        )


def main() -> int:
    """Runs the attempts."""
    chosen = parser(__doc__).parse_args()

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        server = await asyncio.to_thread(Server(folder / "home").start)
        try:
            await CrossUser(tally, server).main()
            tally.alive(server)
        finally:
            tally.expect(await asyncio.to_thread(server.stop) == 0, "stop failed", "crashed")

    return run("cross user", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

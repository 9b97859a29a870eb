#!/usr/bin/env python3
"""Every client message with sizes at, below and beyond each bound, from several users and from strangers.

A walk puts small, huge, ill-typed and missing values into each field of each message, one at a time; the
bounds of `limits.*` (small ones, so that they are cheap to meet) are then met one by one. Every answer is of
the right type, every refusal says why in one of the protocol's forms, only a connection that broke the rules
itself is closed, and rounds after the first take no memory, descriptors, threads or disk of the server.

    python -m tests.reliability.client_messages [--short] [--rounds N] [--seed S]
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import random
import re
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack

from tests.conftest import ROOT, Server, free_port
from tests.reliability.common import Link, Tally, mib, parser, program, run, server_figures, until
from tests.test_auth import add, make_key
from tests.wire import CHUNK_BYTES, Frame, blake3_hex

USERS = ("ann", "bob", "cyd")
GHOST = "00000000-0000-4000-8000-000000000000"
STRANGER = 16 << 10  # a message before sign-in
FRAME, PROGRAM, BLOB, MAILBOX = 600_000, 450_000, 300_000, 400_000
INSTANCES, REQUESTS, UPLOADS, STORED, LOGS = 5, 64, 3, 1_450_000, 9_000_000
CONFIG = f"""
[limits]
frame_bytes_max = {FRAME}
program_bytes_max = {PROGRAM}
blob_bytes_max = {BLOB}
mailbox_bytes_max = {MAILBOX}
instances_per_user_max = {INSTANCES}
requests_pending_max = {REQUESTS}
uploads_pending_max = {UPLOADS}
user_program_bytes_max = {STORED}
user_log_bytes_max = {LOGS}
"""
# What rounds may leave behind: the allocator's spare parts, pages of the database.
RSS_SLACK, FDS_SLACK, THREADS_SLACK, DISK_SLACK = 32 << 20, 3, 0, 512 << 10

FORM = re.compile(r"^(Failed to parse manifest: )?\[[^\]\n]+\] got:? .+, expected .+", re.S)
TEXTS = (
    r"User '.*' is not authorized", "Signature verification failed", "Invalid signature encoding: .+",
    "Invalid token", "First chunk index must be 0", "Chunk size [0-9]+ exceeds limit 262144",
    "Chunk count mismatch: expected [0-9]+, got [0-9]+", "Out-of-order chunk: expected [0-9]+, got [0-9]+",
    "Hash mismatch: expected .*, got [0-9a-f]{64}", "Failed to parse manifest: .+", "Instance not found",
    "Instance already attached", "Invalid instance_id", "Malformed instance ID", "Program not found",
)  # fmt: skip
KNOWN = re.compile("^(" + "|".join(TEXTS) + ")$", re.S)

MISSING = object()
"""Instead of a value: the field is not there at all."""
FOREIGN: tuple[object, ...] = (MISSING, None, 1.5, {"a": 1}, [[[[[[1]]]]]], b"\xff\xfe")
"""Of another type than any field but a binary one."""
NAMES = ("x" * 64, "x" * 65, "a/" + "b" * 65, "a/b@" + "1." * 40, "../../etc/passwd", "a/b@1.2.3#")
TEXTS_OF_EACH: tuple[object, ...] = (
    "", "x", "\0", "é" * 100, "x" * 255, "x" * 256, "x" * 257, "x" * 4_096, "x" * 65_536,
    "x" * (FRAME - 4_096), "%n%s", "'; drop table instances; --", "0" * 63, "0" * 64, "0" * 65, "internal",
    *NAMES, 7, True, ["x"],
)  # fmt: skip
HOSTILE: dict[type, tuple[object, ...]] = {
    str: (*TEXTS_OF_EACH, *FOREIGN),
    int: (1, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1, -1, -(2**63), "1", True, *FOREIGN),
    bool: (True, 0, 1, "true", [], *FOREIGN),
    bytes: (b"", b"x", b"x" * CHUNK_BYTES, b"x" * (CHUNK_BYTES + 1), b"x" * (FRAME - 4_096), "text", 7,
            *FOREIGN[:-1]),
    list: ([], [""], ["x" * 1_000] * 100, ["x"] * 65_535, ["x"] * 65_536, ["x" * (FRAME - 4_096)], [1], [[]],
           [None], "x", 7, *FOREIGN),
}  # fmt: skip

Send = Callable[[Link], Awaitable[Any]]


def known_types() -> set[str]:
    """The client messages of the server's codec."""
    text = (ROOT / "src" / "protocol" / "messages.h").read_text()
    types = dict(re.findall(r"struct (\w+) \{\s*static constexpr std::string_view kType = \"(\w+)\";", text))
    union = re.search(r"using ClientMessage\s*=\s*std::variant<([^>]+)>", text)
    assert union is not None
    return {types[name.strip()] for name in union[1].split(",")}


def padded(wasm: bytes, size: int, mark: bytes = b"") -> bytes:
    """The same component, of exactly `size` bytes, by a custom section (which `mark` makes another one)."""
    content = size - len(wasm) - 6  # the section's number, and five bytes of length
    assert content > 1 + len(mark)
    length = bytes((content >> 7 * n & 0x7F) | (0x80 if n < 4 else 0) for n in range(5))
    return wasm + b"\0" + length + b"\1p" + mark + b"x" * (content - 2 - len(mark))


def used_bytes(path: Path) -> int:
    """A file's size, 0 when it is gone; of a database that of the pages that are in use."""
    if path.suffix != ".db":
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_size
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        values = [database.execute(f"PRAGMA {name}").fetchone()[0]
                  for name in ("page_count", "freelist_count", "page_size")]  # fmt: skip
    return int((values[0] - values[1]) * values[2])


@dataclasses.dataclass
class Own:
    """What a user has on the server during a round."""

    link: Link
    echo: str  # runs, and says again what it gets
    sink: str  # runs, and receives nothing
    said: int = 0


class Messages:
    """The walk, the bounds, and the figures."""

    def __init__(self, tally: Tally, rng: random.Random, server: Server, guarded: Server) -> None:
        self.tally, self.rng, self.server, self.guarded = tally, rng, server, guarded
        self.sent: collections.Counter[str] = collections.Counter()
        self.refusals: collections.Counter[str] = collections.Counter()
        self.addresses = 0
        self.round_number = 0
        self.hello, self.http = program("hello"), program("http_handler")

    # ---- what every answer must be

    def judge(self, type: str, what: str, answer: Frame) -> None:
        """An answer is of the type that the sender waits for, and a refusal says why."""
        text = str(answer.get("result", answer.get("message", "")))
        right = {"launch_instance": "instance_launch_result", "list_instances": "live_instances",
                 "launch_instance_from_registry": "instance_launch_result",
                 "attach_instance": "instance_attach_result"}.get(type, "response")  # fmt: skip
        is_refused = answer["type"] != "live_instances" and not answer["successful"]
        self.tally.expect(answer["type"] == right or (is_refused and answer["type"] == "response"),
                          f"{type} {what}: answered by {answer['type']}")  # fmt: skip
        if is_refused:
            self.refusals[text[:24]] += 1
            self.tally.expect(bool(FORM.match(text) or KNOWN.match(text)), f"{type} {what}: {text[:300]!r}")

    async def ask(self, own: Link, type: str, what: str, **fields: Any) -> Frame:
        """A message, and its answer, judged."""
        self.sent[type] += 1
        corr_id, future = own.expect(fields.pop("corr_id", None))
        await own.send(type, corr_id=corr_id, **fields)
        try:
            answer = await asyncio.wait_for(future, 60)
        except TimeoutError:
            self.tally.add("lost", f"{type} {what}: not answered")
            raise
        self.judge(type, what, answer)
        return answer

    async def refused(self, own: Link, type: str, part: str, **fields: object) -> None:
        """A message beyond a bound: refused, and the text has this part."""
        answer = await self.ask(own, type, part, **fields)
        text = str(answer.get("result", answer.get("message", "")))
        self.tally.expect(not answer["successful"] and part in text, f"{type}: {text[:200]!r}, not {part!r}")

    async def taken(self, own: Link, type: str, what: str, **fields: object) -> str:
        """A message at a bound: taken; its text."""
        answer = await self.ask(own, type, what, **fields)
        text = str(answer.get("result", answer.get("message", "")))
        self.tally.expect(answer["successful"], f"{type} {what}: {text[:200]!r}")
        return text

    async def closes(self, type: str, what: str, codes: tuple[int, ...], send: Send,
                     user: str | None = "breaker", server: Server | None = None) -> None:  # fmt: skip
        """What breaks the rules closes its own connection, with a reason."""
        self.sent[type] += 1
        link = await self.stranger(server) if user is None else await Link.open(self.server.url, user)
        try:
            await send(link)
        except ConnectionError:
            pass
        try:
            await asyncio.wait_for(link.closed(), 60)
        except TimeoutError:
            self.tally.add("lost", f"{type} {what}: the connection stays open")
            await link.close()
            return
        code, reason = link.socket.close_code, link.socket.close_reason or ""
        self.tally.expect(code in codes, f"{type} {what}: closed with {code}, not {codes}")
        is_ours = code in (1007, 1008)
        self.tally.expect(not is_ours or reason != "", f"{type} {what}: closed without a reason")

    async def stranger(self, server: Server | None = None) -> Link:
        """A connection that has not signed in, from an address of its own (failures are counted by it)."""
        self.addresses = self.addresses % 60_000 + 1
        address = f"127.1.{self.addresses // 250}.{self.addresses % 250 + 1}"
        return await Link.open((server or self.server).url, None, local_addr=(address, 0))

    # ---- the walk over every field of every message

    def messages(self, own: Own) -> dict[str, dict[str, object]]:
        """Each message as it is valid; the walk breaks one field after the other."""
        chunk = {"chunk_index": 0, "total_chunks": 1, "chunk_data": b"x"}
        return {
            "identification": {"username": "again"},
            "signature": {"signature": "AAAA"},
            "internal_authenticate": {"token": "0" * 64},
            "query": {"subject": "program_exists", "record": "hello"},
            "upload_program": {"program_hash": blake3_hex(b"x"), "manifest": "", **chunk},
            "launch_instance": {"inferlet": "hello", "arguments": [], "detached": False},
            "launch_instance_from_registry": {"inferlet": "hello", "arguments": [], "detached": False},
            "launch_server_instance": {"port": 1, "program_hash": "0" * 64, "arguments": []},
            "attach_instance": {"instance_id": own.echo},
            "signal_instance": {"instance_id": own.sink, "message": "m"},
            "upload_blob": {"instance_id": own.sink, "blob_hash": blake3_hex(b"x"), **chunk},
            "terminate_instance": {"instance_id": GHOST},
            "attach_remote_service": {"endpoint": "e", "service_type": "t", "service_name": "n"},
            "list_instances": {},
            "ping": {},
        }

    async def walk(self, own: Own) -> None:
        """One field at a time, everything else valid; then the echo is still heard."""
        for type, fields in self.messages(own).items():
            await self.ask(own.link, type, "as it should be", **fields)
            for name, right in fields.items():
                for value in HOSTILE[right.__class__]:
                    changed = {**fields, name: value}
                    if value is MISSING:
                        del changed[name]
                    what = f"with {name} = {'missing' if value is MISSING else repr(value)[:60]}"
                    await self.broken_upload(own, type, what, changed)
            await self.heard(own, f"after {type}")
        await own.link.send("signal_instance", instance_id=own.sink, message="nobody asks for an answer")
        for subject in ("model_status", "backend_stats", f"instance_log {own.echo}"):
            kind, _, record = subject.partition(" ")
            await self.taken(own.link, "query", subject, subject=kind, record=record)
        for record in (f"{own.echo} json", f"{own.echo} 0", f"{own.echo} {2**64}", f"{own.echo} x" * 9_000):
            await self.ask(own.link, "query", record[:60], subject="instance_log", record=record)

    async def broken_upload(self, own: Own, type: str, what: str, fields: dict[str, object]) -> None:
        """A chunk that is not the last is not answered: then the last one follows, and is."""
        total, index = fields.get("total_chunks"), fields.get("chunk_index")
        is_open = isinstance(total, int) and isinstance(index, int) and 0 <= index < total - 1 < 2**32 - 1
        is_right = all(isinstance(fields.get(key), str) for key in fields if "hash" in key or "inst" in key)
        is_right = is_right and isinstance(fields.get("chunk_data"), (bytes, str))
        if not (is_open and is_right and not isinstance(total, bool) and not isinstance(index, bool)):
            await self.ask(own.link, type, what, **fields)
            return
        assert isinstance(total, int)
        corr_id = own.link.expect()[0] + 1  # ask() takes the next one
        await own.link.send(type, corr_id=corr_id, **fields)
        await self.ask(own.link, type, what, **(fields | {"chunk_index": total - 1}))

    async def heard(self, own: Own, when: str) -> None:
        """The user's echo answers on the connection that it began with."""
        text = f"{own.said}"
        own.said += 1
        await own.link.send("signal_instance", instance_id=own.echo, message=text)
        try:
            await own.link.wait(lambda: any(e.text == text for e in own.link.events.get(own.echo, [])))
        except (ConnectionError, TimeoutError) as failure:
            self.tally.add("lost", f"{own.link.user}: the echo is not heard {when}: {failure!r}; "
                                   f"last: {own.link.events.get(own.echo, [])[-2:]}")
            raise
        own.link.events[own.echo].clear()

    # ---- strangers

    async def strangers(self) -> None:
        """Everything as the first message, and as the answer to a challenge."""
        jobs: list[Awaitable[None]] = []
        nobody = Own(Link.__new__(Link), GHOST, GHOST)
        for type, fields in self.messages(nobody).items():
            message = {"type": type, "corr_id": 1, **fields}
            if type not in ("identification", "internal_authenticate"):
                jobs.append(self.stranger_sends(type, message))
            if type != "signature":
                jobs.append(self.challenged_sends(type, message))
        for value in HOSTILE[str]:
            for type, field in (("identification", "username"), ("internal_authenticate", "token")):
                message = {"type": type, "corr_id": 1, field: value}
                if value is MISSING:
                    del message[field]
                jobs.append(self.signs_in(type, message))
            if isinstance(value, str):
                jobs.append(self.proves(value))
        gate = asyncio.Semaphore(48)

        async def one(job: Awaitable[None]) -> None:
            async with gate:
                await job

        await asyncio.gather(*(one(job) for job in jobs))

    async def stranger_sends(self, type: str, message: Frame) -> None:
        """Refused, and the connection ends."""
        data = msgpack.packb(message)
        codes = (1009,) if len(data) > STRANGER else (1008,)
        await self.closes(type, "before sign-in", codes, lambda link: link.raw(data), None)

    async def challenged_sends(self, type: str, message: Frame) -> None:
        """Refused, and the connection ends: a challenge takes a signature."""

        data = msgpack.packb(message)
        codes = (1009,) if len(data) > STRANGER else (1008,)

        async def send(link: Link) -> None:
            await self.taken(link, "identification", "of a known user", username="ann")
            await link.raw(data)

        await self.closes(type, "instead of a signature", codes, send, None, self.guarded)

    async def signs_in(self, type: str, message: Frame) -> None:
        """Taken, or refused in words; one that is too long for a stranger closes."""
        data = msgpack.packb(message)
        if len(data) > STRANGER:
            await self.closes(type, "too long", (1009,), lambda link: link.raw(data), None)
            return
        link = await self.stranger()
        self.sent[type] += 1
        _, future = link.expect(1)
        await link.raw(data)
        answer = await asyncio.wait_for(future, 60)
        self.judge(type, repr(message)[:80], answer)
        name = message.get("username", "")
        is_name = isinstance(name, str) and 0 < len(name.encode()) <= 256 and name not in ("internal", "\0")
        is_right = type == "identification" and is_name
        self.tally.expect(answer["successful"] == is_right, f"{type} {name!r:.80}: {answer!r:.200}")
        await link.close()

    async def proves(self, signature: str) -> None:
        """No text of ours is a signature."""
        if len(signature.encode()) > STRANGER - 100:
            return
        link = await self.stranger(self.guarded)
        await self.taken(link, "identification", "of a known user", username="ann")
        await self.refused(link, "signature", "nvalid signature encoding" if _is_no_base64(signature)
                           else "Signature verification failed", signature=signature)  # fmt: skip
        await link.close()

    # ---- bounds

    async def frames(self, own: Own) -> None:
        """limits.frame_bytes_max: at it an answer, beyond it the connection ends."""
        corr_id = 2**32 - 1
        frame = {"type": "query", "corr_id": corr_id, "subject": "x" * 70_000, "record": ""}
        bare = len(msgpack.packb(frame)) - 70_000
        for size in (FRAME - 1, FRAME):
            await self.refused(own.link, "query", "[query] got the subject", corr_id=corr_id,
                               subject="x" * (size - bare), record="")  # fmt: skip
        for size in (FRAME + 1, FRAME * 3):
            message = msgpack.packb(frame | {"subject": "x" * (size - bare)})
            await self.closes("query", f"of {size} bytes", (1009,), lambda one, data=message: one.raw(data))
        unreadable = ({"type": "ping"}, {"type": "ping", "corr_id": 2**32}, {"type": "ping", "corr_id": "1"},
                        {"corr_id": -1})  # fmt: skip
        for bad in (b"", b"\xc1", b"\x91\x01", b"\x81\x01\x02", b"\xdd\xff\xff\xff\xff",
                    *map(msgpack.packb, unreadable)):  # fmt: skip
            await self.closes("ping", repr(bad), (1007, 1008), lambda link, data=bad: link.raw(data))
        for more in ([[[[[[[[1]]]]]]]], [1] * 65_537, dict.fromkeys(map(str, range(257)))):
            unread = msgpack.packb({"type": "ping", "corr_id": 1, "more": more})
            await self.closes("ping", "too deep, too wide", (1007,), lambda link, data=unread: link.raw(data))
        await self.closes("ping", "as text", (1007,), lambda link: link.socket.send("{}"))

    async def uploads(self, own: Own) -> None:
        """limits.program_bytes_max, user_program_bytes_max, uploads_pending_max; the chunks' own bounds."""
        link = own.link
        for size in (PROGRAM - 1, PROGRAM):
            wasm = padded(self.hello, size, link.user.encode())
            answer = await link.upload(wasm)
            self.sent["upload_program"] += 1
            self.tally.expect(answer["successful"], f"a program of {size} bytes: {answer}")
        fresh = f"{link.user} {self.round_number} ".encode()
        for size, part in ((PROGRAM + 1, "[upload] got"), (PROGRAM * 4, "[upload] got")):
            answer = await link.upload(padded(self.hello, size, fresh))
            self.judge("upload_program", f"of {size} bytes", answer)
            self.tally.expect(not answer["successful"] and part in answer["result"], f"{answer}")
        answer = await link.upload(b"no component", "[package]\nname = 'a/b'\nversion = '1.0.0'\n")
        self.judge("upload_program", "of no component", answer)
        for manifest in ("[", "name = 1", "[package]\nname = '../x'\nversion = '1.0.0'", "x" * 200_000):
            answer = await link.upload(self.hello, manifest)
            self.judge("upload_program", f"with the manifest {manifest[:20]!r}", answer)
        await self.http_program(link)
        answer = await link.upload(padded(self.hello, PROGRAM, fresh))
        self.judge("upload_program", "beyond all that a user may store", answer)
        is_refused = not answer["successful"] and "[upload] got programs of" in answer["result"]
        self.tally.expect(is_refused, f"{answer}")
        await self.closes("upload_program", "one too many unfinished", (1008,), self.unfinished)

    async def unfinished(self, link: Link) -> None:
        """More uploads at once than a connection may have; in between another connection has its own."""
        for n in range(UPLOADS + 1):
            await link.send("upload_program", corr_id=n, program_hash="0" * 64, chunk_index=0, total_chunks=2,
                            chunk_data=b"x" * CHUNK_BYTES)  # fmt: skip

    async def mailboxes(self, own: Own) -> None:
        """limits.blob_bytes_max and mailbox_bytes_max."""
        link = own.link
        sink = await link.launch("long-running-task", ["--seconds", "9000", "--every", "9000"])
        for size in (BLOB + 1, BLOB * 3):
            answer = await link.upload_blob(sink, b"x" * size)
            self.judge("upload_blob", f"of {size} bytes", answer)
            self.tally.expect(not answer["successful"], f"a blob of {size} bytes: {answer}")
        for size in (0, BLOB - 1):
            answer = await link.upload_blob(sink, b"x" * size)
            self.tally.expect(answer["successful"], f"a blob of {size} bytes: {answer}")
        answer = await link.upload_blob(sink, b"x" * BLOB)
        self.tally.expect(not answer["successful"] and "[blob] got" in answer["result"], f"{answer}")
        await self.taken(link, "signal_instance", "below the bound", instance_id=sink, message="x" * 90_000)
        await self.refused(link, "signal_instance", "[signal] got", instance_id=sink, message="x" * 20_000)
        await self.taken(link, "terminate_instance", "one with a full mailbox", instance_id=sink)

    async def launches(self, own: Own) -> None:
        """limits.instances_per_user_max, user_log_bytes_max (arguments), requests_pending_max; ports."""
        link = own.link
        sleep = ["--seconds", "9000", "--every", "9000"]
        more = [await link.launch("long-running-task", sleep) for _ in range(INSTANCES - 2)]
        for type in ("launch_instance", "launch_instance_from_registry"):
            await self.refused(link, type, "running instances of this user", inferlet="long-running-task",
                               arguments=sleep, detached=False)  # fmt: skip
        for id in more:
            await self.taken(link, "terminate_instance", "of its own", instance_id=id)
        large = {"inferlet": "hello", "arguments": ["x" * 500_000], "detached": True}
        answers = [await self.ask(link, "launch_instance", "with large arguments", **large) for _ in range(9)]
        kept = [a["message"] for a in answers if a["successful"]]
        self.tally.expect(0 < len(kept) < 9, f"{len(kept)} of 9 launches with 500,000 bytes were taken")
        for id in kept:
            await self.finished(link, id)
            await self.taken(link, "terminate_instance", "a finished one", instance_id=id)
        pending = [link.expect() for _ in range(REQUESTS * 4)]
        for corr_id, _ in pending:
            await link.send("query", corr_id=corr_id, subject="model_status", record="")
        for answer in await asyncio.wait_for(asyncio.gather(*(future for _, future in pending)), 60):
            self.judge("query", "one of many", answer)

    async def http_program(self, link: Link) -> None:
        """Ports at and beyond their bounds; one that is taken is refused with the reason."""
        hash = blake3_hex(self.http)
        answer = await link.upload(self.http)
        self.tally.expect(answer["successful"], f"{answer}")
        port = free_port()
        fields = {"port": port, "program_hash": hash, "arguments": []}
        await self.taken(link, "launch_server_instance", "on a free port", **fields)
        await self.refused(link, "launch_server_instance", "expected a free port", **fields)

    async def finished(self, link: Link, id: str) -> None:
        """Until a detached one has ended."""
        async with asyncio.timeout(60):
            while not any(row["id"] == id and row["status"] == "Finished" for row in await link.rows()):
                await asyncio.sleep(0.02)

    # ---- a round, and the figures around it

    async def user_round(self, user: str) -> None:
        """All of it by one user."""
        link = await Link.open(self.server.url, user)
        echo = await link.launch("echo")
        sink = await link.launch("long-running-task", ["--seconds", "9000", "--every", "9000"])
        own = Own(link, echo, sink)
        for part in (self.walk, self.frames, self.uploads, self.mailboxes, self.launches):
            await part(own)
            await self.tidy(link, {echo, sink})
            await self.heard(own, f"after {part.__name__}")
        await self.tidy(link, set())
        await link.close()

    async def tidy(self, link: Link, keep: set[str]) -> None:
        """Terminates what the user has and need not keep."""
        async with asyncio.timeout(60):
            while rows := [row["id"] for row in await link.rows() if row["id"] not in keep]:
                for id in rows:
                    await self.ask(link, "terminate_instance", "that is done with", instance_id=id)

    async def one_round(self) -> None:
        """Several users and strangers at once, beside one who does nothing but listen."""
        self.round_number += 1
        bystander = await Link.open(self.server.url, "bystander")
        silent = await self.stranger()
        own = Own(bystander, await bystander.launch("echo"), GHOST)
        jobs = [asyncio.create_task(self.user_round(user)) for user in USERS]
        jobs.append(asyncio.create_task(self.strangers()))
        while any(not job.done() for job in jobs):
            await self.heard(own, "beside the others")
            await asyncio.wait(jobs, timeout=0.2)
        await asyncio.gather(*jobs)
        answer = await silent.call("identification", username="late")
        self.tally.expect(answer["successful"], f"a stranger of before: {answer}")
        await silent.close()
        await self.tidy(bystander, set())
        await bystander.close()

    def figures(self) -> dict[str, int]:
        """Of the process, and the bytes and files in PIE_HOME (of databases the pages in use)."""
        files = [path for path in self.server.home.rglob("*") if path.is_file() and ".db-" not in path.name]
        disk = sum(used_bytes(path) for path in files)
        return server_figures(self.server) | {"disk": disk, "files": len(files)}

    async def settled(self, floor: dict[str, int] | None) -> dict[str, int]:
        """The figures, once connections and records are gone."""
        spool, logs = self.server.home / "run" / "spool", self.server.home / "instances"

        def is_quiet() -> bool:
            now = self.figures()
            return not any(spool.iterdir()) and not any(logs.iterdir()) and (
                floor is None or now["fds"] <= floor["fds"] + FDS_SLACK)  # fmt: skip

        try:
            await until(is_quiet, "", 30)
        except TimeoutError:
            left = [path.name for folder in (spool, logs) for path in folder.iterdir()]
            self.tally.expect(not left, f"left on the disk: {left[:5]}", "leaked")
        return self.figures()

    async def main(self, rounds: int) -> None:
        """The first rounds warm up; the others must take nothing."""
        for _ in range(2):
            await self.one_round()
        before = await self.settled(None)
        for _ in range(rounds):
            await self.one_round()
        after = await self.settled(before)
        slack = {"rss": RSS_SLACK, "fds": FDS_SLACK, "threads": THREADS_SLACK, "disk": DISK_SLACK, "files": 0}
        for name, allowed in slack.items():
            show = mib if name in ("rss", "disk") else str
            self.tally.say(f"{name}: {show(before[name])}, then {show(after[name])} (slack {show(allowed)})")
            grown = after[name] - before[name]
            self.tally.expect(grown <= allowed, f"{name} grew by {show(grown)}", "leaked")
        missing = known_types() - set(self.sent)
        self.tally.expect(not missing, f"not exercised: {sorted(missing)}")
        unknown = set(self.sent) - known_types()
        self.tally.expect(not unknown, f"not in messages.h: {sorted(unknown)}")
        self.tally.say(f"{sum(self.sent.values())} messages of {len(self.sent)} types by {len(USERS)} users"
                       f" and strangers, {sum(self.refusals.values())} refusals of"
                       f" {len(self.refusals)} kinds")  # fmt: skip
        self.tally.alive(self.server)


def _is_no_base64(text: str) -> bool:
    return re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text) is None


def main() -> int:
    """Runs the rounds that were asked for."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    rounds = 2 if chosen.short else chosen.rounds

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        servers = []
        for name in ("home", "guarded"):
            (folder / name).mkdir()
            (folder / name / "config.toml").write_text(CONFIG)
            servers.append(Server(folder / name, *(["--auth"] if name == "guarded" else [])))
        add(folder / "guarded", "ann", make_key(folder, "key", "-t", "ed25519"))
        try:
            for server in servers:
                await asyncio.to_thread(server.start)
            await Messages(tally, rng, *servers).main(rounds)
            for server in servers:
                tally.expect(await asyncio.to_thread(server.stop) == 0, "stop failed", "crashed")
        finally:
            for server in servers:
                if server.process is not None and server.process.poll() is None:
                    server.kill()

    return run("client messages", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What an attacker would try: in each case another client is served meanwhile and memory stays bounded.

python -m tests.reliability.attackers [--short] [--only NAME] [--seed S]
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgpack
import websockets

from tests.conftest import Server
from tests.reliability.common import FINAL, Link, Tally, mib, parser, program, run, server_figures, until
from tests.test_client_memory import GROWTH_BYTES_MAX, UPLOAD
from tests.wire import blake3_hex

SERVED_WITHIN_S = 15.0
OUT_OF_RESOURCES = 5
CONFIG = """
[limits]
outbox_bytes_max = 16777216
log_bytes_max = 16777216
output_bytes_max = 50331648
identify_s = 8
"""


class Raw:
    """A TCP connection that speaks WebSocket only as far as it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, url: str) -> Raw:
        """TCP alone."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    @staticmethod
    def request(extra: str = "") -> bytes:
        """The opening handshake."""
        key = base64.b64encode(os.urandom(16)).decode()
        return (f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n").encode()  # fmt: skip

    @classmethod
    async def open(cls, url: str, extra: str = "") -> Raw:
        """The handshake, too; its answer is in `head`."""
        raw = await cls.connect(url)
        raw.writer.write(cls.request(extra))
        raw.head = (await raw.reader.readuntil(b"\r\n\r\n")).decode()
        return raw

    head = ""

    @staticmethod
    def frame(data: bytes, opcode: int = 2, declared: int | None = None, first: int = 0x80) -> bytes:
        """A masked frame (the mask is zero), perhaps with a wrong length."""
        size = len(data) if declared is None else declared
        length = (bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size) if size < 65_536
                  else b"\xff" + struct.pack(">Q", size))  # fmt: skip
        return bytes([first | opcode]) + length + b"\0\0\0\0" + data

    async def ended(self, deadline_s: float = 60) -> bytes:
        """What comes until the server closes."""
        got = b""
        try:
            async with asyncio.timeout(deadline_s):
                while data := await self.reader.read(65_536):
                    got = (got + data)[-4_096:]
        except ConnectionError:
            pass
        return got

    def drop(self) -> None:
        """Closes without a word."""
        self.writer.transport.abort()


def message(type: str, **fields: object) -> bytes:
    """A frame of the protocol."""
    return Raw.frame(msgpack.packb({"type": type, **fields}))


class Attacks:
    """Each public method is an attack; its docstring says what."""

    def __init__(self, tally: Tally, server: Server, short: bool) -> None:
        self.tally, self.server, self.short = tally, server, short
        self.url = server.url

    async def slow_handshakes(self) -> None:
        """200 handshakes, one byte after the other: cut off after a while."""
        peers = [await Raw.connect(self.url) for _ in range(200)]
        for byte in Raw.request()[:20]:
            for peer in peers:
                peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        done, late = await asyncio.wait([asyncio.create_task(peer.ended()) for peer in peers], timeout=40)
        self.tally.expect(not late, f"{len(late)} of {len(done) + len(late)} were not cut off")
        for peer in peers:
            peer.drop()

    async def slow_frames(self) -> None:
        """100 clients that send a frame byte by byte and never end it."""
        peers = [await Raw.open(self.url) for _ in range(100)]
        for byte in Raw.frame(b"x" * 20, declared=60_000):
            for peer in peers:
                peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        for peer in peers:
            peer.drop()

    async def giant_frames(self) -> None:
        """Frames that declare too much, and one that is too much: closed with 1009."""
        for declared in (17 << 20, 1 << 40, (1 << 63) - 1):
            peer = await Raw.open(self.url)
            peer.writer.write(Raw.frame(b"x" * 100, declared=declared))
            got = await peer.ended()
            self.tally.expect(struct.pack(">H", 1009) in got, f"declared {declared}: {got[:80]!r}")
            peer.drop()
        peer = await Raw.open(self.url)
        peer.writer.write(message("identification", corr_id=1, username="mallory"))  # strangers' are short
        for n in range(20):  # fragments of 1 MiB
            peer.writer.write(Raw.frame(b"x" * (1 << 20), opcode=0 if n else 2, first=0))
        self.tally.expect(struct.pack(">H", 1009) in await peer.ended(), "20 MiB in fragments were taken")
        peer.drop()

    async def compression(self) -> None:
        """permessage-deflate is not agreed to, and a compressed frame is an error."""
        peer = await Raw.open(self.url, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        self.tally.expect("101" in peer.head and "deflate" not in peer.head.lower(), peer.head)
        peer.writer.write(Raw.frame(b"\0" * 1_000, first=0xC0))
        await peer.ended()
        peer.drop()

    async def half_open(self) -> None:
        """200 connections that say nothing at all, and 50 that vanish."""
        silent = [await Raw.connect(self.url) for _ in range(200)]
        for _ in range(50):
            (await Raw.open(self.url)).drop()
        await asyncio.wait([asyncio.create_task(peer.ended()) for peer in silent], timeout=40)
        for peer in silent:
            peer.drop()

    async def pings(self) -> None:
        """A flood of WebSocket pings, then one of protocol pings."""
        count = 10_000 if self.short else 500_000
        peer = await Raw.open(self.url)
        reading = asyncio.create_task(peer.ended(600))
        for _ in range(count // 100):
            peer.writer.write(Raw.frame(b"x" * 100, opcode=9) * 100)
            await peer.writer.drain()
        peer.drop()
        await reading
        link = await Link.open(self.url, "pinger")
        for _ in range(count // 500):
            waiting = []
            for _ in range(500):
                corr_id, future = link.expect()
                await link.send("ping", corr_id=corr_id)
                waiting.append(future)
            answers = await asyncio.wait_for(asyncio.gather(*waiting), 120)
            self.tally.expect(all(one["result"] == "Pong" for one in answers), "a ping without Pong")
        await link.close()

    async def first_chunks(self) -> None:
        """Uploads of chunk 0 that never go on."""
        count = 2_000 if self.short else 100_000
        sent = closed = 0
        data = b"x" * 262_144
        while sent < count:
            link = await Link.open(self.url, "uploader")
            try:
                for n in range(count):
                    await link.send("upload_program", corr_id=n, program_hash=f"{n:064x}", chunk_index=0,
                                    total_chunks=1_000, chunk_data=data)  # fmt: skip
                    sent += 1
            except ConnectionError:
                closed += 1
            await link.closed()
        self.tally.say(f"first chunks: {sent} on {closed} connections, each closed")

    async def bad_messages(self) -> None:
        """Deep nesting, huge declared arrays and texts: closed with 1007 or 1008."""
        deep = (b"\x91" * 1_000_000, b"\x81\xa1a" * 100_000)
        wide = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdc\xff\xff" + b"\xc0" * 65_535)
        for bad in (*deep, *wide, b"\x81\xa4type\xdb\xff\xff\xff\xff"):
            link = await Link.open(self.url, "nester")
            await link.raw(bad)
            await asyncio.wait_for(link.closed(), 60)
            self.tally.expect(
                link.socket.close_code in (1007, 1008), f"{bad[:8]!r}: {link.socket.close_code}"
            )

    async def deaf_client(self) -> None:
        """A program prints without end to a client that does not read: it meets its output limit."""
        owner = await Link.open(self.url, "deaf")
        await owner.upload(program("print_forever"))
        peer = await Raw.open(self.url)
        peer.writer.write(message("identification", corr_id=1, username="deaf"))
        peer.writer.write(message("launch_instance", corr_id=2, inferlet=blake3_hex(program("print_forever")),
                                  arguments=[], detached=False))  # fmt: skip
        peer.writer.transport.pause_reading()
        rows: list[dict[str, object]] = []
        async with asyncio.timeout(60):
            while not rows:
                rows = await owner.rows()
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # it prints
        peer.drop()
        id = str(rows[0]["id"])
        async with asyncio.timeout(60):
            while (await owner.call("attach_instance", instance_id=id))[
                "message"
            ] == "Instance already attached":
                await asyncio.sleep(0.1)
        end = await owner.end_of(id, 120)
        self.tally.expect(end.kind == FINAL and end.code == OUT_OF_RESOURCES, f"{end}")
        await owner.close()

    async def deaf_to_blobs(self) -> None:
        """A program sends blobs without end to a client that does not read: as with text."""
        owner = await Link.open(self.url, "deaf-to-blobs")
        await owner.upload(program("make_blob"))
        peer = await Raw.open(self.url)
        peer.writer.write(message("identification", corr_id=1, username="deaf-to-blobs"))
        peer.writer.write(message("launch_instance", corr_id=2, inferlet=blake3_hex(program("make_blob")),
                                  arguments=["1000000", "1000"], detached=False))  # fmt: skip
        peer.writer.transport.pause_reading()
        await asyncio.sleep(3)  # it sends what its log takes, and waits
        peer.drop()
        rows = await owner.rows()
        self.tally.expect(len(rows) == 1, f"{rows}")
        id = str(rows[0]["id"])
        async with asyncio.timeout(60):
            while (await owner.call("attach_instance", instance_id=id))["message"] != "Instance attached":
                await asyncio.sleep(0.1)
        end = await owner.end_of(id, 120)
        self.tally.expect(end.kind == FINAL and end.code == OUT_OF_RESOURCES, f"{end}")
        blobs = [event for event in owner.events[id] if event.kind == "blob"]
        self.tally.expect(len(blobs) >= 50_331_648 // 1_000_000, f"{len(blobs)} blobs came")
        await owner.close()

    async def large_blob(self) -> None:
        """A blob of 1 GiB, the most that is allowed, to an instance that never receives it."""
        size = (64 << 20) if self.short else (1 << 30)
        path = self.server.home.parent / "large"
        with path.open("wb") as file:
            file.truncate(size)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UPLOAD, self.url, "file", str(path), stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        answer = (await client.stdout.read()).decode().split()
        self.tally.expect(await client.wait() == 0 and len(answer) == 2, f"{answer}")
        grown = int(answer[1])
        self.tally.say(f"a blob of {mib(size)}: the client grew by {mib(grown)}")
        self.tally.expect(grown < GROWTH_BYTES_MAX, f"the client grew by {mib(grown)}", "leaked")
        path.unlink()
        spool = self.server.home / "run" / "spool"
        await until(lambda: not any(spool.iterdir()), "the spooled blob is still there")

    async def unread_answers(self) -> None:
        """A client that asks and does not read its answers: its connection ends."""
        peer = await Raw.open(self.url)
        peer.writer.transport.pause_reading()
        peer.writer.write(message("identification", corr_id=1, username="asker"))
        query = message("query", corr_id=2, subject="x" * 60, record="") * 1_000
        try:
            async with asyncio.timeout(60):
                for _ in range(400):
                    peer.writer.write(query)
                    await peer.writer.drain()
            stopped = False
        except (ConnectionError, TimeoutError):
            stopped = True
        self.tally.expect(stopped, "400,000 questions were taken though no answer was read")
        peer.drop()

    async def many_connections(self) -> None:
        """More connections than the server holds; who is connected is served, and newcomers later."""
        count = 4_300 if not self.short else 1_500
        peers: list[Raw] = []
        for _ in range(count):
            try:
                peers.append(await asyncio.wait_for(Raw.connect(self.url), 10))
            except (OSError, TimeoutError):
                break
        await self.served("while there are many")
        self.tally.say(f"connections: {len(peers)} at once")
        # Strangers of one address do not keep out who comes from another.
        other = await Link.open(self.url, "elsewhere", local_addr=("127.0.0.2", 0))
        self.tally.expect((await other.call("ping"))["result"] == "Pong", "another address not served")
        await other.close()
        for peer in peers:
            peer.drop()
        async with asyncio.timeout(60):
            while True:  # until the server has noticed that they left
                try:
                    late = await Link.open(self.url, "late")
                    break
                except (OSError, EOFError, websockets.InvalidHandshake):
                    await asyncio.sleep(0.05)
        self.tally.expect((await late.call("ping"))["result"] == "Pong", "newcomer not served")
        await late.close()

    async def nameless(self) -> None:
        """500 connections that answer pings and never say who they are: closed after their time."""
        peers = [await Link.open(self.url, None) for _ in range(500)]
        async with asyncio.timeout(120):
            await asyncio.gather(*(peer.closed() for peer in peers))
        codes = {peer.socket.close_code for peer in peers}
        self.tally.expect(codes == {1008}, f"closed with {codes}")

    async def wrong_tokens(self) -> None:
        """300 wrong tokens at once: their answers are delayed, others' are not."""
        peers = [await Link.open(self.url, None) for _ in range(300)]
        for peer in peers:
            await peer.send("internal_authenticate", corr_id=1, token="x" * 64)
        await self.served("during failing authentication")
        good = await Link.open(self.url, "good")
        await good.close()
        for peer in peers:
            peer.reset()

    # ---- around each

    async def served(self, when: str) -> None:
        """The canary's ping is answered in time."""
        try:
            async with asyncio.timeout(SERVED_WITHIN_S):
                await self.canary.call("ping")
        except (TimeoutError, ConnectionError) as failure:
            self.tally.add("lost", f"another client is not served {when}: {failure!r}")
            raise

    async def attack(self, name: str, rss_max: int) -> None:
        """Runs one attack beside a client that must be served all the time."""
        before = server_figures(self.server)
        peak = before["rss"]
        served = 0
        self.canary = await Link.open(self.url, "canary")
        task = asyncio.create_task(getattr(self, name)())
        while not task.done():
            await self.served(f"during {name}")
            served += 1
            peak = max(peak, server_figures(self.server)["rss"])
            await asyncio.wait([task], timeout=0.1)
        await task
        await self.served(f"after {name}")
        await self.canary.close()
        grown = peak - before["rss"]
        self.tally.say(f"{name}: grew by {mib(grown)} at most; another client was served {served} times")
        self.tally.expect(grown < rss_max, f"{name}: memory grew by {mib(grown)}", "leaked")
        self.tally.alive(self.server)


RSS_MAX = {
    "slow_handshakes": 64, "slow_frames": 64, "giant_frames": 96, "compression": 32, "half_open": 64,
    "pings": 96, "first_chunks": 512, "bad_messages": 128, "deaf_client": 256,
    "deaf_to_blobs": 192, "large_blob": 96, "unread_answers": 192, "many_connections": 256,
    "wrong_tokens": 64, "nameless": 64,
}  # fmt: skip


def main() -> int:
    """Runs the attacks that were asked for."""
    options = parser(__doc__)
    options.add_argument("--only", action="append", choices=RSS_MAX)
    chosen = options.parse_args()

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        (folder / "home").mkdir()
        (folder / "home" / "config.toml").write_text(CONFIG)
        server = Server(folder / "home")
        await asyncio.to_thread(server.start)
        try:
            attacks = Attacks(tally, server, chosen.short)
            warm = await Link.open(server.url, "warm-up")
            await warm.end_of(await warm.launch("hello"))
            await warm.close()
            idle = server_figures(server)
            names = chosen.only or list(RSS_MAX)
            rng.shuffle(names)
            for name in names:
                await attacks.attack(name, RSS_MAX[name] << 20)
            async with asyncio.timeout(60):
                while (left := server_figures(server)["fds"] - idle["fds"]) > 5:
                    await asyncio.sleep(0.1)
            tally.say(f"{len(names)} attacks; {max(left, 0)} descriptors more than before")
            tally.expect(await asyncio.to_thread(server.stop) == 0, "stop failed", "crashed")
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()

    return run("attackers", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

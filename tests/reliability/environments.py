#!/usr/bin/env python3
"""A server under the limits that real machines set: it works within them, and says what it chose and why.

1,024 descriptors, 300 MB of memory, one CPU of quota, a full disk, another user than root. Where control
groups may be made here, they set memory and quota; else a bound on the address space and one core do, and
where no file system may be mounted the disk is full by injection: the output says so.

    python -m tests.reliability.environments [--short] [--only NAME] [--seed S]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.conftest import BUILD, INFERLETS, MODEL, PIE, Server
from tests.reliability.client_messages import FORM, padded
from tests.reliability.common import Link, Tally, mib, parser, program, run, server_figures, until
from tests.reliability.fault_injection import CHAT, COMPLETED, KINDS, OUT_OF_RESOURCES, SERVER_ERROR, Faults

DESCRIPTORS, MEMORY, DISK, RESERVE = 1_024, 300_000_000, 48 << 20, 4 << 20
ADDRESS_SPACE = 1_000_000_000
NOBODY = 65_534
LOG_BYTES = 4_000
NO_ROOM = r"no space|room on the disk|disk is full|bytes free on the disk"


@contextlib.contextmanager
def control_group(controller: str, settings: dict[str, dict[str, str]]) -> Iterator[list[str]]:
    """A control group of version 1 or 2: what is put before a command to run it there. Empty: not here."""
    for root in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
        version = "2" if (root / "cgroup.controllers").exists() else "1"
        group = root / f"pie-environments-{os.getpid()}"
        try:
            if version == "2":
                (root / "cgroup.subtree_control").write_text(f"+{controller}")
            elif not (root / "tasks").exists():
                continue
            group.mkdir()
        except OSError:
            continue
        try:
            for name, value in settings[version].items():
                (group / name).write_text(value)
        except OSError:
            group.rmdir()
            continue
        try:
            yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$0" "$@"']
        finally:
            group.rmdir()
        return
    yield []


class Environments:
    """Each public method is an environment; its docstring says which."""

    def __init__(self, tally: Tally, rng: random.Random, folder: Path, is_short: bool) -> None:
        self.tally, self.rng, self.folder, self.is_short = tally, rng, folder, is_short

    @contextlib.contextmanager
    def server(self, home: Path, *prefix: str) -> Iterator[Server]:
        """A server that is gone in the end, whatever happens."""
        server = Server(home)
        server.prefix = list(prefix)
        try:
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()

    async def start(self, server: Server, expected: str) -> Link:
        """It starts, says what it chose and why, and a completion works."""
        await asyncio.to_thread(server.start)
        await until(
            lambda: f"serving at {server.url}" in server.log.read_text(), "its address is not printed"
        )
        said = server.log.read_text()
        self.tally.expect(
            re.search(expected, said) is not None, f"{expected!r} is not in:\n{said[-LOG_BYTES:]}"
        )
        link = await Link.open(server.url, "ann")
        await self.completes(link, "at first")
        return link

    async def completes(self, link: Link, when: str) -> None:
        """The model answers a prompt."""
        id = await link.launch("text-completion", CHAT)
        end = await link.end_of(id)
        said = "".join(event.text for event in link.events[id] if event.kind == "out")
        self.tally.expect(
            end.code == COMPLETED and said.strip() != "", f"a completion {when}: {end}, {said!r}"
        )

    async def ends(self, server: Server, *links: Link) -> None:
        """SIGTERM ends it cleanly, with work under way."""
        for link in links:
            await link.launch("long-running-task", ["--seconds", "9000", "--every", "9000"])
        self.tally.alive(server)
        self.tally.expect(
            await asyncio.to_thread(server.stop) == 0, server.log.read_text()[-2_000:], "crashed"
        )
        for link in links:
            await link.closed()

    # ---- the environments

    async def descriptors(self) -> None:
        """1,024 descriptors: more detached launches than that; another user works, and so does a restart."""
        limit = f'ulimit -n {DESCRIPTORS} && exec "$0" "$@"'
        with self.server(self.folder / "descriptors", "sh", "-c", limit) as server:
            await self.launches(server)

    async def launches(self, server: Server) -> None:
        """Of a program that ends at once, by one user who fetches nothing."""
        link = await self.start(server, rf"open files: at most {DESCRIPTORS}|\b{DESCRIPTORS} open files")
        ids: list[str] = []
        for first in range(0, 1_100, 20):
            launches = [link.launch("hello", [], detached=True) for _ in range(first, first + 20)]
            for one in await asyncio.gather(*launches, return_exceptions=True):
                if isinstance(one, str):
                    ids.append(one)
                else:
                    self.tally.add("lost", f"launch {len(ids)}: {one!r}")
                    await self.ends(server)
                    return
        other = await Link.open(server.url, "bob")
        await self.completes(other, "beside 1,100 undelivered logs")
        async with asyncio.timeout(60):
            while any(row["status"] != "Finished" for row in await link.rows()):
                await asyncio.sleep(0.05)
        used = server_figures(server)["fds"]
        self.tally.say(f"descriptors: {len(ids)} undelivered logs, {used} descriptors open")
        await self.crowd(server, other)
        await self.ends(server, other)
        await asyncio.to_thread(server.start)
        link = await Link.open(server.url, "ann")
        self.tally.expect(
            len(await link.rows()) == len(ids), f"{len(await link.rows())} are there after a restart"
        )
        for id in self.rng.sample(ids, 20):
            answer = await link.call("attach_instance", instance_id=id)
            self.tally.expect(answer["successful"], f"attach after a restart: {answer}")
            end = await link.end_of(id)
            said = [event for event in link.events[id] if event.kind == "out"]
            self.tally.expect(end.code == COMPLETED and bool(said), f"{id}: {end}, {said}")
        await self.ends(server, link)

    async def crowd(self, server: Server, other: Link) -> None:
        """As many clients as there are descriptors: who is connected is served; refusals name the cause."""
        crowd: list[Link] = []
        for n in range(DESCRIPTORS):
            try:
                crowd.append(await Link.open(server.url, f"u{n % 7}", open_timeout=2))
            except Exception:  # whatever a connection that is not taken ends with
                break
        self.tally.say(f"descriptors: {len(crowd)} clients at once")
        self.tally.expect(len(crowd) > DESCRIPTORS // 2, f"only {len(crowd)} clients")
        for program_name, arguments in (("hello", []), ("text-completion", CHAT)):
            fields = {"inferlet": program_name, "arguments": arguments, "detached": False}
            answer = await other.call("launch_instance", **fields)
            text = str(answer["message"])
            is_right = answer["successful"] or re.search(KINDS["open"].cause, text, re.I)
            self.tally.expect(bool(is_right), f"without descriptors: {text}")
            if answer["successful"]:
                await other.end_of(text)
        for link in crowd:
            link.reset()
        await asyncio.gather(*(link.closed() for link in crowd))
        async with asyncio.timeout(60):
            while server_figures(server)["fds"] > DESCRIPTORS // 2:
                await asyncio.sleep(0.05)
        await self.completes(other, "after a crowd")

    async def memory(self) -> None:
        """300 MB: prompts that fill the pages that it chose are served, or refused, and nobody is killed."""
        settings = {"1": {"memory.limit_in_bytes": str(MEMORY)},
                    "2": {"memory.max": str(MEMORY), "memory.swap.max": "0"}}  # fmt: skip
        with control_group("memory", settings) as prefix:
            if not prefix:
                await self.address_space()
                return
            with self.server(self.folder / "memory", *prefix) as server:
                await self.long_prompts(server)

    async def long_prompts(self, server: Server) -> None:
        """More than the pages take at once, and an upload of most of the memory."""
        link = await self.start(server, r"memory can be taken \(.*memory\.(limit_in_bytes|max|high)")
        long = ["--prompt", "word " * 1_500, "--max-tokens", "4"]
        ids = [await link.launch("text-completion", long) for _ in range(2 if self.is_short else 12)]
        codes = [(await link.end_of(id)).code for id in ids]
        self.tally.expect(set(codes) <= {COMPLETED, OUT_OF_RESOURCES}, f"long prompts ended with {codes}")
        await self.refused_upload(link, padded(program("hello"), 200_000_000), "memory")
        await self.completes(link, "after long prompts")
        peak = server.peak_rss_bytes()
        self.tally.say(f"memory: in a group of {mib(MEMORY)}; at most {mib(peak)} resident, with file pages")
        await self.ends(server, link)

    async def address_space(self) -> None:
        """No group may be made here: a bound on the address space, which names itself or is worked within."""
        self.tally.say(f"memory: no control group may be made here; ulimit -v {ADDRESS_SPACE // 1_000}")
        limit = f'ulimit -v {ADDRESS_SPACE // 1_000} && exec "$0" "$@"'
        named = r"RLIMIT_AS|ulimit -v|address space"
        with self.server(self.folder / "memory", "sh", "-c", limit) as server:
            try:
                await asyncio.to_thread(server.start)
            except RuntimeError as refused:
                assert server.process is not None
                code = server.process.returncode
                self.tally.expect(code == 1, f"exit code {code}", "crashed")
                is_named = re.search(named, str(refused)) is not None
                self.tally.expect(is_named, f"the bound is not named: {str(refused)[-LOG_BYTES:]}")
                return
            link = await Link.open(server.url, "ann")
            end = await link.end_of(await link.launch("text-completion", CHAT))
            is_right = end.code == COMPLETED or re.search(named, end.text) is not None
            self.tally.expect(is_right, f"a completion ended with {end}")
            await self.ends(server)

    async def refused_upload(self, link: Link, wasm: bytes, what: str) -> None:
        """More than there is room for: taken, or refused in words."""
        answer = await link.upload(wasm)
        text = str(answer["result"])
        is_told = FORM.match(text) or re.search(NO_ROOM, text, re.I)
        self.tally.expect(answer["successful"] or bool(is_told),
                          f"an upload of {mib(len(wasm))} without {what}: {text[:300]}")  # fmt: skip

    async def one_cpu(self) -> None:
        """A quota of one CPU: one thread computes, and others are served meanwhile."""
        settings = {"1": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"},
                    "2": {"cpu.max": "100000 100000"}}  # fmt: skip
        with control_group("cpu", settings) as prefix:
            expected = r"\b1 threads? .*\(.*cpu\.(cfs_quota_us|max)"
            if not prefix:
                core = min(os.sched_getaffinity(0))
                self.tally.say(f"one cpu: no control group may be made here; taskset to core {core}")
                prefix, expected = ["taskset", "-c", str(core)], r"\b1 threads? "
            with self.server(self.folder / "one_cpu", *prefix) as server:
                link = await self.start(server, expected)
                other = await Link.open(server.url, "bob")
                chats = [asyncio.create_task(self.completes(link, "beside others")) for _ in range(4)]
                while any(not chat.done() for chat in chats):
                    await other.call("ping")
                    await other.end_of(await other.launch("hello"))
                await asyncio.gather(*chats)
                await self.ends(server, link, other)

    async def full_disk(self) -> None:
        """A disk without room: who would write is told so; who need not is served; then all goes on."""
        home = self.folder / "disk" / "home"
        home.parent.mkdir()
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(home.parent)],
            check=False, capture_output=True).returncode == 0  # fmt: skip
        ballast = home.parent / "ballast"
        faults = Faults(self.folder)

        def fill() -> None:
            if not mounted:
                return faults.arm(KINDS["write"], str(home))
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(4_096)):
                    pass
            return None

        def free() -> None:
            faults.disarm()
            ballast.unlink(missing_ok=True)

        self.tally.say(
            f"full disk: {'a file system of ' + mib(DISK) if mounted else 'no mount here; by injection'}"
        )
        try:
            with self.server(home) as server:
                server.log = self.folder / "disk.log"  # standard output is on another disk
                server.environment = faults.environment
                home.mkdir()
                (home / "config.toml").write_text(f"[limits]\ndisk_reserve_bytes = {RESERVE}\n")
                await self.on_a_full_disk(server, fill, free)
        finally:
            if mounted:
                subprocess.run(["umount", "-l", str(home.parent)], check=True)

    async def on_a_full_disk(
        self, server: Server, fill: Callable[[], None], free: Callable[[], None]
    ) -> None:
        """With the means to fill it and to free it again."""
        link = await self.start(server, r"on disk")
        kept = [await link.launch("hello", [], detached=True) for _ in range(5)]
        async with asyncio.timeout(60):
            while any(row["status"] != "Finished" for row in await link.rows()):
                await asyncio.sleep(0.02)
        echo = await link.launch("echo", [])
        fill()
        for wasm in (padded(program("hello"), 90_000), padded(program("hello"), 20_000_000)):
            answer = await link.upload(wasm)
            text = str(answer["result"])
            self.tally.expect(not answer["successful"] and re.search(NO_ROOM, text, re.I) is not None,
                              f"an upload of {mib(len(wasm))} to a full disk: {text[:300]}")  # fmt: skip
        for name, arguments in (("hello", []), ("text-completion", CHAT)):
            answer = await link.call("launch_instance", inferlet=name, arguments=arguments, detached=False)
            text = str(answer["message"])
            if answer["successful"]:
                end = await link.end_of(text)
                is_told = end.code in (SERVER_ERROR, OUT_OF_RESOURCES) and re.search(NO_ROOM, end.text, re.I)
                self.tally.expect(end.code == COMPLETED or bool(is_told), f"{name} on a full disk: {end}")
            else:
                self.tally.expect(
                    re.search(NO_ROOM, text, re.I) is not None, f"{name} on a full disk: {text}"
                )
        other = await Link.open(server.url, "bob")
        self.tally.expect((await other.call("ping"))["result"] == "Pong", "nobody else is served")
        free()
        await self.completes(link, "with room again")
        for id in kept:
            await link.call("attach_instance", instance_id=id)
            end = await link.end_of(id)
            self.tally.expect(
                end.code == COMPLETED and link.events[id][0].kind == "out", f"{id}: {link.events[id]}"
            )
        answer = await link.upload(padded(program("hello"), 90_000))
        self.tally.expect(answer["successful"], f"an upload with room again: {answer}")
        self.tally.expect(link.ended(echo) is None, "an instance that said nothing ended on the full disk")
        fill()
        await self.ends(server)
        try:  # a start on a full disk works, or says why not
            await asyncio.to_thread(server.start)
            await self.ends(server)
        except RuntimeError as refused:
            assert server.process is not None
            is_told = server.process.returncode == 1 and re.search(NO_ROOM, str(refused), re.I)
            self.tally.expect(
                bool(is_told), f"a start on a full disk: {str(refused)[-LOG_BYTES:]}", "crashed"
            )
        free()
        link = await self.start(server, r"on disk")
        await self.ends(server, link)

    async def another_user(self) -> None:
        """Nobody, in a folder of its own."""
        if os.geteuid() != 0:
            self.tally.say(f"another user: this is user {os.geteuid()} already")
            with self.server(self.folder / "another") as server:
                await self.ends(server, await self.start(server, "."))
            return
        folder = self.folder / "another"
        folder.mkdir()
        # What nobody may read of the build (it may lie in root's home) is copied.
        (folder / "lib").mkdir()
        for line in subprocess.run(
            ["ldd", str(PIE)], check=True, capture_output=True, text=True
        ).stdout.splitlines():
            found = re.search(r"=> (/\S+)", line)
            if found and not found[1].startswith(("/lib", "/usr")):
                shutil.copy(found[1], folder / "lib")
        shutil.copy(PIE, folder / "pie")
        shutil.copytree(BUILD / "share" / "pie", folder / "share", ignore=shutil.ignore_patterns("*.gguf"))
        shutil.copy(MODEL, folder / "share" / "models")
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        self.folder.chmod(0o711)
        home = folder / "own" / "home"
        home.parent.mkdir()
        os.chown(home.parent, NOBODY, NOBODY)
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        with self.server(home, *become, "sh", "-c", f'shift; exec {folder}/pie "$@"', "sh") as server:
            await self.as_nobody(server, folder)

    async def as_nobody(self, server: Server, folder: Path) -> None:
        """With a copy of the build in `folder`."""
        home = server.home
        server.environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "PIE_SHARE": str(folder / "share"),
                              "HOME": str(home.parent)}  # fmt: skip
        link = await self.start(server, ".")
        status = Path(f"/proc/{server.pid}/status").read_text()
        self.tally.expect(re.search(rf"^Uid:\s+{NOBODY}\s", status, re.M) is not None, "it runs as root")
        answer = await link.upload(program("echo"))
        self.tally.expect(answer["successful"], f"{answer}")
        others = [path for path in home.rglob("*") if path.stat().st_uid != NOBODY]
        self.tally.expect(not others, f"files of others: {others[:3]}")
        await self.ends(server, link)


NAMES = ("descriptors", "memory", "one_cpu", "full_disk", "another_user")


def main() -> int:
    """Runs the environments that were asked for."""
    options = parser(__doc__)
    options.add_argument("--only", action="append", choices=NAMES)
    chosen = options.parse_args()
    assert INFERLETS.exists(), "run `make test`: no guest programs"

    async def body(tally: Tally, rng: random.Random, folder: Path) -> None:
        environments = Environments(tally, rng, folder, chosen.short)
        for name in chosen.only or NAMES:
            await getattr(environments, name)()
            tally.say(f"{name}: done")

    return run("environments", chosen, body)


if __name__ == "__main__":
    sys.exit(main())

"""protocol.md section 6: dependencies, the compiled forms on the disk and in memory, the quota of uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.wire import Peer, blake3_hex


def manifest(name: str, version: str = "1.0.0", *dependencies: str) -> str:
    """A manifest with dependencies."""
    return f'[package]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(dependencies)}\n'


def variant(wasm: bytes, number: int) -> bytes:
    """The same program under another hash: a custom section more at its end."""
    name = f"v{number}".encode()
    section = bytes([len(name)]) + name
    return wasm + b"\0" + bytes([len(section)]) + section


def with_limits(home: Path, limits: str) -> Server:
    """A server whose config has these limits."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(f"[limits]\n{limits}")
    return Server(home).start()


def on(server: Server, test: Callable[[Peer], Coroutine[Any, Any, None]], user: str = "programmer") -> None:
    """Runs a test with one peer."""

    async def main() -> None:
        async with Peer(server.url, username=user) as peer:
            await test(peer)

    asyncio.run(main())


async def refusal(peer: Peer, program: str) -> str:
    """Why a launch is refused."""
    answer = await peer.call("launch_instance", inferlet=program, arguments=[], detached=False)
    assert answer["type"] == "instance_launch_result" and not answer["successful"], answer
    return str(answer["message"])


async def refusals(peer: Peer, program: str, hash: str) -> tuple[str, str, str]:
    """Why a launch is refused: by name, by hash, and by hash as an old client gives it."""
    old = await peer.call("launch_instance", program_hash=hash, arguments=[], detached=False)
    assert old["type"] == "instance_launch_result" and not old["successful"], old
    return await refusal(peer, program), await refusal(peer, hash), str(old["message"])


async def completes(peer: Peer, program: str) -> None:
    """Launches a program, which completes."""
    assert (await peer.final(await peer.launch(program)))["event"] == 1


def test_dependencies_are_checked_for_presence_at_launch(server: Server, programs: Path) -> None:
    wasm = (programs / "hello.wasm").read_bytes()

    async def test(peer: Peer) -> None:
        for name, dependencies in (("top", ["dep/middle@1.0.0"]), ("middle", ["dep/bottom", "hello"])):
            text = manifest(f"dep/{name}", "1.0.0", *dependencies)
            assert (await peer.upload(wasm, text))["successful"]  # presence is asked for at launch
        assert "got no program dep/bottom, which dep/middle@1.0.0 needs" in await refusal(peer, "dep/top")
        assert (await peer.upload(wasm, manifest("dep/bottom", "0.1.0")))["successful"]
        await completes(peer, "dep/top")
        assert (await peer.upload(wasm, manifest("dep/exact", "1.0.0", "dep/bottom@0.2.0")))["successful"]
        assert "got no program dep/bottom@0.2.0" in await refusal(peer, "dep/exact")

    on(server, test)
    # Somebody else's programs are not there for me.
    on(server, lambda peer: _foreign(peer, wasm), "stranger")


async def _foreign(peer: Peer, wasm: bytes) -> None:
    assert (await peer.upload(wasm, manifest("dep/mine", "1.0.0", "dep/bottom")))["successful"]
    assert "got no program dep/bottom, which dep/mine@1.0.0 needs" in await refusal(peer, "dep/mine")


def test_a_hash_is_launched_under_the_same_conditions_as_its_name(server: Server, programs: Path) -> None:
    mine, shipped = (variant((programs / "hello.wasm").read_bytes(), 1000 + i) for i in range(2))

    async def test(peer: Peer) -> None:
        hash = blake3_hex(mine)
        assert (await peer.upload(mine, manifest("byhash/top", "1.0.0", "byhash/none")))["successful"]
        for why in await refusals(peer, "byhash/top", hash):
            assert "got no program byhash/none, which byhash/top@1.0.0 needs" in why
        assert (await peer.upload(mine, manifest("byhash/loop", "1.0.0", "byhash/loop")))["successful"]
        for why in await refusals(peer, "byhash/loop", hash):
            assert "[dependencies] got" in why
        # A hash with several names is what any of them is.
        assert (await peer.upload(mine, manifest("byhash/top", "1.0.1")))["successful"]
        await completes(peer, hash)
        await completes(peer, "byhash/top")

    async def stranger(peer: Peer) -> None:
        # Somebody else's manifest binds nobody; one's own does.
        hash = blake3_hex(shipped)
        assert (await peer.upload(shipped))["successful"]
        async with Peer(server.url, username="envious") as other:
            text = manifest("byhash/trap", "1.0.0", "byhash/none")
            assert (await other.upload(shipped, text))["successful"]
            for why in await refusals(other, "byhash/trap", hash):
                assert "got no program byhash/none" in why
        await completes(peer, hash)

    on(server, test, "by-hash")
    on(server, stranger, "by-hash-stranger")


def test_a_cycle_of_dependencies_is_named(server: Server, programs: Path) -> None:
    wasm = (programs / "hello.wasm").read_bytes()

    async def test(peer: Peer) -> None:
        for name, dependency in (("a", "b"), ("b", "c"), ("c", "a"), ("self", "self"), ("outside", "b")):
            text = manifest(f"cyc/{name}", "1.0.0", f"cyc/{dependency}")
            assert (await peer.upload(wasm, text))["successful"]
        assert "cyc/a@1.0.0 -> cyc/b@1.0.0 -> cyc/c@1.0.0 -> cyc/a@1.0.0" in await refusal(peer, "cyc/a")
        assert "cyc/self@1.0.0 -> cyc/self@1.0.0" in await refusal(peer, "cyc/self")
        text = await refusal(peer, "cyc/outside")
        assert "cyc/b@1.0.0 -> cyc/c@1.0.0 -> cyc/a@1.0.0 -> cyc/b@1.0.0" in text
        # Two ways to the same program are no cycle.
        assert (await peer.upload(wasm, manifest("dia/end")))["successful"]
        for side in ("left", "right"):
            assert (await peer.upload(wasm, manifest(f"dia/{side}", "1.0.0", "dia/end")))["successful"]
        assert (await peer.upload(wasm, manifest("dia/top", "1.0.0", "dia/left", "dia/right")))["successful"]
        await completes(peer, "dia/top")

    on(server, test)


def compiled(server: Server) -> list[str]:
    """The hashes that the server has compiled, by its log."""
    lines = server.log.read_text().splitlines()
    return [line.rsplit(" ", 1)[1] for line in lines if "compiling the program " in line]


def test_a_program_is_compiled_once_and_a_restart_compiles_nothing(
    own_server: Server, programs: Path
) -> None:
    wasm = (programs / "hello.wasm").read_bytes()
    hash = blake3_hex(wasm)

    async def upload(peer: Peer) -> None:
        assert (await peer.upload(wasm, manifest("once/hello")))["successful"]
        await asyncio.gather(*(completes(peer, program) for program in (hash, "once/hello", hash)))

    def files() -> list[tuple[str, int, int]]:
        folder = own_server.home / "cache"
        return sorted((path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir())

    on(own_server, upload)
    assert compiled(own_server) == [hash]
    before = files()
    assert len(before) == 1 and before[0][0].startswith(hash)
    own_server.kill()
    own_server.start()
    on(own_server, lambda peer: completes(peer, "once/hello"))
    on(own_server, lambda peer: completes(peer, hash), "another")
    assert compiled(own_server) == [hash] and files() == before


def test_compiled_programs_are_bounded_on_the_disk_and_in_memory(tmp_path: Path, programs: Path) -> None:
    wasm = (programs / "hello.wasm").read_bytes()
    hashes = [blake3_hex(variant(wasm, n)) for n in range(6)]
    server = with_limits(tmp_path / "home", "compiled_disk_bytes_max = 1\ncompiled_memory_bytes_max = 1\n")

    async def test(peer: Peer) -> None:
        waiting = await peer.launch("echo")  # keeps its program though it is let go
        for n, hash in enumerate(hashes):
            assert (await peer.upload(variant(wasm, n)))["successful"]
            await completes(peer, hash)
            assert len(list((server.home / "cache").iterdir())) == 1
        await completes(peer, hashes[0])  # compiled anew: neither place has it
        await peer.send("signal_instance", instance_id=waiting, message="still here")
        await peer.message(waiting, "still here")

    try:
        on(server, test)
        assert compiled(server)[1:] == [*hashes, hashes[0]]
    finally:
        assert server.stop() == 0


def test_what_a_user_uploads_is_bounded(tmp_path: Path, programs: Path) -> None:
    wasm = (programs / "hello.wasm").read_bytes()
    size = -(-len(variant(wasm, 1)) // 4096) * 4096
    server = with_limits(tmp_path / "home", f"user_program_bytes_max = {2 * size}\n")
    third = variant(wasm, 3)

    async def fill(peer: Peer) -> None:
        for n in (1, 2, 2):  # the same again is no more
            assert (await peer.upload(variant(wasm, n)))["successful"]
        answer = await peer.upload(third)
        assert not answer["successful"]
        assert f"expected at most {2 * size}" in answer["result"]
        assert "limits.user_program_bytes_max" in answer["result"]
        exists = await peer.call("query", subject="program_exists", record=blake3_hex(third))
        assert exists["result"] == "false"
        assert "Program not found" in await refusal(peer, blake3_hex(third))
        await completes(peer, blake3_hex(variant(wasm, 1)))

    async def other(peer: Peer) -> None:
        assert (await peer.upload(third))["successful"]

    try:
        on(server, fill)
        server.kill()
        server.start()
        on(server, fill)  # what is stored counts after a restart, too
        on(server, other, "other")
    finally:
        assert server.stop() == 0

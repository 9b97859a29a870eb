"""protocol.md 6.11: archives are programs that a runtime runs, for the server and the command line.

The runtime here is tests/programs/archive_runtime.cpp, which gives its source back.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import INFERLETS, Server
from tests.test_cli import pie
from tests.test_programs import manifest, on, refusal
from tests.wire import Peer, blake3_hex

RUNTIME = INFERLETS / "archive_runtime.wasm"


def archive(**files: str) -> bytes:
    """A ZIP archive with these modules, as any tool writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(f"{name}.py", content)
    return out.getvalue()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose runtime is the one above, with a registry that has an archive."""
    home = tmp_path_factory.mktemp("archives") / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"python_runtime = {json.dumps(str(RUNTIME))}\n")
    shipped = home / "registry" / "std" / "shipped"
    shipped.mkdir(parents=True)
    (shipped / "1.0.0.zip").write_bytes(archive(shipped="print('shipped')"))
    one = Server(home).start()
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


async def source_of(peer: Peer, program: str) -> bytes:
    """What an instance of the program has for its source."""
    instance = await peer.launch(program)
    end = await peer.final(instance)
    assert (end["event"], end["message"]) == (1, "sent"), end
    frame = await peer.wait_for(lambda f: f["type"] == "download_blob" and f["instance_id"] == instance)
    return bytes(frame["chunk_data"])


def test_an_archive_is_launched_by_hash_name_and_version_like_a_component(archives: Server) -> None:
    first, second = archive(agent="print(1)"), archive(agent="print(2)")

    async def test(peer: Peer) -> None:
        answer = await peer.upload(first, manifest("my/agent", "1.0.0"))
        assert (answer["successful"], answer["result"]) == (True, blake3_hex(first))
        assert (await peer.upload(second, manifest("my/agent", "1.1.0")))["successful"]
        assert await source_of(peer, blake3_hex(first)) == first
        assert await source_of(peer, "my/agent") == second
        assert await source_of(peer, "my/agent@1.0.0") == first
        exists = await peer.call("query", subject="program_exists", record=blake3_hex(second))
        assert exists["result"] == "true"

    on(archives, test)
    archives.stop()
    archives.start()
    on(archives, lambda peer: _still_there(peer, second))


async def _still_there(peer: Peer, source: bytes) -> None:
    assert await source_of(peer, "my/agent") == source


def test_an_archive_in_the_registry_is_found_by_its_name(archives: Server) -> None:
    async def test(peer: Peer) -> None:
        with zipfile.ZipFile(io.BytesIO(await source_of(peer, "shipped"))) as file:
            assert file.read("shipped.py") == b"print('shipped')"

    on(archives, test)


def test_a_component_has_no_source(archives: Server) -> None:
    async def test(peer: Peer) -> None:
        assert (await peer.upload(RUNTIME.read_bytes()))["successful"]
        assert await source_of(peer, blake3_hex(RUNTIME.read_bytes())) == b""

    on(archives, test)


def test_a_large_source_reaches_its_program_whole(archives: Server) -> None:
    large = archive(agent="#" * 1000) + b"\0" * (8 << 20)

    async def test(peer: Peer) -> None:
        assert (await peer.upload(large))["successful"]
        instance = await peer.launch(blake3_hex(large))
        assert (await peer.final(instance))["event"] == 1

        def chunks() -> list[dict[str, object]]:
            return [f for f in peer.frames if f["type"] == "download_blob" and f["instance_id"] == instance]

        await peer.wait_until(lambda: bool(chunks()) and len(chunks()) == chunks()[0]["total_chunks"])
        assert b"".join(bytes(f["chunk_data"]) for f in chunks()) == large  # type: ignore[arg-type]

    on(archives, test)


def test_what_is_kept_is_there_for_the_same_user_and_archive_alone(archives: Server) -> None:
    mine, other = archive(cached="a = 1"), archive(cached="a = 2")

    async def keep(peer: Peer, source: bytes, value: str) -> str:
        assert (await peer.upload(source))["successful"]
        end = await peer.final(await peer.launch(blake3_hex(source), ["cache", value]))
        assert end["event"] == 1, end
        return str(end["message"])

    async def ann(peer: Peer) -> None:
        assert await keep(peer, mine, "first") == "none"
        assert await keep(peer, mine, "second") == "first"
        assert await keep(peer, other, "third") == "none"

    async def bob(peer: Peer) -> None:
        assert await keep(peer, mine, "of bob") == "none"

    on(archives, ann, "ann")
    on(archives, bob, "bob")


def test_an_archive_does_not_serve_http_and_is_bounded(archives: Server) -> None:
    source = archive(agent="print(1)")

    async def test(peer: Peer) -> None:
        hash = str((await peer.upload(source))["result"])
        answer = await peer.call("launch_server_instance", port=19_999, inferlet=hash, arguments=[])
        assert not answer["successful"]
        assert "without wasi:http/incoming-handler" in answer["result"]
        answer = await peer.upload(source + b"\0" * (64 << 20))
        assert not answer["successful"]
        assert "expected at most 67108864" in answer["result"]

    on(archives, test)


def test_without_a_runtime_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    absent = tmp_path / "absent.wasm"
    (home / "config.toml").write_text(f"python_runtime = {json.dumps(str(absent))}\n")
    server = Server(home).start()
    source = archive(agent="print(1)")

    async def test(peer: Peer) -> None:
        answer = await peer.upload(source)
        assert not answer["successful"]
        assert str(absent) in answer["result"] and "make build" in answer["result"]
        assert "Program not found" in await refusal(peer, blake3_hex(source))

    on(server, test)
    absent.write_bytes(RUNTIME.read_bytes())  # and from then on it works
    on(server, lambda peer: _works(peer, source))
    assert server.stop() == 0


async def _works(peer: Peer, source: bytes) -> None:
    assert (await peer.upload(source))["successful"]
    assert await source_of(peer, blake3_hex(source)) == source


def test_the_command_line_makes_the_archive(archives: Server, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    (folder / "tool").mkdir(parents=True)
    (folder / "__main__.py").write_text("import tool\n")
    (folder / "tool" / "__init__.py").write_text("print('tool')\n")
    (folder / ".secret").write_text("not for others")
    single = tmp_path / "agent.py"
    single.write_text("print('single')\n")
    packed = tmp_path / "packed.zip"
    packed.write_bytes(archive(packed="print('packed')"))
    wanted = {
        folder: {"__main__.py": "import tool\n", "tool/__init__.py": "print('tool')\n"},
        single: {"agent.py": "print('single')\n"},
        packed: {"packed.py": "print('packed')"},
    }
    for path, files in wanted.items():
        done = pie("upload", str(path), "--server", archives.url)
        assert done.returncode == 0, done.stderr
        again = pie("upload", str(path), "--server", archives.url)
        assert again.stdout == done.stdout
        hash = done.stdout.strip()

        async def test(peer: Peer, hash: str = hash, files: dict[str, str] = files) -> None:
            with zipfile.ZipFile(io.BytesIO(await source_of(peer, hash))) as file:
                assert file.testzip() is None
                assert {name: file.read(name).decode() for name in file.namelist()} == files

        on(archives, test)
        for command in (["run", str(path)], ["submit", str(path)]):
            where = {"home": archives.home} if command[0] == "run" else {"home": tmp_path}
            server = [] if command[0] == "run" else ["--server", archives.url]
            done = pie(*command, *server, "--", "cache", "kept", **where)
            assert done.returncode == 0, done.stderr


def test_many_who_bring_an_archive_at_once_share_its_runtime(archives: Server) -> None:
    async def main() -> None:
        async with Peer(archives.url, username="many") as peer:
            sources = [archive(agent=f"print({i})") for i in range(20)]
            answers = await asyncio.gather(*(peer.upload(one) for one in sources))
            assert all(one["successful"] for one in answers), answers
            got = await asyncio.gather(*(source_of(peer, blake3_hex(one)) for one in sources))
            assert got == sources

    asyncio.run(main())

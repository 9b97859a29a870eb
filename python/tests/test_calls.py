"""What each call puts on the wire, and what comes of the answer."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
from conftest import Peer

import pie
from pie import AuthenticationError, Event, InstanceInfo, ParsedPrivateKey, PieClient, PieError

Run = Callable[..., None]
AUTH_IS_OFF = "Authenticated (Engine disabled authentication)"


def test_the_package_is_typed_and_has_a_version() -> None:
    assert pie.__version__
    assert (Path(pie.__file__).parent / "py.typed").exists()
    assert [event.value for event in Event] == list(range(9))
    assert Event(7).name == "Stdout"


@pytest.mark.parametrize("key_is_given", [False, True])
def test_a_server_without_authentication_needs_no_key(
    run: Run, tmp_path: Path, key_is_given: bool
) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True
    )

    async def server(peer: Peer) -> None:
        message = await peer.take("identification")
        assert message["username"] == "ada"
        await peer.respond(message, AUTH_IS_OFF)

    async def client_side(client: PieClient) -> None:
        key = ParsedPrivateKey.from_file(tmp_path / "k") if key_is_given else None
        await client.authenticate("ada", key)

    run(server, client_side)


def test_a_challenge_is_signed_with_the_key(run: Run, tmp_path: Path) -> None:
    key_file = tmp_path / "k"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key_file)], check=True
    )
    challenge = bytes(range(48))

    async def server(peer: Peer) -> None:
        message = await peer.take("identification")
        await peer.respond(message, base64.b64encode(challenge).decode())
        answer = await peer.take("signature")
        (tmp_path / "challenge").write_bytes(challenge)
        (tmp_path / "signature").write_bytes(base64.b64decode(answer["signature"], validate=True))
        verify = ["pkeyutl", "-verify", "-inkey", str(key_file), "-rawin"]
        verify += ["-in", str(tmp_path / "challenge"), "-sigfile", str(tmp_path / "signature")]
        verified = await asyncio.create_subprocess_exec("openssl", *verify)
        await verified.wait()
        await peer.respond(answer, "Authenticated", successful=verified.returncode == 0)

    async def client_side(client: PieClient) -> None:
        await client.authenticate("ada", ParsedPrivateKey.from_file(key_file))

    run(server, client_side)


def test_a_challenge_without_a_key_is_an_authentication_error(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.respond(await peer.take("identification"), base64.b64encode(b"x" * 48).decode())

    async def client_side(client: PieClient) -> None:
        with pytest.raises(AuthenticationError, match="key"):
            await client.authenticate("ada")

    run(server, client_side)


def test_a_wrong_internal_token_is_an_authentication_error(run: Run) -> None:
    async def server(peer: Peer) -> None:
        message = await peer.take("internal_authenticate")
        assert message["token"] == "t"
        await peer.respond(message, "Invalid token", successful=False)

    async def client_side(client: PieClient) -> None:
        with pytest.raises(AuthenticationError, match="Invalid token"):
            await client.internal_authenticate("t")

    run(server, client_side)


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 20_000_000])
def test_an_upload_comes_in_chunks_and_reports_its_progress(run: Run, size: int) -> None:
    program = bytes(range(251)) * (size // 251 + 1)
    program = program[:size]
    total = max(1, -(-size // 262_144))

    async def server(peer: Peer) -> None:
        received = b""
        for index in range(total):
            message = await peer.take("upload_program")
            assert (message["chunk_index"], message["total_chunks"]) == (index, total)
            assert isinstance(message["chunk_data"], bytes)
            assert len(message["chunk_data"]) <= 262_144
            received += message["chunk_data"]
        assert received == program
        assert message["program_hash"] == blake3.blake3(program).hexdigest()
        assert "manifest" not in message
        await peer.respond(message, "stored")

    async def client_side(client: PieClient) -> None:
        progress: list[tuple[int, int]] = []
        got = await client.upload_program(program, progress=lambda *at: progress.append(at))
        assert got == blake3.blake3(program).hexdigest()
        assert len(progress) == total
        assert progress[-1] == (size, size)

    run(server, client_side)


def test_an_upload_by_paths_repeats_its_manifest_in_every_chunk(run: Run, tmp_path: Path) -> None:
    wasm, manifest = tmp_path / "a.wasm", tmp_path / "a.toml"
    wasm.write_bytes(b"w" * 300_000)
    manifest.write_text("[package]\nname = 'é'\n")

    async def server(peer: Peer) -> None:
        for _ in range(2):
            message = await peer.take("upload_program")
            assert message["manifest"] == "[package]\nname = 'é'\n"
        await peer.respond(message, "stored")
        query = await peer.take("query")
        hashes = [blake3.blake3(path.read_bytes()).hexdigest() for path in (wasm, manifest)]
        assert query["subject"] == "program_exists"
        assert query["record"] == f"std/a@1.0.0#{hashes[0]}+{hashes[1]}"
        await peer.respond(query, "true")
        query = await peer.take("query")
        assert query["record"] == "f" * 64
        await peer.respond(query, "false")

    async def client_side(client: PieClient) -> None:
        await client.upload_program(str(wasm), str(manifest))
        assert await client.program_exists("std/a@1.0.0", wasm, manifest) is True
        assert await client.program_exists("f" * 64) is False
        with pytest.raises(ValueError, match="both"):
            await client.program_exists("std/a@1.0.0", wasm)

    run(server, client_side)


def test_a_large_upload_stops_when_the_server_refuses_it_early(run: Run) -> None:
    async def server(peer: Peer) -> None:
        await peer.respond(await peer.take("upload_program"), "too large", successful=False)
        while (await peer.take())["type"] != "ping":
            pass

    async def client_side(client: PieClient) -> None:
        with pytest.raises(PieError, match="too large"):
            await client.upload_program(bytes(50_000_000))
        ping = asyncio.create_task(client.ping())
        await asyncio.sleep(0)
        ping.cancel()

    run(server, client_side)


def test_launches_name_their_program_by_hash_or_by_name(run: Run) -> None:
    async def server(peer: Peer) -> None:
        by_hash = await peer.launch()
        assert by_hash["program_hash"] == "a" * 64
        assert by_hash["arguments"] == ["--n", "1"]
        assert by_hash["detached"] is False
        by_name = await peer.launch()
        assert by_name["inferlet"] == "std/echo"
        assert by_name["arguments"] == ["x"]
        assert by_name["detached"] is True
        registry = await peer.launch()
        assert registry["type"] == "launch_instance_from_registry"
        assert registry["inferlet"] == "text-completion"
        assert registry["arguments"] == ["--prompt", "Hello"]

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a" * 64, ["--n", "1"], False)
        assert instance.id == instance.instance_id == "i-1"
        await client.launch_instance("std/echo", arguments=["x"], detached=True)
        await client.launch_instance_from_registry("text-completion", ["--prompt", "Hello"])

    run(server, client_side)


def test_one_string_is_no_list_of_arguments(run: Run) -> None:
    async def server(peer: Peer) -> None:
        assert (await peer.launch())["arguments"] == ["--prompt"]

    async def client_side(client: PieClient) -> None:
        with pytest.raises(TypeError, match=r"\[args\] got one str, expected a list"):
            await client.launch_instance("hello", "--prompt")
        with pytest.raises(TypeError, match="got one bytes"):
            await client.launch_instance_from_registry("hello", arguments=b"x")
        await client.launch_instance("hello", ["--prompt"])

    run(server, client_side)


def test_every_kind_of_event_comes_through_in_order(run: Run) -> None:
    blob = bytes(range(256)) * 2000

    async def server(peer: Peer) -> None:
        await peer.launch()
        await peer.event(0, "héllo")
        await peer.stdout("out")
        await peer.give("streaming_output", instance_id="i-1", output={"Stderr": "err"})
        for index in range(2):
            await peer.give(
                "download_blob",
                corr_id=0,
                instance_id="i-1",
                blob_hash=blake3.blake3(blob).hexdigest(),
                chunk_index=index,
                total_chunks=2,
                chunk_data=blob[index * 262_144 : (index + 1) * 262_144],
            )
        await peer.event(5, "memory")

    async def client_side(client: PieClient) -> None:
        instance = await client.launch_instance("a")
        seen = [item async for item in instance]
        assert seen == [
            (Event.Message, "héllo"),
            (Event.Stdout, "out"),
            (Event.Stderr, "err"),
            (Event.Blob, blob),
            (Event.OutOfResources, "memory"),
        ]

    run(server, client_side)


def test_attach_list_terminate_blob_and_send(run: Run) -> None:
    info = InstanceInfo("i-1", "echo", ["a"], "Detached", "ada", 5, 7)

    async def server(peer: Peer) -> None:
        attach = await peer.take("attach_instance")
        await peer.stdout("replayed")
        await peer.give(
            "instance_attach_result",
            corr_id=attach["corr_id"],
            successful=True,
            message="Instance attached",
        )
        listing = await peer.take("list_instances")
        await peer.give("live_instances", corr_id=listing["corr_id"], instances=[vars(info)])
        blob = await peer.take("upload_blob")
        assert (blob["instance_id"], blob["chunk_data"]) == ("i-1", b"bytes")
        await peer.respond(blob, "Blob sent to instance")
        signal = await peer.take("signal_instance")
        assert signal["message"] == "hi"
        await peer.respond(signal, "")
        await peer.respond(await peer.take("terminate_instance"), "Instance terminated")
        await peer.respond(
            await peer.take("terminate_instance"), "Instance not found", successful=False
        )

    async def client_side(client: PieClient) -> None:
        instance = await client.attach_instance("i-1")
        assert await instance.recv() == (Event.Stdout, "replayed")
        assert await client.list_instances() == [info]
        assert await instance.upload_blob(b"bytes") == blake3.blake3(b"bytes").hexdigest()
        await instance.send("hi")
        await client.terminate_instance("i-1")
        with pytest.raises(pie.NotFoundError):
            await client.terminate_instance("i-1")

    run(server, client_side)

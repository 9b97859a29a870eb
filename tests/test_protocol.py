"""protocol.md sections 1 to 5 and 8, word by word, by a peer that shares no code with us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.conftest import Server
from tests.wire import CHUNK_BYTES, Peer, blake3_hex

ZERO_HASH = "0" * 64


def on(server: Server, test: Callable[[Peer], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Runs an async test with one identified peer."""

    async def main() -> None:
        async with Peer(server.url, **options) as peer:
            await test(peer)

    asyncio.run(main())


# ---- sections 4 and 5: identification


def test_auth_disabled_answers_the_text_that_clients_compare(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("identification", username="anyone")
        assert answer["type"] == "response"
        assert answer["successful"] is True
        assert answer["result"] == "Authenticated (Engine disabled authentication)"

    on(server, test, username=None)


def test_identifying_twice_is_answered(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("identification", username="tester")
        assert answer["result"] == "Already authenticated"

    on(server, test)


def test_the_name_internal_is_refused(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("identification", username="internal")
        assert answer["successful"] is False

    on(server, test, username=None)


@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("ping", {}),
        ("list_instances", {}),
        ("query", {"subject": "model_status", "record": ""}),
        ("launch_instance", {"inferlet": "hello", "arguments": [], "detached": False}),
        ("terminate_instance", {"instance_id": "x"}),
    ],
)
def test_anything_before_identification_is_refused_and_closed(
    server: Server, type: str, fields: dict[str, Any]
) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call(type, **fields)
        assert answer["successful"] is False
        await asyncio.wait_for(peer.closed.wait(), 30)

    on(server, test, username=None)


def test_a_wrong_internal_token_is_answered_late_and_the_right_one_authenticates(
    server: Server,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Peer(server.url, username=None) as peer:
            started = loop.time()
            answer = await peer.call("internal_authenticate", token="x" * 64)
            assert answer == {**answer, "successful": False, "result": "Invalid token"}
            assert loop.time() - started >= 0.9
        tokens = [p for p in server.home.rglob("*token*") if p.is_file()]
        assert len(tokens) == 1 and tokens[0].stat().st_mode & 0o777 == 0o600
        token = tokens[0].read_text().strip()
        assert len(token) == 64
        async with Peer(server.url, username=None) as peer:
            answer = await peer.call("internal_authenticate", token=token)
            assert answer["successful"] and answer["result"] == "Authenticated"
            assert (await peer.call("ping"))["result"] == "Pong"

    asyncio.run(main())


# ---- section 1: framing


def test_ping_echoes_the_corr_id_and_ignores_unknown_keys(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("ping", corr_id=0xFFFFFFFF, unknown={"deep": [1, 2]})
        assert answer == {
            "type": "response", "corr_id": 0xFFFFFFFF, "successful": True, "result": "Pong",
        }  # fmt: skip

    on(server, test)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "no_such_type"},
        {"type": "query", "subject": "model_status"},
        {"type": "query", "subject": 7, "record": ""},
        {"type": "launch_instance", "inferlet": "hello", "arguments": "x", "detached": False},
        {"type": "launch_instance", "inferlet": "hello", "arguments": [1], "detached": False},
        {"type": "upload_program", "program_hash": ZERO_HASH},
        {"type": "attach_instance"},
    ],
)
def test_a_bad_message_with_a_corr_id_is_answered_and_the_connection_lives(
    server: Server, message: dict[str, Any]
) -> None:
    async def test(peer: Peer) -> None:
        await peer.send_bytes(msgpack.packb({"corr_id": 9, **message}))
        answer = await peer.answer(9)
        assert answer["successful"] is False
        assert len(answer.get("result") or answer.get("message")) > 10
        assert (await peer.call("ping"))["successful"]

    on(server, test)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"",
        b"\x81",
        b"\x93\x01\x02\x03",
        msgpack.packb({"type": "ping"}),
        msgpack.packb({"type": "ping", "corr_id": -1}),
        msgpack.packb({"type": "ping", "corr_id": "1"}),
        msgpack.packb({"corr_id": 2**32, "type": "ping"}),
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 100_000,
    ],
    ids=["reserved", "empty", "cut", "array", "no corr_id", "negative", "text", "u64", "huge map",
         "deep"],
)  # fmt: skip
def test_a_frame_without_a_readable_corr_id_closes_with_a_code_and_a_reason(
    server: Server, data: bytes
) -> None:
    async def test(peer: Peer) -> None:
        await peer.send_bytes(data)
        await asyncio.wait_for(peer.closed.wait(), 30)
        assert peer.close_code in (1007, 1008)
        assert peer._socket.close_reason

    on(server, test)


def test_requests_run_concurrently_a_compiling_launch_does_not_delay_a_ping(
    own_server: Server, programs: Path
) -> None:
    async def test(peer: Peer) -> None:
        launch = asyncio.create_task(peer.launch("text-completion", ["--prompt", "x", "-n", "1"]))
        await asyncio.sleep(0)
        assert (await peer.call("ping"))["result"] == "Pong"
        # The program is compiled for the first time on this server: about a second of work.
        assert "instance_launch_result" not in [frame["type"] for frame in peer.frames]
        await peer.final(await launch)

    on(own_server, test)


# ---- sections 2, 3, 4: uploads


def test_upload_in_every_window_form_and_launch_by_hash_in_every_window_form(
    server: Server, programs: Path
) -> None:
    wasm = (programs / "hello.wasm").read_bytes()
    manifest = (programs / "hello.toml").read_text()
    hash = blake3_hex(wasm)

    async def test(peer: Peer) -> None:
        for text in (None, manifest):
            answer = await peer.upload(wasm, text)
            assert answer["type"] == "response" and answer["successful"], answer
        common = {"arguments": [], "detached": False}
        for fields in (
            {"program_hash": hash, "cmd_name": "hello", **common},  # W1
            {"program_hash": hash, **common},  # W2, W3
            {"inferlet": "std/hello", **common},  # W4
            {"inferlet": "hello", **common},
            {"inferlet": hash, **common},  # W4 as the documents say
        ):
            answer = await peer.call("launch_instance", **fields)
            assert answer["type"] == "instance_launch_result" and answer["successful"], answer
            end = await peer.final(answer["message"])
            assert end["event"] == 1, end

    on(server, test)


WINDOWS: dict[str, tuple[bool, dict[str, str]]] = {  # with a manifest?, what names the program in a launch
    "W1": (False, {"program_hash": "", "cmd_name": "win"}),
    "W2": (False, {"program_hash": ""}),
    "W3": (True, {"program_hash": ""}),
    "W4 by name": (True, {"inferlet": "win/hello"}),
    "W4 by name and version": (True, {"inferlet": "win/hello@1.0.0"}),
    "W4 by hash": (True, {"inferlet": ""}),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_client_of_each_window_goes_its_way(server: Server, programs: Path, window: str) -> None:
    """Every message with exactly the fields that the window's clients send and read."""
    has_manifest, named = WINDOWS[window]
    # Several chunks: a custom section makes the program as long.
    filling = bytes(2 * CHUNK_BYTES)
    section = b"\x01f" + filling + window.encode()
    length = len(section)
    wasm = (programs / "echo.wasm").read_bytes() + b"\0"
    wasm += bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + section
    hash = blake3_hex(wasm)
    program = {key: value or hash for key, value in named.items()}
    manifest = '[package]\nname = "win/hello"\nversion = "1.0.0"\n'

    async def test(peer: Peer) -> None:
        assert (await peer.call("query", subject="program_exists", record=hash))["result"] == "false"
        pieces = [wasm[i : i + CHUNK_BYTES] for i in range(0, len(wasm), CHUNK_BYTES)]
        assert len(pieces) >= 3
        for index, piece in enumerate(pieces):
            fields = {"corr_id": 7, "program_hash": hash, "chunk_index": index, "total_chunks": len(pieces),
                      "chunk_data": piece}  # fmt: skip
            await peer.send("upload_program", **fields, **({"manifest": manifest} if has_manifest else {}))
        answer = await peer.answer(7)
        assert set(answer) == {"type", "corr_id", "successful", "result"} and answer["successful"], answer
        answer = await peer.call("launch_instance", **program, arguments=["a"], detached=False)
        assert set(answer) == {"type", "corr_id", "successful", "message"}
        assert answer["type"] == "instance_launch_result" and answer["successful"], answer
        instance = answer["message"]
        await peer.send("signal_instance", instance_id=instance, message="text")  # without corr_id
        event = await peer.message(instance, "text")
        assert set(event) == {"type", "instance_id", "event", "message"}
        [row] = (await peer.call("list_instances"))["instances"]
        assert row["id"] == instance and row["cmd_name"] and row["arguments"] == ["a"]
        assert {"username", "elapsed_secs", "kv_pages_used", "status"} <= set(row)
        # A program that serves no HTTP is refused, in the form that the client waits for.
        answer = await peer.call("launch_server_instance", port=0, **program, arguments=[])
        assert set(answer) == {"type", "corr_id", "successful", "result"}
        assert answer["type"] == "response" and not answer["successful"]
        assert "missing" not in answer["result"] and "unknown" not in answer["result"]
        answer = await peer.call("terminate_instance", instance_id=instance)
        assert answer["type"] == "response" and answer["result"] == "Instance terminated"

    async def main() -> None:
        async with Peer(server.url, username=f"of {window}".replace(" ", "-")) as peer:
            await test(peer)

    asyncio.run(main())


def test_chunk_errors_are_answered_once_at_the_last_chunk_with_their_texts(server: Server) -> None:
    async def send(peer: Peer, corr_id: int, chunks: list[tuple[int, int, bytes]], hash: str) -> str:
        for index, total, data in chunks:
            await peer.send("upload_program", corr_id=corr_id, program_hash=hash,
                            chunk_index=index, total_chunks=total, chunk_data=data)  # fmt: skip
        answer = await peer.answer(corr_id)
        assert answer["successful"] is False
        assert (await peer.call("ping"))["successful"]
        assert len([f for f in peer.frames if f.get("corr_id") == corr_id]) == 1
        return str(answer["result"])

    async def test(peer: Peer) -> None:
        big = b"x" * (CHUNK_BYTES + 1)
        a, b, c, d, e = ZERO_HASH[:-1] + "a", ZERO_HASH[:-1] + "b", "c" * 64, "d" * 64, "e" * 64
        assert await send(peer, 1, [(0, 1, big)], a) == "Chunk size 262145 exceeds limit 262144"
        assert await send(peer, 2, [(1, 2, b"x")], b) == "First chunk index must be 0"
        text = await send(peer, 3, [(0, 3, b"x"), (1, 4, b"x"), (3, 4, b"x")], c)
        assert text == "Chunk count mismatch: expected 3, got 4"
        text = await send(peer, 4, [(0, 3, b"x"), (2, 3, b"x")], d)
        assert text == "Out-of-order chunk: expected 1, got 2"
        text = await send(peer, 5, [(0, 1, b"xyz")], e)
        assert text == f"Hash mismatch: expected {e}, got {blake3_hex(b'xyz')}"

    on(server, test)


def test_what_is_not_a_component_is_refused_at_upload(server: Server) -> None:
    module = b"\0asm\x01\0\0\0"

    async def test(peer: Peer) -> None:
        for bad in (b"", b"not wasm at all", module, module[:4] + b"\x0d\0\x01\0" + b"\xff" * 40):
            answer = await peer.upload(bad)
            assert answer["successful"] is False and len(answer["result"]) > 10
            assert (await peer.call("query", subject="program_exists", record=blake3_hex(bad)))[
                "result"
            ] == "false"

    on(server, test)


def test_a_bad_manifest_is_refused_with_its_text(server: Server, programs: Path) -> None:
    wasm = (programs / "hello.wasm").read_bytes()

    async def test(peer: Peer) -> None:
        for bad in ("[package", "[package]\nname = 3", "[package]\nname='../../etc/x'\nversion='1.0.0'"):
            answer = await peer.upload(wasm, bad)
            assert answer["successful"] is False
            assert answer["result"].startswith("Failed to parse manifest: "), answer

    on(server, test)


def test_program_exists_in_its_three_forms(server: Server, programs: Path) -> None:
    wasm = (programs / "echo.wasm").read_bytes()
    manifest = '[package]\nname = "mine/echoes"\nversion = "1.2.3"\n'
    both = f"{blake3_hex(wasm)}+{blake3_hex(manifest.encode())}"

    async def test(peer: Peer) -> None:
        async def exists(record: str) -> str:
            return str((await peer.call("query", subject="program_exists", record=record))["result"])

        assert await exists("mine/echoes@1.2.3") == "false"
        assert (await peer.upload(wasm, manifest))["successful"]
        assert await exists(blake3_hex(wasm)) == "true"
        assert await exists("mine/echoes@1.2.3") == "true"
        assert await exists("mine/echoes@1.2.4") == "false"
        assert await exists(f"mine/echoes@1.2.3#{both}") == "true"
        assert await exists(f"mine/echoes@1.2.3#{ZERO_HASH}+{ZERO_HASH}") == "false"
        assert await exists("text-completion") == "true"
        assert await exists(ZERO_HASH) == "false"

    on(server, test, username="owner-of-echoes")


def test_nobody_can_shadow_a_name_for_others(server: Server, programs: Path) -> None:
    wasm = (programs / "echo.wasm").read_bytes()
    manifest = '[package]\nname = "std/hello"\nversion = "9.9.9"\n'

    async def main() -> None:
        async with Peer(server.url, "mallory") as mallory, Peer(server.url, "alice") as alice:
            assert (await mallory.upload(wasm, manifest))["successful"]
            instance = await alice.launch("hello")
            assert (await alice.final(instance))["event"] == 1  # echo would wait for a message

    asyncio.run(main())


# ---- sections 2 and 7: launching


def test_launch_from_the_registry_on_a_fresh_home(own_server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("launch_instance_from_registry", inferlet="hello", arguments=[],
                                 detached=False)  # fmt: skip
        assert answer["type"] == "instance_launch_result" and answer["successful"]
        assert (await peer.final(answer["message"]))["event"] == 1
        first = [f for f in peer.frames if answer["message"] in (f.get("message"), f.get("instance_id"))]
        assert first[0]["type"] == "instance_launch_result"

    on(own_server, test)


@pytest.mark.parametrize("name", [ZERO_HASH, "no-such-program", "../../etc/passwd", "", "a/b/c"])
def test_launching_what_is_not_there_says_so(server: Server, name: str) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("launch_instance", inferlet=name, arguments=[], detached=False)
        assert answer["type"] == "instance_launch_result" and answer["successful"] is False
        assert "Program not found" in answer["message"] or "name" in answer["message"]

    on(server, test)


def test_unknown_and_malformed_instance_ids(server: Server) -> None:
    async def test(peer: Peer) -> None:
        ghost = "00000000-0000-4000-8000-000000000000"
        answer = await peer.call("attach_instance", instance_id=ghost)
        assert answer["type"] == "instance_attach_result"
        assert answer["successful"] is False and answer["message"] == "Instance not found"
        for type in ("terminate_instance", "upload_blob", "signal_instance", "attach_instance"):
            fields: dict[str, Any] = {"instance_id": "not an id"}
            if type == "upload_blob":
                fields.update(blob_hash=blake3_hex(b""), chunk_index=0, total_chunks=1,
                              chunk_data=b"")  # fmt: skip
            if type == "signal_instance":
                fields["message"] = "x"
            answer = await peer.call(type, **fields)
            assert answer["successful"] is False
            text = answer.get("result") or answer.get("message")
            assert text in ("Invalid instance_id", "Malformed instance ID", "Instance not found")

    on(server, test)


def test_signal_with_and_without_corr_id(server: Server, programs: Path) -> None:
    async def test(peer: Peer) -> None:
        instance = await peer.launch("echo")
        await peer.send("signal_instance", instance_id=instance, message="one")
        await peer.message(instance, "one")
        answer = await peer.call("signal_instance", instance_id=instance, message="two")
        assert answer["successful"]
        await peer.message(instance, "two")
        answer = await peer.call("terminate_instance", instance_id=instance)
        assert answer["successful"] and answer["result"] == "Instance terminated"
        end = await peer.final(instance)
        assert (end["event"], end["message"]) == (2, "Signal termination")

    on(server, test)


def test_list_shows_own_instances_newest_first_with_every_field(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url, "lister") as peer, Peer(server.url, "other") as other:
            first = await peer.launch("echo", ["a", "b"])
            second = await peer.launch("echo", detached=True)
            foreign = await other.launch("echo")
            answer = await peer.call("list_instances")
            assert answer["type"] == "live_instances"
            rows = answer["instances"]
            assert [row["id"] for row in rows] == [second, first]
            assert set(rows[0]) >= {"id", "cmd_name", "arguments", "status", "username",
                                    "elapsed_secs", "kv_pages_used"}  # fmt: skip
            assert [row["status"] for row in rows] == ["Detached", "Attached"]
            assert rows[1]["arguments"] == ["a", "b"] and rows[1]["username"] == "lister"
            assert "echo" in rows[1]["cmd_name"] and rows[1]["kv_pages_used"] == 0
            for id in (first, second):
                assert (await peer.call("terminate_instance", instance_id=id))["successful"]
            # Somebody else's instance answers as if it did not exist.
            for type in ("terminate_instance", "attach_instance"):
                answer = await peer.call(type, instance_id=foreign)
                assert answer["successful"] is False
                assert "Instance not found" in (answer.get("result") or answer.get("message"))
            answer = await peer.call("signal_instance", instance_id=foreign, message="x")
            assert answer["successful"] is False
            assert (await other.call("terminate_instance", instance_id=foreign))["successful"]

    asyncio.run(main())


def test_what_is_refused_for_now_says_so(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("attach_remote_service", endpoint="x", service_type="y",
                                 service_name="z")  # fmt: skip
        assert answer["successful"] is False and len(answer["result"]) > 10

    on(server, test)


# ---- section 8: queries


def test_model_status_is_json_of_text_to_text_with_the_named_keys(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("query", subject="model_status", record="")
        status = json.loads(answer["result"])
        model = "smollm2-135m-instruct"
        assert status[f"{model}.model.name"] == model
        for key in ("resource.g0.{}.capacity", "resource.g0.{}.available", "resource.g0.{}.used"):
            assert any(k.startswith(f"{model}.resource.g0.") and k.endswith(key.rsplit(".")[-1])
                       for k in status)  # fmt: skip
        for key in ("instances.active_count", "model.throughput.tokens_per_second",
                    "model.latency.avg_ms"):  # fmt: skip
            assert f"{model}.{key}" in status
        instance = await peer.launch("echo")
        status = json.loads((await peer.call("query", subject="model_status", record=""))["result"])
        kinds = {key.split(".")[3] for key in status if key.startswith(f"{model}.resource.g0.")}
        assert "kv_page" in kinds
        named = {"model.name", f"instance.{instance}.kv_pages", "instances.active_count",
                 "model.throughput.tokens_per_second", "model.latency.avg_ms", "prefix_cache.hits",
                 "prefix_cache.tokens_saved", "model.steps.count", "model.steps.seconds",
                 "model.steps.tokens"}  # fmt: skip
        for kind in kinds:
            named |= {f"resource.g0.{kind}.{what}" for what in ("capacity", "available", "used")}
            named |= {f"resource.{kind}.exported_count"}
        assert named <= {key.removeprefix(f"{model}.") for key in status}
        await peer.call("terminate_instance", instance_id=instance)
        assert all(isinstance(value, str) for value in status.values())
        text = (await peer.call("query", subject="backend_stats", record=""))["result"]
        assert f"{model}.model.name" in text and "\n" in text

    on(server, test)


def test_an_unknown_subject_lists_the_subjects(server: Server) -> None:
    async def test(peer: Peer) -> None:
        answer = await peer.call("query", subject="nonsense", record="")
        assert answer["successful"] is False
        for subject in ("program_exists", "model_status", "backend_stats"):
            assert subject in answer["result"]

    on(server, test)

"""What the programs under inferlets/ that keep, share and serve things claim to show, on a real server."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, free_port
from tests.http_handler import ask, serve
from tests.inferlets import cost, figure, on, refusal, result, told
from tests.wire import Peer

STORY = (
    "The keeper of the lighthouse wrote down every ship that passed, its colour, its flag and its name. The "
    "blue one was the Anna, the green one the Berta, the red one had no name. "
)


async def computed(peer: Peer) -> int:
    """Tokens that the model has computed."""
    return await figure(peer, "model.steps.tokens")


def test_prefix_caching_computes_its_prefix_once_for_all_times(own_server: Server) -> None:
    prefix = STORY * 6
    questions = ["\nThe blue ship was called", "\nThe keeper wrote down"]
    answers: list[str] = []

    async def launch(peer: Peer) -> tuple[str, int]:
        options = [f"--prefix={prefix}", "--max-tokens=8", *questions]
        (text, stderr), tokens = await cost(
            peer, "model.steps.tokens", told(peer, "prefix-caching", *options)
        )
        answers.append(text)
        return stderr, tokens

    async def first(peer: Peer) -> None:
        stderr, tokens = await launch(peer)
        assert "tokens computed" in stderr
        assert tokens > int(stderr.split()[1]) > 200

    async def again(peer: Peer) -> None:
        stderr, tokens = await launch(peer)
        assert "tokens loaded" in stderr
        # Two questions, two answers, and what a fork has in its last page.
        assert tokens < 2 * (6 + 8 + 16), tokens
        _, stderr = await told(peer, "prefix-caching", f"--prefix={prefix} ", "--max-tokens=1", "x")
        assert "tokens computed" in stderr

    on(own_server, first)
    own_server.stop()
    own_server.start()
    on(own_server, again)
    assert answers[0] == answers[1]


def test_modular_caching_computes_each_module_once(own_server: Server) -> None:
    modules = {
        "rules": "You answer with a name. " * 4,
        "ships": STORY * 2,
        "people": "Anna has a son called Tim. Berta has a dog called Bello. " * 3,
    }
    question = "\nQuestion: What is the blue ship called?\nAnswer: It is called the"

    async def main(peer: Peer) -> None:
        def options(*more: str) -> list[str]:
            return [f"--modules={json.dumps(modules)}", f"--question={question}", "--max-tokens=8", *more]

        (text, stderr), _ = await cost(
            peer, "model.steps.tokens", told(peer, "modular-caching", *options("--use=rules,ships"))
        )
        assert "0 of 2 found" in stderr
        # Another prompt of the same and other modules: only what is new is computed.
        (_, stderr), tokens = await cost(
            peer, "model.steps.tokens", told(peer, "modular-caching", *options("--use=ships,people"))
        )
        assert "1 of 2 found" in stderr
        saved = await figure(peer, "prefix_cache.tokens_saved")
        (other, stderr), tokens = await cost(
            peer, "model.steps.tokens", told(peer, "modular-caching", *options())
        )
        assert "3 of 3 found" in stderr
        assert tokens < 40, "the question and the answer"
        assert await figure(peer, "prefix_cache.tokens_saved") == saved, "nor by the prefix cache"
        assert "Anna" in text and "Anna" in other, (text, other)
        # And it is what it is where all are computed.
        for more in (["--use=rules,ships"], []):
            cached = await result(peer, "modular-caching", *options(*more))
            assert cached == await result(peer, "modular-caching", *options("--fresh", *more))
        assert "expected names of modules" in await refusal(peer, "modular-caching", *options("--use=x"))

    on(own_server, main)


def test_kvs_keeps_a_users_notes(own_server: Server) -> None:
    async def first(peer: Peer) -> None:
        assert await result(peer, "kvs", "add", "buy lamp oil") == "1"
        assert await result(peer, "kvs", "add", "count ships") == "2"
        assert await result(peer, "kvs", "remove", "1") == "1"
        assert "expected the number of a note" in await refusal(peer, "kvs", "remove", "1")
        async with Peer(own_server.url, "somebody") as other:
            assert await result(other, "kvs", "list") == "[]"

    async def again(peer: Peer) -> None:
        assert json.loads(await result(peer, "kvs", "list")) == [{"number": 2, "text": "count ships"}]
        assert await result(peer, "kvs", "add", "sleep") == "3"

    on(own_server, first)
    own_server.stop()
    own_server.start()
    on(own_server, again)


def test_http_server_serves_chat_completions(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url, "web") as peer:
            port = free_port()
            await serve(peer, "std/http-server", port)
            question: dict[str, Any] = {
                "messages": [{"role": "user", "content": "Name a colour."}],
                "max_tokens": 12,
                "temperature": 0,
            }

            async def post(body: dict[str, Any]) -> tuple[int, bytes]:
                return await ask(port, "/v1/chat/completions", json.dumps(body).encode())

            status, body = await post(question)
            assert status == 200, body
            whole = json.loads(body)
            assert whole["object"] == "chat.completion" and whole["usage"]["total_tokens"] > 12
            said = whole["choices"][0]
            wanted = await result(peer, "text-completion", "--prompt=Name a colour.", "--temperature=0",
                                  "--max-tokens=12")  # fmt: skip
            assert said["message"]["role"] == "assistant" and said["message"]["content"]
            assert said["finish_reason"] in ("stop", "length"), wanted

            status, body = await post(question | {"stream": True})
            lines = [line for line in body.decode().split("\n\n") if line]
            assert status == 200 and lines[-1] == "data: [DONE]"
            events = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines[:-1]]
            assert (
                "".join(event["delta"].get("content", "") for event in events) == said["message"]["content"]
            )
            assert [event["finish_reason"] for event in events[-2:]] == [None, said["finish_reason"]]

            status, body = await ask(port, "/v1/models")
            assert json.loads(body)["data"][0]["id"] == whole["model"]
            for wrong, why in (({"n": 2}, "n"), ({"model": "gpt"}, "'gpt'"), ({"messages": 1}, "an array")):
                status, body = await post(question | wrong)
                assert status == 400 and why in json.loads(body)["error"]["message"], body
            assert (await ask(port, "/v1/embeddings", b"{}"))[0] == 404

    asyncio.run(main())


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip


PICTURES = {
    "/a.png": png(31, 7),
    "/b.gif": b"GIF89a" + struct.pack("<HH", 300, 5) + b"\0\0\0;",
    "/c.jpg": b"\xff\xd8\xff\xe0\x00\x06JFIF"
    + b"\xff\xc0\x00\x11\x08"
    + struct.pack(">HH", 480, 640)
    + b"\3" * 12,
    "/d.txt": b"hello",
    "/e.jpg": b"\xff\xd8\xff",
}


@pytest.fixture
def pictures() -> Iterator[int]:
    """Somebody's server; its port."""

    class Serve(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            """The picture."""
            data = PICTURES.get(self.path)
            self.send_response(200 if data else 404)
            self.end_headers()
            self.wfile.write(data or b"none")

    with ThreadingHTTPServer(("127.0.0.1", 0), Serve) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http.server_port
        http.shutdown()


def test_image_fetch_says_what_a_picture_is(tmp_path: Path, pictures: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'http_allow = ["http://127.0.0.1:{pictures}"]\n')
    server = Server(home).start()

    async def main(peer: Peer) -> None:
        async def at(path: str) -> Any:
            return json.loads(await result(peer, "image-fetch", f"--url=http://127.0.0.1:{pictures}{path}"))

        assert await at("/a.png") == {
            "type": "image/png", "width": 31, "height": 7, "bytes": len(PICTURES["/a.png"])}  # fmt: skip
        assert (await at("/b.gif"))["width"] == 300
        assert (await at("/c.jpg")) | {"bytes": 0} == {
            "type": "image/jpeg", "width": 640, "height": 480, "bytes": 0}  # fmt: skip
        reasons = {
            f"http://127.0.0.1:{pictures}/d.txt": "expected PNG, JPEG or GIF",
            f"http://127.0.0.1:{pictures}/e.jpg": "a JPEG without a frame",
            f"http://127.0.0.1:{pictures}/none": "got status 404",
            f"http://127.0.0.2:{pictures}/a.png": "HTTP-request-denied",
        }
        for url, why in reasons.items():
            assert why in await refusal(peer, "image-fetch", f"--url={url}")
        assert "no model here takes pictures" in await refusal(peer, "image-fetch", "--url=x", "--describe")

    try:
        on(server, main)
    finally:
        assert server.stop() == 0

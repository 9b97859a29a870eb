"""Requests of programs to others (inferlet-host.md, section 1): denied unless the operator allows them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, free_port
from tests.http_handler import ask, serve
from tests.test_tls import Authority
from tests.wire import Peer


class Upstream:
    """Somebody else's server, on loopback."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.three = threading.Barrier(3)
        outer = self

        class Serve(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                """Answers by the path."""
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                if self.path == "/three":
                    outer.three.wait(30)  # for two more
                if self.path == "/redirect":
                    return self.answer(302, b"moved", location="/elsewhere")
                if self.path == "/large":
                    return self.answer(200, b"y" * 2_000_000)
                if self.path == "/cut":
                    self.send_response(200)
                    self.send_header("content-length", "100")
                    self.end_headers()
                    self.wfile.write(b"only this")
                    self.close_connection = True
                    return None
                if self.path == "/chunks":
                    self.send_response(200)
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    for piece in (b"one ", b"two"):
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")
                    return None
                if self.path == "/headers":
                    return self.answer(200, b"", x="y" * 100_000)
                return self.answer(200, b"got " + body)

            do_POST = do_PUT = do_GET

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                """A whole response."""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.server.daemon_threads = True
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A server that programs may ask, if the operator lets them."""
    one = Upstream()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def secure_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, Authority]]:
    """The same over TLS, with a certificate of our own authority."""
    import ssl

    authority = Authority(tmp_path_factory.mktemp("upstream")).make()
    one = Upstream()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
    one.server.socket = context.wrap_socket(one.server.socket, server_side=True)
    yield one, authority
    one.stop()


@contextlib.contextmanager
def allowing(folder: Path, *patterns: str, more: str = "") -> Iterator[Server]:
    """A server that lets programs ask these hosts."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(f"http_allow = {json.dumps(patterns)}\n{more}")
    one = Server(home).start()
    try:
        yield one
    finally:
        assert one.stop() == 0, one.log.read_text()[-4000:]


def outcomes(server: Server, programs: Path, *requests: str) -> list[str]:
    """What a program prints of these requests."""
    return said(server, programs, *requests)[0].splitlines()


def said(server: Server, programs: Path, *requests: str) -> tuple[str, str]:
    """What a program with these requests says on stdout and on stderr."""

    async def main() -> tuple[str, str]:
        async with Peer(server.url, "asker") as peer:
            hash = await peer.upload_file(programs / "fetch.wasm")
            id = await peer.launch(hash, list(requests))
            end = await peer.final(id)
            assert (end["event"], end["message"]) == (1, "done"), end
            return peer.output(id), peer.output(id, "Stderr")

    return asyncio.run(main())


def test_requests_to_others_are_denied_by_default(server: Server, programs: Path, upstream: Upstream) -> None:
    urls = [
        f"http://127.0.0.1:{upstream.port}/",
        f"http://localhost:{upstream.port}/",
        "https://example.com/",
    ]
    assert outcomes(server, programs, *(f"GET {url}" for url in urls)) == ["error HTTP-request-denied"] * 3
    assert upstream.requests == []


def test_requests_that_the_operator_allows_go_through(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    base = f"http://127.0.0.1:{upstream.port}"
    closed = free_port()
    with allowing(tmp_path, base, f"127.0.0.1:{closed}") as server:
        got = outcomes(server, programs, f"GET {base}/a?b=c", f"POST {base}/post {'z' * 100_000}",
                       f"GET {base}/large", f"GET {base}/chunks", f"GET {base}/redirect",
                       f"GET {base}/cut", f"GET {base}/headers", f"HEAD {base}/x",
                       f"GET http://127.0.0.1:{closed}/", f"GET http://127.0.0.1:{free_port()}/",
                       f"GET https://127.0.0.1:{upstream.port}/")  # fmt: skip
    assert got[0] == "200 4 got "
    assert got[1].startswith("200 100004 got zzz")
    assert got[2].startswith("200 2000000 yyy")
    assert got[3:5] == ["200 7 one two", "302 5 moved"]
    assert got[5].startswith("broke off after 9: HTTP-response-incomplete")
    assert got[6] == "error HTTP-response-header-section-size"
    assert got[8:] == ["error connection-refused", "error HTTP-request-denied", "error HTTP-request-denied"]
    command, path, headers, _ = upstream.requests[0]
    assert (command, path, headers["host"]) == ("GET", "/a?b=c", f"127.0.0.1:{upstream.port}")
    assert headers["x-test"] == "yes"
    assert upstream.requests[1][3] == b"z" * 100_000
    assert not any(path == "/elsewhere" for _, path, _, _ in upstream.requests)


def test_requests_of_several_tasks_are_under_way_at_once(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    base = f"http://127.0.0.1:{upstream.port}"
    with allowing(tmp_path, base) as server:
        posts = [f"POST {base}/three {name}" for name in ("one", "two", "three")]
        got = outcomes(server, programs, "--together", *posts)
    assert got == ["200 7 got one", "200 7 got two", "200 9 got three"]


def test_no_name_and_no_wildcard_reaches_a_private_address(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    seen = len(upstream.requests)
    with allowing(tmp_path, "*:*", f"localhost:{upstream.port}") as server:
        got = outcomes(server, programs, f"GET http://localhost:{upstream.port}/",
                       f"GET http://127.0.0.1:{upstream.port}/",
                       f"GET http://[::ffff:127.0.0.1]:{upstream.port}/",
                       f"GET http://[::1]:{upstream.port}/", f"GET http://2130706433:{upstream.port}/",
                       f"GET http://127.1:{upstream.port}/",
                       f"GET http://x@127.0.0.1:{upstream.port}/")  # fmt: skip
    assert got == ["error destination-IP-prohibited", *["error HTTP-request-denied"] * 3,
                   *["error HTTP-request-URI-invalid"] * 3]  # fmt: skip
    assert len(upstream.requests) == seen


def test_a_name_goes_through_when_its_address_is_allowed_too(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    with allowing(tmp_path, f"localhost:{upstream.port}", f"127.0.0.0/8:{upstream.port}") as server:
        assert outcomes(server, programs, f"GET http://localhost:{upstream.port}/") == ["200 4 got "]


def test_https_asks_for_a_certificate_that_is_trusted(
    tmp_path: Path, programs: Path, upstream: Upstream, secure_upstream: tuple[Upstream, Authority]
) -> None:
    one, authority = secure_upstream
    patterns = [f"https://localhost:{one.port}", f"127.0.0.1:{one.port}", f"127.0.0.1:{upstream.port}"]
    request = f"GET https://localhost:{one.port}/s"
    with allowing(tmp_path / "untrusted", *patterns) as server:
        out, err = said(server, programs, request, f"GET https://127.0.0.1:{upstream.port}/")
        assert out.splitlines() == ["error TLS-certificate-error", "error TLS-protocol-error"]
        first, second = err.splitlines()
        assert first.startswith(f"[GET https://localhost:{one.port}] TLS-certificate-error: ")
        assert "unable to get local issuer certificate" in first and "http_ca_file" in first
        assert "use http://" in second
    ca_file = f"http_ca_file = {json.dumps(authority.path('ca.pem'))}\n"
    with allowing(tmp_path / "trusted", *patterns, more=ca_file) as server:
        assert outcomes(server, programs, request) == ["200 4 got "]


def test_a_handler_asks_others_and_streams_their_answer(
    tmp_path: Path, programs: Path, upstream: Upstream
) -> None:
    async def main(server: Server) -> None:
        async with Peer(server.url, "relay") as peer:
            hash = await peer.upload_file(programs / "http_relay.wasm")
            port = free_port()
            await serve(peer, hash, port)
            url = f"http://127.0.0.1:{upstream.port}"
            assert await ask(port, "/", **{"x-url": f"{url}/large"}) == (200, b"y" * 2_000_000)
            assert await ask(port, "/", **{"x-url": "http://10.0.0.1/"}) == (502, b"HTTP-request-denied")

    with allowing(tmp_path, f"http://127.0.0.1:{upstream.port}") as server:
        asyncio.run(main(server))


def test_a_pattern_that_is_none_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"http_allow.*got 'ftp://x'"), allowing(tmp_path, "ftp://x"):
        pass

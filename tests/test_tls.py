"""protocol.md section 1: wss:// when a certificate and key are configured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack
import pytest
import websockets
from pie import PieClient

from tests.conftest import PIE, Server


@dataclass
class Authority:
    """A certificate authority and a server certificate of its making."""

    folder: Path

    def make(self) -> Authority:
        """Makes ca.pem, server.pem and server.key for localhost and 127.0.0.1."""
        (self.folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
                      "ca.pem", "-days", "2", "-subj", "/CN=Test authority")  # fmt: skip
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out",
                      "server.csr", "-subj", "/CN=localhost")  # fmt: skip
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "ext")  # fmt: skip
        return self

    def self_signed(self, name: str, days: int) -> None:
        """Makes NAME.pem and NAME.key for localhost, signed by nobody else; -1 day: expired."""
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
                      f"{name}.csr", "-subj", "/CN=localhost")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-signkey", f"{name}.key", "-out",
                      f"{name}.pem", "-days", str(days), "-extfile", "ext")  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        """One of the files."""
        return str(self.folder / name)


@contextlib.contextmanager
def presenting(authority: Authority, name: str) -> Iterator[int]:
    """The port of a TLS server, on every loopback address, that presents NAME.pem and then closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path(f"{name}.pem"), authority.path(f"{name}.key"))
    listener = socket.create_server(("0.0.0.0", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of this module's tests."""
    return Authority(tmp_path_factory.mktemp("tls")).make()


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks wss:// alone."""
    one = Server(tmp_path_factory.mktemp("secure") / "home", "--tls-certificate",
                 authority.path("server.pem"), "--tls-key", authority.path("server.key")).start()  # fmt: skip
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


def test_our_client_and_another_speak_over_tls(secure: Server, authority: Authority) -> None:
    assert secure.url.startswith("wss://")
    by_name = secure.url.replace("127.0.0.1", "localhost")

    async def main() -> None:
        for url in (secure.url, by_name):
            async with PieClient(url, ca_file=authority.path("ca.pem")) as client:
                await client.authenticate("tls")
                instance = await client.launch_instance_from_registry("hello")
                assert [event.name async for event, _ in instance][-1] == "Completed"
        trusted = ssl.create_default_context(cafile=authority.path("ca.pem"))
        async with websockets.connect(secure.url, ssl=trusted) as socket:
            await socket.send(msgpack.packb({"type": "identification", "corr_id": 1, "username": "other"}))
            assert msgpack.unpackb(await socket.recv())["successful"]

    asyncio.run(main())


async def refusal(url: str, ca_file: str | None = None) -> str:
    """Why there is no connection."""
    with pytest.raises(ConnectionError) as refused:
        async with PieClient(url, ca_file=ca_file):
            pass
    return str(refused.value)


def test_a_certificate_that_is_not_trusted_is_refused_with_the_reason_and_the_way_out(
    secure: Server, authority: Authority
) -> None:
    authority.self_signed("own", days=2)
    authority.self_signed("old", days=-1)

    async def main() -> None:
        ca_file = authority.path("ca.pem")
        said = await refusal(secure.url)
        assert "unable to get local issuer certificate" in said and "ca_file" in said
        with presenting(authority, "server") as port:
            said = await refusal(f"wss://127.0.0.2:{port}", ca_file)
            assert "IP address mismatch" in said and "that it is for" in said
        for name, reason, way in (("own", "self-signed certificate", "ca_file"),
                                  ("old", "certificate has expired", "valid now")):  # fmt: skip
            with presenting(authority, name) as port:
                said = await refusal(f"wss://localhost:{port}",
                                     authority.path("old.pem") if name == "old" else ca_file)  # fmt: skip
                assert reason in said and way in said, said
        with pytest.raises(Exception, match="ca_file"):
            async with PieClient(secure.url, ca_file=authority.path("absent.pem")):
                pass

    asyncio.run(main())


def test_mixing_plain_and_tls_says_so(secure: Server, server: Server, authority: Authority) -> None:
    async def main() -> None:
        said = await refusal(secure.url.replace("wss://", "ws://"))
        assert "got plain HTTP, expected TLS: use wss://" in said
        said = await refusal(server.url.replace("ws://", "wss://"), authority.path("ca.pem"))
        assert "does not seem to speak TLS: use ws://" in said
        with presenting(authority, "server") as port:  # a server that only closes
            assert "if the port speaks TLS, use wss://" in await refusal(f"ws://127.0.0.1:{port}")

    asyncio.run(main())


def test_the_command_line_trusts_what_pie_ca_file_names(secure: Server, authority: Authority) -> None:
    env = dict(os.environ, PIE_HOME=str(secure.home), PIE_CA_FILE=authority.path("ca.pem"))
    done = subprocess.run([str(PIE), "ping"], env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0 and "Pong" in done.stdout, done.stderr


def test_files_that_are_no_use_are_named_at_start(authority: Authority, tmp_path: Path) -> None:
    for certificate, key, named in (
        ("absent.pem", "server.key", "absent.pem"),
        ("server.pem", "ca.key", "ca.key"),
    ):
        done = subprocess.run(
            [str(PIE), "serve", "--port", "0", "--tls-certificate", authority.path(certificate),
             "--tls-key", authority.path(key)],
            env=dict(os.environ, PIE_HOME=str(tmp_path)), text=True, capture_output=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode != 0 and named in done.stderr

"""protocol.md section 1: wss:// when a certificate and key are configured."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
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

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        """One of the files."""
        return str(self.folder / name)


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


def test_an_unknown_authority_and_a_wrong_name_are_refused(secure: Server, authority: Authority) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError, match="secure connection"):
            async with PieClient(secure.url):
                pass
        other = secure.url.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(ConnectionError):
            async with PieClient(other, ca_file=authority.path("ca.pem")):
                pass
        with pytest.raises(Exception, match="ca_file"):
            async with PieClient(secure.url, ca_file=authority.path("absent.pem")):
                pass

    asyncio.run(main())


def test_mixing_plain_and_tls_fails_at_once(secure: Server, server: Server, authority: Authority) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with PieClient(secure.url.replace("wss://", "ws://")):
                pass
        with pytest.raises(ConnectionError):
            async with PieClient(server.url.replace("ws://", "wss://"), ca_file=authority.path("ca.pem")):
                pass

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

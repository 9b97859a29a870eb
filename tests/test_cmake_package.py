"""The installed C++ client: a project outside of ours builds with it and talks to a server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import BUILD, ROOT, Server, with_ccache

RELEASE = BUILD / "cmake" / "release"


def run(*command: str | Path, **options: object) -> str:
    """Runs a command that must succeed; its output."""
    done = subprocess.run(command, text=True, check=False, capture_output=True, timeout=160, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def built(source: Path, prefix: Path, folder: Path) -> Path:
    """The build folder of an outside project, made from a copy so that nothing of ours is near."""
    shutil.copytree(source, folder / "source")
    env = with_ccache(folder.parent)  # of the prefix, too
    run("cmake", "-S", folder / "source", "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", env=env)  # fmt: skip
    run("cmake", "--build", folder / "build", env=env)
    return folder / "build"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client is installed; moved afterwards, since a package must not know its place."""
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", RELEASE, "--prefix", folder / "first", "--component", "client")
    return (folder / "first").rename(folder / "second")


@pytest.fixture(scope="module")
def outside(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that uses every call."""
    return built(ROOT / "tests" / "cpp_package", prefix, tmp_path_factory.mktemp("cpp")) / "outside"


def test_the_package_holds_headers_that_need_no_others(prefix: Path) -> None:
    headers = sorted(path.relative_to(prefix / "include") for path in prefix.rglob("*.h"))
    assert headers == [Path("pie/client.h"), Path("pie/reconnect.h")]
    for header in headers:
        includes = re.findall(r"#include (.*)", (prefix / "include" / header).read_text())
        allowed = r"<[a-z_]+>" if header.name == "client.h" else "<pie/client.h>"
        assert includes and all(re.fullmatch(allowed, name) for name in includes), includes
    for path in prefix.rglob("*.cmake"):
        assert str(ROOT) not in path.read_text(), path


def test_every_call_of_the_cpp_client(outside: Path, server: Server, programs: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "echo.toml"
    manifest.write_text('[package]\nname = "cpp/echo"\nversion = "1.0.0"\n')
    run(outside, "all", server.url, programs / "echo.wasm", manifest)
    cmake = (ROOT / "CMakeLists.txt").read_text()
    version = re.search(r"project\(pie VERSION ([0-9.]+)", cmake)
    assert version and run(outside, "version") == version.group(1)


def test_private_keys_in_cpp(outside: Path, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    for name, *options in (
        ("good", "-t", "ed25519", "-N", ""),
        ("encrypted", "-t", "ed25519", "-N", "secret"),
        ("weak", "-t", "rsa", "-b", "1024", "-N", ""),
    ):
        run("ssh-keygen", "-q", *options, "-f", tmp_path / ".ssh" / name)
    folder = tmp_path / ".ssh"
    run(outside, "keys", "~/.ssh/good", folder / "encrypted", folder / "weak",
        env=dict(os.environ, HOME=str(tmp_path)))  # fmt: skip


def test_a_call_timeout_leaves_the_cpp_client_usable(outside: Path, own_server: Server) -> None:
    assert own_server.process is not None
    with subprocess.Popen([outside, "timeouts", own_server.url], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as program:  # fmt: skip
        assert program.stdin is not None and program.stdout is not None
        for line, signal_number in (("stop", signal.SIGSTOP), ("go on", signal.SIGCONT)):
            assert program.stdout.readline().strip() == line
            own_server.process.send_signal(signal_number)
            if signal_number == signal.SIGSTOP:
                os.waitid(os.P_PID, own_server.pid, os.WSTOPPED)
            program.stdin.write("done\n")
            program.stdin.flush()
        assert program.wait(timeout=120) == 0


def test_the_reconnecting_cpp_client_takes_its_instance_back(outside: Path, server: Server) -> None:
    run(outside, "reconnect", server.url)


def test_the_reconnecting_cpp_client_goes_on_after_kill_9(outside: Path, own_server: Server) -> None:
    with subprocess.Popen([outside, "restart", own_server.url], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as program:  # fmt: skip
        assert program.stdout is not None and program.stderr is not None
        assert program.stdout.readline().strip() == "kill", program.stderr.read()
        own_server.kill()
        own_server.start()
        assert program.wait(timeout=120) == 0, program.stderr.read()


def test_cancelled_cpp_calls_leave_the_client_usable(outside: Path, server: Server) -> None:
    run(outside, "cancel", server.url)


def test_the_cpp_example_answers_a_prompt(prefix: Path, server: Server, tmp_path: Path) -> None:
    example = built(ROOT / "cpp" / "example", prefix, tmp_path) / "example"
    assert run(example, server.url, "What is the capital of France?").strip()
    refused = subprocess.run([example, "ws://127.0.0.1:1"], text=True, check=False,
                             capture_output=True, timeout=60)  # fmt: skip
    assert refused.returncode == 1 and refused.stderr.startswith("Connection failed: ")

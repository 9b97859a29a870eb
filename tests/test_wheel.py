"""The built wheel: what it holds and needs, and that it works where there is no compiler."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import BUILD, ROOT, Server, with_ccache

RUNTIMES = {"libc.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "ld-linux-x86-64.so.2"}
GLIBC_MAX = (2, 34)

USE = """
import sys
import pie, pie.sync
from pie import Event, ParsedPrivateKey

with pie.sync.PieClient(sys.argv[1]) as client:
    client.authenticate("wheel")
    events = list(client.launch_instance_from_registry("hello"))
    assert events[-1][0] == Event.Completed, events
try:
    ParsedPrivateKey.parse("nonsense")
except pie.InvalidKeyError:
    print(pie.__version__, pie.__file__)
"""

TYPED = """
from pie import Event, Instance, InstanceInfo, ParsedPrivateKey, PieClient
from pie import sync

async def main() -> None:
    async with PieClient("ws://127.0.0.1:8080") as client:
        await client.authenticate("me", ParsedPrivateKey.from_file("~/.ssh/id_ed25519"))
        hash: str = await client.upload_program(b"bytes")
        hash = await client.upload_program("program.wasm", "program.toml")
        exists: bool = await client.program_exists(hash)
        exists = await client.program_exists("me/program@1.0.0", "program.wasm", "program.toml")
        instance: Instance = await client.launch_instance(hash, ["--flag"], exists)
        instance = await client.launch_instance("me/program", arguments=["--flag"], detached=True)
        async for event, data in instance:
            kind: Event = event
            content: str | bytes = data
        listed: list[InstanceInfo] = await client.list_instances()

def script() -> None:
    with sync.PieClient("ws://127.0.0.1:8080") as client:
        hash: str = client.upload_program(b"bytes", progress=lambda sent, total: None)
        instance: sync.Instance = client.launch_instance(hash)
        for event, data in instance:
            print(event.name, data)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `pip wheel` makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [BUILD / "venv" / "bin" / "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index",
         "-w", folder, ROOT / "python"], env=with_ccache(ROOT), text=True, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment into which the wheel was installed, no compiler in reach."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run(
        [venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", wheel],
        check=True, env={"PATH": "", "HOME": str(venv)},
    )  # fmt: skip
    return venv / "bin" / "python"


def test_the_wheel_needs_only_the_runtimes_of_c_and_cpp(wheel: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"pie_client-[\d.]+-cp\d+-cp\d+-linux_x86_64\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [extension] = [name for name in names if name.endswith(".so")]
        archive.extract(extension, tmp_path)
    assert "pie/py.typed" in names
    assert all(name.startswith(("pie/", "pie_client-")) for name in names), names
    described = subprocess.run(["readelf", "-d", "-V", tmp_path / extension], text=True, check=True,
                               stdout=subprocess.PIPE).stdout  # fmt: skip
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", described))
    assert "libc.so.6" in needed and needed <= RUNTIMES, needed
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", described)
    assert max((int(major), int(minor)) for major, minor in versions) <= GLIBC_MAX
    assert str(ROOT).encode() not in (tmp_path / extension).read_bytes()


def test_the_wheel_works_where_there_is_no_compiler(python: Path, server: Server, tmp_path: Path) -> None:
    done = subprocess.run([python, "-c", USE, server.url], text=True, check=False, capture_output=True,
                          env={"PATH": "", "HOME": str(tmp_path)}, cwd=tmp_path, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    version, file = done.stdout.split()
    assert f'version = "{version}"' in (ROOT / "python" / "pyproject.toml").read_text()
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert Path(file).is_relative_to(python.parent.parent)


def test_a_user_s_script_type_checks_against_the_wheel(python: Path, tmp_path: Path) -> None:
    def check(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(text)
        return subprocess.run([BUILD / "venv" / "bin" / "mypy", "--strict", "--python-executable", python,
                               "script.py"], cwd=tmp_path, text=True, check=False,
                              capture_output=True)  # fmt: skip

    assert (done := check(TYPED)).returncode == 0, done.stdout
    wrong = check(TYPED.replace("hash: str = await", "hash: int = await"))
    assert wrong.returncode == 1 and "Incompatible types" in wrong.stdout

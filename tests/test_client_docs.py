"""docs/CLIENT.md: every public name is in it, and every block runs as it stands."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pie
import pie.sync
import pytest

from tests.conftest import BUILD, ROOT, Server

PAGE = (ROOT / "docs" / "CLIENT.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
CPP = [code for language, code in BLOCKS if language == "cpp"]
CPP_EXPECTED = [
    [f"Blob: {256 * 4096} bytes", "ended: Aborted"],
    ["Completed", " left", "cancelled"],
]
EXPECTED = {  # by a part of the block: what it prints
    "is_final": "ended: Aborted",
    "progress=": "nothing yet",
    "NotFoundError": "Not found: ",
    "ReconnectingClient": "Completed",
    "pie.sync": "Completed",
}


@pytest.fixture
def folder(tmp_path: Path, programs: Path) -> Path:
    """A home and working folder with the files that the page names."""
    (tmp_path / ".ssh").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / ".ssh" / "id_ed25519"],
                   check=True)  # fmt: skip
    (tmp_path / "my_program.wasm").write_bytes((programs / "echo.wasm").read_bytes())
    (tmp_path / "my_program.toml").write_text('[package]\nname = "docs/echo"\nversion = "1.0.0"\n')
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 4096)
    return tmp_path


def output(command: list[str | Path], folder: Path) -> str:
    """What a program prints, which must end well."""
    done = subprocess.run(command, cwd=folder, env=dict(os.environ, HOME=str(folder)), text=True,
                          check=False, capture_output=True, timeout=150)  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def public(owner: object) -> set[str]:
    """The names of a class that do not begin with an underscore."""
    return {name for name in dir(owner) if not name.startswith("_")}


def test_every_public_name_of_python_is_in_the_page() -> None:
    names = set(pie.__all__) | set(pie.sync.__all__)
    for owner in (pie.PieClient, pie.Instance, pie.ParsedPrivateKey, pie.ReconnectingClient,
                  pie.ReconnectingInstance, pie.sync.PieClient, pie.sync.Instance):  # fmt: skip
        names |= public(owner)
    for owner in (pie.PieClient, pie.ReconnectingClient):
        names |= set(inspect.signature(owner).parameters) - {"options"}
    names |= {event.name for event in pie.Event} | set(pie.InstanceInfo.__dataclass_fields__)
    assert len(names) > 60
    missing = {name for name in names if not re.search(rf"\b{name}\b", PAGE)}
    assert not missing


def test_every_public_name_of_cpp_is_in_the_page() -> None:
    headers = (ROOT / "cpp" / "include" / "pie").glob("*.h")
    code = re.sub(r"//.*", "", "".join(path.read_text() for path in headers))
    code = re.sub(r"^ private:.*?^};", "};", code, flags=re.M | re.S)
    names = set(re.findall(r"^(?:struct|class|enum class)(?: PIE_CLIENT_API)? (\w+)", code, re.M))
    names |= set(re.findall(r"^(?:  |PIE_CLIENT_API )[\w:<>&\s,]*?[ &>](\w+)\(", code, re.M))
    names -= {"operator", "State", "begin", "end"}
    assert {"PieClient", "upload_blob_file", "to_string", "recv", "ping", "kind", "CancelScope",
            "ReconnectingInstance", "ReconnectOptions"} <= names  # fmt: skip
    missing = {name for name in names if not re.search(rf"\b{name}\b", PAGE)}
    assert not missing


def test_the_two_python_faces_have_the_same_calls() -> None:
    assert public(pie.PieClient) == public(pie.sync.PieClient)
    assert public(pie.Instance) == public(pie.sync.Instance)
    for ours, theirs in ((pie.PieClient, pie.sync.PieClient), (pie.Instance, pie.sync.Instance)):
        for name in public(ours):
            if callable(getattr(ours, name)):
                signatures = [inspect.signature(getattr(one, name)) for one in (ours, theirs)]
                assert signatures[0].parameters == signatures[1].parameters, name


def test_there_is_nothing_but_blocks_that_run() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "cpp"} and len(PYTHON) >= 5
    assert all(any(part in code for code in PYTHON) for part in EXPECTED)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_python_block_runs(number: int, server: Server, folder: Path) -> None:
    code = PYTHON[number]
    printed = output([sys.executable, "-c", code.replace("ws://127.0.0.1:8080", server.url)], folder)
    for part, text in EXPECTED.items():
        if part in code:
            assert text in printed


@pytest.mark.parametrize("number", range(len(CPP)))
def test_a_cpp_block_runs(number: int, server: Server, folder: Path) -> None:
    (folder / "main.cc").write_text(CPP[number].replace("ws://127.0.0.1:8080", server.url))
    library = BUILD / "cmake" / "release" / "cpp"
    output(["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "main.cc", "-o", "app",
            f"-I{ROOT}/cpp/include", f"-L{library}", "-lpie-client", f"-Wl,-rpath,{library}"],
           folder)  # fmt: skip
    printed = output([folder / "app"], folder)
    assert all(text in printed for text in CPP_EXPECTED[number])

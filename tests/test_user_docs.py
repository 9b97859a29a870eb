"""Every code block of the two documents in docs/user runs as written, against a real server.

Filled in are only the port, the path of the wasm file, the hash and HOME. `pip install` blocks run in
the Python package's folder, in an environment of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, USER_DOCS, Server, with_ccache
from tests.wire import blake3_hex

DOCUMENTS = ("client-docs.md", "client-readme.md")


def code_blocks(document: str) -> list[tuple[str, str]]:
    """(language, code) of each fenced or indented block."""
    text = (USER_DOCS / document).read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    outside = re.sub(r"^```\w+\n.*?^```$", "", text, flags=re.M | re.S)
    indented = re.findall(r"(?:^    \S.*\n)+", outside, re.M)
    return blocks + [("bash", re.sub(r"^    ", "", block, flags=re.M)) for block in indented]


def all_blocks() -> list[tuple[str, int, str, str]]:
    """Every block with its document and number."""
    return [
        (document, number, language, code)
        for document in DOCUMENTS
        for number, (language, code) in enumerate(code_blocks(document))
    ]


PYTHON_BLOCKS = [b for b in all_blocks() if b[2] == "python"]
SHELL_BLOCKS = [b for b in all_blocks() if b[2] == "bash"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with the key that the documents read."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".ssh").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                    str(folder / ".ssh" / "id_ed25519")], check=True)  # fmt: skip
    return folder


def complete(code: str) -> str:
    """A fragment of a document as a program: what the surrounding text gives is put around it."""
    if "asyncio.run(" in code:
        return code
    names = "import asyncio\nfrom pie import *\nfrom pie import PieClient, ParsedPrivateKey, PieError\n"
    setup = ""
    if "key_content" in code:
        setup += 'key_content = open(__import__("os").path.expanduser("~/.ssh/id_ed25519")).read()\n'
    if "key)" in code and "key =" not in code:
        setup += 'key = ParsedPrivateKey.from_file("~/.ssh/id_ed25519")\n'
    if "client" in code and "async with PieClient" not in code:
        body = 'async with PieClient("ws://127.0.0.1:8080") as client:\n'
        body += '    await client.authenticate("username")\n' + indent(code)
    else:
        body = code
    return f"{names}\nasync def main():\n{indent(setup + body)}    return None\n\nasyncio.run(main())\n"


def indent(code: str) -> str:
    """The code one level deeper."""
    return "".join(f"    {line}\n" if line else "\n" for line in code.rstrip("\n").split("\n"))


def fill_in(code: str, server: Server, wasm: Path) -> str:
    """The port, the path of the wasm file and the hash: the only things that may be changed."""
    code = code.replace("ws://127.0.0.1:8080", server.url)
    code = code.replace('"my_program.wasm"', repr(str(wasm)))
    return code.replace('program_hash = "..."', f'program_hash = "{blake3_hex(wasm.read_bytes())}"')


def test_every_block_is_run() -> None:
    assert len(PYTHON_BLOCKS) >= 9 and len(SHELL_BLOCKS) >= 2
    assert {language for _, _, language, _ in all_blocks()} == {"python", "bash"}


@pytest.mark.parametrize(
    ("document", "number", "language", "code"),
    PYTHON_BLOCKS,
    ids=[f"{document}-{number}" for document, number, _, _ in PYTHON_BLOCKS],
)
def test_python_block_runs_as_written(
    document: str, number: int, language: str, code: str, server: Server, programs: Path, home: Path,
) -> None:  # fmt: skip
    program = fill_in(complete(code), server, programs / "echo.wasm")
    done = subprocess.run(
        [sys.executable, "-c", program], env=dict(os.environ, HOME=str(home)), text=True,
        check=False, capture_output=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    if "Received: " in code:
        assert "Received: " in done.stdout and "hello" in done.stdout.lower()
    if "invalid_hash" in code:
        assert done.stdout.startswith("Pie error: ")
    if "Stdout" in code:
        assert done.stdout.strip()


def test_a_refused_connection_prints_what_the_document_says(server: Server, home: Path) -> None:
    code = next(code for _, _, _, code in PYTHON_BLOCKS if "Connection failed" in code)
    program = complete(code).replace("ws://127.0.0.1:8080", "ws://127.0.0.1:1")
    done = subprocess.run([sys.executable, "-c", program], text=True, check=False,
                          env=dict(os.environ, HOME=str(home)), capture_output=True,
                          timeout=60)  # fmt: skip
    assert done.stdout.startswith("Connection failed: "), done


@pytest.mark.parametrize(
    ("document", "number", "language", "code"),
    SHELL_BLOCKS,
    ids=[f"{document}-{number}" for document, number, _, _ in SHELL_BLOCKS],
)
def test_install_block_installs_a_package_that_imports(
    document: str, number: int, language: str, code: str, tmp_path: Path
) -> None:
    line = code.strip()
    assert line in ("pip install pie-client", "pip install -e .")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    package = tmp_path / "checkout"
    shutil.copytree(ROOT, package, ignore=shutil.ignore_patterns("build*", ".git"), symlinks=True)
    # A package named pie-client by others is in the public index, so ours is installed by path.
    target = line.split()[2:] if "-e" in line else ["."]
    done = subprocess.run([str(venv / "bin" / "pip"), "install", "-q", *target],
                          cwd=package / "python", env=with_ccache(package), text=True, check=False,
                          capture_output=True, timeout=900)  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = subprocess.run([str(venv / "bin" / "python"), "-c",
                               "from pie import PieClient, ParsedPrivateKey, PieError"],
                              cwd=tmp_path, check=False)  # fmt: skip
    assert imported.returncode == 0
    listed = subprocess.run([str(venv / "bin" / "pip"), "show", "pie-client"], check=False)
    assert listed.returncode == 0


def test_every_name_in_the_documents_tables_exists() -> None:
    import pie

    for document in DOCUMENTS:
        text = (USER_DOCS / document).read_text()
        section = ""
        for line in text.splitlines():
            if line.startswith("#"):
                section = line.lstrip("# ")
            row = re.match(r"\|\s*`(\w+)", line)
            if not row:
                continue
            owner = {"PieClient": pie.PieClient, "Instance": pie.Instance}.get(section, pie.Event)
            assert hasattr(owner, row.group(1)), f"{document}: {section}.{row.group(1)}"


def test_the_example_named_by_the_readme_runs(server: Server, home: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "python" / "main.py"), "--server", server.url,
                           "text-completion", "--", "--prompt", "Say hello.", "-n", "16"], text=True,
                          env=dict(os.environ, HOME=str(home)), check=False, capture_output=True,
                          timeout=120)  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip(), done

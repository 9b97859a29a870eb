"""A newcomer's path: the first chapters of docs/PROGRAMS.md, command by command, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import DEADLINE_S, PIE, ROOT, Server

PAGE = ROOT / "docs" / "PROGRAMS.md"


def chapter(name: str) -> str:
    """A chapter of the page, up to the next heading of its rank."""
    return re.split(r"^## ", PAGE.read_text().split(f"\n## {name}\n")[1], maxsplit=1, flags=re.M)[0]


def blocks(name: str, language: str) -> list[str]:
    """A chapter's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", chapter(name), re.M | re.S)


def typed(commands: str, folder: Path) -> str:
    """What commands print that are typed into a shell, in a folder; none may fail or complain."""
    path = f"{PIE.parent}:{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path, PIE_HOME=str(folder.parent / "home"))
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(shell, cwd=folder, env=environment, text=True, check=False, capture_output=True,
                          timeout=3 * DEADLINE_S)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, beside which there is room for a PIE_HOME."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_each_language_has_its_path_of_three_commands_at_most() -> None:
    in_cpp, in_python = blocks("Begin", "sh")
    assert [line.split()[:2] for line in in_cpp.splitlines()] == [
        ["pie", "new"], ["pie", "build"], ["pie", "run"]
    ]  # fmt: skip
    without_file = re.sub(r"<<'END'\n.*?^END$", "", in_python, flags=re.M | re.S)
    assert [line.split()[0] for line in without_file.splitlines()] == ["cat", "pie"]


def test_the_readme_leads_there_from_its_first_screen() -> None:
    first_screen = (ROOT / "README.md").read_text().split("\n## Then\n")[0]
    assert "(docs/PROGRAMS.md#begin)" in first_screen and len(first_screen.splitlines()) <= 30


@pytest.mark.parametrize("commands", blocks("Begin", "sh"), ids=["cpp", "python"])
def test_a_newcomer_gets_an_answer_out_of_an_empty_folder(folder: Path, commands: str) -> None:
    printed = typed(commands, folder)
    assert "Paris" in printed.splitlines()[-1], printed


def test_the_first_program_of_the_guide_is_built_run_and_launched(folder: Path, server: Server) -> None:
    name = "What a program is"
    (folder / "my_inferlet.cpp").write_text(blocks(name, "cpp")[0])
    (commands,) = blocks(name, "sh")
    built, *answer = typed(commands, folder).splitlines()
    assert built == "my_inferlet.wasm" and "".join(answer).strip()
    (client,) = blocks(name, "python")
    body = textwrap.indent(client.replace("ws://127.0.0.1:8080", server.url), "    ")
    (folder / "client.py").write_text(
        f"import asyncio\nfrom pie import PieClient\n\nasync def main():\n{body}\nasyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "client.py"], cwd=folder, text=True, check=False,
                          capture_output=True, timeout=DEADLINE_S)  # fmt: skip
    assert done.returncode == 0 and "Completed " in done.stdout, done

"""A newcomer's path: the first chapter of docs/PROGRAMS.md, command by command, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import DEADLINE_S, PIE, ROOT

PAGE = ROOT / "docs" / "PROGRAMS.md"


def chapter(name: str) -> str:
    """A chapter of the page, up to the next heading of its rank."""
    return re.split(r"^## ", PAGE.read_text().split(f"\n## {name}\n")[1], maxsplit=1, flags=re.M)[0]


def paths() -> list[str]:
    """What the chapter tells to type: one block for each language."""
    return re.findall(r"^```sh\n(.*?)^```", chapter("Begin"), re.M | re.S)


def test_each_language_has_its_path_of_three_commands_at_most() -> None:
    in_cpp, in_python = paths()
    assert [line.split()[:2] for line in in_cpp.splitlines()] == [
        ["pie", "new"], ["pie", "build"], ["pie", "run"]
    ]  # fmt: skip
    without_file = re.sub(r"<<'END'\n.*?^END$", "", in_python, flags=re.M | re.S)
    assert [line.split()[0] for line in without_file.splitlines()] == ["cat", "pie"]


def test_the_readme_leads_there_from_its_first_screen() -> None:
    first_screen = (ROOT / "README.md").read_text().split("\n## Then\n")[0]
    assert "(docs/PROGRAMS.md#begin)" in first_screen and len(first_screen.splitlines()) <= 30


@pytest.mark.parametrize("commands", paths(), ids=["cpp", "python"])
def test_a_newcomer_gets_an_answer_out_of_an_empty_folder(tmp_path: Path, commands: str) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    path = f"{PIE.parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, text=True, check=False,
                          env=dict(os.environ, PATH=path, PIE_HOME=str(tmp_path / "home")),
                          capture_output=True, timeout=3 * DEADLINE_S)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "Paris" in done.stdout.splitlines()[-1], done.stdout

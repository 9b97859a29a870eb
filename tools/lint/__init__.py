"""Checks of `make lint` that no other tool has; each module is one, run by `python -m tools.lint.NAME`.

A module says what is wrong as lines "PLACE: what, and what is expected", and nothing when all is well.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def tracked(*patterns: str) -> list[str]:
    """Files of the repository, the ones not yet committed included."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT,
                            text=True, check=True, stdout=subprocess.PIPE).stdout  # fmt: skip
    return [line for line in listed.splitlines() if (ROOT / line).exists()]


def report(wrong: Iterable[str]) -> int:
    """Prints what is wrong; the exit code."""
    lines = list(wrong)
    for line in lines:
        print(line)
    return 1 if lines else 0


_NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'(?!\w)'
    r"|^[ \t]*#(?:\\\n|[^\n])*",
    re.M | re.S,
)


def code_of(text: str) -> str:
    """C++ text with comments, literals and directives blanked out; lines keep their numbers."""
    return _NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def is_production(path: str) -> bool:
    """Whether a file of src/ is part of a layer, and not of its tests."""
    name = Path(path).name
    return not (re.search(r"^test_|_test\.cc$|_harness\.h$", name) or "/testing/" in path)

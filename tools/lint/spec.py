#!/usr/bin/env python3
"""Checks tests/PROTOCOL.md: every test that it names exists, and every clause has one or says why not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def known_tests() -> set[str]:
    """Names of pytest functions, GoogleTest cases, reliability programs and fuzzers."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*_test.cc", "*.py"], cwd=ROOT,
                            text=True, check=True, stdout=subprocess.PIPE).stdout  # fmt: skip
    names: set[str] = set()
    for path in (ROOT / line for line in listed.splitlines()):
        if not path.exists():
            continue
        text = path.read_text()
        names |= set(re.findall(r"^(?:async )?def (test_\w+)", text, re.M))
        names |= {f"{a}.{b}" for a, b in re.findall(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)", text, re.M)}
    folder = ROOT / "tests" / "reliability"
    names |= {f"reliability/{path.stem}" for path in folder.glob("*.py") if "__main__" in path.read_text()}
    return names | {f"fuzz/{path.name}" for path in (ROOT / "tests" / "fuzz" / "corpus").iterdir()}


def main() -> int:
    """Prints what is wrong; the exit code."""
    known = known_tests()
    wrong: list[str] = []
    clauses = 0
    for line in (ROOT / "tests" / "PROTOCOL.md").read_text().splitlines():
        row = re.match(r"\| (\d+\.\d+) \|(.*)\|(.*)\|$", line)
        if row is None:
            continue
        clause, held_by = row[1], row[3].strip()
        clauses += 1
        if re.match(r"none( yet)?(:|$)", held_by):
            continue
        named = re.findall(r"`([^`]+)`", held_by)
        if not named:
            wrong.append(f"{clause} names no test")
        wrong += [f"{clause} names {name}, which does not exist" for name in named if name not in known]
    print("\n".join(wrong) or f"{clauses} rows")
    return 1 if wrong or not clauses else 0


if __name__ == "__main__":
    sys.exit(main())

"""Subjects of commits: "area: what changes", 72 characters at most, one area each.

An area is a folder of src/ or of the root, or `build`: what lies at the root (Makefile, CMake, presets).
Commits up to START are left alone; in a shallow clone what is there is checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

from tools.lint import ROOT, report

START = "21e6815"  # the rule holds from here on
LENGTH_MAX = 72


def areas(files: list[str]) -> set[str]:
    """What a subject may begin with, by the files that there are."""
    folders = {path.split("/")[0].lstrip(".") for path in files if "/" in path}
    layers = {path.split("/")[1] for path in files if re.match(r"src/\w+/", path)}
    return (folders - {"src"}) | layers | {"build"}


def wrong_subject(subject: str, known: set[str]) -> Iterator[str]:
    """What is wrong with one subject."""
    if len(subject) > LENGTH_MAX:
        yield f"got {len(subject)} characters, expected at most {LENGTH_MAX}"
    area, colon, what = subject.partition(": ")
    if not colon or not what.strip():
        yield 'got no area, expected "area: what changes"'
    elif "," in area:
        yield f'got the areas "{area}", expected one: a commit is one logical change in one place'
    elif area not in known:
        yield f'got the area "{area}", expected one of: {", ".join(sorted(known))}'


def git(*arguments: str) -> list[str]:
    """The lines that git prints; none when it fails (no such commit)."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, text=True, check=False, capture_output=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def problems() -> Iterator[str]:
    """Everything that is wrong with the commits since START."""
    known = areas(git("ls-files"))
    is_there = git("rev-parse", "--verify", "-q", f"{START}^{{commit}}")
    for line in git("log", "--no-merges", "--format=%h %s", f"{START}..HEAD" if is_there else "HEAD"):
        commit, _, subject = line.partition(" ")
        for wrong in wrong_subject(subject, known):
            yield f'{commit} "{subject}": {wrong}'


if __name__ == "__main__":
    sys.exit(report(problems()))

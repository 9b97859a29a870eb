"""docs/spec, what cites it and what holds it agree.

- tests/PROTOCOL.md has a row for each clause of docs/spec/protocol.md and no other; each row names tests
  that exist, or says why it has none.
- A section or clause that a file cites ("protocol.md, section 7") is there.
- Every function and resource of wit/deps/inferlet-* and pie-* is in docs/spec/inferlet-host.md.
- Relative links of the Markdown files lead somewhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.lint import ROOT, report, tracked

SPEC = ROOT / "docs" / "spec"


def known_tests() -> set[str]:
    """Names of pytest functions, GoogleTest cases, reliability programs and fuzzers."""
    names: set[str] = set()
    for path in tracked("*_test.cc", "*.py"):
        text = (ROOT / path).read_text()
        names |= set(re.findall(r"^(?:async )?def (test_\w+)", text, re.M))
        names |= {f"{a}.{b}" for a, b in re.findall(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)", text, re.M)}
    folder = ROOT / "tests" / "reliability"
    names |= {f"reliability/{path.stem}" for path in folder.glob("*.py") if "__main__" in path.read_text()}
    return names | {f"fuzz/{path.name}" for path in (ROOT / "tests" / "fuzz" / "corpus").iterdir()}


def wrong_rows(table: str, clauses: list[str], known: set[str]) -> Iterator[str]:
    """What is wrong with tests/PROTOCOL.md, given the clauses of the protocol and the tests there are."""
    rows = re.findall(r"^\| (\d+\.\d+) \|.*\|(.*)\|$", table.split("\n## Broken on purpose")[0], re.M)
    for clause in sorted(set(clauses) ^ {clause for clause, _ in rows}):
        where = "the table" if clause in clauses else "docs/spec/protocol.md"
        yield f"tests/PROTOCOL.md: {where} has no {clause}, expected the same clauses in both"
    for clause, held_by in re.findall(r"^\| (\d+\.\d+) \|.*\|(.*)\|$", table, re.M):
        named = re.findall(r"`([^`]+)`", held_by)
        if not named and not held_by.strip().startswith("none:"):
            yield f"tests/PROTOCOL.md: {clause} names no test, expected one or `none: why`"
        if not held_by.strip().startswith("none:"):
            for name in named:
                if name not in known:
                    yield f"tests/PROTOCOL.md: {clause} names {name}, expected a test that exists"


def wrong_citations(path: str, text: str, places: dict[str, set[str]]) -> Iterator[str]:
    """Citations of sections and clauses that are not in `places` (document -> "7", "7.8", ...)."""
    text = re.sub(r"\s*\n\s*(?:///?|#)?\s*", " ", text)
    for name, rest in re.findall(r"(protocol|inferlet-host)\.md,?((?: sections?)? [\d, .toand]+)", text):
        for number in re.findall(r"\d+(?:\.\d+)?", rest):
            if number not in places[name]:
                yield f"{path}: cites {name}.md, {number}, expected a section or clause that is there"


def missing_functions(wit: str, page: str) -> list[str]:
    """Functions and resources that WIT text declares and the page does not name."""
    names = re.findall(r"^\s*(?:resource\s+)?([a-z][a-z0-9-]*)(?::\s*func\b|\s*\{)", wit, re.M)
    return sorted({name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", page)})


def dead_links(path: str, text: str) -> Iterator[str]:
    """Relative links of a Markdown file whose target does not exist."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        if not (ROOT / path).parent.joinpath(target).exists():
            yield f"{path}: links to {target}, expected something that exists"


def problems() -> Iterator[str]:
    """Everything that is wrong in this tree."""
    pages = {name: (SPEC / f"{name}.md").read_text() for name in ("protocol", "inferlet-host")}
    places = {name: set(re.findall(r"^(?:## |- \*\*)(\d+(?:\.\d+)?)", page, re.M))
              for name, page in pages.items()}  # fmt: skip
    clauses = [one for one in places["protocol"] if "." in one]
    yield from wrong_rows((ROOT / "tests" / "PROTOCOL.md").read_text(), clauses, known_tests())
    for path in tracked("*.h", "*.cc", "*.cpp", "*.py", "*.md", "*.wit"):
        text = (ROOT / path).read_text()
        yield from wrong_citations(path, text, places)
        if path.endswith(".md") and not path.startswith("docs/user/client-"):
            yield from dead_links(path, text)
    for path in tracked("wit/deps/inferlet-*", "wit/deps/pie-*"):
        for name in missing_functions(Path(ROOT / path).read_text(), pages["inferlet-host"]):
            yield f"{path}: {name} is not in docs/spec/inferlet-host.md, expected every function there"


if __name__ == "__main__":
    sys.exit(report(problems()))

"""What src/ declares: no `bool` parameters, and no two types of one name.

A `bool` at a call says nothing ("launch(spec, true)"): an enum class with two named values does, or two
functions. Two types that share a name make a reader look twice, whatever their folders.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from tools.lint import ROOT, code_of, is_production, report, tracked

# Overloads for a value of any type, where the bool is the value.
BOOL_IS_THE_VALUE = {
    "src/protocol/codec_reader.h": {"take"},
    "src/protocol/codec_writer.h": {"put"},
    "src/wasm/value_writer.h": {"boolean"},
}
# Twins: the same kernel for each instruction set, in namespaces that never meet.
TWINS = "src/kernels/"

_CONDITIONS = {"if", "while", "for", "switch", "return", "sizeof", "decltype", "noexcept", "static_assert"}


def bool_parameters(text: str) -> Iterator[tuple[int, str]]:
    """(line, function) of each parameter of type bool, also by reference, in C++ text.

    Types in template arguments (std::function<void(bool)>) and lambdas are none.
    """
    text = code_of(text)
    stack: list[tuple[str, str]] = []  # the bracket, and the word before it
    word = ""
    for token in re.finditer(r"[A-Za-z_]\w*|[(){}\[\]<>;]|->|<<|<=|>=|\S", text):
        part = token[0]
        if part in "({[" or (part == "<" and re.match(r"\w", text[token.start() - 1])):
            stack.append((part, word))
        elif part == ">" and stack and stack[-1][0] == "<":
            stack.pop()
        elif part in ")}];":
            while stack and stack[-1][0] == "<":  # was "less than"
                stack.pop()
            if stack and part != ";":
                stack.pop()
        elif part == "bool" and stack and stack[-1][0] == "(":
            function = stack[-1][1]
            is_type = any(bracket == "<" for bracket, _ in stack)
            if re.match(r"[A-Za-z_]", function) and function not in _CONDITIONS and not is_type:
                yield text.count("\n", 0, token.start()) + 1, function
        word = part


def types(text: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each class, struct, union and enum that C++ text defines at namespace scope."""
    text = code_of(text)
    scopes: list[bool] = []  # whether the brace is a namespace's
    statement = 0
    for token in re.finditer(r"[{};]", text):
        before = text[statement:token.start()]
        statement = token.end()
        if token[0] == "}":
            if scopes:
                scopes.pop()
        elif token[0] == "{":
            is_namespace = re.search(r"\bnamespace\b[\w\s:]*$|\bextern\s*$", before) is not None
            found = re.match(
                r"\s*(?:template\s*<.*>\s*)?(?:class|struct|union|enum(?:\s+class|\s+struct)?)\s+"
                r"(?:alignas\([^)]*\)\s*|\[\[[^\]]*\]\]\s*)*(\w+)\s*(?:final\s*)?(?::(?!:).*)?$",
                before, re.S,
            )  # fmt: skip
            if found and all(scopes):
                yield text.count("\n", 0, token.start()) + 1, found[1]
            scopes.append(is_namespace)


def same_names(files: dict[str, str]) -> Iterator[str]:
    """Types of C++ files (path -> text) that share a name."""
    places: dict[str, list[str]] = {}
    for path, text in files.items():
        for line, name in types(text):
            places.setdefault(name, []).append(f"{path}:{line}")
    for name, where in sorted(places.items()):
        if len(where) > 1:
            yield f"{where[0]}: the type {name} is also in {', '.join(where[1:])}, expected a name of its own"


def bools(path: str, text: str) -> Iterator[str]:
    """The `bool` parameters of a header that it may not have."""
    for line, function in bool_parameters(text):
        if function not in BOOL_IS_THE_VALUE.get(path, set()):
            yield f"{path}:{line}: {function} has a bool parameter, expected an enum class or two functions"


def main(what: str) -> int:
    """Checks "bools" or "names" of src/."""
    headers = [path for path in tracked("src/*.h") if is_production(path)]
    if what == "bools":
        return report(line for path in headers for line in bools(path, (ROOT / path).read_text()))
    sources = [path for path in tracked("src/*.cc") if is_production(path)]
    return report(same_names({path: (ROOT / path).read_text() for path in headers + sources
                              if not path.startswith(TWINS)}))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What the sources of src/ include of others: what their layer names, and in which order.

- A third-party header is one of pie_layer(... THIRD_PARTY ...) in the layer's CMakeLists.txt, and what is
  named there is used. (System folders are on every compiler's path, so the build alone does not refuse it.)
- The layers that a layer names (DEPS, INTERFACES), and may name (cmake/Layers.cmake), are those whose
  headers it sees, directly or through a header.
- A source includes its own header first, which so proves to need no other before it. Headers without a
  source are compiled alone (cmake/Layers.cmake).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.lint import ROOT, is_production, report, tracked

# Beginnings of headers -> the name in cmake/Dependencies.cmake.
THIRD_PARTY = {
    "blake3.h": "blake3", "boost/": "boost", "CLI/": "cli11", "fmt/": "fmt", "ggml": "ggml", "gguf": "ggml",
    "common/": "chat", "llama": "llama", "unicode.h": "llama", "msgpack": "msgpack",
    "openssl/": "openssl", "sqlite3": "sqlite", "toml++/": "toml", "wasm": "wasmtime",
    "llguidance": "llguidance", "gtest/": "gtest", "gmock/": "gtest", "simde/": "simde",
}  # fmt: skip
SYSTEM = re.compile(r"[a-z_0-9]+(\.h)?|(sys|netinet|arpa|linux)/\w+\.h")
FOR_TESTS = {"gtest", "simde"}


def owner(header: str) -> str | None:
    """The third party that a header in angle brackets is of; None of the system's; "" of nobody's known."""
    for beginning, name in THIRD_PARTY.items():
        if header.startswith(beginning):
            return name
    return None if SYSTEM.fullmatch(header) else ""


def declared(cmake: str, what: str = "THIRD_PARTY") -> set[str]:
    """The third parties, or other layers (DEPS), of the one pie_layer() of a CMakeLists.txt."""
    found = re.search(rf"pie_layer\([^)]*?\b{what}\b([^)]*)\)", cmake)
    return set(re.split(r"\b[A-Z_]+\b", found[1])[0].split()) if found else set()


def allowed(cmake: str) -> dict[str, set[str]]:
    """Layer -> what it may name, by cmake/Layers.cmake."""
    rows = re.findall(r"^set\(PIE_ALLOWED_(\w+) ([^)]*)\)", cmake, re.M)
    return {layer: set(names.replace('"', "").split()) for layer, names in rows}


def seen_layers(layer: str, files: dict[str, str]) -> set[str]:
    """The other layers whose headers a layer's files see."""
    seen: set[str] = set()
    left = [path for path in files if path.startswith(f"src/{layer}/")]
    while left:
        for header in re.findall(r'^\s*#\s*include\s*"([^"]+)"', files[left.pop()], re.M):
            path = f"src/{header}"
            if path in files and path not in seen:
                seen.add(path)
                left.append(path)
    return {path.split("/")[1] for path in seen} - {layer}


def wrong_includes(layer: str, names: set[str], files: dict[str, str]) -> Iterator[str]:
    """Third-party headers that the layer does not name, and names that it does not use."""
    used: set[str] = set()
    for path, text in files.items():
        text = re.sub(r'R"(\w*)\(.*?\)\1"', "", text, flags=re.S)
        for header in re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.M):
            of = owner(header)
            if of is not None:
                used.add(of)
            if of == "":
                yield f"{path}: includes <{header}>, expected a header that tools/lint/includes.py knows"
            elif of is not None and of not in names and (is_production(path) or of not in FOR_TESTS):
                yield f"{path}: includes <{header}>, expected {of} in pie_layer({layer} ... THIRD_PARTY ...)"
    for name in sorted(names - used):
        yield f"src/{layer}/CMakeLists.txt: names {name}, expected only what the layer's files include"


def own_header_is_late(path: str, text: str, files: set[str]) -> bool:
    """Whether a source that has a header of its own includes another before it."""
    root, header = "src/", re.sub(r"\.cc$", ".h", path)
    if path.startswith("sdk/"):
        root, header = "sdk/include/", header.replace("sdk/src/", "sdk/include/pie/")
    first = re.search(r'^\s*#\s*include\s*["<]([^">]+)[">]', text, re.M)
    return header in files and (first is None or root + first[1] != header)


def problems() -> Iterator[str]:
    """Everything that is wrong in src/ and sdk/."""
    files = {path: (ROOT / path).read_text() for path in tracked("src/*.h", "src/*.cc")}
    may_name = allowed((ROOT / "cmake" / "Layers.cmake").read_text())
    for folder in sorted({path.split("/")[1] for path in files}):
        cmake = (ROOT / "src" / folder / "CMakeLists.txt").read_text()
        of_layer = {path: text for path, text in files.items() if Path(path).parts[1] == folder}
        yield from wrong_includes(folder, declared(cmake), of_layer)
        seen = seen_layers(folder, files)
        for name in sorted((declared(cmake, "DEPS") | declared(cmake, "INTERFACES")) - seen):
            yield f"src/{folder}/CMakeLists.txt: names {name}, expected only layers whose headers are seen"
        for name in sorted(may_name.get(folder, set()) - seen):
            yield f"cmake/Layers.cmake: allows {folder} to name {name}, expected only what it needs"
    files |= {path: (ROOT / path).read_text() for path in tracked("sdk/*.h", "sdk/*.cc")}
    for path, text in files.items():
        if path.endswith(".cc") and own_header_is_late(path, text, set(files)):
            yield f"{path}: includes another header before its own, expected its own first"


if __name__ == "__main__":
    sys.exit(report(problems()))

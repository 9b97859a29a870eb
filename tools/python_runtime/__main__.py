#!/usr/bin/env python3
"""Builds the component in which programs of Python files run (sdk/python).

    python3 -m tools.python_runtime OUT.wasm          and what `pie build` needs: the folder python/ beside it
    python3 -m tools.python_runtime --mypy PROGRAM    checks the types of sdk/python by this mypy

componentize-py takes some 10 s for it, so what it makes is kept in the cache by the hash of
everything that it is made from; the compiled standard library likewise, by itself.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools import deps

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python"))
from immortals import make_immortal

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "sdk" / "python"
WIT = ROOT / "wit"
HERE = Path(__file__).resolve().parent
ARCHIVE = ROOT / "python" / "src" / "pie" / "archive.py"
BUILDER = ("build_component.py", "immortals.py")
PARTS = ("pie_entry.py", "pie_runtime", "inferlet")
CACHE = deps.CACHE / "python-runtime"
MARK = "=====library====="  # as library_table.py has it
LIBRARY_BYTES_MIN = 1 << 20


def key_of(files: Iterable[Path], *more: str) -> str:
    """A hash over files, by their names and contents."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def componentize(app: str, folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Makes a component of a module in a folder."""
    return componentize_py(folder, "componentize", app, "-p", str(folder), "-o", str(out))


def componentize_py(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs componentize-py for the world of our programs."""
    tool = deps.get("componentize-py")
    start = f"import sys; sys.path.insert(0, {str(tool)!r}); import componentize_py; componentize_py.script()"
    command = [sys.executable, "-S", "-c", start, "--quiet", "-d", str(WIT), "-w", "program", "--full-names"]
    command += arguments
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )


def failure(what: str, done: subprocess.CompletedProcess[str]) -> SystemExit:
    """The end of what componentize-py said, without its own stack."""
    said = (done.stdout + done.stderr).partition("Stack backtrace:")[0]
    return SystemExit(f"[{what}] componentize-py failed with {done.returncode}:\n{said[-4000:]}")


def library() -> bytes:
    """The compiled standard library, as pie_runtime/library.py reads it."""
    source = HERE / "library_table.py"
    kept = CACHE / f"library-{key_of([source], deps.folder_of('componentize-py').name)}.bin"
    if kept.exists():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(source, folder)
        done = componentize("library_table", folder, folder / "out.wasm")
    # The text comes several times, all but once cut short.
    longest = max((done.stdout + done.stderr).split(MARK), key=len)
    if len(longest) < LIBRARY_BYTES_MIN:
        raise failure("library", done)
    table = base64.b85decode(longest)
    write(kept, table)
    return table


def write(path: Path, content: bytes) -> None:
    """Writes a file that appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.rename(path)


def parts() -> list[Path]:
    """What the runtime is made of."""
    return [
        file
        for part in PARTS
        for file in ([SDK / part] if (SDK / part).is_file() else (SDK / part).rglob("*.py"))
    ]


def component() -> Path:
    """The runtime, from the cache or made now."""
    files = [*parts(), SDK / "immortals.py", *WIT.rglob("*.wit"), *HERE.glob("*.py")]
    kept = CACHE / f"{key_of(files, deps.folder_of('componentize-py').name)}.wasm"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in PARTS:
            copy = shutil.copytree if (SDK / part).is_dir() else shutil.copy
            copy(SDK / part, folder / part)
        for stale in folder.rglob("__pycache__"):
            shutil.rmtree(stale)
        (folder / "library.bin").write_bytes(library())
        out = folder / "runtime.wasm"
        done = componentize("pie_entry", folder, out)
        if done.returncode != 0:
            raise failure("python-runtime", done)
        write(kept, make_immortal(out.read_bytes()))
    return kept


def install_sources(folder: Path) -> None:
    """Lays out what sdk/python/build_component.py needs, where it differs from what is there."""
    wanted = {
        "library.bin": library(),
        "archive.py": ARCHIVE.read_bytes(),
    }
    wanted |= {name: (SDK / name).read_bytes() for name in BUILDER}
    for file in parts():
        wanted[str(file.relative_to(SDK))] = file.read_bytes()
    for file in WIT.rglob("*.wit"):
        wanted[f"wit/{file.relative_to(WIT)}"] = file.read_bytes()
    for file in [one for one in folder.rglob("*") if one.is_file()]:
        if str(file.relative_to(folder)) not in wanted:
            file.unlink()
    for name, content in wanted.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            write(folder / name, content)


def bindings() -> Path:
    """What programs import of the host, as Python, from the cache or made now."""
    kept = CACHE / f"bindings-{key_of(WIT.rglob('*.wit'), deps.folder_of('componentize-py').name)}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=CACHE))
        done = componentize_py(made, "bindings", str(made))
        if done.returncode != 0:
            raise failure("bindings", done)
        made.rename(kept)
    return kept


def check_types(mypy: str) -> int:
    """Runs mypy over what runs in the runtime, beside the bindings that it is made with."""
    kept = ROOT / "build" / "mypy-runtime"
    command = [mypy, "--strict", "--python-version", "3.14", "--cache-dir", str(kept)]
    # The bindings themselves are generated, and not to be judged.
    command += ["--exclude", "wit_world", *PARTS]
    environment = dict(os.environ, MYPYPATH=str(bindings()))
    told = subprocess.run(command, cwd=SDK, env=environment, capture_output=True, text=True, check=False)
    own = [line for line in told.stdout.splitlines() if line.startswith(PARTS)]
    print("\n".join(own) or "no issues")
    return 1 if own or told.returncode > 1 else 0


def main(arguments: list[str]) -> int:
    """Command line."""
    if len(arguments) == 2 and arguments[0] == "--mypy":
        return check_types(arguments[1])
    if len(arguments) != 1:
        print(__doc__)
        return 2
    made, out = component().read_bytes(), Path(arguments[0])
    if not out.exists() or out.read_bytes() != made:
        write(out, made)
    install_sources(out.parent / "python")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

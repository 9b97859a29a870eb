#!/usr/bin/env python3
"""Makes a component of a Python program: the runtime with the program inside. `pie build` runs this.

    build_component.py PROGRAM OUT.wasm

PROGRAM is a Python file, a folder or a ZIP. What the runtime is made of lies beside this file
(tools/python_runtime installs it); componentize-py comes from the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import archive

import immortals

HERE = Path(__file__).resolve().parent
VERSION = "0.25.0"
PARTS = ("pie_entry.py", "pie_runtime", "inferlet", "library.bin")


def find_tool() -> str:
    """componentize-py, of the version that the compiled library is made for."""
    tool = shutil.which("componentize-py")
    how = (
        f"expected componentize-py {VERSION}: `pip install componentize-py=={VERSION}` brings it "
        "(without it `pie run` and `pie submit` take the Python program as it is)"
    )
    if tool is None:
        raise SystemExit(f"[build] got no componentize-py on the PATH, {how}")
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if said != f"componentize-py {VERSION}":
        raise SystemExit(f"[build] got {said or 'nothing that runs'}, {how}")
    return tool


def build(program: Path, out: Path) -> None:
    """Makes the component."""
    try:
        content = archive.archive_of(program) if archive.is_python(program) else program.read_bytes()
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    tool = find_tool()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in PARTS:
            copy = shutil.copytree if (HERE / part).is_dir() else shutil.copy
            copy(HERE / part, folder / part)
        (folder / "program.zip").write_bytes(content)
        made = folder / "made.wasm"
        command = [tool, "--quiet", "-d", str(HERE / "wit"), "-w", "program", "--full-names", "componentize"]
        command += ["pie_entry", "-p", str(folder), "-o", str(made)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
        if done.returncode != 0:
            said = (done.stdout + done.stderr).partition("Stack backtrace:")[0]
            raise SystemExit(f"[build] componentize-py failed with {done.returncode}:\n{said[-4000:]}")
        out.write_bytes(immortals.make_immortal(made.read_bytes()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    build(Path(sys.argv[1]), Path(sys.argv[2]))

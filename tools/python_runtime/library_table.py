"""Compiles Python's standard library with the Python that will load it.

componentize-py runs this module inside of WebAssembly, where that Python and its library are. The
only way out of there is an exception's text, so the table (sdk/python/pie_runtime/library.py has
its form) leaves in one, between MARKs.
"""

import base64
import marshal
import os
import zlib

from wit_world import exports

MARK = "=====library====="
ROOT = "/python"
# What cannot work here (no windows, processes, machine code), and tests.
LEFT_OUT = {
    "__pycache__", "__hello__", "__phello__", "antigravity", "ctypes", "curses", "ensurepip", "idlelib",
    "multiprocessing", "pydoc_data", "site-packages", "test", "tests", "this", "tkinter", "turtle",
    "turtledemo", "venv",
}  # fmt: skip


class InferletCoreRun(exports.InferletCoreRun):
    """What the world asks for; never called."""

    def run(self) -> None:
        """Nothing."""


def table() -> dict[str, tuple[bool, str, bytes]]:
    """All modules of the library, compiled."""
    found: dict[str, tuple[bool, str, bytes]] = {}
    pending = [(ROOT, "")]
    while pending:
        folder, package = pending.pop()
        for entry in sorted(os.listdir(folder)):
            path = f"{folder}/{entry}"
            stem = entry.removesuffix(".py")
            if stem in LEFT_OUT:
                continue
            is_package = stem == entry and os.path.exists(f"{path}/__init__.py")
            if is_package:
                pending.append((path, f"{package}{stem}."))
                path += "/__init__.py"
            elif stem == entry or stem == "__init__":
                continue
            with open(path, "rb") as file:
                code = compile(file.read(), path, "exec", dont_inherit=True)
            found[f"{package}{stem}"] = (is_package, path, zlib.compress(marshal.dumps(code), 9))
    return found


raise Exception(MARK + base64.b85encode(marshal.dumps(table())).decode() + MARK)

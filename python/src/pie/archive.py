"""Python programs as the server takes them: ZIPs that are equal for equal files."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

BYTES_MAX = 64 << 20
"""The largest program of Python files that a server takes."""

_ENTRY = "__main__.py"
# APPNOTE.TXT 6.3, sections 4.3 and 4.4: stored, names in UTF-8, at midnight of 1980-01-01.
_COMMON = struct.Struct("<5H3I2H")
_VERSION = 10
_MADE_BY_UNIX = 3 << 8
_NAMES_ARE_UTF8 = 1 << 11
_DATE = 1 << 5 | 1
_MODE = 0o100644 << 16
_FILES_MAX = 0xFFFF


def make_archive(files: Mapping[str, bytes]) -> bytes:
    """A ZIP of these files, by their paths in it: stored, dated 1980-01-01, sorted by name."""
    if len(files) > _FILES_MAX:
        raise ValueError(f"[program] got {len(files)} files, expected at most {_FILES_MAX}")
    size = sum(map(len, files.values()))
    if size > BYTES_MAX:
        raise ValueError(f"[program] got {size} bytes, expected at most {BYTES_MAX} in one program")
    archive, directory = bytearray(), bytearray()
    for name, content in sorted((name.encode(), content) for name, content in files.items()):
        common = _COMMON.pack(
            _VERSION, _NAMES_ARE_UTF8, 0, 0, _DATE, zlib.crc32(content), len(content), len(content),
            len(name), 0,
        )  # fmt: skip
        directory += b"PK\1\2" + struct.pack("<H", _MADE_BY_UNIX | _VERSION) + common
        directory += struct.pack("<3H2I", 0, 0, 0, _MODE, len(archive)) + name
        archive += b"PK\3\4" + common + name + content
    count = len(files)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(archive), 0)
    return bytes(archive + directory + end)


def is_python(path: Path) -> bool:
    """Whether a path is to be made a ZIP of: a Python file or a folder."""
    return path.is_dir() or path.suffix == ".py"


def archive_of(path: Path) -> bytes:
    """The program of a Python file, or of a folder with ``__main__.py`` or one Python file in it.

    Of a folder all files but those whose names begin with a dot, and ``__pycache__``.
    """
    if not path.is_dir():
        return make_archive({path.name: path.read_bytes()})
    files = {}
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not _is_left_out(name)]
        for name in names:
            file = Path(folder, name)
            if not _is_left_out(name) and file.is_file():
                files[file.relative_to(path).as_posix()] = file.read_bytes()
    top = sorted(name for name in files if "/" not in name and name.endswith(".py"))
    if _ENTRY not in files and len(top) != 1:
        found = ", ".join(top) or "no Python file"
        raise ValueError(f"[program] got {found} in {path}, expected {_ENTRY} or one Python file")
    return make_archive(files)


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"

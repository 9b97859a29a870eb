"""The standard library beyond the modules that are in the snapshot.

There is no file system. The rest of the library is a table of compiled modules (`library.bin`,
made by tools/python_runtime.py), which a finder of the import system reads.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import marshal
import sys
import types
import zlib
from collections.abc import Sequence

Table = dict[str, tuple[bool, str, bytes]]
"""By the module's name: whether it is a package, its file, its code (marshal, zlib)."""


class LibraryFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules of the table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module, if the table has it."""
        entry = self._table.get(name)
        if entry is None:
            return None
        is_package, file, _ = entry
        spec = importlib.util.spec_from_loader(name, self, origin=file, is_package=is_package)
        if spec is not None:
            spec.has_location = True
        return spec

    def get_code(self, fullname: str) -> types.CodeType:
        """Its compiled code."""
        code: types.CodeType = marshal.loads(zlib.decompress(self._table[fullname][2]))
        return code

    def is_package(self, fullname: str) -> bool:
        """Whether it has modules below it."""
        return self._table[fullname][0]

    def get_source(self, fullname: str) -> str | None:
        """None: the table has code alone."""
        return None


def install(path: str) -> None:
    """Takes the table of a file; what finds modules in files goes, for there are none."""
    with open(path, "rb") as file:
        table: Table = marshal.loads(file.read())
    kept = [
        finder for finder in sys.meta_path
        if finder in (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter)
    ]  # fmt: skip
    sys.meta_path[:] = [*kept, LibraryFinder(table)]
    sys.path_importer_cache.clear()
    sys.path.clear()

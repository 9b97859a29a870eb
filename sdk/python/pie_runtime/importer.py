"""The files of a program, and the import system over them.

A program is a ZIP. Its entry is `__main__.py`, or else the one Python file at its top. Modules
and packages beside it are imported from memory, then those of pure-Python wheels under `wheels/`.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import io
import linecache
import marshal
import sys
import types
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from componentize_py_types import Err
from wit_world.imports import pie_program_cache_0_1_0 as cache

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder

ENTRY = "__main__.py"
_WHEELS = "wheels/"
_KEPT_BYTES_MIN = 2 << 10
"""Of a file whose code is kept for the program's next instance: a shorter one is compiled as fast."""
_BINARY_SUFFIXES = (".so", ".pyd", ".dylib")


class Archive(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Modules of one ZIP. Paths inside of it are shown behind `prefix`."""

    def __init__(self, data: bytes, prefix: str, what: str) -> None:
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ImportError(f"[{what}] got bytes that are no ZIP ({error}), expected a ZIP of Python files") from None
        self.names = set(self.zip.namelist())
        self._prefix = prefix

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        try:
            return self.zip.read(name)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ImportError(f"[{self._prefix}{name}] got a file that cannot be unpacked: {error}") from None

    def _file_of(self, module: str) -> str | None:
        base = module.replace(".", "/")
        for name in (base + "/__init__.py", base + ".py"):
            if name in self.names:
                return name
        return None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module, if the ZIP has it; a folder of modules is a package, too."""
        file = self._file_of(name)
        folder = name.replace(".", "/") + "/"
        if file is not None:
            spec = importlib.util.spec_from_loader(
                name, self, origin=self._prefix + file, is_package=file.endswith("/__init__.py")
            )
            if spec is not None:
                spec.has_location = True
            return spec
        if any(other.startswith(folder) and other.endswith(".py") for other in self.names):
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [self._prefix + folder]
            return spec
        self._refuse_binary(name)
        return None

    def _refuse_binary(self, module: str) -> None:
        base = module.replace(".", "/")
        for name in self.names:
            if name.startswith(base + ".") and name.endswith(_BINARY_SUFFIXES):
                raise ImportError(
                    f"[{module}] got machine code ({self._prefix}{name}), expected Python: programs run in WebAssembly"
                )

    def _known_file(self, module: str) -> str:
        file = self._file_of(module)
        if file is None:
            raise ImportError(f"no module named {module!r}", name=module)
        return file

    def get_source(self, fullname: str) -> str:
        """Its text."""
        return importlib.util.decode_source(self.read(self._known_file(fullname)))

    def get_code(self, fullname: str) -> types.CodeType:
        """Compiles it; tracebacks will show its lines."""
        file = self._known_file(fullname)
        return compile_file(self.read(file), self._prefix + file)

    def is_package(self, fullname: str) -> bool:
        """Whether it has modules below it."""
        return self._known_file(fullname).endswith("/__init__.py")

    def get_data(self, path: str) -> bytes:
        """A file beside the modules, by its shown path."""
        name = path.removeprefix(self._prefix)
        if name not in self.names:
            raise OSError(f"no file {path!r} in the program")
        return self.read(name)

    def get_resource_reader(self, fullname: str) -> Any:
        """For importlib.resources."""
        return _Resources(zipfile.Path(self.zip, self._known_file(fullname).rpartition("/")[0] + "/"))

    def distributions(self, name: str | None) -> Iterator[Distribution]:
        """What importlib.metadata says of the packages in the ZIP."""
        from importlib.metadata import PathDistribution, Prepared  # type: ignore[attr-defined]

        wanted = Prepared(name) if name else None
        folders = {n.partition("/")[0] for n in self.names if n.partition("/")[0].endswith(".dist-info")}
        for folder in sorted(folders):
            if wanted is None or Prepared.normalize(folder.partition("-")[0]) == wanted.normalized:
                yield PathDistribution(zipfile.Path(self.zip, folder + "/"))

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """The same, as the import system asks for it."""
        return self.distributions(context.name)


class _Resources:
    """Files beside a package."""

    def __init__(self, folder: zipfile.Path) -> None:
        self._folder = folder

    def files(self) -> zipfile.Path:
        """The package's folder."""
        return self._folder


class _Wheels(importlib.abc.MetaPathFinder):
    """The wheels of a program, opened when the first module is looked for in them."""

    def __init__(self, program: Archive) -> None:
        self._program = program
        self._names = sorted(n for n in program.names if n.startswith(_WHEELS) and n.endswith(".whl"))

    @functools.cached_property
    def _archives(self) -> list[Archive]:
        return [Archive(self._program.read(name), name + "/", name) for name in self._names]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module, from the first wheel that has it."""
        for archive in self._archives if self._names else []:
            if (spec := archive.find_spec(name)) is not None:
                return spec
        return None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        """What importlib.metadata says of the wheels."""
        for archive in self._archives:
            yield from archive.distributions(context.name)


def compile_file(data: bytes, shown: str, flags: int = 0) -> types.CodeType:
    """Compiles a file; `shown` is its name in tracebacks, which get its lines."""
    linecache.cache[shown] = (functools.partial(importlib.util.decode_source, data),)
    is_kept = len(data) >= _KEPT_BYTES_MIN
    key = f"code {flags} {shown}"
    kept = cache.load(key) if is_kept else None
    code: types.CodeType = marshal.loads(kept) if kept else compile(data, shown, "exec", flags, dont_inherit=True)
    if is_kept and not kept:
        try:
            cache.store(key, marshal.dumps(code))
        except Err:
            pass  # no room for it: the next instance compiles it again
    return code


def open_program(data: bytes) -> tuple[Archive, str]:
    """The program's files, made importable, and the name of its entry."""
    program = Archive(data, "", "program")
    entry = ENTRY
    if entry not in program.names:
        top = sorted(name for name in program.names if name.endswith(".py") and "/" not in name)
        if len(top) != 1:
            found = ", ".join(top) if top else "none"
            raise ImportError(f"[program] got {found} at the top of the ZIP, expected {ENTRY} or one Python file")
        entry = top[0]
    # Before the library: a program's own module hides one of the same name, as beside a script.
    frozen = sys.meta_path.index(importlib.machinery.FrozenImporter)
    sys.meta_path[frozen + 1 : frozen + 1] = [program, _Wheels(program)]
    return program, entry

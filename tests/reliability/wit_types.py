"""Functions of a WIT folder and the canonical ABI's layout of their types, from `wasm-tools ... --json`."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

WASI = Path(__file__).with_name("wasi.wit")
Type = Any
"""A primitive's name, or the number of a type in Wit.types."""

SIZES = {"bool": 1, "u8": 1, "s8": 1, "u16": 2, "s16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8,
         "f32": 4, "f64": 8, "char": 4}  # fmt: skip
FLAT = {"u64": "i64", "s64": "i64", "f32": "f32", "f64": "f64"}


@dataclasses.dataclass(frozen=True)
class Function:
    """One imported function."""

    interface: str  # with the package's version
    name: str
    params: tuple[tuple[str, Type], ...]
    result: Type | None

    @property
    def key(self) -> str:
        """As the server names it: without a version."""
        return f"{self.interface.split('@')[0]}#{self.name}"


def wasm_tools() -> Path:
    """The pinned wasm-tools."""
    command = [sys.executable, str(ROOT / "tools" / "deps.py"), "get", "wasm-tools"]
    folder = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return Path(folder) / "bin" / "wasm-tools"


def align_to(offset: int, alignment: int) -> int:
    """The next multiple of `alignment` from `offset`."""
    return -(-offset // alignment) * alignment


class Wit:
    """Every function of wit/ and of wasi.wit beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "wit"
        self.tools = wasm_tools()
        shutil.copytree(ROOT / "wit" / "deps", self.folder / "deps")
        (self.folder / "deps" / "pie-program").mkdir()
        for file in (ROOT / "wit").glob("*.wit"):
            shutil.copy(file, self.folder / "deps" / "pie-program")
        self._world([])
        text = subprocess.run([self.tools, "component", "wit", self.folder, "--json", "--all-features"],
                              check=True, capture_output=True).stdout  # fmt: skip
        data = json.loads(text)
        self.types: list[dict[str, Any]] = data["types"]
        self.resources: dict[int, tuple[str, str]] = {}  # type -> interface, name
        self.functions: dict[str, Function] = {}
        self.interfaces: list[str] = []
        for package in data["packages"]:
            for name, number in package["interfaces"].items():
                stem, _, version = package["name"].partition("@")
                interface = f"{stem}/{name}" + (f"@{version}" if version else "")
                self._take(interface, data["interfaces"][number])
        self._world(self.interfaces)

    def _take(self, interface: str, data: dict[str, Any]) -> None:
        if interface.split("@")[0] in ("inferlet:core/run", "wasi:http/incoming-handler"):
            return  # what programs export
        self.interfaces.append(interface)
        for name, number in data["types"].items():
            if self.types[number]["kind"] == "resource":
                self.resources[number] = interface, name
        for name, one in data["functions"].items():
            params = tuple((param["name"], param["type"]) for param in one["params"])
            function = Function(interface, name, params, one.get("result"))
            self.functions[function.key] = function

    def _world(self, interfaces: list[str]) -> None:
        imports = "".join(f"  import {interface};\n" for interface in interfaces)
        exports = {"runner": "inferlet:core/run", "handler": "wasi:http/incoming-handler@0.2.4"}
        worlds = "".join(f"world {name} {{\n{imports}  export {one};\n}}\n" for name, one in exports.items())
        (self.folder / "calls.wit").write_text(f"package test:calls;\n{worlds}{WASI.read_text()}")

    # ---- types

    def kind(self, type: Type) -> tuple[str, Any]:
        """What a type is made of, behind its names: ("u32", None), ("list", item), ..."""
        if isinstance(type, str):
            return type, None
        kind = self.types[type]["kind"]
        if kind == "resource":
            return "resource", type
        ((name, detail),) = kind.items()
        return self.kind(detail) if name == "type" else (name, detail)

    def resource(self, handle: dict[str, Type]) -> tuple[bool, int]:
        """Whether a handle owns, and its resource."""
        ((name, type),) = handle.items()
        return name == "own", self.kind(type)[1]

    def cases(self, name: str, detail: Any) -> list[tuple[str, Type | None]]:
        """The cases of an enum, variant, option or result, with what they carry."""
        match name:
            case "option":
                return [("none", None), ("some", detail)]
            case "result":
                return [("ok", detail["ok"]), ("err", detail["err"])]
            case "enum":
                return [(one["name"], None) for one in detail["cases"]]
        return [(one["name"], one["type"]) for one in detail["cases"]]

    def fields(self, name: str, detail: Any) -> list[Type]:
        """The types of a record's or a tuple's fields."""
        return [one["type"] for one in detail["fields"]] if name == "record" else list(detail["types"])

    def flat(self, type: Type) -> list[str]:
        """The core types that a value is passed as."""
        name, detail = self.kind(type)
        if name in SIZES:
            return [FLAT.get(name, "i32")]
        if name in ("string", "list"):
            return ["i32", "i32"]
        if name == "handle":
            return ["i32"]
        if name in ("record", "tuple"):
            return [one for field in self.fields(name, detail) for one in self.flat(field)]
        joined: list[str] = []
        for _, payload in self.cases(name, detail):
            for i, one in enumerate(self.flat(payload) if payload is not None else []):
                if i == len(joined):
                    joined.append(one)
                elif joined[i] != one:
                    joined[i] = "i32" if {joined[i], one} == {"i32", "f32"} else "i64"
        return ["i32", *joined]

    def layout(self, type: Type) -> tuple[int, int]:
        """Size and alignment in memory."""
        name, detail = self.kind(type)
        if name in SIZES:
            return SIZES[name], SIZES[name]
        if name in ("string", "list"):
            return 8, 4
        if name == "handle":
            return 4, 4
        if name in ("record", "tuple"):
            size, alignment = 0, 1
            for field in self.fields(name, detail):
                one = self.layout(field)
                size, alignment = align_to(size, one[1]) + one[0], max(alignment, one[1])
            return align_to(size, alignment), alignment
        payloads = [self.layout(one) for _, one in self.cases(name, detail) if one is not None]
        alignment = max([1, *(one[1] for one in payloads)])
        return align_to(alignment + max([0, *(one[0] for one in payloads)]), alignment), alignment

    def offsets(self, types: list[Type]) -> tuple[list[int], int]:
        """Where the fields of a record of these types lie, and where the last one ends."""
        found, end = [], 0
        for type in types:
            size, alignment = self.layout(type)
            found.append(align_to(end, alignment))
            end = found[-1] + size
        return found, end

    def payload_offset(self, type: Type) -> int:
        """Where in memory an option, result or variant has what its case carries."""
        return self.layout(type)[1]

    def in_memory(self, function: Function) -> bool:
        """Whether the parameters are handed over in memory: more than sixteen core values are."""
        return sum(len(self.flat(type)) for _, type in function.params) > 16

    def signature(self, function: Function) -> tuple[list[str], str | None]:
        """Core parameters (the result's place last, if it has one) and result."""
        params = [one for _, type in function.params for one in self.flat(type)]
        results = self.flat(function.result) if function.result is not None else []
        if self.in_memory(function):
            params = ["i32"]
        if len(results) > 1:
            return [*params, "i32"], None
        return params, results[0] if results else None

    # ---- components

    def component(self, wat: str, world: str) -> bytes:
        """The component of a core module in text form; world "runner" or "handler"."""
        core, module, made = (self.folder.parent / name for name in ("core.wat", "core.wasm", "made.wasm"))
        core.write_text(wat)
        for command in (["embed", self.folder, core, "--world", world, "-o", module],
                        ["new", module, "-o", made]):  # fmt: skip
            done = subprocess.run([self.tools, "component", *command], check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            if done.returncode != 0:
                raise RuntimeError(f"wasm-tools component {command[0]}: {done.stdout[-3000:]}")
        return made.read_bytes()


def interfaces_of_sources() -> set[str]:
    """The interfaces that the host's sources name in quotes."""
    text = "".join(path.read_text() for folder in ("host", "wasi")
                   for path in (ROOT / "src" / folder).glob("*.cc") if "_test" not in path.name)  # fmt: skip
    return set(re.findall(r'"((?:wasi|inferlet|pie):[a-z]+/[a-z-]+)"', text))

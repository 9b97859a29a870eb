#!/usr/bin/env python3
"""Makes sdk/component_type.o and sdk/http_component_type.o from wit/: the objects that tell
`wasm-tools component new` the types of a program's imports and exports. Every C++ program links one.

    tools/update_component_type.py           writes them; run this after a change in wit/
    tools/update_component_type.py --check   exit code 1 when one is stale against wit/
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = {
    "program": ROOT / "sdk" / "component_type.o",
    "http-program": ROOT / "sdk" / "http_component_type.o",
}
WASM_MODULE_HEADER = b"\0asm\x01\0\0\0"
WASM_COMPONENT_HEADER = b"\0asm\x0d\0\x01\0"
# Tool conventions for WebAssembly, "Linking": an object file is a module with a custom section
# "linking" whose first number is the version of the format, 2. Ours has no symbols.
LINKING_VERSION = b"\x02"


def leb128(number: int) -> bytes:
    """An unsigned number as WebAssembly writes it."""
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def custom_section(name: str, content: bytes) -> bytes:
    """A custom section: id 0, size, name, content."""
    body = leb128(len(name)) + name.encode() + content
    return b"\0" + leb128(len(body)) + body


def wasm_tools() -> Path:
    """The pinned wasm-tools."""
    command = [sys.executable, str(ROOT / "tools" / "deps.py"), "get", "wasm-tools"]
    folder = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return Path(folder) / "bin" / "wasm-tools"


def component_type_object(world_name: str) -> bytes:
    """The object's bytes: a module that holds nothing but the encoded world, which `component new`
    looks for in custom sections named component-type*."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.wasm"
        command = [str(wasm_tools()), "component", "embed", "--only-custom", "--world", world_name]
        subprocess.run([*command, str(ROOT / "wit"), "-o", str(world)], check=True)
        encoded = world.read_bytes()
    if not encoded.startswith(WASM_COMPONENT_HEADER):
        raise SystemExit(f"[component type] got {encoded[:8]!r}, expected a component's header")
    linking = custom_section("linking", LINKING_VERSION)
    return WASM_MODULE_HEADER + linking + custom_section(f"component-type:{world_name}", encoded)


def main(arguments: list[str]) -> int:
    """Writes or checks the objects."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for world_name, path in OBJECTS.items():
        made = component_type_object(world_name)
        if not arguments:
            path.write_bytes(made)
        elif path.read_bytes() != made:
            stale = 1
            print(
                f"[component type] {path.relative_to(ROOT)} does not match wit/: "
                "run tools/update_component_type.py and commit the result",
                file=sys.stderr,
            )
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

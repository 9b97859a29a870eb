"""Makes the objects of a Python snapshot immortal, in the component that has it (pie_runtime/immortal.py says why)."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator

MARK = b"=====immortal objects at====="  # as pie_runtime/immortal.py has it
# CPython 3.14, Include/refcount.h: of 32-bit platforms.
IMMORTAL = 5 << 28
COUNT_MAX = 1 << 30
# WebAssembly's binary format, and that of components.
_MODULE, _DATA, _CORE_MODULE, _COMPONENT = b"\0asm\1\0\0\0", 11, 1, 4
_I32_CONST, _END = 0x41, 0x0B


def _number(data: bytes | bytearray, at: int, *, signed: bool = False) -> tuple[int, int]:
    """A LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            if signed and byte & 0x40:
                value -= 1 << shift
            return value, at


def _sections(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(id, begin, end) of the sections behind a preamble."""
    at = begin + 8
    while at < end:
        kind = data[at]
        size, at = _number(data, at + 1)
        yield kind, at, at + size
        at += size


def _modules(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the core modules of a component are."""
    for kind, first, last in _sections(data, begin, end):
        if kind == _CORE_MODULE:
            yield first, last
        elif kind == _COMPONENT:
            yield from _modules(data, first, last)


def _segments(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(address, begin, end) of the active data segments at constant addresses of a module's first memory."""
    for kind, first, last in _sections(data, begin, end):
        if kind != _DATA:
            continue
        count, at = _number(data, first)
        for _ in range(count):
            flags, at = _number(data, at)
            address = None
            if flags == 0:  # of the first memory, at the value of an expression
                opcode = data[at]
                value, at = _number(data, at + 1, signed=True)
                if data[at] != _END:
                    raise ValueError("[snapshot] got a data segment at an address of an unknown form")
                address = value & 0xFFFF_FFFF if opcode == _I32_CONST else None
                at += 1
            size, at = _number(data, at)
            if address is not None:
                yield address, at, at + size
            at += size
        if at != last:
            raise ValueError("[snapshot] got a data section of an unknown form")


class _Memory:
    """The memory that a module begins with, as places in the file."""

    def __init__(self, data: bytearray, segments: list[tuple[int, int, int]]) -> None:
        self._data = data
        self._segments = sorted(segments)
        self._starts = [start for start, _, _ in self._segments]

    def place(self, address: int, size: int) -> int:
        """Where in the file this memory is."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0:
            start, begin, end = self._segments[index]
            if address + size <= start + end - begin:
                return begin + address - start
        raise ValueError(f"[snapshot] got an object at {address:#x}, where the snapshot has nothing")

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """So many numbers of 32 bits; what no segment has is zero."""
        size = 4 * count
        try:
            begin = self.place(address, size)
            found = bytes(self._data[begin : begin + size])
        except ValueError:
            found = b"".join(self._byte(address + i) for i in range(size))
        return struct.unpack(f"<{count}I", found)

    def _byte(self, address: int) -> bytes:
        try:
            begin = self.place(address, 1)
        except ValueError:
            return b"\0"
        return bytes(self._data[begin : begin + 1])

    def set_word(self, address: int, value: int) -> None:
        """Changes a number."""
        struct.pack_into("<I", self._data, self.place(address, 4), value)


def make_immortal(component: bytes) -> bytes:
    """The component with the objects of its snapshot immortal; ValueError where it has another form."""
    data = bytearray(component)
    for begin, end in _modules(data, 0, len(data)):
        segments = list(_segments(data, begin, end))
        # The code that makes the mark has it in its constants, too, without what follows it.
        for _, first, last in segments:
            at = data.find(MARK, first, last)
            while at >= 0:
                table, offset, count = struct.unpack_from("<3I", data, at + len(MARK))
                memory = _Memory(data, segments)
                if _is_table(memory, table, offset, count):
                    _set_counts(memory, memory.words(table + offset, count))
                    return bytes(data)
                at = data.find(MARK, at + 1, last)
    raise ValueError("[snapshot] got no list of immortal objects, expected one of pie_runtime/immortal.py")


def _is_table(memory: _Memory, table: int, offset: int, count: int) -> bool:
    """Whether a tuple of so many objects is there: a counter, a type, a length and more."""
    if offset % 4 or not 12 <= offset <= 32 or count == 0:
        return False
    return memory.words(table, 3)[2] == count


def _set_counts(memory: _Memory, objects: tuple[int, ...]) -> None:
    for address in objects:
        count, kind = memory.words(address, 2)
        if count == 0 or kind == 0:
            raise ValueError(f"[snapshot] got no object at {address:#x}, expected one of the list")
        if count < COUNT_MAX:
            memory.set_word(address, IMMORTAL)

"""What the snapshot holds lives forever: no instance has to count references to it.

A counter is a write, and a page that is written is no longer shared with the other instances. CPython
leaves the counters of immortal objects alone, but says of its own objects only that they are such. So the
objects are collected here, and what makes the component (sdk/python/immortals.py) finds the list in the
snapshot and sets their counters.
"""

from __future__ import annotations

import gc
import struct
import types

MARK = b"=====immortal objects at====="  # as immortals.py has it
_CODE_PARTS = ("co_consts", "co_exceptiontable", "co_filename", "co_linetable", "co_name", "co_names", "co_qualname")


def _parts(value: object) -> list[object]:
    """What an object refers to."""
    if isinstance(value, types.CodeType):
        return [getattr(value, name) for name in _CODE_PARTS]
    return gc.get_referents(value)


def collect() -> tuple[tuple[object, ...], bytes]:
    """All objects there are, to be held until the snapshot is made, and where they are."""
    gc.collect()
    found: dict[int, object] = {id(one): one for one in gc.get_objects()}
    waiting = list(found.values())
    while waiting:
        for part in _parts(waiting.pop()):
            if id(part) not in found:
                found[id(part)] = part
                waiting.append(part)
    for own in (found, waiting):
        found.pop(id(own), None)
    held = tuple(found.values())
    return held, MARK + struct.pack("<3I", id(held), tuple.__basicsize__, len(held))

"""What the units of both sides read: by numbers, so that no run reads what another has read."""

from __future__ import annotations

import json
from typing import Any

_MASK = (1 << 64) - 1
_TOKEN_MIN, _TOKEN_COUNT = 1000, 39_000
_NAMES = ["width", "height", "weight", "volume", "speed", "price", "colour", "state"]


def tokens(number: int, count: int) -> list[int]:
    """The first `count` tokens of text `number`; unit.h makes the same."""
    found = []
    for i in range(count):
        bits = ((number << 20) + i + 0x9E3779B97F4A7C15) & _MASK  # splitmix64
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        found.append(_TOKEN_MIN + (bits ^ (bits >> 31)) % _TOKEN_COUNT)
    return found


def code(number: int) -> str:
    """A file of about 300 tokens, none like another, and the beginning of an edited copy of it."""
    names = [f"{_NAMES[(number + i) % len(_NAMES)]}_{(number * 7 + i) % 90 + 10}" for i in range(6)]
    lines = [f"class Record{number % 1000}:", "    def __init__(self, source):"]
    lines += [f"        self.{name} = source['{name}']" for name in names]
    for i, name in enumerate(names):
        lines += ["", f"    def set_{name}(self, value):"]
        lines += [f"        if value > {10 + 7 * i}:", f"            raise ValueError('{name}')"]
        lines += [f"        self.{name} = value"]
    text = "\n".join(lines)
    return f"# record.py\n{text}\n\n# record.py, once more, with a method at its end\n{lines[0]}\n"


_CITY = {"enum": ["London", "Paris", "Berlin", "Madrid", "Rome"]}
_ARGUMENTS = {
    "passenger": {"type": "string", "pattern": "^[a-z]{4,5} [a-z]{5,6}$"},
    "from": _CITY,
    "to": _CITY,
    "seats": {"type": "integer", "minimum": 1, "maximum": 9},
    "class": {"enum": ["economy", "business", "first"]},
    "remark": {"type": "string", "pattern": "^[a-z ]{20,24}$"},
}


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def call_schema() -> str:
    """A function call of about 64 tokens, whatever the model writes into it.

    The last keyword is our grammar's: no more than one space between two words, of which the peer's grammar
    takes few by itself.
    """
    names = {"enum": ["book_flight", "book_train", "book_hotel"]}
    call = _object({"name": names, "arguments": _object(_ARGUMENTS)})
    return json.dumps(call | {"x-guidance": {"whitespace_flexible": False}})

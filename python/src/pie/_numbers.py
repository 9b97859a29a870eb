"""Numbers that callers give: refused at once when they are none, or out of their range."""

from __future__ import annotations

import math
from numbers import Real

SECONDS_MAX = 1e8
"""Some three years: more is a mistake."""


def seconds(name: str, value: float) -> float:
    """A time to wait, of at least 0 seconds.

    Raises ValueError for what is negative, too large, infinite or not a number.
    """
    if not isinstance(value, Real):
        raise TypeError(f"[{name}] got {value!r}, expected a number of seconds")
    given = float(value)
    if not (math.isfinite(given) and 0 <= given <= SECONDS_MAX):
        raise ValueError(f"[{name}] got {value!r}, expected seconds from 0 to {SECONDS_MAX:.0f}")
    return given


def whole(name: str, value: int, least: int, most: int) -> int:
    """A whole number of a range; ValueError for any other."""
    if not isinstance(value, Real):
        raise TypeError(f"[{name}] got {value!r}, expected a whole number")
    given = float(value)
    if not (math.isfinite(given) and given == int(given) and least <= given <= most):
        raise ValueError(f"[{name}] got {value!r}, expected {least} to {most}")
    return int(given)

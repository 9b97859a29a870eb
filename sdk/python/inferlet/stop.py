"""When an answer ends: `Stop.max_len(256) | Stop.end_of_turn()`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from inferlet import _host as host
from inferlet.model import Model, default_model


class Verdict(NamedTuple):
    """What a stop condition says of the tokens so far."""

    stop: bool
    withheld: int
    """How many of the last tokens are no part of the answer: the whole end when `stop`, else what may
    yet become one."""


_GO_ON = Verdict(False, 0)


@dataclass(frozen=True)
class Stop:
    """Conditions, joined by `|` (whichever comes first) and `&` (both at the same token).

    One without conditions never ends an answer.
    """

    tokens_max: int = sys.maxsize
    sequences: tuple[tuple[int, ...], ...] = ()
    rule: Callable[[Sequence[int]], Verdict] | None = None
    _single: frozenset[int] = field(default=frozenset(), repr=False)

    @staticmethod
    def max_len(count: int) -> Stop:
        """After so many tokens."""
        return Stop(tokens_max=host.whole("max_len", count, 0, sys.maxsize))

    @staticmethod
    def ends_with_any(sequences: Iterable[Iterable[int]]) -> Stop:
        """As soon as the tokens end with one of these sequences, which is no part of the answer."""
        found = tuple(tuple(host.tokens("ends_with_any", one)) for one in sequences)
        found = tuple(one for one in found if one)
        return Stop(sequences=found, _single=frozenset(one[0] for one in found if len(one) == 1))

    @staticmethod
    def end_of_turn(model: Model | None = None) -> Stop:
        """At one of the tokens by which the model ends its turn."""
        return Stop.ends_with_any((model or default_model()).stop_sequences)

    @staticmethod
    def when(condition: Callable[[Sequence[int]], bool]) -> Stop:
        """When the function says so of the tokens generated so far, all of which are in the answer."""
        if not callable(condition):
            raise TypeError(f"[when] got {type(condition).__name__}, expected a function")
        return Stop(rule=lambda generated: Verdict(bool(condition(generated)), 0))

    def __or__(self, other: Stop) -> Stop:
        if not isinstance(other, Stop):
            return NotImplemented
        return Stop(
            min(self.tokens_max, other.tokens_max),
            self.sequences + other.sequences,
            _either(self.rule, other.rule),
            self._single | other._single,
        )

    def __and__(self, other: Stop) -> Stop:
        if not isinstance(other, Stop):
            return NotImplemented

        def both(generated: Sequence[int]) -> Verdict:
            first, second = self.check(generated), other.check(generated)
            return Verdict(first.stop and second.stop, max(first.withheld, second.withheld))

        return Stop(rule=both)

    def check(self, generated: Sequence[int]) -> Verdict:
        """The verdict on the tokens generated so far."""
        withheld = 0
        if generated and generated[-1] in self._single:
            return Verdict(True, 1)
        for sequence in self.sequences:
            if len(sequence) == 1:
                continue
            length = _overlap(sequence, generated)
            if length == len(sequence):
                return Verdict(True, length)
            withheld = max(withheld, length)
        if self.rule is not None:
            verdict = self.rule(generated)
            if verdict.stop:
                return verdict
            withheld = max(withheld, verdict.withheld)
        if len(generated) >= self.tokens_max:
            return Verdict(True, 0)
        return Verdict(False, withheld) if withheld else _GO_ON

    def limited(self, count: int) -> Stop:
        """The same, and after so many tokens at the latest."""
        return replace(self, tokens_max=min(self.tokens_max, count))


def _overlap(sequence: tuple[int, ...], generated: Sequence[int]) -> int:
    """The longest beginning of the sequence with which the tokens end."""
    for length in range(min(len(sequence), len(generated)), 0, -1):
        if tuple(generated[-length:]) == sequence[:length]:
            return length
    return 0


def _either(
    first: Callable[[Sequence[int]], Verdict] | None, second: Callable[[Sequence[int]], Verdict] | None
) -> Callable[[Sequence[int]], Verdict] | None:
    if first is None or second is None:
        return first or second

    def rule(generated: Sequence[int]) -> Verdict:
        one, two = first(generated), second(generated)
        if one.stop or two.stop:
            return one if one.stop else two
        return Verdict(False, max(one.withheld, two.withheld))

    return rule

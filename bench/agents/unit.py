"""What a unit of a workload is told on both sides."""

from __future__ import annotations

from dataclasses import dataclass

from agents import texts

Numbers = dict[str, int]
TEXTS_OF_A_UNIT = 1000  # numbers that a unit has for texts and seeds of its own


@dataclass(frozen=True)
class Unit:
    """One of the units that run at once."""

    index: int
    run: int  # no two of a session are equal

    @property
    def shared_text(self) -> int:
        """The number of the text that all units of a run begin with."""
        return self.run * 1000 * TEXTS_OF_A_UNIT

    @property
    def text(self) -> int:
        """The number of its own first text; the next ones are its own as well."""
        return self.shared_text + (self.index + 1) * TEXTS_OF_A_UNIT

    def shared(self, numbers: Numbers) -> list[int]:
        """The beginning that it has in common with the others."""
        return texts.tokens(self.shared_text, numbers.get("shared", 0))

    def beginning(self, numbers: Numbers) -> list[int]:
        """All that it reads at first."""
        return self.shared(numbers) + texts.tokens(self.text, numbers["prompt"])

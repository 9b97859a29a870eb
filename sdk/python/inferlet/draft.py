"""Drafts: guesses of the tokens that come next, which a step of the model verifies all at once."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from inferlet import _host as host


@dataclass(frozen=True)
class Draft:
    """A guess of the tokens that come next: a chain, or a tree whose branches are alternatives."""

    tokens: Sequence[int] = ()
    parents: Sequence[int] = ()
    """Of each token of a tree the one before it, by its index; -1 for the first tokens. A token comes after
    its parent, and what is most likely comes first: the branch 0, 1, 2, ... need not be computed again.
    Empty: a chain."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", host.tokens("draft", self.tokens))
        count, parents = len(self.tokens), list(self.parents)
        if parents and len(parents) != count:
            raise ValueError(f"[draft] got {len(parents)} parents, expected {count}, one for each token")
        for index, parent in enumerate(parents):
            if isinstance(parent, bool) or not isinstance(parent, int):
                raise TypeError(f"[draft] got a parent of {type(parent).__name__}, expected int")
            if not -1 <= parent < index:
                raise ValueError(
                    f"[draft] got the parent {parent} of token {index}, expected -1 or the index of an earlier one"
                )
        object.__setattr__(self, "parents", parents)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def is_tree(self) -> bool:
        """Whether it has branches."""
        return bool(self.parents)

    def parent(self, index: int) -> int:
        """The token before one of them; -1: it is a first one."""
        return self.parents[index] if self.parents else index - 1

    def path(self, index: int) -> list[int]:
        """The indices of the tokens from a first one to this one; none for -1."""
        path: list[int] = []
        while index >= 0:
            path.append(index)
            index = self.parent(index)
        return path[::-1]

    def child(self, index: int, token: int) -> int:
        """The one behind `index` (-1: a first one) that is this token; -1 when there is none."""
        for later in range(index + 1, len(self.tokens)):
            if self.parent(later) == index and self.tokens[later] == token:
                return later
        return -1

    def accepted(self, drawn: Sequence[int]) -> list[int]:
        """Which of its tokens were right, by what was drawn before it and behind each of its tokens."""
        path: list[int] = []
        node = self.child(-1, drawn[0])
        while node >= 0:
            path.append(node)
            node = self.child(node, drawn[node + 1])
        return path


class Drafter:
    """Makes drafts for `Context.generate`. What it guesses changes how fast an answer comes, and not the answer."""

    def draft(self, tokens: Sequence[int]) -> Draft | Awaitable[Draft]:
        """A draft of what follows these tokens; `async def` may be, too. An empty one: no guess."""
        raise NotImplementedError

    def learn(self, proposed: int, accepted: int) -> None:
        """How much of the last draft was right."""

    def see(self, drawn: Sequence[int]) -> None:
        """What was drawn at the last step, behind wrong guesses too: the token that comes next, then one
        behind each token of the draft."""


class PromptLookup(Drafter):
    """Guesses that what followed the same last tokens before will follow again.

    For answers that quote or change what the context holds. At most `draft_max` tokens, after the last
    `match` ones. The engine's own loop does it, too (`Drafting`); this one is for those that build on it.
    """

    def __init__(self, draft_max: int = 8, match: int = 3) -> None:
        self._draft_max = self._length = host.whole("draft_max", draft_max, 1, 1024)
        self._match = host.whole("match", match, 1, 1024)

    def draft(self, tokens: Sequence[int]) -> Draft:
        """What followed the latest place that ends alike."""
        match = self._match
        last = list(tokens[-match:])
        # The latest place is the likeliest to go on in the same way.
        for at in range(len(tokens) - match - 1, -1, -1):
            if tokens[at] == last[0] and list(tokens[at : at + match]) == last:
                return Draft(tokens[at + match : at + match + self._length])
        return Draft()

    def learn(self, proposed: int, accepted: int) -> None:
        """Longer drafts while they are right, shorter ones when they are not."""
        if proposed == 0:
            return
        if accepted == proposed:
            self._length = min(self._draft_max, self._length * 2)
        else:
            self._length = max(1, min(self._length, accepted + 1))

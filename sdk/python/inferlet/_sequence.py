"""A sequence of tokens and its KV pages: what a context computes, apart from what the text means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inferlet import _host as host
from inferlet._pages import Page, Pages
from inferlet.draft import Draft
from inferlet.model import Model

_NO_DRAFT = Draft()


def _extend(runs: list[int], masked: int) -> None:
    """Appends a slot to run lengths, attend first."""
    if len(runs) % 2 == masked:
        runs.append(0)
    runs[-1] += 1


class Sequence:
    """Tokens in slots, the first `computed` of them in the pages; those behind are pending.

    One call at a time: a second one, while a step is under way, is an error.
    """

    def __init__(self, model: Model, pages: Pages) -> None:
        self.model = model
        self.pool = pages
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.masked = bytearray()
        self.computed = 0
        self.pages: list[Page] = []
        self.next_position = 0
        self.is_busy = False
        self._pass = host.forward.create_forward_pass(pages.queue)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def queue(self) -> host.common.Queue:
        """The line of commands that its passes go to."""
        return self.pool.queue

    def check_idle(self) -> None:
        """Refuses a call while a step is under way."""
        if self.is_busy:
            raise host.InferletError("[context] got a call while a step is under way, expected its end first")

    @contextmanager
    def step(self) -> Iterator[None]:
        """While a step is under way."""
        self.check_idle()
        self.is_busy = True
        try:
            yield
        finally:
            self.is_busy = False

    def append(self, tokens: list[int]) -> None:
        """Tokens that are pending now."""
        self.tokens += tokens
        self.positions += range(self.next_position, self.next_position + len(tokens))
        self.masked.extend(bytes(len(tokens)))
        self.next_position += len(tokens)

    def release(self) -> None:
        """Gives back all pages; the sequence is empty."""
        pages, self.pages = self.pages, []
        self.pool.give_back(pages)
        self.tokens, self.positions, self.masked, self.computed = [], [], bytearray(), 0

    def trim_pages(self) -> None:
        """Gives back the pages that hold no computed token."""
        count = -(-self.computed // self.pool.size)
        if count < len(self.pages):
            self.pool.give_back(self.pages[count:])
            del self.pages[count:]

    def _uncompute(self, count: int) -> None:
        """Makes all but the first `count` tokens pending again; more of them where others may read the page."""
        if count % self.pool.size and self.pages[count // self.pool.size].users > 1:
            count -= count % self.pool.size
        self.computed = count
        self.trim_pages()

    def keep(self, count: int) -> None:
        """Forgets all tokens but the first `count`."""
        if count >= len(self.tokens):
            return
        del self.tokens[count:], self.positions[count:], self.masked[count:]
        if count < self.computed:
            self._uncompute(count)
        self.next_position = self.positions[-1] + 1 if self.positions else 0

    def hold_last(self) -> None:
        """Makes the last token pending when nothing is: a step needs one."""
        if self.tokens and self.computed == len(self.tokens):
            self._uncompute(self.computed - 1)
        if not self.tokens:
            raise host.InferletError("[step] got an empty context, expected a token: fill one in")

    def take_pages(self, slots: int) -> None:
        """Pages for so many slots."""
        missing = -(-slots // self.pool.size) - len(self.pages)
        if missing > 0:
            self.pages += self.pool.take(missing)

    def page_numbers(self) -> list[int]:
        """As the host takes them."""
        return [page.number for page in self.pages]

    def runs(self, end: int) -> list[int]:
        """What later tokens attend to of the first `end` slots: run lengths, attend first."""
        runs: list[int] = [0]
        for masked in self.masked[:end]:
            _extend(runs, masked)
        return runs

    def _mask_rows(self, draft: Draft) -> list[list[int]]:
        """By pending token; those of the draft are the last ones, and attend to their own branch of it."""
        rows = []
        drafted = len(self.tokens) - len(draft)
        for slot in range(self.computed, drafted):
            runs = self.runs(slot)
            _extend(runs, 0)  # a token always attends to itself
            rows.append(runs)
        before = self.runs(drafted)
        for index in range(len(draft)):
            runs, branch = before[:], set(draft.path(index))
            for other in range(index + 1):
                _extend(runs, other not in branch)
            rows.append(runs)
        return rows

    @property
    def forward_pass(self) -> host.forward.ForwardPass:
        """The next pass, for what it is asked besides the tokens."""
        return self._pass

    def reset_pass(self) -> None:
        """Forgets what the next pass was asked for."""
        self._pass = host.forward.create_forward_pass(self.queue)

    def submit(self, draft: Draft = _NO_DRAFT) -> host.forward.ForwardPassResult | None:
        """Hands what is pending to the model, and a draft behind it; a result if anything was asked for.

        Of the draft `keep_draft` keeps what was right.
        """
        self.tokens += draft.tokens
        self.positions += (self.next_position + len(draft.path(index)) - 1 for index in range(len(draft)))
        self.masked.extend(bytes(len(draft)))
        total = len(self.tokens)
        self.take_pages(total)
        last = total - (len(self.pages) - 1) * self.pool.size
        first = self.computed
        host.forward.kv_cache(self._pass, self.page_numbers(), last)
        host.forward.input_tokens(self._pass, self.tokens[first:], self.positions[first:])
        if any(self.masked) or draft.is_tree:
            host.forward.attention_mask(self._pass, self._mask_rows(draft))
        result = host.call(host.logits.execute, self._pass)
        self.computed = total
        return result

    def keep_draft(self, draft: Draft, accepted: list[int]) -> int:
        """Keeps of the draft of the last pass the accepted branch, as far as it lies where the text goes on."""
        kept = next((i for i, index in enumerate(accepted) if i != index), len(accepted))
        if len(draft):
            self.keep(len(self.tokens) - len(draft) + kept)
            self.next_position = self.positions[-1] + 1
        return kept

    def fork_into(self, child: Sequence) -> None:
        """Lets an empty sequence go on from here: full pages are shared, the rest is pending there."""
        holds_last = self.computed == len(self.tokens) and self.computed > 0
        shared = (self.computed - holds_last) // self.pool.size
        child.pages = self.pages[:shared]
        for page in child.pages:
            page.users += 1
        child.computed = shared * self.pool.size
        child.tokens, child.positions = self.tokens[:], self.positions[:]
        child.masked = self.masked[:]
        child.next_position = self.next_position

    def adopt(self, numbers: list[int], tokens: list[int]) -> None:
        """Takes pages over that hold these tokens."""
        self.pages = [Page(number) for number in numbers]
        self.append(tokens)
        self.computed = len(tokens)

    def drop_masked_pages(self) -> int:
        """Gives back full pages whose tokens are all masked; how many. Tokens keep their positions."""
        size = self.pool.size
        gone = [
            page for page in range(self.computed // size)
            if all(self.masked[page * size : (page + 1) * size])
        ]  # fmt: skip
        for page in reversed(gone):
            slots = slice(page * size, (page + 1) * size)
            del self.tokens[slots], self.positions[slots], self.masked[slots]
            self.pool.give_back([self.pages.pop(page)])
        self.computed -= len(gone) * size
        return len(gone)

    def check_whole(self, what: str) -> None:
        """Refuses what has no computed token, or masked or dropped ones."""
        if not self.computed:
            raise host.InferletError(f"[{what}] got an empty context, expected at least one token")
        if any(self.masked) or self.positions != list(range(len(self.tokens))):
            raise host.InferletError(f"[{what}] got a context with masked or dropped tokens, expected a whole one")

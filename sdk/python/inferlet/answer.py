"""Answers: the engine goes from token to token by itself where it can, else the program does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferlet import _host as host
from inferlet.draft import Draft, Drafter
from inferlet.grammar import Matcher
from inferlet.sampler import Sampler
from inferlet.stop import Stop, Verdict
from inferlet.text_stream import TextStream
from pie_runtime.event_loop import running_loop

if TYPE_CHECKING:
    from inferlet.context import Context

# So many tokens the engine goes on by itself; the pages for them are taken before.
_TOKENS_AHEAD = 128
# What pie:decode takes.
_STOPS_MAX = 64
_STOP_TEXT_BYTES_MAX = 1024


@dataclass(frozen=True)
class Drafting:
    """Tokens that the engine looks up in the text and computes along; they change none of the result."""

    tokens_max: int = 16
    """In one pass; 0: none."""
    match_min: int = 3
    """Equal tokens that a look-up needs."""
    sources: Sequence[Sequence[int]] = ()
    """Texts to look in besides the context: what is edited, quoted, answered from."""

    def for_engine(self) -> host.decode.Drafting:
        """As the host takes it."""
        return host.decode.Drafting(
            host.whole("tokens_max", self.tokens_max, 0, 64),
            host.whole("match_min", self.match_min, 1, 32),
            [host.tokens("sources", source) for source in self.sources],
        )


class Answer:
    """An answer of the model, on its way: `await` it, or take its pieces with `async for`.

    Its context is its own until it has ended, is closed, or nobody has it any more. Tokens that came
    before it was cancelled stay in the context.
    """

    def __init__(
        self,
        context: Context,
        sampler: Sampler,
        stop: Stop,
        matcher: Matcher | None,
        on_text: Callable[[str], object] | None,
        drafting: Drafting,
        log_probabilities: bool,
        drafter: Drafter | None = None,
    ) -> None:
        self._context = context
        self._drafter = drafter
        self._sequence = context._sequence
        self._sampler, self._stop, self._matcher = sampler, stop, matcher
        self._on_text, self._drafting = on_text, drafting.for_engine()
        self._has_log_probabilities = log_probabilities
        self._stream = TextStream(context.model.tokenizer)
        self._shown = 0
        self._pieces: list[str] = []
        self._run: host.decode.Generation | None = None
        self._surprise_max: float | None = None
        self._pollable: Any = None
        self._run_tokens = 0
        self._verdict = Verdict(False, 0)
        self.is_over = False
        """Whether all of it is there."""
        self.tokens: list[int] = []
        """What was generated, the end of the turn included."""
        self.log_probabilities: list[float] = []
        """Where they were asked for: what the model said of each of these tokens (none of those that a
        function chose)."""
        self.text = ""
        """What of it is text for certain."""

    def __await__(self) -> Generator[Any, Any, str]:
        return self._whole().__await__()

    async def _whole(self) -> str:
        wake = 1 if self._on_text else _TOKENS_AHEAD
        while not self.is_over:
            await self._advance(wake)
        return self.text

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> str:
        while not self._pieces and not self.is_over:
            await self._advance(1)
        if not self._pieces:
            raise StopAsyncIteration
        piece = "".join(self._pieces)
        self._pieces.clear()
        return piece

    def close(self) -> None:
        """Ends it with what there is; the context is free. Fine to repeat."""
        self._end_run()

    def __del__(self) -> None:
        if getattr(self, "_run", None) is not None:
            self._end_run()

    async def _advance(self, wake: int) -> None:
        """Waits for more of it."""
        if self._run is None:
            if not self.tokens and self._stop.check(self.tokens).stop:
                self._finish()
                return
            self._context._write(opens_answer=True)
            if self._drafter is not None:
                await self._advance_by_draft(self._drafter)
                return
            self._sequence.hold_last()
            request = self._request(wake)
            if request is None:
                await self._advance_by_step()
                return
            self._begin_run(request)
        try:
            await running_loop().until_ready(self._pollable)
            self._take_from_run()
        except BaseException:
            self._end_run()
            raise

    async def _advance_by_step(self) -> None:
        token, log_probability = await self._context._step(
            self._sampler, self._matcher, details=self._has_log_probabilities
        )
        self._take([token], [] if log_probability is None else [log_probability])
        if self._verdict.stop or (self._matcher is not None and self._matcher.is_complete):
            self._finish()
        else:
            self._show()

    async def _advance_by_draft(self, drafter: Drafter) -> None:
        guess = drafter.draft(self._sequence.tokens[:])
        draft = await guess if inspect.isawaitable(guess) else guess
        if not isinstance(draft, Draft):
            raise TypeError(f"[drafter] got {type(draft).__name__}, expected Draft")
        drawn, rows = await self._context._draft_step(self._sampler, draft)
        drafter.see(rows)
        drafter.learn(len(draft), len(drawn) - 1)
        before = len(self.tokens)
        self._take(drawn, [])
        self._context._take_back(len(drawn) - (len(self.tokens) - before))
        if self._verdict.stop:
            self._finish()
        else:
            self._show()

    def _request(self, wake: int) -> host.decode.Request | None:
        """The next tokens in the words of the engine's loop; none where it has none for what is asked."""
        sequence, decode = self._sequence, host.decode
        computed = sequence.computed
        sampling = self._sampler.for_engine(self._surprise_max)
        if self._stop.rule is not None or sampling is None or any(sequence.masked[computed:]):
            return None
        room = max(self._context.room, 1)
        count = min(self._stop.tokens_max - len(self.tokens), _TOKENS_AHEAD, room)
        attention: Any = decode.Attention_Everything()
        if any(sequence.masked):
            attention = decode.Attention_Runs(sequence.runs(computed))
        stop_tokens = [one[0] for one in self._stop.sequences if len(one) == 1][:_STOPS_MAX]
        # What it ends at is looked at again here; where it does not know an end, it only ends later.
        texts = [self._context.model.tokenizer.detokenize(one) for one in self._stop.sequences if len(one) > 1]
        texts = [text for text in texts if text and len(text.encode()) <= _STOP_TEXT_BYTES_MAX][:_STOPS_MAX]
        return decode.Request(
            [], computed, sequence.tokens[:computed], sequence.tokens[computed:], sequence.positions[computed],
            attention, sampling, self._drafting, stop_tokens, texts, count, self._has_log_probabilities, 0,
            min(wake, count),
        )  # fmt: skip

    def _begin_run(self, request: host.decode.Request) -> None:
        sequence = self._sequence
        sequence.take_pages(len(sequence) + request.tokens_max)
        request.pages = sequence.page_numbers()
        generation = host.decode.Generation
        try:
            if self._matcher is None:
                self._run = host.call(generation.start, sequence.queue, request)
            else:
                self._run = host.call(generation.start_constrained, sequence.queue, request, self._matcher._handle)
        except BaseException:
            sequence.trim_pages()
            raise
        self._pollable = self._run.pollable()
        self._run_tokens = 0
        sequence.computed = len(sequence)
        sequence.is_busy = True

    def _take_from_run(self) -> None:
        run = self._run
        assert run is not None
        end = run.end()
        piece = run.read()
        self._take(piece.tokens, piece.log_probabilities)
        self._run_tokens += len(piece.tokens)
        if piece.surprise_max:
            self._surprise_max = piece.surprise_max[-1]
        reason = host.decode.Reason
        if self._verdict.stop or (end is not None and end.reason == reason.COMPLETE):
            self._finish()
            return
        self._show()
        if end is None:
            return
        if end.reason == reason.FAILED or self._run_tokens == 0:
            raise host.InferletError(f"[generate] the engine gave no more tokens: {end.message or end.reason.name}")
        self._end_run()

    def _take(self, tokens: list[int], log_probabilities: list[float]) -> None:
        """Takes tokens as far as the answer goes; those behind its end are nobody's."""
        count = 0
        for token in tokens:
            self.tokens.append(token)
            count += 1
            self._verdict = self._stop.check(self.tokens)
            if self._verdict.stop:
                break
        self.log_probabilities += log_probabilities[:count]
        if self._run is not None and count:
            self._sequence.append(tokens[:count])
            self._sequence.computed = len(self._sequence) - 1
            self._context._turns.generated(tokens[:count])
            if self._matcher is not None:
                text_count = count - (self._verdict.withheld if self._verdict.stop else 0)
                self._matcher.accept(tokens[: max(text_count, 0)])

    def _end_run(self) -> None:
        """The engine's loop ends; the context is free, and has the tokens that came."""
        run, self._run = self._run, None
        if run is None:
            return
        if not self._verdict.stop:
            run.cancel()
            rest = run.read()
            self._run = run
            try:
                self._take(rest.tokens, rest.log_probabilities)
            finally:
                self._run = None
        self._pollable.__exit__(None, None, None)
        run.__exit__(None, None, None)
        self._sequence.is_busy = False
        self._sequence.trim_pages()

    def _show(self, *, is_last: bool = False) -> None:
        until = max(len(self.tokens) - self._verdict.withheld, self._shown)
        piece = self._stream.push(self.tokens[self._shown : until])
        self._shown = until
        if is_last:
            piece += self._stream.finish()
        if piece:
            self.text += piece
            self._pieces.append(piece)
            if self._on_text is not None:
                self._on_text(piece)

    def _finish(self) -> None:
        self._end_run()
        self.is_over = True
        self._show(is_last=True)

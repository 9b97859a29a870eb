"""Contexts: text that the model reads and goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from inferlet import _host as host
from inferlet import kvs
from inferlet._pages import Pages
from inferlet._sequence import Sequence
from inferlet._turns import Turns
from inferlet.answer import Answer, Drafting
from inferlet.draft import Draft, Drafter
from inferlet.grammar import Grammar, Matcher
from inferlet.model import Model, default_model
from inferlet.sampler import Distribution, Sampler
from inferlet.stop import Stop
from pie_runtime.event_loop import ready

_KV_PAGE = 0
_Kind = TypeVar("_Kind")
_ANSWER_TOKENS = 256
_NAME_BYTES_MAX = 1 << 10


class Context:
    """A sequence of tokens and its KV pages.

    Tokens that are filled in wait ("pending") until `flush` or the next step computes them; turns of
    a conversation wait until then to be written by the model's chat template. One step at a time:
    give every task a context of its own, by `fork`. A step that is cancelled leaves its context as
    if it had not been asked for.
    """

    def __init__(self, model: Model | str | None = None, *, _pages: Pages | None = None) -> None:
        if isinstance(model, str):
            model = Model(model)
        elif model is not None and not isinstance(model, Model):
            raise TypeError(f"[model] got {type(model).__name__}, expected a Model or its name")
        self._model = model or default_model()
        pages = _pages or Pages(self._model._handle.create_queue(), self._model.kv_page_size)
        self._sequence = Sequence(self._model, pages)
        self._turns = Turns(self._sequence)

    @property
    def model(self) -> Model:
        """The model that reads it."""
        return self._model

    @property
    def tokens(self) -> list[int]:
        """All tokens, pending ones included (turns that wait are not tokens yet)."""
        return self._sequence.tokens[:]

    @property
    def text(self) -> str:
        """All tokens, as text."""
        return self._model.tokenizer.detokenize(self._sequence.tokens)

    def __len__(self) -> int:
        return len(self._sequence)

    @property
    def room(self) -> int:
        """Tokens until the model's context length; 0 beyond it."""
        return max(0, self._model.info.context_length - len(self))

    @property
    def kv_page_count(self) -> int:
        """How many pages it uses, shared ones included."""
        return len(self._sequence.pages)

    def fill(self, text: str) -> None:
        """Text as it is, special tokens included; it is part of the answer while the assistant answers.

        At the beginning of an empty context the token goes before it that the model expects there.
        """
        value = host.text("fill", text)
        self._write()
        self._fill(self._turns.tokens_at_end(value))

    def fill_tokens(self, tokens: Iterable[int]) -> None:
        """Tokens as they are: none is added."""
        ids = host.tokens("fill_tokens", tokens)
        if ids and max(ids) >= self._model.info.vocab_size:
            raise ValueError(f"[fill_tokens] got token id {max(ids)}, expected < {self._model.info.vocab_size}")
        self._write()
        self._fill(ids)

    def _fill(self, tokens: list[int]) -> None:
        self._sequence.append(tokens)
        self._turns.filled(tokens)

    def fill_system(self, text: str) -> None:
        """A turn of the system."""
        self._turn("system", text)

    def fill_user(self, text: str) -> None:
        """A turn of the user."""
        self._turn("user", text)

    def fill_assistant(self, text: str) -> None:
        """A turn of the assistant, by the program."""
        self._turn("assistant", text)

    def _turn(self, role: str, text: str) -> None:
        value = host.text(f"fill_{role}", text)
        self._sequence.check_idle()
        self._turns.add(role, value)

    def _write(self, *, opens_answer: bool = False) -> None:
        self._sequence.check_idle()
        self._turns.write(opens_answer=opens_answer)

    def open_answer(self) -> None:
        """Writes the turns that wait and opens the assistant's, so that `len` counts all that the next step sees."""
        self._write(opens_answer=True)

    async def flush(self) -> None:
        """Waits until everything that is pending is computed."""
        self._flush()
        with self._sequence.queue.synchronize() as done:
            await ready(done.pollable())

    def _flush(self) -> None:
        self._write()
        if self._sequence.computed < len(self._sequence):
            self._sequence.submit()

    async def decode_step(self, sampler: Sampler | None = None) -> int:
        """One token: everything pending is computed, the next token chosen, and left pending."""
        how = _of_type("sampler", sampler or Sampler.greedy(), Sampler)
        token, _ = await self._step(how)
        return token

    async def _step(
        self, sampler: Sampler, matcher: Matcher | None = None, *, details: bool = False
    ) -> tuple[int, float | None]:
        sequence = self._sequence
        result = self._begin(lambda index: self._request(sampler, index, matcher, details))
        with sequence.step(), result:
            await ready(result.pollable())
            token, log_probability = sampler.take(result)
            if token >= self._model.info.vocab_size:
                raise ValueError(f"[sampler] got token id {token}, expected < {self._model.info.vocab_size}")
            if matcher is not None:
                matcher.accept([token])
            sequence.append([token])
            self._turns.generated([token])
        return token, log_probability

    async def decode_draft(self, sampler: Sampler, draft: Draft) -> list[int]:
        """decode_step with a guess of what comes: the tokens of it that were drawn as well, and one more.

        They are drawn as without a draft. Where a function of the program's chooses, the draft is left out.
        """
        tokens, _ = await self._draft_step(_of_type("sampler", sampler, Sampler), _of_type("draft", draft, Draft))
        return tokens

    async def _draft_step(self, sampler: Sampler, draft: Draft) -> tuple[list[int], list[int]]:
        """The tokens that come next, and what was drawn of each row."""
        sequence = self._sequence
        if sampler.choose or sampler.choose_by_logits:
            draft = Draft()

        def request(index: int) -> None:
            before = sequence.tokens[:]
            for row in range(len(draft) + 1):
                text = [*before, *(draft.tokens[i] for i in draft.path(row - 1))]
                position = sequence.next_position + len(text) - len(before)
                sampler.request(sequence.forward_pass, index + row, text, position)

        result = self._begin(request, draft)
        accepted: list[int] = []
        with sequence.step(), result:
            try:
                await ready(result.pollable())
                rows = sampler.take_all(result)
                accepted = draft.accepted(rows)
            finally:
                kept = sequence.keep_draft(draft, accepted)
        tokens = [*(draft.tokens[i] for i in accepted), rows[accepted[-1] + 1 if accepted else 0]]
        sequence.append(tokens[kept:])
        self._turns.generated(tokens)
        return tokens, rows

    def _take_back(self, count: int) -> None:
        """Forgets the last tokens that were generated."""
        if count:
            self._sequence.keep(len(self) - count)
            del self._turns.reply[-count:]

    def _request(self, sampler: Sampler, index: int, matcher: Matcher | None, details: bool) -> None:
        sequence = self._sequence
        if matcher is not None:
            host.call(matcher._handle.constrain, sequence.forward_pass, index)
        sampler.request(sequence.forward_pass, index, sequence.tokens, sequence.next_position, details=details)

    def _begin(self, request: Callable[[int], None], draft: Draft | None = None) -> host.forward.ForwardPassResult:
        """Writes the turns and submits a pass, of whose last token something is asked, and those of a draft."""
        self._write(opens_answer=True)
        sequence = self._sequence
        sequence.hold_last()
        try:
            request(len(sequence) - sequence.computed - 1)
            result = sequence.submit(draft or Draft())
        except BaseException:
            sequence.reset_pass()
            raise
        if result is None:
            raise host.InferletError("[step] the pass gave no result")
        return result

    async def next_distribution(self, temperature: float = 1.0, top_k: int = 32) -> Distribution:
        """The `top_k` best of softmax(logits / temperature) for the next token. Appends nothing."""
        heat, count = host.real("temperature", temperature, 0, 1e6), host.whole("top_k", top_k, 1, 1 << 20)
        forward = host.forward
        result = self._begin(
            lambda index: forward.output_distributions(self._sequence.forward_pass, [index], heat, count)
        )
        with self._sequence.step(), result:
            await ready(result.pollable())
            found = result.get_distributions() or []
        return Distribution(*found[0])

    async def log_probabilities(self, tokens: Iterable[int]) -> list[float]:
        """What the model says of each of these tokens to come next: natural logarithms. Appends nothing."""
        ids = host.tokens("log_probabilities", tokens)
        logits = host.logits
        result = self._begin(
            lambda index: host.call(logits.output_log_probabilities, self._sequence.forward_pass, index, ids)
        )
        with self._sequence.step(), result:
            await ready(result.pollable())
            found = logits.get_log_probabilities(result) or []
        return list(found[0][1])

    async def score(self, continuation: str | Iterable[int]) -> list[float]:
        """The log-probability of each token of a text, or of tokens, that follow here; in one pass, on a fork."""
        if isinstance(continuation, str):
            ids = self._model.tokenizer.tokenize(host.text("score", continuation))
        else:
            ids = host.tokens("score", continuation)
        if not ids:
            return []
        self._write(opens_answer=True)
        with self.fork() as fork:
            sequence = fork._sequence
            sequence.hold_last()
            first = len(sequence) - sequence.computed - 1
            sequence.append(ids[:-1])
            for index, token in enumerate(ids):
                host.call(host.logits.output_log_probabilities, sequence.forward_pass, first + index, [token])
            result = sequence.submit()
            if result is None:
                raise host.InferletError("[score] the pass gave no result")
            with sequence.step(), result:
                await ready(result.pollable())
                found = host.logits.get_log_probabilities(result) or []
        return [values[0] for _, values in found]

    def generate(
        self,
        sampler: Sampler | None = None,
        stop: Stop | None = None,
        *,
        max_tokens: int | None = None,
        grammar: Grammar | Matcher | None = None,
        on_text: Callable[[str], object] | None = None,
        drafting: Drafting | None = None,
        drafter: Drafter | None = None,
        log_probabilities: bool = False,
    ) -> Answer:
        """The model's answer. `await` it for the whole text, or take pieces: `async for piece in ...`.

        `sampler`: greedy where none is given; `stop`: the end of the model's turn. Without `stop` and
        `max_tokens` it has at most 256 tokens. With a `grammar` each token is one that it lets come
        next, and the answer ends where nothing may follow. Where sampler and stop ask nothing of the
        program, the engine goes from token to token by itself, with drafts that change none; with a
        `drafter` the program guesses in its place, one step after the other. With `log_probabilities`
        the answer has those of its tokens; they cost time.
        """
        how = _of_type("sampler", sampler or Sampler.greedy(), Sampler)
        end = _of_type("stop", stop or Stop.end_of_turn(self._model), Stop)
        if max_tokens is not None:
            end = end.limited(host.whole("max_tokens", max_tokens))
        elif stop is None:
            end = end.limited(_ANSWER_TOKENS)
        if isinstance(grammar, Grammar):
            grammar = grammar.matcher()
        elif grammar is not None:
            _of_type("grammar", grammar, Matcher)
        if on_text is not None and not callable(on_text):
            raise TypeError(f"[on_text] got {type(on_text).__name__}, expected a function")
        drafts = _of_type("drafting", drafting or Drafting(), Drafting)
        if drafter is not None:
            _of_type("drafter", drafter, Drafter)
            if grammar is not None or log_probabilities:
                other = "a grammar" if grammar is not None else "log-probabilities"
                raise host.InferletError(f"[generate] got a drafter and {other}, expected one of them")
        return Answer(self, how, end, grammar, on_text, drafts, bool(log_probabilities), drafter)

    def fork(self) -> Context:
        """A second context that goes on from here. Full pages are shared; the rest is computed again in it."""
        self._sequence.check_idle()
        child = Context(self._model, _pages=self._sequence.pool)
        self._sequence.fork_into(child._sequence)
        self._turns.copy_to(child._turns)
        return child

    def mask_token_range(self, begin: int, end: int) -> None:
        """Later tokens do not attend to tokens [begin, end) of this context any more."""
        self._set_masked(begin, end, 1)

    def unmask_token_range(self, begin: int, end: int) -> None:
        """Later tokens attend to them again."""
        self._set_masked(begin, end, 0)

    def _set_masked(self, begin: int, end: int, value: int) -> None:
        first, last = host.whole("begin", begin), min(host.whole("end", end), len(self))
        self._sequence.check_idle()
        if first < last:
            self._sequence.masked[first:last] = bytes([value]) * (last - first)

    def drop_masked_pages(self) -> int:
        """Gives back the full pages whose tokens are all masked; how many. The others keep their positions."""
        self._sequence.check_idle()
        count = self._sequence.drop_masked_pages()
        if count:
            self._turns.is_whole = False
        return count

    def save(self, name: str, *, ttl: float = 0, pinned: bool = False) -> None:
        """Keeps what is computed, pending tokens included, on disk under a name of the user's.

        It goes after `ttl` seconds (0: never), and earlier, when the user's room is short, unless it is
        pinned. Not with masked or dropped tokens.
        """
        key, seconds = _name("save", name), int(host.real("ttl", ttl, 0, 1e15))
        self._flush()
        sequence = self._sequence
        sequence.check_whole("snapshot")
        last = sequence.computed - (len(sequence.pages) - 1) * sequence.pool.size
        numbers = sequence.page_numbers()
        host.call(host.snapshot.save, sequence.queue, key, numbers, last, sequence.tokens, seconds, bool(pinned))

    @classmethod
    def load(cls, name: str, model: Model | str | None = None) -> Self:
        """A context that goes on where one was saved; turns of a conversation begin anew."""
        key = _name("load", name)
        context = cls(model)
        sequence = context._sequence
        loaded = host.call(host.snapshot.load, sequence.queue, key)
        held = (len(loaded.pages) - 1) * sequence.pool.size + loaded.last_page_len
        fits = len(loaded.tokens) == held
        sequence.adopt(list(loaded.pages), list(loaded.tokens) if fits else [])
        if not fits:
            raise host.InferletError("[snapshot] got a snapshot without its tokens, expected one of Context.save")
        return context

    def export_as(self, name: str) -> None:
        """Gives the computed pages a name of the user's, for as long as the server runs or until it is released."""
        key = _name("export_as", name)
        self._flush()
        sequence = self._sequence
        sequence.check_whole("export")
        if any(entry.name == key for entry in list_exports(self._model, _queue=sequence.queue)):
            raise host.InferletError(f"[export] got {key!r}, which is in use: release_export gives it up")
        kvs.set(_tokens_key(key), "".join(f"{token} " for token in sequence.tokens))
        host.common.export_resources(sequence.queue, _KV_PAGE, sequence.page_numbers(), key)

    @classmethod
    def import_from(cls, name: str, model: Model | str | None = None) -> Self:
        """A context that goes on where one was exported; neither sees what the other adds."""
        key = _name("import_from", name)
        context = cls(model)
        sequence = context._sequence
        if all(entry.name != key for entry in list_exports(context.model, _queue=sequence.queue)):
            raise host.InferletError(f"[import] got {key!r}, which is not exported")
        text = kvs.get(_tokens_key(key))
        if text is None or not all(part.isdigit() for part in text.split()):
            raise host.InferletError(f"[import] got {key!r} without its tokens, expected an export of export_as")
        tokens = host.tokens("import", map(int, text.split()))
        numbers = list(host.common.import_resources(sequence.queue, _KV_PAGE, key))
        fits = -(-len(tokens) // sequence.pool.size) == len(numbers)
        sequence.adopt(numbers, tokens if fits else [])
        if not fits:
            raise host.InferletError(
                f"[import] got {key!r} with pages of another context, expected those of its tokens"
            )
        return context

    def close(self) -> None:
        """Gives its pages back now, rather than with the object. Fine to repeat."""
        self._sequence.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        sequence = getattr(self, "_sequence", None)
        if sequence is not None:
            sequence.release()

    def __repr__(self) -> str:
        return f"Context({self._model.name!r}, {len(self)} tokens)"


@dataclass(frozen=True)
class ExportEntry:
    """A name under which a context was exported."""

    name: str
    pages: int


def list_exports(model: Model | None = None, *, _queue: host.common.Queue | None = None) -> list[ExportEntry]:
    """What the user's instances have exported of a model."""
    queue = _queue or (model or default_model())._handle.create_queue()
    return [ExportEntry(name, count) for name, count in host.common.get_all_exported_resources(queue, _KV_PAGE)]


def release_export(name: str, model: Model | None = None) -> None:
    """Gives up an export's name; who imported it keeps its pages."""
    key = _name("release_export", name)
    queue = (model or default_model())._handle.create_queue()
    if all(entry.name != key for entry in list_exports(_queue=queue)):
        raise host.InferletError(f"[export] got {key!r}, which is not exported")
    host.common.release_exported_resources(queue, _KV_PAGE, key)
    kvs.delete(_tokens_key(key))


@dataclass(frozen=True)
class SnapshotEntry:
    """A context on disk."""

    name: str
    pages: int
    tokens: int
    bytes: int
    seconds_left: int
    """0: it has no end."""
    pinned: bool


def list_snapshots(model: Model | None = None) -> list[SnapshotEntry]:
    """The user's saved contexts."""
    queue = (model or default_model())._handle.create_queue()
    return [
        SnapshotEntry(one.name, one.pages, one.tokens, one.bytes, one.seconds_left, one.pinned)
        for one in host.call(host.snapshot.all, queue)
    ]


def remove_snapshot(name: str, model: Model | None = None) -> None:
    """Forgets a saved context."""
    queue = (model or default_model())._handle.create_queue()
    host.call(host.snapshot.remove, queue, _name("remove_snapshot", name))


def _tokens_key(name: str) -> str:
    """Where programs of the user find which tokens are in exported pages (in C++ likewise)."""
    return f"pie:context/{name}"


def _name(what: str, value: object) -> str:
    text = host.text(what, value)
    if not 0 < len(text.encode()) <= _NAME_BYTES_MAX - len(_tokens_key("")):
        raise host.InferletError(f"[{what}] got a name of {len(text.encode())} bytes, expected 1 to 1,000")
    return text


def _of_type(what: str, value: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise TypeError(f"[{what}] got {type(value).__name__}, expected {kind.__name__}")
    return value

"""Models of the server, and their tokenizers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from inferlet import _host as host
from inferlet._host import InferletError


@dataclass(frozen=True)
class ModelInfo:
    """What one may want to know of a model before a context is filled."""

    context_length: int
    """Tokens that the model was trained for. Text beyond is computed, and makes less and less sense."""
    vocab_size: int
    bos_token: int | None
    """The token that begins a text, if the model has one."""
    adds_bos: bool
    """Whether the model expects it before every text."""


class Tokenizer:
    """Text to tokens and back."""

    def __init__(self, model: Model) -> None:
        self._handle = host.tokenize.get_tokenizer(model._handle)
        self._vocab_size = model.info.vocab_size

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text of at most 1 MiB; special tokens written in it are recognised, none is added."""
        value = host.text("tokenize", text)
        size = len(value.encode())
        if size > 1 << 20:
            raise InferletError(f"[tokenize] got {size} bytes, expected at most {1 << 20}")
        return list(self._handle.tokenize(value))

    def detokenize(self, tokens: Iterable[int]) -> str:
        """Their text; bytes that are no UTF-8 become U+FFFD."""
        ids = host.tokens("detokenize", tokens)
        if ids and max(ids) >= self._vocab_size:
            raise ValueError(f"[detokenize] got token id {max(ids)}, expected < {self._vocab_size}")
        return self._handle.detokenize(ids)


class Model:
    """A model that the server serves; the first one of `models()` where no name is given."""

    def __init__(self, name: str | None = None) -> None:
        known = models()
        if name is None and not known:
            raise InferletError("[model] the server serves none")
        wanted = known[0] if name is None else host.text("model", name)
        handle = host.runtime.get_model(wanted)
        if handle is None:
            raise InferletError(f"[model] got {wanted!r}, which is not served; there are: {', '.join(known)}")
        self._handle = handle

    @functools.cached_property
    def name(self) -> str:
        """The model's id, or the alias that was asked for."""
        return self._handle.get_name()

    @functools.cached_property
    def description(self) -> str:
        """For people."""
        return self._handle.get_description()

    @functools.cached_property
    def traits(self) -> list[str]:
        """What it can do."""
        return list(self._handle.get_traits())

    @functools.cached_property
    def prompt_template(self) -> str:
        """The Jinja source of the model file's chat template."""
        return self._handle.get_prompt_template()

    @functools.cached_property
    def kv_page_size(self) -> int:
        """Tokens in a KV page."""
        return self._handle.get_kv_page_size()

    @functools.cached_property
    def info(self) -> ModelInfo:
        """Context length, vocabulary, first token."""
        facts = host.info.get(self._handle)
        return ModelInfo(facts.context_length, facts.vocab_size, facts.bos_token, facts.adds_bos)

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return Tokenizer(self)

    @functools.cached_property
    def stop_texts(self) -> list[str]:
        """The texts that end a turn."""
        return list(self._handle.get_stop_tokens())

    @functools.cached_property
    def stop_sequences(self) -> list[list[int]]:
        """The same, as tokens."""
        return [self.tokenizer.tokenize(text) for text in self.stop_texts if text]

    def __repr__(self) -> str:
        return f"Model({self.name!r})"


@functools.cache
def default_model() -> Model:
    """The server's first model."""
    return Model()


def models(traits: Iterable[str] = ()) -> list[str]:
    """The ids of the models that are served, of those that have all of the traits."""
    if isinstance(traits, str):
        raise TypeError("[models] got str, expected a list of traits")
    wanted = [host.text("trait", trait) for trait in traits]
    if not wanted:
        return list(host.runtime.get_all_models())
    return list(host.runtime.get_all_models_with_traits(wanted))

"""What texts a model may write: JSON Schema, regular expressions, Lark and GBNF."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from inferlet import _host as host
from inferlet.model import Model, default_model

_TEXT_BYTES_MAX = 1 << 20


def _sized(what: str, value: object) -> str:
    text = host.text(what, value)
    if len(text.encode()) > _TEXT_BYTES_MAX:
        raise host.InferletError(f"[{what}] got {len(text.encode())} bytes, expected at most {_TEXT_BYTES_MAX}")
    return text


class Grammar:
    """A grammar, compiled for a model; the same text is compiled once for all that use the model.

    An error says what is wrong with the text, or which part of it cannot be enforced.
    """

    def __init__(self, handle: host.grammar.Grammar) -> None:
        self._handle = handle

    @staticmethod
    def json_schema(schema: dict[str, Any] | str, model: Model | None = None) -> Grammar:
        """JSON that is valid against a schema (draft 2020-12); `{}` allows any JSON."""
        text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
        handle = (model or default_model())._handle
        return Grammar(host.call(host.grammar.Grammar.from_json_schema, handle, _sized("json_schema", text)))

    @staticmethod
    def regex(expression: str, model: Model | None = None) -> Grammar:
        """Text that the expression matches as a whole (syntax of Rust's regex)."""
        handle = (model or default_model())._handle
        return Grammar(host.call(host.grammar.Grammar.from_regex, handle, _sized("regex", expression)))

    @staticmethod
    def lark(text: str, model: Model | None = None) -> Grammar:
        """Lark's notation, in llguidance's dialect."""
        handle = (model or default_model())._handle
        return Grammar(host.call(host.grammar.Grammar.from_lark, handle, _sized("lark", text)))

    @staticmethod
    def gbnf(text: str, model: Model | None = None) -> Grammar:
        """llama.cpp's notation."""
        handle = (model or default_model())._handle
        return Grammar(host.call(host.grammar.Grammar.from_gbnf, handle, _sized("gbnf", text)))

    def matcher(self) -> Matcher:
        """A place at the beginning of a text."""
        return Matcher(host.grammar.Matcher(self._handle))


class Matcher:
    """A place in a text that follows a grammar."""

    def __init__(self, handle: host.grammar.Matcher) -> None:
        self._handle = handle

    def mask(self) -> list[int]:
        """Which tokens may come next: one bit each, from the lowest of the first word (of 32) on."""
        return list(host.call(self._handle.mask))

    def validate(self, tokens: Iterable[int]) -> int:
        """How many of the tokens, from the first on, may come next."""
        return host.call(self._handle.validate, host.tokens("validate", tokens))

    def accept(self, tokens: Iterable[int]) -> None:
        """Goes on by all of the tokens, or by none."""
        host.call(self._handle.accept, host.tokens("accept", tokens))

    def rollback(self, count: int) -> None:
        """Takes back the last tokens that were accepted."""
        host.call(self._handle.rollback, host.whole("rollback", count))

    def fork(self) -> Matcher:
        """Another matcher in the same place."""
        return Matcher(self._handle.fork())

    def forced_tokens(self) -> list[int]:
        """The tokens that come next whatever the model says."""
        return list(host.call(self._handle.forced_tokens))

    @property
    def can_stop(self) -> bool:
        """Whether the text may end here."""
        return self._handle.can_stop()

    @property
    def is_complete(self) -> bool:
        """Whether it has to end here, or has ended."""
        return self._handle.is_complete()

"""Tokens to text, in whole characters."""

from __future__ import annotations

from inferlet.model import Tokenizer

_REPLACEMENT = "\ufffd"
_PARTIAL_BYTES_MAX = 3


class TextStream:
    """Holds back the tokens whose bytes are the beginning of a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._shown = 0

    def push(self, tokens: list[int]) -> str:
        """The text that is certain by now."""
        if not tokens:
            return ""
        self._window += tokens
        text = self._tokenizer.detokenize(self._window)
        # The host puts U+FFFD where bytes are no character; at the end these may be the first of one.
        partial = min(len(text) - len(text.rstrip(_REPLACEMENT)), _PARTIAL_BYTES_MAX)
        whole = len(text) - partial
        piece = text[self._shown : whole]
        if partial:
            self._shown = max(self._shown, whole)
        else:
            self._window, self._shown = [], 0
        return piece

    def finish(self) -> str:
        """What was held back."""
        text = self._tokenizer.detokenize(self._window)[self._shown :] if self._window else ""
        self._window, self._shown = [], 0
        return text

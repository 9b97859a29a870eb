"""Turns of a conversation, written into a sequence by the model's chat template."""

from __future__ import annotations

from inferlet import _host as host
from inferlet._sequence import Sequence


class Turns:
    """The conversation as far as it was written into a sequence."""

    def __init__(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self.messages: list[tuple[str, str]] = []
        self.written = ""
        """What the template gave, and answers, as text."""
        self.reply: list[int] = []
        """Tokens generated since the last turn."""
        self.begin = 0
        """Tokens of the sequence before the conversation."""
        self.is_whole = True
        """None of its tokens were dropped."""
        self.has_new = False
        self.is_prompted = False
        """The assistant's turn is open."""

    def copy_to(self, other: Turns) -> None:
        """Lets the conversation of a fork go on from here."""
        other.messages, other.written, other.reply = self.messages[:], self.written, self.reply[:]
        other.begin, other.is_whole = self.begin, self.is_whole
        other.has_new, other.is_prompted = self.has_new, self.is_prompted

    def add(self, role: str, text: str) -> None:
        """A turn, to be written before the next step."""
        self._close_reply()
        self.messages.append((role, text))
        self.has_new, self.is_prompted = True, False

    def _close_reply(self) -> None:
        """What was generated since the last turn becomes the assistant's message."""
        if not self.reply:
            return
        text = self._sequence.model.tokenizer.detokenize(self.reply)
        self.written += text
        for stop in self._sequence.model.stop_texts:
            if stop and text.endswith(stop):
                text = text.removesuffix(stop)
                break
        self.messages.append(("assistant", text))
        self.reply = []

    def filled(self, tokens: list[int]) -> None:
        """The program wrote tokens of its own behind the turns."""
        if self.is_prompted:
            self.reply += tokens
        elif self.messages:
            self.written += self._sequence.model.tokenizer.detokenize(tokens)
            self.is_prompted = True  # the program writes the rest of this turn itself

    def generated(self, tokens: list[int]) -> None:
        """The model wrote tokens."""
        if self.messages:
            self.reply += tokens

    def tokens_at_end(self, text: str) -> list[int]:
        """The tokens of a text that comes next, with the one that begins every text where it is the first."""
        model = self._sequence.model
        tokens = model.tokenizer.tokenize(text)
        bos = model.info.bos_token
        if not len(self._sequence) and model.info.adds_bos and bos is not None and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens

    def write(self, *, opens_answer: bool) -> None:
        """Writes the turns that wait, and perhaps the words that open the assistant's."""
        if not self.has_new and not (opens_answer and not self.is_prompted and self.messages):
            return
        model = self._sequence.model
        messages = [host.template.Message(role, content) for role, content in self.messages]
        rendered = host.call(host.template.render, model._handle, messages, opens_answer)
        if rendered.startswith(self.written):
            missing: str | None = rendered[len(self.written) :]
        else:
            missing = self._after_last_answer(rendered)
        if missing is not None:
            if not self.written:
                self.begin = len(self._sequence)
            self._sequence.append(self.tokens_at_end(missing))
            self.written += missing
        elif self.is_whole:
            self._rewrite(rendered)
        else:
            raise host.InferletError(
                "[chat template] the new turns change what the template wrote before, of which pages were dropped; "
                "use render and fill"
            )
        self.has_new, self.is_prompted = False, opens_answer

    def _after_last_answer(self, rendered: str) -> str | None:
        """What follows the last answer, less what of it is written already, where the template does not
        repeat word for word what was written (it trims answers, say)."""
        answers = [content.strip() for role, content in self.messages if role == "assistant"]
        if not answers or not answers[-1]:
            return None
        at = rendered.rfind(answers[-1])
        if at < 0:
            return None
        rest = rendered[at + len(answers[-1]) :]
        overlap = next(n for n in range(min(len(rest), len(self.written)), -1, -1) if self.written.endswith(rest[:n]))
        return rest[overlap:]

    def _rewrite(self, rendered: str) -> None:
        """The template now writes earlier turns in another way: what both have in common stays."""
        sequence = self._sequence
        info = sequence.model.info
        wanted = sequence.tokens[: self.begin]
        turns = sequence.model.tokenizer.tokenize(rendered)
        if not wanted and info.adds_bos and info.bos_token is not None and turns[:1] != [info.bos_token]:
            wanted = [info.bos_token]
        rewrite(sequence, wanted + turns)
        self.written = rendered


def rewrite(sequence: Sequence, wanted: list[int]) -> None:
    """Makes the sequence hold these tokens; the beginning that it has already is not computed again."""
    had = sequence.tokens
    limit = min(len(had), len(wanted))
    same = next((i for i in range(limit) if had[i] != wanted[i]), limit)
    sequence.keep(same)
    sequence.append(wanted[same:])

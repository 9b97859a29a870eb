"""Conversations with tools, written and read back by the model's own format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inferlet import _host as host
from inferlet.grammar import Grammar
from inferlet.model import Model, default_model
from inferlet.tools import Tool, Tools

Role = Literal["system", "user", "assistant", "tool"]
ToolChoice = Literal["auto", "none", "required"]
_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class ToolCall:
    """The model asks for a tool."""

    name: str
    arguments: str = ""
    """The text of a JSON object; "" for an empty one."""
    id: str = ""
    """By which the result names its call."""


@dataclass(frozen=True)
class Message:
    """What one side said."""

    role: str
    content: str
    reasoning: str = ""
    """Of the assistant, before `content`."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of the assistant, after `content`."""
    tool_call_id: str = ""
    tool_name: str = ""

    @staticmethod
    def system(content: str) -> Message:
        """Of the system."""
        return Message("system", content)

    @staticmethod
    def user(content: str) -> Message:
        """Of the user."""
        return Message("user", content)

    @staticmethod
    def assistant(content: str) -> Message:
        """Of the assistant."""
        return Message("assistant", content)

    @staticmethod
    def result(call: ToolCall, content: str) -> Message:
        """What a tool gave."""
        return Message("tool", content, tool_call_id=call.id, tool_name=call.name)


@dataclass(frozen=True)
class ChatAnswer:
    """An answer as the model's format has it."""

    content: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]

    @property
    def message(self) -> Message:
        """As a further message of its conversation."""
        return Message("assistant", self.content, self.reasoning, self.tool_calls)


@dataclass(frozen=True)
class Delta:
    """What an answer says further: a piece of its text, of its reasoning, a call, a piece of its arguments."""

    kind: Literal["text", "reasoning", "call", "arguments"]
    text: str
    """The piece; of a call the tool's name."""
    index: int = 0
    """Of the call in the answer."""
    id: str = ""


class AnswerParser:
    """Reads one answer while it is generated. Pieces have no stop tokens and no stop texts."""

    def __init__(self, handle: host.conversation.Parser) -> None:
        self._handle = handle
        self._bytes = 0

    def feed(self, piece: str) -> list[Delta]:
        """What the answer says by now that was not given yet."""
        text = host.text("feed", piece)
        self._bytes += len(text.encode())
        if self._bytes > _BYTES_MAX:
            raise host.InferletError(f"[feed] got an answer of {self._bytes} bytes, expected at most {_BYTES_MAX}")
        return [_delta(one) for one in host.call(self._handle.feed, text)]

    def finish(self) -> tuple[ChatAnswer, list[Delta]]:
        """The whole answer, once, and what `feed` had not given of it.

        It fails when the text does not fit the model's format or a call is cut off.
        """
        ending = host.call(self._handle.finish)
        found = ending.answer
        calls = tuple(ToolCall(call.name, call.arguments, call.id) for call in found.tool_calls)
        return ChatAnswer(found.content, found.reasoning, calls), [_delta(one) for one in ending.rest]


class RenderedPrompt:
    """A conversation as the model expects it."""

    def __init__(self, handle: host.conversation.Rendered, model: Model) -> None:
        self._handle = handle
        self._model = model

    @property
    def text(self) -> str:
        """The prompt."""
        return self._handle.prompt()

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer, beside the model's stop tokens."""
        return list(self._handle.stops())

    def grammar(self) -> Grammar | None:
        """What holds the whole answer to the format of calls, where it has to be a call."""
        found = self._handle.grammar()
        return None if found is None or found.lazy else Grammar.gbnf(found.text, self._model)

    def parser(self) -> AnswerParser:
        """For one answer; as many as there are answers."""
        return AnswerParser(self._handle.parse())

    def read(self, text: str) -> ChatAnswer:
        """A whole answer."""
        parser = self.parser()
        parser.feed(text)
        return parser.finish()[0]


def render(
    messages: Iterable[Message],
    tools: Tools | Sequence[Tool] = (),
    *,
    model: Model | None = None,
    tool_choice: ToolChoice = "auto",
    parallel_tool_calls: bool = False,
    template_arguments: dict[str, Any] | None = None,
    add_generation_prompt: bool = True,
) -> RenderedPrompt:
    """Writes a conversation by the model's own template; what that does not know is said in words instead."""
    conversation = host.conversation
    choices = {name.lower(): one for name, one in conversation.ToolChoice.__members__.items()}
    if tool_choice not in choices:
        raise ValueError(f"[tool_choice] got {tool_choice!r}, expected one of {', '.join(choices)}")
    of = model or default_model()
    handle = host.call(
        conversation.render,
        of._handle,
        conversation.Conversation(
            [_lowered(message) for message in messages],
            [
                conversation.Tool(t.name, host.text("description", t.description), json.dumps(t.parameters))
                for t in tools
            ],
            choices[tool_choice],
            bool(parallel_tool_calls),
            json.dumps(template_arguments) if template_arguments else "",
            bool(add_generation_prompt),
        ),
    )
    return RenderedPrompt(handle, of)


def _lowered(message: object) -> host.conversation.Message:
    if not isinstance(message, Message):
        raise TypeError(f"[messages] got {type(message).__name__}, expected Message")
    text = host.text
    calls = [
        host.conversation.ToolCall(text("id", call.id), text("name", call.name), text("arguments", call.arguments))
        for call in message.tool_calls
    ]
    return host.conversation.Message(
        text("role", message.role), text("content", message.content), text("reasoning", message.reasoning), calls,
        text("tool_call_id", message.tool_call_id), text("tool_name", message.tool_name),
    )  # fmt: skip


def _delta(one: Any) -> Delta:
    conversation = host.conversation
    if isinstance(one, conversation.Delta_Text):
        return Delta("text", one.value)
    if isinstance(one, conversation.Delta_Reasoning):
        return Delta("reasoning", one.value)
    if isinstance(one, conversation.Delta_Call):
        return Delta("call", one.value.name, one.value.index, one.value.id)
    return Delta("arguments", one.value.text, one.value.index)

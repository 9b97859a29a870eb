"""A conversation that goes on by itself: what the model asks of tools is done, and told to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inferlet import _host as host
from inferlet._turns import rewrite
from inferlet.context import Context
from inferlet.conversation import ChatAnswer, Message, ToolCall, ToolChoice, render
from inferlet.model import Model
from inferlet.sampler import Sampler
from inferlet.stop import Stop
from inferlet.tools import ToolError, Tools


class Chat:
    """Messages, and the context that has computed them; each answer goes on behind what is computed."""

    def __init__(
        self, system: str | None = None, *, tools: Tools | None = None, model: Model | str | None = None
    ) -> None:
        self.context = Context(model)
        self.tools = tools or Tools()
        self.messages: list[Message] = []
        if system is not None:
            self.messages.append(Message.system(host.text("system", system)))

    async def answer(
        self,
        sampler: Sampler | None = None,
        *,
        max_tokens: int = 256,
        tool_choice: ToolChoice = "auto",
        on_text: Callable[[str], object] | None = None,
    ) -> ChatAnswer:
        """The model's answer to the messages, which it becomes one of. Tools that it asks for are not called.

        An answer that does not fit the model's format (one that is cut off, say) is text.
        """
        prompt = render(self.messages, self.tools, model=self.context.model, tool_choice=tool_choice)
        tokenizer = self.context.model.tokenizer
        info = self.context.model.info
        wanted = tokenizer.tokenize(prompt.text)
        if info.adds_bos and info.bos_token is not None and wanted[:1] != [info.bos_token]:
            wanted.insert(0, info.bos_token)
        self.context._sequence.check_idle()
        rewrite(self.context._sequence, wanted)
        stop = Stop.end_of_turn(self.context.model) | Stop.ends_with_any(
            tokenizer.tokenize(one) for one in prompt.stops
        )
        grammar = prompt.grammar()
        text = await self.context.generate(sampler, stop, max_tokens=max_tokens, grammar=grammar, on_text=on_text)
        try:
            found = prompt.read(text)
        except host.InferletError:
            found = ChatAnswer(text, "", ())
        self.messages.append(found.message)
        return found

    async def ask(
        self,
        text: str,
        sampler: Sampler | None = None,
        *,
        max_tokens: int = 256,
        turns_max: int = 8,
        on_text: Callable[[str], object] | None = None,
    ) -> str:
        """Says something, and gives what the model answers once it asks for no tool any more.

        The calls of one answer run side by side. What a call fails of is told to the model. After
        `turns_max` answers it has to do without tools.
        """
        self.messages.append(Message.user(host.text("ask", text)))
        for turn in range(host.whole("turns_max", turns_max, 1)):
            is_last = turn + 1 == turns_max
            choice: ToolChoice = "none" if is_last else "auto"
            found = await self.answer(sampler, max_tokens=max_tokens, tool_choice=choice, on_text=on_text)
            if not found.tool_calls or is_last:
                return found.content
            results = await asyncio.gather(*(self._result_of(call) for call in found.tool_calls))
            self.messages += [Message.result(call, text) for call, text in zip(found.tool_calls, results, strict=True)]
        raise AssertionError("the last turn returns")

    async def _result_of(self, call: ToolCall) -> str:
        try:
            return await self.tools.call(call.name, call.arguments)
        except ToolError as error:
            return f"error: {error}"
        except Exception as error:  # a tool's own failure is for the model to read
            return f"error: {type(error).__name__}: {error}"

"""A conversation with the client, with tools that keep its notes: each message is a turn, `quit` ends it.

What the model asks of tools is done, shown and told to it, until it answers in words. Each turn goes
on behind what is computed, however long the conversation is. Notes are the user's, and are there in
the next conversation, too.
"""

import argparse
from typing import Annotated

from inferlet import Chat, Message, Sampler, ToolCall, ToolError, Tools, kvs, receive

NOTES = "note/"
tools = Tools()


@tools.add
def remember(title: Annotated[str, "One or two words"], text: Annotated[str, "What to remember"]) -> str:
    """Keeps a note for the user."""
    kvs.set(NOTES + title.lower(), text)
    return f"kept under {title.lower()!r}"


@tools.add
def recall(title: Annotated[str, "The note's title"]) -> str:
    """Reads a note that the user asked to remember."""
    text = kvs.get(NOTES + title.lower())
    if text is None:
        titles = [key.removeprefix(NOTES) for key in sorted(kvs.keys()) if key.startswith(NOTES)]
        raise LookupError(f"no note {title!r}; there are: {', '.join(titles) or 'none'}")
    return text


async def done(call: ToolCall) -> Message:
    """What a tool says; what went wrong is for the model to read."""
    try:
        said = await tools.call(call.name, call.arguments)
    except (ToolError, LookupError) as error:
        said = f"error: {error}"
    print(f"[{call.name}] {call.arguments} -> {said}")
    return Message.result(call, said)


async def main(args: list[str]) -> int:
    """Talks until the client says `quit`; returns how many turns there were."""
    parser = argparse.ArgumentParser("chat")
    parser.add_argument("-y", "--system", default="You are a helpful assistant. You keep notes with your tools.")
    parser.add_argument("-m", "--model", help="one that calls tools; the server's default where none is given")
    parser.add_argument("-n", "--max-tokens", type=int, default=128)
    parser.add_argument("-c", "--calls", type=int, default=4, help="answers with calls of tools in a turn")
    options = parser.parse_args(args)
    chat = Chat(options.system, tools=tools, model=options.model)
    turns = 0
    while (text := await receive()) != "quit":
        turns += 1
        chat.messages.append(Message.user(text))
        for left in reversed(range(options.calls + 1)):
            answer = await chat.answer(
                Sampler.greedy(), max_tokens=options.max_tokens, tool_choice="auto" if left else "none"
            )
            if not answer.tool_calls:
                break
            chat.messages += [await done(call) for call in answer.tool_calls]
        print(answer.content, flush=True)
    return turns

"""`input()` and standard input: the messages that the client sends, one a line."""

from __future__ import annotations

import builtins
import io
import sys

from wit_world.imports import inferlet_core_message as message

from pie_runtime import event_loop


def _next_message() -> str:
    """Waits with the whole program for the client's next message."""
    with message.receive() as result:
        event_loop.block(result.pollable())
        return result.get() or ""


def _input(prompt: object = "", /) -> str:
    """Writes the prompt, and gives the client's next message. The whole program waits."""
    sys.stdout.write(str(prompt))
    return _next_message().removesuffix("\n")


class _MessageLines(io.TextIOBase):
    """Standard input: each message is a line."""

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """The next message, with the end of its line."""
        line = _next_message()
        return line if line.endswith("\n") else line + "\n"


def install() -> None:
    """Makes this `sys.stdin` and `input`."""
    sys.stdin = sys.__stdin__ = _MessageLines()  # type: ignore[misc,assignment]
    builtins.input = _input

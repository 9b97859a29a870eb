"""What an instance tells its client."""

from __future__ import annotations

from enum import IntEnum


class Event(IntEnum):
    """The kind of an event; its data is `bytes` for :attr:`Blob`, `str` for every other."""

    Message = 0
    """The program sent a text."""
    Completed = 1
    """The program is done; the text is what it returned."""
    Aborted = 2
    """Somebody terminated it."""
    Exception = 3
    """It failed; the text says how."""
    ServerError = 4
    """The server failed it."""
    OutOfResources = 5
    """It reached a limit; the text says which."""
    Blob = 6
    """The program sent bytes."""
    Stdout = 7
    """The program wrote to its standard output."""
    Stderr = 8
    """The program wrote to its standard error."""

    @property
    def is_final(self) -> bool:
        """Whether it is the instance's last event."""
        return Event.Completed <= self <= Event.OutOfResources

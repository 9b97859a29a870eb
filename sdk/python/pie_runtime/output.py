"""Standard output and error: buffered, and given to the host in whole lines.

Each write of the host is an event for the client, so a line is one write, however many pieces
`print` makes of it. What is no whole line yet leaves when the program waits, and at its end.
"""

from __future__ import annotations

import io
import sys
import time

_BUFFER_BYTES = 1 << 16


def _stream(descriptor: int, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "wb", closefd=False)
    buffered = io.BufferedWriter(raw, _BUFFER_BYTES)
    return io.TextIOWrapper(buffered, encoding="utf-8", errors=errors, line_buffering=True)


_out = _stream(1, "replace")
_err = _stream(2, "backslashreplace")


def flush() -> None:
    """Hands over what is held back."""
    for stream in (_out, _err):
        if not stream.closed:
            stream.flush()


def install() -> None:
    """Makes these the streams of `sys`; a sleep of the whole program flushes them."""
    sys.stdout = sys.__stdout__ = _out  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _err  # type: ignore[misc]
    host_sleep = time.sleep

    def sleep(seconds: float, /) -> None:
        """Stops the whole program for so many seconds; `asyncio.sleep` stops one task."""
        flush()
        host_sleep(seconds)

    time.sleep = sleep

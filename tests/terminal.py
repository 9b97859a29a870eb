"""The `pie` command at a terminal of its own (a pseudo-terminal), as a person sits before it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path

from tests.conftest import PIE

CTRL_C = b"\x03"
CTRL_D = b"\x04"
DEADLINE_S = 60.0


class Terminal:
    """A `pie` process whose three standard streams are one terminal, in its foreground."""

    def __init__(self, *arguments: str, home: Path, **variables: str) -> None:
        self._master, slave = pty.openpty()
        env = dict(os.environ, PIE_HOME=str(home), TERM="xterm", **variables)
        self.process = subprocess.Popen(
            [str(PIE), *arguments], env=env, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def _read(self, deadline: float) -> bool:
        """Reads what there is; False at the end."""
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self.process.kill()
            raise TimeoutError(f"nothing more came after: {self.shown!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the last process has closed the terminal
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def read_until(self, text: str) -> str:
        """Waits until `text` is shown; everything so far."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            assert self._read(deadline), f"it ended without {text!r}: {self.shown!r}"
        return self.shown

    def type(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self._master, keys)

    def wait(self) -> int:
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        code = self.process.wait(timeout=DEADLINE_S)
        os.close(self._master)
        return code

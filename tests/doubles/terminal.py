"""A terminal as a person has it before them, for what only shows there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator

SECONDS = 120
"""How long something may take until it shows, on a busy machine."""


class Terminal:
    """What programs write to ``stream`` (a file descriptor) is ``shown``."""

    def __init__(self, screen: int, stream: int) -> None:
        self.stream = stream
        self.shown = b""
        self._screen = screen

    def wait_for(self, text: bytes) -> None:
        """Read until this is shown; raises AssertionError if it never is."""
        end = time.monotonic() + SECONDS
        while text not in self.shown:
            ready, _, _ = select.select([self._screen], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} is not shown, but {self.shown[-500:]!r}"
            self.shown += os.read(self._screen, 4096)


@contextlib.contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    """A terminal of so many columns."""
    screen, stream = pty.openpty()
    try:
        fcntl.ioctl(stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        yield Terminal(screen, stream)
    finally:
        os.close(screen)
        os.close(stream)

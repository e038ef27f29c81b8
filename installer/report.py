"""What a person sees while the installer works: lines on stderr, livelier on a terminal."""

from __future__ import annotations

import os
from typing import TextIO

from cczoo_installer.files import printable


class Reporter:
    """Says what happens on ``stream``, and nothing when that is None.

    Shows a moving line only when the stream is a terminal.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._moving = False

    def say(self, text: str) -> None:
        """Print one lasting line."""
        self.still()
        if self._stream is not None:
            print(text, file=self._stream, flush=True)

    def tick(self, text: str) -> None:
        """Show ``text`` on a line that the next call overwrites; nothing off a terminal."""
        if self._stream is not None and self._stream.isatty():
            self._stream.write(f"\r\x1b[K  {printable(text)[: _columns(self._stream) - 3]}")
            self._stream.flush()
            self._moving = True

    def still(self) -> None:
        """Wipe the moving line."""
        if self._moving and self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._moving = False


def step_line(what: str, seconds: float, words: str, usual: float = 0) -> str:
    """What to show of a step: its name, for how long it has run, its usual time, its last words.

    ``seconds`` and ``usual`` are seconds; 0 where nobody knows what is usual.
    """
    about = f" of about {_clock(usual)}" if usual else ""
    said = f": {words}" if words else ""
    return f"{what} {_clock(seconds)}{about}{said}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _columns(stream: TextIO) -> int:
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return columns or 80  # a terminal may not say

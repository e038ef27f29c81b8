"""A line at the bottom of a terminal that says what goes on, and gives way to what stays.

Uses nothing but the standard library.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

LAST_BYTES = 4096
_WIPE = "\r\x1b[K"


class MovingLine:
    """Writes to what ``stream()`` is then, a whole line at a time; threads may share it."""

    def __init__(self, stream: Callable[[], TextIO]) -> None:
        self._stream = stream
        self._writing = threading.Lock()
        self._shown = ""

    @property
    def moves(self) -> bool:
        """Whether anything can be shown; what is written goes everywhere."""
        return self._stream().isatty()

    def write(self, text: str) -> None:
        """Write lasting lines, in the place of the moving one."""
        with self._writing:
            # One write, so that the lines of programs do not run into each other.
            self._put((_WIPE if self._shown else "") + text)
            self._shown = ""

    def show(self, text: str) -> None:
        """Show ``text`` until the next line of either kind; nothing off a terminal."""
        if not self.moves:
            return
        fitting = printable(text)[: _columns(self._stream()) - 1]
        with self._writing:
            if fitting != self._shown:
                self._put(_WIPE + fitting)
                self._shown = fitting

    def _put(self, text: str) -> None:
        stream = self._stream()
        stream.write(text)
        stream.flush()


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def last_line(file: Path) -> str:
    """What a growing file ends with: its last line that is not empty; none where there is none."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LAST_BYTES))
            end = stream.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in end.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def clock(seconds: float) -> str:
    """Such as 1:05, in minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _columns(stream: TextIO) -> int:
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return columns or 80

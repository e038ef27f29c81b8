"""Runs commands side by side, each line of their output with the name of its command in front.

    python tools/side_by_side.py NAME='COMMAND' [NAME='COMMAND' ...]

Two at once, the others as those end: browser tests wait a lot, and two suites of them take less
than one after the other. The exit code is 1 if any command failed; what those printed last then
stands once more at the end, behind all that the others had to say. An interrupt, or the end of this
process, ends all of them.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

FAILED, USAGE = 1, 2
AT_ONCE = 2
END_SECONDS = 30
LAST_LINES = 8


def main(arguments: Sequence[str]) -> int:
    """Run the commands and return the exit code."""
    named = [argument.partition("=") for argument in arguments]
    if not named or not all(name and equals and command for name, equals, command in named):
        print(__doc__, file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, _interrupted)
    commands = [Command(name, command) for name, _, command in named]
    threads = ThreadPoolExecutor(AT_ONCE)
    runs = [threads.submit(command.run) for command in commands]
    try:
        codes = [run.result() for run in runs]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for command in commands:
            command.interrupt()
        for command in commands:
            command.end()
    for command, code in zip(commands, codes, strict=True):
        if code:
            command.repeat_last_lines()
        command.say(f"ended with {code}\n")
    return FAILED if any(codes) else 0


class Command:
    """A command that is to run, runs, or has ended."""

    def __init__(self, name: str, command: str) -> None:
        self._name = name
        self._words = shlex.split(command)
        self._last = deque[str](maxlen=LAST_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._may_start = True
        self._starting = threading.Lock()

    def run(self) -> int:
        """Run it, pass on what it prints, and return its exit code."""
        with self._starting:
            if not self._may_start:
                return FAILED
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        reader = threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True)
        reader.start()
        code = self._process.wait()
        reader.join(END_SECONDS)  # not for what it left behind, which may hold the pipe for ever
        return code

    def _pass_on(self, output: Iterable[str]) -> None:
        for line in output:
            self.say(line)
            self._last.append(line)

    def say(self, line: str) -> None:
        """Print a line with the name in front."""
        print(f"[{self._name}] {line}", end="", flush=True)

    def repeat_last_lines(self) -> None:
        """Print once more what it printed last."""
        for line in self._last:
            self.say(line)

    def interrupt(self) -> None:
        """Ask it to end, so that it ends its own children; it does not start any more."""
        with self._starting:
            self._may_start = False
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait for its end, and see to it."""
        if self._process is not None:
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

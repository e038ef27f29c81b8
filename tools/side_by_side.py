"""Runs commands side by side, each line of their output with the name of its command in front.

    python tools/side_by_side.py NAME='COMMAND' [NAME='COMMAND' ...]

Two at once, the others as those end: browser tests wait a lot, and two suites of them take less
than one after the other. On a terminal, the last line says for how long each has run and, of those
that tell percents as pytest does, how long it will. The exit code is 1 if any command failed; what
those printed last then stands once more at the end, behind all that the others had to say. An
interrupt, or the end of this process, ends all of them.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType

from preparation.moving_line import MovingLine, clock

FAILED, USAGE = 1, 2
AT_ONCE = 2
END_SECONDS = 30
LAST_LINES = 8
SHOW_SECONDS = 0.5
PERCENT = re.compile(r"\[ *(\d+)%\]$")

_line = MovingLine(lambda: sys.stdout)


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
        show_until_all_ended(commands, runs)
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


def show_until_all_ended(commands: Sequence[Command], runs: Sequence[Future[int]]) -> None:
    """Keep the last line of a terminal true; only wait where there is none."""
    while wait(runs, SHOW_SECONDS if _line.moves else None).not_done:
        _line.show(", ".join(filter(None, (command.progress() for command in commands))))


class Command:
    """A command that is to run, runs, or has ended."""

    def __init__(self, name: str, command: str) -> None:
        self._name = name
        self._words = shlex.split(command)
        self._last = deque[str](maxlen=LAST_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._estimate = Estimate()
        self._may_start = True
        self._starting = threading.Lock()

    def run(self) -> int:
        """Run it, pass on what it prints, and return its exit code."""
        with self._starting:
            if not self._may_start:
                return FAILED
            self._estimate = Estimate()
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
            self._estimate.hear(line)

    def say(self, line: str) -> None:
        """Print a line with the name in front."""
        bare = line.removesuffix("\n")
        _line.write(f"[{self._name}] {bare}\n")

    def progress(self) -> str:
        """How far it is; nothing before and after."""
        if self._process is None or self._process.poll() is not None:
            return ""
        return f"{self._name} {self._estimate}"

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


class Estimate:
    """For how long a command has run, and how long it will by the percents that it tells."""

    def __init__(self) -> None:
        self._began = self._counted_from = time.monotonic()
        self._percent = 0

    def hear(self, line: str) -> None:
        """Take the percents in a line of output; a suite after another one begins anew."""
        told = PERCENT.search(line.rstrip())
        if told:
            if int(told[1]) < self._percent:
                self._counted_from = time.monotonic()
            self._percent = int(told[1])

    def __str__(self) -> str:
        now = time.monotonic()
        text = clock(now - self._began)
        if 0 < self._percent < 100:
            left = (now - self._counted_from) * (100 - self._percent) / self._percent
            text += f" ({self._percent} %, about {clock(left)} left)"
        return text


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

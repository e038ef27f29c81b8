"""Runs commands side by side, each line of their output with the name of its command in front.

    python tools/side_by_side.py NAME='COMMAND' [NAME='COMMAND' ...]

Browser tests wait most of the time: two suites of them take little longer than one. The exit code
is 1 if any command failed; what those printed last then stands once more at the end, behind all
that the others had to say. An interrupt, or the end of this process, ends all of them.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from types import FrameType

FAILED, USAGE = 1, 2
END_SECONDS = 30
LAST_LINES = 8


def main(arguments: Sequence[str]) -> int:
    """Run the commands and return the exit code."""
    named = [argument.partition("=") for argument in arguments]
    if not named or not all(name and equals and command for name, equals, command in named):
        print(__doc__, file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, _interrupted)
    running = {name: _started(command) for name, _, command in named}
    last = {name: deque[str](maxlen=LAST_LINES) for name in running}
    readers = [
        threading.Thread(target=_pass_on, args=(name, process, last[name]), daemon=True)
        for name, process in running.items()
    ]
    try:
        for reader in readers:
            reader.start()
        codes = {name: process.wait() for name, process in running.items()}
    finally:
        _end(running.values())
    for reader in readers:
        reader.join(END_SECONDS)
    for name, code in codes.items():
        for line in last[name] if code else ():
            print(f"[{name}] {line}", end="", flush=True)
        print(f"[{name}] ended with {code}", flush=True)
    return FAILED if any(codes.values()) else 0


def _started(command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        shlex.split(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _pass_on(name: str, process: subprocess.Popen[str], last: deque[str]) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        print(f"[{name}] {line}", end="", flush=True)
        last.append(line)


def _end(processes: Iterable[subprocess.Popen[str]]) -> None:
    """End what still runs: politely, so that it ends its own children, and for sure."""
    left = [process for process in processes if process.poll() is None]
    for process in left:
        process.send_signal(signal.SIGINT)
    for process in left:
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

"""Child processes that cannot outlive us, run for ever or drown the terminal."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer import keeper
from cczoo_installer.files import printable

_POLL = 0.25
_TAIL_BYTES = 64 * 1024
_FRAME = re.compile(r"\s+at .+:\d+:\d+\)?(\x1b\[\d+m)?$")  # they stand behind the cause


@dataclass(frozen=True)
class Outcome:
    """How a child ended: ``returncode``, or None when it was stopped for taking too long."""

    returncode: int | None
    log: Path

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with success."""
        return self.returncode == 0

    def says(self, *texts: str) -> bool:
        """Whether one of the texts is in the end of the log."""
        return any(text in self._end() for text in texts)

    def _end(self) -> str:
        with self.log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")

    def tail(self, lines: int = 20) -> str:
        """Return the end of the log, safe to print, indented; without the stacks of Node.js."""
        end = self._end().splitlines()
        said = [line for line in end if line.strip() and not _FRAME.match(line)]
        kept = said[-lines:]
        return "\n".join(f"    {printable(line)[:300]}" for line in kept)


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    seconds: float,
    pass_fds: Sequence[int] = (),
    on_wait: Callable[[float], None] = lambda _elapsed: None,
) -> Outcome:
    """Run ``command`` with its output appended to ``log``, for at most ``seconds``.

    It gets a process group of its own, which is stopped as a whole when time is up, when we are
    interrupted, and by its `keeper` when we are killed. A command that cannot be started ends
    with 127.
    """
    began = time.monotonic()
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, *command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    try:
        while True:
            elapsed = time.monotonic() - began
            if elapsed > seconds:
                return Outcome(None, log)
            try:
                return Outcome(child.wait(_POLL), log)
            except subprocess.TimeoutExpired:
                on_wait(elapsed)
    finally:
        _stop_group(child)
        if child.stdin is not None:
            child.stdin.close()


def output_of(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float, limit: int
) -> bytes | None:
    """Return what ``command`` writes to its output; None where it fails, or never comes to an end.

    It has ``seconds``, may write ``limit`` bytes, and is stopped as a whole after that. Raises
    OSError when it cannot be started.
    """
    deadline = time.monotonic() + seconds
    child = subprocess.Popen(
        list(command),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output = _read(child, deadline, limit)
        if output is None:  # with its whole group, while nobody else can have that number
            _signal_group(child.pid, signal.SIGKILL)
            return None
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    finally:
        _stop_group(child)
    return output if child.returncode == 0 else None


def _read(child: subprocess.Popen[bytes], deadline: float, limit: int) -> bytes | None:
    """Return all that a child writes until the end of its output; None for too much or too slow."""
    output = bytearray()
    if child.stdout is None:
        return None
    with child.stdout as pipe:
        while len(output) <= limit:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                return bytes(output)
            output += piece
    return None


def _stop_group(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole process group, gently first, unless it ended by itself."""
    if child.poll() is not None:
        return
    _signal_group(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(keeper.GRACE)
    # While any grandchild lives, the group's number stays taken, so this hits no stranger.
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

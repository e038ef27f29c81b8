"""Runs the parts of a set-up side by side, each once, and tells people what they are doing.

Uses nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from preparation.editions import REPO
from preparation.moving_line import MovingLine, clock, last_line

LOGS = REPO / "out" / "setup"
# One installation may fetch a gigabyte over a slow line, but it may not hang for ever.
COMMAND_SECONDS = 3600
STOP_SECONDS = 10.0
POLL_SECONDS = 0.5
PROGRESS_SECONDS = 15.0
TAIL_LINES = 25
# What arrives of downloads where nobody has measured it: a household's line.
MEGABYTES_A_SECOND = 10
Child = subprocess.Popen[bytes]


class BootstrapError(Exception):
    """Something a person has to mend; the message says how."""


class StoppedError(Exception):
    """This part was ended because another one failed."""


@dataclass(frozen=True)
class Part:
    """One thing to be made, by ``make()``, unless ``is_current()``.

    ``needs`` are made before it. ``download`` and ``disk`` are roughly what it takes, in MB;
    ``seconds`` those of making it on two cores, besides the download. ``writes()`` is the file
    where its progress shows, if that is not the part's own log.
    ``check()`` raises BootstrapError where this machine cannot make it; it is asked first of all.
    """

    name: str
    what: str
    folder: Path
    make: Callable[[], None]
    is_current: Callable[[], bool]
    needs: tuple[Part, ...] = ()
    download: int = 0
    disk: int = 0
    seconds: int = 0
    writes: Callable[[], Path | None] = lambda: None
    check: Callable[[], None] = lambda: None

    @property
    def lock(self) -> Path:
        """Beside what is shared by all checkouts, else with the set-up's logs."""
        if REPO in self.folder.parents:
            return LOGS / f"{self.name}.lock"
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def estimate(self) -> float:
        """Roughly how long it takes, in seconds."""
        return self.seconds + self.download / MEGABYTES_A_SECOND


# --- What people see ----------------------------------------------------------------------------


@dataclass
class _Progress:
    started: float
    phases: dict[str, float]
    parts: dict[str, Part]


_progress = _Progress(time.monotonic(), {}, {})
_line = MovingLine(lambda: sys.stderr)


def say(text: str) -> None:
    """One line on stderr: how long the set-up has run, which part speaks, and what it does."""
    thread = threading.current_thread()
    part = ""
    if thread is not threading.main_thread():
        part = f"{thread.name}: "
        _progress.phases.setdefault(thread.name, time.monotonic())
    _line.write(f"[setup {clock(time.monotonic() - _progress.started)}] {part}{text}\n")


def _say_what_still_runs() -> None:
    running = _what_runs()
    if running:
        say(f"still at {running}")


def _show_what_runs() -> None:
    """On a terminal, with the end of what was written last."""
    running = _what_runs()
    if running:
        words = _newest_words()
        whole = clock(time.monotonic() - _progress.started)
        _line.show(f"[setup {whole}] {running}" + (f": {words}" if words else ""))


def _what_runs() -> str:
    now = time.monotonic()
    return ", ".join(_elapsed(name, now - since) for name, since in list(_progress.phases.items()))


def _elapsed(name: str, seconds: float) -> str:
    part = _progress.parts.get(name)
    about = f" of about {clock(part.estimate)}" if part and part.estimate else ""
    return f"{name} {clock(seconds)}{about}"


def _newest_words() -> str:
    """The last line of the log that was written to last, of all that now grow."""
    began = time.time() - (time.monotonic() - _progress.started)
    newest = (began, Path(os.devnull))
    for name in list(_progress.phases):
        with contextlib.suppress(OSError):  # not there yet, or not any more
            part = _progress.parts.get(name)
            file = (part and part.writes()) or LOGS / f"{name}.log"
            newest = max(newest, (file.stat().st_mtime, file))
    return last_line(newest[1])


def announce(parts: Sequence[Part]) -> None:
    """Say what is going to be made and what it takes; refuse where the disk is too small."""
    say("to be made: " + "; ".join(part.what for part in parts))
    download = sum(part.download for part in parts)
    disk = sum(part.disk for part in parts)
    if disk:
        say(
            f"roughly {_size(download)} to download at most, {_size(disk)} of disk, "
            f"{_minutes(parts)} at {MEGABYTES_A_SECOND} MB a second"
        )
    by_disk: dict[int, list[Part]] = {}
    for part in parts:
        by_disk.setdefault(_existing(part.folder).stat().st_dev, []).append(part)
    for group in by_disk.values():
        place = _existing(group[0].folder)
        needed, free = sum(p.disk for p in group), shutil.disk_usage(place).free // 10**6
        if free < needed:
            raise BootstrapError(
                f"{place} has {_size(free)} free, and {_size(needed)} are needed. Make room, or "
                "name a folder on another disk: CCZOO_CACHE=/path/to/folder."
            )


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _minutes(parts: Sequence[Part]) -> str:
    """How long making these takes: all that is downloaded, and the longest way through them."""
    named = {part.name: part for part in parts}

    def way(part: Part) -> int:
        needs = [way(need) for need in part.needs if need.name in named]
        return part.seconds + max(needs, default=0)

    seconds = max(map(way, parts)) + sum(part.download for part in parts) / MEGABYTES_A_SECOND
    minutes = math.ceil(seconds / 60)
    return f"some {minutes} minutes" if minutes > 1 else "a minute"


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


# --- Commands -----------------------------------------------------------------------------------


class _Children:
    """The commands that run now, so that a failure or Ctrl-C leaves none behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Child] = set()
        self.stopping = False

    @contextlib.contextmanager
    def running(self, start: Callable[[], Child]) -> Iterator[Child]:
        """The child that ``start`` starts; raises StoppedError where ``stop`` ended it."""
        with self._lock:
            self.check()
            child = start()
            self._running.add(child)
        try:
            yield child
        finally:
            with self._lock:
                _signal(child, signal.SIGKILL)
                self._running.discard(child)
        self.check()

    def check(self) -> None:
        if self.stopping:
            raise StoppedError

    def stop(self) -> None:
        """End all of them, and let no other one start."""
        with self._lock:
            self.stopping = True
            children = list(self._running)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in children:
                _signal(child, number)
            deadline = time.monotonic() + STOP_SECONDS
            while any(child.poll() is None for child in children) and time.monotonic() < deadline:
                time.sleep(0.05)


def _signal(child: Child, number: int) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


_children = _Children()


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    aloud: bool = False,
) -> None:
    """Run ``command``; what it writes goes to the part's log.

    ``aloud``: its stderr to people as well, line by line, and its stdout to nobody.
    Raises BootstrapError with the command line, the end of what it wrote and what to try.
    """
    words = [str(word) for word in command]
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{threading.current_thread().name}.log"
    with log.open("wb") as output, log.open("rb") as written:

        def start() -> Child:
            return subprocess.Popen(
                words,
                cwd=cwd,
                env=dict(env) if env is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if aloud else output,
                stderr=output,
                start_new_session=True,
                umask=0o022,  # what is made does not depend on who makes it
            )

        with _children.running(start) as child:
            if not _ended(child, written if aloud else None):
                raise BootstrapError(
                    f"`{' '.join(words)}` did not end within {COMMAND_SECONDS // 60} minutes."
                )
    if child.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        raise BootstrapError(
            "\n".join(lines[-TAIL_LINES:])
            + f"\n`{' '.join(words)}` failed with exit code {child.returncode}; the end of "
            f"what it wrote is above, all of it in {log}. Check the network and the free disk "
            "space, then run the same command again."
        )


def _ended(child: Child, written: IO[bytes] | None) -> bool:
    """Wait for the child's end, saying each line that it has ``written``; False if it is late."""
    deadline = time.monotonic() + COMMAND_SECONDS
    rest = b""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_SECONDS)
        *lines, rest = (rest + (written.read() if written else b"")).split(b"\n")
        for line in lines:
            say(line.decode(errors="replace"))
        if child.returncode is not None or time.monotonic() > deadline:
            return child.returncode is not None


def answer_of(command: Sequence[str | Path], *, seconds: float = 60) -> str:
    """What a short command prints, without the white space around it.

    Raises OSError and subprocess.SubprocessError.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=True)
    return done.stdout.strip()


# --- Parts --------------------------------------------------------------------------------------


def missing(parts: Sequence[Part]) -> list[Part]:
    """Those of the parts that are not as they should be, after what they need; each once.

    What only a current part needs is not looked at: a finished wheel does not ask for Node.js.
    """
    found: dict[str, Part] = {}
    for part in parts:
        if not part.is_current():
            for each in (*missing(part.needs), part):
                found.setdefault(each.name, each)
    return list(found.values())


def prepare(parts: Sequence[Part], *, told: bool = False) -> None:
    """Make what is missing, side by side as far as the parts' needs allow.

    What that is and takes is said first, unless people were ``told`` already. At the first
    failure everything that still runs is ended, and that failure is raised.
    """
    wanted = missing(parts)
    if not wanted:
        return
    for part in wanted:
        part.check()
    if not told:
        announce(wanted)
    _progress.parts.update({part.name: part for part in wanted})
    futures: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(wanted)) as pool:
        try:
            for part in wanted:
                first = [futures[need.name] for need in part.needs if need.name in futures]
                futures[part.name] = pool.submit(_make_after, first, part)
            _wait_for(set(futures.values()))
        except BaseException:
            _children.stop()
            raise


def _wait_for(waiting: set[Future[None]]) -> None:
    show = _show_what_runs if _line.moves else _say_what_still_runs
    pause = POLL_SECONDS if _line.moves else PROGRESS_SECONDS
    try:
        while waiting:
            ended, waiting = wait(waiting, pause, FIRST_EXCEPTION)
            for future in ended:
                future.result()
            if waiting:
                show()
    finally:
        _line.write("")


def _make_after(first: Sequence[Future[None]], part: Part) -> None:
    for future in first:
        future.result()
    threading.current_thread().name = part.name
    try:
        with exclusively(part):
            if not part.is_current():
                started = time.monotonic()
                say(part.what)
                part.make()
                say(f"done in {time.monotonic() - started:.0f} s")
    finally:
        _progress.phases.pop(part.name, None)


@contextlib.contextmanager
def exclusively(part: Part) -> Iterator[None]:
    """Hold the part's lock: two runs at once must not build the same thing."""
    part.lock.parent.mkdir(parents=True, exist_ok=True)
    with open(part.lock, "w") as lock:
        told = False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not told:
                say("waiting for another run that makes it")
                told = True
            _children.check()
            time.sleep(0.2)
        yield

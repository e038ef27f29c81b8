"""The soak: quotes by the hundred thousand, from many threads and processes, with random faults.

    python tests/native/soak.py [--generations N]

Processes ask on the emulator, which spoils many requests; now and then one of them is killed at any
moment, and a successor does the rest of its work. What must hold is in ``findings``.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `emulator` is

from emulator import Emulator
from quote_generator.attester import System, attest
from quote_generator.errors import QuoteGeneratorError

GENERATIONS = 100_000
PROCESSES, THREADS = 8, 16
# In whichever order the processes get to work, that many are killed, evenly over the whole.
KILLS = 20
# Seconds for one quote: all wait for the one emulator.
TIMEOUT = 60.0
REPORT_DATA_AT = 568  # of a version 4 quote
REPORT_EVERY = 10
# Memory grows until every thread has met every fault; from then on by no more than this.
WARM_UP = 0.2
GROWTH_LIMIT = 2 << 20
RANDOM = "random-often"
# Beside the random faults, which are nearly always outlived, some that strike so often that calls
# fail, each at a time of its own; and the error that each becomes.
STORMS: dict[str, str | None] = {
    "empty:2000": "ServiceFailed",
    "truncated:2000": "CorruptAnswer",
    "gone:200": "NotAvailable",
    "permission:200": "NotPermitted",
    "slow:2": None,
}
NAMED_ERRORS = set(filter(None, STORMS.values()))


# --- one of the processes -----------------------------------------------------------------------


@dataclass
class Worker:
    """Worker asks for quotes from many threads; ``left`` is how many are still to be asked for."""

    system: System
    left: int
    warm_up: int
    done: int = 0
    growth_from: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask_on(self) -> None:
        try:
            while self._take():
                self._count(self._ask())
        except BaseException as error:  # which nobody else would see in time
            print(f"a process of the soak failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)

    def _take(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def _ask(self) -> str | None:
        """Ask once; return the name of the error, if it was one."""
        wanted = os.urandom(64)
        try:
            quote = attest(
                wanted, transport="configfs-tsm", timeout=TIMEOUT, system=self.system
            ).quote
        except QuoteGeneratorError as error:
            return type(error).__name__
        got = quote[REPORT_DATA_AT : REPORT_DATA_AT + 64]
        assert got == wanted, f"wrong report data: {got.hex()} for {wanted.hex()}"
        return None

    def _count(self, failure: str | None) -> None:
        with self.lock:
            self.done += 1
            if failure:
                print(failure, flush=True)
            if self.done == self.warm_up:
                self.growth_from = resident_bytes()
            if self.done % REPORT_EVERY == 0:
                print(REPORT_EVERY, flush=True)


def work(root: str, generations: int) -> None:
    """Ask that often; print progress as a number, failures by name, and at the end JSON."""
    system = System.under(root, environ={})
    # The first call loads the C core.
    Worker(system, 1, 0).ask_on()
    descriptors = open_descriptors()
    worker = Worker(system, generations, max(1, int(generations * WARM_UP)))
    threads = [threading.Thread(target=worker.ask_on) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for_workers()
    outcome = {
        "growth": resident_bytes() - worker.growth_from,
        "descriptors": open_descriptors() - descriptors,
        "threads": len(os.listdir("/proc/self/task")) - 1,
    }
    print(json.dumps(outcome), flush=True)


def wait_for_workers() -> None:
    """The C core's threads end a moment after their answer is read."""
    for _ in range(500):
        if len(os.listdir("/proc/self/task")) == 1:
            return
        time.sleep(0.01)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# --- all of them --------------------------------------------------------------------------------


@dataclass
class Outcome:
    """Outcome is what a soak came to; the lists have an item for each process that ended well."""

    asked: int = 0
    killed: int = 0
    exit_codes: list[int] = field(default_factory=list)
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    growth: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    left_entries: list[str] = field(default_factory=list)
    made_entries: int = 0
    seconds: float = 0.0

    def add(self, report: dict[str, int]) -> None:
        self.growth.append(report["growth"])
        self.descriptors.append(report["descriptors"])
        self.threads.append(report["threads"])


def findings(outcome: Outcome) -> list[str]:
    """Return, in words, everything that must not be; wrong report data ends a process at once."""
    wrong = []
    if any(outcome.exit_codes):
        wrong.append(f"a process failed; exit codes {outcome.exit_codes}")
    if set(outcome.failures) != NAMED_ERRORS:
        wrong.append(f"other errors than the faults are to become: {dict(outcome.failures)}")
    if outcome.left_entries:
        wrong.append(f"entries were left: {outcome.left_entries}")
    if any(outcome.descriptors):
        wrong.append(f"descriptors were left, by process: {outcome.descriptors}")
    if any(outcome.threads):
        wrong.append(f"threads were left, by process: {outcome.threads}")
    if max(outcome.growth, default=0) > GROWTH_LIMIT:
        wrong.append(f"memory grew, in bytes by process: {outcome.growth}")
    return wrong


@dataclass
class Share:
    """Share is one process's part of the work, which a successor may have to end."""

    process: subprocess.Popen[bytes]
    left: int


class Soak:
    """Soak starts the processes, hears them, and does to them what is due."""

    def __init__(self, emulator: Emulator, generations: int, dice: random.Random) -> None:
        self.emulator = emulator
        self.dice = dice
        self.outcome = Outcome()
        self.shares = selectors.DefaultSelector()
        # What to do when how many quotes have been asked for.
        self.due = sorted(self._events(generations), key=lambda event: event[0])
        for _ in range(PROCESSES):
            self._start(generations // PROCESSES)

    def _events(self, generations: int) -> Iterator[tuple[float, Callable[[], None]]]:
        for number in range(KILLS):
            yield generations * (number + self.dice.random()) / KILLS, self._kill_one
        for number, storm in enumerate(STORMS):
            begin = generations * (number + self.dice.random() / 2) / len(STORMS)
            yield begin, partial(self.emulator.set_fault, storm)
            yield begin + generations / len(STORMS) / 2, partial(self.emulator.set_fault, RANDOM)

    def run(self) -> Outcome:
        started = time.monotonic()
        try:
            while self._running():
                for key, _ in self.shares.select():
                    self._hear(key.data)
                while self.due and self.outcome.asked >= self.due[0][0] and self._running():
                    self.due.pop(0)[1]()
        finally:
            for share in self._running():
                share.process.kill()
                self._end(share)
        state = self.emulator.state()
        self.outcome.left_entries, self.outcome.made_entries = state["entries"], state["mkdir"]
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _running(self) -> list[Share]:
        return [key.data for key in self.shares.get_map().values()]

    def _start(self, left: int) -> None:
        command = [sys.executable, __file__, "--work", self.emulator.root, "--generations"]
        # Unbuffered, or lines could wait here while the selector waits for more of them.
        process = subprocess.Popen([*command, str(left)], stdout=subprocess.PIPE, bufsize=0)
        assert process.stdout is not None
        self.shares.register(process.stdout, selectors.EVENT_READ, Share(process, left))

    def _end(self, share: Share) -> int:
        assert share.process.stdout is not None
        self.shares.unregister(share.process.stdout)
        share.process.stdout.close()
        return share.process.wait()

    def _kill_one(self) -> None:
        victim = self.dice.choice(self._running())
        victim.process.kill()
        self._end(victim)
        self.outcome.killed += 1
        self._start(max(victim.left, THREADS))

    def _hear(self, share: Share) -> None:
        assert share.process.stdout is not None
        line = share.process.stdout.readline().decode().strip()
        if line.isdecimal():
            self.outcome.asked += int(line)
            share.left -= int(line)
        elif line.isidentifier():
            self.outcome.failures[line] += 1
        else:  # its last words, or none
            if line:
                self.outcome.add(json.loads(line))
            self.outcome.exit_codes.append(self._end(share))


def soak(generations: int, *, seed: int = 1) -> Outcome:
    """Run the whole and return what it came to; ``seed`` is that of the faults and the kills."""
    with Emulator(fault=RANDOM, slow=0.5, seed=seed) as emulator:
        return Soak(emulator, generations, random.Random(seed)).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--generations", type=int, default=GENERATIONS)
    parser.add_argument("--work", metavar="ROOT", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        work(options.work, options.generations)
        return 0
    outcome = soak(options.generations)
    print(
        f"asked for {outcome.asked} quotes from {PROCESSES} processes of {THREADS} threads in "
        f"{outcome.seconds:.0f} s, {outcome.made_entries} entries\n"
        f"processes killed: {outcome.killed}; failures: {dict(outcome.failures)}\n"
        f"memory by process, in bytes since it was warm: {outcome.growth}"
    )
    wrong = findings(outcome)
    print("\n".join(wrong) or "nothing wrong, nothing left")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

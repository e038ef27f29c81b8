"""The facts of this start: kept in memory, and told to RTMR3 and its log where that can be.

Each fact is one event there (``quote_generator.workload.events``), recorded before it counts here.
Once an event could not be recorded none is any more, for a log with a gap must not look whole: that
is told once, and what was measured is kept in memory all the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from quote_generator.attester import System, simulates, simulator_directory
from quote_generator.errors import (
    Busy,
    LogMismatch,
    QuoteGeneratorError,
    TimedOut,
)
from quote_generator.logfile import LogFolder, folder_trouble, make_folder
from quote_generator.measure import finish_event, read_rtmr, record_event
from quote_generator.simulator.registers import SimulatedRegisters
from quote_generator.workload.events import DOMAIN, START, Fact, make_fact

log = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds that an event may take, and three times that where it has to be tried again."""

PATIENCE = 3.0
"""Seconds that a server which is just ending may still hold the log."""

MISSING_MAX = 1000
"""Things that could not be measured and are told."""

_PAUSE = 0.05


class OtherProcess(QuoteGeneratorError):  # noqa: N818 - named for the state, as the others
    """OtherProcess: another server of this machine tells the log what it runs."""

    code = "other-process"


class FactLog:
    """The present facts, and how the log stands to them. Any thread may call.

    ``changed`` is called after each change of what ``present`` returns.
    """

    def __init__(
        self,
        system: System | None = None,
        *,
        changed: Callable[[], None] = lambda: None,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        self._system = system or System()
        self._changed = changed
        self._timeout = timeout
        self._patience = patience
        self._why = "not-begun"
        self._facts: dict[tuple[str, ...], Fact] = {}
        self._missing: dict[tuple[str, ...], str] = {}
        self._present: Mapping[str, object] | None = None
        self._held: int | None = None  # the descriptor that holds the log for this process
        # Who records holds the first, for as long as that takes; the second is for memory only.
        self._recording = threading.Lock()
        self._memory = threading.Lock()

    def begin(self) -> None:
        """Record a start, after which no fact of an earlier one counts.

        What a crash left unfinished is finished first.
        """
        with self._recording:
            with self._memory:
                self._facts.clear()
            self._try(self._begin)
        self._changed()

    def add(self, fact: Fact) -> None:
        """Record a fact that is not so already; one without a digest takes an earlier one away."""
        with self._recording:
            earlier = self._facts.get(fact.key)
            is_gone = fact.content["digest"] is None
            if earlier == fact or (is_gone and earlier is None):
                return
            if not self._why:
                self._try(partial(self._record_surely, fact))
            with self._memory:
                # A later fact stands after all others, as `present_facts` has it.
                self._facts.pop(fact.key, None)
                if not is_gone:
                    self._facts[fact.key] = fact
                self._missing.pop(fact.key, None)
                self._present = None
        self._changed()

    def remove(self, fact: Fact) -> None:
        """Record that a fact is so no more."""
        members = {name: value for name, value in fact.content.items() if name != "v"}
        self.add(make_fact(fact.kind, **{**members, "digest": None}))

    def miss(self, kind: str, why: str, *names: str) -> None:
        """Keep why something has no fact: a code. Its names follow as in a fact's key."""
        key = (kind, *names)
        with self._memory:
            if self._missing.get(key) == why:
                return
            if key in self._missing or len(self._missing) < MISSING_MAX:
                self._missing[key] = why
                self._present = None
        self._changed()

    def found(self, kind: str, *names: str) -> None:
        """Take back what ``miss`` was told."""
        with self._memory:
            if self._missing.pop((kind, *names), None) is None:
                return
            self._present = None
        self._changed()

    def present(self) -> Mapping[str, object]:
        """Return the statement's section ``measured``: the same object until it changes.

        ``log`` is "written" where the log's present facts are ``facts``, and else "not-written",
        ``why`` being a code. ``missing`` tells what has no fact, and why.
        """
        with self._memory:
            if self._present is None:
                self._present = {
                    "log": "not-written" if self._why else "written",
                    "why": self._why,
                    "facts": [[fact.kind, dict(fact.content)] for fact in self._facts.values()],
                    "missing": [[*key, why] for key, why in self._missing.items()],
                }
            return self._present

    def facts(self, *kinds: str) -> list[Fact]:
        """Return the present facts of some kinds."""
        with self._memory:
            return [fact for fact in self._facts.values() if fact.kind in kinds]

    @contextmanager
    def still(self) -> Iterator[None]:
        """Keep facts and log as they are, for as long as one reads the one and the other."""
        with self._recording:
            yield

    # The log

    def _begin(self) -> None:
        read_rtmr(3, timeout=self._timeout, system=self._system)  # before any folder is made
        if self._held is None:
            self._held = _hold(self._system, self._timeout, self._patience)
        self._finish()
        self._record_surely(START)
        with self._memory:
            self._why = ""
            self._present = None

    def _record_surely(self, fact: Fact) -> None:
        """Record a fact; where it is not known how that ended, put it right and try once more."""
        try:
            self._record(fact)
        except (Busy, TimedOut, LogMismatch) as error:
            log.warning("an event has to be recorded again: %s", error)
            self._finish()
            self._record(fact)

    def _record(self, fact: Fact) -> None:
        record_event(DOMAIN, fact.kind, fact.text, timeout=self._timeout, system=self._system)

    def _finish(self) -> None:
        finish_event(timeout=self._timeout, system=self._system)

    def _try(self, work: Callable[[], None]) -> None:
        """Do what needs the log; where that fails, tell so, and leave the log alone from now on."""
        try:
            work()
        except QuoteGeneratorError as error:
            code = error.code
            log.warning("what runs here is not measured into RTMR3 (%s): %s", code, error)
        except Exception:
            code = "failed"
            log.exception("what runs here is not measured into RTMR3")
        else:
            return
        with self._memory:
            self._why = code
            self._present = None


def _hold(system: System, timeout: float, patience: float) -> int:
    """Keep other servers of this machine from telling the log what they run: it is one list.

    The kernel lets go of it when this process ends, however it does. Raises OtherProcess.
    """
    path = _made_log_folder(system, timeout)
    with folder_trouble(path), LogFolder(path):
        name = path.with_name(path.name + ".measurer")
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            # Not flock: children that are forked would hold that, too.
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                os.close(fd)
                raise OtherProcess(
                    f"another process holds {name}: one server of a machine tells its log what "
                    "runs; end the other one.",
                    path=str(name),
                ) from None
            time.sleep(_PAUSE)


def _made_log_folder(system: System, timeout: float) -> Path:
    """Return where the log is, whose folder is there then."""
    if simulates(timeout=timeout, system=system):
        registers = SimulatedRegisters(simulator_directory(system.environ))
        registers.make_log_folder()
        return registers.log
    path = Path(system.aael)
    make_folder(path)
    return path

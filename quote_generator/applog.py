"""The application's log as its writer sees it: entry by entry, in the form that the file has.

A file holds one form and never both. A new one is TCG2 events, as the CoCo agent's is since
mid-2025; a text log (``eventlog`` describes both) is continued as text.
"""

from __future__ import annotations

import hashlib
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from .errors import BadInput
from .eventlog import (
    APPLICATION_REGISTER,
    REGISTER_SIZE,
    CutShort,
    application_entry,
    application_line,
    extend,
    holds_tcg2_events,
    parse_aael,
    parse_event,
    read_entry,
)

_BEGIN = "cczoo begin"
_ZEROS = bytes(REGISTER_SIZE)


@dataclass(frozen=True)
class Entry:
    """Entry is what an event adds to the log, and the digest that its register is extended with."""

    data: bytes
    digest: bytes


@dataclass(frozen=True)
class Step:
    """Step is what one entry of a log does.

    The register's ``values`` before and after it, or nothing where it is another register's; its
    ``digest``; the offset where it ends, ``end``; and whether that end is open: a line without its
    own, that may be cut.
    """

    values: tuple[bytes, ...]
    digest: bytes
    end: int
    is_open: bool = False


class Form(ABC):
    """Form is one way to write the application's log."""

    @abstractmethod
    def entry(self, log: bytes, line: str) -> Entry:
        """Return the entry that adds an event's line to the log."""

    @abstractmethod
    def step(self, log: bytes, at: int, value: bytes | None) -> Step:
        """Return what the entry at an offset does to the register of that value.

        ``value`` is None for the first entry, which says or implies where the log begins. Raises
        CutShort where the log ends inside the entry, BadInput where it is none.
        """


class Text(Form):
    """Text is CoCo's older form: a first line with the register's value, then a line an event."""

    def entry(self, log: bytes, line: str) -> Entry:
        """Return the entry that adds an event's line to the log, after the last one's end."""
        end = "" if log.endswith(b"\n") else "\n"
        return Entry(f"{end}{line}\n".encode(), hashlib.sha384(line.encode()).digest())

    def step(self, log: bytes, at: int, value: bytes | None) -> Step:
        """Return what the line at an offset does to the register of that value."""
        end = log.find(b"\n", at)
        try:
            line = _text_of(log[at : end if end >= 0 else len(log)])
            if value is None:
                begin = parse_aael(line)
                value, digest = begin.initial, begin.digest
            else:
                digest = parse_event(line, 0).digest
        except BadInput as error:
            raise error if end >= 0 else CutShort(str(error)) from error
        values = (value, extend(value, [digest]))
        return Step(values, digest, end + 1 or len(log), is_open=end < 0)


def _text_of(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:  # cut within a letter, or what no verifier reads
        raise BadInput("a line of the application event log is not UTF-8") from error


class Tcg2(Form):
    """Tcg2 is the form of TCG2 events.

    Such a log has no place for the register's value before it. Where that is not zeros, its first
    event, of ours, says it: so that log and register can be compared later.
    """

    def entry(self, log: bytes, line: str) -> Entry:
        """Return the entry that adds an event's line to the log."""
        return Entry(*application_entry(line))

    def step(self, log: bytes, at: int, value: bytes | None) -> Step:
        """Return what the entry at an offset does to the register of that value."""
        event, end = read_entry(log, at)
        line = application_line(event)
        if line is None or hashlib.sha384(event.data).digest() != event.digest:
            raise BadInput(f"the entry at offset {at} is no event of an application")
        if value is None:
            begin = re.fullmatch(f"{_BEGIN} sha384/([0-9a-f]{{96}})", line)
            value = bytes.fromhex(begin[1]) if begin else _ZEROS
        if event.register != APPLICATION_REGISTER:
            return Step((value,), event.digest, end)
        return Step((value, extend(value, [event.digest])), event.digest, end)


def form_of(log: bytes) -> Form:
    """Return the form of a log; that of a new one where there is nothing in it yet."""
    return Tcg2() if not log or holds_tcg2_events(log) else Text()


def begin_line(register: bytes) -> str | None:
    """Return the line of a new log's first event; None where none is needed."""
    return None if register == _ZEROS else f"{_BEGIN} sha384/{register.hex()}"


def is_reserved(domain: str, operation: str) -> bool:
    """Say whether only a log's own first event may be called so."""
    return f"{domain} {operation}" == _BEGIN


# --- replay -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """Replay is where a log leads.

    ``values`` are the register's before and after the last entry that extends it (none where the
    log has no whole entry), ``digest`` is that entry's, ``size`` is where the whole entries end.
    After those the log is over, or the next entry ``is_cut``, or what follows ``is_wrong``. The
    last entry ``is_open`` where it is whole and its end is not there. ``count`` counts the others.
    """

    values: tuple[bytes, ...] = ()
    digest: bytes = b""
    size: int = 0
    count: int = 0
    is_cut: bool = False
    is_wrong: bool = False
    is_open: bool = False

    def state(self, register: bytes) -> str:
        """Compare the log with the register, and with what it was before the last entry."""
        if self.is_wrong:
            return "diverged"
        if self.is_cut:
            # Nothing is known of a log whose first entry is not there yet.
            return "unfinished" if register in (self.values[-1:] or (register,)) else "diverged"
        if register in self.values[-1:]:
            return "consistent"
        return "unfinished" if register in self.values else "diverged"


def replay(log: bytes, known: Replay = Replay()) -> Replay:
    """Return where a log leads, going on from what is ``known`` of its beginning."""
    return with_ending(log, whole_entries(log, known))


def whole_entries(log: bytes, known: Replay = Replay(), steps: float = math.inf) -> Replay:
    """Return where a log's whole entries lead, no more than ``steps`` of those not ``known`` yet.

    What stands after them is left aside: so this can be gone on from, whatever comes of that. The
    ``size`` of what is known means that there are no more.
    """
    form, values, digest, at = form_of(log), known.values, known.digest, known.size
    count = known.count
    while at < len(log) and count < known.count + steps:
        try:
            step = form.step(log, at, values[-1] if values else None)
        except BadInput:
            break
        if step.is_open:
            break
        if _extends(step, values):
            values, digest = step.values, step.digest
        at, count = step.end, count + 1
    return Replay(values, digest, at, count)


def with_ending(log: bytes, whole: Replay) -> Replay:
    """Return where a log leads of whose whole entries all are known."""
    if whole.size == len(log):
        return whole
    values = whole.values
    try:
        step = form_of(log).step(log, whole.size, values[-1] if values else None)
    except CutShort:
        return replace(whole, is_cut=True)
    except BadInput:
        return replace(whole, is_wrong=True)
    # Not wrong, not cut and not among the whole ones: its end is open.
    return replace(whole, values=step.values, digest=step.digest, is_open=True)


def _extends(step: Step, values: tuple[bytes, ...]) -> bool:
    """Say whether a step tells more of the register than the ``values`` before it."""
    return len(step.values) > 1 or not values

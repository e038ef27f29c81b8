"""Do the event logs lead to the registers in the quote, and what do they tell?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from quote_generator.errors import BadInput
from quote_generator.eventlog import (
    APPLICATION_REGISTER,
    REGISTERS,
    Event,
    application_line,
    compare,
    parse_aael,
    parse_ccel,
    register_of,
)
from quote_generator.eventtext import kind_of, plain, text_of, unproven
from quote_generator.quote import Quote
from quote_generator.workload.events import DOMAIN

from .appraisal import Rejected
from .checks import FAIL, PASS, SKIPPED, Check

_ROWS_MAX = 200
_TEXT_MAX = 160

_OF_THE_KIT = f"{DOMAIN} "


@dataclass(frozen=True)
class Row:
    """One event to show: a register's name, a kind, and what the event says of itself.

    `fact` is text that the register proves; `word`, like `kind`, is the machine's own word.
    """

    register: str
    kind: str
    word: str
    fact: str


@dataclass(frozen=True)
class Replayed:
    """Where the logs lead.

    `explained` are the registers that they account for, `unexplained` those that they speak of
    and lead elsewhere: RTMR2 or RTMR3, which others may have extended after boot. `lines` are those
    of the application's events, where RTMR3 proves each of them; None where it does not.
    """

    explained: tuple[str, ...]
    unexplained: tuple[str, ...]
    events: tuple[Row, ...]
    lines: tuple[str, ...] | None = None

    @property
    def is_the_kits(self) -> bool:
        """Whether events of the kit, and no others, lead to RTMR3: each of its starts adds some."""
        return bool(self.lines) and all(line.startswith(_OF_THE_KIT) for line in self.lines or ())


def replay_logs(quote: Quote, ccel: bytes | None, aael: str | None) -> Replayed:
    """Where the logs lead, beside the registers in the quote.

    `ccel` is the firmware's log, which may hold the application's events too, `aael` the
    application's text. Raises Rejected for a log that cannot be read, that leads elsewhere than
    to RTMR0 or RTMR1, or that claims events which no register has.
    """
    registers = {name: getattr(quote.body, name) for name in REGISTERS}
    try:
        compared = compare(registers, ccel=ccel, aael=aael)
    except BadInput as error:
        raise Rejected("event-log", "log-malformed", str(error)) from error
    differing = [
        f"{item.register}: {item.reason}" for item in compared if item.outcome == "differs"
    ]
    if differing:
        raise Rejected("event-log", "log-differs", "; ".join(differing))

    def of(outcome: str) -> tuple[str, ...]:
        return tuple(item.register for item in compared if item.outcome == outcome)

    explained = of("match")
    rows = event_rows(ccel, aael, explained)
    lines = _application_lines(ccel, aael) if "rtmr_3" in explained else None
    return Replayed(explained, of("unexplained"), rows, lines)


def _application_lines(ccel: bytes | None, aael: str | None) -> tuple[str, ...] | None:
    """The lines of the application's events, oldest first; None where one may be hidden.

    A digest that is not that of its event's own data may be that of any line.
    """
    events = [] if ccel is None else parse_ccel(ccel)
    of_application = [event for event in events if event.register == APPLICATION_REGISTER]
    lines = [_proven_line(event) for event in of_application]
    if not lines and aael is None:
        return None
    found = [line for line in lines if line is not None]
    more = [] if aael is None else [event.line for event in parse_aael(aael).events]
    return (*found, *more) if len(found) == len(lines) else None


def _proven_line(event: Event) -> str | None:
    is_proven = hashlib.sha384(event.data).digest() == event.digest
    return application_line(event) if is_proven else None


def judge_logs(replayed: Replayed | None, required: Sequence[str] = ()) -> Check:
    """The check of logs that were replayed, None where there are none.

    A policy names the registers that logs are `required` to account for. Others are told where a
    log does not: a log that was held back would say less, and must not be better.
    """
    name = "event-log"
    explained = replayed.explained if replayed else ()
    if missing := [register for register in required if register not in explained]:
        detail = f"no log accounts for {', '.join(missing)}, as the policy asks"
        return Check(name, FAIL, detail, "log-unexplained")
    if replayed is None or not explained + replayed.unexplained:
        return Check(name, SKIPPED, "the server sent no event log")
    leads = f"leads to {', '.join(explained)}" if explained else "leads to no register"
    if not replayed.unexplained:
        return Check(name, PASS, leads)
    others = ", ".join(replayed.unexplained)
    detail = f"{leads}; {others}: extended by others after boot, or not logged rightly"
    return Check(name, PASS, detail, "log-unexplained")


def event_rows(ccel: bytes | None, aael: str | None, explained: Sequence[str]) -> tuple[Row, ...]:
    """The events of both logs, as they are shown. Raises BadInput.

    Each log's end tells more than its beginning's end: of too many events the middle is left out.
    """
    events: list[Event | str] = [] if ccel is None else list(parse_ccel(ccel))
    if aael is not None:
        log = parse_aael(aael)
        events += (f"INIT sha384/{log.initial.hex()}", *(event.line for event in log.events))
    more = len(events) - _ROWS_MAX
    if more <= 0:
        return tuple(_row(event, explained) for event in events)
    half = _ROWS_MAX // 2
    gap = Row("…", "", str(more), "")
    begin = (_row(event, explained) for event in events[:half])
    return tuple(chain(begin, (gap,), (_row(event, explained) for event in events[-half:])))


def _row(event: Event | str, explained: Sequence[str]) -> Row:
    if isinstance(event, str):
        line = plain(event)
        word, fact = ("", line) if "rtmr_3" in explained else (line, "")
        return Row("rtmr_3", "", _short(word), _short(fact))
    text = text_of(event) if register_of(event) in explained else unproven(event)
    register = "mr_td" if event.register == 0 else f"#{event.register}"
    if 1 <= event.register <= len(REGISTERS):
        register = REGISTERS[event.register - 1]
    return Row(register, kind_of(event), _short(text.word), _short(text.fact))


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"

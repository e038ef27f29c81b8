"""Do the event logs lead to the registers in the quote?"""

from __future__ import annotations

from quote_generator.errors import BadInput
from quote_generator.eventlog import REGISTERS, compare
from quote_generator.quote import Quote

from .appraisal import Rejected


def explained_registers(quote: Quote, ccel: bytes | None, aael: str | None) -> tuple[str, ...]:
    """The names of the registers that the logs account for; empty where there is no log.

    `ccel` is the firmware's log, `aael` the application's. Raises Rejected for a log that
    cannot be read or that leads elsewhere.
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
    return tuple(item.register for item in compared if item.outcome == "match")

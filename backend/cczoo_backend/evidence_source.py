"""This machine's evidence: its quotes and event logs, or the simulator's where it stands in."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from quote_generator import eventlog
from quote_generator.attester import (
    SIMULATE_VARIABLE,
    System,
    attest,
    simulates,
    simulator_directory,
)
from quote_generator.errors import QuoteGeneratorError
from quote_generator.evidence import build_evidence
from quote_generator.measure import read_log
from quote_generator.simulator import Simulator
from quote_generator.simulator.state import log_path

from .errors import TeeError
from .workload.statement import Stated

log = logging.getLogger(__name__)

T = TypeVar("T")

LOG_PATIENCE = 1.0
"""Seconds that a log is waited for while an event is recorded there, which takes milliseconds."""


@dataclass(frozen=True)
class Evidence:
    """One client's evidence document.

    ``shared`` is what the answers of one quote have in common, JSON members without braces:
    nearly all of the 15 KB, and so written once a quote. ``own`` are this client's members.
    ``sections`` are those of the statement that the quote binds, as JSON: not for everybody.
    """

    shared: str
    own: Mapping[str, object]
    sections: str | None = None

    def document(self, *, with_sections: bool = False, **more: object) -> bytes:
        """Return the document as JSON, with ``more`` members (at least one)."""
        members = json.dumps({**self.own, **more}, separators=(",", ":"))
        told = ""
        if with_sections and self.sections is not None:
            told = f'"statement_sections":{self.sections},'
        return f"{{{told}{self.shared},{members[1:]}".encode()


class EvidenceSource:
    """Makes evidence. Everything here blocks: call it in a thread.

    ``environ`` says whether and how to simulate, ``root`` is the folder that the machine's files
    are below, ``now`` gives seconds since 1970.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        root: str = "",
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system = System.under(root, environ=environ)
        self._root = root or "/"
        self._now = now
        self._monotonic = monotonic
        self._decided: tuple[int, bool] | None = None

    def build(
        self,
        nonces: list[bytes],
        timeout: float,
        *,
        keyset: Mapping[str, object] | None = None,
        statement: Callable[[], AbstractContextManager[Stated | None]] = nullcontext,
    ) -> list[Evidence]:
        """Return the evidence for each nonce, all from one quote of at most ``timeout`` seconds.

        The quote binds keyset and statement, where they are given; the logs are read while the
        statement stays as it is. Raise TeeError (503, 504) with
        the attester's code.
        """
        deadline = self._monotonic() + timeout
        simulated = self._is_simulated(timeout)
        # Before the quote: a log that is older claims nothing that the quote's registers have not.
        with statement() as stated:
            cc_eventlog, aa_eventlog = self._event_logs(simulated, timeout)
        left = max(0.0, deadline - self._monotonic())
        try:
            documents = build_evidence(
                nonces,
                attest=partial(attest, timeout=left, system=self._system),
                now=self._now(),
                cc_eventlog=cc_eventlog,
                aa_eventlog=aa_eventlog,
                keyset=keyset,
                statement=None if stated is None else stated.document,
            )
        except QuoteGeneratorError as error:
            log.error("no quote (%s): %s", error.code, error)
            status = 504 if error.code == "timed-out" else 503
            raise TeeError(status, error.code, str(error)) from None
        if documents[0]["simulated"] is not simulated:
            # One TD's logs say nothing about another's registers.
            documents = [each | {"cc_eventlog": None, "aa_eventlog": None} for each in documents]
        return _written_once(documents, None if stated is None else stated.sections_json)

    @property
    def may_be_simulated(self) -> bool:
        """Whether the simulator may stand in here. Does not block."""
        return self._system.environ.get(SIMULATE_VARIABLE) == "1"

    def simulator(self, timeout: float) -> Simulator | None:
        """Return the simulator that makes this machine's quotes, or None.

        Raise QuoteGeneratorError where its folder cannot be used.
        """
        if not self._is_simulated(timeout):
            return None
        return Simulator.open(simulator_directory(self._system.environ), patience=timeout)

    def _is_simulated(self, timeout: float) -> bool:
        """Decided once a minute, as it may cost a quote."""
        minute = int(self._monotonic() // 60)
        if self._decided is None or self._decided[0] != minute:
            self._decided = (minute, simulates(timeout=timeout, system=self._system))
        return self._decided[1]

    def _event_logs(
        self, simulated: bool, timeout: float
    ) -> tuple[bytes | None, str | bytes | None]:
        """Return the firmware's log and the application's; a simulated TD has no firmware."""
        patience = min(timeout, LOG_PATIENCE)
        if simulated:
            path = log_path(simulator_directory(self._system.environ))
            return None, _readable(partial(read_log, path, timeout=patience))
        return (
            _readable(partial(eventlog.read_ccel, self._root)),
            _readable(partial(read_log, Path(self._system.aael), timeout=patience)),
        )


def _readable(read: Callable[[], T]) -> T | None:
    """Return an event log, or None where it cannot be read: a quote is good without it."""
    try:
        return read()
    except (QuoteGeneratorError, OSError) as error:
        log.warning("no event log: %s", error)
        return None


def _written_once(
    documents: Sequence[Mapping[str, object]], sections: str | None
) -> list[Evidence]:
    """Return the documents of one quote, with what they share written as JSON once."""
    first = documents[0]
    own = {
        name
        for document in documents
        for name, value in document.items()
        if value is not first[name]
    }
    shared = {name: value for name, value in first.items() if name not in own}
    text = json.dumps(shared, separators=(",", ":"))[1:-1]
    return [
        Evidence(text, {name: document[name] for name in own}, sections) for document in documents
    ]

"""Where a transport has its keyset from: given, or verified, and verified again in time."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Protocol

from quote_generator.sealing.keyset import Keyset

from .. import evidence_file
from ..audit import Report
from ..checks import FAIL, PASS, WARN
from ..evidence_file import Record
from ..problems import Problem, Unreachable
from ..times import rfc3339, seconds_of
from ..verification import Verifier, fetch_evidence
from ..waiting import Countdown, pause
from .asking import asking
from .errors import KeyUnknown, NotVerified, NoVerdict

EARLY = 240.0
"""Seconds before the end of a result when the next one is looked for.

New keys take over five minutes before the old ones end, so that there are new ones by then.
"""


class Keys(Protocol):
    """Gives the keyset to seal to. Raises SealedError where there is none that may be used."""

    def current(self) -> Keyset:
        """The keyset for the next request."""

    def renewed(self, refused: Keyset) -> Keyset:
        """The keyset after nobody knew a key of `refused`, verified anew."""


class FixedKeys:
    """A keyset that somebody else verified, until its keys end."""

    def __init__(self, keyset: Keyset, clock: Callable[[], float] = time.time) -> None:
        self._keyset, self._clock = keyset, clock

    def current(self) -> Keyset:
        """The keyset. Raises NoVerdict (keyset-expired) after its end."""
        if self._clock() > self._keyset.not_after:
            raise NoVerdict(
                "keyset-expired", f"the keys ended at {rfc3339(self._keyset.not_after)}"
            )
        return self._keyset

    def renewed(self, refused: Keyset) -> Keyset:
        """Raises KeyUnknown: there is no other."""
        raise KeyUnknown("key-unknown", "nobody there knows the key; verify the server again")


class VerifiedKeys:
    """The keyset of a server that is verified first, and again before each result ends.

    Safe for threads: one of them verifies, the others go on while the last result holds. Warnings
    are not accepted unless `accept_warnings` says so; `key-binding` has to pass in any case.
    """

    def __init__(self, url: str, verifier: Verifier, *, accept_warnings: bool = False) -> None:
        policy = dataclasses.replace(verifier.policy, require_sealed=True)
        self._url, self._verifier = url, dataclasses.replace(verifier, policy=policy)
        self._accepted = {PASS, WARN} if accept_warnings else {PASS}
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._left, self._early, self._failed = Countdown(0.0), 0.0, 0
        self._again = Countdown(0.0)

    @property
    def report(self) -> Report | None:
        """The last verification that was accepted."""
        return self._report

    def current(self) -> Keyset:
        """The keyset for the next request. Raises NotVerified, and NoVerdict where nobody knows."""
        left = self._left.left()
        if left > self._early:
            return self._keyset()
        if not self._lock.acquire(blocking=left <= 0):
            return self._keyset()  # another thread is about it
        try:
            left = self._left.left()
            if left <= self._early:
                self._verify_again(left)
            return self._keyset()
        finally:
            self._lock.release()

    def renewed(self, refused: Keyset) -> Keyset:
        """The keyset after nobody knew a key of `refused`. Raises as `current` does."""
        with self._lock:
            if self._report is None or self._report.keys is refused:
                self._verify()
            return self._keyset()

    def _keyset(self) -> Keyset:
        report = self._report
        if report is None or report.keys is None or self._left.left() <= 0:
            raise NoVerdict("expired", f"the last result about {self._url} has ended")
        return report.keys

    def _verify_again(self, left: float) -> None:
        """Verify; that nobody answers does no harm while the last result holds."""
        if left > 0 and self._again.left() > 0:
            return
        try:
            self._verify()
        except NoVerdict as error:
            self._failed += 1
            wait = pause(self._failed, asked=error.wait, left=left, chance=1.0)
            self._again = Countdown(wait)
            if left <= 0:
                raise

    def _verify(self) -> None:
        """Verify the server; what is not accepted ends the last result as well."""
        began = Countdown(0.0)
        try:
            record = fetch_evidence(self._url, timeout=self._verifier.timeout)
            report = self._judge(record)
        except Problem as error:
            wait = error.wait if isinstance(error, Unreachable) else 0.0
            raise NoVerdict(error.code, str(error), wait) from error
        if report.result not in self._accepted or report.keys is None:
            self._report, self._left = None, Countdown(0.0)
            raise NotVerified(_why_not(self._url, report), report)
        life = _life(report) + began.left()
        self._report, self._left, self._failed = report, Countdown(life), 0
        self._early = min(EARLY, life / 2)

    def _judge(self, record: Record) -> Report:
        nonce = evidence_file.nonce_of(record.nonce or "")
        ask = asking(self._url, timeout=self._verifier.timeout)
        return self._verifier.verify(record, nonce, ask=ask)


def _life(report: Report) -> float:
    """Seconds for which a result counts, from when it was made."""
    ends, made = (seconds_of(report.notes.get(name)) for name in ("expires", "verified_at"))
    return 0.0 if ends is None or made is None else ends - made


def _why_not(url: str, report: Report) -> str:
    worst = FAIL if report.result == FAIL else WARN
    said = [f"{check.id}: {check.detail}" for check in report.checks if check.outcome == worst]
    return f"{url} is not verified: {'; '.join(said)[:1000]}"

"""Whom a transport seals to: given, or verified, and verified again in time."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from .asking import asking, asking_sections
from .errors import NotVerified, NoVerdict

EARLY = 240.0
"""Seconds before the end of a result when the next one is looked for.

New keys take over five minutes before the old ones end, so that there are new ones by then.
"""


@dataclass(frozen=True)
class Holder:
    """Whom requests are sealed to: the holder of a key of `keyset`.

    `statement` is the hash of what the server stated as it was judged: requests say it, and a
    server that states something else by then does not take them. None where nobody judged that.
    """

    keyset: Keyset
    statement: str | None = None


class Keys(Protocol):
    """Gives the holder to seal to. Raises SealedError where there is none that may be used."""

    def current(self) -> Holder:
        """The holder for the next request."""

    def renewed(self, refused: Holder) -> Holder | None:
        """The holder after nobody knew a key of `refused`, or the server states something else.

        It was verified anew; None where nobody does that here.
        """


class FixedKeys:
    """A keyset that somebody else verified, until its keys end; `statement` as in `Holder`."""

    def __init__(
        self,
        keyset: Keyset,
        clock: Callable[[], float] = time.time,
        *,
        statement: str | None = None,
    ) -> None:
        self._holder, self._clock = Holder(keyset, statement), clock

    def current(self) -> Holder:
        """The keyset's holder. Raises NoVerdict (keyset-expired) after its end."""
        end = self._holder.keyset.not_after
        if self._clock() > end:
            raise NoVerdict("keyset-expired", f"the keys ended at {rfc3339(end)}")
        return self._holder

    def renewed(self, refused: Holder) -> None:
        """There is no other."""


class VerifiedKeys:
    """The holder of the keys of a server that is verified first, and again before a result ends.

    Safe for threads: one of them verifies, the others go on while the last result holds. Warnings
    are not accepted unless `accept_warnings` says so; `key-binding` has to pass in any case.
    `api_key` is one of that server, for a policy that asks what runs there: it is sealed, and goes
    only to a TD that was verified.
    """

    def __init__(
        self,
        url: str,
        verifier: Verifier,
        *,
        accept_warnings: bool = False,
        api_key: str | None = None,
    ) -> None:
        policy = dataclasses.replace(verifier.policy, require_sealed=True)
        self._url, self._verifier = url, dataclasses.replace(verifier, policy=policy)
        self._accepted = {PASS, WARN} if accept_warnings else {PASS}
        self._api_key = api_key
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._holder: Holder | None = None
        self._left, self._early, self._failed = Countdown(0.0), 0.0, 0
        self._again = Countdown(0.0)

    @property
    def report(self) -> Report | None:
        """The last verification that was accepted."""
        return self._report

    def current(self) -> Holder:
        """The holder for the next request. Raises NotVerified, and NoVerdict where nobody knows."""
        left = self._left.left()
        if left > self._early:
            return self._accepted_holder()
        if not self._lock.acquire(blocking=left <= 0):
            return self._accepted_holder()  # another thread is about it
        try:
            left = self._left.left()
            if left <= self._early:
                self._verify_again(left)
            return self._accepted_holder()
        finally:
            self._lock.release()

    def renewed(self, refused: Holder) -> Holder:
        """The holder after `refused` was of no use any more. Raises as `current` does."""
        with self._lock:
            if self._holder is None or self._holder is refused:
                self._verify()
            return self._accepted_holder()

    def _accepted_holder(self) -> Holder:
        holder = self._holder
        if holder is None or self._left.left() <= 0:
            raise NoVerdict("expired", f"the last result about {self._url} has ended")
        return holder

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
            self._report, self._holder, self._left = None, None, Countdown(0.0)
            raise NotVerified(_why_not(self._url, report), report)
        life = _life(report) + began.left()
        self._report, self._holder = report, Holder(report.keys, report.statement)
        self._left, self._failed = Countdown(life), 0
        self._early = min(EARLY, life / 2)

    def _judge(self, record: Record) -> Report:
        nonce = evidence_file.nonce_of(record.nonce or "")
        timeout = self._verifier.timeout
        sections = None
        if self._api_key is not None:
            sections = asking_sections(self._url, self._api_key, timeout=timeout)
        ask = asking(self._url, timeout=timeout)
        return self._verifier.verify(record, nonce, ask=ask, ask_sections=sections)


def _life(report: Report) -> float:
    """Seconds for which a result counts, from when it was made."""
    ends, made = (seconds_of(report.notes.get(name)) for name in ("expires", "verified_at"))
    return 0.0 if ends is None or made is None else ends - made


def _why_not(url: str, report: Report) -> str:
    worst = FAIL if report.result == FAIL else WARN
    said = [f"{check.id}: {check.detail}" for check in report.checks if check.outcome == worst]
    return f"{url} is not verified: {'; '.join(said)[:1000]}"

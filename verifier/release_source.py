"""The newest signed release at some place, read again from time to time, for a policy to go by."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import evidence_file
from .output import remark
from .policy import Policy, policy_of
from .problems import Unreachable
from .release import MAX_RELEASE, fill, read_release, rules_of
from .waiting import Countdown

KEEP = 3600.0
"""Seconds for which a release is not looked for again, unless it ends before."""

RETRY = 60.0
"""Seconds until the next look where nobody answered, or where none but an ended one is there."""

_CODE = "release-unreachable"


def read_place(place: str, *, timeout: float) -> bytes:
    """What is in a file or at an address.

    Raises FileError (file-unreadable) and Unreachable (release-unreachable).
    """
    if not is_address(place):
        return evidence_file.read(Path(place), MAX_RELEASE)
    from .fetching import get

    answer = get(place, _CODE, timeout=timeout)
    if answer.status != 200:
        raise Unreachable(_CODE, f"{place} answered HTTP {answer.status}")
    return answer.body


def is_address(place: str) -> bool:
    """Whether it is to be fetched: who signed is checked, so over http as well."""
    return place.startswith(("https://", "http://"))


class Releases:
    """A policy (JSON, with `workload.release`) filled in from the release at a place.

    It remembers the newest one that it saw: an older one is refused after that. Threads may share
    it.
    """

    def __init__(self, policy: Mapping[str, Any], place: str, *, timeout: float) -> None:
        self._document: Mapping[str, Any] = policy
        self._place, self._timeout = place, timeout
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._next = Countdown(0.0)

    def policy(self) -> Policy:
        """The policy with the values of the newest release, which may have ended.

        Where nobody answers, that is the last one that came. Raises Problem where there was none
        yet, and for what is no release of the policy's, or an old one.
        """
        with self._lock:
            if self._policy is None or self._next.left() <= 0:
                try:
                    self._policy = self._read()
                except Unreachable as error:
                    if self._policy is None:
                        raise
                    remark(f"no newer release: {error}")
                    self._next = Countdown(RETRY)
            return self._policy

    def _read(self) -> Policy:
        rules = rules_of(policy_of(self._document))
        release = read_release(read_place(self._place, timeout=self._timeout), rules)
        self._document = fill(self._document, release)
        self._next = Countdown(max(RETRY, min(KEEP, release.expires - time.time())))
        return policy_of(self._document)

"""Memory of the requests that came lately, so that none is taken twice."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

DATE_TOLERANCE = 120
"""Seconds that the date of a request may differ from this server's clock."""

MEMORY_SECONDS = 2 * DATE_TOLERANCE
"""How long a request is remembered: a date of the tolerated future ends the tolerated past then."""

MEMORY_ENTRIES = 1 << 18


class Replays:
    """Remembers encapsulated keys (``enc``, RFC 9180) from their arrival on.

    It forgets none before its time: whoever could make it forget could repeat a request. So a
    full memory takes no more (``is_full``). ``monotonic`` is in seconds.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        entries: int = MEMORY_ENTRIES,
    ) -> None:
        self._monotonic = monotonic
        self._entries = entries
        self._known: set[bytes] = set()
        self._arrivals: collections.deque[tuple[float, bytes]] = collections.deque()

    def is_full(self) -> bool:
        """Whether nothing more can be remembered now."""
        if len(self._known) < self._entries:
            return False
        self._forget()
        return len(self._known) >= self._entries

    def is_new(self, enc: bytes) -> bool:
        """Remember ``enc``; return whether it was not known. To be asked while not full."""
        self._forget()
        if enc in self._known or len(self._known) >= self._entries:
            return False
        self._known.add(enc)
        self._arrivals.append((self._monotonic(), enc))
        return True

    def _forget(self) -> None:
        end = self._monotonic() - MEMORY_SECONDS
        while self._arrivals and self._arrivals[0][0] <= end:
            self._known.discard(self._arrivals.popleft()[1])

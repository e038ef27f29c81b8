"""How long a result lasts, and how long to wait before somebody is asked again.

Both are the page's rules (web/src/base/countdown.ts, web/src/session/backoff.ts).
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping

FIRST_STEP = 2.0
LONGEST_STEP = 120.0
LONGEST_WAIT = 300.0
"""Seconds: the first and the longest step between two tries, and the most that others get."""

_FOREVER = 1000
"""Tries after which a step does not grow any more, whatever the first one is."""


class Countdown:
    """Counts seconds down by two clocks: the one that went further since the last look counts.

    Nobody sets the steady clock, but it may stand still while the machine sleeps; the other one
    goes on then, but can be set. So neither a sleep nor a clock set back makes it any longer.
    """

    def __init__(
        self,
        seconds: float,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clocks = wall, steady
        self._left = seconds
        self._last = wall(), steady()

    def left(self) -> float:
        """The seconds that are left; less than 0 after the end."""
        here = self._clocks[0](), self._clocks[1]()
        self._left -= max(0.0, here[0] - self._last[0], here[1] - self._last[1])
        self._last = here
        return self._left


def pause(failed: int, *, asked: float, left: float, chance: float) -> float:
    """Seconds until the next try, after `failed` ones in a row.

    The steps double, and half of each is left to chance (0 to 1), so that not all who ask a server
    that comes back do so at once. While an older result holds (`left` seconds), a step is at most
    half of that. What the server asked for is waited in any case.
    """
    longest = max(FIRST_STEP, left / 2) if left > 0 else LONGEST_STEP
    step: float = min(FIRST_STEP * 2.0 ** min(failed - 1, _FOREVER), longest, LONGEST_STEP)
    return max(step / 2, min(asked, LONGEST_WAIT)) + chance * step / 2


def asked_wait(headers: Mapping[str, str], now: float) -> float:
    """Seconds that an answer's Retry-After asks for (RFC 9110 section 10.2.3), or 0.

    `now` is in seconds since 1970; names of headers are in lower case.
    """
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0

"""Moments as text: RFC 3339 in UTC."""

from __future__ import annotations

import datetime

YEAR_10000 = 253402300800
"""Seconds from 1970 to where Python's dates end."""


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as text, in UTC."""
    return f"{datetime.datetime.fromtimestamp(int(moment), datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds_of(text: object) -> float | None:
    """Seconds since 1970 for RFC 3339 text, None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = moment.timestamp() if moment.tzinfo else -1.0
    return seconds if 0 <= seconds < YEAR_10000 else None

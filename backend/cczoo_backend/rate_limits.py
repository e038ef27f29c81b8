"""How often somebody may ask, counted in this process's memory."""

from __future__ import annotations

import ipaddress

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from .errors import TeeError


class RateLimiter:
    """Counts requests by who made them.

    By a sliding counter: it forgets whom it has not seen for two windows, so that callers who
    come from ever new addresses do not fill the memory.
    """

    def __init__(self) -> None:
        self._strategy = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, limit: RateLimitItem, *who: str) -> None:
        """Raise TeeError (429) when ``who`` has used the limit up; count nothing."""
        if not self._strategy.test(limit, *who):
            raise _too_many(limit)

    def count(self, limit: RateLimitItem, *who: str) -> None:
        """Count one request of ``who``; raise TeeError (429) when there were too many."""
        if not self._strategy.hit(limit, *who):
            raise _too_many(limit)


def _too_many(limit: RateLimitItem) -> TeeError:
    detail = f"Too many requests (at most {limit}): wait a little, then try again."
    headers = {"Retry-After": str(limit.get_expiry())}
    return TeeError(429, "too-many-requests", detail, headers=headers)


def address_key(host: str | None) -> str:
    """Return what a client address is counted under: IPv4 whole, IPv6 by its /64 network.

    Anyone with an IPv6 connection has 2^64 addresses. Behind a proxy the address is what the
    proxy (or a liar, when uvicorn trusts every proxy) says: hence the second limit, over all.
    """
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))

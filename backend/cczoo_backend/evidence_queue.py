"""One quote for everybody who waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .batch_worker import BatchWorker
from .errors import TeeError, too_many_waiting

Evidence = TypeVar("Evidence")


class EvidenceQueue(Generic[Evidence]):
    """Answers every nonce that waits with the next quote, one quote at a time.

    A quote costs the platform tens of milliseconds and a kernel-wide lock, and can answer many
    nonces (they share a Merkle tree). So clients never queue for a quote each: the ones that come
    while a quote is under way are answered together by the next.

    ``build`` is called with a list of nonces in one dedicated thread, and returns the evidence
    for each, in the same order.
    """

    def __init__(
        self, build: Callable[[list[bytes]], Sequence[Evidence]], *, limit: int = 256
    ) -> None:
        self._limit = limit
        self._worker = BatchWorker(build, thread="tee-quote")

    async def evidence(self, nonce: bytes, timeout: float) -> Evidence:
        """Return the evidence for ``nonce``; wait at most ``timeout`` seconds.

        Raise TeeError when too many wait already (429) or time is up (504), and whatever
        ``build`` raised for the quote that this nonce was part of.
        """
        if self._worker.waiting >= self._limit:
            raise too_many_waiting("Too many clients wait for a quote: try again in a few seconds.")
        try:
            async with asyncio.timeout(timeout):
                return await self._worker.made_of(nonce)
        except TimeoutError:
            detail = f"No quote within {timeout:g} seconds: the quote service is slow or busy."
            raise TeeError(504, "timed-out", detail) from None

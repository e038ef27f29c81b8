"""What comes in a moment goes out together: how often something is sent tells less then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

WINDOW = 0.010
"""Seconds that the first of several pieces waits for the others."""


class Grouping:
    """Calls ``flush`` a moment after ``arm``, once; nothing waits where nothing is pending.

    ``flush`` is called without anybody who could be told that it failed: the failure is raised by
    the next ``check``.
    """

    def __init__(self, flush: Callable[[], Awaitable[None]], *, window: float = WINDOW) -> None:
        self._flush = flush
        self._window = window
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    def arm(self) -> None:
        """Have what is pending sent when the window ends."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._window, self._begin)

    def disarm(self) -> None:
        """Forget the window: nothing is pending any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check(self) -> None:
        """Raise what the last flush by itself failed with."""
        if self._failure is not None:
            raise self._failure

    async def end(self) -> None:
        """Wait for a flush that is under way, and begin no other."""
        self.disarm()
        if self._task is not None:
            await asyncio.wait([self._task])
        # Its owner, who has us, goes at once then, with the keys that it has: no cycle is left.
        self._flush = _nothing

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._flush()
        except Exception as error:
            self._failure = error


async def _nothing() -> None:
    pass

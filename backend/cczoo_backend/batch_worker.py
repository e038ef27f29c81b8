"""A thread for work that blocks, taken in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class BatchWorker(Generic[Item, Made]):
    """Works for whoever waits, one batch at a time: those who come meanwhile are the next one.

    ``work`` is called with a list of items in one dedicated thread, never on the event loop, and
    returns what it made of each, in the same order. What it raises goes to all of the batch.
    """

    def __init__(self, work: Callable[[list[Item]], Sequence[Made]], *, thread: str) -> None:
        self._work = work
        self._waiting: dict[asyncio.Future[Made], Item] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=thread)
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for the next batch."""
        return len(self._waiting)

    async def made_of(self, item: Item) -> Made:
        """Return what the work makes of ``item``; a caller that is cancelled leaves its place."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Made] = loop.create_future()
        self._waiting[made] = item
        if self._task is None:
            self._task = loop.create_task(self._run())
        try:
            return await made
        finally:
            self._waiting.pop(made, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: dict[asyncio.Future[Made], Item]) -> None:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._thread, self._work, list(batch.values()))
            outcomes = list(zip(batch, made, strict=True))
        except Exception as error:
            for future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for future, value in outcomes:
            if not future.done():  # done: whoever asked has given up
                future.set_result(value)
                await asyncio.sleep(0)  # else all of a batch answer before anybody else's turn

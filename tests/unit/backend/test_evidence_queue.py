"""The queue of nonces: who is answered with whom, and who gets nothing in the way of whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from cczoo_backend.errors import TeeError
from cczoo_backend.evidence_queue import EvidenceQueue

BOUND = 20  # seconds; only a broken test ever waits that long

Answer = dict[str, bytes]


class Attester:
    """Stands in for the quote: waits for ``gate``, remembers which nonces came together."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[bytes]] = []
        self.threads: set[str] = set()
        self.failure: Exception | None = None

    def __call__(self, nonces: list[bytes]) -> list[Answer]:
        self.batches.append(nonces)
        self.threads.add(threading.current_thread().name)
        self.started.set()
        assert self.gate.wait(BOUND)
        if self.failure is not None:
            raise self.failure
        return [{"nonce": nonce} for nonce in nonces]

    async def under_way(self) -> None:
        assert await asyncio.to_thread(self.started.wait, BOUND)


def run(test: Callable[[Attester], Awaitable[None]]) -> Attester:
    attester = Attester()

    async def bounded() -> None:
        await asyncio.wait_for(test(attester), BOUND)

    try:
        asyncio.run(bounded())
    finally:
        attester.gate.set()
    return attester


def ask(queue: EvidenceQueue[Answer], *nonces: bytes) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(queue.evidence(nonce, BOUND)) for nonce in nonces]


def test_nonces_that_wait_are_answered_together_by_the_next_quote() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester)
        first = ask(queue, b"a")
        await attester.under_way()
        rest = ask(queue, b"b", b"c", b"d")
        await asyncio.sleep(0)  # lets them take their places
        attester.gate.set()
        answers = await asyncio.gather(*first, *rest)
        assert [a["nonce"] for a in answers] == [b"a", b"b", b"c", b"d"]

    attester = run(scenario)
    assert attester.batches == [[b"a"], [b"b", b"c", b"d"]]
    assert len(attester.threads) == 1


def test_the_event_loop_runs_on_while_a_quote_is_under_way() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester)
        (waiting,) = ask(queue, b"a")
        await attester.under_way()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        attester.gate.set()
        assert (await waiting)["nonce"] == b"a"

    run(scenario)


def test_a_client_that_gives_up_takes_nothing_with_it() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester, limit=2)
        (first,) = ask(queue, b"a")
        await attester.under_way()
        gone, stays = ask(queue, b"b", b"c")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        (late,) = ask(queue, b"d")  # the place in the queue is free again
        await asyncio.sleep(0)
        attester.gate.set()
        answers = await asyncio.gather(first, stays, late)
        assert [a["nonce"] for a in answers] == [b"a", b"c", b"d"]

    attester = run(scenario)
    assert attester.batches == [[b"a"], [b"c", b"d"]]


def test_a_client_that_gives_up_during_its_quote_does_not_hurt_the_others() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester)
        (gone,) = ask(queue, b"a")
        await attester.under_way()
        gone.cancel()
        (next_one,) = ask(queue, b"b")
        await asyncio.sleep(0)
        attester.gate.set()
        assert (await next_one)["nonce"] == b"b"
        assert gone.cancelled()

    run(scenario)


def test_a_full_queue_refuses_with_429() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester, limit=1)
        waiting = ask(queue, b"a")
        await attester.under_way()
        waiting += ask(queue, b"b")
        await asyncio.sleep(0)
        with pytest.raises(TeeError) as refused:
            await queue.evidence(b"c", BOUND)
        assert (refused.value.status, refused.value.code) == (429, "too-many-waiting")
        attester.gate.set()
        assert len(await asyncio.gather(*waiting)) == 2

    run(scenario)


def test_waiting_is_bounded_with_504() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester)
        with pytest.raises(TeeError) as refused:
            await queue.evidence(b"a", 0.01)
        assert (refused.value.status, refused.value.code) == (504, "timed-out")
        (later,) = ask(queue, b"b")
        attester.gate.set()
        assert (await later)["nonce"] == b"b"

    run(scenario)


def test_a_failed_quote_fails_its_own_nonces_only() -> None:
    async def scenario(attester: Attester) -> None:
        queue = EvidenceQueue(attester)
        attester.gate.set()
        attester.failure = TeeError(503, "busy", "try again")
        for task in ask(queue, b"a", b"b"):
            with pytest.raises(TeeError, match="try again"):
                await task
        attester.failure = None
        (good,) = ask(queue, b"c")
        assert (await good)["nonce"] == b"c"

    run(scenario)


def test_too_few_documents_are_an_error_not_a_wrong_answer() -> None:
    async def scenario(_: Attester) -> None:
        queue = EvidenceQueue(lambda nonces: [])
        (task,) = ask(queue, b"a")
        with pytest.raises(ValueError, match="shorter"):
            await task

    run(scenario)

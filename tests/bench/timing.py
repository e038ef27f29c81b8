"""Measuring: medians, of works that take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence

ROUNDS = 200

Measured = Callable[[], float]


def timed(work: Callable[[], object]) -> Measured:
    """A work that returns the microseconds that it took."""

    def run() -> float:
        started = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - started) / 1000

    return run


def processor_timed(work: Callable[[], object]) -> Measured:
    """A work that returns the microseconds of a processor that its child processes took."""

    def run() -> float:
        before = _processor_us()
        work()
        return _processor_us() - before

    return run


def _processor_us() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e6 * (used.ru_utime + used.ru_stime)


def in_turns(rounds: int, *works: Measured) -> list[float]:
    """The median of what each work returns; after a warm-up of a tenth, at least one round."""
    warm_up = max(1, rounds // 10)
    returned: list[list[float]] = [[] for _ in works]
    for _ in range(warm_up + rounds):
        for work, values in zip(works, returned, strict=True):
            values.append(work())
    return [statistics.median(values[warm_up:]) for values in returned]


def median_us(work: Callable[[], object]) -> float:
    """Median time of one call, in microseconds."""
    (median,) = in_turns(ROUNDS, timed(work))
    return median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]

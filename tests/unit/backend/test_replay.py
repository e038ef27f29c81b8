"""Replay memory: nothing is taken twice while its date is acceptable, and nothing is forgotten."""

from __future__ import annotations

import pytest

from cczoo_backend.sealed.replays import DATE_TOLERANCE, MEMORY_SECONDS, Replays


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_what_came_is_known_as_long_as_a_date_of_then_is_acceptable() -> None:
    clock = Clock()
    replays = Replays(clock)
    assert replays.is_new(b"enc")
    # A date of DATE_TOLERANCE ahead is acceptable for that long after it, too.
    for seconds in (0, 1, DATE_TOLERANCE, 2 * DATE_TOLERANCE - 0.001):
        clock.time = 1000 + seconds
        assert not replays.is_new(b"enc")
    clock.time = 1000 + MEMORY_SECONDS
    assert replays.is_new(b"enc")


def test_a_repetition_does_not_prolong_or_shorten_what_is_known() -> None:
    clock = Clock()
    replays = Replays(clock)
    assert replays.is_new(b"a")
    clock.time += MEMORY_SECONDS / 2
    assert not replays.is_new(b"a")
    assert replays.is_new(b"b")
    clock.time += MEMORY_SECONDS / 2
    assert replays.is_new(b"a")
    assert not replays.is_new(b"b")


def test_a_full_memory_takes_nothing_more_and_forgets_nothing() -> None:
    clock = Clock()
    replays = Replays(clock, entries=3)
    for number in range(3):
        assert not replays.is_full()
        assert replays.is_new(bytes([number]))
    assert replays.is_full()
    assert not replays.is_new(b"more")
    assert not replays.is_new(b"\0")  # the oldest is still known
    clock.time += MEMORY_SECONDS
    assert not replays.is_full()
    assert replays.is_new(b"more")


@pytest.mark.parametrize("count", [10_000])
def test_many_are_told_apart(count: int) -> None:
    replays = Replays(Clock())
    encs = [number.to_bytes(32, "big") for number in range(count)]
    assert all(map(replays.is_new, encs))
    assert not any(map(replays.is_new, encs))

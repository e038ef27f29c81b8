"""How long a result lasts, and how long is waited before somebody is asked again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cczoo_verifier.waiting import (
    FIRST_STEP,
    LONGEST_STEP,
    LONGEST_WAIT,
    Countdown,
    asked_wait,
    pause,
)

BACKOFF = Path(__file__).resolve().parents[2] / "web" / "src" / "session" / "backoff.ts"
DAY = 86400.0
NOW = 1_795_000_000.0


class Clocks:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW, 50.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def countdown(self, seconds: float) -> Countdown:
        return Countdown(seconds, wall=lambda: self.wall, steady=lambda: self.steady)


def test_a_countdown_goes_by_both_clocks() -> None:
    clocks = Clocks()
    counted = clocks.countdown(60)
    clocks.advance(20)
    assert [counted.left(), counted.left()] == [40, 40]
    clocks.advance(50)
    assert counted.left() == -10


def test_a_clock_that_is_set_makes_nothing_longer() -> None:
    clocks = Clocks()
    counted = clocks.countdown(60)
    clocks.advance(10)
    clocks.wall -= DAY
    assert counted.left() == 50
    clocks.advance(10)
    assert counted.left() == 40
    clocks.wall += 30
    assert counted.left() == 10
    clocks.wall -= 30
    assert counted.left() == 10


def test_a_sleep_makes_nothing_longer() -> None:
    """Neither by itself, nor after the other clock was set back."""
    clocks = Clocks()
    counted = clocks.countdown(60)
    clocks.wall -= DAY
    assert counted.left() == 60
    clocks.wall += 45
    assert counted.left() == 15
    clocks.steady += 10
    assert counted.left() == 5


def test_the_page_waits_as_long() -> None:
    told = re.findall(r"export const (\w+) = ([\d_]+);", BACKOFF.read_text())
    assert {name: int(text) / 1000 for name, text in told} == {
        "FIRST_STEP": FIRST_STEP,
        "LONGEST_STEP": LONGEST_STEP,
        "LONGEST_WAIT": LONGEST_WAIT,
    }


def test_pauses_double_within_bounds() -> None:
    def whole(failed: int) -> float:
        return pause(failed, asked=0, left=0, chance=1)

    assert [whole(n) for n in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert {whole(n) for n in (7, 20, 2000, 10**9)} == {LONGEST_STEP}


@pytest.mark.parametrize("failed", [1, 3, 50])
def test_half_of_a_pause_is_left_to_chance(failed: int) -> None:
    least, middle, most = (pause(failed, asked=0, left=0, chance=c) for c in (0, 0.5, 1))
    assert (least, middle) == (most / 2, most * 0.75)


def test_a_pause_keeps_clear_of_the_end_of_a_result() -> None:
    def of(left: float) -> float:
        return pause(50, asked=0, left=left, chance=1)

    assert [of(100), of(10), of(3), of(0.001)] == [50, 5, FIRST_STEP, FIRST_STEP]


def test_a_pause_is_as_long_as_was_asked_for() -> None:
    assert pause(1, asked=30, left=0, chance=0) == 30
    assert pause(1, asked=30, left=0, chance=1) == 31
    assert pause(1, asked=1e12, left=5, chance=0) == LONGEST_WAIT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("9" * 5000, 999999999),
        ("Mon, 23 Nov 2026 14:08:20 GMT", 1795442900 - NOW),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("soon", 0),
        ("\u0667", 0),
    ],
)
def test_what_an_answer_asks_for(text: str, seconds: float) -> None:
    assert asked_wait({"retry-after": text}, NOW) == seconds


def test_an_answer_that_asks_for_nothing() -> None:
    assert asked_wait({}, NOW) == 0

"""The keyring: how long keys live, what takes over when, and that none opens what it should not."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from cczoo_backend.keys import KEMS, Keyring
from quote_generator.sealing.keyset import check_life, parse_keyset

START = 1_800_000_000.75


class Clocks:
    """Wall clock and monotonic clock, and what is to be called later."""

    def __init__(self) -> None:
        self.now, self.monotonic = START, 50.0
        self.later: list[tuple[float, Callable[[], None]]] = []

    def ring(self) -> Keyring:
        return Keyring(
            lambda: self.now, lambda: self.monotonic, lambda *call: self.later.append(call)
        )

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_keyset_has_a_key_of_each_kem_the_quicker_one_first(clocks: Clocks) -> None:
    keyset = parse_keyset(dict(clocks.ring().current().document))
    assert [config.kem for config in keyset.configs] == list(KEMS)
    assert keyset.preferred == keyset.configs[0]
    check_life(keyset.not_after, clocks.now)


def test_the_end_is_an_hour_away_in_whole_seconds(clocks: Clocks) -> None:
    made = clocks.ring().current()
    assert made.not_after == 1_800_003_600
    assert made.document["not_after"] == "2027-01-15T09:00:00Z"


def test_a_keyset_is_handed_out_until_five_minutes_before_its_end(clocks: Clocks) -> None:
    ring = clocks.ring()
    first = ring.current()
    clocks.pass_by(3299)
    assert ring.current() is first
    clocks.pass_by(1)
    second = ring.current()
    assert second is not first
    assert second.not_after == first.not_after + 3300


def test_old_keys_open_until_their_end_and_not_after(clocks: Clocks) -> None:
    ring = clocks.ring()
    first = ring.current()
    clocks.pass_by(3400)
    second = ring.current()
    both = {key.config.key_id for key in first.keys + second.keys}
    assert len(both) == 4
    assert ring.live().keys() == both
    clocks.now = first.not_after - 0.001
    assert ring.live().keys() == both
    clocks.now = first.not_after
    assert ring.live().keys() == {key.config.key_id for key in second.keys}
    assert ring.live(first.keys[0].config.id) == {}


def test_what_is_handed_out_opens_for_five_minutes_at_least(clocks: Clocks) -> None:
    ring = clocks.ring()
    for _ in range(200):
        clocks.pass_by(97)
        made = ring.current()
        assert 300 < made.not_after - clocks.now <= 3600
        names = {key.config.id for key in made.keys}
        assert names <= {key.config.id for key in ring.live().values()}


def test_one_key_is_found_by_its_name_alone(clocks: Clocks) -> None:
    ring = clocks.ring()
    key = ring.current().keys[1]
    assert ring.live(key.config.id) == {key.config.key_id: key}
    assert ring.live("") == ring.live("x" * 11) == {}


def test_without_a_question_nothing_is_made(clocks: Clocks) -> None:
    ring = clocks.ring()
    assert ring.live() == {}
    assert clocks.later == []


def test_an_ended_key_is_let_go_also_where_nobody_asks(clocks: Clocks) -> None:
    ring = clocks.ring()
    gone = [weakref.ref(key) for key in ring.current().keys]
    ((seconds, erase),) = clocks.later
    clocks.pass_by(seconds)
    erase()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@pytest.mark.parametrize("clock", ["now", "monotonic"])
def test_keys_end_by_whichever_clock_says_so_first(clocks: Clocks, clock: str) -> None:
    ring = clocks.ring()
    first = ring.current()
    setattr(clocks, clock, getattr(clocks, clock) + 3600)
    assert ring.live() == {}
    assert ring.current() is not first


def test_a_clock_that_is_set_back_makes_no_keyset_that_is_refused(clocks: Clocks) -> None:
    ring = clocks.ring()
    ring.current()
    clocks.now -= 86400
    check_life(ring.current().not_after, clocks.now)
    assert ring.current().not_after <= clocks.now + 3600


def test_key_ids_are_told_apart_among_all_that_live(clocks: Clocks) -> None:
    ring = clocks.ring()
    seen = []
    for _ in range(30):
        clocks.now -= 3601  # each time a keyset more that lives on
        ring.current()
        seen.append(len(ring.live()))
    assert seen == list(range(2, 62, 2))


def test_threads_that_ask_at_once_get_the_same_keys() -> None:
    ring = Keyring(later=lambda *_: None)
    start, got = threading.Barrier(8), []

    def ask() -> None:
        start.wait(30)
        got.append(ring.current())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 8
    assert all(one is got[0] for one in got)
    assert len(ring.live()) == 2

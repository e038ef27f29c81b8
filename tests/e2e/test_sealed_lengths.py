"""A reader who sees nothing but the sizes of frames tries to learn how long an answer's words are.

Unsealed, it learns them: each event says one word more. Sealed, it does no better on the words that
were said than on the same words in any other order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import StatisticsError, correlation, fmean

import pytest
from playwright.sync_api import BrowserContext

from doubles.wire import DOWN
from e2e.walks import Site, Walk

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

COUNT, RUN, ORDERS = 72, 24, 400
"""Words of an answer, words that are read in one go, and other orders that are tried."""
LONGEST, TRIES = 24, 4
PAUSE = 0.06
"""Seconds between words: well beyond the window in which events go together."""


def an_answer(dice: random.Random) -> list[str]:
    """Words of all lengths, in no order."""
    return ["".join(dice.choices("abcdefghijk", k=dice.randint(1, LONGEST))) for _ in range(COUNT)]


def frame_sizes(walk: Walk, words: Sequence[str]) -> list[int]:
    """How long the frames are in which the answer comes, in order."""
    walk.site.models(answer=" ".join(words), delay=PAUSE)
    chat = walk.open()
    before = len(walk.site.wire.messages)
    chat.send("Say it.")
    chat.expect_reply(words[-1], seconds=90)
    chat.page.close()
    came = walk.site.wire.messages[before:]
    return [len(each.body) for each in came if each.way == DOWN and each.what.startswith("WS ")]


# What may tell lengths: a frame's size, how it grew, or that it grew at all.
READINGS: tuple[Callable[[Sequence[int]], list[float]], ...] = (
    lambda sizes: [float(size) for size in sizes],
    lambda sizes: [float(after - before) for before, after in pairwise(sizes)],
    lambda sizes: [float(after != before) for before, after in pairwise(sizes)],
)


def score(sizes: Sequence[int], lengths: Sequence[int]) -> float:
    """How well the sizes tell the lengths, from 0 to 1, wherever in them the words may stand."""
    runs = [lengths[at : at + RUN] for at in range(0, len(lengths) - RUN + 1, RUN)]
    return max(
        fmean(max(map(abs, _correlations(reading(sizes), run)), default=0.0) for run in runs)
        for reading in READINGS
    )


def _correlations(read: Sequence[float], run: Sequence[int]) -> Iterator[float]:
    for at in range(len(read) - len(run) + 1):
        try:
            yield correlation(read[at : at + len(run)], run)
        except StatisticsError:  # all sizes are one
            yield 0.0


def guesses(sizes: Sequence[int], lengths: Sequence[int], dice: random.Random) -> list[float]:
    """How well the sizes tell other orders of the same lengths, in which nobody said them."""
    return [score(sizes, dice.sample(lengths, len(lengths))) for _ in range(ORDERS)]


def walk_of(site: Site, open_profile: Callable[[Site], BrowserContext]) -> Walk:
    return Walk(site, open_profile(site))


@pytest.fixture(scope="module")
def unsealed_site(start_site: Callable[..., Site]) -> Site:
    """The same, where nothing is sealed."""
    return start_site("unsealed", TEE_SEALED="off")


def test_plain_frames_tell_the_lengths_of_words(
    unsealed_site: Site, open_profile: Callable[[Site], BrowserContext]
) -> None:
    """The test of the test: the same reader, where there is something to read."""
    dice = random.Random(21)
    words = an_answer(dice)
    lengths = [len(word) for word in words]
    walk = walk_of(unsealed_site, open_profile)
    # Words that a busy server has put into one frame do not tell their lengths: it gets more tries.
    tries = (frame_sizes(walk, words) for _ in range(TRIES))
    sizes = next((sizes for sizes in tries if score(sizes, lengths) > 0.9), None)
    assert sizes, "there was nothing to read"
    assert score(sizes, lengths) > max(guesses(sizes, lengths, dice))


def test_sealed_frames_do_not(site: Site, open_profile: Callable[[Site], BrowserContext]) -> None:
    dice = random.Random(22)
    words = an_answer(dice)
    lengths = [len(word) for word in words]
    sizes = frame_sizes(walk_of(site, open_profile), words)
    assert len(sizes) > RUN, "too few frames to say anything about"
    assert score(sizes, lengths) <= max(guesses(sizes, lengths, dice)), sizes

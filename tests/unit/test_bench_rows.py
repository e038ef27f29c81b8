"""The rows of `make bench`: what is beyond its limit is marked, and kept for the exit code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import rows
from bench.rows import Limit


@pytest.fixture(autouse=True)
def none_missed() -> Iterator[None]:
    rows.missed.clear()
    yield
    rows.missed.clear()


@pytest.mark.parametrize(
    ("value", "limit", "told"),
    [
        (10.0, None, ""),
        (10.0, Limit(10), "limit 10 ms"),
        (10.1, Limit(10), "limit 10 ms, MISSED"),
        (10.0, Limit(10, at_least=True), "limit 10 ms"),
        (9.9, Limit(10, at_least=True), "limit 10 ms, MISSED"),
        (15.0, Limit(1.5, of_baseline=True), "limit 1.5 x"),
        (15.1, Limit(1.5, of_baseline=True), "limit 1.5 x, MISSED"),
    ],
)
def test_a_row_beyond_its_limit_is_marked_and_remembered(
    capsys: pytest.CaptureFixture[str], value: float, limit: Limit | None, told: str
) -> None:
    rows.row("a figure", value, "alone", 10.0, "ms", limit=limit)
    assert capsys.readouterr().out.rstrip().endswith(told or "(10.0)")
    assert rows.missed == (["a figure"] if "MISSED" in told else [])

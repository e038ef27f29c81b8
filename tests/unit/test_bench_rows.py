"""The rows of `make bench`: what is beyond its limit is marked, and decides on the exit code."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import demo
from bench import demonstration, open_webui, rows
from bench.rows import Limit
from preparation import editions

# Not `import bench`, which is the measuring itself (tests/bench).
TOOL = Path(demo.__file__).with_name("bench.py")


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


@pytest.fixture
def tool() -> dict[str, Any]:
    """The names of `tools/bench.py`."""
    return runpy.run_path(str(TOOL))


def shows(value: float, *, limit: Limit | None = None) -> Callable[[], None]:
    """A figure of one row."""
    return lambda: rows.row("a figure", value, "alone", 10.0, "ms", limit=limit)


def test_the_command_ends_with_1_and_a_list_where_a_limit_is_missed(
    tool: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tool["FIGURES"] |= {"good": shows(9, limit=Limit(10)), "bad": shows(11, limit=Limit(10))}
    assert tool["main"](["good"]) == 0
    assert capsys.readouterr().err == ""
    assert tool["main"](["bad", "good"]) == 1
    assert capsys.readouterr().err == "limits missed: a figure\n"


def test_the_routes_are_measured_on_the_newest_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CCZOO_EDITION", raising=False)
    oldest, newest = (f"plugin-{editions.versions(editions.PLUGIN)[n]}" for n in (0, -1))
    assert open_webui.with_the_newest() == [oldest, newest]
    monkeypatch.setenv("CCZOO_EDITION", newest)
    assert open_webui.with_the_newest() == [newest]


def test_a_demonstration_that_was_never_run_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "HOME", tmp_path)
    demonstration.time_demonstration()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == editions.full()
    assert ["`make demo`" in lines[0], "`make demo PLUGIN=1`" in lines[1]] == [True, True]
    assert rows.missed == []

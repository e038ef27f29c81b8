"""How a figure is shown: against its baseline, and with its limit where there is one."""

from __future__ import annotations

from dataclasses import dataclass

missed: list[str] = []
"""The rows so far that are beyond their limit."""


@dataclass(frozen=True)
class Limit:
    """What a figure may be at most, in its row's unit.

    ``at_least``: it has to be that much. ``of_baseline``: so many times the baseline, not a value.
    """

    value: float
    at_least: bool = False
    of_baseline: bool = False

    def allows(self, value: float) -> bool:
        """Whether a figure, or how many times its baseline it is, keeps to the limit."""
        return value >= self.value if self.at_least else value <= self.value


def row(
    name: str,
    value: float,
    baseline_name: str,
    baseline: float,
    unit: str = "us",
    *,
    limit: Limit | None = None,
) -> None:
    """Print a value, how many times its baseline it is, and its limit."""
    times = value / baseline
    compared = f"{times:>8.3f} x {baseline_name} ({_number(baseline, unit)})"
    judged = times if limit and limit.of_baseline else value
    _print(name, value, unit, compared, limit, judged)


def detail(name: str, value: float, unit: str = "us", *, limit: Limit | None = None) -> None:
    """Print what else there is to say about the row above."""
    _print(f"  {name}", value, unit, "", limit, value)


def left_out(name: str, why: str) -> None:
    """Say that a figure was not measured here."""
    print(f"{name:<46}{'-':>9} {'':<3} {why}", flush=True)


def _print(
    name: str, value: float, unit: str, compared: str, limit: Limit | None, judged: float
) -> None:
    told = ""
    if limit:
        told = f"limit {limit.value:g} {'x' if limit.of_baseline else unit}"
        if not limit.allows(judged):
            told += ", MISSED"
            missed.append(name.strip())
    line = f"{name:<46}{_number(value, unit):>9} {unit:<3} {compared:<54} {told}"
    print(line.rstrip(), flush=True)


def _number(value: float, unit: str) -> str:
    return f"{value:.0f}" if unit == "B" else f"{value:.1f}"

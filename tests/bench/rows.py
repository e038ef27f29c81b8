"""How a figure is shown: against its baseline, and with its limit where there is one."""

from __future__ import annotations


def row(
    name: str,
    value: float,
    baseline_name: str,
    baseline: float,
    unit: str = "us",
    *,
    limit: str = "",
) -> None:
    """Print a value, how many times its baseline it is, and its limit (with a unit of its own)."""
    compared = f"{value / baseline:>8.3f} x {baseline_name} ({_number(baseline, unit)})"
    _print(name, value, unit, compared, limit)


def detail(name: str, value: float, unit: str = "us", *, limit: str = "") -> None:
    """Print what else there is to say about the row above."""
    _print(f"  {name}", value, unit, "", limit)


def _print(name: str, value: float, unit: str, compared: str, limit: str) -> None:
    told = f"limit {limit}" if limit else ""
    line = f"{name:<46}{_number(value, unit):>9} {unit:<3} {compared:<54} {told}"
    print(line.rstrip(), flush=True)


def _number(value: float, unit: str) -> str:
    return f"{value:.0f}" if unit == "B" else f"{value:.1f}"

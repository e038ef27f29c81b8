"""A report as people read it, on a terminal or in a file.

What servers and services say is shown as text: nothing in it is obeyed, neither by a terminal
nor as rich's markup.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quote_generator.sealing.keyset import Keyset

from .appraisal import Verdict
from .audit import Report, describe
from .bindings import describe_key
from .checks import FAIL, PASS, SKIPPED, WARN
from .output import printable
from .workload import Chosen, Workload
from .workload_notes import AMBER, INFO, OK

_HEADLINES = {PASS: "VERIFIED", WARN: "VERIFIED, WITH WARNINGS", FAIL: "NOT VERIFIED"}
_STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", SKIPPED: "dim"}
_LEVELS = {OK: "green", AMBER: "yellow", INFO: "dim"}
_SHOWN = ("mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3", "mr_seam", "td_attributes", "xfam")

_UNBOUND = (
    "This is about the TD that answered, not about the connection: a machine in between can pass a "
    "genuine TD's answers on, whatever the measurements (docs/threat-model.md, Known limits)."
)
_BOUND = (
    "This is about the TD that holds the key above: what is sealed to it, nobody in between reads. "
    "It says nothing of what travels unsealed, or of a page that was changed on its way "
    "(docs/threat-model.md, Known limits)."
)
"""What nobody may read into a pass: where no key answered, and where one did."""

_MAX_DETAIL = 1000
"""Characters of a check's reason; the rest is in the JSON."""

_UNFOLDED = 20 * _MAX_DETAIL
"""Columns where there is no terminal: each check stays on a line of its own."""


def write_report(report: Report, stream: TextIO) -> None:
    """Write the report: headline, checks, measurements; in colour on a terminal that wants it."""
    terminal = stream.isatty()
    console = Console(
        file=stream,
        force_terminal=terminal,
        no_color=not terminal or bool(os.environ.get("NO_COLOR")),
        width=None if terminal else _UNFOLDED,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(_headline(report))
        console.print()
        console.print(_checks(report))
        if report.keys and report.result != FAIL:
            console.print()
            console.print(_rows({"sealed to": _key(report.keys)}))
        if certificate := report.notes.get("certificate"):
            console.print()
            console.print(_rows({"certificate": _certificate(certificate)}))
        if report.quote:
            console.print()
            console.print(_measurements(report.quote.body.to_dict()))
        if report.verdict and report.result != FAIL:
            console.print()
            console.print(_rows(_platform(report.verdict)))
        if report.told and report.result != FAIL:
            console.print()
            console.print(_rows({name: _shown(value) for name, value in report.told.items()}))
        if workload := report.told_workload:
            console.print()
            console.print(_workload(workload, report.model))
        if report.result != FAIL:
            console.print()
            console.print(Text(_BOUND if report.keys else _UNBOUND))
    lines = [line.rstrip() for line in captured.get().split("\n")]
    text = "\n".join(lines)
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _headline(report: Report) -> Text:
    simulated = report.result == WARN and report.simulated
    words = "SIMULATED TD" if simulated else _HEADLINES[report.result]
    subject = report.notes.get("url") or report.notes.get("evidence_file") or ""
    return Text.assemble((words, f"bold {_STYLES[report.result]}"), f"  {printable(str(subject))}")


def _checks(report: Report) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(min_width=17, no_wrap=True)
    table.add_column(overflow="fold")
    for check in report.checks:
        detail = check.detail[:_MAX_DETAIL] + ("…" if len(check.detail) > _MAX_DETAIL else "")
        code = f" [{check.code}]" if check.code else ""
        table.add_row(
            Text(check.outcome, _STYLES[check.outcome]),
            Text(check.id),
            Text(printable(f"{detail}{code}")),
        )
    return table


def _workload(workload: Workload, model: Chosen | None) -> Table:
    """What runs there, line by line; where words go that are written to the chosen model first."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(overflow="fold")
    lines = [(_level(model.is_ok), str(model))] if model else []
    for level, line in (*lines, *((note.level, str(note)) for note in workload.notes)):
        table.add_row(Text(level, _LEVELS[level]), Text(printable(line[:_MAX_DETAIL])))
    return table


def _level(is_ok: bool) -> str:
    return OK if is_ok else AMBER


def _certificate(told: Mapping[str, Any]) -> str:
    kind = "self-signed" if told["self_signed"] else "issued by another"
    pinned = ", as you pinned it" if told["pinned"] else ""
    return f"SHA-256 {told['sha256']} ({kind}{pinned})"


def _key(keys: Keyset) -> str:
    told = describe_key(keys)
    return f"key {told['id']}, {told['kem']}, until {told['not_after']}"


def _measurements(body: dict[str, str]) -> Table:
    return _rows({name: body[name] for name in _SHOWN})


def _platform(verdict: Verdict) -> dict[str, str]:
    """What Intel says of the platform, and which documents and lists that rests on."""
    told, edition = describe(verdict), verdict.evaluation
    dates, lists = told["dates"], told["crl_numbers"]
    launch, current = (_state(told[name]) for name in ("launch", "current"))
    return {
        "tcb at launch": launch,
        "tcb now": current,
        "tcb dates": _listed(dates),
        "fmspc": edition.fmspc,
        "evaluation": f"TCB info {edition.tcb_info}, QE identity {edition.qe_identity}",
        "crl numbers": _listed(lists),
        "platform": _listed(told["platform"] or {}) or "its certificate does not say",
        "earliest end": told["earliest_expiry"],
    }


def _state(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "a quote of this kind does not say"
    ids = f" ({', '.join(state['advisories'])})" if state["advisories"] else ""
    return f"{state['status']}{ids}, of {state['date']}"


def _listed(values: Mapping[str, Any]) -> str:
    words = {True: "yes", False: "no", None: "none"}
    return ", ".join(f"{name} {words.get(value, value)}" for name, value in values.items())


def _rows(values: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=14, no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(name), Text(printable(value)))
    return table


def _shown(told: object) -> str:
    """What a service tells, as text."""
    text = ", ".join(map(str, told)) if isinstance(told, list) else str(told)
    return printable(text[:_MAX_DETAIL])

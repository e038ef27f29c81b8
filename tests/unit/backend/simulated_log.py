"""A simulated TD's log of facts, as somebody far away reads it."""

from __future__ import annotations

from pathlib import Path

from cczoo_backend.workload.fact_log import FactLog
from quote_generator.attester import System
from quote_generator.eventlog import application_line, read_entry
from quote_generator.measure import check_log
from quote_generator.simulator import state
from quote_generator.workload.events import present_facts


def machine_of(root: Path) -> System:
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(root / "td"),
    }
    return System.under(str(root), environ=environ)


def lines_of(root: Path) -> list[str]:
    data, at, lines = state.log_path(root / "td").read_bytes(), 0, []
    while at < len(data):
        event, at = read_entry(data, at)
        lines.append(application_line(event) or "")
    return lines


def in_log(root: Path) -> list[list[object]]:
    """The present facts, as somebody far away has them of the log."""
    return [[fact.kind, dict(fact.content)] for fact in present_facts(lines_of(root)).facts]


def is_written(facts: FactLog, root: Path) -> bool:
    """Whether the section says that the log holds its facts; where it says so it must."""
    section = facts.present()
    if section["log"] == "written":
        assert (section["why"], section["facts"]) == ("", in_log(root))
        assert check_log(system=machine_of(root)) == "consistent"
    return section["log"] == "written"

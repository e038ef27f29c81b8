"""docs/configuration.md says what the table of settings says."""

from __future__ import annotations

from pathlib import Path

import configuration_page
from cczoo_backend.settings_table import TABLE

REPO = Path(__file__).resolve().parents[3]


def test_the_page_is_the_tables() -> None:
    """Made anew by tools/configuration_page.py."""
    assert (REPO / "docs" / "configuration.md").read_text("utf-8") == configuration_page.page()


def test_every_setting_has_a_row_of_six_cells() -> None:
    rows = [line for line in configuration_page.page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[3] for row in rows] == [setting.variable for setting in TABLE]
    assert {row.count(" | ") for row in rows} == {5}

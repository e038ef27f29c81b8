"""tools/newest.py: what it says of a version that nobody has tried, without one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import newest
from e2e.editions import edition_before, this_edition
from preparation import editions, environments
from preparation.editions import REPO

UNLISTED = "99.0.1"


def test_it_is_no_part_of_the_tests_of_a_commit() -> None:
    """Read, and not asked of `make --dry-run test`, which runs the recipes that name $(MAKE)."""
    text = re.sub(r"(?m)^#.*\n", "", (REPO / "Makefile").read_text())
    rules = re.split(r"(?m)^(?=[\w/%-]+:)", text)
    naming = [rule for rule in rules[1:] if "newest" in rule and not rule.startswith("help:")]
    assert [rule.partition(":")[0] for rule in naming] == ["test-newest"]


JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="test_holds"/>
<testcase name="test_fails"><failure message="assert 1 == 2&#10;more">...</failure></testcase>
<testcase name="test_breaks"><error message="&lt;b&gt; no server">...</error></testcase>
<testcase name="test_of_others"><skipped message="it is the oldest">...</skipped></testcase>
</testsuite></testsuites>"""


def test_every_test_is_named_with_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    lines = newest.test_lines(JUNIT)
    assert [(line.what, line.holds) for line in lines] == [
        ("smoke: test_holds", True),
        ("smoke: test_fails", False),
        ("smoke: test_breaks", False),
        ("smoke: test_of_others", False),
    ]
    assert [line.is_left_out for line in lines] == [False, False, False, True]
    assert newest.report(UNLISTED, lines) == newest.DOES_NOT
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith("1 of 3 hold, 1 were left out")
    assert "  smoke: test_fails: FAILED: assert 1 == 2" in said
    assert "  smoke: test_of_others: left out: it is the oldest" in said
    assert newest.report(UNLISTED, [lines[0], lines[3]]) == newest.HOLDS


SKIPPED = '<testcase name="test_of_others"><skipped message="it is the oldest"/></testcase>'


@pytest.mark.parametrize("cases", ["", SKIPPED, SKIPPED * 2])
def test_no_tests_are_no_success(cases: str) -> None:
    lines = newest.test_lines(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert newest.report(UNLISTED, lines) == newest.DOES_NOT


@pytest.mark.parametrize(
    ("code", "report", "outcomes"),
    [
        (0, JUNIT, ["holds"]),
        (2, JUNIT, ["holds", "did not run to their end (pytest ended with 2)"]),
        (4, None, ["did not run to their end (pytest ended with 4)"]),
        (0, None, ["left no report"]),
    ],
)
def test_a_run_that_was_cut_short_is_no_success(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    report: str | None,
    outcomes: list[str],
) -> None:
    monkeypatch.setattr(newest, "UNLISTED_LOCKS", tmp_path)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if report is not None:
            Path(command[-1].partition("=")[2]).write_text(report)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(newest.subprocess, "run", run)
    lines = newest.tested(f"plugin-{UNLISTED}", tmp_path / "python")
    named = {"test_fails", "test_breaks", "test_of_others"}
    kept = [line for line in lines if line.what.removeprefix("smoke: ") not in named]
    assert [line.outcome for line in kept] == outcomes


def test_anchors_are_looked_for_in_the_front_end(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text('"row" "there"')
    entries = [
        {"selector": ".row", "position": "after", "markup": "there", "versions": ["1"]},
        {"selector": ".gone", "position": "after", "markup": "there", "versions": ["1"]},
        {"selector": ".other", "position": "after", "markup": "of another", "versions": ["0"]},
    ]
    document = {"places": {"badge": {"anchors": entries}}}
    assert newest.anchors_found(document, tmp_path, "1") == [
        ("badge, anchors 1", "holds"),
        ("badge, anchors 2", "NOT FOUND: gone"),
    ]


def test_a_lock_is_resolved_once_and_from_the_listed_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And anew when open-webui's own files, or the pins that it begins with, are others."""
    monkeypatch.setattr(environments, "UNLISTED_LOCKS", tmp_path)
    monkeypatch.setattr(newest, "UNLISTED_LOCKS", tmp_path)
    resolved: list[str] = []
    hashes = ["--hash=sha256:" + "1" * 64]

    def resolve(wanted: list[str], *, output: Path, left_out: tuple[str, ...]) -> None:
        resolved.append(output.read_text())
        output.write_text(f"aiohttp==3.0.0\n{wanted[0]}\nyarl==1.0.0\n")

    monkeypatch.setattr(newest.locks, "resolve", resolve)
    monkeypatch.setattr(newest.locks, "hashed", lambda stock: f"{stock} \\\n    {hashes[0]}")
    newest.make_lock(UNLISTED)
    newest.make_lock(UNLISTED)
    assert len(resolved) == 1
    seed = environments.lock_path(editions.versions(editions.PLUGIN)[-1]).read_text()
    assert "open-webui==" not in resolved[0]
    assert set(resolved[0].splitlines()) < set(seed.splitlines())
    stock, requirements = environments._lock_of(UNLISTED)
    assert stock == f"open-webui=={UNLISTED} \\\n    {hashes[0]}\n"
    assert "aiohttp==3.0.0" in requirements
    assert [path.name for path in tmp_path.iterdir()] == [f"open-webui-{UNLISTED}.txt"]
    hashes[0] = "--hash=sha256:" + "2" * 64
    newest.make_lock(UNLISTED)
    assert len(resolved) == 2


def test_the_browser_suite_takes_the_version_that_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CCZOO_EDITION", f"plugin-{UNLISTED}")
    with pytest.raises(ValueError, match="is none of"):
        this_edition()
    monkeypatch.setenv("CCZOO_TRIED", UNLISTED)
    tried = this_edition()
    assert (str(tried), tried.is_listed) == (f"plugin-{UNLISTED}", False)
    before = edition_before(tried)
    assert before is not None
    assert (before.version, before.is_listed) == (editions.versions(editions.PLUGIN)[-1], True)


@pytest.mark.parametrize("text", ["../../etc", "", "1; rm -rf /", "0.12.3\n", "latest"])
def test_what_is_no_version(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "newest_version", lambda: "none at all")
    with pytest.raises(SystemExit) as ended:
        newest.main(["--version", text])
    assert ended.value.code == 2

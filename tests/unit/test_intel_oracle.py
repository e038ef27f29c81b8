"""`make test-intel` itself, with a program that only looks like one for Intel's library."""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cases import generate
from intel import run
from intel.accepted_differences import (
    ACCEPTS,
    DIFFERENCES,
    FAILS,
    REFUSES,
    REPORTS,
    VERSION,
    Difference,
    table,
)
from intel.comparison import Deviation, compare, deviation
from intel.oracle import FILES, Answer, Judged, NoAnswerError, ask, ask_all, read_answer

DOCS = Path(__file__).resolve().parents[2] / "docs"
SAID: dict[str, Any] = {
    "library": VERSION,
    "accepted": True,
    "code": "STATUS_OK",
    "status": "UpToDate",
    "launch": {"status": "UpToDate", "date": 1799913600, "advisories": []},
    "current": {"status": "UpToDate", "date": 1799913600, "advisories": []},
    "evaluation": 17,
}
"""What a program says of a good case."""

PROGRAM = """#!{python}
import json, os, signal, sys, time
quote, folder, root, now = sys.argv[1:]
does, _, text = open(quote).read().partition(" ")
if does == "hang": time.sleep(600)
if does == "crash": os.kill(os.getpid(), signal.SIGSEGV)
if does == "fail": sys.exit("no library")
if does == "files":
    os.chdir(folder)
    held = {{name: open(name, "rb").read().hex() for name in os.listdir()}}
    code = json.dumps([held, open(root).read(), now])
    text = json.dumps({said} | {{"accepted": False, "code": code}})
print(text or json.dumps({said}))
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Does what the quote says, instead of looking into it; or says that all is good."""
    path = tmp_path / "program"
    path.write_text(PROGRAM.format(python=sys.executable, said=repr(SAID)))
    path.chmod(0o755)
    return str(path)


def case_that(does: str, **collateral: str) -> dict[str, Any]:
    return {
        "quote_b64": base64.b64encode(does.encode()).decode(),
        "collateral": collateral,
        "root_ca_pem": "the root",
        "now": 1800000000.5,
    }


def test_the_program_gets_files_and_whole_seconds(program: str) -> None:
    texts = {member: f"{member}!" for member in FILES.values()}
    texts |= {"root_crl_der_b64": "AAEC", "pck_crl_der_b64": "-----BEGIN X509 CRL-----"}
    files, root, now = json.loads(ask(program, case_that("files", **texts)).code)
    assert (root, now) == ("the root", "1800000000")
    assert files.pop("root_crl.der") == "000102"
    assert {name: bytes.fromhex(data).decode() for name, data in files.items()} == {
        name: texts[member] for name, member in FILES.items() if name != "root_crl.der"
    }


def test_what_a_case_lacks_is_no_file(program: str) -> None:
    broken: Any = case_that("files", tcb_info_json="{}") | {}
    broken["collateral"]["qe_identity_json"] = 5
    files, _, _ = json.loads(ask(program, broken).code)
    assert set(files) == {"tcb_info.json"}


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("hang", "no answer within 3 seconds"),
        ("crash", "ended by signal 11"),
        ("fail", "exit code 1: no library"),
        ("print UpToDate", "UpToDate"),
        ("print " + json.dumps(SAID) + json.dumps(SAID), "Extra data"),
        ("print " + "[" * 100_000, "RecursionError"),
    ],
)
def test_what_is_no_answer_is_a_difference(program: str, does: str, words: str) -> None:
    [said] = ask_all(program, [case_that(does)], limit=3 if does == "hang" else 60)
    assert isinstance(said, NoAnswerError)
    found = deviation("NAME", said, {})
    assert found
    assert found.does == FAILS
    assert words in found.words


@pytest.mark.parametrize("member", SAID)
@pytest.mark.parametrize("value", [[], "17\u0000", -1.5])
def test_an_answer_has_its_members_and_their_types(member: str, value: object) -> None:
    with pytest.raises(NoAnswerError, match=member):
        read_answer(json.dumps({k: v for k, v in SAID.items() if k != member}).encode())
    if not isinstance(value, type(SAID[member])):
        with pytest.raises(NoAnswerError):
            read_answer(json.dumps(SAID | {member: value}).encode())


def test_of_a_refusal_only_the_code_counts() -> None:
    said = b'{"library":"1.27","accepted":false,"code":"STATUS_TCB_REVOKED"}'
    assert read_answer(said) == Answer("1.27", False, "STATUS_TCB_REVOKED")


# --- comparing -----------------------------------------------------------------------------------

INTEL = read_answer(json.dumps(SAID).encode())
TOLD = {"status": "UpToDate", "date": "2027-01-14T08:00:00Z", "advisories": []}
OURS: dict[str, Any] = {
    "status": "UpToDate",
    "checks": [
        {"id": "quote-signature", "outcome": "pass", "reason": None},
        {"id": "tcb-status", "outcome": "pass", "reason": None},
    ],
    "launch": TOLD,
    "current": None,
    "evaluation": {"fmspc": "544553540000", "tcb_info": 18, "qe_identity": 17},
}


def failing(check: str, reason: str) -> dict[str, Any]:
    return OURS | {"checks": [{"id": check, "outcome": "fail", "reason": reason}]}


@pytest.mark.parametrize(
    ("ours", "differs"),
    [
        (OURS, False),
        (failing("tcb-status", "tcb-status"), False),
        (failing("td-attributes", "debug"), False),
        (failing("reference-values", "reference-values"), False),
        (failing("evidence-format", "quote-malformed"), True),
        (failing("collateral", "revoked"), True),
        (failing("quote-signature", "chain"), True),
        (failing("tcb-status", "tcb-unknown"), True),
        (failing("tcb-status", "tdx-module"), True),
        (failing("tcb-status", "tcb-revoked"), True),
    ],
)
def test_only_a_policy_may_refuse_what_intel_accepts(ours: dict[str, Any], differs: bool) -> None:
    found = deviation("NAME", INTEL, ours)
    assert (found.does if found else None) == (ACCEPTS if differs else None)
    refusal = Answer(VERSION, False, "STATUS_ANY")
    found = deviation("NAME", refusal, ours)
    assert (found.does if found else None) == (None if differs else REFUSES)


@pytest.mark.parametrize(
    ("intel", "ours", "words"),
    [
        ({"status": "OutOfDate"}, {}, "status OutOfDate; ours say UpToDate"),
        ({"evaluation": 18}, {}, "evaluation 18; ours say 17"),
        ({"launch": Judged("UpToDate", 0, frozenset())}, {}, "launch date"),
        ({"launch": Judged("UpToDate", 1799913600, frozenset({"INTEL-SA-1"}))}, {}, "INTEL-SA-1"),
        (
            {"current": Judged("OutOfDate", 1799913600, frozenset())},
            {"current": TOLD},
            "current status",
        ),
        ({"current": Judged("UpToDate", 1, frozenset())}, {"current": TOLD}, "current date"),
        # The library repeats the one TCB as current, and calls the launch by the relaunch.
        ({"current": Judged("OutOfDate", 1, frozenset())}, {}, None),
        ({"current": None}, {"current": TOLD}, None),
        ({"launch": Judged("TDRelaunchAdvised", 1799913600, frozenset())}, {}, None),
    ],
)
def test_what_both_accept_is_compared(
    intel: dict[str, Any], ours: dict[str, Any], words: str | None
) -> None:
    found = deviation("NAME", dataclasses.replace(INTEL, **intel), OURS | ours)
    if words is None:
        assert found is None
    else:
        assert found
        assert (found.does, words in found.words) == (REPORTS, True)


def test_every_deviation_needs_a_line_of_its_kind_and_every_pattern_a_deviation() -> None:
    line = Difference(ACCEPTS, "this", "that", ("a/*", "b/gone"))
    found = [
        Deviation("a/1", ACCEPTS, ""),
        Deviation("a/2", REFUSES, ""),
        Deviation("c", FAILS, ""),
    ]
    comparison = compare(found, [line])
    assert comparison.accepted == {line: found[:1]}
    assert comparison.others == found[1:]
    assert comparison.stale == ["accepts: b/gone"]


# --- the whole, with our own verifier ------------------------------------------------------------


@pytest.fixture
def two_cases() -> dict[str, Any]:
    """A good one, and one of which a program that calls everything good says otherwise."""
    good = next(case for case in generate() if case.expected == "accepted")
    bad = next(case for case in generate() if case.failing == "quote-signature")
    return {"good": good.case, "bad": bad.case}


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([(ACCEPTS, "*")], 0, "accepts: this (1)"),
        ([], 1, "NOT IN THE TABLE bad: accepts UpToDate; ours refuse: quote-signature"),
        ([(REFUSES, "*")], 1, "NO LONGER SO refuses: *"),
    ],
)
def test_the_run_fails_unless_the_table_is_what_happens(
    two_cases: dict[str, Any],
    good_program: str,
    lines: list[tuple[str, str]],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    differences = [Difference(does, "this", "that", (pattern,)) for does, pattern in lines]
    assert run.examine(good_program, two_cases, differences) == code
    printed = capsys.readouterr().out
    assert f"2 cases, Intel's library {VERSION}" in printed
    assert words in printed


@pytest.fixture
def good_program(tmp_path: Path) -> str:
    """Says that all is good, whatever it is given."""
    path = tmp_path / "good"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(SAID)}'\n")
    path.chmod(0o755)
    return str(path)


def test_another_version_is_told(
    two_cases: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(SAID | {'library': '1.23'})}'\n")
    path.chmod(0o755)
    run.examine(str(path), two_cases, [])
    assert f"the table of accepted differences is that of {VERSION}" in capsys.readouterr().out


def test_without_a_program_nothing_is_examined(tmp_path: Path) -> None:
    assert run.main([]) == 2
    assert run.main([str(tmp_path / "nothing")]) == 2


# --- the table -----------------------------------------------------------------------------------


def test_the_table_names_cases_that_there_are() -> None:
    asked = run.cases_asked()
    assert "simulator/collateral" in asked
    ways = {line.does for line in DIFFERENCES}
    every = [Deviation(name, does, "") for name in asked for does in ways]
    assert compare(every, DIFFERENCES).stale == []


def test_the_documentation_repeats_the_table() -> None:
    assert table() in (DOCS / "verification.md").read_text("utf-8")


def test_the_documentation_has_the_contract() -> None:
    text = (DOCS / "verification.md").read_text("utf-8")
    for name in FILES:
        assert f"`{name}`" in text
    for member in SAID:
        assert f'"{member}"' in text

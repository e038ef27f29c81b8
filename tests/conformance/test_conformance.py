"""Every case against both of our verifiers, and against dcap-qvl by itself."""

from __future__ import annotations

import fnmatch
import json
from functools import cache
from pathlib import Path

import pytest
from cczoo_verifier.checks import CHECK_IDS
from cczoo_verifier.rejections import MEANINGS
from conformance_adapters import (
    LIBRARY,
    OURS,
    Answer,
    batch,
    comparable,
    first_failure,
    reason,
    single,
)
from conformance_differences import ACCEPTS, DIFFERENCES, REFUSES, REPORTS, table

from cases import Case, generate
from cases.catalogue import ACCEPTED, MALFORMED, REJECTED

EXIT = {ACCEPTED: 0, REJECTED: 10, MALFORMED: 30}
ORDER = [
    "evidence-format",
    "collateral",
    "quote-signature",
    "tcb-status",
    "td-attributes",
    "reference-values",
]
DOCS = Path(__file__).resolve().parents[2] / "docs"
CASES = generate()


@cache
def answers_of(adapter: str) -> list[Answer]:
    """What one of our verifiers says to every case."""
    return batch(OURS[adapter], (case.case for case in CASES))


@pytest.fixture(params=sorted(OURS))
def answers(request: pytest.FixtureRequest) -> list[Answer]:
    """The same of each in turn."""
    return answers_of(request.param)


def wanted(case: Case) -> tuple[int, str | None, str | None, str | None]:
    return EXIT[case.expected], case.failing, case.reason, case.status


def test_every_case_gets_the_expected_verdict_check_reason_and_status(
    answers: list[Answer],
) -> None:
    said = {
        case.name: (answer["exit"], first_failure(answer), reason(answer), answer["status"])
        for case, answer in zip(CASES, answers, strict=True)
    }
    assert said == {case.name: wanted(case) for case in CASES}


def test_what_else_a_case_is_about_is_told(answers: list[Answer]) -> None:
    about = [(case, said) for case, said in zip(CASES, answers, strict=True) if case.told]
    assert len(about) > 50
    for case, said in about:
        assert case.told
        assert {name: said[name] for name in case.told} == case.told, case.name


def test_both_say_the_same_of_every_case_code_for_code() -> None:
    python, page = ([comparable(answer) for answer in answers_of(name)] for name in sorted(OURS))
    for case, one, other in zip(CASES, python, page, strict=True):
        assert one == other, case.name


def test_what_is_short_is_said_of_a_platform_that_gets_no_status() -> None:
    """In the same words, which both put after their own."""
    python, page = (answers_of(name) for name in sorted(OURS))
    said = set()
    for case, one, other in zip(CASES, python, page, strict=True):
        if case.reason not in ("tcb-unknown", "tcb-revoked"):
            continue
        ours, theirs = (
            check["detail"]
            for answer in (one, other)
            for check in answer["checks"]
            if check["outcome"] == "fail" and check["id"] == "tcb-status"
        )
        short = theirs.partition(": ")[2]
        if " < " in short or " < " in ours:
            assert ours.endswith(f" ({short})"), case.name
            said.add(case.reason)
    assert said == {"tcb-unknown", "tcb-revoked"}


def test_answers_have_their_shape(answers: list[Answer]) -> None:
    for case, answer in zip(CASES, answers, strict=True):
        assert answer["accepted"] is (case.expected == ACCEPTED), case.name
        if case.expected == MALFORMED:
            assert answer["error"], case.name
            continue
        ids = [check["id"] for check in answer["checks"]]
        assert ids in (ORDER, ORDER[:-1]), case.name
        outcomes = {check["outcome"] for check in answer["checks"]}
        assert outcomes <= {"pass", "warn", "fail", "skipped"}, case.name
        if case.failing != "evidence-format":
            assert len(answer["body"]["report_data"]) == 128, case.name


@pytest.mark.parametrize("adapter", sorted(OURS))
@pytest.mark.parametrize("expected", [ACCEPTED, REJECTED, MALFORMED])
def test_one_case_alone_has_its_exit_code(adapter: str, expected: str) -> None:
    case = next(case for case in CASES if case.expected == expected)
    code, answer = single(OURS[adapter], json.dumps(case.case))
    assert (code, answer["accepted"]) == (EXIT[expected], expected == ACCEPTED)


@pytest.mark.parametrize("adapter", sorted(OURS))
@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"now": 1}', '"' + "x" * 100_000])
def test_what_is_no_case_is_malformed(adapter: str, text: str) -> None:
    code, answer = single(OURS[adapter], text)
    assert (code, answer["accepted"]) == (30, False)


@pytest.fixture(scope="module")
def library() -> dict[str, tuple[Case, Answer]]:
    """What dcap-qvl says by itself, where that is not what is expected.

    Of two faults each is in a case of its own already.
    """
    cases = [case for case in CASES if not case.name.startswith("order/")]
    said = batch(LIBRARY, (case.case for case in cases))
    return {
        case.name: (case, answer)
        for case, answer in zip(cases, said, strict=True)
        if answer["exit"] != EXIT[case.expected]
        or (answer["accepted"] and answer["status"] != case.status)
    }


def test_every_difference_from_the_library_is_listed(
    library: dict[str, tuple[Case, Answer]],
) -> None:
    for name, (case, answer) in library.items():
        does = {ACCEPTS, REPORTS} if case.expected == REJECTED else {REPORTS}
        if not answer["accepted"]:
            does = {REFUSES}
        listed = {d.does for d in DIFFERENCES if any(fnmatch.fnmatch(name, p) for p in d.cases)}
        assert does & listed, f"{name}: {answer}"


def test_no_difference_is_listed_that_is_none(library: dict[str, tuple[Case, Answer]]) -> None:
    for difference in DIFFERENCES:
        for pattern in difference.cases:
            assert fnmatch.filter(library, pattern), f"{pattern} matches nothing that differs"


def test_the_documentation_repeats_the_list() -> None:
    assert table() in (DOCS / "verification.md").read_text()


def test_the_documentation_has_every_check_and_every_reason() -> None:
    text = (DOCS / "verification.md").read_text()
    for name in CHECK_IDS:
        assert f"| `{name}` |" in text
    for code, (check, meaning) in MEANINGS.items():
        assert f"| `{code}` | `{check}` | {meaning} |" in text

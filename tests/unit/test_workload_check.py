"""Check `workload`, held to the vectors that the page has too."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.checks import FAIL, PASS, SKIPPED, WARN, Check
from cczoo_verifier.policy import REQUIREMENTS, WorkloadRules, policy_of, schema
from cczoo_verifier.statement import Sections, read_sections, read_statement
from cczoo_verifier.workload import (
    Chosen,
    Given,
    Workload,
    choose,
    judge_workload,
    warned_keys,
    with_model,
)
from cczoo_verifier.workload_changes import MEMORY_MAX, Memory, remember
from cczoo_verifier.workload_notes import MAX_NOTES, notes_of, quoted
from hypothesis import given
from hypothesis import strategies as st

from quote_generator.errors import BadInput
from quote_generator.evidence import document_hash
from quote_generator.workload.events import present_facts
from vectors import make

VECTORS = json.loads((Path(make.__file__).parent / "workload.json").read_text())
SECTIONS: Mapping[str, Any] = VECTORS["sections"]


def edited(value: Any, edits: Sequence[Any]) -> Any:
    changed = copy.deepcopy(value)
    for pointer, *values in edits:
        *parents, name = pointer.split("/")[1:]
        holder = changed
        for parent in parents:
            holder = holder[int(parent) if isinstance(holder, list) else parent]
        if isinstance(holder, list):
            at = len(holder) if name == "-" else int(name)
            holder[at : at + 1] = values
        elif values:
            [holder[name]] = values
        else:
            del holder[name]
    return changed


def statement_of(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {"v": 1, "sections": {name: document_hash(one) for name, one in sections.items()}}


def sections_of(edits: Sequence[Any] = ()) -> Sections:
    sections = edited(SECTIONS, edits)
    return read_sections(statement_of(sections)["sections"], sections)


def judged(case: Mapping[str, Any]) -> Workload:
    case = {**VECTORS["defaults"], **case}
    sections = edited(SECTIONS, case["edits"])
    stated = Given(
        version=case["runtime"],
        statement=case["statement"] if "statement" in case else statement_of(sections),
        sections=None if case["withheld"] else sections,
        lines=case["log"],
        is_covered=case["covered"],
        now=case["now"],
    )
    memory: Memory | None = None
    for edits in case["remembered"] or ():
        memory = remember(memory, sections_of(edits))
    return judge_workload(stated, rules_of(case["policy"]), memory)


def rules_of(policy: Any) -> WorkloadRules | None:
    return None if policy is None else policy_of({"v": 1, "workload": policy}).workload


def cases(name: str) -> Any:
    return pytest.mark.parametrize("case", VECTORS[name], ids=lambda case: case["name"])


def test_the_usual_statement_is_that_of_the_usual_sections() -> None:
    assert VECTORS["statement"] == statement_of(SECTIONS)


@cases("checks")
def test_what_the_check_makes_of_it(case: Any) -> None:
    found = judged(case)
    wanted = {**VECTORS["defaults"], **case}
    assert (found.check.outcome, found.check.code) == (case["outcome"], case["code"])
    assert found.reads_keys == wanted["reads_keys"]
    assert [[one.member, one.subject] for one in found.violations] == wanted["violations"]
    differences = [[one.code, one.what, one.name] for one in found.differences]
    assert differences == wanted["differences"]
    assert found.check.detail.isprintable()


@cases("notes")
def test_what_people_are_told(case: Any) -> None:
    log = case.get("log", VECTORS["defaults"]["log"])
    present = None if log is None else present_facts(log)
    notes = notes_of(sections_of(case["edits"]), present)
    assert [note.to_dict() for note in notes] == case["notes"]
    assert all(str(note).isprintable() for note in notes)


@cases("models")
def test_where_a_chosen_model_runs(case: Any) -> None:
    chosen = choose(sections_of(case["edits"]), case["model"])
    assert (chosen.code, chosen.address, chosen.what) == (
        case["code"],
        case["address"],
        case["what"],
    )
    assert chosen.is_ok == (case["level"] == "ok")
    assert str(chosen).isprintable()


def test_the_requirements_are_those_of_the_schema() -> None:
    workload = schema()["properties"]["workload"]["properties"]
    assert tuple(workload["require"]["items"]["enum"]) == REQUIREMENTS


@pytest.mark.parametrize("outcome", [PASS, WARN, FAIL, SKIPPED])
def test_a_model_outside_warns_and_hides_nothing(outcome: str) -> None:
    check = Check("workload", outcome, "as it was", "before")
    assert with_model(check, None) == with_model(check, Chosen("model-inside")) == check
    found = with_model(check, Chosen("model-outside", "a:1"))
    expected = (WARN, "model-outside") if outcome in (PASS, SKIPPED) else (outcome, "before")
    assert (found.outcome, found.code) == expected


@pytest.mark.parametrize("outcome", [PASS, WARN, FAIL, SKIPPED])
def test_keys_that_could_be_read(outcome: str) -> None:
    check = Check("key-binding", outcome, "as it was", "before", until=7)
    quiet, loud = (Workload(check, reads_keys=reads) for reads in (False, True))
    assert warned_keys(check, quiet) == check
    found = warned_keys(check, loud)
    expected = (FAIL, "before") if outcome == FAIL else (WARN, "unlisted-function")
    assert (found.outcome, found.code, found.until) == (*expected, 7)
    assert found.detail.startswith("as it was")


def test_ten_thousand_of_each_are_told_in_bounds() -> None:
    model = {**SECTIONS["models"]["offered"][0], "where": "outside"}
    code = {"type": "filter", "digest": None, "active": True}
    way = {"kind": "x" * 1000, "where": "outside"}
    sections = copy.deepcopy(dict(SECTIONS))
    many = range(10_000)
    sections["models"]["offered"] = [{**model, "id": f"m{n}", "address": f"{n}"} for n in many]
    sections["functions"]["present"] = [{**code, "id": f"f{n}"} for n in many]
    sections["connections"]["ways"] = [{**way, "address": f"{n}"} for n in many]
    before = time.process_time()
    given = Given(2, statement_of(sections), sections)
    rules = rules_of({"require": list(REQUIREMENTS)})
    memory = judge_workload(given, rules).memory
    found = judge_workload(given, rules, memory)
    notes = found.notes
    assert time.process_time() - before < 10
    assert len(found.check.detail) < 10_000
    assert len(notes) == MAX_NOTES + 1
    assert (notes[-1].code, max(len(str(note)) for note in notes) < 2000) == ("more", True)
    assert memory is not None
    assert len(memory) == MEMORY_MAX


def test_words_in_quotes_are_cut_and_plain() -> None:
    assert quoted("a\u202e\n\x1b[31mb") == '"a���[31mb"'
    assert quoted('say "x"') == r'"say \"x\""'
    assert quoted("\ud83d") == '"�"'
    assert len(quoted("x" * 1000)) == 122


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON, st.sampled_from(sorted(SECTIONS)), _JSON)
def test_whatever_is_sent_is_refused_or_read(statement: Any, name: str, section: Any) -> None:
    with contextlib.suppress(BadInput):
        read_statement(statement)
    try:
        hashed = {name: document_hash(section)}
    except BadInput:
        return
    try:
        notes = notes_of(read_sections(hashed, {name: section}), None)
    except BadInput:
        return
    assert all(str(note).isprintable() for note in notes)


@given(st.sampled_from(sorted(SECTIONS)), st.data())
def test_one_member_changed(name: str, data: st.DataObject) -> None:
    """Wherever in a section something else stands."""
    sections = copy.deepcopy(dict(SECTIONS))
    holder: Any = sections[name]
    while True:
        keys = range(len(holder)) if isinstance(holder, list) else sorted(holder)
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        holder = inner
    holder[key] = data.draw(_JSON)
    try:
        given = Given(2, statement_of(sections), sections, VECTORS["defaults"]["log"], True)
    except BadInput:
        return
    found = judge_workload(given, rules_of({"require": list(REQUIREMENTS)}))
    assert found.check.detail.isprintable()
    assert all(str(note).isprintable() for note in found.notes)
    json.dumps(found.to_dict(choose(found.sections, "x")))

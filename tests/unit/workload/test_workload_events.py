"""Facts as events of the application's log, and what a log says of now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quote_generator.applog import is_reserved
from quote_generator.errors import BadInput
from quote_generator.eventlog import EVENTS_MAX
from quote_generator.workload import events, text
from quote_generator.workload.events import (
    DOMAIN,
    KINDS,
    START,
    Fact,
    Unknown,
    make_fact,
    parse_fact,
    present_facts,
)
from vectors import make

VECTORS = json.loads((Path(make.__file__).parent / "workload-events.json").read_text())
SHA = "sha256:" + "ab" * 32


def fact_of(line: str) -> Fact:
    """The fact of a line that is one."""
    _, kind, text = line.split(" ")
    return parse_fact(kind, text)


def cases(name: str, title: str) -> Any:
    return pytest.mark.parametrize("case", VECTORS[name], ids=lambda case: case[title])


@cases("facts", "kind")
def test_a_fact_is_one_line_and_back(case: Any) -> None:
    members = {name: value for name, value in case["content"].items() if name != "v"}
    fact = make_fact(case["kind"], **members)
    assert fact.line == case["line"]
    assert fact_of(case["line"]) == fact
    assert dict(fact.content) == case["content"]
    assert fact.line == f"{DOMAIN} {fact.kind} {fact.text}"


@cases("refused", "fault")
def test_no_other_line_is_a_fact(case: Any) -> None:
    _, _, rest = case["line"].partition(" ")
    kind, _, text = rest.partition(" ")
    with pytest.raises(BadInput):
        parse_fact(kind, text)


@cases("present", "name")
def test_a_log_says_what_is_so_now(case: Any) -> None:
    present = present_facts(case["lines"])
    assert present.starts == case["starts"]
    assert [fact.line for fact in present.facts] == case["facts"]
    assert present.unknown == tuple(Unknown(**each) for each in case["unknown"])


def test_the_vectors_have_every_kind() -> None:
    assert {case["kind"] for case in VECTORS["facts"]} == set(KINDS)


def test_no_kind_is_what_a_log_itself_begins_with() -> None:
    assert not any(is_reserved(DOMAIN, kind) for kind in KINDS)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("kernel", {"digest": SHA}),
        ("page", {}),
        ("page", {"digest": SHA, "more": 1}),
        ("page", {"digest": b"\xab"}),
        ("page", {"digest": 1.5}),
        ("tool", {"digest": SHA, "id": "\ud800", "type": "tool"}),
        ("tool", {"digest": SHA, "id": None, "type": "tool"}),
        ("open-webui", {"digest": SHA, "version": "1", "way": []}),
        ("environment", {"digest": SHA}),
    ],
)
def test_what_is_no_fact_is_not_made_one(kind: str, members: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        make_fact(kind, **members)


def test_the_version_is_not_the_callers() -> None:
    assert make_fact("page", digest=SHA, v=7).content["v"] == 1


def test_a_name_of_the_greatest_length_has_room_however_it_is_spelled() -> None:
    longest = "\u202e" * events.NAME_MAX
    fact = make_fact("model", digest=f"fsverity:{SHA}", name=longest, server=longest)
    assert len(fact.text) <= text.TEXT_MAX
    with pytest.raises(BadInput, match="name"):
        make_fact("model", digest=SHA, name=longest + "x", server="s")


def test_a_log_of_more_lines_than_are_read_is_refused() -> None:
    lines = [START.line] * EVENTS_MAX
    assert present_facts(lines).starts == EVENTS_MAX
    with pytest.raises(BadInput, match="more than"):
        present_facts([*lines, START.line])


def test_ten_thousand_models_and_as_many_strangers_are_all_told() -> None:
    models = [make_fact("model", digest=SHA, name=str(n), server="s") for n in range(10_000)]
    strange = [f"cczoo strange {n} <b>" for n in range(10_000)]
    present = present_facts([START.line, *(fact.line for fact in models), *strange])
    assert present.facts == tuple(models)
    assert [each.text for each in present.unknown] == [f"{n} <b>" for n in range(10_000)]


printable = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
facts = st.one_of(
    st.just(START),
    st.builds(
        lambda kind, digest: make_fact(kind, digest=digest),
        st.sampled_from(["front-end", "page", "settings"]),
        st.sampled_from([None, SHA]),
    ),
    st.builds(
        lambda name, server, digest: make_fact("model", name=name, server=server, digest=digest),
        st.sampled_from(["a", "b"]) | printable.filter(lambda t: len(t.encode()) < 200),
        st.sampled_from(["s", "t"]),
        st.sampled_from([None, SHA, f"fsverity:{SHA}"]),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(facts, max_size=12))
def test_the_present_is_what_the_last_word_on_each_thing_says(told: list[Fact]) -> None:
    present = present_facts([fact.line for fact in told])
    starts = [at for at, fact in enumerate(told) if fact == START]
    since = told[starts[-1] + 1 :] if starts else []
    last = {fact.key: fact for fact in since}
    expected = {fact.line for fact in last.values() if fact.content["digest"] is not None}
    assert {fact.line for fact in present.facts} == expected
    assert len(present.facts) == len(expected)
    assert present.starts == len(starts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text() | st.text().map("cczoo ".__add__), max_size=5))
def test_any_lines_are_read_to_the_end(lines: list[str]) -> None:
    present = present_facts([START.line, *lines])
    of_the_kit = [line for line in lines if line.split(" ", 1)[0] == DOMAIN]
    assert len(present.facts) + len(present.unknown) == len(of_the_kit)

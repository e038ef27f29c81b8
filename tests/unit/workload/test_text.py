"""The canonical text of facts: one spelling for each value, and none for what is no fact."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quote_generator.errors import BadInput
from quote_generator.workload.text import (
    INTEGER_MAX,
    NESTING_MAX,
    TEXT_MAX,
    canonical_text,
    parse_canonical,
)

KEYS = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=64)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-INTEGER_MAX, INTEGER_MAX),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)
FACTS = st.dictionaries(KEYS, VALUES, max_size=5)


@given(FACTS)
def test_facts_there_and_back(fact: dict[str, Any]) -> None:
    try:
        text = canonical_text(fact)
    except BadInput:
        return  # nested too deeply, or too long
    assert all("!" <= character <= "~" for character in text)
    assert parse_canonical(text) == fact
    assert json.loads(text) == fact


@given(st.text(max_size=60))
def test_any_text_is_refused_or_canonical(text: str) -> None:
    with suppress(BadInput):
        assert canonical_text(parse_canonical(text)) == text


@given(FACTS, st.data())
def test_no_other_spelling_is_read(fact: dict[str, Any], data: st.DataObject) -> None:
    indent = data.draw(st.sampled_from([None, 1]))
    other = json.dumps(fact, indent=indent)  # with spaces
    try:
        text = canonical_text(fact)
    except BadInput:
        return
    if other != text:
        with pytest.raises(BadInput):
            parse_canonical(other)


def test_spellings() -> None:
    fact = {"b": [1, True, None, -7], "a": 'q" b\\ n\n é \u202e \U0001f600', "A": {}}
    assert canonical_text(fact) == (
        '{"A":{},"a":"q\\"\\u0020b\\\\\\u0020n\\u000a\\u0020\\u00e9\\u0020\\u202e\\u0020'
        '\\ud83d\\ude00","b":[1,true,null,-7]}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "null",
        '{"a":1.0}',
        '{"a":1e2}',
        '{"a":-0}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a": 1}',
        '{"a":1} ',
        '{"a":1}\n',
        '{"b":1,"a":1}',
        '{"a":1,"a":1}',
        '{"a":2,"a":1}',
        '{"a":" "}',
        '{"a":"é"}',
        '{"a":"\\u00E9"}',
        '{"a":"\\u0041"}',
        '{"a":"\\n"}',
        '{"a":"\\/"}',
        '{"a":"\\ud800"}',
        '{"a":"\\ude00\\ud83d"}',
        '{"":1}',
        '{"a\\u0020b":1}',
        f'{{"a":{INTEGER_MAX + 1}}}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "[" * NESTING_MAX + "]" * NESTING_MAX + "}",
        '{"a":' + "[" * 8000 + "]" * 8000 + "}",
        '{"a":"' + "a" * TEXT_MAX + '"}',
        '{"' + "a" * 65 + '":1}',
        "\ufeff{}",
    ],
)
def test_refused_texts(text: str) -> None:
    with pytest.raises(BadInput):
        parse_canonical(text)


@pytest.mark.parametrize(
    "fact",
    [
        {"a": 1.5},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {1: "a"},
        {"a": "\ud800"},
        {"a": -INTEGER_MAX - 1},
        {"é": 1},
        ["a"],
        "a",
        None,
    ],
)
def test_values_without_a_text(fact: Any) -> None:
    with pytest.raises(BadInput):
        canonical_text(fact)


def test_the_largest_that_fit() -> None:
    nested: Any = 1
    for _ in range(NESTING_MAX):
        nested = {"a": nested}
    assert parse_canonical(canonical_text(nested)) == nested
    with pytest.raises(BadInput):
        canonical_text({"a": nested})
    full = {"a": "b" * (TEXT_MAX - len('{"a":""}'))}
    assert parse_canonical(canonical_text(full)) == full
    with pytest.raises(BadInput):
        canonical_text({"a": full["a"] + "b"})

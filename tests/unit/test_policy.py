"""cczoo_verifier.policy: one schema for page and command line, and what each member means."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import policy
from cczoo_verifier.policy import DEFAULT, AttributeRules, Policy, read_policy, read_references
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cases.world import World
from quote_generator.errors import BadInput
from vectors import make

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "web/src/policy/policy.schema.json"
VECTORS = json.loads((Path(make.__file__).parent / "policies.json").read_text())


def test_the_page_has_the_same_schema() -> None:
    assert PAGE.read_bytes() == (ROOT / "verifier/policy.schema.json").read_bytes()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(policy.schema())


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["name"])
def test_accepted_policies(case: Any) -> None:
    assert isinstance(read_policy(case["policy"]), Policy)


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["fault"])
def test_refused_policies_name_the_member(case: Any) -> None:
    with pytest.raises(BadInput, match=r"^policy: ") as caught:
        read_policy(case["policy"])
    if case["member"]:
        assert case["member"] in str(caught.value)


def test_a_policy_has_a_size() -> None:
    text = '{"v":1' + " " * policy.MAX_TEXT + "}"
    with pytest.raises(BadInput, match="longer than"):
        read_policy(text)


@pytest.mark.parametrize("depth", [29, 30, 300, 900, 15_000])
def test_a_policy_has_a_depth(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(BadInput, match="/tcb/pass" if depth < 30 else "deep"):
        read_policy('{"v":1,"tcb":{"pass":[' + deep + "," + deep + "]}}")
    with pytest.raises(BadInput, match="/mr_td" if depth < 31 else "deep"):
        read_references('{"mr_td":[' + deep + "," + deep + "]}")


def test_a_long_list_is_refused_at_once() -> None:
    items = ",".join(f'{{"a":{number}}}' for number in range(100_000))
    before = time.process_time()
    with pytest.raises(BadInput, match="/mr_td"):
        read_references('{"mr_td":[' + items + "]}")
    assert time.process_time() - before < 20  # hours, where each is compared with each


def test_what_a_policy_does_not_say_has_its_default() -> None:
    assert read_policy('{"v":1}') == DEFAULT
    assert DEFAULT.passing == {"UpToDate"}
    assert DEFAULT.td_attributes == AttributeRules(
        "require", "allow", "allow", "allow", "forbid", "forbid", "forbid", "forbid"
    )
    assert (DEFAULT.min_evaluation, DEFAULT.min_quote_version) == (None, 4)
    assert (DEFAULT.max_age, DEFAULT.lifetime) == (None, 3600)


def test_what_a_policy_says_counts() -> None:
    read = read_policy(next(c["policy"] for c in VECTORS["valid"] if c["name"] == "every member"))
    assert read.passing == {"UpToDate"}
    assert read.warning == {"SWHardeningNeeded", "OutOfDate"}
    assert read.advisories == {"INTEL-SA-00837", "INTEL-DOC-1"}
    assert read.min_date == datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)
    assert read.td_attributes == AttributeRules(
        "allow", "forbid", "forbid", "require", "allow", "allow", "require", "forbid"
    )
    assert (read.min_evaluation, read.min_quote_version) == (18, 5)
    assert read.reference_values["mr_td"] == {"ab" * 48, "cd" * 48}
    assert read.lifetime == read.max_age == 60


def test_every_body_field_but_the_report_data_can_be_a_reference_value() -> None:
    body = dict(World("v5-td15").body)
    said = {"report_data": body.pop("report_data"), "MR_TD": bytes(48), "rtmr_4": bytes(48)}
    for name, value in body.items():
        read = policy.policy_of({"v": 1, "reference_values": {name: [value.hex().upper()]}})
        assert read.reference_values == {name: frozenset({value.hex()})}
        for other in (name + "x", "x" + name, name + "\n"):
            said[other] = value
    for name, value in said.items():
        with pytest.raises(BadInput, match="reference_values"):
            policy.policy_of({"v": 1, "reference_values": {name: [value.hex()]}})


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_random_texts_are_refused(text: str | bytes) -> None:
    with pytest.raises(BadInput):
        read_policy(text)


@pytest.mark.parametrize("text", ["[]", "{}", '{"mr_td":[]}', '{"mr_td":"00"}', '{"x":"00"}'])
def test_reference_values_by_themselves(text: str) -> None:
    with pytest.raises(BadInput, match=r"^reference values: "):
        read_references(text)
    assert read_references(json.dumps({"xfam": "AB" * 8})) == {"xfam": {"ab" * 8}}

"""Both verifiers say the same of every event log beside a good quote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance_adapters import OURS, Answer, batch

from cases.world import World
from vectors import make

VECTORS = json.loads((Path(make.__file__).parent / "eventlogs.json").read_text())["cases"]


def case_of(vector: Any) -> dict[str, Any]:
    """A quote with the vector's registers, and the vector's logs beside it."""
    world = World()
    world.body.update({name: bytes.fromhex(v) for name, v in vector["registers"].items()})
    world.policy = {"v": 1, "explained_registers": vector["demanded"]}
    logs = {"cc_eventlog_b64": vector["cc_eventlog"], "aa_eventlog": vector["aa_eventlog"]}
    return world.case() | logs


@pytest.fixture(scope="module")
def answers() -> dict[str, list[Answer]]:
    cases = [case_of(vector) for vector in VECTORS]
    return {name: batch(command, cases) for name, command in OURS.items()}


@pytest.mark.parametrize("name", OURS)
def test_each_is_judged_as_it_should_be(answers: dict[str, list[Answer]], name: str) -> None:
    for vector, answer in zip(VECTORS, answers[name], strict=True):
        passing = vector["outcome"] in ("pass", "skipped")
        check = answer["checks"][-1]
        assert (check["id"], answer["accepted"]) == ("event-log", passing), vector["name"]
        assert check["outcome"] == (vector["outcome"] if passing else "fail"), vector["name"]


def test_both_give_the_same_reason(answers: dict[str, list[Answer]]) -> None:
    # The page names what it skips, and shows registers alone.
    said = [
        [(a["checks"][-1]["code"] or "").replace("no-log", "") for a in answers[name]]
        for name in ("python", "typescript")
    ]
    assert said[0] == said[1]
    assert set(said[0]) == {"", "log-malformed", "log-differs", "log-unexplained"}


def test_a_log_that_was_held_back_is_never_better(answers: dict[str, list[Answer]]) -> None:
    """Of two passing logs none is worse than none at all; a policy that asks for one sees to it."""
    shown = [
        case_of(vector)
        for vector in VECTORS
        if vector["outcome"] == "pass" and not vector["demanded"]
    ]
    withheld = [case | {"cc_eventlog_b64": None, "aa_eventlog": None} for case in shown]
    asking = [case | {"policy": {"v": 1, "explained_registers": ["rtmr_3"]}} for case in withheld]
    for command in OURS.values():
        assert {a["checks"][-1]["outcome"] for a in batch(command, shown)} == {"pass"}
        assert {a["checks"][-1]["outcome"] for a in batch(command, withheld)} == {"skipped"}
        assert {a["checks"][-1]["outcome"] for a in batch(command, asking)} == {"fail"}


@pytest.mark.parametrize(
    "wrong",
    [{"cc_eventlog_b64": "%"}, {"cc_eventlog_b64": 1}, {"aa_eventlog": 1}, {"aa_eventlog": ["x"]}],
)
def test_what_is_no_log_is_no_case(wrong: dict[str, Any]) -> None:
    for command in OURS.values():
        (answer,) = batch(command, [World().case() | wrong])
        assert (answer["exit"], answer["accepted"]) == (30, False)

"""The differential fuzz: a fixed number of mutants, and that it finds what it is there to find."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import count, islice
from pathlib import Path
from random import Random

import differential
import mutations
import pytest
from conformance_adapters import comparable
from differential import Adapter, Finding, Pair, made, plan_of, run

from cases.world import NOW, World

RUNS = 3_000
MUTANTS = 500

ECHO = """
import json, sys
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(ANSWER), flush=True)
"""


def test_both_verifiers_say_the_same_of_every_mutant() -> None:
    found = run(islice(count(), RUNS))
    assert not found, "\n".join(map(str, found))


def test_mutants_are_the_same_on_every_run() -> None:
    for number in range(20):
        assert made(*plan_of(number), number) == made(*plan_of(number), number)


@pytest.mark.parametrize("name", sorted(mutations.BY_NAME))
def test_a_mutation_by_itself_always_finds_something(name: str) -> None:
    for state in range(40):
        world = World("v5-td15ex")
        mutations.BY_NAME[name](Random(state), world)
        world.case()


def test_every_mutation_is_used_and_many_mutants_get_far() -> None:
    used = {name for number in range(MUTANTS) for name, _ in plan_of(number)[1]}
    assert used == set(mutations.BY_NAME)
    pair = Pair()
    try:
        failing = Counter(_failing(pair, number) for number in range(MUTANTS))
    finally:
        pair.close()
    assert failing[None] > MUTANTS / 10  # accepted
    for check in ("collateral", "quote-signature", "tcb-status", "td-attributes"):
        assert failing[check] > MUTANTS / 100, check


def _failing(pair: Pair, number: int) -> str | None:
    python = pair.adapters["python"]
    python.ask(json.dumps(made(*plan_of(number), number)))
    checks = python.answer().get("checks") or [{"id": "no case", "outcome": "fail"}]
    return next((check["id"] for check in checks if check["outcome"] == "fail"), None)


def saying(answer: str) -> Adapter:
    """An adapter that answers every case so, in Python."""
    return Adapter([sys.executable, "-c", ECHO.replace("ANSWER", answer)])


def _needs_its_second_only(number: int) -> bool:
    """Whether the mutant's second and last mutation is `now`, which changes that by itself."""
    kind, plan = plan_of(number)
    return [name for name, _ in plan][1:] == ["now"] and made(kind, plan[1:], 0)["now"] != NOW


def test_a_difference_is_found_cut_down_and_can_be_seen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = "{'exit': 0 if case['now'] == 1_800_000_000 else %d}"
    adapters = {"one": saying(answer % 10), "other": saying(answer % 0)}
    pair = Pair(adapters)
    number = next(n for n in count() if _needs_its_second_only(n))
    try:
        found = differential.reduced(pair, number)
        assert [name for name, _ in found.plan] == ["now"]
        assert found.apart == {"exit": {"one": 10, "other": 0}}
        kept = found.keep(tmp_path)
        monkeypatch.setattr(differential, "Pair", lambda: Pair(adapters))
        assert differential.main(["--input", str(kept)]) == 1
    finally:
        pair.close()
    assert "exit: one says 10" in capsys.readouterr().out


def test_a_verifier_that_ends_is_told_and_started_anew() -> None:
    ends = Adapter([sys.executable, "-c", ECHO.replace("ANSWER", "sys.exit(3)")])
    pair = Pair({"one": ends, "other": saying("{'exit': 0}")})
    try:
        for _ in range(2):
            assert pair.compare({})["exit"] == {"one": "ends with 3", "other": 0}
    finally:
        pair.close()


def test_two_verifiers_that_end_alike_are_told_as_well() -> None:
    adapters = {
        name: Adapter([sys.executable, "-c", ECHO.replace("ANSWER", "sys.exit(3)")])
        for name in ("one", "other")
    }
    pair = Pair(adapters)
    try:
        assert pair.compare({}) == {"exit": {"both": "ends with 3"}}
    finally:
        pair.close()


def test_a_verifier_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "TIMEOUT", 1)
    hangs = Adapter([sys.executable, "-c", "import time; time.sleep(600)"])
    pair = Pair({"one": hangs})
    try:
        assert pair.compare({}) == {"exit": {"both": "hangs"}}
    finally:
        pair.close()


def test_what_comes_after_the_first_failure_is_not_compared() -> None:
    passed = {"id": "collateral", "outcome": "pass", "reason": None}
    failed = {"id": "quote-signature", "outcome": "fail", "reason": "chain"}
    another = {"id": "tcb-status", "outcome": "fail", "reason": "tcb-unknown"}
    one, other = ({"exit": 10, "checks": [passed, failed, *more]} for more in ([], [another]))
    assert comparable(one) == comparable(other)
    assert comparable(one)["quote-signature"] == ["fail", "chain"]


def test_a_finding_says_what_each_said() -> None:
    found = Finding(
        7, "v4", (("now", 1),), {}, {"status": {"python": None, "typescript": "Revoked"}}
    )
    assert str(found).splitlines() == [
        "mutant 7 (v4): now",
        "    status: python says null",
        '    status: typescript says "Revoked"',
    ]

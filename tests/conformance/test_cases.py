"""The cases themselves: enough of them, of every check, and the same on every run."""

from __future__ import annotations

from collections import Counter

from conformance_adapters import PYTHON, batch, first_failure

from cases import catalogue, generate
from cases.catalogue import ATTRIBUTES, REFERENCES, REJECTED
from cases.world import KINDS


def test_there_are_enough_of_every_check_and_version() -> None:
    rejected = [case for case in generate() if case.expected == REJECTED]
    assert len(rejected) >= 500
    by_number = Counter(case.number for case in rejected)
    assert set(range(1, 15)) <= set(by_number)
    assert all(by_number[number] >= 8 for number in range(1, 15)), by_number
    by_kind = Counter(case.kind for case in rejected)
    assert set(by_kind) == set(KINDS)
    assert min(by_kind.values()) >= 50, by_kind


def test_every_rejected_case_has_a_reason_and_no_other() -> None:
    for case in generate():
        assert (case.reason is not None) is (case.expected == REJECTED), case.name


def test_they_are_the_same_on_every_run() -> None:
    assert tuple(catalogue._cases()) == generate()


def test_no_failure_hides_behind_what_a_policy_allows() -> None:
    """dcap-qvl refuses some TDs that a policy may allow, and that refusal is passed over.

    So everything else must be found without it: each bad case again, with such a TD.
    """
    names, cases = [], []
    for case in catalogue.all_with(_odd_td):
        if case.expected == REJECTED and case.failing not in (ATTRIBUTES, REFERENCES):
            names.append((case.name, case.failing))
            cases.append(case.case)
    assert len(cases) > 400
    answers = batch(PYTHON, cases)
    said = [(name, first_failure(a)) for (name, _), a in zip(names, answers, strict=True)]
    assert said == names
    assert not any(answer["accepted"] for answer in answers)


def _odd_td(world: catalogue.World) -> None:
    """SEPT_VE_DISABLE off, a service TD, an unknown module running: all of it allowed."""
    if world.policy is not None:
        return
    world.body["td_attributes"] = bytes(8)
    world.body["mr_servicetd"] = b"\x5e" * 48
    world.body["tee_tcb_svn2"] = bytes([5, 9]) + bytes(14)
    world.policy = {
        "v": 1,
        "td_attributes": {"sept_ve_disable": "allow"},
        "reference_values": {"mr_servicetd": ["5e" * 48]} if world.kind == "v5-td15" else {},
    }

"""A fifth of the soak, and that the soak would notice; `make soak` runs the whole."""

from __future__ import annotations

import os
import random
import sys
from collections import Counter

import pytest
import soak

from emulator import Emulator
from quote_generator.attester import Attestation, System

GENERATIONS = soak.GENERATIONS // 5


def test_nothing_is_wrong_and_nothing_is_left() -> None:
    outcome = soak.soak(GENERATIONS)
    assert soak.findings(outcome) == []
    assert outcome.asked >= GENERATIONS
    assert outcome.killed == soak.KILLS
    assert len(outcome.growth) == len(outcome.exit_codes) == soak.PROCESSES
    # more entries than quotes: faults struck, and were outlived
    assert outcome.made_entries > outcome.asked + 1000


def good_outcome() -> soak.Outcome:
    failures = Counter(dict.fromkeys(soak.NAMED_ERRORS, 5))
    return soak.Outcome(exit_codes=[0, 0], failures=failures, growth=[0, -5])


@pytest.mark.parametrize(
    ("attribute", "value", "word"),
    [
        ("exit_codes", [0, 1], "process failed"),
        ("exit_codes", [0, -11], "process failed"),
        ("failures", Counter({**good_outcome().failures, "TimedOut": 1}), "other errors"),
        ("failures", Counter(), "other errors"),
        ("left_entries", ["cczoo-quote.1"], "entries"),
        ("descriptors", [0, 1], "descriptors"),
        ("threads", [1, 0], "threads"),
        ("growth", [0, soak.GROWTH_LIMIT + 1], "memory"),
    ],
)
def test_what_must_not_be_is_said(attribute: str, value: object, word: str) -> None:
    assert soak.findings(good_outcome()) == []
    bad = good_outcome()
    setattr(bad, attribute, value)
    (finding,) = soak.findings(bad)
    assert word in finding


def test_wrong_report_data_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wrong(*_: object, **__: object) -> Attestation:
        return Attestation(bytes(5000), "configfs-tsm", "tdx_guest", simulated=False)

    class ProcessEnded(BaseException):
        pass

    def end(code: int) -> None:
        raise ProcessEnded(code)

    monkeypatch.setattr(soak, "attest", wrong)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(ProcessEnded, match="1"):
        soak.Worker(System(), left=1, warm_up=1).ask_on()
    assert "wrong report data" in capfd.readouterr().err


def test_a_process_that_fails_is_noticed(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome = soak.Soak(emulator, 100, random.Random(1)).run()
    assert outcome.exit_codes == [1] * soak.PROCESSES
    assert "process failed" in soak.findings(outcome)[0]

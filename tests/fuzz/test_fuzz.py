"""Every fuzz target, executed a fixed number of times from the committed seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import corpus
import fuzzing
import pytest

RUNS = 200_000


def test_the_seeds_are_what_the_script_makes() -> None:
    assert corpus.main(["--check"]) == 0


def test_every_corpus_has_a_target() -> None:
    assert {target.corpus for target in fuzzing.TARGETS.values()} == set(corpus.MAKERS)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[int]]]:
    """All targets at once, as many at a time as there are processors."""
    scratch = tmp_path_factory.mktemp("fuzz")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            name: pool.submit(fuzzing.fuzz, target, runs=RUNS, scratch=scratch)
            for name, target in fuzzing.TARGETS.items()
        }


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_nothing_breaks_it(fuzzed: dict[str, Future[int]], name: str) -> None:
    """And more than one input in a thousand gets past the parser's checks, to those of the test."""
    assert fuzzed[name].result() > RUNS / 1000


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_it_accepts_the_good_seeds_and_only_those(name: str, tmp_path: Path) -> None:
    target = fuzzing.TARGETS[name]
    good = [seed for seed in target.seeds() if seed.name.startswith("good")]
    bad = [seed for seed in target.seeds() if seed.name.startswith("bad")]
    assert good
    assert bad
    assert sorted(good + bad) == target.seeds()
    assert fuzzing.replay(target, good, folder=tmp_path) == len(good)
    assert fuzzing.replay(target, bad, folder=tmp_path) == 0


ONE_BYTE_TOO_FAR = """
#include "target.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return size > 8 && data[0] == 4 && sum_of(data, size + 1) == 0xffffffff;
}
"""


def test_a_byte_too_far_is_found_and_can_be_seen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzzing, "OUT", tmp_path / "out")
    source = tmp_path / "broken.c"
    source.write_text(ONE_BYTE_TOO_FAR)
    target = replace(fuzzing.TARGETS["check_quote"], name="broken", source=source)
    with pytest.raises(fuzzing.FuzzError, match="heap-buffer-overflow") as caught:
        fuzzing.fuzz(target, runs=RUNS, scratch=tmp_path)
    (kept,) = (tmp_path / "out").iterdir()
    assert kept.name.startswith("broken-crash-")
    assert f"{kept.name} broken" in str(caught.value)
    with pytest.raises(fuzzing.FuzzError, match="heap-buffer-overflow"):
        fuzzing.replay(target, [kept], folder=tmp_path)


KEEPS_OR_LEAKS = """
#include "target.h"
static void *kept[8];
static void *volatile leaked;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    leaked = malloc(size);
    if (data[0] == 'k')
        kept[accepted] = leaked;
    leaked = NULL;
    accepted++;
    return 0;
}
"""


def test_each_input_is_replayed_once_and_leaks_are_still_found(tmp_path: Path) -> None:
    source = tmp_path / "keeps.c"
    source.write_text(KEEPS_OR_LEAKS)
    target = replace(fuzzing.TARGETS["check_quote"], name="keeps", source=source)
    keeps, leaks = tmp_path / "keeps", tmp_path / "leaks"
    keeps.write_bytes(b"kept memory")
    leaks.write_bytes(b"leaked memory")
    assert fuzzing.replay(target, [keeps, keeps], folder=tmp_path / "bin") == 2
    with pytest.raises(fuzzing.FuzzError, match="detected memory leaks"):
        fuzzing.replay(target, [leaks], folder=tmp_path / "bin")


def run_before_targets(monkeypatch: pytest.MonkeyPatch, folder: Path, lines: str) -> None:
    """Have the Python targets' processes run these lines first; what is kept goes into `folder`."""
    monkeypatch.setattr(fuzzing, "OUT", folder / "out")
    script = folder / "python_targets.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(fuzzing.HERE)!r})\n"
        f"import python_targets as real\n{lines}\nreal.main()\n"
    )
    monkeypatch.setattr(fuzzing, "HERE", folder)


def test_a_property_that_does_not_hold_is_found_and_can_be_seen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "real.TARGETS['strict_json'] = lambda data: bool(1 / (data[:1] != b'['))"
    run_before_targets(monkeypatch, tmp_path, lines)
    target = fuzzing.TARGETS["strict_json"]
    with pytest.raises(fuzzing.FuzzError, match="ZeroDivisionError") as caught:
        fuzzing.fuzz(target, runs=RUNS, scratch=tmp_path)
    (kept,) = (tmp_path / "out").iterdir()
    assert f"{kept.name} strict_json" in str(caught.value)
    with pytest.raises(fuzzing.FuzzError, match="ZeroDivisionError"):
        fuzzing.replay(target, [kept], folder=tmp_path)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", "killed by signal 37"),
    ],
)
def test_a_run_that_ends_badly_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, told: str
) -> None:
    """As if something killed it after its work was done."""
    lines = f"import atexit, os, signal\natexit.register(lambda: {end})"
    run_before_targets(monkeypatch, tmp_path, lines)
    with pytest.raises(fuzzing.FuzzError, match=f"did not run to its end .{told}."):
        fuzzing.fuzz(fuzzing.TARGETS["tdreport"], runs=10, scratch=tmp_path)


WAITS_FOR_THE_ALARM = """
import atexit, signal
def leave():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while any(signal.getitimer(signal.ITIMER_REAL)):
        signal.pause()
atexit.register(leave)
"""


def test_no_alarm_is_set_once_a_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long Python takes to end after that, without its handlers for signals."""
    run_before_targets(monkeypatch, tmp_path, WAITS_FOR_THE_ALARM)
    assert fuzzing.fuzz(fuzzing.TARGETS["tdreport"], runs=10, scratch=tmp_path) > 0

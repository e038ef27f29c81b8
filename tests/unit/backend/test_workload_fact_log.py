"""The facts of a start, in memory and in the log of a simulated TD: in step, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from simulated_log import is_written, lines_of, machine_of

from cczoo_backend.workload import fact_log
from cczoo_backend.workload.fact_log import FactLog
from doubles.forking import killed_at
from quote_generator import measure
from quote_generator.attester import System
from quote_generator.errors import Busy, LogFull, TimedOut
from quote_generator.measure import record_event
from quote_generator.simulator import Simulator
from quote_generator.workload.events import Fact, make_fact

SHA, OTHER = f"sha256:{'ab' * 32}", f"sha256:{'cd' * 32}"
PAGE, LATER = make_fact("page", digest=SHA), make_fact("page", digest=OTHER)
FRONT_END = make_fact("front-end", digest=SHA)


def section_of(*facts: Fact) -> list[list[object]]:
    return [[fact.kind, dict(fact.content)] for fact in facts]


@pytest.fixture
def begun(tmp_path: Path) -> FactLog:
    facts = FactLog(machine_of(tmp_path))
    facts.begin()
    return facts


def test_a_fact_is_an_event_and_a_later_one_takes_its_place(tmp_path: Path, begun: FactLog) -> None:
    for fact in (PAGE, FRONT_END, FRONT_END, LATER):
        begun.add(fact)
        assert is_written(begun, tmp_path)
    assert begun.present()["facts"] == section_of(FRONT_END, LATER)
    assert lines_of(tmp_path)[1:] == [each.line for each in (PAGE, FRONT_END, LATER)]


def test_what_is_gone_is_taken_away_once(tmp_path: Path, begun: FactLog) -> None:
    begun.add(PAGE)
    begun.remove(PAGE)
    begun.remove(PAGE)
    assert is_written(begun, tmp_path)
    assert begun.present()["facts"] == []
    assert len(lines_of(tmp_path)) == 3


def test_the_section_is_one_object_until_it_changes(tmp_path: Path) -> None:
    calls: list[None] = []
    facts = FactLog(machine_of(tmp_path), changed=lambda: calls.append(None))
    facts.begin()
    before, count = facts.present(), len(calls)
    facts.remove(PAGE)
    facts.found("page")
    assert facts.present() is before
    assert len(calls) == count
    facts.miss("page", "no-page")
    facts.miss("page", "no-page")
    assert facts.present()["missing"] == [["page", "no-page"]]
    assert len(calls) == count + 1
    facts.add(PAGE)
    assert facts.present()["missing"] == []


def test_what_is_missing_is_bounded(begun: FactLog) -> None:
    for number in range(fact_log.MISSING_MAX + 5):
        begun.miss("model", "no", "s", str(number))
    assert len(begun.present()["missing"]) == fact_log.MISSING_MAX  # type: ignore[arg-type]


def test_without_tdx_facts_stay_in_memory_and_no_folder_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    facts = FactLog(System.under(str(tmp_path), environ={}))
    assert facts.present()["why"] == "not-begun"
    facts.begin()
    facts.add(PAGE)
    section = facts.present()
    assert (section["log"], section["why"]) == ("not-written", "tdx-not-available")
    assert section["facts"] == section_of(PAGE)
    assert list(tmp_path.iterdir()) == []
    assert caplog.text.count("not measured into RTMR3") == 1


def test_a_second_start_begins_anew(tmp_path: Path, begun: FactLog) -> None:
    begun.add(PAGE)
    os.close(begun._held or -1)  # as the end of the process does
    again = FactLog(machine_of(tmp_path))
    again.begin()
    again.add(FRONT_END)
    assert is_written(again, tmp_path)
    assert again.present()["facts"] == section_of(FRONT_END)
    assert lines_of(tmp_path).count('cczoo start {"v":1}') == 2


def test_a_log_that_does_not_lead_to_the_register_is_left_alone(tmp_path: Path) -> None:
    record_event("a", "b", "c", system=machine_of(tmp_path))
    Simulator.open(tmp_path / "td").extend_rtmr(3, b"\5" * 48)
    before = lines_of(tmp_path)
    facts = FactLog(machine_of(tmp_path))
    facts.begin()
    facts.add(PAGE)
    assert facts.present()["why"] == "log-mismatch"
    assert lines_of(tmp_path) == before


def test_a_full_log_is_told_and_gone_on_without(
    tmp_path: Path, begun: FactLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "ENTRIES_MAX", 2)
    begun.add(PAGE)
    assert is_written(begun, tmp_path)
    begun.add(FRONT_END)
    assert not is_written(begun, tmp_path)
    assert begun.present()["why"] == LogFull.code
    assert begun.present()["facts"] == section_of(PAGE, FRONT_END)
    monkeypatch.undo()
    begun.add(LATER)  # a log with a gap must not look whole
    assert not is_written(begun, tmp_path)


@pytest.mark.parametrize("error", [Busy, TimedOut])
@pytest.mark.parametrize("was_done", [False, True])
def test_an_event_whose_end_is_not_known_is_put_right(
    tmp_path: Path,
    begun: FactLog,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Busy | TimedOut],
    was_done: bool,
) -> None:
    calls = []

    def record_once(*words: str, **options: object) -> None:
        calls.append(words)
        if was_done or len(calls) > 1:
            record_event(*words, **options)  # type: ignore[arg-type]
        if len(calls) == 1:
            raise error("perhaps")

    monkeypatch.setattr(fact_log, "record_event", record_once)
    begun.add(PAGE)
    assert is_written(begun, tmp_path)
    assert len(calls) == 2


def test_what_fails_otherwise_is_told(
    begun: FactLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fact_log, "record_event", lambda *_, **__: 1 / 0)
    begun.add(PAGE)
    assert begun.present()["why"] == "failed"
    assert "ZeroDivisionError" in caplog.text


def test_threads_keep_memory_and_log_in_one_order(tmp_path: Path, begun: FactLog) -> None:
    def add(name: str) -> None:
        for number in range(5):
            digest = f"sha256:{number:064x}"
            begun.add(make_fact("model", digest=digest, name=name, server="s"))

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_written(begun, tmp_path)
    assert len(lines_of(tmp_path)) == 21


def test_who_reads_both_keeps_them_as_they_are(tmp_path: Path, begun: FactLog) -> None:
    writer = threading.Thread(target=begun.add, args=(PAGE,))
    with begun.still():
        writer.start()
        writer.join(0.2)
        assert is_written(begun, tmp_path)
        assert begun.present()["facts"] == []
    writer.join()
    assert begun.present()["facts"] == section_of(PAGE)


# --- processes ------------------------------------------------------------------------------------

IMPORTS = """\
import os
from pathlib import Path
from quote_generator.attester import System
from quote_generator.simulator import Simulator, registers
from quote_generator.simulator.state import FileLock
from quote_generator.workload.events import make_fact
from cczoo_backend.workload.fact_log import FactLog
def start(path):
    environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": path + "/td"}
    facts = FactLog(System.under(path, environ=environ), patience=0)
    facts.begin()
    for kind in ("page", "front-end"):
        facts.add(make_fact(kind, digest="sha256:" + "ab" * 32))
    return facts
"""
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "fcntl.lockf")


def test_kill_at_any_point_leaves_a_log_that_the_next_start_goes_on_with(tmp_path: Path) -> None:
    lengths = set()
    with killed_at(IMPORTS, "start(path)", OPERATIONS) as run:
        for point in range(1, 300, 2):
            root = tmp_path / str(point)
            root.mkdir()
            if run(point, root) != -signal.SIGKILL:
                break
            facts = FactLog(machine_of(root), patience=0)
            facts.begin()
            facts.add(LATER)
            assert is_written(facts, root)
            assert facts.present()["facts"] == section_of(LATER)
            lengths.add(len(lines_of(root)))
            os.close(facts._held or -1)
        else:
            pytest.fail("it never came to its end")
    assert lengths == {2, 3, 4, 5}


SERVER = IMPORTS + (
    "import sys\nfacts = start(sys.argv[1])\n"
    'print(facts.present()["log"], facts.present()["why"], flush=True)\nsys.stdin.read()\n'
)


def test_of_two_servers_the_first_tells_the_log(tmp_path: Path) -> None:
    """One that is killed lets go of it, although a child that it forked lives on."""
    command = [sys.executable, "-c", SERVER.replace("sys.stdin", "os.fork(); sys.stdin")]
    with subprocess.Popen(
        [*command, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        assert first.stdin
        assert first.stdout.readline().split() == ["written"]
        before = lines_of(tmp_path)
        second = FactLog(machine_of(tmp_path), patience=0.1)
        second.begin()
        second.add(LATER)
        assert second.present()["why"] == "other-process"
        assert second.present()["facts"] == section_of(LATER)
        assert lines_of(tmp_path) == before
        first.kill()
        first.wait()
        third = FactLog(machine_of(tmp_path), patience=5)
        third.begin()
        assert is_written(third, tmp_path)
        os.close(third._held or -1)
        first.stdin.close()  # which ends the child

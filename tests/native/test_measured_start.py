"""What a start measures: in order, and once each, however the starts before it ended.

A start is killed at each of its steps, which are counted and not drawn. On the real kernel, where
processes take long, at some of each kind.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from application_logs import ZEROS, replayed
from measured_starts import FullDisk, Td, install, kill_soon_after_an_extension_began

from conftest import ON_REAL_KERNEL, Emulate, eventually
from quote_generator.attester import System
from quote_generator.eventlog import join_logs, parse_ccel, replay_ccel
from quote_generator.workload.events import START, present_facts

KINDS = ["start", "kit", "open-webui", "front-end", "page", "environment", "function"]
KINDS += ["settings", "function"]
NOBODY = 65534
# Between two steps at which something is done: `make soak` takes each of them, which takes minutes.
STRIDE = 1 if "CCZOO_EVERY_STEP" in os.environ else 41 if ON_REAL_KERNEL else 5


@pytest.fixture(scope="module")
def booted(emulate: Emulate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Td]:
    """A trust domain that has just booted."""
    folder = tmp_path_factory.mktemp("td")
    with emulate(slow=1.5) as emulator:
        machine = System.under(emulator.root, environ={})
        td = Td(machine, install(folder / "installed"), folder, emulator.set_fault)
        assert td.rtmr3 == ZEROS
        yield td


@pytest.fixture
def td(booted: Td) -> Td:
    """The trust domain, where nothing knows of the logs of other tests but the register."""
    booted.take_new_folder()
    return booted


def assert_tells(td: Td, stated: dict[str, Any], lines: list[str]) -> None:
    """A start's statement, the log's lines and the register say one and the same."""
    assert td.lines == lines
    assert td.state == "consistent"
    assert replayed(td.log.read_bytes()) == td.rtmr3
    facts = [[fact.kind, dict(fact.content)] for fact in present_facts(td.lines).facts]
    assert (stated["log"], stated["why"], stated["missing"]) == ("written", "", [])
    assert stated["facts"] == facts


def assert_explained(td: Td) -> None:
    """All that this trust domain extended since its boot stands in its logs, as they are sent."""
    sent, text = join_logs(None, td.whole_log)
    assert text is None
    assert sent
    assert replay_ccel(parse_ccel(sent))["rtmr_3"] == td.rtmr3


def test_a_start_tells_what_it_measures_in_order(td: Td) -> None:
    stated = td.start()
    assert [line.split()[1] for line in td.lines] == KINDS
    assert_tells(td, stated, td.lines)
    assert_explained(td)


def test_two_starts_tell_it_twice(td: Td) -> None:
    td.start()
    once = td.lines
    assert_tells(td, td.start(), once * 2)
    assert_explained(td)


def test_the_next_start_finishes_what_killed_ones_left(td: Td) -> None:
    """One is killed at every step of it, and so is the one that finds what it left.

    Nothing is lost, nothing comes twice, and the register has it all.
    """
    td.start()
    td.take_new_folder()
    steps = td.steps()
    complete = td.lines
    survived, states = [], set()
    for step in sorted({*range(1, steps, STRIDE), steps}):
        td.take_new_folder()
        td.start_killed(step)
        states.add(td.state)
        td.start_killed(step)
        states.add(td.state)
        stated = td.start()
        assert_tells(td, stated, td.lines)
        *cut, last = starts_in(td.lines)
        assert last == complete
        assert all(each == complete[: len(each)] for each in cut)
        survived.append([len(each) for each in cut])
    firsts = [lengths[0] if lengths else 0 for lengths in survived]
    assert firsts == sorted(firsts)
    assert survived[0] == []
    assert survived[-1][0] == len(complete)
    if STRIDE == 1:
        assert set(firsts) == set(range(len(complete) + 1))
    assert states == {"none", "consistent", "unfinished"}
    assert_explained(td)


def starts_in(lines: list[str]) -> list[list[str]]:
    """Return the lines of each start; nothing stands before the first one."""
    starts: list[list[str]] = []
    for line in lines:
        if line == START.line:
            starts.append([])
        starts[-1].append(line)
    return starts


def test_the_next_start_waits_for_a_kernel_that_still_extends(td: Td) -> None:
    """For a killed one, whose locks are held until the kernel has let go of it."""
    complete = td.start() and td.lines
    td.take_new_folder()
    td.set_fault("extend-slow:1")
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(td.start, kill_soon_after_an_extension_began)
        assert eventually(td.log.exists)
        stated = td.start()
        assert killed.result() is None
    assert_tells(td, stated, complete)
    assert_explained(td)


@pytest.mark.emulated("the likeness needs more than the guest has")
def test_a_current_trustee_accepts_what_the_next_start_finished(td: Td, tmp_path: Path) -> None:
    """And refuses what a killed one left, where the register does not have the last event."""
    steps = iter(range(1, td.steps()))
    while not (said := said_by_trustee(td, tmp_path / "simulator")):
        td.start_killed(next(steps))
    assert "[index = 4]" in said
    assert td.state == "unfinished"
    td.start()
    assert said_by_trustee(td, tmp_path / "simulator") == ""


def said_by_trustee(td: Td, folder: Path) -> str:
    """What a Trustee v0.21 has against evidence with this log, after a firmware's; "" for none."""
    from cczoo_verifier.trust import from_simulator

    from doubles.evidence import encode
    from doubles.trustee.service import Fault, Setup
    from doubles.trustee.v021 import TrusteeV021
    from quote_generator.simulator import Simulator
    from vectors import logs

    measured = dict(zip(logs.ALL, logs.replay(logs.EVENTS, ()), strict=True)) | {"rtmr_3": td.rtmr3}
    quote = Simulator.open(folder).quote(bytes(64), measurements=measured)
    sent, _ = join_logs(logs.ccel(), td.whole_log)
    evidence = encode(quote, base64.b64encode(sent or b"").decode())
    asked = {"tee": "tdx", "evidence": evidence}
    body = {"verification_requests": [asked], "policy_ids": []}
    try:
        TrusteeV021(Setup(from_simulator(folder))).attest(json.dumps(body).encode())
    except Fault as fault:
        return str(fault)
    return ""


# --- disks ---


NEEDS = 3  # times that an event needs room on a disk: the write, and both syncs


@pytest.mark.parametrize("stays", [False, True])
def test_a_full_disk_is_told_and_the_next_start_goes_on(td: Td, stays: bool) -> None:
    """Full once, it is tried again; full for good, nothing more is measured, and all is kept."""
    td.start()
    td.take_new_folder()
    stated, complete = td.start(), td.lines
    for first in range(1, NEEDS * (1 + len(complete)) + 1, STRIDE):
        td.take_new_folder()
        hindered = td.start(FullDisk(first, stays=stays).watch)
        assert hindered["facts"] == stated["facts"]
        assert td.state in ("none", "consistent")
        if not stays:
            assert_tells(td, hindered, complete)
            continue
        assert (hindered["log"], hindered["why"]) == ("not-written", "busy")
        before = complete[: max(0, (first - 1) // NEEDS - 1)]  # the first one says where it begins
        assert td.lines == before
        assert_tells(td, td.start(), before + complete)
    assert_explained(td)


@pytest.fixture
def disk(td: Td) -> Iterator[Path]:
    """A small disk, in memory, that the log is on."""
    folder = td.log.parent
    folder.mkdir(parents=True)
    mount(folder, "size=16k,mode=755")
    yield folder
    td.take_new_folder()  # while the log is there to be kept
    subprocess.run(["umount", str(folder)], check=True)


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def test_a_small_disk_is_filled_to_its_end_and_made_larger(td: Td, disk: Path) -> None:
    stated, complete = td.start(), td.lines
    for _ in range(20):
        last = td.start()
        assert last["facts"] == stated["facts"]
        assert td.state == "consistent"
        if last["log"] != "written":
            break
    assert (last["log"], last["why"]) == ("not-written", "busy")
    *whole, cut = starts_in(td.lines)
    assert all(each == complete for each in whole)
    assert cut == complete[: len(cut)]
    before = td.lines
    mount(disk, "remount,size=64k")
    assert_tells(td, td.start(), before + complete)
    assert_explained(td)


@pytest.mark.parametrize("files", range(4))
def test_a_disk_without_room_for_another_file(td: Td, disk: Path, files: int) -> None:
    """For the log, its lock, and what keeps other servers from it."""
    mount(disk, f"remount,nr_inodes={1 + files}")
    stated = td.start()
    if files < 3:
        assert (stated["log"], stated["why"]) == ("not-written", "busy")
        assert td.lines == []
        mount(disk, "remount,nr_inodes=100")
        stated = td.start()
    assert_tells(td, stated, td.lines)
    assert_explained(td)


def test_a_disk_that_may_not_be_written(td: Td, disk: Path) -> None:
    stated, complete = td.start(), td.lines
    mount(disk, "remount,ro")
    hindered = td.start()
    assert (hindered["log"], hindered["why"]) == ("not-written", "not-permitted")
    assert hindered["facts"] == stated["facts"]
    mount(disk, "remount,rw")
    assert_tells(td, td.start(), complete * 2)


@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o755), (0, 0o777)])
def test_a_folder_that_others_may_write(td: Td, owner: int, mode: int) -> None:
    """Its log could be anybody's: nothing is written there, and all is measured in memory."""
    stated = td.start()
    before = td.log.read_bytes()
    td.log.parent.chmod(mode)
    os.chown(td.log.parent, owner, owner)
    hindered = td.start()
    assert (hindered["log"], hindered["why"]) == ("not-written", "not-permitted")
    assert hindered["facts"] == stated["facts"]
    assert td.log.read_bytes() == before

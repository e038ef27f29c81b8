"""Extending registers, and the application's log in step with them."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from application_logs import (
    FORMS,
    ZEROS,
    digest_of,
    entry,
    extended,
    lines_of,
    replayed,
    tcg2_entry,
)

from conftest import Emulate, eventually
from emulator import Emulator
from emulator.device import EXTEND_NUMBERS
from quote_generator import applog, errors, measure
from quote_generator.attester import System
from quote_generator.eventlog import read_application_log
from quote_generator.logfile import MAX_LOG_SIZE, make_folder
from quote_generator.measure import (
    LOG_SIZE_MAX,
    check_log,
    extend_rtmr,
    finish_event,
    read_rtmr,
    record_event,
)

DIGEST = b"\5" * 48


@pytest.fixture
def machine(emulator: Emulator, tmp_path: Path) -> System:
    """The emulated machine with a log folder of its own; its RTMR3 holds what tests left."""
    system = System.under(emulator.root, environ={})
    return replace(system, aael=str(tmp_path / "attestation-agent" / "eventlog"))


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def log_bytes(machine: System) -> bytes:
    return Path(machine.aael).read_bytes()


def write_log(machine: System, log: bytes) -> None:
    Path(machine.aael).write_bytes(log)


def begin(machine: System, form: str) -> None:
    """Begin a text log as the agent did until mid-2025; one of TCG2 events begins by itself."""
    if form == "tcg2":
        return
    line = f"INIT sha384/{read_rtmr(3, system=machine).hex()}"
    Path(machine.aael).parent.mkdir()
    write_log(machine, entry(form, line))
    extend_rtmr(3, digest_of(form, line), system=machine)


# --- registers ---


@pytest.mark.parametrize("index", [2, 3])
def test_a_register_is_extended_through_its_file(machine: System, index: int) -> None:
    before = [read_rtmr(n, system=machine) for n in range(4)]
    extend_rtmr(index, DIGEST, system=machine)
    before[index] = extended(before[index], DIGEST)
    assert [read_rtmr(n, system=machine) for n in range(4)] == before


@pytest.mark.parametrize("device", [name for name, n in EXTEND_NUMBERS.items() if n])
def test_a_register_is_extended_by_the_older_ioctls(emulate: Emulate, device: str) -> None:
    with emulate(device=device) as emulator:
        system = System.under(emulator.root)
        before = [read_rtmr(number, system=system) for number in (2, 3)]
        extend_rtmr(2, DIGEST, system=system)
        assert read_rtmr(2, system=system) == extended(before[0], DIGEST)
        assert read_rtmr(3, system=system) == before[1]


@pytest.mark.parametrize("index", range(4))
def test_a_register_is_read_from_its_file_where_there_is_no_device(
    machine: System, index: int
) -> None:
    extend_rtmr(3, DIGEST, system=machine)
    without = replace(machine, guest_devices=("/no/such/device",))
    assert read_rtmr(index, system=without) == read_rtmr(index, system=machine)


def test_no_way_to_read_a_register_is_the_devices_error(machine: System, tmp_path: Path) -> None:
    nothing = replace(
        machine, guest_devices=("/no/such/device",), measurements=str(tmp_path / "none")
    )
    with pytest.raises(errors.NotAvailable, match="/no/such/device"):
        read_rtmr(3, system=nothing)
    (tmp_path / "rtmr3:sha384").write_bytes(bytes(47))
    with pytest.raises(errors.CorruptAnswer, match="wrong size"):
        read_rtmr(3, system=replace(nothing, measurements=str(tmp_path)))


def test_no_way_to_extend_is_an_error(machine: System, tmp_path: Path) -> None:
    without = replace(machine, measurements=str(tmp_path / "none"))
    with pytest.raises(errors.NotAvailable, match=r"6\.16") as caught:
        extend_rtmr(3, DIGEST, system=without)
    assert caught.value.errno == errno.ENOTTY
    with pytest.raises(errors.NotAvailable):
        extend_rtmr(3, DIGEST, system=System.under(str(tmp_path)))


@pytest.mark.parametrize(
    ("index", "digest"),
    [
        *((0, DIGEST), (1, DIGEST), (4, DIGEST), (-1, DIGEST), ("3", DIGEST)),
        *((3, DIGEST[:-1]), (3, DIGEST.hex()), (3, 48)),
    ],
)
def test_bad_extensions(machine: System, index: Any, digest: Any) -> None:
    with pytest.raises(errors.BadInput):
        extend_rtmr(index, digest, system=machine)


@pytest.mark.parametrize(
    ("fault", "kind"), [("extend-error", errors.ServiceFailed), ("extend-busy", errors.Busy)]
)
def test_an_extension_that_fails_is_not_repeated(
    emulator: Emulator, machine: System, fault: str, kind: type[Exception]
) -> None:
    before = read_rtmr(3, system=machine)
    emulator.set_fault(f"{fault}:1")
    with pytest.raises(kind):
        extend_rtmr(3, DIGEST, system=machine)
    assert read_rtmr(3, system=machine) == before


def test_an_extension_that_takes_too_long(emulator: Emulator, machine: System) -> None:
    before = read_rtmr(3, system=machine)
    emulator.set_fault("extend-slow:1")
    with pytest.raises(errors.TimedOut, match="not known whether"):
        extend_rtmr(3, DIGEST, timeout=0.2, system=machine)
    assert eventually(lambda: read_rtmr(3, system=machine) == extended(before, DIGEST))


# --- the log ---


def test_a_log_is_begun_and_continued(machine: System) -> None:
    before = read_rtmr(3, system=machine)
    assert check_log(system=machine) == "none"
    event = record_event("app", "start", "with words", system=machine)
    assert event.line == "app start with words"
    record_event("app", "load", "sha256:aa", system=machine)
    lines = ["app start with words", "app load sha256:aa"]
    if before != ZEROS:  # what other tests left there
        lines.insert(0, f"cczoo begin sha384/{before.hex()}")
    assert log_bytes(machine) == b"".join(tcg2_entry(line) for line in lines)
    assert replayed(log_bytes(machine)) == read_rtmr(3, system=machine)
    assert check_log(system=machine) == "consistent"


def test_a_log_that_begins_at_zeros_has_nothing_but_events() -> None:
    assert applog.begin_line(ZEROS) is None
    log = tcg2_entry("app start x") + tcg2_entry("app load y")
    assert applog.replay(log).state(replayed(log)) == "consistent"
    begun = tcg2_entry(f"cczoo begin sha384/{DIGEST.hex()}") + log
    assert applog.replay(begun).state(replayed(begun)) == "consistent"
    # Only the first event says where a log begins.
    late = log + tcg2_entry(f"cczoo begin sha384/{DIGEST.hex()}")
    assert applog.replay(late).state(replayed(late)) == "consistent"


def test_a_text_log_is_continued_as_text(machine: System) -> None:
    """Never two forms in one file."""
    before = read_rtmr(3, system=machine)
    begin(machine, "text")
    record_event("app", "start", "with words", system=machine)
    record_event("app", "load", "sha256:aa", system=machine)
    lines = [f"INIT sha384/{before.hex()}", "app start with words", "app load sha256:aa"]
    assert log_bytes(machine).decode() == "\n".join(lines) + "\n"
    assert replayed(log_bytes(machine)) == read_rtmr(3, system=machine)
    assert check_log(system=machine) == "consistent"


def test_the_agents_log_is_continued_in_its_form(machine: System) -> None:
    """As the CoCo agent leaves it, which began where the register was nothing but zeros."""
    path = Path(machine.aael)
    path.parent.mkdir()
    path.write_bytes(tcg2_entry("coco.example start container-1"))
    assert check_log(system=machine) == "diverged"  # this machine's register began elsewhere
    known = applog.replay(log_bytes(machine))
    assert known.state(extended(ZEROS, digest_of("tcg2", "coco.example start container-1"))) == (
        "consistent"
    )
    entry = applog.form_of(log_bytes(machine)).entry(log_bytes(machine), "app start x")
    assert entry == applog.Entry(tcg2_entry("app start x"), digest_of("tcg2", "app start x"))


def test_events_of_other_registers_are_stepped_over() -> None:
    other = tcg2_entry("a b c")
    log = tcg2_entry("d e f") + b"\3" + other[1:]
    assert applog.replay(log).state(replayed(tcg2_entry("d e f"))) == "consistent"
    assert applog.replay(log).state(ZEROS) == "unfinished"


def test_a_log_is_kept_where_only_the_registers_file_is_there(machine: System, form: str) -> None:
    """As in a container that has sysfs and no device."""
    begin(machine, form)
    without = replace(machine, guest_devices=("/no/such/device",))
    record_event("app", "start", "x", system=without)
    assert check_log(system=without) == check_log(system=machine) == "consistent"
    write_log(machine, log_bytes(machine) + entry(form, "app load y"))
    assert check_log(system=without) == "unfinished"
    finish_event(system=without)
    assert check_log(system=machine) == "consistent"


def test_an_event_does_not_cost_all_events_before_it(
    machine: System, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    begin(machine, form)
    for number in range(20):
        record_event("app", "step", str(number), system=machine)
    stepped = []
    kind = type(applog.form_of(log_bytes(machine)))
    step = kind.step

    def counted(self: applog.Form, log: bytes, at: int, value: bytes | None) -> applog.Step:
        stepped.append(at)
        return step(self, log, at, value)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "step", counted)
    record_event("app", "step", "20", system=machine)
    assert check_log(system=machine) == "consistent"
    whole = log_bytes(machine)
    sizes = [len(entry(form, f"app step {number}")) for number in (19, 20)]
    assert stepped == [len(whole) - sum(sizes), len(whole) - sizes[1]]
    # What another process has added is followed; a change before that is seen.
    write_log(machine, whole + entry(form, "app step 21") + entry(form, "app step 22"))
    assert check_log(system=machine) == "diverged"
    extend_rtmr(3, digest_of(form, "app step 21"), system=machine)
    assert check_log(system=machine) == "unfinished"
    finish_event(system=machine)
    assert check_log(system=machine) == "consistent"
    write_log(machine, log_bytes(machine).replace(b"step 7", b"step 8"))
    assert check_log(system=machine) == "diverged"
    write_log(machine, whole + b"\n")
    assert check_log(system=machine) == "diverged"


def test_an_event_beyond_what_everybody_reads_is_refused(machine: System, form: str) -> None:
    begin(machine, form)
    record_event("a", "b", "c", system=machine)
    log, register = log_bytes(machine), read_rtmr(3, system=machine)
    room = LOG_SIZE_MAX - len(log) - len(entry(form, "d e "))
    with pytest.raises(errors.LogFull, match=f"{LOG_SIZE_MAX} bytes.*restart the TD") as caught:
        record_event("d", "e", "x" * (room + 1), system=machine)
    assert (caught.value.code, caught.value.path) == ("log-full", machine.aael)
    assert (log_bytes(machine), read_rtmr(3, system=machine)) == (log, register)
    record_event("d", "e", "x" * room, system=machine)
    assert len(log_bytes(machine)) == LOG_SIZE_MAX
    assert check_log(system=machine) == "consistent"


def test_a_first_event_without_room_begins_no_log(machine: System) -> None:
    """What says where the log begins is written no more than the event itself."""
    extend_rtmr(3, DIGEST, system=machine)
    register = read_rtmr(3, system=machine)
    begun = len(tcg2_entry(f"cczoo begin sha384/{register.hex()}"))
    room = LOG_SIZE_MAX - begun - len(tcg2_entry("a b "))
    with pytest.raises(errors.LogFull):
        record_event("a", "b", "x" * (room + 1), system=machine)
    assert (check_log(system=machine), read_rtmr(3, system=machine)) == ("none", register)
    record_event("a", "b", "x" * room, system=machine)
    assert len(log_bytes(machine)) == LOG_SIZE_MAX


def test_a_longer_log_of_others_is_read_and_not_continued(machine: System, form: str) -> None:
    begin(machine, form)
    record_event("a", "b", "c", system=machine)
    longer = f"d e {'x' * LOG_SIZE_MAX}"
    write_log(machine, log_bytes(machine) + entry(form, longer))
    assert check_log(system=machine) == "unfinished"
    finish_event(system=machine)
    assert check_log(system=machine) == "consistent"
    log, register = log_bytes(machine), read_rtmr(3, system=machine)
    with pytest.raises(errors.LogFull):
        record_event("a", "b", "c", system=machine)
    assert (log_bytes(machine), read_rtmr(3, system=machine)) == (log, register)


def test_a_log_of_too_many_entries_is_full(
    machine: System, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    begin(machine, form)
    monkeypatch.setattr(measure, "ENTRIES_MAX", 3)  # the first one counts
    for number in range(2):
        record_event("a", "b", str(number), system=machine)
    log, register = log_bytes(machine), read_rtmr(3, system=machine)
    with pytest.raises(errors.LogFull, match=r"no room.*3 entries"):
        record_event("a", "b", "3", system=machine)
    assert (log_bytes(machine), read_rtmr(3, system=machine)) == (log, register)


@pytest.mark.parametrize("cut", [b"x", b"\4"])
def test_a_log_of_the_greatest_size_can_be_read_and_a_larger_one_cannot(
    machine: System, cut: bytes
) -> None:
    path = Path(machine.aael)
    path.parent.mkdir()
    # No whole entry yet: a line without end, or one that says that it goes on for 4 GiB.
    head = tcg2_entry("")[:62] if cut == b"\4" else b""
    path.write_bytes(head.ljust(MAX_LOG_SIZE, b"x" if cut == b"x" else b"\xff"))
    assert check_log(system=machine) == "unfinished"
    path.write_bytes(cut * (MAX_LOG_SIZE + 1))
    with pytest.raises(errors.BadInput, match=f"larger than {MAX_LOG_SIZE} bytes"):
        check_log(system=machine)


# --- the log's folder, where root must not be led astray ---


def every_call(machine: System) -> list[Callable[[], object]]:
    """All that reads or writes the log."""
    return [
        lambda: check_log(system=machine),
        lambda: record_event("a", "b", "c", system=machine),
        lambda: finish_event(system=machine),
        lambda: read_application_log(Path(machine.aael)),
    ]


@pytest.mark.parametrize("name", ["eventlog", "eventlog.lock"])
def test_symbolic_links_are_not_followed(machine: System, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's own\n")
    record_event("a", "b", "c", system=machine)
    link = Path(machine.aael).with_name(name)
    link.unlink()
    link.symlink_to(secret)
    calls = every_call(machine)
    for call in calls if name == "eventlog" else calls[:3]:
        with pytest.raises(errors.NotPermitted, match="is a symbolic link") as caught:
            call()
        assert (caught.value.errno, caught.value.path) == (errno.ELOOP, str(link))
    assert secret.read_text() == "root's own\n"


def test_a_log_folder_that_is_a_symbolic_link_is_not_followed(
    machine: System, tmp_path: Path
) -> None:
    """Though what it leads to be root's: else whoever may make the link says which of root's."""
    record_event("a", "b", "c", system=machine)
    folder = Path(machine.aael).parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to("elsewhere")
    for call in every_call(machine):
        with pytest.raises(errors.NotPermitted, match="is a symbolic link") as caught:
            call()
        assert (caught.value.errno, caught.value.path) == (errno.ELOOP, str(folder))


def test_links_above_the_log_folder_are_followed(machine: System, tmp_path: Path) -> None:
    """As /var/run is one."""
    run = tmp_path / "run"
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to(run)
    linked = replace(machine, aael=str(tmp_path / "var" / "run" / "agent" / "eventlog"))
    run.mkdir()
    for call in every_call(linked):
        call()
    record_event("d", "e", "f", system=replace(machine, aael=str(run / "agent" / "eventlog")))
    assert check_log(system=linked) == "consistent"


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a file"])
def test_a_log_folder_that_is_none(machine: System, tmp_path: Path, kind: str) -> None:
    """A link is said to be one, wherever it leads."""
    folder = Path(machine.aael).parent
    (tmp_path / "file").touch()
    if kind == "file":
        folder.touch()
    else:
        folder.symlink_to("file" if kind == "link to a file" else "nothing")
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        record_event("a", "b", "c", system=machine)
    assert type(caught.value) in (errors.NotAvailable, errors.NotPermitted)
    if kind == "file":
        assert check_log(system=machine) == "none"
        return
    with pytest.raises(errors.NotPermitted, match="is a symbolic link"):
        check_log(system=machine)


NOBODY = 65534


@pytest.mark.parametrize(
    ("what", "owner", "mode", "is_good"),
    [
        ("folder", 0, 0o755, True),
        ("folder", 0, 0o775, False),
        ("folder", 0, 0o1777, False),
        ("folder", NOBODY, 0o755, False),
        ("file", 0, 0o600, True),
        ("file", 0, 0o666, False),
        ("file", 0, 0o664, False),
        ("file", NOBODY, 0o644, False),
    ],
)
def test_a_log_that_others_can_change_is_not_used(
    machine: System, what: str, owner: int, mode: int, is_good: bool
) -> None:
    record_event("a", "b", "c", system=machine)
    log = log_bytes(machine)
    path = Path(machine.aael) if what == "file" else Path(machine.aael).parent
    path.chmod(mode)
    os.chown(path, owner, owner)
    for call in every_call(machine):
        if is_good:
            call()
            continue
        with pytest.raises(
            errors.NotPermitted, match=f"log's {what}.*belongs to another"
        ) as caught:
            call()
        assert caught.value.path == str(path)
        assert log_bytes(machine) == log


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_log_that_is_no_regular_file_is_refused(machine: System, kind: str) -> None:
    path = Path(machine.aael)
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "x").touch()
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        record_event("a", "b", "c", system=machine)
    assert caught.value.path == str(path)


def test_a_last_line_without_its_end_is_completed(machine: System) -> None:
    begin(machine, "text")
    record_event("a", "b", "c", system=machine)
    write_log(machine, log_bytes(machine).rstrip(b"\n"))
    record_event("d", "e", "f", system=machine)
    assert log_bytes(machine).endswith(b"a b c\nd e f\n")
    assert check_log(system=machine) == "consistent"


@pytest.mark.parametrize("line", ["first", "d e f"])
def test_an_unfinished_entry_is_found_and_finished(machine: System, form: str, line: str) -> None:
    """As after a crash between writing the log and extending the register."""
    if line == "first":
        word = {"text": "INIT", "tcg2": "cczoo begin"}[form]
        line = f"{word} sha384/{read_rtmr(3, system=machine).hex()}"
        Path(machine.aael).parent.mkdir()
        Path(machine.aael).touch()
    else:
        begin(machine, form)
        record_event("a", "b", "c", system=machine)
    write_log(machine, log_bytes(machine) + entry(form, line))
    assert check_log(system=machine) == "unfinished"
    log, register = log_bytes(machine), read_rtmr(3, system=machine)
    with pytest.raises(errors.LogMismatch, match="finish_event"):
        record_event("x", "y", "z", system=machine)
    assert (log_bytes(machine), read_rtmr(3, system=machine)) == (log, register)
    finish_event(system=machine)
    assert check_log(system=machine) == "consistent"
    record_event("x", "y", "z", system=machine)
    assert check_log(system=machine) == "consistent"


@pytest.mark.parametrize(
    "log",
    [b"", b"INI", b"INIT sha384/00", b"\4", tcg2_entry("a b c")[:20], tcg2_entry("a b c")[:-1]],
)
def test_a_log_cut_at_its_very_begin_is_begun_anew(machine: System, log: bytes) -> None:
    Path(machine.aael).parent.mkdir()
    write_log(machine, log)
    assert check_log(system=machine) == ("unfinished" if log else "none")
    finish_event(system=machine)
    record_event("a", "b", "c", system=machine)
    assert check_log(system=machine) == "consistent"


def test_an_entry_cut_in_the_writing_is_removed(machine: System, form: str) -> None:
    """At each of its bytes, as a full disk or a crash leaves it."""
    begin(machine, form)
    record_event("a", "b", "c", system=machine)
    log, added = log_bytes(machine), entry(form, "d e \u00e9")
    for size in range(1, len(added)):
        write_log(machine, log + added[:size])
        assert check_log(system=machine) == "unfinished"
        finish_event(system=machine)
        assert (log_bytes(machine), check_log(system=machine)) == (log, "consistent")


def test_a_register_extended_without_the_log_is_found(machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    extend_rtmr(3, DIGEST, system=machine)
    assert check_log(system=machine) == "diverged"
    for call in (
        lambda: record_event("x", "y", "z", system=machine),
        lambda: finish_event(system=machine),
    ):
        with pytest.raises(errors.LogMismatch, match="without the log"):
            call()


GOOD = tcg2_entry("a b c")


@pytest.mark.parametrize(
    "log",
    [
        *(b"garbage\n", b"garbage\nmore\n", b"INIT sha384/00\na b c\n", b"\xff\xfe\n\0"),
        bytes(100),
        GOOD[:4] + b"\5" + GOOD[5:],  # another type
        GOOD[:8] + b"\2" + GOOD[9:],  # more digests than one
        GOOD[:12] + b"\x0b" + GOOD[13:],  # of another algorithm
        GOOD[:14] + b"\0" + GOOD[15:],  # a digest of something else
        GOOD[:66] + b"x" + GOOD[67:],  # another tag
        GOOD[:70] + b"\4" + GOOD[71:],  # another length of the line
        GOOD + b"\nd e f\n",  # text after events
        b"INIT sha384/" + DIGEST.hex().encode() + b"\n" + GOOD,  # events after text
    ],
)
def test_a_log_of_garbage_is_found(machine: System, log: bytes) -> None:
    extend_rtmr(3, DIGEST, system=machine)
    Path(machine.aael).parent.mkdir()
    write_log(machine, log)
    assert check_log(system=machine) == "diverged"
    with pytest.raises(errors.LogMismatch):
        record_event("x", "y", "z", system=machine)
    assert log_bytes(machine) == log


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_that_is_no_text_is_not_replaced_by_one(machine: System, end: str) -> None:
    """Though the register has what a lenient reader makes of it: no verifier reads such a log."""
    begin(machine, "text")
    write_log(machine, log_bytes(machine) + b"a b \xff" + end.encode())
    extend_rtmr(3, digest_of("text", "a b \ufffd"), system=machine)
    assert check_log(system=machine) == "diverged"


def test_a_whole_line_that_is_none_is_not_taken_for_a_cut_one(machine: System) -> None:
    begin(machine, "text")
    write_log(machine, log_bytes(machine) + b"two words\n")
    assert check_log(system=machine) == "diverged"


def test_an_entry_that_could_not_be_measured_is_taken_back(
    emulator: Emulator, machine: System, form: str
) -> None:
    emulator.set_fault("extend-error:1")
    with pytest.raises(errors.ServiceFailed):
        record_event("a", "b", "c", system=machine)
    assert check_log(system=machine) == "none"
    Path(machine.aael).parent.joinpath("eventlog.lock").unlink()
    Path(machine.aael).parent.rmdir()
    begin(machine, form)
    record_event("a", "b", "c", system=machine)
    log = log_bytes(machine)
    emulator.set_fault("extend-error:1")
    with pytest.raises(errors.ServiceFailed):
        record_event("d", "e", "f", system=machine)
    assert (log_bytes(machine), check_log(system=machine)) == (log, "consistent")


@pytest.mark.parametrize(
    ("domain", "operation", "content"),
    [
        ("", "b", "c"),
        ("a a", "b", "c"),
        ("a", "b\n", "c"),
        ("a", "b", ""),
        ("a", "b", "c\nx y z"),
        ("a", "b", "c\0"),
        ("a", "b", "\ud800"),
        ("ä", "b", "c"),
        (b"a", "b", "c"),
        ("a", None, "c"),
        ("a", "b", 3),
        ("cczoo", "begin", "sha384/" + "00" * 48),
    ],
)
def test_bad_events(machine: System, domain: Any, operation: Any, content: Any) -> None:
    with pytest.raises(errors.BadInput):
        record_event(domain, operation, content, system=machine)
    assert check_log(system=machine) == "none"


def test_many_writers_keep_log_and_register_in_step(machine: System, form: str) -> None:
    begin(machine, form)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(record_event, "t", "n", str(n), timeout=60, system=machine)
                 for n in range(24)]  # fmt: skip
    assert [call.exception() for call in calls] == [None] * 24
    numbers = sorted(int(line.split()[2]) for line in lines_of(log_bytes(machine))[1:])
    assert numbers == list(range(24))
    assert check_log(system=machine) == "consistent"


def test_a_child_forked_meanwhile_does_not_keep_the_lock(machine: System) -> None:
    make_folder(Path(machine.aael))
    with measure._locked(Path(machine.aael), time.monotonic() + 10):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    record_event("a", "b", "c", timeout=5, system=machine)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_lock_that_is_held(machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    fd = os.open(machine.aael + ".lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(errors.Busy, match="another process"):
        record_event("a", "b", "c", timeout=0.1, system=machine)
    os.close(fd)


RECORD_ON = """
import sys
from dataclasses import replace
from quote_generator.attester import System
from quote_generator.measure import record_event
system = replace(System.under(sys.argv[1]), aael=sys.argv[2])
print(flush=True)
for n in range(10000):
    record_event("app", "step", str(n), timeout=60, system=system)
"""


@pytest.mark.emulated("its processes take long to start there; test_kill.py does without")
@pytest.mark.parametrize("entries", range(1, 11))
def test_kill_at_any_point_leaves_what_can_be_explained(
    emulator: Emulator, machine: System, entries: int, form: str
) -> None:
    begin(machine, form)
    arguments = [sys.executable, "-c", RECORD_ON, emulator.root, machine.aael]
    process = subprocess.Popen(arguments)
    path = Path(machine.aael)
    last = entry(form, f"app step {entries - 1}")
    assert eventually(lambda: path.exists() and last in path.read_bytes())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert check_log(system=machine) in ("consistent", "unfinished")
    finish_event(system=machine)
    record_event("app", "again", "x", system=machine)
    assert check_log(system=machine) == "consistent"


def test_a_full_disk_changes_nothing(emulator: Emulator, machine: System, form: str) -> None:
    begin(machine, form)
    record_event("a", "b", "c", system=machine)
    log = log_bytes(machine)
    code = """
import resource, signal, sys
from dataclasses import replace
from quote_generator import errors
from quote_generator.attester import System
from quote_generator.measure import record_event
size = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    record_event("d", "e", "f" * 100, system=replace(System.under(sys.argv[1]), aael=sys.argv[2]))
except errors.Busy as error:
    print(error.errno)
"""
    for room in (0, 5, 70):  # nothing is written, or a part of the entry
        arguments = [emulator.root, machine.aael, str(len(log) + room)]
        done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
        assert int(done.stdout) in (errno.EFBIG, errno.ENOSPC)
        assert (log_bytes(machine), check_log(system=machine)) == (log, "consistent")


def test_a_folder_that_may_not_be_written(machine: System, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.NotAvailable, match="folder"):
        record_event("a", "b", "c", system=replace(machine, aael=str(tmp_path / "file" / "log")))


# --- where RTMR3 cannot be written, or not by us: told at once, and nothing is left ---


def assert_refused_at_once(machine: System, kind: type[errors.QuoteGeneratorError]) -> None:
    """An event is refused well before its time is over, and no log says that there was one."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        record_event("a", "b", "c", timeout=30, system=machine)
    assert time.monotonic() - began < 5
    assert type(caught.value) is kind
    assert not Path(machine.aael).exists()


def test_a_machine_without_tdx(machine: System, tmp_path: Path) -> None:
    nothing = System.under(str(tmp_path), environ={})
    for folder in (Path(machine.aael).parent, tmp_path / "none" / "inner"):
        before = sorted(folder.rglob("*"))
        machine = replace(nothing, aael=str(folder / "eventlog"))
        assert_refused_at_once(machine, errors.NotAvailable)
        assert sorted(folder.rglob("*")) == before
    assert not (tmp_path / "none").exists()
    assert check_log(system=nothing) == "none"


def test_a_kernel_that_extends_no_register(machine: System, tmp_path: Path) -> None:
    """From Linux 6.7 to 6.15: a device whose ioctl it does not know, and no file."""
    without = replace(machine, measurements=str(tmp_path / "none"))
    assert_refused_at_once(without, errors.NotAvailable)
    assert check_log(system=without) == "none"


@pytest.mark.parametrize("may_read", [True, False])
def test_a_process_without_the_right_to(may_read: bool) -> None:
    """It may not use the device, and the register's file not at all, or only read it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "tdx_guest").touch(0o600)
        (root / "rtmr3:sha384").write_bytes(ZEROS)
        (root / "rtmr3:sha384").chmod(0o644 if may_read else 0o600)
        (root / "log").mkdir()
        os.chown(root / "log", NOBODY, NOBODY)
        machine = System(
            guest_devices=(f"{root}/tdx_guest",),
            measurements=str(root),
            aael=f"{root}/log/eventlog",
            environ={},
        )
        found = as_nobody(lambda: assert_refused_at_once(machine, errors.NotPermitted))
        assert found == "as it must be"
        assert (root / "log" / "eventlog.lock").exists() == may_read  # so far it came


def as_nobody(check: Callable[[], None]) -> str:
    """Return what becomes of a check in a process without rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.seteuid(NOBODY)
            check()
            os.write(writer, b"as it must be")
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        return pipe.read()

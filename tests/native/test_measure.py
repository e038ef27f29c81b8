"""Extending registers, and the application's log in step with them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Emulate, eventually
from emulator import Emulator
from emulator.device import EXTEND_NUMBERS
from quote_generator import errors, measure
from quote_generator.attester import System
from quote_generator.eventlog import (
    ApplicationEvent,
    parse_aael,
    parse_event,
    read_application_log,
)
from quote_generator.logfile import MAX_LOG_SIZE, make_folder
from quote_generator.measure import (
    check_log,
    extend_rtmr,
    finish_event,
    read_rtmr,
    record_event,
)

DIGEST = b"\5" * 48


def extended(value: bytes, digest: bytes) -> bytes:
    return hashlib.sha384(value + digest).digest()


@pytest.fixture
def machine(emulator: Emulator, tmp_path: Path) -> System:
    """The emulated machine with a log folder of its own; its RTMR3 holds what tests left."""
    system = System.under(emulator.root, environ={})
    return replace(system, aael=str(tmp_path / "attestation-agent" / "eventlog"))


def log_text(machine: System) -> str:
    return Path(machine.aael).read_text()


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
    lines = ["INIT sha384/" + before.hex(), "app start with words", "app load sha256:aa"]
    assert log_text(machine) == "\n".join(lines) + "\n"
    assert parse_aael(log_text(machine)).replay() == read_rtmr(3, system=machine)
    assert check_log(system=machine) == "consistent"


def test_a_log_is_kept_where_only_the_registers_file_is_there(machine: System) -> None:
    """As in a container that has sysfs and no device."""
    without = replace(machine, guest_devices=("/no/such/device",))
    record_event("app", "start", "x", system=without)
    assert check_log(system=without) == check_log(system=machine) == "consistent"
    Path(machine.aael).write_text(log_text(machine) + "app load y\n")
    assert check_log(system=without) == "unfinished"
    finish_event(system=without)
    assert check_log(system=machine) == "consistent"


def test_an_event_does_not_cost_all_events_before_it(
    machine: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        record_event("app", "step", str(number), system=machine)
    parsed = []

    def parse(line: str, number: int) -> ApplicationEvent:
        parsed.append(line)
        return parse_event(line, number)

    monkeypatch.setattr(measure, "parse_event", parse)
    record_event("app", "step", "20", system=machine)
    assert check_log(system=machine) == "consistent"
    assert parsed == ["app step 19", "app step 20"]
    # What another process has added is followed; a change before that is seen.
    whole = log_text(machine)
    Path(machine.aael).write_text(whole + "app step 21\napp step 22\n")
    assert check_log(system=machine) == "diverged"
    extend_rtmr(3, hashlib.sha384(b"app step 21").digest(), system=machine)
    assert check_log(system=machine) == "unfinished"
    finish_event(system=machine)
    assert check_log(system=machine) == "consistent"
    Path(machine.aael).write_text(log_text(machine).replace("step 7", "step 8"))
    assert check_log(system=machine) == "diverged"
    Path(machine.aael).write_text(whole + "\n")
    assert check_log(system=machine) == "diverged"


def test_a_full_log_is_said_so_and_left_alone(
    machine: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_event("a", "b", "c", system=machine)
    text, register = log_text(machine), read_rtmr(3, system=machine)
    monkeypatch.setattr(measure, "MAX_LOG_SIZE", len(text) + 10)
    with pytest.raises(errors.BadInput, match=r"is full.*restart"):
        record_event("d", "e", "f" * 10, system=machine)
    assert (log_text(machine), read_rtmr(3, system=machine)) == (text, register)
    record_event("d", "e", "f", system=machine)
    assert check_log(system=machine) == "consistent"


def test_a_log_of_the_greatest_size_can_be_read_and_a_larger_one_cannot(machine: System) -> None:
    path = Path(machine.aael)
    path.parent.mkdir()
    path.write_bytes(b"x" * MAX_LOG_SIZE)
    assert check_log(system=machine) == "unfinished"  # no whole line yet
    path.write_bytes(b"x" * (MAX_LOG_SIZE + 1))
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
    text = log_text(machine)
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
        assert log_text(machine) == text


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
    record_event("a", "b", "c", system=machine)
    Path(machine.aael).write_text(log_text(machine).rstrip("\n"))
    record_event("d", "e", "f", system=machine)
    assert log_text(machine).endswith("a b c\nd e f\n")
    assert check_log(system=machine) == "consistent"


@pytest.mark.parametrize("entry", ["INIT", "d e f"])
def test_an_unfinished_entry_is_found_and_finished(machine: System, entry: str) -> None:
    """As after a crash between writing the log and extending the register."""
    if entry == "INIT":
        entry = f"INIT sha384/{read_rtmr(3, system=machine).hex()}"
        Path(machine.aael).parent.mkdir()
        Path(machine.aael).touch()
    else:
        record_event("a", "b", "c", system=machine)
    Path(machine.aael).write_text(log_text(machine) + entry + "\n")
    assert check_log(system=machine) == "unfinished"
    text, register = log_text(machine), read_rtmr(3, system=machine)
    with pytest.raises(errors.LogMismatch, match="finish_event"):
        record_event("x", "y", "z", system=machine)
    assert (log_text(machine), read_rtmr(3, system=machine)) == (text, register)
    finish_event(system=machine)
    assert check_log(system=machine) == "consistent"
    record_event("x", "y", "z", system=machine)
    assert check_log(system=machine) == "consistent"


@pytest.mark.parametrize("text", ["", "INI", "INIT sha384/00"])
def test_a_log_cut_at_its_very_begin_is_begun_anew(machine: System, text: str) -> None:
    Path(machine.aael).parent.mkdir()
    Path(machine.aael).write_text(text)
    assert check_log(system=machine) == ("unfinished" if text else "none")
    finish_event(system=machine)
    record_event("a", "b", "c", system=machine)
    assert check_log(system=machine) == "consistent"


@pytest.mark.parametrize("cut", ["d", "d e", "d e f"])
def test_an_entry_cut_in_the_writing_is_removed(machine: System, cut: str) -> None:
    record_event("a", "b", "c", system=machine)
    text = log_text(machine)
    Path(machine.aael).write_text(text + cut)
    assert check_log(system=machine) == "unfinished"
    finish_event(system=machine)
    assert (log_text(machine), check_log(system=machine)) == (text, "consistent")


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


@pytest.mark.parametrize("text", ["garbage\n", "garbage\nmore\n", "INIT sha384/00\na b c\n"])
def test_a_log_of_garbage_is_found(machine: System, text: str) -> None:
    extend_rtmr(3, DIGEST, system=machine)
    Path(machine.aael).parent.mkdir()
    Path(machine.aael).write_text(text)
    assert check_log(system=machine) == "diverged"


def test_an_entry_that_could_not_be_measured_is_taken_back(
    emulator: Emulator, machine: System
) -> None:
    emulator.set_fault("extend-error:1")
    with pytest.raises(errors.ServiceFailed):
        record_event("a", "b", "c", system=machine)
    assert check_log(system=machine) == "none"
    record_event("a", "b", "c", system=machine)
    text = log_text(machine)
    emulator.set_fault("extend-error:1")
    with pytest.raises(errors.ServiceFailed):
        record_event("d", "e", "f", system=machine)
    assert (log_text(machine), check_log(system=machine)) == (text, "consistent")


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
    ],
)
def test_bad_events(machine: System, domain: Any, operation: Any, content: Any) -> None:
    with pytest.raises(errors.BadInput):
        record_event(domain, operation, content, system=machine)
    assert check_log(system=machine) == "none"


def test_many_writers_keep_log_and_register_in_step(machine: System) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(record_event, "t", "n", str(n), timeout=60, system=machine)
                 for n in range(24)]  # fmt: skip
    assert [call.exception() for call in calls] == [None] * 24
    log = parse_aael(log_text(machine))
    assert sorted(int(event.content) for event in log.events) == list(range(24))
    assert check_log(system=machine) == "consistent"


def test_a_child_forked_meanwhile_does_not_keep_the_lock(machine: System) -> None:
    make_folder(Path(machine.aael))
    with measure._locked(machine, time.monotonic() + 10):
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
    emulator: Emulator, machine: System, entries: int
) -> None:
    arguments = [sys.executable, "-c", RECORD_ON, emulator.root, machine.aael]
    process = subprocess.Popen(arguments)
    path = Path(machine.aael)
    assert eventually(lambda: path.exists() and path.read_text().count("\n") >= entries)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert check_log(system=machine) in ("consistent", "unfinished")
    finish_event(system=machine)
    record_event("app", "again", "x", system=machine)
    assert check_log(system=machine) == "consistent"


def test_a_full_disk_changes_nothing(emulator: Emulator, machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    text = log_text(machine)
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
    for room in (0, 5):  # nothing is written, or a part of the entry
        arguments = [emulator.root, machine.aael, str(len(text) + room)]
        done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
        assert int(done.stdout) in (errno.EFBIG, errno.ENOSPC)
        assert (log_text(machine), check_log(system=machine)) == (text, "consistent")


def test_a_log_that_is_no_text(machine: System) -> None:
    Path(machine.aael).parent.mkdir()
    Path(machine.aael).write_bytes(b"\xff\xfe\n\0")
    assert check_log(system=machine) == "diverged"


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.NotAvailable, match="folder"):
        record_event("a", "b", "c", system=System(aael=str(tmp_path / "file" / "log")))

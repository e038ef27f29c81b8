"""What configfs-tsm does, as checks that run on the emulator and on the real kernel alike.

So the emulator cannot drift from what it stands for. Each check gets a new entry's directory and a
function that sets a fault by name ("none" ends it). test_emulator.py runs them, here and in the
guest of kernel/run.py.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SetFault = Callable[[str], None]


def read_error(path: Path) -> int | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.pread(fd, 65536, 0)
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
    return None


def write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def generation(entry: Path) -> int:
    return int((entry / "generation").read_text())


def becomes(entry: Path, wanted: int) -> bool:
    """FUSE tells the emulator of a last close a moment later; the kernel commits at once."""
    for _ in range(1000):
        if generation(entry) == wanted:
            return True
        time.sleep(0.005)
    return False


def attributes(entry: Path, fault: SetFault) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in entry.iterdir()}
    assert modes == {"inblob": 0o200, "outblob": 0o444, "generation": 0o444, "provider": 0o444}
    assert (entry / "provider").read_text() == "tdx_guest\n"
    assert generation(entry) == 0
    assert read_error(entry / "outblob") == errno.EINVAL


def inblob_is_committed_at_close(entry: Path, fault: SetFault) -> None:
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, bytes(64))
    assert generation(entry) == 0
    os.close(fd)
    assert becomes(entry, 1)


def a_copied_descriptor_delays_the_commit(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    old = (entry / "outblob").read_bytes()
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, b"\1" * 64)
    copy = os.dup(fd)  # as a fork in another thread makes one
    os.close(fd)
    assert generation(entry) == 1
    assert (entry / "outblob").read_bytes() == old
    os.close(copy)
    assert becomes(entry, 2)
    assert (entry / "outblob").read_bytes() != old


@contextmanager
def child(work: Callable[[], object]) -> Iterator[int]:
    """Do some work in a forked child, which is killed in the end if it is still there."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 1)
        finally:
            os._exit(255)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def exit_code(pid: int) -> int | None:
    """Return a child's exit code, and leave the child to be waited for; None while it runs."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    ended = os.waitid(os.P_PID, pid, options)
    return None if ended is None else ended.si_status


def exit_code_within(pid: int, seconds: float) -> int | None:
    until = time.monotonic() + seconds
    while exit_code(pid) is None and time.monotonic() < until:
        time.sleep(0.005)
    return exit_code(pid)


def a_fork_delays_the_commit(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    old = (entry / "outblob").read_bytes()
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, b"\1" * 64)
    with child(lambda: time.sleep(60)):
        os.close(fd)
        assert generation(entry) == 1
        assert (entry / "outblob").read_bytes() == old
    assert becomes(entry, 2)


def everybody_waits_for_a_slow_quote(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    other = entry.with_name("conformance-other")
    fault("held:1")
    with child(lambda: read_error(entry / "outblob")) as reader:
        assert exit_code_within(reader, 0.5) is None
        with child(other.mkdir) as maker:
            assert exit_code_within(maker, 0.5) is None
            os.kill(reader, signal.SIGKILL)
            assert exit_code_within(maker, 10) == 0
    other.rmdir()


def _leave(number: int, frame: object) -> None:
    os._exit(errno.EINTR)


def interruptible(work: Callable[[], object]) -> Callable[[], object]:
    """Have SIGUSR1 end a process, where it comes out of the kernel; Python would try again."""
    return lambda: (signal.signal(signal.SIGUSR1, _leave), work())


def a_signal_ends_the_wait_for_a_quote(entry: Path, fault: SetFault) -> None:
    """The driver waits with msleep_interruptible; the host goes on, and others are told EBUSY."""
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fault("slow:1")
    with child(interruptible(lambda: read_error(entry / "outblob"))) as reader:
        assert exit_code_within(reader, 0.5) is None
        os.kill(reader, signal.SIGUSR1)
        assert exit_code_within(reader, 10) == errno.EINTR
    assert read_error(entry / "outblob") == errno.EBUSY
    until = time.monotonic() + 60
    while read_error(entry / "outblob") == errno.EBUSY and time.monotonic() < until:
        time.sleep(0.01)
    assert len((entry / "outblob").read_bytes()) > 4000


def no_signal_ends_the_wait_for_the_lock(entry: Path, fault: SetFault) -> None:
    """Who queues behind a slow quote, even for mkdir, is not to be called back."""
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    other = entry.with_name("conformance-other")
    fault("held:1")
    with child(lambda: read_error(entry / "outblob")) as reader:
        assert exit_code_within(reader, 0.5) is None
        with child(interruptible(other.mkdir)) as maker:
            assert exit_code_within(maker, 0.5) is None
            os.kill(maker, signal.SIGUSR1)
            assert exit_code_within(maker, 0.5) is None
            os.kill(reader, signal.SIGKILL)
            assert exit_code_within(maker, 10) in (0, errno.EINTR)
    other.rmdir()


def only_root_may(entry: Path, fault: SetFault) -> None:
    def as_nobody(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: (os.setuid(65534), work())

    other = entry.with_name("conformance-other")
    for work in (other.mkdir, lambda: write(entry / "inblob", bytes(64))):
        with child(as_nobody(work)) as nobody:
            assert exit_code_within(nobody, 10) == errno.EACCES


def inblob_is_64_bytes(entry: Path, fault: SetFault) -> None:
    try:
        write(entry / "inblob", bytes(65))
    except OSError as error:
        assert error.errno == errno.EFBIG  # noqa: PT017
    else:
        raise AssertionError("65 bytes were taken")
    assert becomes(entry, 1)
    assert read_error(entry / "outblob") == errno.EINVAL
    write(entry / "inblob", bytes(32))
    assert becomes(entry, 2)
    assert read_error(entry / "outblob") == errno.EINVAL


def a_failed_quote_is_empty_and_cached(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fault("empty")
    assert (entry / "outblob").read_bytes() == b""
    fault("none")
    assert (entry / "outblob").read_bytes() == b""
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 2)
    assert (entry / "outblob").read_bytes() != b""


def _error_passes(name: str, number: int) -> Callable[[Path, SetFault], None]:
    def check(entry: Path, fault: SetFault) -> None:
        write(entry / "inblob", bytes(64))
        assert becomes(entry, 1)
        fault(name)
        assert read_error(entry / "outblob") == number
        fault("none")
        assert len((entry / "outblob").read_bytes()) > 4000

    return check


def too_big(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fault("too-big:1")
    assert read_error(entry / "outblob") == errno.EFBIG


def outblob_has_no_size(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    assert len((entry / "outblob").read_bytes()) > 4000
    assert (entry / "outblob").stat().st_size == 0


def nothing_opens_both_ways(entry: Path, fault: SetFault) -> None:
    for name in ("inblob", "outblob"):
        try:
            os.close(os.open(entry / name, os.O_RDWR))
        except PermissionError:
            continue
        raise AssertionError(f"{name} opened for both reading and writing")


def an_open_entry_can_be_removed(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fd = os.open(entry / "outblob", os.O_RDONLY)
    entry.rmdir()
    try:
        os.pread(fd, 1, 0)
    except FileNotFoundError:
        return
    finally:
        os.close(fd)
    raise AssertionError("a removed entry was read")


CHECKS: dict[str, Callable[[Path, SetFault], None]] = {
    "attributes": attributes,
    "inblob is committed at close": inblob_is_committed_at_close,
    "a copied descriptor delays the commit": a_copied_descriptor_delays_the_commit,
    "a fork delays the commit": a_fork_delays_the_commit,
    "inblob is 64 bytes": inblob_is_64_bytes,
    "a failed quote is empty and cached": a_failed_quote_is_empty_and_cached,
    "EBUSY passes": _error_passes("busy", errno.EBUSY),
    "EIO passes": _error_passes("io-error", errno.EIO),
    "ETIMEDOUT passes": _error_passes("timed-out", errno.ETIMEDOUT),
    "EWOULDBLOCK passes": _error_passes("changed", errno.EWOULDBLOCK),
    "ENXIO passes": _error_passes("gone", errno.ENXIO),
    "more than 32 KiB are EFBIG": too_big,
    "outblob has no size": outblob_has_no_size,
    "nothing opens both ways": nothing_opens_both_ways,
    "an open entry can be removed": an_open_entry_can_be_removed,
    "everybody waits for a slow quote": everybody_waits_for_a_slow_quote,
    "a signal ends the wait for a quote": a_signal_ends_the_wait_for_a_quote,
    "no signal ends the wait for the lock": no_signal_ends_the_wait_for_the_lock,
    "only root may": only_root_may,
}

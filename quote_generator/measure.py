"""Runtime measurement: extends RTMRs, and keeps the application's event log in step with RTMR3.

An event is written and synced to the log first, then the register is extended: so a crash between
the two leaves an entry too many, never one too few, and what the register holds can always be
explained. ``check_log`` finds such an entry, ``finish_event`` puts it right.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import attester
from .attester import System
from .errors import BadInput, Busy, LogMismatch, NotAvailable, NotPermitted, TimedOut
from .eventlog import (
    REGISTER_SIZE,
    ApplicationEvent,
    ApplicationLog,
    extend,
    parse_aael,
    read_log_file,
)
from .tdreport import parse_tdreport

# RTMR0 and RTMR1 belong to the firmware and the boot loader; RTMR3 has the application's log.
WRITABLE = (2, 3)
_LOG_REGISTER = 3
_LOCK_PAUSE = 0.01


def extend_rtmr(
    index: int, digest: bytes, *, timeout: float = 10.0, system: System | None = None
) -> None:
    """Extend RTMR2 or RTMR3 with a digest of 48 bytes.

    Uses the file of Linux 6.16 and later, or the ioctl of older vendor kernels. It is never
    repeated, for it cannot be undone: after TimedOut it is not known whether it was done.
    Raises as ``attester.attest`` does.
    """
    if index not in WRITABLE:
        raise BadInput(f"RTMR{index} cannot be extended from here; only RTMR2 and RTMR3 can")
    if len(digest) != REGISTER_SIZE:
        raise BadInput(f"a digest has {REGISTER_SIZE} bytes (SHA-384), this has {len(digest)}")
    attester.check_timeout(timeout)
    system = system or System()
    try:
        attester.run_extension(index, bytes(digest), time.monotonic() + timeout, system)
    except TimedOut as error:
        raise TimedOut(
            f"extending RTMR{index} took longer than allowed; it is not known whether it was "
            "done: compare the register with the log before the next attempt.",
            path=error.path,
        ) from error


def read_rtmr(index: int, *, timeout: float = 10.0, system: System | None = None) -> bytes:
    """Return the value of an RTMR, 48 bytes, from a TDREPORT."""
    report = parse_tdreport(attester.get_tdreport(timeout=timeout, system=system))
    value: bytes = getattr(report, f"rtmr_{index}")
    return value


# --- the application's log ---------------------------------------------------------------------


def check_log(*, timeout: float = 10.0, system: System | None = None) -> str:
    """Return how the application's log and RTMR3 stand to each other.

    "none": there is no log. "consistent": the log leads to the register. "unfinished": its last
    entry was written, but the register not extended with it. "diverged": anything else.
    """
    attester.check_timeout(timeout)
    system = system or System()
    if not _has_log(Path(system.aael)):
        return "none"
    deadline = time.monotonic() + timeout
    with _locked(system, deadline):
        register = read_rtmr(_LOG_REGISTER, timeout=_left(deadline), system=system)
        return _state(_text_of(Path(system.aael)), register)


def record_event(
    domain: str,
    operation: str,
    content: str,
    *,
    timeout: float = 10.0,
    system: System | None = None,
) -> ApplicationEvent:
    """Append an event to the application's log, and extend RTMR3 with it.

    The log is begun where there is none. Raises LogMismatch where log and register do not agree
    beforehand; nothing is changed then. If the kernel refuses the extension, the entry is taken
    back; after TimedOut it stays, and ``check_log`` tells.
    """
    event = _make_event(domain, operation, content)
    attester.check_timeout(timeout)
    system = system or System()
    deadline = time.monotonic() + timeout
    with _locked(system, deadline):
        register = read_rtmr(_LOG_REGISTER, timeout=_left(deadline), system=system)
        path = Path(system.aael)
        if not _has_log(path):
            log = ApplicationLog(register, ())
            _record(path, f"INIT sha384/{register.hex()}", log.digest, deadline, system)
        elif (state := _state(_text_of(path), register)) != "consistent":
            raise _mismatch(state, path)
        _record(path, event.line, event.digest, deadline, system)
    return event


def finish_event(*, timeout: float = 10.0, system: System | None = None) -> None:
    """Finish what a crash interrupted: extend RTMR3 with the log's last, unfinished entry.

    An entry without its line's end was cut while being written: it is removed instead. Does
    nothing to a consistent log. Raises LogMismatch for one that has diverged.
    """
    attester.check_timeout(timeout)
    system = system or System()
    deadline = time.monotonic() + timeout
    with _locked(system, deadline):
        path = Path(system.aael)
        if not _has_log(path):
            return
        text = _text_of(path)
        state = _state(text, read_rtmr(_LOG_REGISTER, timeout=_left(deadline), system=system))
        if state == "diverged":
            raise _mismatch(state, path)
        if state == "consistent":
            return
        if not text.endswith("\n"):
            with _explained(path):
                os.truncate(path, len(text[: text.rfind("\n") + 1].encode()))
            return
        log = parse_aael(text)
        digest = log.events[-1].digest if log.events else log.digest
        extend_rtmr(_LOG_REGISTER, digest, timeout=_left(deadline), system=system)


def _make_event(domain: str, operation: str, content: str) -> ApplicationEvent:
    for name, word in (("domain", domain), ("operation", operation)):
        if not re.fullmatch(r"[!-~]+", word):
            raise BadInput(f"an event's {name} is one word of printable ASCII characters")
    if not content or not content.isprintable():
        raise BadInput("an event's content is printable text on one line")
    return ApplicationEvent(domain, operation, content)


def _has_log(path: Path) -> bool:
    """An empty file is no log: a crash may have come right after it was made."""
    try:
        return path.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise NotPermitted(
            f"cannot look for {path}; run as root, or give this process the folder.",
            errno=error.errno,
            path=str(path),
        ) from error


def _text_of(path: Path) -> str:
    """Return the log; bytes that are no text make it one that leads nowhere."""
    return (read_log_file(path) or b"").decode(errors="replace")


def _state(text: str, register: bytes) -> str:
    """Compare the log with the register, and with what it was before the log's last line."""
    lines = text.removesuffix("\n").split("\n")
    try:
        if _lead_to(lines) == register:
            return "consistent"
    except BadInput:
        pass  # the last line may have been cut
    try:
        return "unfinished" if _lead_to(lines[:-1], lines[-1]) == register else "diverged"
    except BadInput:
        return "diverged" if "\n" in text else "unfinished"  # not even the first line is whole


def _lead_to(lines: list[str], after: str = "") -> bytes:
    if not lines:  # only the first line is there, and names the value before it
        return parse_aael(after).initial
    log = parse_aael("\n".join(lines))
    return extend(log.initial, [log.digest, *(event.digest for event in log.events)])


def _record(path: Path, line: str, digest: bytes, deadline: float, system: System) -> None:
    before = path.stat().st_size if path.exists() else None
    try:
        with _explained(path):
            _append(path, line)
        extend_rtmr(_LOG_REGISTER, digest, timeout=_left(deadline), system=system)
    except TimedOut:
        raise  # perhaps it was extended: the entry must stay
    except Exception:
        _take_back(path, before)
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = NotPermitted if isinstance(error, PermissionError) else Busy
        raise kind(
            f"cannot write to {path} ({error.strerror}); give this process a file that it may "
            "write to, with room for more.",
            errno=error.errno,
            path=str(path),
        ) from error


def _append(path: Path, line: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(fd).st_size
        complete = size == 0 or os.pread(fd, 1, size - 1) == b"\n"
        data = (("" if complete else "\n") + line + "\n").encode()
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _take_back(path: Path, size: int | None) -> None:
    """Remove the entry again; where that fails too it stays, and is found as unfinished."""
    with suppress(OSError):
        if size is None:
            path.unlink(missing_ok=True)
        else:
            os.truncate(path, size)


@contextmanager
def _locked(system: System, deadline: float) -> Iterator[None]:
    """Hold the log's lock, which every writer of this package takes."""
    path = Path(system.aael + ".lock")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise NotPermitted(
            f"cannot write to {path.parent}; run as root, or give this process the folder.",
            errno=error.errno,
            path=str(path),
        ) from error
    except OSError as error:
        raise NotAvailable(
            f"cannot make {path} ({error.strerror}); give the log a folder that can be written.",
            errno=error.errno,
            path=str(path),
        ) from error
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if _left(deadline) == 0:
                    raise Busy(
                        f"another process holds {path}; try again, or allow more time.",
                        errno=error.errno,
                        path=str(path),
                    ) from error
                time.sleep(_LOCK_PAUSE)
        yield
    finally:
        # Closing is not enough: a child forked meanwhile has a copy of the descriptor.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _mismatch(state: str, path: Path) -> LogMismatch:
    if state == "unfinished":
        cure = "its last entry was never measured, after a crash perhaps; call finish_event()"
    else:
        cure = "something extended the register without the log, or changed the log; restart the TD"
    return LogMismatch(
        f"the application log {path} does not lead to RTMR3: {cure}.", path=str(path)
    )

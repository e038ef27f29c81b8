"""Runtime measurement: extends RTMRs, and keeps the application's event log in step with RTMR3.

An event is written and synced to the log first, then the register is extended: so a crash between
the two leaves an entry too many, never one too few, and what the register holds can always be
explained. ``check_log`` finds such an entry, ``finish_event`` puts it right.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    parse_event,
)
from .logfile import MAX_LOG_SIZE, LogFolder, folder_trouble, make_folder
from .tdreport import parse_tdreport

# RTMR0 and RTMR1 belong to the firmware and the boot loader; RTMR3 has the application's log.
WRITABLE = (2, 3)
_LOG_REGISTER = 3


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
    if not isinstance(digest, bytes | bytearray) or len(digest) != REGISTER_SIZE:
        raise BadInput(f"a digest is {REGISTER_SIZE} bytes (SHA-384)")
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
    """Return the value of an RTMR, 48 bytes.

    From a TDREPORT; where this process has no guest device, from the register's file of Linux 6.16
    and later. Raises as ``attester.attest`` does.
    """
    attester.check_timeout(timeout)
    system = system or System()
    deadline = time.monotonic() + timeout
    try:
        report = parse_tdreport(attester.get_tdreport(timeout=timeout, system=system))
    except (NotAvailable, NotPermitted):
        with suppress(NotAvailable, NotPermitted):
            return attester.read_register_file(index, deadline, system)
        raise
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
    if not _has_log(system):
        return "none"
    deadline = time.monotonic() + timeout
    with _locked(system, deadline) as folder:
        data = folder.read()
        return _state(data, _register(deadline, system), folder.path) if data else "none"


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
    beforehand, and BadInput where the log is full (MAX_LOG_SIZE); nothing is changed then. If the
    kernel refuses the extension, the entry is taken back; after TimedOut it stays, and
    ``check_log`` tells.
    """
    event = _make_event(domain, operation, content)
    attester.check_timeout(timeout)
    system = system or System()
    deadline = time.monotonic() + timeout
    make_folder(Path(system.aael))
    with _locked(system, deadline) as folder:
        data = folder.read()
        register = _register(deadline, system)
        if not data:
            log = ApplicationLog(register, ())
            init = f"INIT sha384/{register.hex()}"
            _record(folder, data, init, log.digest, deadline, system)
            data = folder.read() or b""
        elif (state := _state(data, register, folder.path)) != "consistent":
            raise _mismatch(state, folder.path)
        _record(folder, data, event.line, event.digest, deadline, system)
    return event


def finish_event(*, timeout: float = 10.0, system: System | None = None) -> None:
    """Finish what a crash interrupted: extend RTMR3 with the log's last, unfinished entry.

    An entry without its line's end was cut while being written: it is removed instead. Does
    nothing to a consistent log. Raises LogMismatch for one that has diverged.
    """
    attester.check_timeout(timeout)
    system = system or System()
    if not _has_log(system):
        return
    deadline = time.monotonic() + timeout
    with _locked(system, deadline) as folder:
        data = folder.read()
        state = _state(data, _register(deadline, system), folder.path) if data else "consistent"
        if state == "diverged":
            raise _mismatch(state, folder.path)
        if not data or state == "consistent":
            return
        if not data.endswith(b"\n"):
            with _explained(folder.path):
                folder.cut(data.rfind(b"\n") + 1)
            return
        log = parse_aael(data.decode())
        digest = log.events[-1].digest if log.events else log.digest
        extend_rtmr(_LOG_REGISTER, digest, timeout=_left(deadline), system=system)


def _make_event(domain: str, operation: str, content: str) -> ApplicationEvent:
    for name, word in (("domain", domain), ("operation", operation)):
        if not isinstance(word, str) or not re.fullmatch(r"[!-~]+", word):
            raise BadInput(f"an event's {name} is one word of printable ASCII characters")
    if not isinstance(content, str) or not content or not content.isprintable():
        raise BadInput("an event's content is printable text on one line")
    return ApplicationEvent(domain, operation, content)


def _has_log(system: System) -> bool:
    """An empty file is no log: a crash may have come right after it was made."""
    path = Path(system.aael)
    try:
        with LogFolder(path) as folder:
            return folder.size() > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise NotPermitted(
            f"cannot look for {path}; run as root, or give this process the folder.",
            errno=error.errno,
            path=str(path),
        ) from error


def _register(deadline: float, system: System) -> bytes:
    return read_rtmr(_LOG_REGISTER, timeout=_left(deadline), system=system)


def _record(
    folder: LogFolder,
    data: bytes | None,
    line: str,
    digest: bytes,
    deadline: float,
    system: System,
) -> None:
    """Write a line to the log that holds ``data``, then extend the register with its digest."""
    path = folder.path
    if len(data or b"") + len(line.encode()) + 2 > MAX_LOG_SIZE:
        raise BadInput(
            f"the application log {path} is full: it holds up to {MAX_LOG_SIZE} bytes; restart "
            "the TD.",
            path=str(path),
        )
    try:
        with _explained(path):
            folder.append(line)
        extend_rtmr(_LOG_REGISTER, digest, timeout=_left(deadline), system=system)
    except TimedOut:
        raise  # perhaps it was extended: the entry must stay
    except Exception:
        # Where that fails too it stays, and is found as unfinished.
        with suppress(OSError):
            folder.cut(None if data is None else len(data))
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


@contextmanager
def _locked(system: System, deadline: float) -> Iterator[LogFolder]:
    """Open the log's folder and hold its lock."""
    path = Path(system.aael)
    with folder_trouble(path), LogFolder(path) as folder, folder.locked(deadline):
        yield folder


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


# --- replay -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Replayed:
    """_Replayed says where the first ``size`` bytes of a log, whole lines, lead to.

    ``digest`` is SHA-256 of those bytes; ``values`` are the register's before and after their last
    line.
    """

    size: int
    digest: bytes
    values: tuple[bytes, ...]


_NOTHING = _Replayed(0, hashlib.sha256().digest(), ())

# By path. A log only grows: so what was replayed is hashed again, which is quick, and the lines
# since then are replayed; not all lines for each event.
_replayed: dict[Path, _Replayed] = {}


def _state(data: bytes, register: bytes, path: Path) -> str:
    """Compare the log with the register, and with what it was before the log's last line."""
    values, is_whole = _values(data, path)
    if is_whole and values[-1] == register:
        return "consistent"
    before_last = values[-2:-1] if is_whole else values[-1:]
    if register in before_last:
        return "unfinished"
    # Nothing is known of a log whose first line is not there yet.
    return "diverged" if values or b"\n" in data else "unfinished"


def _values(data: bytes, path: Path) -> tuple[list[bytes], bool]:
    """Return the register's values that the log leads through, and whether to its very end.

    The last of them, that is; none where the first line already is none of a log. Not to its end
    where the last line is none; other lines must be right, or there are no values either.
    """
    known = _replayed.get(path, _NOTHING)
    hashed = hashlib.sha256(memoryview(data)[: known.size])
    if hashed.digest() != known.digest:  # another log
        known, hashed = _NOTHING, hashlib.sha256()
    values, rest = list(known.values), data[known.size :]
    if known is not _NOTHING and not rest:
        return values, True
    lines = rest.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines):
        try:
            values.extend(_extended(values, line.decode(errors="replace")))
        except BadInput:
            return (values if number == len(lines) - 1 else values[:0]), False
    if data.endswith(b"\n"):
        hashed.update(rest)
        _replayed[path] = _Replayed(len(data), hashed.digest(), tuple(values[-2:]))
    return values, True


def _extended(values: list[bytes], line: str) -> list[bytes]:
    """Return the register's value after a line; after the first one also that before."""
    if not values:
        log = parse_aael(line)
        return [log.initial, extend(log.initial, [log.digest])]
    return [extend(values[-1], [parse_event(line, 0).digest])]

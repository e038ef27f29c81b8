"""Runtime measurement: extends RTMRs, and keeps the application's event log in step with RTMR3.

An event is written and synced to the log first, then the register is extended: so a crash between
the two leaves an entry too many, never one too few, and what the register holds can always be
explained. ``check_log`` finds such an entry, ``finish_event`` puts it right. The log's two forms
are ``applog``'s; what is here holds for both.

Where the simulator makes the quotes, as ``attester.simulates`` decides, registers and log are those
of its TD; what is done with them is the same.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import applog, attester
from .applog import Replay
from .attester import System
from .errors import (
    BadInput,
    Busy,
    LogFull,
    LogMismatch,
    NotAvailable,
    NotPermitted,
    QuoteGeneratorError,
    TimedOut,
)
from .eventlog import (
    EVENTS_MAX,
    REGISTER_SIZE,
    ApplicationEvent,
    decode_aael,
    read_application_log,
)
from .logfile import LogFolder, folder_trouble, make_folder
from .tdreport import parse_tdreport

# RTMR0 and RTMR1 belong to the firmware and the boot loader; RTMR3 has the application's log.
WRITABLE = (2, 3)
_LOG_REGISTER = 3

LOG_SIZE_MAX = 1 << 20
"""Bytes that the application's log may grow to: evidence has room for it, and so it can be read.

A byte of printable text becomes up to three in JSON (the two of a letter with an accent become a
``\\u`` and four digits), 3 MiB; TCG2 events become 4/3 in base64. A firmware's log of 256 KiB, four
times a usual table, is 342 KiB in base64. Together less than ``evidence.LOGS_MAX``, 3.75 MiB.
"""

ENTRIES_MAX = EVENTS_MAX // 2
"""Entries of the application's log: beside the firmware's, no more than a verifier reads.

Short lines of text come to so many before they come to LOG_SIZE_MAX; TCG2 events do not.
"""


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
    deadline = _deadline(timeout)
    _registers(system, deadline).extend(index, bytes(digest), deadline)


def read_rtmr(index: int, *, timeout: float = 10.0, system: System | None = None) -> bytes:
    """Return the value of an RTMR, 48 bytes.

    From a TDREPORT; where this process has no guest device, from the register's file of Linux 6.16
    and later. Raises as ``attester.attest`` does.
    """
    deadline = _deadline(timeout)
    return _registers(system, deadline).read(index, deadline)


class Registers(Protocol):
    """Registers are a trust domain's RTMRs, and where the log lies that leads to RTMR3.

    Deadlines are moments of ``time.monotonic``. After TimedOut from ``extend`` it is not known
    whether it was done; after another error it was not.
    """

    log: Path

    def make_log_folder(self) -> None:
        """Make the log's folder where it is missing."""

    def read(self, index: int, deadline: float) -> bytes:
        """Return an RTMR's value."""

    def extend(self, index: int, digest: bytes, deadline: float) -> None:
        """Extend an RTMR, once."""


class _MachineRegisters:
    """_MachineRegisters are those of this machine's own TD."""

    def __init__(self, system: System) -> None:
        self.log = Path(system.aael)
        self._system = system

    def make_log_folder(self) -> None:
        make_folder(self.log)

    def read(self, index: int, deadline: float) -> bytes:
        try:
            report = parse_tdreport(
                attester.get_tdreport(timeout=_left(deadline), system=self._system)
            )
        except (NotAvailable, NotPermitted):
            with suppress(NotAvailable, NotPermitted):
                return attester.read_register_file(index, deadline, self._system)
            raise
        value: bytes = getattr(report, f"rtmr_{index}")
        return value

    def extend(self, index: int, digest: bytes, deadline: float) -> None:
        moment = time.monotonic() + _left(deadline)
        try:
            attester.run_extension(index, digest, moment, self._system)
        except TimedOut as error:
            raise TimedOut(
                f"extending RTMR{index} took longer than allowed; it is not known whether it was "
                "done: compare the register with the log before the next attempt.",
                path=error.path,
            ) from error


def _registers(system: System | None, deadline: float) -> Registers:
    """Return the registers that this machine's quotes carry."""
    system = system or System()
    if not attester.simulates(timeout=_left(deadline), system=system):
        return _MachineRegisters(system)
    from .simulator.registers import SimulatedRegisters  # brings `cryptography` along

    return SimulatedRegisters(attester.simulator_directory(system.environ))


def _deadline(timeout: float) -> float:
    """Return the moment at which a call is to end. Raises BadInput."""
    attester.check_timeout(timeout)
    return time.monotonic() + timeout


# --- the application's log ---------------------------------------------------------------------


def check_log(*, timeout: float = 10.0, system: System | None = None) -> str:
    """Return how the application's log and RTMR3 stand to each other.

    "none": there is no log. "consistent": the log leads to the register. "unfinished": its last
    entry was written, but the register not extended with it. "diverged": anything else.
    """
    deadline = _deadline(timeout)
    registers = _registers(system, deadline)
    if not _has_log(registers.log):
        return "none"
    with _locked(registers.log, deadline) as folder:
        data = folder.read()
        if not data:
            return "none"
        register = registers.read(_LOG_REGISTER, deadline)
        return _replay(data, folder.path, deadline).state(register)


def record_event(
    domain: str,
    operation: str,
    content: str,
    *,
    timeout: float = 10.0,
    system: System | None = None,
) -> ApplicationEvent:
    """Append an event to the application's log, and extend RTMR3 with it.

    The log is begun where there is none, and continued in the form that it has. Raises LogMismatch
    where log and register do not agree beforehand, and LogFull where the log has no room for the
    event (LOG_SIZE_MAX, ENTRIES_MAX); nothing is changed then. If the kernel refuses the extension,
    the entry is taken back; after TimedOut it stays, and ``check_log`` tells. Where there is no
    register, nothing is made.
    """
    event = _make_event(domain, operation, content)
    deadline = _deadline(timeout)
    registers = _registers(system, deadline)
    if not _has_log(registers.log):
        registers.read(_LOG_REGISTER, deadline)  # a machine without one is left as it is
    registers.make_log_folder()
    with _locked(registers.log, deadline) as folder:
        data = folder.read()
        register = registers.read(_LOG_REGISTER, deadline)
        begin = None if data else applog.begin_line(register)
        known = _replay(data, folder.path, deadline) if data else Replay()
        if data and (state := known.state(register)) != "consistent":
            raise _mismatch(state, folder.path)
        lines = [line for line in (begin, event.line) if line]
        _check_room(folder.path, data or b"", known.count, lines)
        if begin:
            _record(folder, data, begin, deadline, registers)
            data = folder.read()
        _record(folder, data, event.line, deadline, registers)
    return event


def finish_event(*, timeout: float = 10.0, system: System | None = None) -> None:
    """Finish what a crash interrupted: extend RTMR3 with the log's last, unfinished entry.

    An entry without its end was cut while being written: it is removed instead. Does nothing to a
    consistent log. Raises LogMismatch for one that has diverged.
    """
    deadline = _deadline(timeout)
    registers = _registers(system, deadline)
    if not _has_log(registers.log):
        return
    with _locked(registers.log, deadline) as folder:
        data = folder.read()
        if not data:
            return
        replay = _replay(data, folder.path, deadline)
        state = replay.state(registers.read(_LOG_REGISTER, deadline))
        if state == "diverged":
            raise _mismatch(state, folder.path)
        if state == "consistent":
            return
        if replay.is_cut or replay.is_open:
            with _explained(folder.path):
                folder.cut(replay.size)
            return
        registers.extend(_LOG_REGISTER, replay.digest, deadline)


def read_log(path: Path, *, timeout: float = 10.0) -> str | bytes | None:
    """Return the application's log at a path, in its own form; None where there is none.

    Waits while an event is being recorded: its entry stands there before the register has it, and
    evidence of that moment would claim what was not measured yet. Where that takes longer than
    allowed, or this process may not wait, it is read all the same. Raises as ``read_aael``.
    """
    deadline = _deadline(timeout)
    with ExitStack() as held:
        with suppress(QuoteGeneratorError):
            held.enter_context(_locked(path, deadline))
        data = read_application_log(path)
    return decode_aael(data) if data else None


def _make_event(domain: str, operation: str, content: str) -> ApplicationEvent:
    for name, word in (("domain", domain), ("operation", operation)):
        if not isinstance(word, str) or not re.fullmatch(r"[!-~]+", word):
            raise BadInput(f"an event's {name} is one word of printable ASCII characters")
    if not isinstance(content, str) or not content or not content.isprintable():
        raise BadInput("an event's content is printable text on one line")
    if applog.is_reserved(domain, operation):
        raise BadInput(f"{domain} {operation} is what a log itself begins with")
    return ApplicationEvent(domain, operation, content)


def _has_log(path: Path) -> bool:
    """An empty file is no log: a crash may have come right after it was made."""
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


def _record(
    folder: LogFolder, data: bytes | None, line: str, deadline: float, registers: Registers
) -> None:
    """Write an event to the log that holds ``data``, then extend the register with its digest."""
    path = folder.path
    entry = applog.form_of(data or b"").entry(data or b"", line)
    try:
        with _explained(path):
            folder.append(entry.data)
        registers.extend(_LOG_REGISTER, entry.digest, deadline)
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
def _locked(path: Path, deadline: float) -> Iterator[LogFolder]:
    """Open a log's folder and hold the log's lock."""
    with folder_trouble(path), LogFolder(path) as folder, folder.locked(deadline):
        yield folder


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _check_room(path: Path, data: bytes, count: int, lines: Sequence[str]) -> None:
    """Raise LogFull unless a log of ``count`` entries has room for all these lines."""
    form = applog.form_of(data)
    size = len(data) + sum(len(form.entry(data, line).data) for line in lines)
    if size > LOG_SIZE_MAX or count + len(lines) > ENTRIES_MAX:
        raise LogFull(
            f"the application log {path} has no room for this event: it holds up to "
            f"{LOG_SIZE_MAX} bytes and {ENTRIES_MAX} entries, so that all who check this machine "
            "can read it; record a shorter event, or restart the TD, which begins a new log.",
            path=str(path),
        )


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
class _Known:
    """_Known says where the first bytes of a log, whole entries, lead to; ``digest`` is theirs."""

    digest: bytes
    replay: Replay


_NOTHING = _Known(hashlib.sha256().digest(), Replay())

# By path. A log only grows: so what was replayed is hashed again, which is quick, and the entries
# since then are replayed; not all entries for each event. What stands after the last whole entry is
# looked at each time.
_known: dict[Path, _Known] = {}

# Between two looks at the clock: a few milliseconds' work.
_STEPS = 1000


def _replay(data: bytes, path: Path, deadline: float) -> Replay:
    """Return where the log at a path leads, which holds ``data``. Raises TimedOut."""
    known = _known.get(path, _NOTHING)
    if hashlib.sha256(memoryview(data)[: known.replay.size]).digest() != known.digest:
        known = _NOTHING  # another log
    whole = known.replay
    try:
        while (further := applog.whole_entries(data, whole, _STEPS)).size > whole.size:
            whole = further
            _check_time(path, whole.size, len(data), deadline)
    finally:
        if whole is not known.replay:  # of a log too long for this call, the next one has less left
            done = memoryview(data)[: whole.size]
            _known[path] = _Known(hashlib.sha256(done).digest(), whole)
    return applog.with_ending(data, whole)


def _check_time(path: Path, done: int, size: int, deadline: float) -> None:
    """Raise TimedOut where the time is over before the log's ``size`` bytes are ``done``."""
    if done < size and time.monotonic() >= deadline:
        raise TimedOut(
            f"{done} of the {size} bytes of the application log {path} could be replayed in the "
            "time allowed; call again, which goes on from there, or allow more time.",
            path=str(path),
        )

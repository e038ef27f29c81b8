"""Event logs: what led to the runtime measurement registers (RTMRs) of a trust domain.

Two logs lead there. The firmware's and boot loader's, CCEL, is a TCG2 crypto-agile log (TCG PC
Client Platform Firmware Profile, sections 9.2 and 10; UEFI 2.10, section 38 for the mapping to
RTMRs). The application's, AAEL, is CoCo's text format: a line ``INIT sha384/<hex>`` with the
register's value before it, then a line ``<domain> <operation> <content>`` an event. RTMR3 is
extended with SHA-384 of each line, the first one included.

A log proves nothing by itself: replay it, and compare the registers with those of a quote.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import BadInput, NotAvailable, NotPermitted
from .logfile import LogFolder, check_regular, read_whole

CCEL_PATH = "sys/firmware/acpi/tables/data/CCEL"
AAEL_PATH = "run/attestation-agent/eventlog"
REGISTERS = ("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3")
REGISTER_SIZE = 48

EV_NO_ACTION = 3
_SPEC_ID = b"Spec ID Event03\0"
_SHA384 = 0x000C
_DIGEST_SIZES_MAX = 16


# --- reading -----------------------------------------------------------------------------------


def read_ccel(root: str | os.PathLike[str] = "/") -> bytes | None:
    """Return the firmware's log without the empty rest of its table; None where there is none.

    A log that cannot be parsed is returned whole, for a verifier to judge. Raises NotPermitted,
    NotAvailable, BadInput.
    """
    path = Path(root, CCEL_PATH)
    data = _explained(path, lambda: _read_firmware_log(path))
    if data is None:
        return None
    try:
        return data[: _parse_ccel(data)[1]]
    except BadInput:
        return data


def read_aael(root: str | os.PathLike[str] = "/") -> str | None:
    """Return the application's log; None where there is none.

    No symbolic link is followed, and only a log that nobody but root and this user can change is
    read. A log whose last line a crash has cut is returned as it is: whether that line was
    measured, only the register says (see ``measure.check_log``). Raises NotPermitted, NotAvailable,
    BadInput.
    """
    path = Path(root, AAEL_PATH)
    data = read_application_log(path)
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the application event log {path} is not UTF-8: {error}", path=str(path)
        ) from error


def read_application_log(path: Path) -> bytes | None:
    """Return the bytes of the application's log; None where there is none. Raises as read_aael."""

    def read() -> bytes | None:
        with LogFolder(path) as folder:
            return folder.read()

    return _explained(path, read)


def _read_firmware_log(path: Path) -> bytes | None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        check_regular(fd, path)
        return read_whole(fd, path)
    finally:
        os.close(fd)


def _explained(path: Path, read: Callable[[], bytes | None]) -> bytes | None:
    """Return what is read, or None where there is no such file; say what is wrong otherwise."""
    try:
        return read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise NotPermitted(
            f"cannot read the event log {path}; run as root, or give this process the file.",
            errno=error.errno,
            path=str(path),
        ) from error
    except OSError as error:
        raise NotAvailable(
            f"cannot read the event log {path} ({error.strerror}); see the kernel's log.",
            errno=error.errno,
            path=str(path),
        ) from error


# --- CCEL --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """Event is one entry of a CCEL.

    ``register`` is the log's measurement register index: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3.
    ``digest`` is the SHA-384 one, 48 bytes; ``data`` is what the event describes itself with.
    """

    register: int
    event_type: int
    digest: bytes
    data: bytes

    def to_dict(self) -> dict[str, object]:
        """Return the event with its bytes in hex."""
        return {
            "register": self.register,
            "event_type": self.event_type,
            "digest": self.digest.hex(),
            "data": self.data.hex(),
        }


def parse_ccel(data: bytes) -> tuple[Event, ...]:
    """Return the events of a CCEL, trimmed or with the empty rest of its table.

    Raises BadInput, which names the field and its offset.
    """
    return _parse_ccel(data)[0]


class _Reader:
    """_Reader takes little-endian fields off bytes, and never reads past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int, field: str) -> bytes:
        left = len(self.data) - self.at
        if size > left:
            raise BadInput(f"{field} at offset {self.at} needs {size} bytes, {left} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int, field: str) -> int:
        return int.from_bytes(self.take(size, field), "little")

    def at_end(self) -> bool:
        """Say whether the log is over: no bytes, or the zeros or ones of an empty table."""
        rest = self.data[self.at : self.at + 8]
        return not rest.strip(b"\0") or not rest.strip(b"\xff")


def _parse_ccel(data: bytes) -> tuple[tuple[Event, ...], int]:
    reader = _Reader(data)
    sizes = _parse_header(reader)
    events = []
    while not reader.at_end():
        events.append(_parse_event(reader, sizes))
    return tuple(events), reader.at


def _parse_header(reader: _Reader) -> dict[int, int]:
    """Return the digest size of each algorithm, from the first event (of the older form)."""
    reader.integer(4, "register of event 0")
    event_type = reader.integer(4, "type of event 0")
    reader.take(20, "digest of event 0")
    size = reader.integer(4, "size of event 0")
    start = reader.at
    spec = _Reader(reader.take(size, "data of event 0"))
    if event_type != EV_NO_ACTION or spec.data[:16] != _SPEC_ID:
        raise BadInput(f"the log does not begin with a Spec ID event (offset {start})")
    spec.take(24, "Spec ID event's head")
    count = spec.integer(4, "Spec ID event's number of algorithms")
    if not 0 < count <= _DIGEST_SIZES_MAX:
        raise BadInput(f"the Spec ID event at offset {start} lists {count} algorithms")
    sizes = {}
    for _ in range(count):
        algorithm = spec.integer(2, "Spec ID event's algorithm")
        sizes[algorithm] = spec.integer(2, "Spec ID event's digest size")
    if sizes.get(_SHA384) != REGISTER_SIZE:
        raise BadInput(f"the Spec ID event at offset {start} lists no SHA-384 digests of 48 bytes")
    return sizes


def _parse_event(reader: _Reader, sizes: Mapping[int, int]) -> Event:
    start = reader.at
    register = reader.integer(4, "event's register")
    event_type = reader.integer(4, "event's type")
    count = reader.integer(4, "event's number of digests")
    if count > len(sizes):
        raise BadInput(f"the event at offset {start} has {count} digests, the log {len(sizes)}")
    digest = b""
    for _ in range(count):
        algorithm = reader.integer(2, "digest's algorithm")
        if algorithm not in sizes:
            raise BadInput(
                f"the event at offset {start} has a digest of algorithm {algorithm:#06x}, "
                "which the log does not list"
            )
        value = reader.take(sizes[algorithm], "digest")
        if algorithm == _SHA384:
            digest = value
    if len(digest) != REGISTER_SIZE:
        raise BadInput(f"the event at offset {start} has no SHA-384 digest")
    size = reader.integer(4, "event's size")
    return Event(register, event_type, digest, reader.take(size, "event's data"))


# --- AAEL --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ApplicationEvent:
    """ApplicationEvent is one line of the application's log."""

    domain: str
    operation: str
    content: str

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"{self.domain} {self.operation} {self.content}"

    @property
    def digest(self) -> bytes:
        """SHA-384 of the line: what the register is extended with."""
        return hashlib.sha384(self.line.encode()).digest()

    def to_dict(self) -> dict[str, str]:
        """Return the event's words and its digest in hex."""
        return {
            "domain": self.domain,
            "operation": self.operation,
            "content": self.content,
            "digest": self.digest.hex(),
        }


@dataclass(frozen=True)
class ApplicationLog:
    """ApplicationLog is the register's value when the log began, and the events since."""

    initial: bytes
    events: tuple[ApplicationEvent, ...]

    @property
    def digest(self) -> bytes:
        """SHA-384 of the first line, which is measured as the events are."""
        return hashlib.sha384(f"INIT sha384/{self.initial.hex()}".encode()).digest()

    def replay(self) -> bytes:
        """Return the value of RTMR3 that the log leads to."""
        return extend(self.initial, [self.digest, *(event.digest for event in self.events)])


def parse_aael(text: str) -> ApplicationLog:
    """Return the application's log. Raises BadInput, which names the line."""
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half a surrogate pair, which JSON can bring
        raise BadInput("the application event log holds what UTF-8 cannot say") from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()  # the last line's end
    if not lines:
        raise BadInput("the application event log is empty")
    init = re.fullmatch(r"INIT (\w+)/([0-9a-f]*)", lines[0])
    if init is None:
        raise BadInput("line 1 of the application event log is not INIT sha384/<hex>")
    if init[1] != "sha384" or len(init[2]) != 2 * REGISTER_SIZE:
        raise BadInput("line 1 of the application event log: RTMRs hold SHA-384 values, 48 bytes")
    events = tuple(parse_event(line, number) for number, line in enumerate(lines[1:], 2))
    return ApplicationLog(bytes.fromhex(init[2]), events)


def parse_event(line: str, number: int) -> ApplicationEvent:
    """Return the event of a line of that number. Raises BadInput."""
    words = line.split(" ", 2)
    if len(words) != 3 or not all(words):
        raise BadInput(f"line {number} of the application event log is not three words")
    return ApplicationEvent(*words)


# --- replay and comparison ---------------------------------------------------------------------


def extend(register: bytes, digests: Iterable[bytes]) -> bytes:
    """Return a register's value after extensions: each time SHA-384 of the value and a digest."""
    for digest in digests:
        register = hashlib.sha384(register + digest).digest()
    return register


def replay_ccel(events: Iterable[Event]) -> dict[str, bytes]:
    """Return the RTMRs, by name, that the firmware's log leads to, from zeros."""
    registers = dict.fromkeys(REGISTERS, bytes(REGISTER_SIZE))
    for event in events:
        if event.event_type != EV_NO_ACTION and 1 <= event.register <= len(REGISTERS):
            name = REGISTERS[event.register - 1]
            registers[name] = extend(registers[name], [event.digest])
    return registers


@dataclass(frozen=True)
class RegisterCheck:
    """RegisterCheck compares one register.

    ``outcome`` is "match", "differs" or "no-log"; ``logged`` and ``quoted`` are values in hex,
    ``logged`` None where no log speaks of the register; ``reason`` says it in words.
    """

    register: str
    outcome: str
    logged: str | None
    quoted: str
    reason: str


def compare(
    registers: Mapping[str, bytes], *, ccel: bytes | None = None, aael: str | None = None
) -> tuple[RegisterCheck, ...]:
    """Return, for each RTMR, whether the logs lead to its value in a quote or TDREPORT.

    ``registers`` maps the names in REGISTERS to 48 bytes each. Raises BadInput for a log that
    cannot be parsed.
    """
    logged: dict[str, bytes | None] = dict.fromkeys(REGISTERS)
    begins_elsewhere = False
    if ccel is not None:
        logged.update(replay_ccel(parse_ccel(ccel)))
    if aael is not None:
        log = parse_aael(aael)
        # The log names the value that it began with; earlier events must account for that value,
        # or it could hide any.
        begins_elsewhere = log.initial != (logged["rtmr_3"] or bytes(REGISTER_SIZE))
        logged["rtmr_3"] = log.replay()
    checks = [_check_register(name, logged[name], registers[name]) for name in REGISTERS]
    if begins_elsewhere and checks[3].outcome == "match":
        reason = "the application log begins at a value that no earlier event accounts for"
        checks[3] = _differs(checks[3], reason)
    return tuple(checks)


def _check_register(name: str, logged: bytes | None, quoted: bytes) -> RegisterCheck:
    if logged is None:
        return RegisterCheck(name, "no-log", None, quoted.hex(), "no log was given for it")
    if logged == quoted:
        return RegisterCheck(name, "match", logged.hex(), quoted.hex(), "the log leads to it")
    reason = "the log leads to another value: entries are missing, added or changed"
    return RegisterCheck(name, "differs", logged.hex(), quoted.hex(), reason)


def _differs(check: RegisterCheck, reason: str) -> RegisterCheck:
    return RegisterCheck(check.register, "differs", check.logged, check.quoted, reason)

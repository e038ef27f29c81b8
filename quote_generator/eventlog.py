"""Event logs: what led to the runtime measurement registers (RTMRs) of a trust domain.

Two logs lead there. The firmware's and boot loader's, CCEL, is a TCG2 crypto-agile log (TCG PC
Client Platform Firmware Profile, sections 9.2 and 10; UEFI 2.10, section 38 for the mapping to
RTMRs). The application's is the CoCo agent's (AAEL), in one of two forms. Since mid-2025 it is such
events too, without the log's header: of type EV_EVENT_TAG, whose data is the tag "AAEL", a length
and a line ``<domain> <operation> <content>``, and whose digest is SHA-384 of that data. Until then
it was text: a line ``INIT sha384/<hex>`` with the register's value before it, then a line an event;
RTMR3 was extended with SHA-384 of each line, the first one included.

In evidence, events of the newer form stand in the firmware's log, after its last event, as the
agent puts them (``join_logs``); where there is none, after a header of the agent's own.

A log proves nothing by itself: replay it, and compare the registers with those of a quote.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import BadInput
from .logfile import LogFolder, check_regular, read_whole, trouble

CCEL_PATH = "sys/firmware/acpi/tables/data/CCEL"
AAEL_PATH = "run/attestation-agent/eventlog"
REGISTERS = ("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3")
REGISTER_SIZE = 48

EV_NO_ACTION = 3
EV_EVENT_TAG = 6
_SPEC_ID = b"Spec ID Event03\0"
_NO_SPEC_ID = bytes(16)
_SHA384 = 0x000C
_DIGEST_SIZES_MAX = 16
EVENTS_MAX = 1 << 16
"""Events of a log; real ones have some hundreds."""
_END = b"\xff" * 8

_FIRMWARE_REGISTERS = ("rtmr_0", "rtmr_1")
"""Extended by firmware and boot loader only; the others also by whoever may in the running TD."""

APPLICATION_REGISTER = 4
"""The log's register index of RTMR3."""

_AAEL_TAG = 0x4141454C


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
    return _trimmed(data)


def _trimmed(data: bytes) -> bytes:
    try:
        return data[: _parse_log(data).size]
    except BadInput:
        return data


def read_aael(root: str | os.PathLike[str] = "/") -> str | bytes | None:
    """Return the application's log, as text or as TCG2 events; None where there is none.

    No symbolic link is followed, and only a log that nobody but root and this user can change is
    read. A log whose last entry a crash has cut is returned as it is: whether that entry was
    measured, only the register says (see ``measure.check_log``). Raises NotPermitted, NotAvailable,
    BadInput.
    """
    path = Path(root, AAEL_PATH)
    data = read_application_log(path)
    try:
        return decode_aael(data) if data else None
    except BadInput as error:
        raise BadInput(f"{path}: {error}", path=str(path)) from error


def decode_aael(data: bytes) -> str | bytes:
    """Return an application's log in its own form: TCG2 events as bytes, else text.

    Raises BadInput for what is neither.
    """
    if holds_tcg2_events(data):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the application event log is neither TCG2 events nor UTF-8: {error}"
        ) from error


def holds_tcg2_events(data: bytes) -> bool:
    """Say whether an application's log is TCG2 events: their first byte is a register's index."""
    return data != b"" and data[0] <= len(REGISTERS)


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
    with trouble(
        path,
        denied=f"cannot read the event log {path}; run as root, or give this process the file.",
        broken=f"cannot read the event log {path}",
        cure="see the kernel's log.",
    ):
        try:
            return read()
        except (FileNotFoundError, NotADirectoryError):
            return None


# --- TCG2 events -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """Event is one entry of a TCG2 log.

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


class CutShort(BadInput):
    """CutShort: the bytes end inside an entry."""


def parse_ccel(data: bytes) -> tuple[Event, ...]:
    """Return the events of a CCEL, trimmed or with the empty rest of its table.

    The application's events may follow the firmware's, or stand alone after the agent's header.
    Raises BadInput, which names the field and its offset.
    """
    return _parse_log(data).events


class _Reader:
    """_Reader takes little-endian fields off bytes, and never reads past their end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int, field: str) -> bytes:
        left = len(self.data) - self.at
        if size > left:
            raise CutShort(f"{field} at offset {self.at} needs {size} bytes, {left} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int, field: str) -> int:
        return int.from_bytes(self.take(size, field), "little")

    def at_end(self) -> bool:
        """Say whether the log is over: no bytes, or the zeros or ones of an empty table."""
        rest = self.data[self.at : self.at + 8]
        return not rest.strip(b"\0") or not rest.strip(b"\xff")


@dataclass(frozen=True)
class _Log:
    """_Log is a parsed log: its events, its size without an empty rest, and whose header it has."""

    events: tuple[Event, ...]
    size: int
    is_firmwares: bool


def _parse_log(data: bytes) -> _Log:
    reader = _Reader(data)
    sizes, is_firmwares = _parse_header(reader)
    events: list[Event] = []
    while not reader.at_end():
        if len(events) == EVENTS_MAX:
            raise BadInput(f"the log has more than {EVENTS_MAX} events")
        events.append(_parse_event(reader, sizes))
    return _Log(tuple(events), reader.at, is_firmwares)


def _parse_header(reader: _Reader) -> tuple[dict[int, int], bool]:
    """Return the digest size of each algorithm, from the first event (of the older form).

    Besides say whether it is the firmware's: the agent's has zeros where the signature should be.
    """
    reader.integer(4, "register of event 0")
    event_type = reader.integer(4, "type of event 0")
    reader.take(20, "digest of event 0")
    size = reader.integer(4, "size of event 0")
    start = reader.at
    spec = _Reader(reader.take(size, "data of event 0"))
    signature = spec.data[:16]
    if event_type != EV_NO_ACTION or signature not in (_SPEC_ID, _NO_SPEC_ID):
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
    return sizes, signature == _SPEC_ID


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


# --- the application's log as TCG2 events ------------------------------------------------------


def application_entry(line: str) -> tuple[bytes, bytes]:
    """Return the entry of an application's event, as the CoCo agent writes it, and its digest."""
    text = line.encode()
    data = _u32(_AAEL_TAG) + _u32(len(text)) + text
    digest = hashlib.sha384(data).digest()
    head = _u32(APPLICATION_REGISTER) + _u32(EV_EVENT_TAG) + _u32(1) + _u16(_SHA384)
    return head + digest + _u32(len(data)) + data, digest


def read_entry(data: bytes, at: int) -> tuple[Event, int]:
    """Return the entry that begins at an offset of an application's log, and where it ends.

    Raises BadInput; CutShort where the bytes end before the entry does.
    """
    reader = _Reader(data, at)
    return _parse_event(reader, {_SHA384: REGISTER_SIZE}), reader.at


def application_line(event: Event) -> str | None:
    """Return the line of an application's event; None for any other event."""
    if event.event_type != EV_EVENT_TAG or event.data[:4] != _u32(_AAEL_TAG):
        return None
    size = event.data[4:8]
    if len(size) < 4 or int.from_bytes(size, "little") != len(event.data) - 8:
        return None
    try:
        return event.data[8:].decode()
    except UnicodeDecodeError:
        return None


def join_logs(ccel: bytes | None, aael: str | bytes | None) -> tuple[bytes | None, str | None]:
    """Return both logs as evidence holds them: TCG2 events, and the application's text.

    TCG2 events of the application follow the firmware's, up to its end, or the agent's header where
    there is none; then comes the end of the log. An entry that a crash has cut is no event: it is
    left out.
    """
    if not isinstance(aael, bytes):
        return ccel, aael
    before = _AGENT_HEADER if ccel is None else _trimmed(ccel)
    return before + aael[: _whole(aael)] + _END, None


def _whole(entries: bytes) -> int:
    """Return the size of an application's log without the entry that a crash has cut."""
    at = 0
    while at < len(entries):
        try:
            at = read_entry(entries, at)[1]
        except CutShort:
            return at
        except BadInput:
            break  # for a verifier to judge
    return len(entries)


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


_SM3 = 0x0012
_AGENT_HEADER = b"".join(
    (
        _u32(0) + _u32(EV_NO_ACTION) + bytes(20) + _u32(37),
        _NO_SPEC_ID + bytes(8) + _u32(2),
        _u16(_SHA384) + _u16(REGISTER_SIZE) + _u16(_SM3) + _u16(32) + b"\0",
    )
)
"""What the CoCo agent puts before its events on a TD without CCEL."""


# --- the application's log as text --------------------------------------------------------------


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
    lines = text.split("\n", EVENTS_MAX + 1)
    if lines[-1] == "":
        lines.pop()  # the last line's end
    if len(lines) > EVENTS_MAX:
        raise BadInput(f"the application event log has more than {EVENTS_MAX} lines")
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
        name = register_of(event)
        if name is not None:
            registers[name] = extend(registers[name], [event.digest])
    return registers


def register_of(event: Event) -> str | None:
    """Return the name of the RTMR that an event extends; None where it extends none."""
    if event.event_type == EV_NO_ACTION or not 1 <= event.register <= len(REGISTERS):
        return None
    return REGISTERS[event.register - 1]


@dataclass(frozen=True)
class RegisterCheck:
    """RegisterCheck compares one register.

    ``outcome`` is "match", "unexplained", "differs" or "no-log": RTMR2 and RTMR3 are unexplained
    where a log leads elsewhere, which anybody who may extend them after boot can cause.
    ``logged`` and ``quoted`` are values in hex, ``logged`` None where no log speaks of the
    register; ``reason`` says it in words.
    """

    register: str
    outcome: str
    logged: str | None
    quoted: str
    reason: str


def compare(
    registers: Mapping[str, bytes],
    *,
    ccel: bytes | None = None,
    aael: str | bytes | None = None,
) -> tuple[RegisterCheck, ...]:
    """Return, for each RTMR, whether the logs lead to its value in a quote or TDREPORT.

    ``registers`` maps the names in REGISTERS to 48 bytes each. Raises BadInput for a log that
    cannot be parsed.
    """
    ccel, aael = join_logs(ccel, aael)
    ways = {} if ccel is None else _ways(_parse_log(ccel))
    is_accounted = True
    if aael is not None:
        log = parse_aael(aael)
        before = ways.setdefault("rtmr_3", [bytes(REGISTER_SIZE)])
        # The log names the value that it began with; earlier events must account for that value,
        # or it could hide any.
        is_accounted = before[-1] == log.initial
        before.append(log.initial)
        for digest in (log.digest, *(event.digest for event in log.events)):
            before.append(extend(before[-1], [digest]))
    checks = [_check_register(name, ways.get(name), registers[name]) for name in REGISTERS]
    if checks[3].outcome == "match" and not is_accounted:
        reason = "the application log begins at a value that no earlier event accounts for"
        checks[3] = replace(checks[3], outcome="unexplained", reason=reason)
    return tuple(checks)


def _ways(log: _Log) -> dict[str, list[bytes]]:
    """Return the values that a log leads each register through of which it speaks.

    The firmware's speaks of all four, also where it has no event; the agent's by itself of those
    that it has events of.
    """
    spoken = REGISTERS if log.is_firmwares else ()
    ways = {name: [bytes(REGISTER_SIZE)] for name in spoken}
    for event in log.events:
        name = register_of(event)
        if name is not None:
            way = ways.setdefault(name, [bytes(REGISTER_SIZE)])
            way.append(extend(way[-1], [event.digest]))
    return ways


def _check_register(name: str, way: list[bytes] | None, quoted: bytes) -> RegisterCheck:
    if way is None:
        return RegisterCheck(name, "no-log", None, quoted.hex(), "no log was given for it")

    def found(outcome: str, reason: str) -> RegisterCheck:
        return RegisterCheck(name, outcome, way[-1].hex(), quoted.hex(), reason)

    if way[-1] == quoted:
        return found("match", "the log leads to it")
    if quoted in way:
        return found("differs", "the log goes on after it: it has entries that were never measured")
    missing = "entries are missing, added or changed"
    if name in _FIRMWARE_REGISTERS:
        return found("differs", f"the log leads to another value: {missing}")
    reason = f"the log leads to another value: somebody else extended the register, or {missing}"
    return found("unexplained", reason)

"""Event logs for the shared vectors, built and replayed straight from their definitions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

ZEROS = bytes(48)
SHA1, SHA256, SHA384 = 4, 0xB, 0xC
SIZES = {SHA1: 20, SHA256: 32, SHA384: 48}
NO_ACTION, SEPARATOR, IPL, VARIABLE, PLATFORM = 3, 4, 0xD, 0x80000001, 0xA

T = TypeVar("T")
Register = int
Event = tuple[Register, int, bytes]
"""The log's register (0 is MRTD), the event's type and its data; the digest is of the data."""

EVENTS: Sequence[Event] = (
    (0, NO_ACTION, b"StartupLocality\0\3"),
    (1, PLATFORM, b"td_hob\0" + bytes(20)),
    (1, VARIABLE, bytes(range(1, 17)) + bytes(16) + "SecureBoot".encode("utf-16-le") + b"\1"),
    (1, SEPARATOR, bytes(4)),
    (2, SEPARATOR, bytes(4)),
    (3, IPL, b"kernel_cmdline: root=/dev/vda1 <b>quiet</b>\0"),
    (7, 0x80000ABC, b"\x01\x02"),
)
SHOWN = [
    ["mr_td", "NO_ACTION", "StartupLocality"],
    ["rtmr_0", "PLATFORM_CONFIG_FLAGS", "td_hob"],
    ["rtmr_0", "EFI_VARIABLE_DRIVER_CONFIG", "SecureBoot"],
    ["rtmr_0", "SEPARATOR", ""],
    ["rtmr_1", "SEPARATOR", ""],
    ["rtmr_2", "IPL", "kernel_cmdline: root=/dev/vda1 <b>quiet</b>"],
    ["#7", "0x80000abc", ""],
]
"""How a reader sees these events: register, kind, and what the event says of itself."""

LINES = (
    "INIT sha384/" + "00" * 48,
    "image-rs Pull docker.example/chat",
    "cczoo Serve a b  <i>c</i>",
)
AAEL = "\n".join(LINES) + "\n"


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def header(algorithms: Sequence[int] = (SHA384,), **changes: bytes) -> bytes:
    """The Spec ID event; `changes` replace its parts."""
    sizes = b"".join(u16(alg) + u16(SIZES[alg]) for alg in algorithms)
    spec = changes.get("signature", b"Spec ID Event03\0") + bytes(4) + b"\0\2\0\2"
    spec += changes.get("count", u32(len(algorithms))) + changes.get("sizes", sizes) + b"\0"
    return u32(0) + changes.get("type", u32(NO_ACTION)) + bytes(20) + u32(len(spec)) + spec


def event(entry: Event, algorithms: Sequence[int] = (SHA384,)) -> bytes:
    register, kind, data = entry
    digests = b"".join(u16(a) + sha384(data)[: SIZES[a]] for a in algorithms)
    head = u32(register) + u32(kind) + u32(len(algorithms))
    return head + digests + u32(len(data)) + data


def ccel(events: Sequence[Event] = EVENTS, algorithms: Sequence[int] = (SHA384,)) -> bytes:
    return header(algorithms) + b"".join(event(entry, algorithms) for entry in events)


def replay(events: Sequence[Event], lines: Sequence[str]) -> list[bytes]:
    """The four registers, from zeros."""
    registers = [ZEROS] * 4
    for register, kind, data in events:
        if kind != NO_ACTION and 1 <= register <= 4:
            registers[register - 1] = sha384(registers[register - 1] + sha384(data))
    for line in lines:
        registers[3] = sha384(registers[3] + sha384(line.encode()))
    return registers


def cases() -> Iterator[object]:
    """Logs that lead to the registers, logs that lead elsewhere, and bytes that are no log."""
    both, firmware, application = replay(EVENTS, LINES), replay(EVENTS, ()), replay((), LINES)
    everything = "rtmr_0, rtmr_1, rtmr_2, rtmr_3"
    rows = [["rtmr_3", "", line] for line in LINES]
    yield _case("none", both, None, None, "skipped")
    yield _case("both", both, ccel(), AAEL, "pass", everything, [*SHOWN, *rows])
    yield _case("firmware only", firmware, ccel(), None, "pass", everything, SHOWN)
    yield _case("application only", application, None, AAEL, "pass", "rtmr_3", rows)
    yield _case("no end of line", application, None, AAEL[:-1], "pass", "rtmr_3", rows)
    three = (SHA1, SHA256, SHA384)
    log = ccel(algorithms=three)
    yield _case("three algorithms", firmware, log, None, "pass", everything, SHOWN)
    for name, rest in {"zeros": bytes(64), "ones": b"\xff" * 64, "3 zeros": bytes(3)}.items():
        yield _case(f"rest of {name}", firmware, ccel() + rest, None, "pass", everything, SHOWN)
    yield _case("no events", [ZEROS] * 4, header(), None, "pass", everything, [])
    yield from _differing(both)
    yield from _malformed(both)


def _differing(both: list[bytes]) -> Iterator[object]:
    def differs(name: str, log: bytes | None, text: str | None, registers: str) -> object:
        return _case(name, both, log, text, "log-differs", registers)

    yield differs("firmware's last entry missing", ccel(EVENTS[:-2]), AAEL, "rtmr_2")
    yield differs("firmware's entries swapped", ccel(_swapped(EVENTS, 1, 2)), AAEL, "rtmr_0")
    changed = (*EVENTS[:4], (2, SEPARATOR, bytes(3) + b"\1"), *EVENTS[5:])
    yield differs("firmware's entry changed", ccel(changed), AAEL, "rtmr_1")
    yield differs("an entry that says it is none", ccel(_silenced(EVENTS, 1)), AAEL, "rtmr_0")
    yield differs("application's log held back", ccel(), None, "rtmr_3")
    yield differs("application's line missing", None, "\n".join(LINES[:2]), "rtmr_3")
    yield differs("application's lines swapped", None, "\n".join(_swapped(LINES, 1, 2)), "rtmr_3")
    begun = replay((), LINES[:2])[3]
    hiding = f"INIT sha384/{begun.hex()}\n"
    yield _case(
        "begins at a value that nothing accounts for",
        [ZEROS, ZEROS, ZEROS, sha384(begun + sha384(hiding[:-1].encode()))],
        None,
        hiding,
        "log-differs",
        "rtmr_3",
    )
    in_rtmr3: tuple[Event, ...] = ((4, IPL, b"early"),)
    start = replay(in_rtmr3, ())[3]
    continued = f"INIT sha384/{start.hex()}"
    end = sha384(start + sha384(continued.encode()))
    yield _case(
        "goes on where the firmware's log ends",
        [ZEROS, ZEROS, ZEROS, end],
        ccel(in_rtmr3),
        continued,
        "pass",
        "rtmr_0, rtmr_1, rtmr_2, rtmr_3",
        [["rtmr_3", "IPL", "early"], ["rtmr_3", "", continued]],
    )


def _malformed(both: list[bytes]) -> Iterator[object]:
    good, first = ccel(), event(EVENTS[1])
    logs = {
        "empty log": b"",
        "cut in the header": good[:40],
        "cut in an event": good[:-1],
        "another signature": header(signature=b"Spec ID Event02\0"),
        "first event of another type": header(type=u32(1)),
        "no algorithms": header(count=u32(0)),
        "17 algorithms": header(
            count=u32(17), sizes=b"".join(u16(a) + u16(SIZES.get(a, 8)) for a in range(17))
        ),
        "absurd number of algorithms": header(count=b"\xff" * 4),
        "no SHA-384": header((SHA256,)),
        "SHA-384 of 32 bytes": header(sizes=u16(SHA384) + u16(32)),
        "more digests than algorithms": header() + u32(1) + u32(1) + u32(2) + first[12:],
        "one digest twice": header() + first[:8] + u32(2) + first[12:62] + first[12:],
        "absurd number of digests": header() + u32(1) + u32(1) + b"\xff" * 4 + first[12:],
        "unlisted algorithm": header() + first[:12] + u16(SHA256) + first[14:],
        "no digest": header() + u32(1) + u32(1) + u32(0) + u32(0),
        "no SHA-384 digest": header((SHA256, SHA384)) + event(EVENTS[1], (SHA256,)),
        "absurd event size": header() + first[:62] + b"\xff" * 4 + first[66:],
    }
    for name, log in logs.items():
        yield _case(name, both, log, AAEL, "log-malformed")
    texts = {
        "empty text": "",
        "one empty line": "\n",
        "no INIT": "\n".join(LINES[1:]),
        "INIT of another algorithm": f"INIT sha256/{'00' * 32}",
        "INIT too short": f"INIT sha384/{'00' * 47}",
        "INIT in capitals": f"INIT sha384/{'AA' * 48}",
        "INIT with a word more": f"{LINES[0]} x",
        "two words": f"{LINES[0]}\nimage-rs Pull",
        "empty word": f"{LINES[0]}\nimage-rs  Pull x",
        "leading space": f"{LINES[0]}\n image-rs Pull x",
        "empty line": f"{LINES[0]}\n\n{LINES[1]}",
        "two ends": f"{AAEL}\n",
        "half a surrogate pair": f"{LINES[0]}\nimage-rs Pull \ud800",
    }
    for name, text in texts.items():
        yield _case(name, both, ccel(), text, "log-malformed")


def _case(
    name: str,
    registers: Sequence[bytes],
    log: bytes | None,
    text: str | None,
    outcome: str,
    names: str = "",
    events: object = None,
) -> object:
    """`outcome` is pass, skipped, or the code of a failure; `names` the registers it is about."""
    return {
        "name": name,
        "registers": {f"rtmr_{i}": value.hex() for i, value in enumerate(registers)},
        "cc_eventlog": None if log is None else base64.b64encode(log).decode(),
        "aa_eventlog": text,
        "outcome": outcome,
        "names": names,
        "events": events,
    }


def _swapped(items: Sequence[T], a: int, b: int) -> list[T]:
    changed = list(items)
    changed[a], changed[b] = changed[b], changed[a]
    return changed


def _silenced(events: Sequence[Event], at: int) -> list[Event]:
    register, _, data = events[at]
    return [*events[:at], (register, NO_ACTION, data), *events[at + 1 :]]

"""Event logs for the shared vectors, built and replayed straight from their definitions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

ZEROS = bytes(48)
SHA1, SHA256, SHA384 = 4, 0xB, 0xC
SIZES = {SHA1: 20, SHA256: 32, SHA384: 48}
NO_ACTION, SEPARATOR, TAG, IPL, VARIABLE, PLATFORM = 3, 4, 6, 0xD, 0x80000001, 0xA
BOOT, APPLICATION, GPT, EFI_ACTION = 0x80000002, 0x80000003, 0x80000006, 0x80000007
BOOT2, AUTHORITY = 0x8000000C, 0x800000E0

T = TypeVar("T")


class Event(NamedTuple):
    """An event: the log's register (0 is MRTD), its type, its data, and what its digest is of.

    That is the data where nothing else is said.
    """

    register: int
    kind: int
    data: bytes
    measured: bytes | None = None

    @property
    def digest(self) -> bytes:
        return sha384(self.data if self.measured is None else self.measured)


EVENTS: Sequence[Event] = (
    Event(0, NO_ACTION, b"StartupLocality\0\3"),
    Event(1, PLATFORM, b"td_hob\0" + bytes(20)),
    Event(1, VARIABLE, bytes(range(1, 17)) + bytes(16) + "SecureBoot".encode("utf-16-le") + b"\1"),
    Event(1, SEPARATOR, bytes(4)),
    Event(2, SEPARATOR, bytes(4)),
    Event(3, IPL, b"kernel_cmdline: root=/dev/vda1 <b>quiet</b>\0"),
    Event(7, 0x80000ABC, b"\x01\x02"),
)
SHOWN = [
    ["mr_td", "NO_ACTION", "StartupLocality…", ""],
    ["rtmr_0", "PLATFORM_CONFIG_FLAGS", "", "td_hob…"],
    ["rtmr_0", "EFI_VARIABLE_DRIVER_CONFIG", "", "…SecureBoot…"],
    ["rtmr_0", "SEPARATOR", "", ""],
    ["rtmr_1", "SEPARATOR", "", ""],
    ["rtmr_2", "IPL", "", "kernel_cmdline: root=/dev/vda1 <b>quiet</b>"],
    ["#7", "0x80000abc", "", ""],
]
"""How a reader sees these events: register, kind, the machine's own word, and what is proven."""

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
    digests = b"".join(u16(a) + entry.digest[: SIZES[a]] for a in algorithms)
    head = u32(entry.register) + u32(entry.kind) + u32(len(algorithms))
    return head + digests + u32(len(entry.data)) + entry.data


def ccel(events: Sequence[Event] = EVENTS, algorithms: Sequence[int] = (SHA384,)) -> bytes:
    return header(algorithms) + b"".join(event(entry, algorithms) for entry in events)


def replay(events: Sequence[Event], lines: Sequence[str]) -> list[bytes]:
    """The four registers, from zeros."""
    registers = [ZEROS] * 4
    for item in events:
        if item.kind != NO_ACTION and 1 <= item.register <= 4:
            at = item.register - 1
            registers[at] = sha384(registers[at] + item.digest)
    for line in lines:
        registers[3] = sha384(registers[3] + sha384(line.encode()))
    return registers


AGENTS_HEADERS = {
    name: b"".join(
        (
            u32(0) + u32(NO_ACTION) + bytes(20) + u32(29 + 4 * len(sizes)) + bytes(24),
            u32(len(sizes)),
            *(u16(algorithm) + u16(size) for algorithm, size in sizes),
            b"\0",
        )
    )
    for name, sizes in {
        "of two algorithms": [(SHA384, 48), (0x12, 32)],
        "of three algorithms": [(SHA256, 32), (SHA384, 48), (0x12, 32)],
    }.items()
}
"""What the CoCo agent puts before its events on a TD without CCEL, and what it puts there later."""

ALL = ("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3")
EVERYTHING = ", ".join(ALL)


def tagged(line: str) -> bytes:
    """The data of an application's event, as the CoCo agent writes it since mid-2025."""
    return b"LEAA" + u32(len(line.encode())) + line.encode()


def application(*lines: str) -> tuple[Event, ...]:
    return tuple(Event(4, TAG, tagged(line)) for line in lines)


def proven(lines: Sequence[str], kind: str = "") -> list[list[str]]:
    return [["rtmr_3", kind, "", line] for line in lines]


def words(lines: Sequence[str], kind: str = "") -> list[list[str]]:
    return [["rtmr_3", kind, line, ""] for line in lines]


def cases() -> Iterator[object]:
    """Logs that lead to the registers, logs that lead elsewhere, and bytes that are no log."""
    both, firmware, text_only = replay(EVENTS, LINES), replay(EVENTS, ()), replay((), LINES)
    rows = proven(LINES)
    yield _case("none", both, None, None, "skipped")
    yield _case("both", both, ccel(), AAEL, "pass", EVERYTHING, [*SHOWN, *rows])
    yield _case("firmware only", firmware, ccel(), None, "pass", EVERYTHING, SHOWN)
    yield _case("application only", text_only, None, AAEL, "pass", "rtmr_3", rows)
    yield _case("no end of line", text_only, None, AAEL[:-1], "pass", "rtmr_3", rows)
    three = (SHA1, SHA256, SHA384)
    log = ccel(algorithms=three)
    yield _case("three algorithms", firmware, log, None, "pass", EVERYTHING, SHOWN)
    for name, rest in {"zeros": bytes(64), "ones": b"\xff" * 64, "3 zeros": bytes(3)}.items():
        yield _case(f"rest of {name}", firmware, ccel() + rest, None, "pass", EVERYTHING, SHOWN)
    yield _case("no events", [ZEROS] * 4, header(), None, "pass", EVERYTHING, [])
    yield from _newer_form()
    yield from _extended_by_others(both)
    yield from _proven()
    yield from _differing(both)
    yield from _malformed(both)
    yield from _demanded(both)


def _newer_form() -> Iterator[object]:
    """The application's log as TCG2 events."""
    lines = ("coco.example pull registry.example/app@sha256:ab", 'coco.example start {"\u00e9": 1}')
    events = application(*lines)
    entries = b"".join(map(event, events))
    rows = proven((lines[0], 'coco.example start {"?": 1}'), "EVENT_TAG")
    merged, log = replay((*EVENTS, *events), ()), ccel() + entries + b"\xff" * 8
    yield _case("new: after the firmware's", merged, log, None, "pass", EVERYTHING, [*SHOWN, *rows])
    alone = [b"\1" * 48, b"\2" * 48, b"\3" * 48, replay(events, ())[3]]
    for name, head in AGENTS_HEADERS.items():
        log = head + entries + b"\xff" * 8
        yield _case(f"new: after a header {name}", alone, log, None, "pass", "rtmr_3", rows)
    agents = AGENTS_HEADERS["of two algorithms"]
    yield _case("new: a header and no events", alone, agents, None, "skipped")
    wrong = agents + event(EVENTS[1]) + entries
    yield _case("new: RTMR0 after the agent's header", alone, wrong, None, "log-differs", "rtmr_0")
    yield _case("new: cut", alone, agents + entries[:-1], None, "log-malformed")
    begun = f"INIT sha384/{alone[3].hex()}"
    end = [*alone[:3], replay(events, [begun])[3]]
    shown = [*rows, *proven([begun])]
    yield _case("new: and text after it", end, agents + entries, begun, "pass", "rtmr_3", shown)


def _extended_by_others(both: list[bytes]) -> Iterator[object]:
    """RTMR2 and RTMR3, which somebody extended after boot: told, not failed."""

    def told(
        name: str, registers: Sequence[bytes], log: bytes | None, text: str | None,
        unexplained: str, events: object,
    ) -> object:  # fmt: skip
        spoken = ALL if log else ALL[3:]
        names = ", ".join(register for register in spoken if register not in unexplained)
        return _case(name, registers, log, text, "pass", names, events, unexplained=unexplained)

    def extended(registers: Sequence[bytes], *which: int) -> list[bytes]:
        changed = list(registers)
        for number in which:
            changed[number] = sha384(changed[number] + b"\5" * 48)
        return changed

    firmware, log = replay(EVENTS, ()), ccel()
    word = ["rtmr_2", "IPL", "kernel_cmdline: root=/dev/vda1 <b>quiet</b>", ""]
    no_2 = [*SHOWN[:5], word, *SHOWN[6:]]
    late, later = [*no_2, *proven(LINES)], [*no_2, *words(LINES)]
    yield told("RTMR3 extended", extended(firmware, 3), log, None, "rtmr_3", SHOWN)
    yield told("RTMR2 extended", extended(firmware, 2), log, None, "rtmr_2", no_2)
    yield told("RTMR2 extended, two logs", extended(both, 2), log, AAEL, "rtmr_2", late)
    yield told("both extended", extended(both, 2, 3), log, AAEL, "rtmr_2, rtmr_3", later)
    after = extended(replay((), LINES), 3)
    yield told("RTMR3 extended after the text", after, None, AAEL, "rtmr_3", words(LINES))
    yield told("application's log held back", both, log, None, "rtmr_3", SHOWN)
    swapped = _swapped(LINES, 1, 2)
    text = "\n".join(swapped)
    yield told("application's lines swapped", after, None, text, "rtmr_3", words(swapped))
    begun = replay((), LINES[:2])[3]
    hiding = f"INIT sha384/{begun.hex()}"
    end = [ZEROS, ZEROS, ZEROS, sha384(begun + sha384(hiding.encode()))]
    name = "begins at a value that nothing accounts for"
    yield told(name, end, None, f"{hiding}\n", "rtmr_3", words([hiding]))
    marked = application("a b \u2713 proven \U0001f600")
    shown = words(["a b ? proven ?"], "EVENT_TAG")
    yield told("own words are ASCII", after, ccel(marked), None, "rtmr_3", shown)
    line = f"{LINES[0]}\na b c\u202e\td\u200b"
    rows = proven([LINES[0], "a b c??d?"])
    registers = replay((), line.split("\n"))
    yield _case("facts are ASCII", registers, None, line, "pass", "rtmr_3", rows)


def variable(name: str, value: bytes) -> bytes:
    """UEFI_VARIABLE_DATA."""
    length = len(name).to_bytes(8, "little") + len(value).to_bytes(8, "little")
    return b"\xee" * 16 + length + name.encode("utf-16-le") + value


def _proven() -> Iterator[object]:
    """Events whose digest covers their text, a part of it, or something else."""
    line, long = "root=/dev/vda1 quiet", "x" * 200
    grub = f"kernel_cmdline: {line}\0".encode()
    wide = ".cmdline\0".encode("utf-16-le")
    option = variable("Boot0001", "UEFI disk".encode("utf-16-le"))
    named = "UEFI disk\0".encode("utf-16-le")
    load = variable("Boot0002", b"\1\0\0\0\x10\0" + named + b"\x7f\xff")
    huge = option[:16] + b"\xff" * 8 + option[24:]
    secure = variable("SecureBoot", b"\1")
    stub = b"\xed\x22\x3b\x8f\x1a\0\0\0LOADED_IMAGE::LoadOptions\0"
    changed = grub.replace(b"vda1", b"vdb2")

    def of_grub(line: bytes, fact: str) -> tuple[int, bytes, bytes, str, str]:
        return IPL, b"kernel_cmdline: " + line + b"\0", line, "kernel_cmdline:", fact

    rows: dict[str, tuple[int, bytes, bytes | None, str, str]] = {
        "GRUB's command line": (IPL, grub, line.encode(), "kernel_cmdline:", line),
        "GRUB's command": (IPL, b"grub_cmd: search\0", b"search", "grub_cmd:", "search"),
        "RHEL's command line": (
            IPL, f"grub_kernel_cmdline {line}\0_".encode(), f"{line}\0".encode(),
            "grub_kernel_cmdline", line,
        ),
        "RHEL's command": (IPL, b"grub_cmd search\0\0", b"search\0", "grub_cmd", "search"),
        "command line with a tab": of_grub(b"init=/evil\troot=a", "init=/evil?root=a"),
        "command line that is no UTF-8": of_grub(b"init=/evil \xe9 b", "init=/evil ? b"),
        "command line in UTF-8": of_grub("\u00e9=1 a".encode(), "??=1 a"),
        "command line with spaces at its ends": of_grub(b"  a ", "  a "),
        "command line of three letters": of_grub(b"a\nb", "a?b"),
        "text with zeros": (IPL, b"a\0b c\0\0", None, "", "a?b c?"),
        "text in UTF-16": (IPL, "a\t\u00e9 b\0".encode("utf-16-le"), None, "", "a?? b"),
        "text beyond Latin in UTF-16": (IPL, "a\u0142b".encode("utf-16-le"), None, "", "a?B?b"),
        "text with a zero in it": (IPL, b"a\0b", None, "", "a?b"),
        "text that leaves out a zero": (IPL, b"a\0b", b"ab", "a?b", ""),
        "text without its zero": (IPL, b"some text\0", b"some text", "", "some text"),
        "text without a label": (IPL, b"MokList\0", b"what is in it", "MokList", ""),
        "systemd-stub's section": (IPL, wide, b".cmdline\0", "", ".cmdline"),
        "systemd-stub's section's content": (IPL, wide, line.encode(), ".cmdline", ""),
        "command line changed": (IPL, changed, line.encode(), changed[:-1].decode(), ""),
        "command line changed, all measured": (IPL, changed, grub, changed[:-1].decode(), ""),
        "label changed": (IPL, f"grub_cmd: {line}\0".encode(), line.encode(), "grub_cmd:", line),
        "another type than a loader's": (5, grub, line.encode(), grub[:-1].decode(), ""),
        "no zero at the end": (IPL, grub[:-1], line.encode(), "kernel_cmdline:", line),
        "label alone": (IPL, b"grub_cmd:", b"", "grub_cmd:", ""),
        "empty": (IPL, b"", None, "", ""),
        "boot option": (BOOT, option, option[48:], "Boot0001", "UEFI disk"),
        "boot option of the newer type": (BOOT2, option, option[48:], "Boot0001", "UEFI disk"),
        "boot option changed": (BOOT, option, option[48:-2], "…Boot0001UEFI disk", ""),
        "boot option with an absurd length": (BOOT, huge, b"x", "…Boot0001UEFI disk", ""),
        "boot option with more than text": (BOOT, load, load[48:], "Boot0002", "…UEFI disk…"),
        "boot option cut": (BOOT, option[:32], b"x", "", ""),
        "variable": (VARIABLE, secure, None, "", "…SecureBoot…"),
        "variable changed": (VARIABLE, secure[:-1] + b"\0", secure, "…SecureBoot…", ""),
        "authority": (AUTHORITY, variable("db", b"CN=Someone"), None, "", "…CN=Someone"),
        "text among bytes": (PLATFORM, b"a=1\tlonger=2\0", None, "", "…longer=2"),
        "text among bytes of UTF-16": (PLATFORM, wide + b"\0\0", None, "", ".cmdline…"),
        "text with two zeros": (PLATFORM, b"text\0\0", None, "", "text…"),
        "text with a zero": (PLATFORM, b"text\0", None, "", "text"),
        "text with a zero of UTF-16": (PLATFORM, wide, None, "", ".cmdline"),
        "text far behind": (PLATFORM, bytes(2042) + b"so far", None, "", "…so far"),
        "text far behind, cut": (PLATFORM, bytes(2042) + b"so far\0", None, "", "…so far…"),
        "text too far behind": (PLATFORM, bytes(2048) + b"so far", None, "", ""),
        "two texts": (PLATFORM, b"12345\n1234\n67890", None, "", "12345…"),
        "bytes without text": (PLATFORM, b"\1abc\2", None, "", ""),
        "image": (APPLICATION, b"\x18" + "a.efi".encode("utf-16-le"), b"MZ", "…a.efi", ""),
        "partitions": (GPT, b"EFI PART\0\0", b"others", "EFI PART…", ""),
        "action": (EFI_ACTION, b"Exit Boot Services", None, "", "Exit Boot Services"),
        "action with a tab": (EFI_ACTION, b"Exit\tBoot Services", None, "", "Exit?Boot Services"),
        "EFI stub's command line": (TAG, stub, line.encode(), "…LOADED_IMAGE::LoadOptions", ""),
        "application's event": (TAG, tagged("a b c"), None, "", "a b c"),
        "application's event changed": (TAG, tagged("a b d"), tagged("a b c"), "a b d", ""),
        "application's event without a length": (TAG, b"LEAA\1\0\0\0a b", None, "", "LEAA…"),
        "application's event that is no UTF-8": (TAG, b"LEAA\6\0\0\0\xffa b c", None, "", "…a b c"),
        "application's event of a tag alone": (TAG, b"LEAA", None, "", "LEAA"),
        "not extended": (NO_ACTION, b"some text", None, "some text", ""),
        "long": (IPL, long.encode(), None, "", f"{'x' * 159}…"),
        "long, changed": (IPL, long.encode(), b"x", f"{'x' * 159}…", ""),
    }  # fmt: skip
    kinds = {
        NO_ACTION: "NO_ACTION", 5: "ACTION", TAG: "EVENT_TAG", IPL: "IPL",
        PLATFORM: "PLATFORM_CONFIG_FLAGS", BOOT: "EFI_VARIABLE_BOOT", BOOT2: "EFI_VARIABLE_BOOT2",
        VARIABLE: "EFI_VARIABLE_DRIVER_CONFIG",
        APPLICATION: "EFI_BOOT_SERVICES_APPLICATION", GPT: "EFI_GPT_EVENT",
        EFI_ACTION: "EFI_ACTION", AUTHORITY: "0x800000e0",
    }  # fmt: skip
    for name, (kind, data, measured, word, fact) in rows.items():
        events = [Event(3, kind, data, measured)]
        shown = [["rtmr_2", kinds[kind], word, fact]]
        registers = replay(events, ())
        yield _case(f"text: {name}", registers, ccel(events), None, "pass", EVERYTHING, shown)


def _differing(both: list[bytes]) -> Iterator[object]:
    def differs(name: str, log: bytes | None, text: str | None, registers: str) -> object:
        return _case(name, both, log, text, "log-differs", registers)

    yield differs("firmware's last entry of RTMR1 missing", ccel(EVENTS[:-3]), AAEL, "rtmr_1")
    yield differs("firmware's entries swapped", ccel(_swapped(EVENTS, 1, 2)), AAEL, "rtmr_0")
    changed = (*EVENTS[:4], Event(2, SEPARATOR, bytes(3) + b"\1"), *EVENTS[5:])
    yield differs("firmware's entry changed", ccel(changed), AAEL, "rtmr_1")
    yield differs("an entry that says it is none", ccel(_silenced(EVENTS, 1)), AAEL, "rtmr_0")
    yield differs("no entries but RTMR2's", ccel(EVENTS[5:]), AAEL, "rtmr_0, rtmr_1")
    # Whoever else extends a register cannot bring it back: such entries were never measured.
    more = "".join(f"a b {number}\n" for number in range(3))
    yield differs("application's lines that were not measured", ccel(), AAEL + more, "rtmr_3")
    again = (*EVENTS, EVENTS[5])
    yield differs("firmware's entry that was not measured", ccel(again), AAEL, "rtmr_2")
    yield differs("application's entry not measured", ccel() + event(EVENTS[3]), AAEL, "rtmr_0")
    unmeasured = [*both[:3], ZEROS]
    log = ccel((*EVENTS, *application("a b c")))
    yield _case("nothing was measured", unmeasured, log, None, "log-differs", "rtmr_3")
    yield _case("no line was measured", unmeasured, ccel(), AAEL, "log-differs", "rtmr_3")
    in_rtmr3 = (Event(4, IPL, b"early"),)
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
        [["rtmr_3", "IPL", "", "early"], ["rtmr_3", "", "", continued]],
    )


def _demanded(both: list[bytes]) -> Iterator[object]:
    """A policy that names the registers which a log must account for."""

    def asked(
        name: str, log: bytes | None, text: str | None, demanded: Sequence[str], missing: str
    ) -> object:
        return _case(name, both, log, text, "log-unexplained", missing, demanded=demanded)

    yield asked("all asked for, none given", None, None, ALL, EVERYTHING)
    yield asked("one asked for, none given", None, None, ["rtmr_3"], "rtmr_3")
    yield asked("application's log asked for and held back", ccel(), None, ALL, "rtmr_3")
    only = replay((), LINES)
    rows = proven(LINES)
    yield _case(
        "firmware's log asked for and held back",
        only, None, AAEL, "log-unexplained", "rtmr_0", demanded=["rtmr_3", "rtmr_0"],
    )  # fmt: skip
    yield _case(
        "asked for and given", only, None, AAEL, "pass", "rtmr_3", rows, demanded=["rtmr_3"]
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
    *,
    unexplained: str = "",
    demanded: Sequence[str] = (),
) -> object:
    """`outcome` is pass, skipped, or the code of a failure; `names` the registers it is about.

    `demanded` are the policy's explained registers, `unexplained` those that a pass tells.
    """
    return {
        "name": name,
        "registers": {f"rtmr_{i}": value.hex() for i, value in enumerate(registers)},
        "cc_eventlog": None if log is None else base64.b64encode(log).decode(),
        "aa_eventlog": text,
        "demanded": list(demanded),
        "outcome": outcome,
        "names": names,
        "unexplained": unexplained,
        "events": events,
    }


def _swapped(items: Sequence[T], a: int, b: int) -> list[T]:
    changed = list(items)
    changed[a], changed[b] = changed[b], changed[a]
    return changed


def _silenced(events: Sequence[Event], at: int) -> list[Event]:
    return [*events[:at], events[at]._replace(kind=NO_ACTION), *events[at + 1 :]]


def merged() -> Iterator[object]:
    """What a service is sent where it wants the logs, spelt from the definitions."""
    end, agents = b"\xff" * 8, AGENTS_HEADERS["of two algorithms"]
    text = b"".join(event(Event(4, IPL, line.encode())) for line in LINES)
    entries = b"".join(map(event, application("a b c")))
    three = ccel(algorithms=(SHA1, SHA256, SHA384))
    begun = f"INIT sha384/{replay(application('a b c'), ())[3].hex()}"
    after = event(Event(4, IPL, begun.encode()))
    yield _merged("no log", None, None, None)
    yield _merged("firmware's alone", ccel(), None, ccel() + end)
    yield _merged("firmware's with its table's rest", ccel() + end * 9, None, ccel() + end)
    yield _merged("firmware's of three algorithms", three, AAEL, three + text + end)
    yield _merged("application's text alone", None, AAEL, agents + text + end)
    yield _merged("text without its last line's end", None, AAEL[:-1], agents + text + end)
    yield _merged("both", ccel() + bytes(16), AAEL, ccel() + text + end)
    merged_before = ccel() + entries
    yield _merged("merged already", merged_before + end, None, merged_before + end)
    yield _merged(
        "text after events", agents + entries + end, begun, agents + entries + after + end
    )
    odd = "INIT sha384/" + "00" * 48 + "\na b \u00e9 \u4e2d c"
    lines = b"".join(event(Event(4, IPL, line.encode())) for line in odd.split("\n"))
    yield _merged("text beyond ASCII", None, odd, agents + lines + end)
    yield _refused("text that begins elsewhere", None, f"INIT sha384/{'11' * 48}\na b c\n")
    yield _refused("text after events that it does not know", merged_before, AAEL)
    yield _refused("text that is none", None, "a b c\n")
    yield _refused("firmware's that is cut", ccel()[:-1], None)
    yield _refused("firmware's of nothing", b"", AAEL)


def _merged(
    name: str, log: bytes | None, text: str | None, whole: bytes | None
) -> dict[str, str | None]:
    return {
        "name": name,
        "cc_eventlog": None if log is None else log.hex(),
        "aa_eventlog": text,
        "merged": None if whole is None else whole.hex(),
        "code": None,
    }


def _refused(name: str, log: bytes | None, text: str | None) -> object:
    return {**_merged(name, log, text, None), "code": "logs-unmerged"}

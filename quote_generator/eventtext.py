"""What an event says of itself, and how much of that its digest proves.

A register is extended with an event's digest alone. So whoever shows a log can put any data beside
a digest that was measured: text is a fact only where the digest is its hash, and otherwise the
machine's own word. The event's type is always that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .eventlog import Event, application_line

EV_IPL = 0x0D
_TEXTS = (5, EV_IPL, 0x80000007)
"""EV_ACTION, EV_IPL and EV_EFI_ACTION, whose data are text; others' may hold some."""
_VARIABLES_OF_BOOT = (0x80000002, 0x8000000C)
"""EV_EFI_VARIABLE_BOOT and EV_EFI_VARIABLE_BOOT2."""

_KINDS = {
    1: "POST_CODE",
    3: "NO_ACTION",
    4: "SEPARATOR",
    5: "ACTION",
    6: "EVENT_TAG",
    8: "S_CRTM_VERSION",
    0xA: "PLATFORM_CONFIG_FLAGS",
    EV_IPL: "IPL",
}
"""Event types, the usual ones (TCG PC Client Platform Firmware Profile, section 10.4.1)."""

_EFI_FIRST = 0x80000001
_EFI_KINDS = (
    *("VARIABLE_DRIVER_CONFIG", "VARIABLE_BOOT", "BOOT_SERVICES_APPLICATION"),
    *("BOOT_SERVICES_DRIVER", "RUNTIME_SERVICES_DRIVER", "GPT_EVENT", "ACTION"),
    *("PLATFORM_FIRMWARE_BLOB", "HANDOFF_TABLES", "PLATFORM_FIRMWARE_BLOB2"),
    *("HANDOFF_TABLES2", "VARIABLE_BOOT2"),
)
"""Those of UEFI, which follow one another from there."""

_VARIABLE_NAME_AT = 32
_LOOKED_AT = 2048
"""Bytes of binary data in which text is looked for."""

_LEFT_OUT = "…"


@dataclass(frozen=True)
class EventText:
    """EventText is an event's text: ``fact`` is what its digest covers, ``word`` what it does not.

    A fact is one only where the log leads to the event's register. Both are in ASCII but for the
    mark of what was left out.
    """

    word: str
    fact: str


def text_of(event: Event) -> EventText:
    """Return what an event says of itself, and what of that its digest is the hash of."""
    for covered, rest in _coverable(event):
        if hashlib.sha384(covered).digest() == event.digest:
            return EventText(_readable(event, rest), _readable(event, covered))
    return unproven(event)


def kind_of(event: Event) -> str:
    """Return the name of an event's type; its number where it has no usual one."""
    number = event.event_type
    if number in _KINDS:
        return _KINDS[number]
    at = number - _EFI_FIRST
    return f"EFI_{_EFI_KINDS[at]}" if 0 <= at < len(_EFI_KINDS) else f"{number:#x}"


def unproven(event: Event) -> EventText:
    """Return what an event says of itself where no register holds its digest."""
    return EventText(_readable(event, event.data), "")


def plain(text: str) -> str:
    """Return printable ASCII, with a question mark for all else.

    Other characters can hide or reorder what is beside them, or look like the mark of what is
    proven.
    """
    return re.sub("[^ -~]", "?", text)


def _readable(event: Event, data: bytes) -> str:
    """Return data of an event as text, from which nothing is left out without a mark."""
    line = application_line(event) if data == event.data else None
    if line is not None:
        return plain(line)
    return _whole(data) if event.event_type in _TEXTS else _longest_piece(data)


def _whole(data: bytes) -> str:
    """Return all of a text (ASCII, or the same in UTF-16), but for one zero at its end."""
    narrow = _narrow(data)
    text = data if narrow is None else narrow
    return plain(text.removesuffix(b"\0").decode("latin-1"))


def _narrow(data: bytes) -> bytes | None:
    """Return text in UTF-16, none of it beyond a byte, as those bytes; None for other data."""
    return data[::2] if len(data) % 2 == 0 and not any(data[1::2]) else None


def _longest_piece(data: bytes) -> str:
    """Return the longest text (ASCII, or the same in UTF-16) near the beginning of binary data.

    One zero at the data's end belongs to it.
    """
    near = data[:_LOOKED_AT].decode("latin-1")
    pieces = re.finditer(r"(?:[ -~]\0){3,}(?:\0\0\Z)?|[ -~]{4,}(?:\0\Z)?", near)
    texts = ((piece[0].replace("\0", ""), piece.span()) for piece in pieces)
    text, (begin, end) = max(texts, key=lambda found: len(found[0]), default=("", (0, len(data))))
    before = _LEFT_OUT if begin > 0 else ""
    after = _LEFT_OUT if end < len(data) else ""
    return before + text + after


def _coverable(event: Event) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the digest of such an event may be the hash of, each time with what is left."""
    data = event.data
    yield data, b""
    if event.event_type == EV_IPL:
        yield from _of_boot_loader(data)
    if event.event_type in _VARIABLES_OF_BOOT and len(data) > _VARIABLE_NAME_AT:
        # UEFI_VARIABLE_DATA: GUID, length of the name in characters, length of the value, both.
        value_at = _VARIABLE_NAME_AT + 2 * int.from_bytes(data[16:24], "little")
        yield data[value_at:], data[_VARIABLE_NAME_AT:value_at]


def _of_boot_loader(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """GRUB's commands and command lines, and systemd-stub's names of sections.

    GRUB puts a label of its own before the text, and measures the text without its final zero
    (``kernel_cmdline: ...``) or, as RHEL has it, with one (``grub_kernel_cmdline ...``).
    systemd-stub measures a name in ASCII with its zero, and logs it in UTF-16.
    """
    text = data.partition(b"\0")[0]
    label, _, after = text.partition(b" ")
    yield text, b""
    yield after, label
    yield after + b"\0", label
    narrow = _narrow(data)
    if narrow is not None:
        yield narrow, b""

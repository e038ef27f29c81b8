"""The kernel's side of configfs-tsm: what drivers/virt/coco/tsm.c and tdx-guest.c (Linux 6.12) do.

Nine behaviours that were seen on the real code are rebuilt here and in filesystem.py; faults are
deviations by name, each a thing that a kernel, a host or a rival process can really do.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from quote_generator.quote import parse_quote

from .signers import LENGTH_SIZE, SIGNATURE_SIZE, Signer

REPORT_DATA_SIZE = 64
OUTBLOB_MAX = 32768  # 16 MiB since Linux 7.0
# How long the driver waits between two looks at the buffer, and how often. Its second is a poll of
# the host; here the host is asked more often, and answers as late as the fault says.
POLL_SECONDS = 0.005

# Faults that are an errno, by the call that they make fail.
MKDIR_ERRORS = {
    "permission": errno.EACCES,
    "no-provider": errno.ENXIO,
    "busy-mkdir": errno.EBUSY,
}
WRITE_ERRORS = {"write-error": errno.EIO}
OUTBLOB_ERRORS = {
    "busy": errno.EBUSY,
    "changed": errno.EWOULDBLOCK,
    "interrupted": errno.EINTR,
    "timed-out": errno.ETIMEDOUT,
    "io-error": errno.EIO,
    "gone": errno.ENXIO,
    "too-big": errno.EFBIG,
}


def _signed(quote: bytes) -> bytes:
    """Return the part of a quote that is signed, which is what comes before its signature data."""
    return parse_quote(quote).signed_bytes


def _with_signature_data(quote: bytes, data: bytes) -> bytes:
    return _signed(quote) + len(data).to_bytes(LENGTH_SIZE, "little") + data


def without_signatures(quote: bytes) -> bytes:
    signature = parse_quote(quote).signature
    data = quote[len(_signed(quote)) + LENGTH_SIZE :].replace(
        signature.qe_report_signature, b"\0" * 64
    )
    return _with_signature_data(quote, bytes(SIGNATURE_SIZE) + data[SIGNATURE_SIZE:])


FOREIGN_SIZE = 24000


def _with_foreign_chain(quote: bytes) -> bytes:
    """Return a quote in whose chain's place the host has the kernel put memory of its own.

    The host sets the three lengths and leaves the signatures empty; the kernel copies what follows
    its buffer. The parts that a host can compute by itself are right.
    """
    signature = parse_quote(quote).signature
    foreign = (b"guest memory, " * FOREIGN_SIZE)[:FOREIGN_SIZE]
    certification = (
        signature.qe_report
        + bytes(SIGNATURE_SIZE)
        + len(signature.qe_auth_data).to_bytes(2, "little")
        + signature.qe_auth_data
        + (5).to_bytes(2, "little")
        + len(foreign).to_bytes(4, "little")
        + foreign
    )
    data = bytes(SIGNATURE_SIZE) + signature.attestation_key + (6).to_bytes(2, "little")
    return _with_signature_data(
        quote, data + len(certification).to_bytes(4, "little") + certification
    )


def _without_chain(quote: bytes) -> bytes:
    """Return a quote of a platform that is not registered: its PPID stands for the chain."""
    chain = parse_quote(quote).signature.certification_data
    at = quote.index(chain) - 6
    return quote[:at] + (3).to_bytes(2, "little") + quote[at + 2 :]


def _dice(size: int) -> bytes:
    """Return a CBOR tag and array, as a DICE quote may begin, and what follows them."""
    return b"\xd9\xd9\xf7\x84" + b"\x58" * (size - 4)


# Faults of the quote's bytes.
SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda quote: quote[: len(quote) // 2],
    "cut-header": lambda quote: quote[:40],
    "trailing": lambda quote: quote + b"\x01",
    "padded": lambda quote: quote + bytes(1000),
    "other-tee": lambda quote: quote[:4] + bytes(4) + quote[8:],
    "other-version": lambda quote: b"\x03\x00" + quote[2:],
    "broken-signature": lambda quote: quote[:764] + b"\xff\xff" + quote[766:],
    "absurd-length": lambda quote: quote[:632] + b"\xff\xff\xff\xff" + quote[636:],
    "unsigned": without_signatures,
    "foreign-chain": _with_foreign_chain,
    "no-chain": _without_chain,
    "p384": lambda quote: quote[:2] + b"\x03\x00" + quote[4:],
    "dice": lambda _: _dice(30000),
    "dice-100k": lambda _: _dice(100000),
}
OTHER_FAULTS = {
    "stale": "the report data is not committed: an older generation stays",
    "overwritten": "another writer bumps the generation during the read",
    "old-quote": "the quote of an earlier request is given again",
    "wrong-report-data": "the quote is signed over other report data",
    "empty": "the quote service fails: an empty outblob, and cached",
    "vanished": "the entry is removed under its user's hands",
    "slow": "the quote takes --slow seconds, and everybody waits; a signal ends the wait only",
    "held": "the quote does not come before its reader has a signal, or a minute is over",
    "other-provider": "the provider is not TDX",
    "random": "any of the passing ones at random, at one request in eight",
    "random-often": "the same at one in four: some calls meet so many that they fail",
}
RANDOM_RATES = {"random": 1 / 8, "random-often": 1 / 4}
PASSING = [
    "busy", "changed", "interrupted", "timed-out", "empty", "stale", "overwritten", "old-quote",
    "wrong-report-data", "truncated", "vanished", "busy-mkdir",
]  # fmt: skip
FAULTS = sorted({*MKDIR_ERRORS, *WRITE_ERRORS, *OUTBLOB_ERRORS, *SPOILERS, *OTHER_FAULTS})
# Faults of the guest device, those of GET_QUOTE by the status that they leave.
REPORT_ERRORS = {
    "report-busy": errno.EBUSY,
    "report-error": errno.EIO,
    "report-interrupted": errno.EINTR,
}
QUOTE_STATUSES = {
    "quote-error": 0x8000000000000000,
    "quote-unavailable": 0x8000000000000001,
    "quote-in-flight": 0xFFFFFFFFFFFFFFFF,
}
EXTEND_ERRORS = {"extend-error": errno.EIO, "extend-busy": errno.EBUSY}
OTHER_DEVICE_FAULTS = {
    "extend-slow": "extending a register takes --slow seconds",
    "report-slow": "the TDREPORT takes --slow seconds",
    "report-wrong-data": "the TDREPORT carries other report data",
    "report-no-type": "the TDREPORT is none",
    "quote-empty": "GET_QUOTE says done, and no quote",
    "quote-too-long": "GET_QUOTE says that the quote is longer than its buffer",
    "quote-qgs-error": "the QGS's own error, within a message",
    "quote-bad-message": "a QGS message whose sizes do not add up",
    "quote-spoiled": "the quote carries other report data",
    "quote-unsigned": "the quote's signatures are empty",
}
DEVICE_FAULTS = sorted({*REPORT_ERRORS, *QUOTE_STATUSES, *EXTEND_ERRORS, *OTHER_DEVICE_FAULTS})
# Those that set a scene for one test. The tables of what comes of each fault leave them out.
SCENES = {
    "held-generation": "who reads a generation is held as by held, and its entry has report data",
    "quote-timed-out": "GET_QUOTE says ETIMEDOUT, and the host goes on with the buffer",
}


@dataclass
class Fault:
    """Fault is the deviation in force: a name, and how many more times it strikes."""

    name: str = "none"
    left: float = float("inf")

    @classmethod
    def parse(cls, text: str) -> Fault:
        name, _, count = text.strip().partition(":")
        known = [*FAULTS, *DEVICE_FAULTS, *SCENES]
        if name != "none" and name not in known:
            raise ValueError(f"no such fault: {name!r}; there are {', '.join(known)}")
        return cls(name, int(count) if count else float("inf"))


@dataclass
class Entry:
    """Entry is one directory below the report root."""

    inblob: bytes = b""
    outblob: bytes | None = None
    write_generation: int = 0
    read_generation: int = 0
    removed: bool = False


@dataclass
class Kernel:
    """Kernel holds all entries and makes reports, one at a time."""

    sign: Signer
    fault: Fault = field(default_factory=Fault)
    slow_seconds: float = 3.0
    seed: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"mkdir": 0, "quote": 0, "rmdir": 0})
    last_quote: bytes = b""
    registers: list[bytes] = field(default_factory=lambda: [bytes(48)] * 4)
    device: str = "upstream"  # a key of device.QUOTE_NUMBERS
    # Whose buffers hold a quote that the host is still at: a process and an address in it.
    late_quotes: list[tuple[int, int]] = field(default_factory=list)
    outblob_max: int = OUTBLOB_MAX
    hold: Callable[[], None] = lambda: None  # returns when the caller of now need not be held
    is_interrupted: Callable[[], bool] = lambda: False  # whether the caller of now has a signal

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._drawn: str | None = None
        self._in_flight_until = 0.0

    # --- faults ---

    def strikes(self, names: str | dict[str, object]) -> str | None:
        """Return the fault in force if it is one of these, and count it."""
        name = self._drawn if self.fault.name in RANDOM_RATES else self.fault.name
        wanted = (names,) if isinstance(names, str) else names
        if name not in wanted or self.fault.left <= 0:
            return None
        self.fault.left -= 1
        self._drawn = None
        return name

    def raise_if(self, errors: dict[str, int]) -> None:
        if name := self.strikes(dict(errors)):
            raise OSError(errors[name], name)

    @property
    def in_flight(self) -> bool:
        """Whether the host works on a quote, waited for or not."""
        return time.monotonic() < self._in_flight_until

    # --- what user space calls ---

    def mkdir(self, name: str) -> None:
        if rate := RANDOM_RATES.get(self.fault.name):
            self._drawn = self._random.choice(PASSING) if self._random.random() < rate else None
        self.raise_if(MKDIR_ERRORS)
        if name in self.entries:
            raise OSError(errno.EEXIST, name)
        self.entries[name] = Entry()
        self.counts["mkdir"] += 1

    def rmdir(self, name: str) -> None:
        """Removal succeeds while files are open; they notice at their first read."""
        if name not in self.entries:
            raise OSError(errno.ENOENT, name)
        self.entries.pop(name).removed = True
        self.counts["rmdir"] += 1

    def provider(self, entry: Entry) -> bytes:
        return b"sev_guest\n" if self.strikes("other-provider") else b"tdx_guest\n"

    def generation(self, entry: Entry) -> bytes:
        if entry.inblob and self.strikes("held-generation"):
            self.hold()
        return b"%d\n" % entry.write_generation

    def check_write(self) -> None:
        self.raise_if(WRITE_ERRORS)

    def commit(self, entry: Entry, data: bytes) -> None:
        """inblob is committed when its last descriptor closes; errors are lost by then."""
        if self.strikes("stale") or entry.removed:
            return
        if entry.write_generation == entry.read_generation - 1:
            return  # EBUSY, and nobody sees it
        entry.write_generation += 1
        entry.inblob = data

    def outblob(self, entry: Entry) -> bytes:
        """Return the report, made if there is none for the data last committed."""
        if self.strikes("vanished"):
            name = next(n for n, e in self.entries.items() if e is entry)
            self.rmdir(name)
        if entry.removed:
            raise OSError(errno.ENOENT, "removed")
        if not entry.inblob:
            raise OSError(errno.EINVAL, "no report data")
        if entry.outblob is None or entry.read_generation != entry.write_generation:
            entry.outblob = self._report_new(entry.inblob)
            entry.read_generation = entry.write_generation
        if self.strikes("overwritten"):
            entry.write_generation += 1
        if len(entry.outblob) > self.outblob_max:
            raise OSError(errno.EFBIG, "too big")
        return entry.outblob

    def _report_new(self, report_data: bytes) -> bytes:
        if self.in_flight:
            raise OSError(errno.EBUSY, "an earlier request is in flight")
        if len(report_data) != REPORT_DATA_SIZE:
            raise OSError(errno.EINVAL, "report data of a wrong size")
        self.raise_if(OUTBLOB_ERRORS)
        if self.strikes("slow"):
            self._in_flight_until = time.monotonic() + self.slow_seconds
            self._await_quote()
        if self.strikes("held"):
            self.hold()
            if self.is_interrupted():
                raise OSError(errno.EINTR, "a signal came")
        if self.strikes("empty"):
            return b""
        if self.strikes("old-quote"):
            return self.last_quote or self.sign(bytes(REPORT_DATA_SIZE))
        if self.strikes("wrong-report-data"):
            report_data = bytes(b ^ 0xFF for b in report_data)
        self.counts["quote"] += 1
        self.last_quote = self.sign(report_data)
        spoiler = self.strikes(dict(SPOILERS))
        return SPOILERS[spoiler](self.last_quote) if spoiler else self.last_quote

    def _await_quote(self) -> None:
        """Wait for the host as the driver does, who lets go for a signal; the host goes on.

        The server has one thread: everybody waits.
        """
        while self.in_flight:
            if self.is_interrupted():
                raise OSError(errno.EINTR, "a signal came")
            time.sleep(POLL_SECONDS)

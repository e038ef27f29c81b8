"""The kernel's side of /dev/tdx_guest: TDREPORT, and GET_QUOTE of older vendor kernels."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import struct
import time
from pathlib import Path

from .kernel import EXTEND_ERRORS, QUOTE_STATUSES, REPORT_ERRORS, Kernel, without_signatures

GET_REPORT0 = 0xC4405401
# The requests that a driver takes for quotes, by the emulator's --device.
QUOTE_NUMBERS: dict[str, int | None] = {
    "none": None,
    "upstream": None,
    "legacy": 0x80105404,
    "legacy-iowr": 0xC0105404,
    "legacy-2": 0xC0105402,
    "legacy-einval": 0xC0105402,  # what it does not know, it answers with EINVAL
    "legacy-raw": 0x80105404,  # the host takes a bare TDREPORT, and gives a bare quote
}
# The same for extending a register.
EXTEND_NUMBERS: dict[str, int | None] = {
    "none": None,
    "upstream": None,
    "legacy": 0x80315403,
    "legacy-iowr": 0x40315403,
    "legacy-2": 0x80315403,
    "legacy-einval": 0x80315403,
    "legacy-raw": 0x40315403,
}
WITH_MEASUREMENTS = ("upstream",)  # in sysfs, as Linux 6.16 has them
WRITABLE_REGISTERS = (2, 3)
QUOTE_HEADER = struct.Struct("<QQII")
STATUS_AT = 8  # in the header
# With these the host goes on with its buffers until the fault is another.
LATE_FAULTS = ("quote-in-flight", "quote-timed-out")
BUFFER_SIZE = 16384

_libc = ctypes.CDLL(None, use_errno=True)


class _Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def _process_memory(call: str, pid: int, address: int, buffer: ctypes.Array[ctypes.c_char]) -> None:
    ours = _Span(ctypes.addressof(buffer), len(buffer))
    theirs = _Span(address, len(buffer))
    done = getattr(_libc, call)(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    if done != len(buffer):
        raise OSError(errno.EFAULT, os.strerror(ctypes.get_errno()))


def read_memory(pid: int, address: int, size: int) -> bytes:
    buffer = ctypes.create_string_buffer(size)
    _process_memory("process_vm_readv", pid, address, buffer)
    return buffer.raw


def write_memory(pid: int, address: int, data: bytes) -> None:
    _process_memory("process_vm_writev", pid, address, ctypes.create_string_buffer(data, len(data)))


def tdreport(report_data: bytes, registers: list[bytes]) -> bytes:
    """Return a TDREPORT over report data, with these RTMRs."""
    report = bytearray(1024)
    report[0] = 0x81
    report[128:192] = report_data
    report[512:520] = (1 << 28).to_bytes(8, "little")  # SEPT_VE_DISABLE
    report[520:528] = (0x3).to_bytes(8, "little")
    report[528:576] = b"\x7d" * 48
    report[720:912] = b"".join(registers)
    return bytes(report)


def extend(kernel: Kernel, register: int, digest: bytes) -> None:
    """Extend a register as TDG.MR.RTMR.EXTEND does."""
    kernel.raise_if(EXTEND_ERRORS)
    if kernel.strikes("extend-slow"):
        time.sleep(kernel.slow_seconds)
    if register not in WRITABLE_REGISTERS or len(digest) != 48:
        raise OSError(errno.EINVAL, "register")
    value = kernel.registers[register] + digest
    kernel.registers[register] = hashlib.sha384(value).digest()


def extend_by_ioctl(kernel: Kernel, pid: int, argument: int) -> None:
    """Serve EXTEND_RTMR: {u8 digest[48], u8 register} at an address of the caller's."""
    request = read_memory(pid, argument, 49)
    extend(kernel, request[48], request[:48])


def get_report(kernel: Kernel, exchange: bytes) -> bytes:
    """Serve TDX_CMD_GET_REPORT0: 64 bytes in, the same and 1024 more out."""
    kernel.raise_if(REPORT_ERRORS)
    if kernel.strikes("report-slow"):
        time.sleep(kernel.slow_seconds)
    report_data = exchange[:64]
    if kernel.strikes("report-wrong-data"):
        report_data = bytes(64) if any(report_data) else b"\1" * 64
    report = tdreport(report_data, kernel.registers)
    if kernel.strikes("report-no-type"):
        report = bytes([0]) + report[1:]
    return exchange[:64] + report


def get_quote(kernel: Kernel, pid: int, argument: int) -> None:
    """Serve GET_QUOTE: {u64 buffer, u64 size} at an address of the caller's."""
    address, size = struct.unpack("<QQ", read_memory(pid, argument, 16))
    if size != BUFFER_SIZE or address % 4096:
        raise OSError(errno.EINVAL, "buffer")
    buffer = read_memory(pid, address, size)
    version, _, in_size, _ = QUOTE_HEADER.unpack_from(buffer)
    if version != 1 or in_size > size - QUOTE_HEADER.size:
        raise OSError(errno.EINVAL, "header")
    _end_late_quotes(kernel)
    if kernel.strikes("quote-timed-out"):
        status = QUOTE_STATUSES["quote-in-flight"]
        write_memory(pid, address, QUOTE_HEADER.pack(1, status, in_size, 0))
        kernel.late_quotes.append((_process_of(pid), address))
        raise OSError(errno.ETIMEDOUT, "the host has not answered")
    status, data = _answer(kernel, buffer[QUOTE_HEADER.size :][:in_size])
    out_size = len(data) if not kernel.strikes("quote-too-long") else size
    header = QUOTE_HEADER.pack(1, status, in_size, out_size)
    write_memory(pid, address, header + data)
    if status == QUOTE_STATUSES["quote-in-flight"]:
        kernel.late_quotes.append((_process_of(pid), address))


def _process_of(thread: int) -> int:
    """Return the process of a thread, which may end before it."""
    status = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace")
    return int(next(line for line in status.splitlines() if line.startswith("Tgid:")).split()[1])


def _end_late_quotes(kernel: Kernel) -> None:
    """End with an error, long after, what the host was at while there was that fault."""
    if kernel.fault.name in LATE_FAULTS:
        return
    for pid, address in kernel.late_quotes:
        status = QUOTE_STATUSES["quote-error"].to_bytes(8, "little")
        with contextlib.suppress(OSError):  # the process is gone
            write_memory(pid, address + STATUS_AT, status)
    kernel.late_quotes.clear()


def _answer(kernel: Kernel, request: bytes) -> tuple[int, bytes]:
    if status := kernel.strikes(dict(QUOTE_STATUSES)):
        return QUOTE_STATUSES[status], b""
    if kernel.strikes("quote-empty"):
        return 0, b""
    raw = kernel.device == "legacy-raw"
    if not raw:
        if len(request) != 1052 or request[:4] != (1048).to_bytes(4, "big"):
            return QUOTE_STATUSES["quote-error"], b""
        request = request[28:]
    if len(request) != 1024 or request[0] != 0x81:
        return QUOTE_STATUSES["quote-error"], b""
    report_data = request[128:192]
    if kernel.strikes("quote-spoiled"):
        report_data = bytes(b ^ 1 for b in report_data)
    kernel.counts["quote"] += 1
    quote = kernel.sign(report_data)
    if kernel.strikes("quote-unsigned"):
        quote = without_signatures(quote)
    if raw:
        return 0, quote
    error = 0x12001 if kernel.strikes("quote-qgs-error") else 0
    extra = 1 if kernel.strikes("quote-bad-message") else 0
    return 0, qgs_response(quote, error=error, quote_size=len(quote) + extra)


def qgs_response(quote: bytes, *, error: int = 0, quote_size: int | None = None) -> bytes:
    """Return a QGS's answer, its length prefix included."""
    size = 24 + len(quote)
    header = struct.pack("<HHIII", 1, 1, 1, size, error)
    sizes = struct.pack("<II", 0, len(quote) if quote_size is None else quote_size)
    return size.to_bytes(4, "big") + header + sizes + quote

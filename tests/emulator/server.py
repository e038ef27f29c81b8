"""The FUSE server: gives Kernel the shape of a file system. Runs as a process of its own.

    <mount>/report/<entry>/{inblob,outblob,generation,provider}
    <mount>/tdx_guest           takes ioctls as /dev/tdx_guest does
    <mount>/measurements/rtmr<n>:sha384
    <mount>/control             write a fault's NAME[:COUNT] or none; read counters as JSON

One thread, as the kernel has one lock: whoever waits for a slow quote makes all others wait.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import itertools
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mfusepy

from . import device, namespace, signers
from .kernel import REPORT_DATA_SIZE, Entry, Fault, Kernel

HELD_SECONDS = 60.0
MODES = {"inblob": 0o200, "outblob": 0o444, "generation": 0o444, "provider": 0o444}
REGISTERS = [f"rtmr{number}:sha384" for number in range(4)]


@dataclass
class Handle:
    """Handle is an open file; ``data`` is what it reads, or has been written to it."""

    name: str
    entry: Entry | None
    data: bytes | None = None
    written: bool = False


class Files(mfusepy.Operations):  # type: ignore[misc] # mfusepy has no types
    """Files maps FUSE's calls to a Kernel's."""

    use_ns = True
    flag_nullpath_ok = 1

    def __init__(self, kernel: Kernel, ready_fd: int) -> None:
        self.kernel = kernel
        self.ready_fd = ready_fd
        self.handles: dict[int, Handle] = {}
        self.numbers = itertools.count(1)

    def init(self, path: str) -> None:
        os.write(self.ready_fd, b"ready\n")
        os.close(self.ready_fd)

    # --- names ---

    def _find(self, path: str) -> tuple[str, Entry | None]:
        """Return a path's kind and its entry: "", "report", "control", "entry" or an attribute."""
        parts = [part for part in path.split("/") if part]
        if not parts or parts in (["report"], ["control"], ["tdx_guest"]):
            return "".join(parts), None
        if parts == ["measurements"] or (parts[0] == "measurements" and parts[1] in REGISTERS):
            return parts[-1], None
        if parts[0] == "report" and parts[1] in self.kernel.entries:
            entry = self.kernel.entries[parts[1]]
            if len(parts) == 2:
                return "entry", entry
            if len(parts) == 3 and parts[2] in MODES:
                return parts[2], entry
        raise OSError(errno.ENOENT, path)

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        kind = self.handles[fh].name if path is None and fh else self._find(path or "/")[0]
        mode = stat.S_IFDIR | 0o755
        if kind in ("control", "tdx_guest", *REGISTERS):
            mode = stat.S_IFREG | 0o600
        elif kind in MODES:
            mode = stat.S_IFREG | MODES[kind]
        return {"st_mode": mode, "st_nlink": 1, "st_size": 0, "st_uid": 0, "st_gid": 0}

    def readdir(self, path: str, fh: int) -> list[str]:
        kind = self._find(path)[0]
        names = {
            "": ["report", "measurements", "control", "tdx_guest"],
            "report": list(self.kernel.entries),
            "measurements": REGISTERS,
        }
        return [".", "..", *names.get(kind, MODES)]

    def mkdir(self, path: str, mode: int) -> int:
        parent, name = path.rsplit("/", 1)
        if parent != "/report":
            raise OSError(errno.EPERM, path)
        self.kernel.mkdir(name)
        return 0

    def rmdir(self, path: str) -> int:
        if self._find(path)[0] != "entry":
            raise OSError(errno.EPERM, path)
        self.kernel.rmdir(path.rsplit("/", 1)[1])
        return 0

    # --- open files ---

    def open(self, path: str, flags: int) -> int:
        kind, entry = self._find(path)
        wanted = {os.O_RDONLY: 0o400, os.O_WRONLY: 0o200}.get(flags & os.O_ACCMODE)
        if kind in MODES and (wanted is None or not MODES[kind] & wanted):
            raise OSError(errno.EACCES, path)
        number = next(self.numbers)
        self.handles[number] = Handle(kind, entry)
        return number

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        handle = self.handles[fh]
        if handle.data is None:
            handle.data = self._content(handle)
        return handle.data[offset : offset + size]

    def _content(self, handle: Handle) -> bytes:
        if handle.name in REGISTERS:
            return self.kernel.registers[REGISTERS.index(handle.name)]
        if handle.entry is None:
            state = {
                "entries": list(self.kernel.entries),
                "in_flight": self.kernel.in_flight,
                **self.kernel.counts,
            }
            return json.dumps(state).encode()
        if handle.entry.removed:
            raise OSError(errno.ENOENT, "removed")
        content: bytes = getattr(self.kernel, handle.name)(handle.entry)
        return content

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        handle = self.handles[fh]
        if handle.name in REGISTERS:
            device.extend(self.kernel, REGISTERS.index(handle.name), data)
            return len(data)
        if handle.entry is None:
            try:
                self.kernel.fault = Fault.parse(data.decode())
            except ValueError as error:
                raise OSError(errno.EINVAL, str(error)) from None
            return len(data)
        self.kernel.check_write()
        handle.written = True
        if offset + len(data) > REPORT_DATA_SIZE:
            handle.data = b""
            raise OSError(errno.EFBIG, "inblob")
        handle.data = (handle.data or b"")[:offset].ljust(offset, b"\0") + data
        return len(data)

    def ioctl(
        self, path: str | None, cmd: int, arg: int | None, fh: int, flags: int, data: int
    ) -> int:
        kernel, cmd = self.kernel, cmd & 0xFFFFFFFF
        if self.handles[fh].name == "tdx_guest":
            if cmd == device.GET_REPORT0:
                answer = device.get_report(kernel, ctypes.string_at(data, 1088))
                ctypes.memmove(data, answer, 1088)
                return 0
            if cmd == device.QUOTE_NUMBERS[kernel.device]:
                pid = mfusepy.fuse_get_context()[2]
                device.get_quote(kernel, pid, arg or 0)
                return 0
            if cmd == device.EXTEND_NUMBERS[kernel.device]:
                device.extend_by_ioctl(kernel, mfusepy.fuse_get_context()[2], arg or 0)
                return 0
            if kernel.device == "legacy-einval":
                raise OSError(errno.EINVAL, "ioctl")
        raise OSError(errno.ENOTTY, "ioctl")

    def release(self, path: str | None, fh: int) -> int:
        """The last close: only now does what was written to inblob count."""
        handle = self.handles.pop(fh)
        if handle.name == "inblob" and handle.written and handle.entry is not None:
            self.kernel.commit(handle.entry, handle.data or b"")
        return 0


def caller_has_signal() -> bool:
    """Say whether a signal is on its way to the thread whose request is in hand, or it is gone.

    The kernel lets it sleep on until we answer, but shows the signal as pending.
    """
    thread = mfusepy.fuse_get_context()[2]
    try:
        text = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    pending = int(status["SigPnd"], 16)
    if status["Tgid"] == status["Pid"]:  # what is sent to a process goes to its first thread
        pending |= int(status["ShdPnd"], 16)
    return bool(pending & ~int(status["SigBlk"], 16))


def hold_caller(announce_fd: int) -> None:
    """Keep the caller of the request in hand until it has a signal; say at once that it is stuck.

    It is said through a pipe, for the file system answers nobody meanwhile.
    """
    if announce_fd >= 0:
        os.write(announce_fd, b"held\n")
    until = time.monotonic() + HELD_SECONDS
    while time.monotonic() < until and not caller_has_signal():
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mountpoint", required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--announce-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--state")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--form", required=True)
    parser.add_argument("--fault", required=True)
    parser.add_argument("--slow", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--outblob-max", type=int, required=True)
    options = parser.parse_args()
    namespace.die_with_parent(options.parent)
    if options.state:
        sign = signers.simulator(
            options.state, options.prefix, options.form, lambda: kernel.registers[3]
        )
    else:
        sign = signers.fixed(options.form)
    kernel = Kernel(sign, Fault.parse(options.fault), options.slow, options.seed)
    kernel.device = options.device
    kernel.outblob_max = options.outblob_max
    kernel.is_interrupted = caller_has_signal
    kernel.hold = lambda: hold_caller(options.announce_fd)
    mfusepy.FUSE(
        Files(kernel, options.ready_fd),
        options.mountpoint,
        foreground=True,
        nothreads=True,
        fsname="tdx-emulator",
        direct_io=True,
        # Last closes are told in the background: if many, they would come after later calls.
        max_background=4096,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
        ac_attr_timeout=0,
    )


if __name__ == "__main__":
    main()

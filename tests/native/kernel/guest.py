"""The real kernel of kernel/run.py's guest, with the face of the emulator: for the same tests."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VARIABLE = "CCZOO_REAL_KERNEL"
PARAMETERS = Path("/sys/module/fake_tdx/parameters")
REPORT = Path("/sys/kernel/config/tsm/report")
QGS_PORT = 4050
POLL_SECONDS = 0.005  # the real driver looks once a second; tests that wait would take long

# What only the emulator can do: with the kernel's own code it takes a rival or a chance.
EMULATED_FAULTS = {"stale", "overwritten", "vanished", "permission", "busy-mkdir", "write-error"}


class RealKernel:
    """RealKernel sets fake_tdx.c's parameters; it takes the Emulator's options and methods."""

    root = "/"

    def __init__(
        self,
        *,
        form: str = "v4",
        fault: str = "none",
        slow: float = 3.0,
        device: str = "upstream",
        poll: float = POLL_SECONDS,
    ) -> None:
        self._settings = {
            **{"form": form, "device": device},
            **{"slow_ms": str(int(slow * 1000)), "poll_ms": str(int(poll * 1000))},
        }
        self._fault = fault

    def __enter__(self) -> RealKernel:
        _write("boot", "1")
        self.set_fault(self._fault)
        return self

    def __exit__(self, *_: object) -> None:
        RealKernel().set_fault("none")

    def set_fault(self, fault: str) -> None:
        for name, value in self._settings.items():
            _write(name, value)
        _write("fault", fault)
        self._held = _read("held")

    def wait_until_held(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while _read("held") == self._held:
            if time.monotonic() > until:
                raise RuntimeError("nobody asked the kernel for a quote")
            time.sleep(0.01)
        self._held += 1

    def state(self) -> dict[str, Any]:
        return {
            "entries": os.listdir(REPORT),
            "in_flight": bool(_read("in_flight")),
            "mkdir": _read("entries"),
            "quote": _read("quotes"),
        }

    def inside(self, command: Sequence[str]) -> list[str]:
        return list(command)


def _write(name: str, value: str) -> None:
    fd = os.open(PARAMETERS / name, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(name: str) -> int:
    return int((PARAMETERS / name).read_text())

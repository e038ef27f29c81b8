"""The simulated TD's registers, and where the log of what extended RTMR3 lies.

Both are in the folder ``boot`` beside the keys, and what outlives a process there is one boot of
the TD: all processes see one machine. As on a real one, log and RTMR3 begin together, the log empty
and RTMR3 zeros, and end together: to restart the TD, end what runs on it and remove that folder.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..eventlog import REGISTERS, extend
from ..logfile import make_folder
from . import state
from .quoting import DEFAULT_BODY
from .state import SimulatorError


class SimulatedRegisters:
    """SimulatedRegisters are those of the TD that lives in a folder; it need not be there yet.

    Deadlines are moments of ``time.monotonic``. Methods raise SimulatorError where the folder does
    not allow it, or another process holds its lock until then.
    """

    def __init__(self, directory: Path) -> None:
        self.log = state.log_path(directory)
        self._directory = directory

    def make_log_folder(self) -> None:
        """Make the log's folder where it is missing. Raises NotPermitted, NotAvailable."""
        with state.explained(self._directory):
            state.make_directory(self._directory)
        make_folder(self.log)

    def read(self, index: int, deadline: float) -> bytes:
        """Return an RTMR's value, 48 bytes."""
        return _value(self._directory, REGISTERS[index])

    def extend(self, index: int, digest: bytes, deadline: float) -> None:
        """Extend an RTMR with a digest of 48 bytes, or leave it as it was."""
        left = max(0.0, deadline - time.monotonic())
        extend_register(self._directory, REGISTERS[index], digest, left)


def extend_register(directory: Path, name: str, digest: bytes, patience: float | None) -> bytes:
    """Extend the register of that name, and return its new value; `patience` as `state.locked`'s.

    Where it raises SimulatorError the register is as it was.
    """
    with state.locked(directory, patience):
        value = extend(_value(directory, name), [digest])
        registers = state.load_registers(directory) | {name: value}
        try:
            state.save_registers(directory, registers)
        except SimulatorError:
            # Once the new file has its name everybody sees it: what fails after that is no matter.
            if _value(directory, name) != value:
                raise
    return value


def _value(directory: Path, name: str) -> bytes:
    at_boot: bytes = getattr(DEFAULT_BODY, name)
    return state.load_registers(directory).get(name, at_boot)

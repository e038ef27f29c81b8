"""Which edition of Intel's TCB data a verification rests on, and the newest one seen so far.

Each TCB recovery raises `tcbEvaluationDataNumber` (Intel "SGX and TDX Provisioning Certification
Service API" version 4). Documents of two editions are in date at the same time, and the same
platform can be up to date by the older one and out of date by the newer one: so who supplies the
collateral could choose, but for those who remember.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """The numbers of TCB info and QE identity, which can differ, for one kind of platform.

    `root_key` is the key of the root that vouches for both (an uncompressed point).
    """

    fmspc: str
    tcb_info: int
    qe_identity: int
    root_key: bytes

    @property
    def lowest(self) -> int:
        """The number that a policy's floor is about."""
        return min(self.tcb_info, self.qe_identity)

    def __str__(self) -> str:
        """The numbers in words; both, where they differ."""
        if self.tcb_info == self.qe_identity:
            return f"evaluation {self.tcb_info}"
        return f"evaluation {self.tcb_info} (TCB info) and {self.qe_identity} (QE identity)"

    def to_dict(self) -> dict[str, str | int]:
        """The numbers for programs."""
        return {
            "fmspc": self.fmspc,
            "tcb_info": self.tcb_info,
            "qe_identity": self.qe_identity,
            "lowest": self.lowest,
        }


class HighestSeen:
    """Remembers the highest numbers of each kind of platform; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._highest: dict[tuple[bytes, str], tuple[int, int]] = {}

    def older(self, found: Evaluation) -> str | None:
        """How `found` is older than what was seen before, in words, or None; remembers it too."""
        now = found.tcb_info, found.qe_identity
        with self._lock:
            name = found.root_key, found.fmspc
            before = self._highest.get(name, now)
            self._highest[name] = max(before[0], now[0]), max(before[1], now[1])
        documents = zip(("TCB info", "QE identity"), before, now, strict=True)
        newer = [f"{what} of {seen} was seen" for what, seen, this in documents if this < seen]
        return f"{found}, where {' and '.join(newer)} before" if newer else None

"""The simulated TD: opens its state, keeps it fresh, and hands out quotes and collateral."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from ..errors import BadInput, Busy
from ..eventlog import REGISTER_SIZE, REGISTERS, extend
from ..quote import BODY_TD10, BODY_TD15, BODY_TD15EX, Body
from . import pki, state
from .collateral import BACKDATE, EVALUATION, LIFE, make_collateral
from .quoting import DEFAULT_BODY, make_quote
from .registers import extend_register
from .state import SimulatorError, State

log = logging.getLogger(__name__)

_BODY_TYPES = {4: (BODY_TD10,), 5: (BODY_TD10, BODY_TD15, BODY_TD15EX)}
"""Of a quote, by its version."""

FAULTS = {
    "busy": "another request is in the way: Busy is raised",
    "empty": "the quote is empty, as the kernel gives it when the quote service failed",
    "slow": "the quote takes SLOW_SECONDS",
    "stale": "the quote is one over other report data",
    "truncated": "the quote's second half is missing",
}
"""What `fault` can be, besides "none": what a kernel or a host can do to a quote."""

SLOW_SECONDS = 30.0
"""How long the kernel itself waits for the quote service."""


class Simulator:
    """A software TD. Get one with `Simulator.open`.

    Safe to use from many threads and processes at once on the same folder: all of them see
    one PKI and the same RTMRs. Every method may renew certificates and collateral, and raises
    SimulatorError where the folder does not allow it.

    `fault` is "none" or a key of FAULTS, and spoils every quote until it is set otherwise.
    """

    def __init__(
        self,
        directory: Path,
        clock: Callable[[], float],
        measurements: Mapping[str, bytes],
        current: State,
        *,
        fault: str = "none",
        sleep: Callable[[float], None] = time.sleep,
        patience: float | None = None,
    ) -> None:
        self.directory = directory
        self.fault = fault
        self._clock = clock
        self._own = dict(measurements)  # fields that this object alone has
        self._state = current
        self._sleep = sleep
        self._patience = patience

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        name: str = "SIMULATION",
        measurements: Mapping[str, bytes] | None = None,
        rng: pki.Rng = os.urandom,
        fault: str = "none",
        sleep: Callable[[float], None] = time.sleep,
        patience: float | None = None,
    ) -> Simulator:
        """The simulator that lives in `directory`, made there on first use.

        `name` ends the organisation in every certificate; tests choose another, so that
        theirs do not say SIMULATION. `measurements` replaces fields of the TD report by
        name, in bytes of the field's size, for this object only. `rng` makes the keys.
        `fault` is the attribute; `sleep` is what "slow" waits with. `patience` is how many
        seconds another process may hold the folder's lock; by default ten.

        Raises SimulatorError for a folder that cannot be used, BadInput for a bad argument.
        """
        if not (name.isascii() and name.isprintable() and 1 <= len(name) <= 32):
            raise BadInput("name must be 1 to 32 printable ASCII characters")
        if fault != "none" and fault not in FAULTS:
            raise BadInput(f"there is no fault {fault!r}; use none, {', '.join(FAULTS)}")
        own = measurements or {}
        _replace(DEFAULT_BODY, own)
        folder = Path(directory)
        current = _open_state(folder, name, clock(), lambda: pki.make_keys(rng), patience)
        return cls(folder, clock, own, current, fault=fault, sleep=sleep, patience=patience)

    @property
    def root_der(self) -> bytes:
        """The root certificate, DER; its key is the same for the life of the folder."""
        return self._state.certificates["root"].public_bytes(serialization.Encoding.DER)

    @property
    def root_pem(self) -> str:
        """The root certificate, PEM; also in `<directory>/root.pem`."""
        return pki.chain_pem(self._state.certificates["root"])

    def quote(
        self,
        report_data: bytes,
        *,
        version: int = 4,
        body_type: int | None = None,
        measurements: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """A signed quote over `report_data` (64 bytes).

        `version` is 4 or 5; `body_type` is 2 (TDX 1.0, the only one of version 4), 3 (TDX 1.5,
        the default of version 5) or 4 (the extended one). `measurements` as in `open`, for this
        quote only: of fields that the body type has not, nothing is seen.
        With a `fault` in force it is what that makes of it; "busy" raises Busy.
        """
        if len(report_data) != 64:
            raise BadInput(f"report_data has {len(report_data)} bytes: expected 64")
        if body_type is None:
            body_type = BODY_TD15 if version == 5 else BODY_TD10
        if body_type not in _BODY_TYPES.get(version, ()):
            raise BadInput(f"there is no version {version} quote with body type {body_type}")
        if self.fault == "busy":
            raise Busy(
                "the simulator is busy, as the fault asks for: lift it, or try again later.",
                errno=errno.EBUSY,
            )
        if self.fault == "slow":
            self._sleep(SLOW_SECONDS)
        if self.fault == "stale":
            report_data = bytes(byte ^ 0xFF for byte in report_data)
        fields = dict(measurements or {}) | {"report_data": report_data}
        current = self._fresh()
        quote = make_quote(
            current.keys, current.certificates, _replace(self._body(), fields), version, body_type
        )
        return {"empty": b"", "truncated": quote[: len(quote) // 2]}.get(self.fault, quote)

    def extend_rtmr(self, index: int, digest: bytes) -> bytes:
        """Extend RTMR0 to RTMR3 with a SHA-384 digest (48 bytes), and return its new value.

        Later quotes carry it, those of other processes on the folder too, as of one machine
        (`registers`). A log is not written: that is for `measure.record_event`. A register that
        `measurements` set in `open` belongs to this object and is extended for it alone. Raises
        BadInput, SimulatorError.
        """
        if not 0 <= index < len(REGISTERS):
            raise BadInput(f"there is no RTMR{index}: expected 0 to 3")
        if len(digest) != REGISTER_SIZE:
            raise BadInput(f"the digest has {len(digest)} bytes: expected {REGISTER_SIZE}")
        name = REGISTERS[index]
        if name not in self._own:
            return extend_register(self.directory, name, digest, self._patience)
        with state.locked(self.directory, self._patience):
            self._own[name] = extend(self._own[name], [digest])
            return self._own[name]

    def collateral(
        self,
        *,
        tcb_status: str = "UpToDate",
        advisory_ids: Sequence[str] = (),
        evaluation: int = EVALUATION,
    ) -> dict[str, str]:
        """Collateral for this TD's quotes, in the JSON form of dcap-qvl.

        The default is the one in `<directory>/collateral.json`; another status, advisory ids or
        another edition (tcbEvaluationDataNumber) make one for the caller alone.
        """
        current = self._fresh()
        usual = tcb_status == "UpToDate" and not advisory_ids and evaluation == EVALUATION
        if usual and not self._own:
            return dict(current.collateral)
        return make_collateral(
            current.keys,
            current.certificates,
            _replace(DEFAULT_BODY, self._own),
            self._clock(),
            tcb_status,
            advisory_ids,
            evaluation,
        )

    def _body(self) -> Body:
        """The TD report as it stands, without report data."""
        return _replace(DEFAULT_BODY, state.load_registers(self.directory) | self._own)

    def _fresh(self) -> State:
        """The state, renewed where it is due."""
        now = self._clock()
        if _is_due(self._state, now):
            try:
                self._state = _open_state(
                    # The same keys even where the folder was emptied under us.
                    self.directory,
                    self._state.name,
                    now,
                    lambda: self._state.keys,
                    self._patience,
                )
            except SimulatorError:
                # Renewal begins long before the end: a full disk may pass until then.
                if not _is_valid(self._state, now):
                    raise
        return self._state


def _replace(body: Body, measurements: Mapping[str, bytes]) -> Body:
    """`body` with the fields in `measurements`. Raises BadInput for a wrong name or size."""
    for field, value in measurements.items():
        old = getattr(body, field, None)
        if not isinstance(old, bytes):
            raise BadInput(f"the TD report has no field {field!r}")
        if len(value) != len(old):
            raise BadInput(f"{field} has {len(value)} bytes: expected {len(old)}")
    return dataclasses.replace(body, **measurements)


_ROOT_CHANGED = (
    "%s: an older version made this simulator; its certificates were made anew, the root's with "
    "the same key: give the new file to whoever keeps a copy of the old one"
)


def _open_state(
    directory: Path,
    name: str,
    now: float,
    make_keys: Callable[[], pki.Keys],
    patience: float | None,
) -> State:
    """The stored state, made or renewed and published as needed."""
    with state.locked(directory, patience):
        stored = state.load(directory)
        if stored is not None and stored.name != name:
            raise BadInput(
                f"{directory} holds a PKI named {stored.name!r}, not {name!r}; use another folder"
            )
        if stored is not None and not _is_due(stored, now):
            current = stored
        else:
            keys = stored.keys if stored else make_keys()
            current = _issue(name, keys, now, stored)
            state.save(directory, current)
            if stored is not None and stored.is_old:
                log.warning(_ROOT_CHANGED, directory / "root.pem")
        state.publish(directory, current)
        return current


def _issue(name: str, keys: pki.Keys, now: float, old: State | None) -> State:
    """Certificates and collateral for `keys` as of `now`; the old root stays while it is good.

    A root of an older format is not: relying parties that pin its key go on, others are told.
    """
    root = old.certificates["root"] if old and not old.is_old else None
    if root is not None and pki.needs_renewal(root, now):
        root = None
    certificates = pki.make_certificates(keys, name, now, root)
    collateral = make_collateral(keys, certificates, DEFAULT_BODY, now, "UpToDate", (), EVALUATION)
    return State(name, dict(keys), certificates, collateral, now)


def _is_due(current: State, now: float) -> bool:
    """Whether it is of an older format, or a part in its life's last third or not yet valid."""
    if current.is_old:
        return True
    age = now - current.collateral_issued
    if not -BACKDATE <= age <= LIFE * 2 / 3:
        return True
    return any(pki.needs_renewal(item, now) for item in current.certificates.values())


def _is_valid(current: State, now: float) -> bool:
    """Whether a relying party would still accept collateral and certificates."""
    return -BACKDATE <= now - current.collateral_issued <= LIFE and all(
        pki.is_valid(item, now) for item in current.certificates.values()
    )

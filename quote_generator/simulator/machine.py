"""The simulated TD: opens its state, keeps it fresh, and hands out quotes and collateral."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from ..errors import BadInput
from ..quote import BODY_TD10, BODY_TD15, Body
from . import pki, state
from .collateral import BACKDATE, LIFE, make_collateral
from .quoting import DEFAULT_BODY, make_quote
from .state import SimulatorError, State


class Simulator:
    """A software TD. Get one with `Simulator.open`.

    Safe to use from many threads and processes at once on the same folder: all of them see
    one PKI. Every method may renew certificates and collateral, and raises SimulatorError
    where the folder does not allow it.
    """

    def __init__(
        self, directory: Path, clock: Callable[[], float], body: Body, current: State
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._body = body
        self._state = current

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        name: str = "SIMULATION",
        measurements: Mapping[str, bytes] | None = None,
        rng: pki.Rng = os.urandom,
    ) -> Simulator:
        """The simulator that lives in `directory`, made there on first use.

        `name` begins the common name of every certificate; tests choose another, so that
        their root is not the simulator's. `measurements` replaces fields of the TD report by
        name, in bytes of the field's size, for this object only. `rng` makes the keys.

        Raises SimulatorError for a folder that cannot be used, BadInput for a bad argument.
        """
        if not (name.isascii() and name.isprintable() and 1 <= len(name) <= 32):
            raise BadInput("name must be 1 to 32 printable ASCII characters")
        body = _replace(DEFAULT_BODY, measurements or {})
        folder = Path(directory)
        current = _open_state(folder, name, clock(), lambda: pki.make_keys(rng))
        return cls(folder, clock, body, current)

    @property
    def root_der(self) -> bytes:
        """The root certificate, DER; the same for the life of the folder."""
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

        `version` is 4 or 5; `body_type` is 2 (TDX 1.0) or 3 (TDX 1.5, the default of version
        5 and not possible in version 4). `measurements` as in `open`, for this quote only.
        """
        if len(report_data) != 64:
            raise BadInput(f"report_data has {len(report_data)} bytes: expected 64")
        if body_type is None:
            body_type = BODY_TD15 if version == 5 else BODY_TD10
        if (version, body_type) not in ((4, BODY_TD10), (5, BODY_TD10), (5, BODY_TD15)):
            raise BadInput(f"there is no version {version} quote with body type {body_type}")
        fields = dict(measurements or {}) | {"report_data": report_data}
        current = self._fresh()
        return make_quote(
            current.keys, current.certificates, _replace(self._body, fields), version, body_type
        )

    def collateral(
        self, *, tcb_status: str = "UpToDate", advisory_ids: Sequence[str] = ()
    ) -> dict[str, str]:
        """Collateral for this TD's quotes, in the JSON form of dcap-qvl.

        The default is the one in `<directory>/collateral.json`; another status or advisory
        ids make one for the caller alone.
        """
        current = self._fresh()
        if tcb_status == "UpToDate" and not advisory_ids and self._body == DEFAULT_BODY:
            return dict(current.collateral)
        return make_collateral(
            current.keys,
            current.certificates,
            self._body,
            self._clock(),
            tcb_status,
            advisory_ids,
        )

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


def _open_state(directory: Path, name: str, now: float, make_keys: Callable[[], pki.Keys]) -> State:
    """The stored state, made or renewed and published as needed."""
    with state.locked(directory):
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
        state.publish(directory, current)
        return current


def _issue(name: str, keys: pki.Keys, now: float, old: State | None) -> State:
    """Certificates and collateral for `keys` as of `now`; the old root stays while it is good."""
    root = old.certificates["root"] if old else None
    if root is not None and pki.needs_renewal(root, now):
        root = None
    certificates = pki.make_certificates(keys, name, now, root)
    collateral = make_collateral(keys, certificates, DEFAULT_BODY, now, "UpToDate", ())
    return State(name, dict(keys), certificates, collateral, now)


def _is_due(current: State, now: float) -> bool:
    """Whether collateral or a certificate is in the last third of its life, or not yet valid."""
    age = now - current.collateral_issued
    if not -BACKDATE <= age <= LIFE * 2 / 3:
        return True
    return any(pki.needs_renewal(item, now) for item in current.certificates.values())


def _is_valid(current: State, now: float) -> bool:
    """Whether a relying party would still accept collateral and certificates."""
    return -BACKDATE <= now - current.collateral_issued <= LIFE and all(
        pki.is_valid(item, now) for item in current.certificates.values()
    )

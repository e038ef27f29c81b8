"""The simulator's memory on disk: one private file, replaced as a whole, under a lock."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from filelock import FileLock, Timeout

from ..atomic_file import remove_leftovers, write_atomic
from ..errors import QuoteGeneratorError
from ..eventlog import REGISTER_SIZE, REGISTERS
from . import pki

FORMAT = 2
"""Of the state. In format 1 certificates had names of their own, and no distribution points."""

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process; it holds the lock for milliseconds."""

_STATE = "state.json"
_BOOT = "boot"
_REGISTERS = "registers.json"
_LOG = "eventlog"
_LOCK = "lock"


class SimulatorError(QuoteGeneratorError):
    """SimulatorError: the simulator's folder cannot be read, written or understood."""

    code = "simulator-state"


@dataclass(frozen=True)
class State:
    """Everything that outlives a process."""

    name: str
    keys: dict[str, ec.EllipticCurvePrivateKey]
    certificates: dict[str, x509.Certificate]
    collateral: dict[str, str]
    collateral_issued: float
    format: int = FORMAT

    @property
    def is_old(self) -> bool:
        """Whether an older version made it: then all but its keys is to be made anew."""
        return self.format != FORMAT


@contextlib.contextmanager
def locked(directory: Path, patience: float | None = None) -> Iterator[None]:
    """Make `directory` (0700) where missing, and hold its lock.

    Raises SimulatorError when that is not possible, or not within `patience` seconds (default
    LOCK_TIMEOUT).
    """
    seconds = LOCK_TIMEOUT if patience is None else min(patience, LOCK_TIMEOUT)
    with explained(directory):
        make_directory(directory)
        lock = FileLock(directory / _LOCK, timeout=seconds, mode=0o600)
        try:
            lock.acquire()
        except Timeout as error:
            raise SimulatorError(
                f"{directory / _LOCK} is held by another process; end it, or set "
                "QUOTE_GENERATOR_SIMULATOR_DIR to another folder",
                path=str(directory / _LOCK),
            ) from error
    try:
        yield
    finally:
        lock.release()


def make_directory(directory: Path) -> None:
    """Make a folder of the simulator's (0700) where it is missing. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def load(directory: Path) -> State | None:
    """The stored state, or None where there is none yet. Raises SimulatorError."""
    path = directory / _STATE
    with explained(path):
        try:
            text = path.read_text("ascii")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise _damaged(path) from error
    try:
        return _decode(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def save(directory: Path, state: State) -> None:
    """Replace the stored state; call it with the lock held. Raises SimulatorError."""
    with explained(directory):
        remove_leftovers(directory)
        text = json.dumps(_encode(state))
        write_atomic(directory / _STATE, text.encode("ascii"), mode=0o600)


def publish(directory: Path, state: State) -> None:
    """Write what relying parties read, where it differs: `root.pem` and `collateral.json`."""
    files = {
        "root.pem": pki.chain_pem(state.certificates["root"]),
        "collateral.json": json.dumps(state.collateral, indent=1) + "\n",
    }
    with explained(directory):
        for name, text in files.items():
            path = directory / name
            if not path.exists() or path.read_bytes() != text.encode("ascii"):
                write_atomic(path, text.encode("ascii"), mode=0o644)


def load_registers(directory: Path) -> dict[str, bytes]:
    """The RTMRs that were extended since the TD's start, by name. Raises SimulatorError."""
    path = directory / _BOOT / _REGISTERS
    with explained(path):
        try:
            text = path.read_text("ascii")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as error:
            raise _damaged(path) from error
    try:
        registers = {name: bytes.fromhex(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if registers.keys() - set(REGISTERS) or {len(v) for v in registers.values()} - {REGISTER_SIZE}:
        raise _damaged(path)
    return registers


def save_registers(directory: Path, registers: dict[str, bytes]) -> None:
    """Replace the extended RTMRs; call it with the lock held. Raises SimulatorError."""
    text = json.dumps({name: value.hex() for name, value in registers.items()})
    boot = directory / _BOOT
    with explained(boot):
        make_directory(boot)
        remove_leftovers(boot)
        write_atomic(boot / _REGISTERS, text.encode("ascii"), mode=0o600)


def log_path(directory: Path) -> Path:
    """Where the application's log of the TD lies that lives in `directory`."""
    return directory / _BOOT / _LOG


def _encode(state: State) -> dict[str, object]:
    return {
        "format": state.format,
        "name": state.name,
        "keys": {
            name: key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode("ascii")
            for name, key in state.keys.items()
        },
        "certificates": {
            name: pki.chain_pem(certificate) for name, certificate in state.certificates.items()
        },
        "collateral": state.collateral,
        "collateral_issued": state.collateral_issued,
    }


def _decode(stored: dict[str, object]) -> State:
    """The state in `stored`; ValueError, KeyError or TypeError where it is not one."""
    made_as = stored["format"]
    if not isinstance(made_as, int) or not 1 <= made_as <= FORMAT:
        raise ValueError("unknown format")
    keys = {
        name: serialization.load_pem_private_key(_texts(stored, "keys")[name].encode(), None)
        for name in pki.KEY_NAMES
    }
    certificates = {
        name: x509.load_pem_x509_certificate(text.encode())
        for name, text in _texts(stored, "certificates").items()
    }
    if {"root", "platform", "pck", "tcb"} - certificates.keys():
        raise ValueError("a certificate is missing")
    issued = stored["collateral_issued"]
    if not isinstance(issued, int | float):
        raise TypeError("collateral_issued is not a number")
    return State(
        name=str(stored["name"]),
        keys={
            name: key for name, key in keys.items() if isinstance(key, ec.EllipticCurvePrivateKey)
        },
        certificates=certificates,
        collateral=_texts(stored, "collateral"),
        collateral_issued=issued,
        format=made_as,
    )


def _texts(stored: dict[str, object], key: str) -> dict[str, str]:
    """The JSON object under `key`, all of whose values must be strings."""
    value = stored[key]
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError(f"{key} is not an object of strings")
    return value


def _damaged(path: Path) -> SimulatorError:
    return SimulatorError(
        f"{path} is not a simulator state of this version; remove its folder, and the next "
        "start makes a new root",
        path=str(path),
    )


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tell an OSError that concerns a `path` as SimulatorError."""
    try:
        yield
    except OSError as error:
        raise SimulatorError(
            f"the simulator cannot use {path}: {error.strerror or error}; free or permit it, or "
            "set QUOTE_GENERATOR_SIMULATOR_DIR to another folder",
            errno=error.errno,
            path=str(path),
        ) from error

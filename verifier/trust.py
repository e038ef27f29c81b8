"""Where a verifier's root and collateral come from, read anew for each use.

Collateral runs out and is replaced under a running service, so nothing here is remembered
longer than one appraisal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quote_generator.errors import QuoteGeneratorError

from . import strictjson
from .appraisal import Trust
from .certificates import UNREADABLE, read_pem, root_key
from .problems import Problem

TrustSource = Callable[[], Trust]

INTEL = "intel"
MAX_FILE = 4 << 20


class TrustError(Problem):
    """TrustError: root or collateral cannot be read; the message says which and why."""

    def __init__(self, message: str) -> None:
        super().__init__("trust-unusable", message)


def from_files(root: str, collateral: Path) -> TrustSource:
    """Trust in Intel's root (`root` is "intel") or in a certificate file, PEM or DER."""

    def source() -> Trust:
        root_der = None if root == INTEL else read_root(Path(root))
        return Trust(root_der, _read_collateral(collateral))

    return source


def from_simulator(directory: Path, *, must_exist: bool = False) -> TrustSource:
    """Trust in the simulator that lives in `directory`, with collateral that it renews.

    Where there is none yet it is made there; with `must_exist` that is a TrustError, as trust
    in a root that nobody uses is a mistake in the path.
    """
    from quote_generator.simulator import Simulator, state  # with all that makes a PKI

    try:
        if must_exist and state.load(directory) is None:
            raise TrustError(f"{directory} holds no simulator; give the folder of the one to trust")
        simulator = Simulator.open(directory)
    except QuoteGeneratorError as error:
        raise TrustError(str(error)) from error

    def source() -> Trust:
        try:
            return Trust(simulator.root_der, simulator.collateral())
        except QuoteGeneratorError as error:
            raise TrustError(str(error)) from error

    return source


def read_root(path: Path) -> bytes:
    """The DER of a file with one root certificate, PEM or DER, and nothing else.

    Raises TrustError, also for a certificate that no verifier could hold a quote against.
    """
    data = _read(path)
    try:
        [root] = read_pem(data.decode("ascii")) if b"-----BEGIN" in data else [data]
        root_key(root)
    except UNREADABLE as error:
        raise TrustError(f"{path} is not a certificate in PEM or DER of a root") from error
    return root


def _read_collateral(path: Path) -> dict[str, str]:
    try:
        fields = strictjson.loads(_read(path))
    except ValueError as error:
        raise TrustError(f"{path} is not JSON") from error
    if not isinstance(fields, dict):
        raise TrustError(f"{path} does not hold a JSON object of collateral")
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise TrustError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE:
        raise TrustError(f"{path} is larger than {MAX_FILE} bytes")
    return data

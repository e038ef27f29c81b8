"""What a judgement of a platform rests on, once everything that is signed holds."""

from __future__ import annotations

from dataclasses import dataclass

from .evaluations import Evaluation
from .pck import Flags


@dataclass(frozen=True)
class Lasting:
    """One thing that counts for a time: when it ends, and its last second."""

    what: str
    end: float
    last: float


@dataclass(frozen=True)
class Grounds:
    """The collateral of a judgement, and what the PCK certificate says besides.

    `evaluation` says which edition of Intel's documents was used, and under which root key.
    `expires` is when the first certificate, list or document in use ends, in seconds since 1970;
    `ended` is what has ended already and counts by the policy's grace, whose end is meant then.
    `flags` are None where the PCK certificate does not have them. The CRL numbers are those of the
    revocation lists in use (RFC 5280, section 5.2.3).
    """

    evaluation: Evaluation
    expires: float
    ended: tuple[Lasting, ...] = ()
    flags: Flags | None = None
    pck_crl_number: int | None = None
    root_crl_number: int | None = None

"""What the quoting enclave signed, and which enclave it is: checks 6 to 9.

Layout of its report: "Intel SGX Enclave Report", 384 bytes (Intel 64 and IA-32 Architectures
Software Developer's Manual, volume 3D, REPORT). Signatures are ECDSA over P-256 with SHA-256, as
raw r || s; keys are uncompressed points.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from quote_generator.quote import Signature

from .certificates import public_key
from .documents import QeIdentity

_REPORT = struct.Struct("<16sI28s16s32s32s32s96sHH60s64s")
_DEBUG = 0x02
"""Bit of the first byte of ATTRIBUTES."""


@dataclass(frozen=True)
class QeReport:
    """What counts of the quoting enclave's report."""

    misc_select: int
    attributes: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    report_data: bytes


def is_signed(data: bytes, signature: bytes, key: bytes) -> bool:
    """Whether `signature` (64 bytes) is one of `data` by the key. Raises ValueError for no key."""
    public = public_key(key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def holds(data: bytes, signature: bytes, key: bytes) -> bool:
    """The same for input of any size, and for what is no key."""
    try:
        return len(signature) == 64 and is_signed(data, signature, key)
    except ValueError:  # no point of the curve
        return False


def read_report(data: bytes) -> QeReport:
    """The enclave report in 384 bytes."""
    _, misc, _, attributes, _, _, signer, _, product, svn, _, report_data = _REPORT.unpack(data)
    return QeReport(misc, attributes, signer, product, svn, report_data)


def vouches_for_key(signature: Signature, report: QeReport) -> bool:
    """Whether the report is over the attestation key, and over nothing else."""
    bound = hashlib.sha256(signature.attestation_key + signature.qe_auth_data).digest()
    return report.report_data == bound + bytes(32)


def is_debug(report: QeReport) -> bool:
    """Whether somebody could have read the enclave's keys."""
    return bool(report.attributes[0] & _DEBUG)


def is_the_one(report: QeReport, expected: QeIdentity) -> bool:
    """Whether it is the enclave that the QE identity describes, whatever its version.

    As in Intel's library the identity's own bits are not masked: it has none that do not count.
    """
    identity = expected.identity
    return (
        report.mr_signer == identity.mrsigner
        and report.isv_prod_id == expected.prod_id
        and report.misc_select & expected.misc_select_mask == expected.misc_select
        and _masked(report.attributes, identity.attributes_mask) == identity.attributes
    )


def _masked(value: bytes, mask: bytes) -> bytes:
    """The bits of `value` that are in `mask`, of the same size."""
    return bytes(a & b for a, b in zip(value, mask, strict=True))

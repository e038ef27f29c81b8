"""The simulated quoting enclave: assembles and signs quotes.

Layouts as in `quote_generator.quote`. The enclave report is "Intel SGX Enclave Report", 384
bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3D, REPORT).
"""

from __future__ import annotations

import hashlib
import struct

from ..quote import (
    BODY_SIZES,
    CERTIFICATION_PCK_CHAIN,
    CERTIFICATION_QE_REPORT,
    INTEL_QE_VENDOR_ID,
    KEY_TYPE_ECDSA_P256,
    TEE_TYPE_TDX,
    Body,
)
from . import pki
from .collateral import QE_ATTRIBUTES, QE_MRSIGNER, QE_PRODUCT, QE_SVN

DEFAULT_BODY = Body(
    tee_tcb_svn=bytes([5, 1, 2]) + bytes(13),
    mr_seam=b"\x5e" * 48,
    # Intel's own module has zeros here, and a quote with anything else is refused by everyone.
    mrsigner_seam=bytes(48),
    seam_attributes=bytes(8),
    td_attributes=bytes.fromhex("0000001000000000"),  # SEPT_VE_DISABLE alone
    xfam=bytes.fromhex("e702060000000000"),
    mr_td=b"\x7d" * 48,
    mr_config_id=b"\xc1" * 48,
    mr_owner=b"\x0e" * 48,
    mr_owner_config=b"\x0c" * 48,
    rtmr_0=b"\xa0" * 48,
    rtmr_1=b"\xa1" * 48,
    rtmr_2=b"\xa2" * 48,
    # As at every TD's start: a log of events leads there from zeros, and from nowhere else.
    rtmr_3=bytes(48),
    report_data=bytes(64),
    tee_tcb_svn2=bytes([5, 1, 2]) + bytes(13),
    # Not zero would mean that a migration TD is bound; verifiers refuse that by default.
    mr_servicetd=bytes(48),
    # Not zero: a nested guest would have asked, and that is refused by default too.
    vmid=bytes(1),
    td_id=b"\x1d" * 32,
    devinfo=b"\xde" * 48,
    init_server_td_hash=bytes(48),
    init_server_td_attr=bytes(8),
    init_cpu_svn=pki.CPU_SVN,
    init_tee_tcb_svn=bytes([5, 1, 2]) + bytes(13),
    init_tee_fmspc=b"\xf5" * 12,
    curr_server_td_hash=bytes(48),
    curr_server_td_attr=bytes(8),
)
"""A TD that nobody takes for a real one: every measurement but RTMR3 repeats one telling byte."""

_QE_AUTH_DATA = bytes(range(32))
_QE_MRENCLAVE = b"\x9e" * 32


def make_quote(
    keys: pki.Keys, certificates: pki.Certificates, body: Body, version: int, body_type: int
) -> bytes:
    """A signed quote over `body`, of which the fields that `body_type` lacks are left out."""
    packed = body.pack()[: BODY_SIZES[body_type]]
    header = struct.pack(
        "<HHI4s16s20s",
        version,
        KEY_TYPE_ECDSA_P256,
        TEE_TYPE_TDX,
        bytes(4),
        INTEL_QE_VENDOR_ID,
        bytes(20),
    )
    descriptor = struct.pack("<HI", body_type, len(packed)) if version == 5 else b""
    signed = header + descriptor + packed

    attestation_key = pki.public_raw(keys["attestation"])
    qe_report = _qe_report(attestation_key)
    chain = pki.chain_pem(*(certificates[name] for name in ("pck", "platform", "root"))).encode()
    certification = (
        qe_report
        + pki.sign_raw(keys["pck"], qe_report)
        + struct.pack("<H", len(_QE_AUTH_DATA))
        + _QE_AUTH_DATA
        + struct.pack("<HI", CERTIFICATION_PCK_CHAIN, len(chain))
        + chain
    )
    signature_data = (
        pki.sign_raw(keys["attestation"], signed)
        + attestation_key
        + struct.pack("<HI", CERTIFICATION_QE_REPORT, len(certification))
        + certification
    )
    return signed + struct.pack("<I", len(signature_data)) + signature_data


def _qe_report(attestation_key: bytes) -> bytes:
    """The enclave report by which the QE vouches for its attestation key."""
    binding = hashlib.sha256(attestation_key + _QE_AUTH_DATA).digest()
    return b"".join(
        (
            pki.CPU_SVN,
            bytes(4 + 28),  # MISCSELECT, reserved
            QE_ATTRIBUTES,
            _QE_MRENCLAVE,
            bytes(32),
            QE_MRSIGNER,
            bytes(96),
            struct.pack("<HH", QE_PRODUCT, QE_SVN),
            bytes(60),
            binding,
            bytes(32),
        )
    )

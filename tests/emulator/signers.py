"""What makes the emulator's quotes: report data in, quote out."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

Signer = Callable[[bytes], bytes]

# (version, body type) by the name that the command line uses.
FORMS = {"v4": (4, 2), "v5": (5, 2), "v5-td15": (5, 3)}

_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")


def minimal(form: str = "v4") -> Signer:
    """Return a signer whose quotes have the right form, and junk for signatures and certificates.

    Enough for the attester, which verifies no signature, and free of any dependency.
    """
    version, body_type = FORMS[form]

    def sign(report_data: bytes) -> bytes:
        header = (
            version.to_bytes(2, "little")
            + (2).to_bytes(2, "little")  # ECDSA-256 with P-256
            + (0x81).to_bytes(4, "little")  # TDX
            + bytes(4)
            + _VENDOR
            + bytes(20)
        )
        body = bytes(520) + report_data + bytes(64 if body_type == 3 else 0)
        descriptor = b""
        if version == 5:
            descriptor = body_type.to_bytes(2, "little") + len(body).to_bytes(4, "little")
        signature = _junk_signature(report_data)
        return header + descriptor + body + len(signature).to_bytes(4, "little") + signature

    return sign


def _junk_signature(report_data: bytes) -> bytes:
    """Return signature data: signature, key, and as certification data a QE report with its own."""
    junk = hashlib.shake_256(report_data).digest(4338)
    chain = junk[596:]
    certification = junk[134:582] + struct.pack("<HHI", 0, 5, len(chain)) + chain
    return junk[:128] + struct.pack("<HI", 6, len(certification)) + certification


def simulator(directory: str, prefix: str, form: str = "v4") -> Signer:
    """Return a signer that verifiers accept under the root in ``directory``."""
    from quote_generator.simulator import Simulator

    machine = Simulator.open(directory, name=prefix)
    version, body_type = FORMS[form]

    def sign(report_data: bytes) -> bytes:
        return machine.quote(report_data, version=version, body_type=body_type)

    return sign

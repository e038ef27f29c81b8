"""What people compare of a TLS certificate: its fingerprint, and whether it vouches for itself."""

from __future__ import annotations

import hashlib
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate (DER) in the form of browsers: "0A:1B:..."."""
    return hashlib.sha256(der).digest().hex(":").upper()


def parse_fingerprint(text: str) -> str | None:
    """Return a SHA-256 fingerprint as `fingerprint` writes it; None where this is none.

    Upper or lower case, with colons or blanks between the bytes or without, as tools print them.
    """
    digits = re.sub(r"[: ]", "", text)
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        return None
    return bytes.fromhex(digits).hex(":").upper()


def is_self_signed(der: bytes) -> bool:
    """Whether its own key signed this certificate (DER); False where it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True

"""The heart of verification: a quote, collateral, a root and a time in, a verdict out.

No network, no clock, no files: the service and the command line both stand on this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dcap_qvl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509.oid import NameOID

from quote_generator.errors import BadInput
from quote_generator.quote import INTEL_QE_VENDOR_ID, Quote, parse_quote

SIMULATION = "SIMULATION"
"""What the common name of a simulator's root contains."""

INTEL_ROOT_NAME = "Intel SGX Root CA"


class Rejected(Exception):  # noqa: N818 - named for the verdict
    """Rejected: the evidence did not pass.

    `check` is the id of the check that failed (docs/evidence.md), `code` the stable reason
    within it, and the message says what that means.
    """

    def __init__(self, check: str, code: str, message: str) -> None:
        super().__init__(message)
        self.check = check
        self.code = code


@dataclass(frozen=True)
class Trust:
    """What a quote is held against.

    `root_der` is the root certificate, or None for Intel's; `collateral` has the JSON form of
    dcap-qvl (PEM chains and JSON as text, lists and signatures in hex).
    """

    root_der: bytes | None
    collateral: Mapping[str, str]

    @property
    def root_name(self) -> str:
        """The root's common name."""
        if self.root_der is None:
            return INTEL_ROOT_NAME
        subject = x509.load_der_x509_certificate(self.root_der).subject
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else subject.rfc4514_string()


@dataclass(frozen=True)
class Verdict:
    """A quote that holds, and the state of the platform that made it.

    `tcb_status` is one of Intel's names (UpToDate, SWHardeningNeeded, OutOfDate, ...): whether
    that is good enough is the caller's policy. Revoked never gets here.
    """

    quote: Quote
    tcb_status: str
    advisory_ids: tuple[str, ...]
    root_name: str

    @property
    def simulated(self) -> bool:
        """Whether a simulator's root vouches for it, not hardware."""
        return SIMULATION in self.root_name


def appraise(raw_quote: bytes, trust: Trust, now: float) -> Verdict:
    """Verify a quote up to the root as of `now` (seconds since 1970).

    Raises Rejected, whose `check` is one of evidence-format, quote-signature, collateral,
    tcb-status and td-attributes.
    """
    try:
        # Stricter than dcap-qvl, which accepts bytes after the quote's end.
        quote = parse_quote(raw_quote)
    except BadInput as error:
        raise Rejected("evidence-format", "quote-malformed", f"not a TDX quote: {error}") from error
    if quote.header.vendor_id != INTEL_QE_VENDOR_ID:
        raise Rejected(
            "evidence-format",
            "vendor-unknown",
            f"vendor_id is {quote.header.vendor_id.hex()}: not Intel's quoting enclave",
        )
    collateral = _collateral(trust.collateral)
    try:
        if trust.root_der is None:
            report = dcap_qvl.verify(raw_quote, collateral, int(now))
        else:
            report = dcap_qvl.verify_with_root_ca(raw_quote, collateral, trust.root_der, int(now))
    except ValueError as error:
        raise _explain(str(error)) from error
    return Verdict(quote, str(report.status), tuple(report.advisory_ids), trust.root_name)


def _collateral(fields: Mapping[str, str]) -> Any:
    # A chain beside the quote would be used instead of the one inside it.
    own = {name: value for name, value in fields.items() if name != "pck_certificate_chain"}
    try:
        return dcap_qvl.QuoteCollateralV3.from_json(json.dumps(own))
    except (ValueError, TypeError) as error:
        raise Rejected(
            "collateral", "collateral-malformed", f"the collateral cannot be read: {error}"
        ) from error


_CODES = (
    # What dcap-qvl 0.7.0 says, as a pattern, and our code; the first one found counts.
    ("QE report validation failed", "qe-debug"),
    ("Debug mode is enabled", "debug"),
    ("SEPT_VE_DISABLE", "sept-ve"),
    ("Reserved bits in TD attr", "reserved"),
    ("MR service TD", "service-td"),
    ("CertRevoked", "revoked"),
    ("CrlExpired", "crl-expired"),
    ("CRL|InvalidCrl", "crl-invalid"),
    ("(TCBInfo|QE Identity) expired", "collateral-expired"),
    ("is in the future", "collateral-early"),
    ("invalid for tcb_info", "tcb-info-forged"),
    ("invalid for qe_identity", "qe-identity-forged"),
    ("Fmspc mismatch|TCB info in the coll|Unsupported QE Identity", "other-platform"),
    ("TcbInfo|QeIdentity|TCB Info|QE Identity (leaf|issue|next)|for QE I", "collateral-malformed"),
    ("QE report hash", "attestation-key"),
    ("invalid for qe_report", "qe-report-forged"),
    ("ISV enclave report", "quote-forged"),
    ("QE (MRSIGNER|ISV|MISC|ATTR)", "qe-unknown"),
    ("verify certificate chain|CertExpired|UnknownIssuer", "chain"),
    ("PCK|Certificate chain is|Intel extension|Fmspc|CpuSvn|PceSvn", "pck-malformed"),
    ("Revoked", "tcb-revoked"),
    ("No matching TCB level", "tcb-unknown"),
    ("TDX module", "tdx-module"),
    ("decode quote|Unsupported|Unknown QE", "quote-malformed"),
)

_MEANINGS = {
    # code: (check, what it means)
    "qe-debug": ("quote-signature", "the quoting enclave is a debug enclave"),
    "debug": ("td-attributes", "the TD runs in debug mode: the host can read its memory"),
    "sept-ve": ("td-attributes", "the TD leaves SEPT_VE_DISABLE off"),
    "reserved": ("td-attributes", "reserved bits of the TD attributes are set"),
    "service-td": ("td-attributes", "a service TD is bound to this TD"),
    "revoked": ("collateral", "a certificate was revoked"),
    "crl-expired": ("collateral", "a revocation list is out of date"),
    "crl-invalid": ("collateral", "a revocation list is not signed under this root"),
    "collateral-expired": ("collateral", "the collateral is out of date"),
    "collateral-early": ("collateral", "the collateral is not valid yet"),
    "tcb-info-forged": ("collateral", "the TCB info's signature is wrong"),
    "qe-identity-forged": ("collateral", "the QE identity's signature is wrong"),
    "other-platform": ("collateral", "the collateral is for another kind of platform"),
    "collateral-malformed": ("collateral", "the collateral cannot be read"),
    "attestation-key": ("quote-signature", "the quoting enclave does not vouch for the key"),
    "qe-report-forged": ("quote-signature", "the QE report's signature is wrong"),
    "quote-forged": ("quote-signature", "the quote's signature is wrong"),
    "qe-unknown": ("quote-signature", "the quoting enclave is not Intel's, or too old"),
    "chain": ("quote-signature", "a certificate chain does not lead to the root as of now"),
    "pck-malformed": ("quote-signature", "the PCK certificate cannot be used"),
    "tcb-revoked": ("tcb-status", "the platform's TCB is revoked"),
    "tcb-unknown": ("tcb-status", "the platform's TCB is older than any that is known"),
    "tdx-module": ("tcb-status", "the TDX module is unknown or too old"),
    "quote-malformed": ("evidence-format", "not a TDX quote"),
    "quote-rejected": ("quote-signature", "the quote does not verify"),
}


def _explain(text: str) -> Rejected:
    """Our words and codes for an error text of dcap-qvl."""
    found = (code for pattern, code in _CODES if re.search(pattern, text))
    code = next(found, "quote-rejected")
    check, meaning = _MEANINGS[code]
    detail = " ".join(text.removeprefix("Verification failed: ").split())
    return Rejected(check, code, f"{meaning} ({detail})")

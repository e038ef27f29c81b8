"""Why evidence was refused: stable reasons, each within one check.

The page has the same words (web/src/dcap/); docs/verification.md lists them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from . import certificates, documents
from .grounds import Grounds


class Rejected(Exception):  # noqa: N818 - named for the verdict
    """Rejected: the evidence did not pass.

    `check` is the id of the check that failed (docs/evidence.md), `code` the stable reason
    within it, and the message says what that means. `grounds` are there where all that is signed
    held, and what it says of the platform was the reason.
    """

    def __init__(self, check: str, code: str, message: str) -> None:
        super().__init__(message)
        self.check = check
        self.code = code
        self.grounds: Grounds | None = None


MEANINGS = {
    # code: (check, what it means)
    "qe-debug": ("quote-signature", "the quoting enclave is a debug enclave"),
    "debug": ("td-attributes", "the TD runs in debug mode: the host can read its memory"),
    "sept-ve": ("td-attributes", "the TD leaves SEPT_VE_DISABLE off"),
    "reserved": ("td-attributes", "reserved bits of the TD attributes are set"),
    "attributes-refused": ("td-attributes", "the policy refuses an attribute of the TD"),
    "xfam": ("td-attributes", "the TD's XFAM has bits that no TD can have, or lacks some"),
    "values-masked": ("td-attributes", "bits of the TD are not those that the policy wants"),
    "nested-guest": ("td-attributes", "a guest inside the TD asked for the quote, not the TD"),
    "service-td-attributes": (
        "td-attributes",
        "a service TD that nobody named was or is bound, by its attributes",
    ),
    "service-td": ("td-attributes", "a service TD that nobody named is bound to this TD"),
    "service-td-unknown": ("td-attributes", "a quote of this kind does not name service TDs"),
    "revoked": ("collateral", "a certificate was revoked"),
    "crl-expired": ("collateral", "a revocation list is out of date"),
    "crl-invalid": ("collateral", "a revocation list is not signed under this root"),
    "signer-chain": ("collateral", "the signer's chain does not lead to the root as of now"),
    "collateral-expired": ("collateral", "the collateral is out of date"),
    "collateral-early": ("collateral", "the collateral is not valid yet"),
    "tcb-info-forged": ("collateral", "the TCB info's signature is wrong"),
    "qe-identity-forged": ("collateral", "the QE identity's signature is wrong"),
    "other-platform": ("collateral", "the collateral is for another kind of platform"),
    "collateral-malformed": ("collateral", "the collateral cannot be read"),
    "attestation-key": ("quote-signature", "the quoting enclave does not vouch for the key"),
    "qe-report-forged": ("quote-signature", "the QE report's signature is wrong"),
    "quote-forged": ("quote-signature", "the quote's signature is wrong"),
    "qe-unknown": ("quote-signature", "the quoting enclave is not Intel's"),
    "chain": ("quote-signature", "the PCK chain does not lead to the root as of now"),
    "pck-malformed": ("quote-signature", "the PCK certificate cannot be used"),
    "tcb-revoked": ("tcb-status", "the platform's TCB is revoked"),
    "tcb-unknown": ("tcb-status", "the platform's TCB is older than any that is known"),
    "tdx-module": ("tcb-status", "the TDX module is unknown or too old"),
    "quote-malformed": ("evidence-format", "not a TDX quote"),
    "vendor-unknown": ("evidence-format", "the quote is not of Intel's quoting enclave"),
    "quote-rejected": ("quote-signature", "the second verifier, dcap-qvl, says otherwise"),
}


def rejected(code: str, detail: str = "") -> Rejected:
    """The refusal for a reason, with what it is about."""
    check, meaning = MEANINGS[code]
    return Rejected(check, code, f"{meaning} ({detail})" if detail else meaning)


@contextlib.contextmanager
def rejecting(code: str) -> Iterator[None]:
    """Turn what reading and checking raises into Rejected.

    `code` is for what has none of its own. Lists and documents that are not in date have one; a
    chain that is not in date is a chain that does not lead to the root.
    """
    try:
        yield
    except certificates.UNREADABLE as error:
        raise rejected(_CODES_OF_ERRORS.get((code, type(error)), code), str(error)) from error


_CODES_OF_ERRORS: dict[tuple[str, type[Exception]], str] = {
    ("crl-invalid", certificates.Late): "crl-expired",
    ("crl-invalid", certificates.Early): "collateral-early",
    ("crl-invalid", certificates.Revoked): "revoked",
    ("collateral-malformed", certificates.Late): "collateral-expired",
    ("collateral-malformed", certificates.Early): "collateral-early",
    ("collateral-malformed", documents.OtherKind): "other-platform",
}

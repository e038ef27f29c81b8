"""What a quote is signed with: checks 2 and 6 to 9, from the pinned root down to its body."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from quote_generator.quote import Quote

from . import certificates, enclave
from .certificates import PCK_CHAIN
from .documents import QeIdentity
from .held import Chain, Terms
from .pck import Platform, platform_of
from .rejections import rejected, rejecting


@dataclass(frozen=True)
class Pck:
    """A PCK chain that leads to the root, and the platform that its leaf is about."""

    chain: Chain
    platform: Platform


def check_pck(quote: Quote, terms: Terms, known_root: x509.Certificate) -> Pck:
    """The PCK chain in a quote: stops quotes of anybody who has a P-256 key. Raises Rejected.

    `known_root` is the root of collateral that holds.
    """
    with rejecting("chain"):
        chain = certificates.read_chain(quote.signature.pck_chain_pem, PCK_CHAIN)
        certificates.check_path(chain, terms.root_key, terms.now, known_root=known_root)
    with rejecting("pck-malformed"):
        return Pck(chain, platform_of(chain[0]))


def check_signatures(quote: Quote, pck: Pck, identity: QeIdentity) -> enclave.QeReport:
    """PCK -> QE report -> attestation key -> quote. Raises Rejected (quote-signature)."""
    signature = quote.signature
    report = enclave.read_report(signature.qe_report)
    pck_key = certificates.point(pck.chain[0])
    if not enclave.holds(signature.qe_report, signature.qe_report_signature, pck_key):
        raise rejected("qe-report-forged", "ECDSA")
    if not enclave.vouches_for_key(signature, report):
        raise rejected("attestation-key", "report data of the QE")
    if enclave.is_debug(report):
        raise rejected("qe-debug", report.attributes.hex())
    if not enclave.is_the_one(report, identity):
        raise rejected("qe-unknown", f"MRSIGNER {report.mr_signer.hex()}")
    attestation_key = b"\4" + signature.attestation_key
    if not enclave.holds(quote.signed_bytes, signature.signature, attestation_key):
        raise rejected("quote-forged", "ECDSA")
    return report

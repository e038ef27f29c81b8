"""Collateral that holds: checks 3 to 5 and 10, up to the pinned root, as of one moment.

Of several failures the first is told in the order of docs/verification.md, as in the page
(web/src/dcap/collateral.ts). Nothing here needs the quote but its PCK chain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cryptography import x509

from . import certificates, documents, enclave
from .certificates import SIGNER_CHAIN
from .collateral import read_list, without_blanks
from .documents import QeIdentity, TcbInfo
from .grounds import Lasting
from .pck import Platform
from .rejections import rejected, rejecting

_MEMBERS = (
    "tcb_info",
    "tcb_info_signature",
    "tcb_info_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
    "qe_identity_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "pck_crl_issuer_chain",
)

Chain = tuple[x509.Certificate, ...]
Document = TypeVar("Document", TcbInfo, QeIdentity)


@dataclass(frozen=True)
class Terms:
    """Up to which root key, as of when, and for how long what has ended may still count.

    `now` and `grace` are in whole seconds; grace is for collateral, not for the PCK chain.
    """

    root_key: bytes
    now: int
    grace: int = 0


@dataclass(frozen=True)
class Signed(Generic[Document]):
    """A document that holds: what it says, the text that was signed, and who signed it."""

    value: Document
    text: str
    signature: bytes
    chain: Chain


@dataclass(frozen=True)
class Held:
    """Collateral that holds, whatever the quote."""

    root_list: x509.CertificateRevocationList
    tcb_info: Signed[TcbInfo]
    qe_identity: Signed[QeIdentity]
    pck_list: bytes
    lasting: tuple[Lasting, ...]

    @property
    def root(self) -> x509.Certificate:
        """The root above who signed the TCB info."""
        return self.tcb_info.chain[-1]


def check_collateral(fields: Mapping[str, str], terms: Terms) -> Held:
    """Check all that needs no quote. Raises Rejected (collateral)."""
    lists = _read_members(fields)
    info_pem, qe_pem = fields["tcb_info_issuer_chain"], fields["qe_identity_issuer_chain"]
    info_chain = _check_signer(info_pem, terms)
    # Nearly always both have the same signer, whose chain is then verified once.
    qe_chain = info_chain if qe_pem == info_pem else _check_signer(qe_pem, terms)
    root = info_chain[-1]
    with rejecting("crl-invalid"):
        root_list = certificates.read_list(lists["root_ca_crl"], certificates.point(root))
        list_end = certificates.check_list(root_list, root, terms.now, terms.grace)
        certificates.check_not_revoked(root_list, [*info_chain, *qe_chain])
    tcb_info = _check_document(
        fields, "tcb_info", info_chain, "tcb-info-forged", documents.read_tcb_info, terms
    )
    qe_identity = _check_document(
        fields, "qe_identity", qe_chain, "qe-identity-forged", documents.read_qe_identity, terms
    )
    lasting = (
        _chain_end("TCB info signer", info_chain),
        _chain_end("QE identity signer", qe_chain),
        _list_end("root CRL", list_end),
        Lasting("TCB info", tcb_info.value.end, tcb_info.value.end),
        Lasting("QE identity", qe_identity.value.end, qe_identity.value.end),
    )
    return Held(root_list, tcb_info, qe_identity, lists["pck_crl"], lasting)


def check_for_platform(
    held: Held, chain: Chain, platform: Platform, terms: Terms
) -> tuple[x509.CertificateRevocationList, tuple[Lasting, ...]]:
    """Hold collateral against a PCK chain that leads to the root. Raises Rejected (collateral).

    Nobody in the chain is revoked, which stops platforms whose keys have leaked; and TCB info is
    about this kind of platform, since another's could be kinder. Returns the PCK list, and all
    that is in use and counts for a time.
    """
    leaf, authority, root = chain
    with rejecting("crl-invalid"):
        pck_list = certificates.read_list(held.pck_list, certificates.point(authority))
        list_end = certificates.check_list(pck_list, authority, terms.now, terms.grace)
        certificates.check_not_revoked(held.root_list, [authority, root])
        certificates.check_not_revoked(pck_list, [leaf])
    stated = held.tcb_info.value.fmspc, held.tcb_info.value.pce_id
    if stated != (platform.fmspc, platform.pce_id):
        raise rejected("other-platform", f"FMSPC {stated[0].hex()}, PCEID {stated[1].hex()}")
    used = (*held.lasting, _list_end("PCK CRL", list_end), _chain_end("PCK chain", chain))
    return pck_list, used


def first_end(used: Iterable[Lasting], terms: Terms) -> float:
    """When the first of what is in use ends; for what has ended, when its grace does."""
    return min(each.end + terms.grace if terms.now > each.last else each.end for each in used)


def ended(used: Iterable[Lasting], terms: Terms) -> tuple[Lasting, ...]:
    """What has ended, and counts by the grace only."""
    return tuple(each for each in used if terms.now > each.last)


def _read_members(fields: Mapping[str, str]) -> dict[str, bytes]:
    """The lists in DER, where all members are there."""
    for name in _MEMBERS:
        if not isinstance(fields.get(name), str):
            raise rejected("collateral-malformed", f"{name} is missing")
    with rejecting("collateral-malformed"):
        return {name: _list(fields[name]) for name in ("root_ca_crl", "pck_crl")}


def _list(text: str) -> bytes:
    """A list in hex, as dcap-qvl has it, whatever it holds; or in another form."""
    is_hex = len(text) % 2 == 0 and re.fullmatch("[0-9a-fA-F]*", text)
    return bytes.fromhex(text) if is_hex else read_list(text)


def _check_signer(pem: str, terms: Terms) -> Chain:
    """The chain of who signs for Intel: a signer, and the root right above it."""
    with rejecting("signer-chain"):
        chain = certificates.read_chain(pem, SIGNER_CHAIN)
        certificates.check_path(chain, terms.root_key, terms.now, terms.grace)
    return chain


def _check_document(
    fields: Mapping[str, str],
    name: str,
    chain: Chain,
    forged: str,
    read: Callable[[str], Document],
    terms: Terms,
) -> Signed[Document]:
    """A document that its signer signed, and that counts now. Nothing is read before that."""
    with rejecting("collateral-malformed"):
        signature = bytes.fromhex(fields[f"{name}_signature"])
    if not signature:  # the body could not be split
        raise rejected("collateral-malformed", f"{name} with a signature beside it")
    text = _signed_text(fields[name], signature, certificates.point(chain[0]))
    if text is None:
        raise rejected(forged, "ECDSA")
    with rejecting("collateral-malformed"):
        value = read(text)
        documents.check_dates(value, terms.now, terms.grace)
    return Signed(value, text, signature, chain)


def _signed_text(text: str, signature: bytes, key: bytes) -> str | None:
    """The text that was signed: as it stands, or without white space that was put in on its way."""
    if _is_signed(text, signature, key):
        return text
    plain = without_blanks(text)
    return plain if plain != text and _is_signed(plain, signature, key) else None


def _is_signed(text: str, signature: bytes, key: bytes) -> bool:
    """Whether it is the text's bytes; never where it has none, with half a surrogate pair in it."""
    try:
        return enclave.holds(text.encode(), signature, key)
    except UnicodeEncodeError:
        return False


def _chain_end(what: str, chain: Sequence[x509.Certificate]) -> Lasting:
    end = min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    return Lasting(what, end, end)


def _list_end(what: str, end: float) -> Lasting:
    return Lasting(what, end, end - 1)  # the moment of the next list is no longer this one's

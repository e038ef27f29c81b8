"""The heart of verification: a quote, collateral, a root and a time in, a verdict out.

No network, no clock, no files: the service and the command line both stand on this.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dcap_qvl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509.oid import NameOID

from quote_generator.errors import BadInput
from quote_generator.quote import INTEL_QE_VENDOR_ID, Body, Quote, parse_quote

from . import certificates, documents, enclave, tcb
from .certificates import PCK_CHAIN, SIGNER_CHAIN, Platform
from .evaluations import Evaluation
from .policy import DEFAULT, FORBID, REQUIRE, Policy

SIMULATION = "SIMULATION"
"""What the common name of a simulator's root contains."""

INTEL_ROOT_NAME = "Intel SGX Root CA"

TD_DEBUG = 1 << 0
TD_ATTRIBUTES = {
    "icssd": 16,
    "lass": 27,
    "sept_ve_disable": 28,
    "migratable": 29,
    "pks": 30,
    "key_locker": 31,
    "tpa": 62,
    "perfmon": 63,
}
"""Bits of TDATTRIBUTES (Intel TDX Module ABI, section 3.4.1) that a policy is about."""

TD_DEFINED = TD_DEBUG | sum(1 << bit for bit in TD_ATTRIBUTES.values())
"""All others must be zero: the lowest byte puts a TD under debug or profiling."""

_XFAM_FIXED1, _XFAM_ALLOWED = 0x3, 0x6DBE7
"""XFAM bits that must be, and that may be (Intel TDX Module ABI, section 3.4.2)."""


NAMES_SERVICE_TD = 5
"""The version of quotes that can say, with a body of TDX 1.5, which service TD is bound."""


class Rejected(Exception):  # noqa: N818 - named for the verdict
    """Rejected: the evidence did not pass.

    `check` is the id of the check that failed (docs/evidence.md), `code` the stable reason
    within it, and the message says what that means. `evaluation` is there where the documents
    held, and what they say of the platform was the reason.
    """

    def __init__(self, check: str, code: str, message: str) -> None:
        super().__init__(message)
        self.check = check
        self.code = code
        self.evaluation: Evaluation | None = None


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

    `tcb_status` is one of Intel's names (UpToDate, SWHardeningNeeded, OutOfDate, ...), the worst
    of platform, TDX module and quoting enclave as the TD was started; `advisory_ids` are those of
    all three, and `tcb_date` is that of the platform's level. Whether that is good enough is the
    caller's policy; Revoked never gets here. `evaluation` says which edition of Intel's documents
    was used. `expires` is when the first certificate, list or document in use ends, in seconds
    since 1970. The CRL numbers are those of the revocation lists in use (RFC 5280, section 5.2.3).
    """

    quote: Quote
    tcb_status: str
    advisory_ids: tuple[str, ...]
    tcb_date: datetime.datetime
    evaluation: Evaluation
    expires: float
    root_name: str
    pck_crl_number: int | None = None
    root_crl_number: int | None = None

    @property
    def simulated(self) -> bool:
        """Whether a simulator's root vouches for it, not hardware."""
        return SIMULATION in self.root_name


def appraise(raw_quote: bytes, trust: Trust, now: float, policy: Policy = DEFAULT) -> Verdict:
    """Verify a quote up to the root as of `now` (seconds since 1970), and the TD it is about.

    Raises Rejected, whose `check` is one of evidence-format, quote-signature, collateral,
    tcb-status and td-attributes. Whether the TCB status and the measurements are good enough
    is left to the caller.
    """
    verdict = verify(raw_quote, trust, now)
    check_td(verdict.quote.body, policy)
    return verdict


def verify(raw_quote: bytes, trust: Trust, now: float) -> Verdict:
    """Verify a quote up to the root as of `now`, whatever it says of the TD.

    Steps are numbered as in docs/verification.md; of several failures the first in the order
    evidence-format, collateral, quote-signature, tcb-status is told. Then dcap-qvl has to agree.
    Raises Rejected as `appraise` does, but for td-attributes.
    """
    moment = int(now)
    quote = read_quote(raw_quote)  # (1)
    library_form = _library_form(trust.collateral)
    with _rejecting("chain"):
        root_key = certificates.root_key(trust.root_der)
    held = _check_collateral(trust.collateral, root_key, moment)  # (3) to (5)
    pck = _check_pck(quote, held, trust.collateral, root_key, moment)  # (2), (3), (10)
    report = _check_signatures(quote, pck.key, held.qe_identity)  # (6) to (9)
    info, identity = held.tcb_info, held.qe_identity
    evaluation = Evaluation(info.fmspc.hex(), info.evaluation, identity.evaluation, root_key)
    try:
        status, advisory_ids, date = _judge(quote, pck.platform, held, report)  # (8), (10) to (12)
        _ask_library(raw_quote, library_form, trust.root_der, moment)
    except Rejected as error:
        error.evaluation = evaluation
        raise
    return Verdict(
        quote=quote,
        tcb_status=status,
        advisory_ids=advisory_ids,
        tcb_date=date,
        evaluation=evaluation,
        expires=min(held.end, pck.end),
        root_name=trust.root_name,
        pck_crl_number=pck.crl_number,
        root_crl_number=certificates.list_number(held.root_list),
    )


def check_td(body: Body, policy: Policy) -> None:
    """Raise Rejected unless the TD is one that the policy allows; step (13)."""
    check_attributes(body, policy)
    service_td = body.mr_servicetd or b""
    # It could do with the TD what its code does: only one that is known by its measurement may.
    if any(service_td) and "mr_servicetd" not in policy.reference_values:
        raise _rejected("service-td", service_td.hex())


def check_attributes(body: Body, policy: Policy) -> None:
    """Raise Rejected unless the TD's attributes are what the policy allows.

    That is all of step (13) where an attestation service judges: clouds bind service TDs of their
    own to every TD, and which ones are good is for the service to say. That the quote names them
    can be asked for there too.
    """
    bits = int.from_bytes(body.td_attributes, "little")
    if bits & TD_DEBUG:
        raise _rejected("debug", body.td_attributes.hex())
    if bits & ~TD_DEFINED:
        raise _rejected("reserved", body.td_attributes.hex())
    for name, bit in TD_ATTRIBUTES.items():
        is_set = bool(bits >> bit & 1)
        if getattr(policy.td_attributes, name) == (FORBID if is_set else REQUIRE):
            code = "sept-ve" if name == "sept_ve_disable" else "attributes-refused"
            raise _rejected(code, f"{name} is {'on' if is_set else 'off'}")
    xfam = int.from_bytes(body.xfam, "little")
    if xfam & _XFAM_FIXED1 != _XFAM_FIXED1 or xfam & ~_XFAM_ALLOWED:
        raise _rejected("xfam", body.xfam.hex())
    # The host chooses the version of the quote, and by an older one it hides a service TD.
    if policy.min_quote_version == NAMES_SERVICE_TD and body.mr_servicetd is None:
        raise _rejected("service-td-unknown", "")


# --- (1) the quote -------------------------------------------------------------------------------


def read_quote(raw_quote: bytes) -> Quote:
    """A quote of Intel's quoting enclave, in form only. Raises Rejected (evidence-format)."""
    try:
        # Stricter than dcap-qvl, which accepts bytes after the quote's end.
        quote = parse_quote(raw_quote)
        quote.signature.pck_chain_pem  # noqa: B018 - raises for another kind of certification data
    except BadInput as error:
        raise Rejected("evidence-format", "quote-malformed", f"not a TDX quote: {error}") from error
    if quote.header.vendor_id != INTEL_QE_VENDOR_ID:
        raise Rejected(
            "evidence-format",
            "vendor-unknown",
            f"vendor_id is {quote.header.vendor_id.hex()}: not Intel's quoting enclave",
        )
    return quote


# --- (2) to (5), (10) certificates, lists and documents ------------------------------------------


@dataclass(frozen=True)
class _Held:
    """Collateral that holds: root's list, documents, and when the first of all of it ends."""

    root_list: x509.CertificateRevocationList
    tcb_info: documents.TcbInfo
    qe_identity: documents.QeIdentity
    end: float


@dataclass(frozen=True)
class _Pck:
    """A PCK chain that holds: key and platform of its leaf, its list's number, and when it or its
    list ends."""

    key: bytes
    platform: Platform
    end: float
    crl_number: int


def _check_collateral(fields: Mapping[str, str], root_key: bytes, now: int) -> _Held:
    """Steps (3) to (5): whatever can be checked without the quote."""
    with _rejecting("crl-invalid"):
        root_list = certificates.read_list(bytes.fromhex(fields["root_ca_crl"]), root_key)
    end = _check_signer(fields, "tcb_info", "tcb-info-forged", root_list, root_key, now)
    with _rejecting("collateral-malformed"):
        tcb_info = documents.read_tcb_info(fields["tcb_info"], now)
    qe_end = _check_signer(fields, "qe_identity", "qe-identity-forged", root_list, root_key, now)
    with _rejecting("collateral-malformed"):
        qe_identity = documents.read_qe_identity(fields["qe_identity"], now)
    end = min(end, qe_end, tcb_info.end, qe_identity.end)
    return _Held(root_list, tcb_info, qe_identity, end)


def _check_signer(
    fields: Mapping[str, str],
    name: str,
    forged: str,
    root_list: x509.CertificateRevocationList,
    root_key: bytes,
    now: int,
) -> float:
    """Check who signed a document, and the signature. Returns when the chain or the list ends."""
    with _rejecting("signer-chain"):
        chain = certificates.read_chain(fields[f"{name}_issuer_chain"], SIGNER_CHAIN)
    signer, root = chain
    with _rejecting("crl-invalid"):
        list_end = certificates.check_list(root_list, root, now)
    with _rejecting("signer-chain"):
        end = certificates.check_path(chain, root_key, now)
    with _rejecting("crl-invalid"):
        certificates.check_not_revoked(root_list, chain)
    signature = bytes.fromhex(fields[f"{name}_signature"])
    if not signature:  # the body could not be split
        raise _rejected("collateral-malformed", f"{name} with a signature beside it")
    if not _is_signed(fields[name].encode(), signature, certificates.point(signer)):
        raise _rejected(forged, "ECDSA")
    return min(end, list_end)


def _check_pck(
    quote: Quote, held: _Held, fields: Mapping[str, str], root_key: bytes, now: int
) -> _Pck:
    """Steps (2), (3) and (10): the PCK chain in the quote, both lists for it, its platform."""
    with _rejecting("chain"):
        chain = certificates.read_chain(quote.signature.pck_chain_pem, PCK_CHAIN)
        end = certificates.check_path(chain, root_key, now)
    leaf, authority, root = chain
    with _rejecting("pck-malformed"):
        platform = certificates.platform_of(leaf)
    with _rejecting("crl-invalid"):
        certificates.check_list(held.root_list, root, now)
        certificates.check_not_revoked(held.root_list, [authority, root])
        data = bytes.fromhex(fields["pck_crl"])
        pck_list = certificates.read_list(data, certificates.point(authority))
        list_end = certificates.check_list(pck_list, authority, now)
        certificates.check_not_revoked(pck_list, [leaf])
        number = certificates.list_number(pck_list)
    stated = held.tcb_info.fmspc, held.tcb_info.pce_id
    if stated != (platform.fmspc, platform.pce_id):
        raise _rejected("other-platform", f"FMSPC {stated[0].hex()}, PCEID {stated[1].hex()}")
    return _Pck(certificates.point(leaf), platform, min(end, list_end), number)


@contextlib.contextmanager
def _rejecting(code: str) -> Iterator[None]:
    """Turn what reading and checking raises into Rejected.

    `code` is for what has none of its own. Lists and documents that are not in date have one; a
    chain that is not in date is a chain that does not lead to the root.
    """
    try:
        yield
    except certificates.UNREADABLE as error:
        raise _rejected(_CODES_OF_ERRORS.get((code, type(error)), code), str(error)) from error


_CODES_OF_ERRORS: dict[tuple[str, type[Exception]], str] = {
    ("crl-invalid", certificates.Late): "crl-expired",
    ("crl-invalid", certificates.Early): "collateral-early",
    ("crl-invalid", certificates.Revoked): "revoked",
    ("collateral-malformed", certificates.Late): "collateral-expired",
    ("collateral-malformed", certificates.Early): "collateral-early",
    ("collateral-malformed", documents.OtherKind): "other-platform",
}


# --- (6) to (12) signatures and levels -----------------------------------------------------------


def _check_signatures(
    quote: Quote, pck_key: bytes, identity: documents.QeIdentity
) -> enclave.QeReport:
    """Steps (6) to (9): PCK -> QE report -> attestation key -> quote."""
    signature = quote.signature
    report = enclave.read_report(signature.qe_report)
    if not _is_signed(signature.qe_report, signature.qe_report_signature, pck_key):
        raise _rejected("qe-report-forged", "ECDSA")
    if not enclave.vouches_for_key(signature, report):
        raise _rejected("attestation-key", "report data of the QE")
    if enclave.is_debug(report):
        raise _rejected("qe-debug", report.attributes.hex())
    if not enclave.is_the_one(report, identity):
        raise _rejected("qe-unknown", f"MRSIGNER {report.mr_signer.hex()}")
    if not _is_signed(quote.signed_bytes, signature.signature, b"\4" + signature.attestation_key):
        raise _rejected("quote-forged", "ECDSA")
    return report


def _is_signed(data: bytes, signature: bytes, key: bytes) -> bool:
    try:
        return len(signature) == 64 and enclave.is_signed(data, signature, key)
    except ValueError:  # the attestation key is no point of the curve
        return False


def _judge(
    quote: Quote, platform: Platform, held: _Held, report: enclave.QeReport
) -> tuple[str, tuple[str, ...], datetime.datetime]:
    """Steps (8), (10) to (12): the merged status, the advisories, the date of the platform's level.

    They are those with which the TD was started.
    """
    info, body = held.tcb_info, quote.body
    try:
        qe = tcb.enclave_level(held.qe_identity.identity.levels, report.isv_svn)
        launch = tcb.levels(info, platform, body.tee_tcb_svn, qe)
        tcb.check_module(info, body)
    except tcb.NoLevel as error:
        raise _rejected("tcb-unknown", str(error)) from error
    except tcb.OtherModule as error:
        raise _rejected("tdx-module", str(error)) from error
    status, advisory_ids = tcb.merged(launch)
    current = _current_status(info, platform, body, qe)
    if status is None or tcb.REVOKED in (status, current):
        raise _rejected("tcb-revoked" if status else "tcb-unknown", ", ".join(advisory_ids))
    status = tcb.relaunched(status, current) if current else status
    return status, advisory_ids, launch[0].date


def _current_status(
    info: documents.TcbInfo, platform: Platform, body: Body, qe: documents.Level
) -> str | None:
    """The merged status by TEE_TCB_SVN2; None where the body has none, or it reaches nothing."""
    if body.tee_tcb_svn2 is None:
        return None
    try:
        return tcb.merged(tcb.levels(info, platform, body.tee_tcb_svn2, qe))[0]
    except (tcb.NoLevel, tcb.OtherModule):
        return None


# --- the second opinion --------------------------------------------------------------------------


def _library_form(fields: Mapping[str, str]) -> Any:
    # A chain beside the quote would be used instead of the one inside it.
    own = {name: value for name, value in fields.items() if name != "pck_certificate_chain"}
    try:
        return dcap_qvl.QuoteCollateralV3.from_json(json.dumps(own))
    except (ValueError, TypeError) as error:
        raise _rejected("collateral-malformed", str(error)) from error


def _ask_library(raw: bytes, collateral: Any, root_der: bytes | None, now: int) -> None:
    """Reject what dcap-qvl rejects, unless it is stricter than Intel's rules or our policy."""
    try:
        if root_der is None:
            dcap_qvl.verify(raw, collateral, now)
        else:
            dcap_qvl.verify_with_root_ca(raw, collateral, root_der, now)
    except ValueError as error:
        if not re.search(_TOLERATED, str(error)):
            raise _explain(str(error)) from error


_TOLERATED = "|".join(
    (
        # Judged by `check_td`, as the policy says:
        "SEPT_VE_DISABLE is not enabled",
        "Debug mode is enabled",
        "TD migration is enabled",
        "TD profiling is enabled",
        "Reserved bits in TD attributes",
        "Invalid MR service TD",
        # The TDX module that runs now, when the TD was started under another one:
        "Failed to evaluate the current TDX TCB",
        # Statuses that Intel gives to platforms only, so far:
        r"Unrecognized TCB status \w+ in (QE Identity|TDX module)",
        # A status that is new counts where it is the platform's; elsewhere it does not matter:
        r"unknown variant `\w+`",
        # Only 32 bytes are in use, so far; and no PCESVN needs three bytes as an INTEGER:
        "Invalid QE auth data length",
        "PceSvn length mismatch",
    )
)
"""Refusals of dcap-qvl 0.7.0 that do not count; docs/verification.md says why for each."""


# --- codes ---------------------------------------------------------------------------------------

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
    "attributes-refused": ("td-attributes", "the policy refuses an attribute of the TD"),
    "xfam": ("td-attributes", "the TD's XFAM has bits that no TD can have, or lacks some"),
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
    "qe-unknown": ("quote-signature", "the quoting enclave is not Intel's, or too old"),
    "chain": ("quote-signature", "the PCK chain does not lead to the root as of now"),
    "pck-malformed": ("quote-signature", "the PCK certificate cannot be used"),
    "tcb-revoked": ("tcb-status", "the platform's TCB is revoked"),
    "tcb-unknown": ("tcb-status", "the platform's TCB is older than any that is known"),
    "tdx-module": ("tcb-status", "the TDX module is unknown or too old"),
    "quote-malformed": ("evidence-format", "not a TDX quote"),
    "quote-rejected": ("quote-signature", "the quote does not verify"),
}


def _rejected(code: str, detail: str) -> Rejected:
    check, meaning = _MEANINGS[code]
    return Rejected(check, code, f"{meaning} ({detail})" if detail else meaning)


def _explain(text: str) -> Rejected:
    """Our words and codes for an error text of dcap-qvl."""
    found = (code for pattern, code in _CODES if re.search(pattern, text))
    detail = " ".join(text.removeprefix("Verification failed: ").split())
    return _rejected(next(found, "quote-rejected"), detail)

"""What Intel's quote verification library says of a quote, in its own terms.

The work is done by the appraisal core of `cczoo_verifier`. Codes are those of the library's headers
(`quote3_error_t`, `sgx_ql_qv_result_t`), names of platform states those of its API reference.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cczoo_verifier.appraisal import Rejected, Trust, Verdict, verify
from cryptography import x509

from quote_generator.errors import BadInput
from quote_generator.quote import Quote, parse_quote

RESULTS = {
    "UpToDate": (0, "OK"),
    "ConfigurationNeeded": (0xA001, "CONFIG_NEEDED"),
    "OutOfDate": (0xA002, "OUT_OF_DATE"),
    "OutOfDateConfigurationNeeded": (0xA003, "OUT_OF_DATE_CONFIG_NEEDED"),
    "InvalidSignature": (0xA004, "INVALID_SIGNATURE"),
    "Revoked": (0xA005, "REVOKED"),
    "Unspecified": (0xA006, "UNSPECIFIED"),
    "SWHardeningNeeded": (0xA007, "SW_HARDENING_NEEDED"),
    "ConfigurationAndSWHardeningNeeded": (0xA008, "CONFIG_AND_SW_HARDENING_NEEDED"),
    "TDRelaunchAdvised": (0xA009, "TD_RELAUNCH_ADVISED"),
    "TDRelaunchAdvisedConfigurationNeeded": (0xA00A, "TD_RELAUNCH_ADVISED_CONFIG_NEEDED"),
}
"""What the library can find: code, and the last part of the code's name."""

TERMINAL = frozenset({"InvalidSignature", "Revoked", "Unspecified"})
"""After these no version reads on."""

INVALID_PARAMETER, NO_COLLATERAL = 0xE002, 0xE01B

ERRORS = {
    0xE001: ("SGX_QL_ERROR_UNEXPECTED", "An unexpected internal error occurred."),
    0xE01D: ("SGX_QL_QUOTE_FORMAT_UNSUPPORTED", "The inputted quote format is not supported."),
    0xE01F: (
        "SGX_QL_QE_REPORT_INVALID_SIGNATURE",
        "The signature over the QE Report is invalid.",
    ),
    0xE021: (
        "SGX_QL_PCK_CERT_UNSUPPORTED_FORMAT",
        "The format of the PCK certificate is unsupported.",
    ),
    0xE022: (
        "SGX_QL_PCK_CERT_CHAIN_ERROR",
        "There was an error verifying the PCK certificate signature chain"
        " including PCK certificate revocation.",
    ),
    0xE023: (
        "SGX_QL_TCBINFO_UNSUPPORTED_FORMAT",
        "The format of the TCBInfo structure is unsupported.",
    ),
    0xE024: (
        "SGX_QL_TCBINFO_MISMATCH",
        "PCK certificate FMSPc does not match the TCBInfo FMSPc.",
    ),
    0xE026: (
        "SGX_QL_QEIDENTITY_MISMATCH",
        "The Quote’s QE doesn’t match the inputted expected QEIdentity.",  # noqa: RUF001
    ),
    0xE031: ("SGX_QL_PCK_REVOKED", "PCK is revoked."),
    0xE032: ("SGX_QL_TCB_REVOKED", "TCB is revoked."),
    0xE03A: (
        "SGX_QL_TCBINFO_CHAIN_ERROR",
        "There was an error verifying the TCBInfo signature chain including TCBInfo revocation.",
    ),
    0xE060: (
        "SGX_QL_TDX_MODULE_MISMATCH",
        "TDX SEAM module identity is NOT match to Intel signed TDX SEAM module.",
    ),
    0xE066: (
        "SGX_QL_TCB_NOT_SUPPORTED",
        "Current TCB level cannot be found in platform/enclave TCB info.",
    ),
    0xE068: (
        "SGX_QL_RESULT_INVALID_SIGNATURE",
        "Invalid signature during quote verification.",
    ),
}
"""What the library answers instead of a result: name, and how v0.21 explains it."""

_OF_OURS = {
    "chain": 0xE022,
    "pck-malformed": 0xE021,
    "qe-report-forged": 0xE01F,
    "attestation-key": 0xE01F,
    "qe-unknown": 0xE026,
    "other-platform": 0xE024,
    "revoked": 0xE031,
    "tcb-revoked": 0xE032,
    "signer-chain": 0xE03A,
    "collateral-malformed": 0xE023,
    "tdx-module": 0xE060,
    "tcb-unknown": 0xE066,
    "quote-malformed": 0xE01D,
    "quote-forged": 0xE068,
}
"""Codes of our appraisal, and the library's for the same."""

_LATE = frozenset({"collateral-expired", "crl-expired"})

NOT_EXPIRED, EXPIRED = "0", "1"


class Refusal(Exception):  # noqa: N818 - named for what it is
    """Refusal: the library has an error to tell instead of a result; `code` is its number."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:#x}")
        self.code = code


@dataclass(frozen=True)
class Chosen:
    """What the library is to find in every quote that verifies, whatever it would find itself."""

    status: str | None = None
    advisory_ids: tuple[str, ...] | None = None
    expiration: str | None = None


@dataclass(frozen=True)
class Found:
    """What the library finds: a quote that verifies, its platform's state, and its collateral's."""

    verdict: Verdict
    trust: Trust
    status: str
    advisory_ids: tuple[str, ...]
    expiration: str

    @property
    def quote(self) -> Quote:
        """The quote."""
        return self.verdict.quote


def judge(raw_quote: bytes, trust: Trust, now: float, chosen: Chosen) -> Found:
    """What the library finds as of `now`. Raises Refusal."""
    verdict, expiration = _verify(raw_quote, trust, now)
    found = Found(verdict, trust, verdict.tcb_status, verdict.advisory_ids, expiration)
    changes = dataclasses.asdict(chosen).items()
    return dataclasses.replace(found, **{name: value for name, value in changes if value})


def _verify(raw_quote: bytes, trust: Trust, now: float) -> tuple[Verdict, str]:
    """The verdict and whether collateral has expired, of which the library only tells."""
    try:
        return verify(raw_quote, trust, now), NOT_EXPIRED
    except Rejected as error:
        if error.code not in _LATE:
            raise Refusal(_OF_OURS.get(error.code, 0xE001)) from error
    try:
        return verify(raw_quote, trust, issue_date(trust.collateral).timestamp()), EXPIRED
    except Rejected as error:
        raise Refusal(_OF_OURS.get(error.code, 0xE001)) from error


def is_readable(raw_quote: bytes) -> bool:
    """Whether the library reads it as a quote."""
    try:
        parse_quote(raw_quote)
    except BadInput:
        return False
    return True


# --- supplemental data ---------------------------------------------------------------------------


def supplement(found: Found) -> dict[str, object]:
    """The library's supplemental data, under the names of Trustee v0.21.

    Members of `sgx_ql_qv_supplemental_t` of DCAP 1.23 and later.
    """
    collateral, verdict = found.trust.collateral, found.verdict
    issued = list(_issue_dates(found))
    return {
        "earliest_issue_date": _rfc3339(min(issued)),
        "latest_issue_date": _rfc3339(max(issued)),
        "earliest_expiration_date": _rfc3339(_moment(verdict.expires)),
        "tcb_date": _rfc3339(verdict.tcb_date),
        "tcb_eval_num": verdict.evaluation.lowest,
        "pck_crl_num": _crl_number(collateral["pck_crl"]),
        "root_ca_crl_num": _crl_number(collateral["root_ca_crl"]),
        "root_key_id": hashlib.sha384(verdict.evaluation.root_key).hexdigest(),
        "platform_provider_id": _values(found.quote)[1].hex(),
        **_kind_of_platform(found.quote),
    }


def platform_instance(quote: Quote) -> str:
    """The id of the platform's instance, in hex; v0.21 tells its bytes in reverse."""
    return _values(quote)[6][::-1].hex()


def fmspc_of(quote: Quote) -> str:
    """The platform's FMSPC, in upper-case hex as in the collateral service's addresses."""
    return _values(quote)[4].hex().upper()


def issue_date(collateral: Mapping[str, str]) -> datetime.datetime:
    """When the TCB info was issued: collateral is in date then."""
    return datetime.datetime.fromisoformat(json.loads(collateral["tcb_info"])["issueDate"])


def _issue_dates(found: Found) -> Iterator[datetime.datetime]:
    collateral = found.trust.collateral
    for name in ("tcb_info", "qe_identity"):
        yield datetime.datetime.fromisoformat(json.loads(collateral[name])["issueDate"])
        for item in x509.load_pem_x509_certificates(collateral[f"{name}_issuer_chain"].encode()):
            yield item.not_valid_before_utc
    for name in ("pck_crl", "root_ca_crl"):
        yield x509.load_der_x509_crl(bytes.fromhex(collateral[name])).last_update_utc
    for item in x509.load_pem_x509_certificates(found.quote.signature.pck_chain_pem.encode()):
        yield item.not_valid_before_utc


def _kind_of_platform(quote: Quote) -> dict[str, object]:
    """Its SGX type and, where that is one with platform data, the three flags."""
    values = _values(quote)
    kind = values[5][0]
    names = {0: "Standard", 1: "Scalable", 2: "Scalable with Integrity"}
    told: dict[str, object] = {"sgx_type": names[kind]}
    if kind:
        flags = ("is_dynamic_platform", "is_cached_keys", "is_smt_enabled")
        # Each is a SEQUENCE {OID, BOOLEAN}: the last byte says it.
        told |= zip(flags, (entry[-1] == 0xFF for entry in _contents(values[7])), strict=True)
    return told


_SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
_ARCS = bytes.fromhex("060a2a864886f84d010d01")


def _values(quote: Quote) -> dict[int, bytes]:
    """{arc: content} of the PCK certificate's SGX extension (profile, section 1.3.5)."""
    leaf = x509.load_pem_x509_certificates(quote.signature.pck_chain_pem.encode())[0]
    extension = leaf.extensions.get_extension_for_oid(_SGX_EXTENSION).value
    [content] = _contents(extension.public_bytes())
    arc = len(_ARCS)
    entries = _contents(content)
    return {entry[arc]: next(_contents(entry[arc + 1 :])) for entry in entries}


def _contents(data: bytes) -> Iterator[bytes]:
    """The contents of DER values, one after the other."""
    while data:
        size, start = data[1], 2
        if size & 0x80:
            start = 2 + (size & 0x7F)
            size = int.from_bytes(data[2:start], "big")
        yield data[start : start + size]
        data = data[start + size :]


def _crl_number(hexed: str) -> int:
    crl = x509.load_der_x509_crl(bytes.fromhex(hexed))
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

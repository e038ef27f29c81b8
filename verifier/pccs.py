"""Collateral from Intel's provisioning certification service, or from a cache of it (PCCS).

Interface: Intel "SGX and TDX Provisioning Certification Service API" version 4. What comes back
is signed, and is only as good as the appraisal finds it: the service is trusted with nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import dcap_qvl  # type: ignore[import-untyped]
from cryptography import x509

from quote_generator.errors import BadInput
from quote_generator.quote import Quote

from .appraisal import Rejected
from .fetching import Answer, Unreachable, get

INTEL_PCS = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"


def fetch_collateral(quote: Quote, base_url: str, *, timeout: float) -> dict[str, str]:
    """Collateral for the platform that made the quote, in the JSON form of dcap-qvl.

    Raises Unreachable, and Rejected for a quote whose PCK certificate names no platform.
    """
    base_url = base_url.rstrip("/")
    fmspc, authority = _platform(quote)
    sgx, tdx = (f"{base_url}/{tee}/certification/v4" for tee in ("sgx", "tdx"))
    root_crl = INTEL_ROOT_CRL if base_url == INTEL_PCS else f"{sgx}/rootcacrl"

    pck_crl = _fetch(f"{sgx}/pckcrl", timeout, {"ca": authority, "encoding": "der"})
    tcb_info = _fetch(f"{tdx}/tcb", timeout, {"fmspc": fmspc})
    qe_identity = _fetch(f"{tdx}/qe/identity", timeout, {})
    tcb_text, tcb_signature = _signed(tcb_info, "tcbInfo")
    qe_text, qe_signature = _signed(qe_identity, "enclaveIdentity")
    return {
        "pck_crl_issuer_chain": _chain(pck_crl, "sgx-pck-crl-issuer-chain"),
        "root_ca_crl": _list(_fetch(root_crl, timeout, {})),
        "pck_crl": _list(pck_crl),
        "tcb_info_issuer_chain": _chain(
            tcb_info, "tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"
        ),
        "tcb_info": tcb_text,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": _chain(qe_identity, "sgx-enclave-identity-issuer-chain"),
        "qe_identity": qe_text,
        "qe_identity_signature": qe_signature,
    }


def _platform(quote: Quote) -> tuple[str, str]:
    """FMSPC (hex) and the kind of CA, as the API names it, from the quote's PCK certificate."""
    try:
        pem = quote.signature.pck_chain_pem
        fmspc = dcap_qvl.parse_pck_extension_from_pem(pem.encode()).fmspc
        issuer = x509.load_pem_x509_certificates(pem.encode())[0].issuer.rfc4514_string()
    except (BadInput, ValueError) as error:
        raise Rejected(
            "quote-signature", "pck-malformed", f"the PCK certificate cannot be read: {error}"
        ) from error
    return bytes(fmspc).hex().upper(), "processor" if "Processor" in issuer else "platform"


def _fetch(url: str, timeout: float, params: Mapping[str, str]) -> Answer:
    answer = get(url, timeout=timeout, params=params)
    if answer.status != 200:
        raise Unreachable(f"{url} answered HTTP {answer.status}")
    return answer


def _chain(answer: Answer, *names: str) -> str:
    """A certificate chain from a header: PEM, percent-encoded."""
    for name in names:
        if name in answer.headers:
            return unquote(answer.headers[name])
    raise Unreachable(f"the collateral service sent no {names[0]} header")


def _list(answer: Answer) -> str:
    """A revocation list in hex; caches send hex where Intel sends DER."""
    try:
        return bytes.fromhex(answer.body.decode("ascii")).hex()
    except ValueError:
        return answer.body.hex()


def _signed(answer: Answer, name: str) -> tuple[str, str]:
    """The exact text of a signed member, and the signature beside it (hex)."""
    try:
        text = answer.body.decode("utf-8")
        document: dict[str, Any] = json.loads(text)
        signature = document["signature"]
        start = text.index("{", text.index(f'"{name}"'))
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreachable(f"the collateral service sent no usable {name}") from error
    return text[start:end], str(signature)

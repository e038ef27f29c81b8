"""What services are sent, and what their answers are: a token, a refusal, or no word at all."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from quote_generator.evidence import encode_base64url
from quote_generator.quote import Quote

from .. import strictjson
from ..fetching import Answer

SERVICE, KEYS, ADDRESS = "service-unreachable", "keys-unreachable", "service-address"

ADVICE = {SERVICE: "", ADDRESS: ": there is no attestation service at this address"}

Body = Mapping[str, Any]


# --- what is sent --------------------------------------------------------------------------------


def request(quote: Quote, logs: Body) -> Body:
    inner = {
        "quote": base64.b64encode(quote.raw).decode(),
        "cc_eventlog": logs.get("cc_eventlog"),
        "aa_eventlog": logs.get("aa_eventlog"),
    }
    return {
        "tee": "tdx",
        "evidence": encode_base64url(json.dumps(inner).encode()),
        # Raw data is compared with the report data as it is; services hash structured data only.
        "runtime_data": {"raw": encode_base64url(quote.body.report_data)},
    }


def alibaba_body(request: Body) -> Body:
    return {**request, "policy_ids": []}


def listed_body(request: Body) -> Body:
    """Trustee from v0.14."""
    request = {**request, "runtime_data_hash_algorithm": "sha384"}
    return {"verification_requests": [request], "policy_ids": []}


def flat_body(request: Body) -> Body:
    """Trustee up to v0.13."""
    return {**request, "runtime_data_hash_algorithm": "sha384", "policy_ids": []}


# --- what comes back ------------------------------------------------------------------------------

_NO_SERVICE = frozenset({*range(300, 400), 404, 405})
"""Answers of a server that has no service there, or has it elsewhere."""

_NO_APPRAISAL = frozenset({401, 403, 429, 502, 503, 504})
"""Answers of what stands before a service."""


def why_no_word(answer: Answer) -> str | None:
    """Why an answer is not a word about the evidence, or None where it is one."""
    if answer.status in _NO_SERVICE:
        return ADDRESS
    if answer.status in _NO_APPRAISAL:
        return SERVICE
    # A page for people: no service has tokens or refusals like that.
    if not answer.body.lstrip().startswith(b"<"):
        return None
    return ADDRESS if answer.status < 500 else SERVICE


def misunderstood(answer: Answer) -> bool:
    """Did the service not understand the body (rather than refuse the evidence)?"""
    if answer.status >= 500:
        words = answer.body.decode("utf-8", "replace")
        return bool(re.search("deseriali[sz]|missing field|unknown field", words, re.I))
    return answer.status in (400, 422)


def discovered(document: bytes, address: str) -> str:
    """The key set's address, by OpenID Connect Discovery 1.0 (sections 4.2 and 4.3).

    The document must be this very issuer's, and the keys lie at its own origin. Raises
    ValueError.
    """
    value = strictjson.loads(document)
    known = value if isinstance(value, dict) else {}
    issuer, keys = known.get("issuer"), known.get("jwks_uri")
    if issuer != address:
        raise ValueError(f"issuer is not {address}")
    scheme, _, rest = address.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}/"
    if not isinstance(keys, str) or not keys.startswith(origin):
        raise ValueError("jwks_uri is at another origin")
    return keys

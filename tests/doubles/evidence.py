"""Request bodies for attestation services, made from a simulated TD."""

from __future__ import annotations

import base64
import json
from typing import Any

from quote_generator.evidence import encode_base64url, merkle_tree_hash, report_data, runtime_data
from quote_generator.simulator import Simulator

NONCE = b"a nonce of thirty-two bytes, yes"


def bound_quote(td: Simulator, nonce: bytes = NONCE, **quote: Any) -> tuple[bytes, bytes]:
    """Runtime data for one nonce, and a quote over it."""
    bound = runtime_data(merkle_tree_hash([nonce]))
    return bound, td.quote(report_data(bound), **quote)


def encode(quote: bytes, cc_eventlog: str | None = None, aa_eventlog: str | None = None) -> str:
    """The `evidence` member of a request."""
    inner = {
        "quote": base64.b64encode(quote).decode(),
        "cc_eventlog": cc_eventlog,
        "aa_eventlog": aa_eventlog,
    }
    return encode_base64url(json.dumps(inner).encode())


def flat_body(td: Simulator, **quote: Any) -> dict[str, Any]:
    """A body as Trustee takes it up to v0.13, and Alibaba Cloud."""
    bound, raw = bound_quote(td, **quote)
    return {
        "tee": "tdx",
        "evidence": encode(raw),
        "policy_ids": [],
        "runtime_data": {"raw": encode_base64url(report_data(bound))},
    }


def listed_body(td: Simulator, **quote: Any) -> dict[str, Any]:
    """A body as Trustee takes it from v0.14."""
    request = flat_body(td, **quote)
    policies = request.pop("policy_ids")
    return {"verification_requests": [request], "policy_ids": policies}

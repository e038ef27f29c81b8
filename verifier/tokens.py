"""Attestation results as tokens.

EAR: draft-ietf-rats-ear, in the shape that CoCo Trustee gives it (ES256). Simple: Trustee's
older token, which Alibaba Cloud's service still issues; there `tcb-status` is a JSON *text*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .appraisal import Verdict

EAR_PROFILE = "tag:github.com,2024:confidential-containers/Trustee"
ISSUER = "cczoo-verify"

AFFIRMING, WARNING, CONTRAINDICATED = "affirming", "warning", "contraindicated"

_TRUST_CLAIMS = {AFFIRMING: 2, WARNING: 32, CONTRAINDICATED: 96}
"""AR4SI trustworthiness claim values, one from each tier (draft-ietf-rats-ar4si, 2.3.2)."""

_ATTRIBUTE_BITS = {
    "debug": 0,
    "septve_disable": 28,
    "protection_keys": 30,
    "key_locker": 31,
    "perfmon": 63,
}
"""Bits of TDATTRIBUTES (Intel TDX Module ABI, section 3.4.1) under the services' names."""


def ear_status(tcb_status: str) -> str:
    """The appraisal's tier for a TCB status; what we do not know is contraindicated."""
    if tcb_status == "UpToDate":
        return AFFIRMING
    if tcb_status in {
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
    }:
        return WARNING
    return CONTRAINDICATED


def ear_claims(
    submods: Mapping[str, tuple[Verdict, Any]],
    *,
    now: float,
    ttl: int,
    build: str,
    token_id: str,
    policy_id: str = "default",
) -> dict[str, Any]:
    """Claims of an EAR over `submods`: name -> verdict and structured runtime data or None."""
    return {
        "eat_profile": EAR_PROFILE,
        "iss": ISSUER,
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now) + ttl,
        "jti": token_id,
        "ear.verifier-id": {"build": build, "developer": "https://github.com/intel"},
        "submods": {
            name: _appraisal(verdict, runtime_claims, policy_id)
            for name, (verdict, runtime_claims) in submods.items()
        },
    }


def simple_claims(
    verdict: Verdict, *, issuer: str, now: float, ttl: int, token_id: str
) -> dict[str, Any]:
    """Claims of a Simple token in the shape of Alibaba Cloud's service."""
    return {
        "aud": issuer,
        "customized_claims": {"init_data": None, "runtime_data": None},
        "eat_profile": f"{issuer}/eat-profile",
        "evaluation-reports": [{"policy-hash": None, "policy-id": "default"}],
        "exp": int(now) + ttl,
        "iat": int(now),
        "iss": issuer,
        "jti": token_id,
        "nbf": int(now),
        "tcb-status": json.dumps(_flat(evidence_claims(verdict)), separators=(",", ":")),
        "tee": "tdx",
    }


def evidence_claims(verdict: Verdict) -> dict[str, Any]:
    """What a quote says, nested as in an EAR's annotated evidence; hex as in the quote."""
    quote = verdict.quote
    described = quote.to_dict()
    body = quote.body.to_dict()
    body["tcb_svn"] = body.pop("tee_tcb_svn")  # the services' name for it
    attributes = int.from_bytes(quote.body.td_attributes, "little")
    return {
        "tdx": {
            "quote": {
                **{name: described[name] for name in ("type", "size") if name in described},
                "header": described["header"],
                "body": body,
            },
            "td_attributes": {
                name: bool(attributes >> bit & 1) for name, bit in _ATTRIBUTE_BITS.items()
            },
        },
        "report_data": body["report_data"],
        "init_data": body["mr_config_id"],
    }


def _appraisal(verdict: Verdict, runtime_claims: Any, policy_id: str) -> dict[str, Any]:
    status = ear_status(verdict.tcb_status)
    return {
        "ear.status": status,
        "ear.trustworthiness-vector": {"hardware": _TRUST_CLAIMS[status]},
        "ear.appraisal-policy-id": policy_id,
        "ear.veraison.annotated-evidence": {
            **evidence_claims(verdict),
            "init_data_claims": None,
            "runtime_data_claims": runtime_claims,
            "cczoo": {
                "simulated": verdict.simulated,
                "root": verdict.root_name,
                "tcb_status": verdict.tcb_status,
                "advisory_ids": list(verdict.advisory_ids),
                "tcb_date": verdict.tcb_date.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "tcb_eval_num": verdict.evaluation.lowest,
            },
        },
    }


def _flat(claims: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in claims.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat

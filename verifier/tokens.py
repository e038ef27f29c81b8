"""Attestation results as tokens.

EAR: draft-ietf-rats-ear (ES256), in two forms: `trustee` as CoCo Trustee up to v0.21 spells it,
`04` as draft-ietf-rats-ear-04 does. Simple: Trustee's older token, which Alibaba Cloud's service
still issues; there `tcb-status` is a JSON *text*.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from quote_generator.evidence import encode_base64url

from .appraisal import Verdict

TRUSTEE, DRAFT_04 = "trustee", "04"
EAR_FORMS = (TRUSTEE, DRAFT_04)

EAR_PROFILE = "tag:github.com,2024:confidential-containers/Trustee"
EAR_PROFILE_04 = "tag:ietf.org,2026:rats/ear#04"
ISSUER = "cczoo-verify"
DEVELOPER = "https://github.com/intel"

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
    form: str = TRUSTEE,
    policy_id: str = "default",
) -> dict[str, Any]:
    """Claims of an EAR over `submods`: name -> verdict and structured runtime data or None.

    `form` is one of EAR_FORMS.
    """
    is_new = form == DRAFT_04
    appraisal = _appraisal_04 if is_new else _appraisal
    return {
        "eat_profile": EAR_PROFILE_04 if is_new else EAR_PROFILE,
        "iss": ISSUER,
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now) + ttl,
        "jti": token_id,
        "ear_verifier_id" if is_new else "ear.verifier-id": {
            "build": build,
            "developer": DEVELOPER,
        },
        "submods": {
            name: appraisal(verdict, runtime_claims, policy_id)
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


def platform_claims(verdict: Verdict) -> dict[str, Any]:
    """What the verification found of platform and collateral, by the names of Trustee v0.21."""
    numbers = {
        "pck_crl_num": verdict.grounds.pck_crl_number,
        "root_ca_crl_num": verdict.grounds.root_crl_number,
    }
    return {
        "tcb_status": verdict.tcb_status,
        "advisory_ids": list(verdict.advisory_ids),
        "tcb_date": _rfc3339(verdict.tcb_date),
        "tcb_eval_num": verdict.evaluation.lowest,
        # There is no verdict under collateral that has ended.
        "collateral_expiration_status": "0",
        "earliest_expiration_date": _rfc3339(
            datetime.datetime.fromtimestamp(int(verdict.expires), datetime.UTC)
        ),
        **{name: number for name, number in numbers.items() if _is_plain(number)},
    }


def _appraisal(verdict: Verdict, runtime_claims: Any, policy_id: str) -> dict[str, Any]:
    """A submodule as Trustee writes it: one object for the evidence and what was made of it."""
    status = ear_status(verdict.tcb_status)
    evidence = _attester_claims(verdict, runtime_claims)
    evidence["tdx"] |= platform_claims(verdict)
    return {
        "ear.status": status,
        "ear.trustworthiness-vector": {"hardware": _TRUST_CLAIMS[status]},
        "ear.appraisal-policy-id": policy_id,
        "ear.veraison.annotated-evidence": {**evidence, "cczoo": _own_claims(verdict)},
    }


def _appraisal_04(verdict: Verdict, runtime_claims: Any, policy_id: str) -> dict[str, Any]:
    """A submodule of draft-ietf-rats-ear-04 (section 3.1): what the evidence says stands apart
    from what the verifier says.

    `eat_nonce` (RFC 9711, section 4.1) is the evidence's own: the quote's report data, 64 bytes.
    """
    status = ear_status(verdict.tcb_status)
    return {
        "ear_status": status,
        "ear_trustworthiness_vector": {"hardware": _TRUST_CLAIMS[status]},
        "ear_appraisal_policy_ids": [policy_id],
        "eat_nonce": encode_base64url(verdict.quote.body.report_data),
        "ear_attester_claims": _attester_claims(verdict, runtime_claims),
        "ear_verifier_claims": {"tdx": platform_claims(verdict), "cczoo": _own_claims(verdict)},
    }


def _attester_claims(verdict: Verdict, runtime_claims: Any) -> dict[str, Any]:
    return {
        **evidence_claims(verdict),
        "init_data_claims": None,
        "runtime_data_claims": runtime_claims,
    }


def _own_claims(verdict: Verdict) -> dict[str, Any]:
    """What no other service has a name for."""
    return {"simulated": verdict.simulated, "root": verdict.root_name}


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_plain(number: int | None) -> bool:
    """Whether a number is there, and one that every reader of JSON reads alike (RFC 7493)."""
    return number is not None and number < 1 << 53


def _flat(claims: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in claims.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat

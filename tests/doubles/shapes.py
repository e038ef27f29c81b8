"""What answers of the real attestation services look like: members, types and nesting.

Written down from public examples, and independent of what makes our own answers:

- Alibaba Cloud ECS, "Remote attestation service": the sample answers for OpenID discovery and for
  the attestation of a TDX instance (a token of March 2025, quote v5 with a TDX 1.5 body), and
  "EAT profile of the remote attestation service".
- CoCo Trustee v0.13.0 and v0.21.0: attestation-service/docs (example.token.json, tcb_claims.md,
  restful-as.md), the fixture expected-jwks.json, and the verifier's
  test_data/parse_tdx_claims_expected.json.

A shape is a dictionary of shapes, a list of one shape for all items, a set of values, or a test
with a name. A member whose name ends in "?" may be missing; anything else there is must be named.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Is:
    """A test of one value."""

    name: str
    holds: Callable[[Any], bool]


def matching(name: str, pattern: str) -> Is:
    """A string of a form."""
    compiled = re.compile(pattern)
    return Is(name, lambda value: isinstance(value, str) and bool(compiled.fullmatch(value)))


def hexed(size: int) -> Is:
    """Bytes in lower-case hex."""
    return matching(f"hex of {size} bytes", f"[0-9a-f]{{{2 * size}}}")


TEXT = Is("text", lambda value: isinstance(value, str) and bool(value))
BOOLEAN = Is("boolean", lambda value: isinstance(value, bool))
NULL = Is("null", lambda value: value is None)
OBJECT_OR_NULL = Is("object or null", lambda value: value is None or isinstance(value, dict))
SECONDS = Is("seconds since 1970", lambda value: type(value) is int and 1 << 30 < value < 1 << 32)
ADDRESS = matching("address", r"https?://[^\s?#]+[^\s?#/]")
BASE64URL = matching("unpadded base64url", r"[A-Za-z0-9_-]+")
UUID = Is("UUID", lambda value: isinstance(value, str) and str(uuid.UUID(value)) == value)
STATUS_LEVEL = Is("AR4SI value", lambda value: type(value) is int and -128 <= value <= 127)


def differences(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """Where a value does not have a shape; nothing where it does."""
    if isinstance(shape, Is):
        if not shape.holds(value):
            yield f"{path or '/'}: {value!r} is no {shape.name}"
    elif isinstance(shape, set):
        if value not in shape:
            yield f"{path or '/'}: {value!r} is none of {sorted(shape)}"
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            yield f"{path or '/'}: no list, or an empty one"
            return
        for at, item in enumerate(value):
            yield from differences(item, shape[0], f"{path}/{at}")
    elif not isinstance(value, dict):
        yield f"{path or '/'}: no object"
    else:
        known = {name.removesuffix("?") for name in shape}
        yield from (f"{path}/{name}: unknown" for name in sorted(value.keys() - known))
        for name, inner in shape.items():
            bare = name.removesuffix("?")
            if bare in value:
                yield from differences(value[bare], inner, f"{path}/{bare}")
            elif not name.endswith("?"):
                yield f"{path}/{bare}: missing"


# --- a TDX quote in claims -----------------------------------------------------------------------

QUOTE_HEADER = {
    "version": {"0400", "0500"},
    "att_key_type": hexed(2),
    "tee_type": {"81000000"},
    "reserved": hexed(4),
    "vendor_id": hexed(16),
    "user_data": hexed(20),
}
QUOTE_BODY = {
    **dict.fromkeys(("mr_seam", "mrsigner_seam", "mr_td", "mr_config_id"), hexed(48)),
    **dict.fromkeys(("mr_owner", "mr_owner_config"), hexed(48)),
    **dict.fromkeys(("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"), hexed(48)),
    **dict.fromkeys(("seam_attributes", "td_attributes", "xfam"), hexed(8)),
    "tcb_svn": hexed(16),
    "report_data": hexed(64),
}
QUOTE_BODY_15 = {"tee_tcb_svn2": hexed(16), "mr_servicetd": hexed(48)}
TD_ATTRIBUTES = dict.fromkeys(
    ("debug", "key_locker", "perfmon", "protection_keys", "septve_disable"), BOOLEAN
)


def quote_shape(version: int) -> dict[str, Any]:
    """`tdx.quote` of a v4 quote, or of a v5 quote with a TDX 1.5 body."""
    if version == 4:
        return {"header": QUOTE_HEADER, "body": QUOTE_BODY}
    return {
        "header": QUOTE_HEADER,
        "body": {**QUOTE_BODY, **QUOTE_BODY_15},
        "type": {"0300"},
        "size": {"88020000"},
    }


# --- Alibaba Cloud -------------------------------------------------------------------------------

ALIBABA_HEADER = {"alg": {"RS256"}, "kid": UUID, "typ": {"JWT"}}
ALIBABA_CLAIMS = {
    "iss": ADDRESS,
    "aud": ADDRESS,
    "iat": SECONDS,
    "nbf": SECONDS,
    "exp": SECONDS,
    "jti": UUID,
    "eat_profile": ADDRESS,
    "tee": {"tdx"},
    "customized_claims": {"init_data": NULL, "runtime_data": NULL},
    "evaluation-reports": [{"policy-id": TEXT, "policy-hash": NULL}],
    "tcb-status": TEXT,
}
ALIBABA_LIFE = 6 * 3600
ALIBABA_DISCOVERY = {
    **dict.fromkeys(("issuer", "jwks_uri", "authorization_endpoint"), ADDRESS),
    **dict.fromkeys(("token_endpoint", "userinfo_endpoint"), ADDRESS),
    "id_token_signing_alg_values_supported": [{"RS256"}],
    "response_types_supported": [TEXT],
    "subject_types_supported": [{"public"}],
}


def alibaba_status(version: int) -> dict[str, Any]:
    """What the text `tcb-status` holds: one flat object."""
    quote = quote_shape(version)
    return {
        "report_data": hexed(64),
        "init_data": hexed(48),
        **{f"tdx.quote.header.{name}": inner for name, inner in quote["header"].items()},
        **{f"tdx.quote.body.{name}": inner for name, inner in quote["body"].items()},
        **{f"tdx.quote.{name}": quote[name] for name in ("type", "size") if name in quote},
        **{f"tdx.td_attributes.{name}": inner for name, inner in TD_ATTRIBUTES.items()},
    }


# --- CoCo Trustee --------------------------------------------------------------------------------

TRUSTEE_KEY = {
    "kty": {"EC"},
    "crv": {"P-256"},
    "alg": {"ES256"},
    "x": BASE64URL,
    "y": BASE64URL,
    "x5u?": ADDRESS,
    "x5c?": [TEXT],
}
TRUSTEE_KEY_SET = {"keys": [TRUSTEE_KEY]}
TRUSTEE_HEADER = {"alg": {"ES256"}, "typ": {"JWT"}, "jwk": TRUSTEE_KEY}
TRUST_VECTOR = dict.fromkeys(
    (
        "instance-identity?", "configuration?", "executables?", "file-system?", "hardware?",
        "runtime-opaque?", "storage-opaque?", "sourced-data?",
    ),
    STATUS_LEVEL,
)  # fmt: skip


def trustee_claims(submod: str, version: int) -> dict[str, Any]:
    """An EAR about one TD: `submod` is cpu in v0.13 and cpu0 later."""
    evidence = {
        "report_data": hexed(64),
        "runtime_data_claims": OBJECT_OR_NULL,
        "init_data": hexed(48),
        "init_data_claims": OBJECT_OR_NULL,
        "tdx": {
            "quote": quote_shape(version),
            "td_attributes": TD_ATTRIBUTES,
            "tcb_status?": TEXT,
            "advisory_ids?": Is("list", lambda value: isinstance(value, list)),
            "tcb_date?": TEXT,
            "collateral_expiration_status?": TEXT,
            "earliest_expiration_date?": DATE,
            **dict.fromkeys(("tcb_eval_num?", "pck_crl_num?", "root_ca_crl_num?"), COUNT),
            "platform_instance_id?": hexed(16),
            "uefi_event_logs?": Is("list", lambda value: isinstance(value, list)),
        },
    }
    return {
        "eat_profile": {"tag:github.com,2024:confidential-containers/Trustee"},
        "iat": SECONDS,
        "exp": SECONDS,
        "iss?": TEXT,  # from v0.21
        "ear.verifier-id": {"build": TEXT, "developer": TEXT},
        "submods": {
            submod: {
                "ear.status": {"none", "affirming", "warning", "contraindicated"},
                "ear.trustworthiness-vector": TRUST_VECTOR,
                "ear.appraisal-policy-id": TEXT,
                "ear.veraison.annotated-evidence": evidence,
            }
        },
    }


TRUSTEE_LIFE = 300


# --- CoCo Trustee, version by version ------------------------------------------------------------
# As recorded from restful-as, built from the tags v0.13.0 and v0.21.0.

COUNT = Is("count", lambda value: type(value) is int and value >= 0)
LIST = Is("list", lambda value: isinstance(value, list))
DATE = matching("date", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BASE64 = matching(
    "padded base64", r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
)
EXPIRATION = {"0", "1"}

TRUSTEE_CERTIFICATE = {"0.13": BASE64URL, "0.21": BASE64}
TRUSTEE_STATUSES = {
    "0.13": {
        "OK", "Min", "OutOfDate", "OutOfDateConfigurationNeeded", "SoftwareHardeningNeeded",
        "ConfigurationAndSoftwareHardeningNeeded",
    },
    "0.21": {
        "UpToDate", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded",
        "SWHardeningNeeded", "ConfigurationAndSWHardeningNeeded", "TDRelaunchAdvised",
        "TDRelaunchAdvisedConfigurationNeeded",
    },
}  # fmt: skip

_V021_PLATFORM = {
    **dict.fromkeys(("earliest_issue_date", "latest_issue_date"), DATE),
    **dict.fromkeys(("earliest_expiration_date", "tcb_date"), DATE),
    **dict.fromkeys(("tcb_eval_num", "pck_crl_num", "root_ca_crl_num"), COUNT),
    "root_key_id": hexed(48),
    "sgx_type": {"Standard", "Scalable", "Scalable with Integrity"},
    **dict.fromkeys(("platform_provider_id", "platform_instance_id"), hexed(16)),
    # Of a platform whose type is not Standard:
    **dict.fromkeys(("is_dynamic_platform?", "is_cached_keys?", "is_smt_enabled?"), BOOLEAN),
    "uefi_event_logs?": LIST,
}
_V013_LOGS = {
    "ccel": Is("object", lambda value: isinstance(value, dict)),
    "aael?": Is("object", lambda value: isinstance(value, dict)),
}


def restful_key(version: str, *, certified: bool) -> dict[str, Any]:
    """The key that `restful-as` of a version puts into headers of EARs, and into its key set."""
    chain = {"x5c": [TRUSTEE_CERTIFICATE[version]]} if certified else {}
    numbers = {"kty": {"EC"}, "crv": {"P-256"}, "x": BASE64URL, "y": BASE64URL}
    return {"alg": {"ES256"}, **chain, **numbers}


def restful_header(version: str, *, certified: bool) -> dict[str, Any]:
    """The header of an EAR."""
    return {"typ": {"JWT"}, "alg": {"ES256"}, "jwk": restful_key(version, certified=certified)}


def restful_claims(version: str, quote: int, count: int = 1) -> dict[str, Any]:
    """An EAR about `count` quotes of version `quote`, under a version's shipped policy."""
    is_old = version == "0.13"
    names = ["cpu"] if is_old else [f"cpu{at}" for at in range(count)]
    submod = {
        "ear.status": {"none", "affirming", "warning", "contraindicated"},
        # The newer policy says "no assertion" where the older one says nothing.
        "ear.trustworthiness-vector": dict.fromkeys(
            ("configuration", "executables", "hardware")
            if is_old
            else (name.removesuffix("?") for name in TRUST_VECTOR),
            STATUS_LEVEL,
        ),
        "ear.appraisal-policy-id": {"default"},
        "ear.veraison.annotated-evidence": {
            "report_data": hexed(64),
            "runtime_data_claims": OBJECT_OR_NULL,
            "init_data": hexed(48),
            "init_data_claims": OBJECT_OR_NULL,
            "tdx": {
                "quote": quote_shape(quote),
                "td_attributes": TD_ATTRIBUTES,
                "tcb_status": TRUSTEE_STATUSES[version],
                "advisory_ids": LIST,
                "collateral_expiration_status": EXPIRATION,
                **(_V013_LOGS if is_old else _V021_PLATFORM),
            },
        },
        **({} if is_old else {"ear.trustee.identifiers": {"validated": {}}}),
    }
    return {
        "eat_profile": {"tag:github.com,2024:confidential-containers/Trustee"},
        "iat": SECONDS,
        "exp": SECONDS,
        **({} if is_old else {"iss": {"CoCo-Attestation-Service"}}),
        "ear.verifier-id": {
            "developer": {"https://confidentialcontainers.org"},
            "build": TEXT,
        },
        "submods": dict.fromkeys(names, submod),
    }


RESTFUL_SIMPLE_HEADER = {
    "alg": {"RS384"},
    "typ": {"JWT"},
    "jwk": {
        "alg": {"RS384"},
        "e": BASE64URL,
        "kty": {"RSA"},
        "n": BASE64URL,
        "x5c?": [BASE64URL],
    },
}
RESTFUL_SIMPLE_CLAIMS = {
    "customized_claims": {"init_data": OBJECT_OR_NULL, "runtime_data": OBJECT_OR_NULL},
    "evaluation-reports": [{"policy-hash": hexed(48), "policy-id": TEXT}],
    **dict.fromkeys(("exp", "iat", "nbf"), SECONDS),
    "iss": {"CoCo-Attestation-Service"},
    "jti": matching("ten letters or digits", "[A-Za-z0-9]{10}"),
    "tcb-status": TEXT,
    "tee": {"tdx"},
}


def restful_simple_status() -> dict[str, Any]:
    """`tcb-status` of v0.13's Simple token about a v4 quote, once its text is read."""
    return {
        "init_data": hexed(48),
        "report_data": hexed(64),
        "tdx.advisory_ids": LIST,
        "tdx.collateral_expiration_status": EXPIRATION,
        "tdx.tcb_status": TRUSTEE_STATUSES["0.13"],
        **{f"tdx.quote.body.{name}": shape for name, shape in QUOTE_BODY.items()},
        **{f"tdx.quote.header.{name}": shape for name, shape in QUOTE_HEADER.items()},
        **{f"tdx.td_attributes.{name}": shape for name, shape in TD_ATTRIBUTES.items()},
    }

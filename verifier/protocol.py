"""The Trustee REST protocol: what a client sends to an attestation service.

Two body forms, as restful-as of CoCo Trustee takes them: flat up to v0.13, and from v0.14 a
list `verification_requests`. Alibaba Cloud's service takes the flat one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.evidence import canonical_json, decode_base64url
from quote_generator.quote import Quote

from . import strictjson
from .appraisal import Rejected

FLAT, LISTED = "0.13", "0.14"
"""Names of the body forms, after the first Trustee version with each (as far as we care)."""

MAX_REQUESTS = 8
"""How many pieces of evidence one body may hold."""

_HASHES = ("sha256", "sha384", "sha512")


class Malformed(ValueError):  # noqa: N818
    """Malformed: the body is not a request; nothing was appraised."""


@dataclass(frozen=True)
class Request:
    """One piece of evidence to appraise.

    `expected_report_data` holds the values of which the quote's report data must be one, each
    of 64 bytes; it is empty where the client gave no runtime data. `runtime_claims` is what
    the token repeats of structured runtime data.
    """

    tee: str
    raw_quote: bytes
    cc_eventlog: bytes | None
    aa_eventlog: str | None
    expected_report_data: tuple[bytes, ...]
    expected_config_id: bytes | None
    runtime_claims: Any


@dataclass(frozen=True)
class Body:
    """A whole request body."""

    form: str
    requests: tuple[Request, ...]
    policy_ids: tuple[str, ...]


def parse_body(
    data: bytes, forms: Iterable[str] = (FLAT, LISTED), *, accept_hashed_raw: bool = True
) -> Body:
    """Read a request body in one of `forms`.

    Trustee and Alibaba Cloud take raw runtime data for the report data itself and hash
    structured data only. With `accept_hashed_raw` the report data may also be the hash of raw
    data, so that a client may hand over exactly what the TD signed.

    Raises Malformed where it is not one (a service answers 400), and Rejected where it is one
    whose content is no evidence (a service answers as for evidence that does not hold).
    """
    try:
        body = strictjson.loads(data)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Malformed("the body is not a JSON object")
    listed = LISTED in forms and ("verification_requests" in body or FLAT not in forms)
    policies = _texts(body, "policy_ids")
    if not listed:
        return Body(FLAT, (_request(body, accept_hashed_raw),), policies)
    items = _field(body, "verification_requests", list)
    if not 1 <= len(items) <= MAX_REQUESTS:
        raise Rejected("evidence-format", "request-count", f"{len(items)} verification requests")
    if not all(isinstance(item, dict) for item in items):
        raise Malformed("invalid type in `verification_requests`: expected objects")
    return Body(LISTED, tuple(_request(item, accept_hashed_raw) for item in items), policies)


def check_bindings(request: Request, quote: Quote) -> None:
    """Raise Rejected unless the quote is over the data that the client expects in it."""
    expected = request.expected_report_data
    if expected and quote.body.report_data not in expected:
        raise Rejected(
            "nonce-binding",
            "report-data-differs",
            "REPORT_DATA is different from that in TDX Quote",
        )
    if request.expected_config_id not in (None, quote.body.mr_config_id):
        raise Rejected(
            "reference-values",
            "init-data-differs",
            "MRCONFIGID is different from that in TDX Quote",
        )


def _request(item: Mapping[str, Any], accept_hashed_raw: bool) -> Request:
    tee = _field(item, "tee", str)
    encoded = _field(item, "evidence", str)
    runtime = _optional(item, "runtime_data", dict)
    hash_name = _hash_name(item, "runtime_data_hash_algorithm")
    expected, claims = _runtime_data(runtime, hash_name, accept_hashed_raw)
    evidence = _evidence(encoded)
    return Request(
        tee=tee,
        raw_quote=_base64(_text(evidence, "quote"), "quote"),
        cc_eventlog=_optional_base64(evidence, "cc_eventlog"),
        aa_eventlog=_text(evidence, "aa_eventlog") if evidence.get("aa_eventlog") else None,
        expected_report_data=expected,
        expected_config_id=_init_data(item),
        runtime_claims=claims,
    )


def _evidence(encoded: str) -> Mapping[str, Any]:
    """The JSON object inside the `evidence` member."""
    try:
        evidence = strictjson.loads(decode_base64url(encoded, "evidence"))
    except ValueError as error:
        raise _unreadable(f"evidence: {error}") from error
    if not isinstance(evidence, dict):
        raise _unreadable("evidence is not base64url of a JSON object")
    return evidence


def _runtime_data(
    runtime: Mapping[str, Any] | None, hash_name: str, accept_hashed_raw: bool
) -> tuple[tuple[bytes, ...], Any]:
    """Accepted report data, and the claims that repeat structured runtime data."""
    if runtime is None:
        return (), None
    if "structured" in runtime and len(runtime) == 1:
        canonical = _canonical(runtime["structured"], "runtime_data")
        return (_hashed(canonical, hash_name, 64),), runtime["structured"]
    if "raw" not in runtime or len(runtime) != 1:
        raise Malformed("unknown variant in `runtime_data`, expected `raw` or `structured`")
    try:
        raw = decode_base64url(_field(runtime, "raw", str), "runtime_data")
    except BadInput as error:
        raise _unreadable(str(error)) from error
    # v0.13 cuts longer data to 64 bytes, where it then differs from any digest.
    accepted = [raw[:64].ljust(64, b"\0")]
    if accept_hashed_raw:
        accepted.append(_hashed(raw, hash_name, 64))
    return tuple(accepted), None


def _init_data(item: Mapping[str, Any]) -> bytes | None:
    """The MRCONFIGID that the client's init data stands for (48 bytes)."""
    init = _optional(item, "init_data", dict)
    if init is None:
        return None
    digest = init.get("raw", init.get("init_data_digest"))
    if isinstance(digest, str):
        try:
            raw = decode_base64url(digest, "init_data")
        except BadInput as error:
            raise _unreadable(str(error)) from error
        if len(raw) > 48:
            raise _unreadable(f"init_data has {len(raw)} bytes: MRCONFIGID has 48")
        return raw.ljust(48, b"\0")
    if "structured" in init:
        canonical = _canonical(init["structured"], "init_data")
        return _hashed(canonical, _hash_name(item, "init_data_hash_algorithm"), 48)
    raise _unreadable("this kind of init_data is not supported here, only a digest is")


def _canonical(value: Any, name: str) -> bytes:
    try:
        return canonical_json(value)
    except BadInput as error:
        raise _unreadable(f"{name}: {error}") from error


def _hashed(data: bytes, hash_name: str, size: int) -> bytes:
    """The digest, zero-padded or cut to `size`, as Trustee fits it into the quote's field."""
    return hashlib.new(hash_name, data).digest().ljust(size, b"\0")[:size]


def _hash_name(item: Mapping[str, Any], name: str) -> str:
    value = _optional(item, name, str)
    if value is None:
        return "sha384"
    if value not in _HASHES:
        raise _unreadable(f"{name}: unknown hash algorithm")
    return str(value)


def _optional_base64(evidence: Mapping[str, Any], name: str) -> bytes | None:
    return _base64(_text(evidence, name), name) if evidence.get(name) else None


def _text(evidence: Mapping[str, Any], name: str) -> str:
    value = evidence.get(name)
    if not isinstance(value, str):
        raise _unreadable(f"evidence: `{name}` is not a string")
    return value


def _base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(f"evidence: `{name}` is not base64") from error


def _unreadable(reason: str) -> Rejected:
    return Rejected("evidence-format", "evidence-malformed", reason)


def _field(item: Mapping[str, Any], name: str, kind: type) -> Any:
    """A required member of a given type. Raises Malformed, worded as serde does."""
    if name not in item:
        raise Malformed(f"missing field `{name}`")
    if not isinstance(item[name], kind):
        raise Malformed(f"invalid type for `{name}`")
    return item[name]


def _optional(item: Mapping[str, Any], name: str, kind: type) -> Any:
    return None if item.get(name) is None else _field(item, name, kind)


def _texts(item: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _field(item, name, list)
    if not all(isinstance(value, str) for value in values):
        raise Malformed(f"invalid type in `{name}`: expected strings")
    return tuple(values)

"""Trustee v0.13.0, the original kit's: flat bodies, EAR about `cpu` or Simple, no key set."""

from __future__ import annotations

import hashlib
import json
import secrets
import string
import textwrap
from collections.abc import Mapping
from typing import Any

from cczoo_verifier import tokens

from quote_generator.errors import BadInput
from quote_generator.eventlog import CutShort, parse_ccel
from quote_generator.evidence import decode_base64url, encode_base64url
from quote_generator.quote import Quote

from . import policies, reading
from .library import (
    INVALID_PARAMETER,
    NO_COLLATERAL,
    RESULTS,
    TERMINAL,
    Found,
    Refusal,
    is_readable,
    judge,
)
from .policies import Vector
from .service import (
    ATTESTATION,
    ISSUER,
    SIMPLE,
    TOKEN_SECONDS,
    Asked,
    Fault,
    Trustee,
    caused_by,
    replay,
)
from .signing import EAR_ALGORITHM, SIMPLE_ALGORITHM
from .web import Cors, Gone

_NAMES = {
    "UpToDate": "OK",
    "ConfigurationNeeded": "Min",
    "OutOfDate": "OutOfDate",
    "OutOfDateConfigurationNeeded": "OutOfDateConfigurationNeeded",
    "SWHardeningNeeded": "SoftwareHardeningNeeded",
    "ConfigurationAndSWHardeningNeeded": "ConfigurationAndSoftwareHardeningNeeded",
}
"""This version's names of the states with which it reads on."""

_DATA = reading.optional(reading.variant(raw=reading.text, structured=reading.anything))
_BODY = {
    "tee": reading.text,
    "evidence": reading.text,
    "runtime_data": _DATA,
    "init_data": _DATA,
    "runtime_data_hash_algorithm": reading.optional(reading.text),
    "init_data_hash_algorithm": reading.optional(reading.text),
    "policy_ids": reading.texts,
}
_EVIDENCE = {
    "cc_eventlog": reading.optional(reading.text),
    "quote": reading.text,
    "aa_eventlog": reading.optional(reading.text),
}

_Log = dict[str, list[str]]


class Bare(str):
    """A value in a fault's text that is no string there, and has no quotation marks."""


class TrusteeV013(Trustee):
    """A service of v0.13.0."""

    version = "0.13"
    shipped_policy_ids = ("default",)

    def cors(self) -> Cors | None:
        """None: there is no such code but in the kit's patch, and that is for evidence only."""
        if not self.setup.patched:
            return None
        return Cors(self.setup.origins, (ATTESTATION,), ("POST",), ("content-type",))

    def fault(self, context: str, *causes: str) -> Fault:
        """The text is Rust's for an error, spread over lines."""
        return Fault(f"InternalError(\n{textwrap.indent(_debug(context, *causes), '    ')},\n)")

    def refused(self, *reasons: str) -> Fault:
        """As above: all reasons are one string."""
        whole = f"Verifier evaluate failed: TDX Verifier: {caused_by(reasons)}"
        return self.fault("attestation report evaluate", whole)

    def unknown_hash(self) -> Fault:
        """As above."""
        return self.fault("parse runtime data HashAlgorithm failed", Bare("VariantNotFound"))

    def attest(self, data: bytes) -> str:
        """As above."""
        text = data.decode(errors="replace")
        body = reading.struct(reading.read_json(data), _BODY, reading.at(text, len(text)))
        asked = self._asked(body)
        found = self._judge(asked)
        self.check_bound(asked, found.quote)
        self._check_firmware_log(asked, found.quote)
        applications_log = self._applications_log(asked, found.quote)
        if self.setup.references_down:
            status = 'Status(Status { code: Unavailable, message: "tcp connect error" })'
            raise self._failed(f"Generate reference data failed: {status}")
        evidence = _evidence(found, applications_log)
        policy_id = (body["policy_ids"] or ["default"])[0]
        if policy_id not in self.policies:
            raise self._failed(_NO_POLICY_FILE)
        if self.setup.token == SIMPLE:
            return self._simple(asked, evidence, policy_id)
        return self.ear({"cpu": self._submod(asked, found, evidence, policy_id)})

    def _failed(self, reason: str) -> Fault:
        return self.fault("attestation report evaluate", reason)

    def _asked(self, body: Mapping[str, Any]) -> Asked:
        try:
            evidence = decode_base64url(body["evidence"], "evidence")
        except BadInput as error:
            raise self.fault("base64 decode evidence", Bare("InvalidPadding")) from error
        self.check_tee(body["tee"])
        runtime, runtime_claims = self._bound(body, "runtime_data", "Runtime Data")
        init, init_claims = self._bound(body, "init_data", "Init Data")
        text = evidence.decode(errors="replace")
        try:
            where = reading.at(text, len(text))
            logs = reading.struct(reading.read_json(evidence), _EVIDENCE, where)
        except reading.Misread as error:
            reasons = ("Verifier evaluate failed: Deserialize TDX Evidence failed.", str(error))
            raise self._failed(caused_by(reasons)) from error
        return Asked(
            **logs,
            runtime=runtime,
            runtime_claims=runtime_claims,
            init=init,
            init_claims=init_claims,
        )

    def _bound(self, body: Mapping[str, Any], name: str, said: str) -> tuple[bytes | None, Any]:
        algorithm = self.hash_name(body[f"{name}_hash_algorithm"])
        if body[name] is None:
            return None, None
        try:
            kind, value = body[name]
            return self.bound(kind, value, algorithm)
        except BadInput as error:
            inner = self.fault("base64 decode raw data", Bare("InvalidPadding"))
            raise self.fault(f"decode given {said}", Bare(inner)) from error

    def _judge(self, asked: Asked) -> Found:
        raw_quote = self.quote_in(asked)
        if not is_readable(raw_quote):
            step = "tee_get_quote_supplemental_data_size"
            raise self.refused(f"{step} failed: {INVALID_PARAMETER:#x}")
        try:
            if self.setup.collateral_down:
                raise Refusal(NO_COLLATERAL)
            found = judge(raw_quote, self.setup.trust(), self.setup.clock(), self.setup.chosen)
        except Refusal as error:
            raise self.refused(f"tee_verify_quote failed: {error.code:#x}") from error
        if found.status in TERMINAL or found.status not in _NAMES:
            code = RESULTS[found.status][0]
            raise self.refused(f"Verification completed with Terminal result: {code:x}")
        return found

    def _check_firmware_log(self, asked: Asked, quote: Quote) -> None:
        """Of what a log leads to, RTMR3 is not looked at. Raises Fault, and Gone for a cut one."""
        if not asked.cc_eventlog:
            return
        data = self.unpacked(asked.cc_eventlog)
        try:
            events = parse_ccel(data)
        except CutShort as error:
            raise Gone from error
        except BadInput as error:
            raise self.refused(f"Parse CC Eventlog failed: {error}") from error
        body = quote.body
        measured = (body.rtmr_0, body.rtmr_1, body.rtmr_2)
        if measured != tuple(replay(events, index) for index in (1, 2, 3)):
            raise self.refused(
                "RTMR 0, 1, 2 values from TD quote is not equal with the values from EventLog"
            )

    def _applications_log(self, asked: Asked, quote: Quote) -> _Log | None:
        """What the text log tells, which has to lead to RTMR3. Raises Fault."""
        if not asked.aa_eventlog:
            return None
        try:
            log, value = _read_log(asked.aa_eventlog)
        except ValueError as error:
            raise self.refused("failed to parse AA Eventlog from evidence", str(error)) from error
        if value != quote.body.rtmr_3:
            raise self.refused(
                f"AA eventlog does not pass check. AAEL value : {value.hex()},"
                f" Quote value {quote.body.rtmr_3.hex()}"
            )
        return log

    # --- results ---------------------------------------------------------------------------------

    def _submod(
        self, asked: Asked, found: Found, evidence: Mapping[str, Any], policy_id: str
    ) -> dict[str, Any]:
        vector = self.vector(found, evidence, policy_id)
        if not vector:
            raise self._failed("At least one policy claim must be set.")
        return {
            "ear.status": policies.status_of(vector),
            "ear.trustworthiness-vector": vector,
            "ear.appraisal-policy-id": policy_id,
            "ear.veraison.annotated-evidence": {
                **evidence,
                "init_data_claims": asked.init_claims,
                "runtime_data_claims": asked.runtime_claims,
            },
        }

    def shipped_vector(self, found: Found, evidence: Mapping[str, Any]) -> Vector:
        """The platform's state and its collateral's make no difference."""
        known, body = self.setup.references, evidence["tdx"]["quote"]["body"]
        is_configured = policies.are_known(body, ("xfam",), known)
        is_debug = evidence["tdx"]["td_attributes"]["debug"]
        has_booted = policies.are_known(body, ("rtmr_1", "rtmr_2"), known)
        has_hardware = policies.are_known(body, ("mr_seam", "tcb_svn", "mr_td"), known)
        return {
            "configuration": 2 if is_configured and not is_debug else 36,
            "executables": 3 if has_booted else 33,
            "hardware": 2 if has_hardware else 97,
        }

    def _simple(self, asked: Asked, evidence: Mapping[str, Any], policy_id: str) -> str:
        """What is in no reference value is no matter: without any, everything passes."""
        told = dict(sorted(_flat(evidence).items()))
        for name, value in told.items():
            known = self.setup.references.get(name, ())
            if known and value not in known:
                raise self._failed(f"Reject by policy {policy_id}")
        now = int(self.setup.clock())
        digest = hashlib.sha384(self.policies[policy_id].encode()).hexdigest()
        claims = {
            "customized_claims": {
                "init_data": asked.init_claims,
                "runtime_data": asked.runtime_claims,
            },
            "evaluation-reports": [{"policy-hash": digest, "policy-id": policy_id}],
            "exp": now + TOKEN_SECONDS,
            "iat": now,
            "iss": ISSUER,
            "jti": "".join(secrets.choice(string.ascii_letters) for _ in range(10)),
            "nbf": now,
            "tcb-status": json.dumps(told, separators=(",", ":")),
            "tee": "tdx",
        }
        header = {"alg": SIMPLE_ALGORITHM, "jwk": self.public_key(), "typ": "JWT"}
        return self.signer.sign(header, claims)

    def public_key(self) -> dict[str, Any]:
        """Certificates in base64url, and coordinates without their leading zeros."""
        is_simple = self.setup.token == SIMPLE
        key = self.signer.jwk(SIMPLE_ALGORITHM if is_simple else EAR_ALGORITHM, encode_base64url)
        for name in ("x", "y"):
            if name in key:
                key[name] = encode_base64url(decode_base64url(key[name], name).lstrip(b"\0"))
        return key

    def policy_list(self) -> str:
        """As above."""
        listed = [
            {
                "policy-hash": encode_base64url(hashlib.sha384(policy.encode()).digest()),
                "policy-id": policy_id,
            }
            for policy_id, policy in self.policies.items()
        ]
        return json.dumps(listed, separators=(",", ":"))


_NO_POLICY_FILE = Bare(
    "ReadPolicyFileFailed(\n"
    "    Os {\n"
    "        code: 2,\n"
    "        kind: NotFound,\n"
    '        message: "No such file or directory",\n'
    "    },\n"
    ")"
)


def _debug(context: str, *causes: str) -> str:
    """An error and what it came from, as `{:#?}` writes them."""
    if not causes:
        return _quoted(context)
    source = _debug(*causes).replace("\n", "\n    ")
    return f"Error {{\n    context: {_quoted(context)},\n    source: {source},\n}}"


def _quoted(text: str) -> str:
    return str(text) if isinstance(text, Bare) else json.dumps(text, ensure_ascii=False)


def _read_log(text: str) -> tuple[_Log, bytes]:
    """What a text log tells, and the register it leads to. Raises ValueError."""
    head, *lines = text.splitlines()
    words = head.split()
    if len(words) != 2:
        raise ValueError("Illegal INIT event record.")
    if words[0] != "INIT":
        raise ValueError("INIT event should start with `INIT` key word")
    algorithm, _, initial = words[1].partition("/")
    told: _Log = {}
    value = _extended(algorithm, bytes.fromhex(initial), head.strip())
    for line in lines:
        parts = line.rstrip().split(" ")
        if len(parts) != 3:
            form = "<domain> <operation> <content>"
            raise ValueError(f"Illegal AA event entry format. Should be `{form}`")
        told.setdefault("/".join(parts[:2]), []).append(parts[2])
        value = _extended(algorithm, value, " ".join(parts))
    return told, value


def _extended(algorithm: str, value: bytes, line: str) -> bytes:
    digest = hashlib.new(algorithm, line.encode()).digest()
    return hashlib.new(algorithm, value + digest).digest()


def _evidence(found: Found, log: _Log | None) -> dict[str, Any]:
    """What the token says of the evidence."""
    told = tokens.evidence_claims(found.verdict)
    told["tdx"] |= {
        "advisory_ids": list(found.advisory_ids),
        "ccel": {},
        "collateral_expiration_status": found.expiration,
        "tcb_status": _NAMES[found.status],
    }
    if log is not None:
        told["tdx"]["aael"] = log
    return told


def _flat(told: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, with dotted names; an empty one leaves nothing."""
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat

"""Trustee v0.21.0: bodies that list evidence, EAR about `cpu0` and so on, a key set, CORS."""

from __future__ import annotations

import base64
import hashlib
import json
import tomllib
from collections.abc import Mapping
from typing import Any

from cczoo_verifier import tokens

from quote_generator.errors import BadInput
from quote_generator.eventlog import CutShort, Event, parse_ccel
from quote_generator.eventtext import kind_of
from quote_generator.evidence import decode_base64url
from quote_generator.quote import Quote, parse_quote

from . import policies, reading
from .library import (
    ERRORS,
    NOT_EXPIRED,
    RESULTS,
    TERMINAL,
    Found,
    Refusal,
    fmspc_of,
    is_readable,
    judge,
    platform_instance,
    supplement,
)
from .policies import Vector
from .service import (
    ATTESTATION,
    ISSUER,
    KEYS,
    Asked,
    Fault,
    Trustee,
    caused_by,
    replay,
)
from .signing import EAR_ALGORITHM
from .web import Cors, Gone, Routes

_RUNTIME = reading.optional(reading.variant(raw=reading.text, structured=reading.anything))
_INIT = reading.optional(
    reading.variant(init_data_digest=reading.text, init_data_toml=reading.text)
)
_BODY = {"verification_requests": reading.sequence, "policy_ids": reading.texts}
_REQUEST = {
    "tee": reading.text,
    "evidence": reading.text,
    "runtime_data": _RUNTIME,
    "init_data": _INIT,
    "runtime_data_hash_algorithm": reading.optional(reading.text),
}
_EVIDENCE = {"cc_eventlog": reading.optional(reading.text), "quote": reading.text}

_COLLATERAL_SERVICE = "http://127.0.0.1:9"
"""Where nobody answers; the address in the fault that was recorded."""


class TrusteeV021(Trustee):
    """A service of v0.21.0."""

    version = "0.21"
    shipped_policy_ids = ("default_cpu", "default_gpu", "default_ppcie", "default_switch")

    def routes(self) -> Routes:
        """As above, and the key set."""
        return {**super().routes(), KEYS: {"GET": self.keys}}

    def cors(self) -> Cors | None:
        """Of the whole application, `/policy` too; the kit's patch makes that two resources."""
        return Cors(self.setup.origins, (ATTESTATION, KEYS) if self.setup.patched else None)

    def fault(self, context: str, *causes: str) -> Fault:
        """The text is a numbered list."""
        listed = "\n".join(f"{at}: {text}" for at, text in enumerate((context, *causes)))
        return Fault(f"An internal error occured: \n{listed}")

    def refused(self, *reasons: str) -> Fault:
        """As above: what the verifier says is one entry, and has a list of its own."""
        whole = caused_by(("Verifier evaluate failed: TDX Verifier", *reasons))
        return self._failed(whole)

    def unknown_hash(self) -> Fault:
        """As above."""
        context = "parse runtime data HashAlgorithm failed"
        return self.fault(context, "Matching variant not found")

    def _failed(self, reason: str) -> Fault:
        return self.fault("attestation report evaluate", reason)

    def attest(self, data: bytes) -> str:
        """As above."""
        body, requests = self._read(data)
        everything = [self._asked(request) for request in requests]
        if not everything:
            raise self._failed("No verification requests provided.")
        judged = [(asked, *self._claims(asked)) for asked in everything]
        policy_id = (body["policy_ids"] or ["default"])[0]
        submods = {
            f"cpu{at}": self._submod(asked, found, evidence, policy_id)
            for at, (asked, found, evidence) in enumerate(judged)
        }
        return self.ear(submods, iss=ISSUER)

    def _read(self, data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The body, and the evidence that it lists."""
        text = data.decode(errors="replace")
        value = reading.read_json(data)
        requests = []
        if isinstance(value, dict) and isinstance(value.get("verification_requests"), list):
            ends = reading.items_of(text, "verification_requests")
            for item, end in zip(value["verification_requests"], ends, strict=True):
                requests.append(reading.struct(item, _REQUEST, reading.at(end, len(end))))
        return reading.struct(value, _BODY, reading.at(text, len(text))), requests

    def _asked(self, request: Mapping[str, Any]) -> Asked:
        try:
            evidence = decode_base64url(request["evidence"], "evidence")
        except BadInput as error:
            raise self.fault("base64 decode evidence", "Invalid padding") from error
        try:
            content = reading.read_json(evidence)
        except reading.Misread as error:
            raise self.fault("failed to parse evidence as JSON", str(error)) from error
        self.check_tee(request["tee"])
        algorithm = self.hash_name(request["runtime_data_hash_algorithm"])
        try:
            runtime, runtime_claims = self._bound(request["runtime_data"], algorithm)
            init, init_claims = self._bound(request["init_data"], algorithm)
        except BadInput as error:
            raise self.fault("decode given Runtime Data", f"base64 decode raw {error}") from error
        return Asked(
            **self._logs(content),
            runtime=runtime,
            runtime_claims=runtime_claims,
            init=init,
            init_claims=init_claims,
        )

    def _logs(self, content: Any) -> dict[str, Any]:
        """The quote and the one log that this version knows."""
        try:
            return {"aa_eventlog": None, **reading.struct(content, _EVIDENCE, "")}
        except reading.Misread as error:
            reasons = ("Verifier evaluate failed: Deserialize TDX Evidence failed.", str(error))
            raise self._failed(caused_by(reasons)) from error

    def _bound(self, data: tuple[str, Any] | None, algorithm: str) -> tuple[bytes | None, Any]:
        if data is None:
            return None, None
        kind, value = data
        if kind != "init_data_toml":
            return self.bound(kind, value, algorithm)
        try:
            told = tomllib.loads(value)
            return hashlib.new(told["algorithm"], value.encode()).digest(), told["data"]
        except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
            raise self._failed(caused_by(("parse init data", str(error)))) from error

    # --- evidence --------------------------------------------------------------------------------

    def _claims(self, asked: Asked) -> tuple[Found, dict[str, Any]]:
        found = self._judge(asked)
        self.check_bound(asked, found.quote)
        told = tokens.evidence_claims(found.verdict)
        told["tdx"] |= {
            "advisory_ids": list(found.advisory_ids),
            "collateral_expiration_status": found.expiration,
            "platform_instance_id": platform_instance(found.quote),
            "tcb_status": found.status,
            **supplement(found),
        }
        if asked.cc_eventlog:
            events = self._replayed(asked.cc_eventlog, found.quote)
            told["tdx"]["uefi_event_logs"] = [_event(event) for event in events]
        return found, told

    def _judge(self, asked: Asked) -> Found:
        raw_quote = self.quote_in(asked)
        if not is_readable(raw_quote):
            raise self.refused(*_unreadable(raw_quote))
        if self.setup.collateral_down:
            raise self.refused(*_nobody_answers(parse_quote(raw_quote)))
        try:
            found = judge(raw_quote, self.setup.trust(), self.setup.clock(), self.setup.chosen)
        except Refusal as error:
            name, meaning = ERRORS[error.code]
            said = f"tee_verify_quote failed: {name} ({error.code:#x}) - {meaning}"
            raise self.refused(said) from error
        if found.status in TERMINAL:
            code, name = RESULTS[found.status]
            said = f"Terminal result: SGX_QL_QV_RESULT_{name} ({code:#x})"
            raise self.refused(f"Verification completed with {said}")
        return found

    def _replayed(self, encoded: str, quote: Quote) -> tuple[Event, ...]:
        """The log's events, which have to lead to all four registers. Raises Fault and Gone."""
        data = self.unpacked(encoded)
        try:
            events = parse_ccel(data)
        except CutShort as error:
            # Lengths are believed where bytes are taken, checked where numbers are.
            if str(error).startswith(("event's data", "digest at")):
                raise Gone from error
            raise self.refused(f"Parse CC Eventlog failed: {error}") from error
        except BadInput as error:
            raise self.refused(f"Parse CC Eventlog failed: {error}") from error
        body = quote.body
        measured = (body.rtmr_0, body.rtmr_1, body.rtmr_2, body.rtmr_3)
        for index, register in enumerate(measured, start=1):
            value = replay(events, index)
            if value != register:
                raise self.refused(
                    "Eventlog does not pass measurement replay CC Event Log Measurement Register"
                    f" [index = {index}]. Calculated value: {value.hex()},"
                    f" Given value: {register.hex()}"
                )
        return events

    # --- results ---------------------------------------------------------------------------------

    def _submod(
        self, asked: Asked, found: Found, evidence: Mapping[str, Any], policy_id: str
    ) -> dict[str, Any]:
        name = f"{policy_id}_cpu"
        if name not in self.policies:
            raise self._failed(f"Policy `{name}.rego` not found")
        is_shipped = self.policies[name] == policies.SHIPPED
        if is_shipped and self.setup.references_down:
            said = "Get Reference Value from RVPS timeout: Elapsed(())"
            raise self._failed(
                f"Failed to eval policy: Get Reference Value from RVPS failed: {said}"
            )
        # A policy that sets no trust claims leaves all at "no assertion".
        vector = self.vector(found, evidence, name) or dict.fromkeys(policies.CLAIMS, 0)
        extensions: dict[str, Any] = (
            {"ear.trustee.identifiers": {"validated": {}}} if is_shipped else {}
        )
        return {
            "ear.status": policies.status_of(vector),
            "ear.trustworthiness-vector": vector,
            "ear.appraisal-policy-id": policy_id,
            "ear.veraison.annotated-evidence": {
                **evidence,
                "init_data_claims": asked.init_claims,
                "runtime_data_claims": asked.runtime_claims,
            },
            **extensions,
        }

    def shipped_vector(self, found: Found, evidence: Mapping[str, Any]) -> Vector:
        """The platform has to be up to date, and its collateral in date."""
        known, body = self.setup.references, evidence["tdx"]["quote"]["body"]
        is_good = found.status == "UpToDate" and found.expiration == NOT_EXPIRED
        is_configured = policies.are_known(body, ("xfam",), known)
        is_debug = evidence["tdx"]["td_attributes"]["debug"]
        has_booted = policies.are_known(body, ("rtmr_1", "rtmr_2"), known)
        return dict.fromkeys(policies.CLAIMS, 0) | {
            "configuration": 2 if is_configured and not is_debug else 36,
            "executables": 4 if has_booted else 33,
            "hardware": 2 if is_good and policies.are_known(body, ("mr_td",), known) else 97,
        }

    def public_key(self) -> dict[str, Any]:
        """Certificates in base64 with its padding, as RFC 7517 has it."""
        return self.signer.jwk(EAR_ALGORITHM, lambda item: base64.b64encode(item).decode())

    def policy_list(self) -> str:
        """As above."""
        listed = [{"policy-id": policy_id} for policy_id in self.policies]
        return json.dumps(listed, separators=(",", ":"))


def _unreadable(raw_quote: bytes) -> tuple[str, ...]:
    """What is said of bytes that are no quote."""
    if len(raw_quote) < 48:
        return "parse quote header failed", f"bad input {len(raw_quote)}"
    if len(raw_quote) < 636:
        return "parse TDX quote v4 body failed", f"bad input {len(raw_quote)}"
    size = int.from_bytes(raw_quote[632:636], "little")
    return (f"quote too short for declared signature data length ({size})",)


def _nobody_answers(quote: Quote) -> tuple[str, ...]:
    """What is said where the collateral service does not answer."""
    address = f"{_COLLATERAL_SERVICE}/tdx/certification/v4/tcb?fmspc={fmspc_of(quote)}&update=early"
    error = f"Cache error: error sending request for url ({address})"
    return "failed to fetch TcbInfo", f"failed to send request to PCS: {error}", error


def _event(event: Event) -> dict[str, Any]:
    """One event of a log; what it means (`details`) is not read here."""
    return {
        "details": {},
        "digest_matches_event": hashlib.sha384(event.data).digest() == event.digest,
        "digests": [{"alg": "SHA-384", "digest": event.digest.hex()}],
        "event": base64.b64encode(event.data).decode(),
        "index": event.register,
        "type_name": f"EV_{kind_of(event)}",
    }

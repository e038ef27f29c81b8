"""What a relying party meets at CoCo Trustee's `restful-as`: one contract, whoever answers.

It is held by the likenesses of v0.13.0 and v0.21.0 (`doubles.trustee`), each as its authors ship it
and with the kit's patch. `make test-trustee TRUSTEE_AS=/path/to/restful-as` holds a real one to the
same: whichever version it is, patched or not, it is found out. That one verifies quotes through a
library of Intel's, which refuses a simulator's: see `doubles.trustee.real` for what it needs.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cczoo_verifier.trust import from_simulator
from cryptography import x509

from doubles import shapes
from doubles.evidence import encode
from doubles.serving import serving
from doubles.shapes import differences
from doubles.trustee import real
from doubles.trustee.service import ATTESTATION, CHALLENGE, KEYS, POLICY, Setup, Trustee
from doubles.trustee.signing import Signer, certified
from doubles.trustee.v013 import TrusteeV013
from doubles.trustee.v021 import TrusteeV021
from quote_generator.evidence import canonical_json, decode_base64url, encode_base64url
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator
from vectors import logs

REAL = os.environ.get("TRUSTEE_AS")
DOUBLES: dict[str, tuple[type[Trustee], bool]] = {
    "double 0.13": (TrusteeV013, False),
    "double 0.13 patched": (TrusteeV013, True),
    "double 0.21": (TrusteeV021, False),
    "double 0.21 patched": (TrusteeV021, True),
}
WHO = ["real"] if REAL else list(DOUBLES)

CLIENT = httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all: to make one costs more than most of what is asked here.

Each request has a connection of its own. A real service that answers before it has read a body
(413, no content type) never answers what comes next on the connection.
"""

ORIGIN, OTHER = "https://chat.example", "https://elsewhere.example"
MEASURED = {name: bytes([at]) * 48 for at, name in enumerate(("rtmr_0", "rtmr_1", "rtmr_2"), 0x30)}
KNOWN = ("mr_td", "mr_seam", "tcb_svn", "rtmr_1", "rtmr_2", "xfam")
NONCE = b"n" * 48
BODY_LIMIT = 2_097_152
VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

LENIENT = {
    "0.13": "package policy\n\nexecutables := 3\nhardware := 2\n",
    "0.21": 'package policy\n\ntrust_claims := {"executables": 3, "hardware": 2}\n',
}
"""Policies that like everything."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """Who is held to the contract: a service, and a TD that it knows."""

    version: str
    is_patched: bool
    url: str
    td: Simulator
    signer: Signer

    @property
    def is_old(self) -> bool:
        return self.version == "0.13"

    def evidence(self, runtime: bytes = NONCE, **quote: Any) -> str:
        return encode(self.quote(runtime, **quote))

    def quote(self, runtime: bytes = NONCE, **quote: Any) -> bytes:
        return self.td.quote(runtime[:64].ljust(64, b"\0"), **quote)

    def asked(self, evidence: str, **more: Any) -> dict[str, Any]:
        """The members of a request about evidence."""
        raw = {"raw": encode_base64url(NONCE)}
        return {"tee": "tdx", "evidence": evidence, "runtime_data": raw, **more}

    def body(self, *asked: Mapping[str, Any], policy_ids: tuple[str, ...] = ()) -> dict[str, Any]:
        """A body in the version's own form."""
        if self.is_old:
            [request] = asked
            return {**request, "policy_ids": list(policy_ids)}
        return {"verification_requests": list(asked), "policy_ids": list(policy_ids)}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return CLIENT.request(method, self.url + path, **more)

    def attest(self, body: Any, **more: Any) -> httpx.Response:
        return self.request("POST", ATTESTATION, json=body, **more)

    def claims(self, answer: httpx.Response) -> dict[str, Any]:
        """What the token says, if the service's signer signed it."""
        assert answer.status_code == 200, answer.text
        key = self.signer.key.public_key()
        claims: dict[str, Any] = jwt.decode(answer.text, key, algorithms=["ES256"])
        return claims

    def submod(self, answer: httpx.Response) -> dict[str, Any]:
        [submod] = self.claims(answer)["submods"].values()
        assert isinstance(submod, dict)
        return submod

    def refusal(self, reason: str, *causes: str) -> str:
        """What the whole text is where the verifier gives a reason."""
        if self.is_old:
            return internal_error(f"Verifier evaluate failed: TDX Verifier: {reason}")
        told = "Verifier evaluate failed: TDX Verifier\n\nCaused by:\n    " + reason
        return f"An internal error occured: \n0: attestation report evaluate\n1: {told}"

    def refuses(self, answer: httpx.Response, text: str) -> None:
        assert (answer.status_code, answer.text) == (500, text)
        assert "content-type" not in answer.headers


def internal_error(source: str) -> str:
    """The older version's words for an error and where it came from."""
    inner = (
        f'        context: "attestation report evaluate",\n        source: {json.dumps(source)},\n'
    )
    return f"InternalError(\n    Error {{\n{inner}    }},\n)"


@pytest.fixture(scope="module", params=WHO)
def service(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Subject]:
    folder: Path = tmp_path_factory.mktemp("trustee")
    signer, _ = certified("ES256")
    td = Simulator.open(folder / "td")
    references = known_values(td)
    if request.param == "real":
        assert REAL
        with real.running(Path(REAL), folder, td, signer, references, ORIGIN) as url:
            version = real.version_of(url)
            yield Subject(version, is_patched(Path(REAL), version, url), url, td, signer)
        return
    kind, patched = DOUBLES[request.param]
    setup = Setup(
        from_simulator(td.directory), signer, references, origins=(ORIGIN,), patched=patched
    )
    with serving(kind(setup).app) as url:
        yield Subject(kind.version, patched, url, td, signer)


def known_values(td: Simulator) -> dict[str, list[str]]:
    """The TD's reference values, and those of the same one after a boot with logs."""
    quotes = [td.quote(bytes(64)), td.quote(bytes(64), measurements=registers(EVENTS, ()))]
    bodies = [parse_quote(quote).body.to_dict() for quote in quotes]
    names = {name: {"tcb_svn": "tee_tcb_svn"}.get(name, name) for name in KNOWN}
    return {name: [str(body[ours]) for body in bodies] for name, ours in names.items()}


def is_patched(binary: Path, version: str, url: str) -> bool:
    """Whether CORS is for some resources only; the older version has none without the patch."""
    if version == "0.13":
        return real.takes_origins(binary)
    return "vary" not in CLIENT.get(url + POLICY).headers


# --- routes --------------------------------------------------------------------------------------


def test_what_is_asked_where(service: Subject) -> None:
    """A proxy in front passes two of these; whatever else there is has to be known."""
    found = {
        (method, path): (answer.status_code, answer.headers.get("allow"), answer.text)
        for method in ("GET", "PUT")
        for path in (ATTESTATION, CHALLENGE, "/policy/default", "/", "/healthz", "/attestation/")
        if (answer := service.request(method, path)) is not None
    }
    for method in ("GET", "PUT"):
        for path in (ATTESTATION, CHALLENGE):
            assert found.pop((method, path)) == (405, "POST", "")
    assert set(found.values()) == {(404, None, "")}
    answer = service.request("PUT", POLICY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, GET")


def test_the_key_set_is_in_the_newer_version_only(service: Subject) -> None:
    answer = service.request("GET", KEYS)
    if service.is_old:
        assert (answer.status_code, answer.content) == (404, b"")
        return
    assert answer.headers["content-type"] == "application/json"
    shape = {"keys": [shapes.restful_key("0.21", certified=True)]}
    assert list(differences(answer.json(), shape)) == []
    assert answer.json()["keys"][0] == key_in(service)


def test_a_challenge_is_empty_for_tdx(service: Subject) -> None:
    answer = service.request("POST", CHALLENGE, json={"tee": "tdx", "tee_params": ""})
    assert (answer.status_code, answer.content) == (200, b"")


# --- bodies --------------------------------------------------------------------------------------


def test_each_version_misses_what_the_other_does_not_send(service: Subject) -> None:
    asked = service.asked(service.evidence())
    body = (
        {"verification_requests": [asked], "policy_ids": []}
        if service.is_old
        else {**asked, "policy_ids": []}
    )
    missing = "tee" if service.is_old else "verification_requests"
    misread(service, json.dumps(body), f"missing field `{missing}` at line 1 column {{end}}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[", "EOF while parsing a list at line 1 column 1"),
    ],
)
def test_what_is_no_json(service: Subject, text: str, complaint: str) -> None:
    misread(service, text, complaint)


def test_members_are_missed_by_name(service: Subject) -> None:
    asked = service.asked(service.evidence())
    body = service.body(asked)
    del body["policy_ids"]
    misread(service, json.dumps(body), "missing field `policy_ids` at line 1 column {end}")
    for name in ("tee", "evidence"):
        rest = {other: value for other, value in asked.items() if other != name}
        text = json.dumps(service.body(rest))
        end = len(text) if service.is_old else text.index("}]") + 1
        misread(service, text, f"missing field `{name}` at line 1 column {end}")


def test_members_of_another_type_are_told(service: Subject) -> None:
    body = service.body(service.asked(service.evidence(), tee=1))
    answer = service.attest(body)
    assert answer.status_code == 400
    assert answer.text.startswith(
        "Json deserialize error: invalid type: integer `1`, expected a string at line 1 column "
    )
    asked = service.asked(service.evidence(), runtime_data={"hashed": ""})
    answer = service.attest(service.body(asked))
    assert answer.status_code == 400
    assert answer.text.startswith(
        "Json deserialize error: unknown variant `hashed`, expected `raw` or `structured` at line 1"
    )


def test_unknown_members_are_ignored(service: Subject) -> None:
    body = service.body(service.asked(service.evidence(), more=1)) | {"more": {}}
    assert service.attest(body).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_says_that_it_is_json(service: Subject, kind: str | None) -> None:
    """So a page can't have a browser send it without asking first."""
    headers = {"content-type": kind} if kind else {}
    content = json.dumps(service.body(service.asked(service.evidence())))
    answer = service.request("POST", ATTESTATION, content=content, headers=headers)
    assert (answer.status_code, answer.text) == (400, "Content type error")


def test_bodies_are_bounded(service: Subject) -> None:
    body = service.body(service.asked(service.evidence()))
    rest = BODY_LIMIT - len(json.dumps(body | {"more": ""}))
    fits = json.dumps(body | {"more": "x" * rest})
    assert len(fits) == BODY_LIMIT
    headers = {"content-type": "application/json"}
    assert service.request("POST", ATTESTATION, content=fits, headers=headers).status_code == 200
    answer = service.request("POST", ATTESTATION, content=fits + " ", headers=headers)
    assert answer.status_code == 413
    size = f"JSON payload ({BODY_LIMIT + 1} bytes) is larger than allowed"
    assert answer.text == f"{size} (limit: {BODY_LIMIT} bytes)."
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def misread(service: Subject, text: str, complaint: str) -> None:
    headers = {"content-type": "application/json"}
    answer = service.request("POST", ATTESTATION, content=text, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == f"Json deserialize error: {complaint.replace('{end}', str(len(text)))}"


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 5])
def test_tokens_have_their_shape(service: Subject, version: int) -> None:
    answer = service.attest(service.body(service.asked(service.evidence(version=version))))
    claims = service.claims(answer)
    assert "content-type" not in answer.headers
    header = jwt.get_unverified_header(answer.text)
    shape = shapes.restful_header(service.version, certified=True)
    assert list(differences(header, shape)) == []
    assert list(differences(claims, shapes.restful_claims(service.version, version))) == []
    assert claims["exp"] - claims["iat"] == shapes.TRUSTEE_LIFE
    [submod] = claims["submods"].values()
    assert submod["ear.status"] == "affirming"
    executables = 3 if service.is_old else 4
    expected = {"configuration": 2, "executables": executables, "hardware": 2}
    vector = submod["ear.trustworthiness-vector"]
    assert {name: value for name, value in vector.items() if value} == expected


def test_the_signer_shows_its_certificates(service: Subject) -> None:
    decode = decode_url if service.is_old else base64.b64decode
    [certificate] = key_in(service)["x5c"]
    assert decode(certificate) == service.signer.chain[0]
    shown = x509.load_der_x509_certificate(decode(certificate)).public_key()
    assert shown == service.signer.key.public_key()


def key_in(service: Subject) -> dict[str, Any]:
    token = service.attest(service.body(service.asked(service.evidence()))).text
    key: dict[str, Any] = jwt.get_unverified_header(token)["jwk"]
    return key


def decode_url(text: str) -> bytes:
    return decode_base64url(text, "x5c")


def test_the_newer_version_takes_several_quotes(service: Subject) -> None:
    if service.is_old:
        return
    asked = service.asked(service.evidence())
    claims = service.claims(service.attest(service.body(asked, asked)))
    assert list(differences(claims, shapes.restful_claims("0.21", 4, 2))) == []
    answer = service.attest(service.body())
    service.refuses(
        answer,
        "An internal error occured: \n0: attestation report evaluate\n"
        "1: No verification requests provided.",
    )


# --- what evidence is held against ---------------------------------------------------------------


def test_runtime_data_is_compared_and_filled_up(service: Subject) -> None:
    evidence = service.evidence()
    other = {"raw": encode_base64url(b"other")}
    answer = service.attest(service.body(service.asked(evidence, runtime_data=other)))
    service.refuses(answer, service.refusal("REPORT_DATA is different from that in TDX Quote"))
    for raw in (NONCE, NONCE.ljust(64, b"\0"), NONCE.ljust(80, b"\0")):
        same = {"raw": encode_base64url(raw)}
        answer = service.attest(service.body(service.asked(evidence, runtime_data=same)))
        assert answer.status_code == 200


def test_runtime_data_that_is_not_there_is_not_compared(service: Subject) -> None:
    asked = service.asked(service.evidence(b"anything"), runtime_data=None)
    assert service.submod(service.attest(service.body(asked)))["ear.status"] == "affirming"


@pytest.mark.parametrize("algorithm", [None, "sha256", "SHA384", "sha512"])
def test_structured_runtime_data_is_hashed_and_repeated(
    service: Subject, algorithm: str | None
) -> None:
    data = {"v": 1, "nonce_root": "x"}
    digest = hashlib.new((algorithm or "sha384").lower(), canonical_json(data)).digest()
    asked = service.asked(
        service.evidence(digest),
        runtime_data={"structured": data},
        runtime_data_hash_algorithm=algorithm,
    )
    told = service.submod(service.attest(service.body(asked)))["ear.veraison.annotated-evidence"]
    assert told["runtime_data_claims"] == data


def test_names_are_taken_by_the_letter(service: Subject) -> None:
    evidence = service.evidence()
    answer = service.attest(service.body(service.asked(evidence, tee="TDX")))
    said = "tee `TDX not supported`"
    expected = f'InternalError(\n    "{said}",\n)' if service.is_old else f"0: {said}"
    assert answer.status_code == 500
    assert answer.text.endswith(expected)
    asked = service.asked(evidence, runtime_data_hash_algorithm="sha-384")
    answer = service.attest(service.body(asked))
    assert answer.status_code == 500
    assert "parse runtime data HashAlgorithm failed" in answer.text


def test_a_quote_that_is_none(service: Subject) -> None:
    answer = service.attest(service.body(service.asked(encode(b""))))
    service.refuses(answer, service.refusal("TDX Quote is empty."))
    if not service.is_old:  # the older one leaves a quote's form to the library
        answer = service.attest(service.body(service.asked(encode(service.quote()[:700]))))
        size = int.from_bytes(service.quote()[632:636], "little")
        reason = f"quote too short for declared signature data length ({size})"
        service.refuses(answer, service.refusal(reason))


def test_evidence_that_is_none(service: Subject) -> None:
    nothing = encode_base64url(b"{}")
    answer = service.attest(service.body(service.asked(nothing)))
    assert answer.status_code == 500
    assert "Deserialize TDX Evidence failed." in answer.text
    assert "missing field `quote`" in answer.text


# --- event logs ----------------------------------------------------------------------------------

EVENTS = (
    logs.Event(1, logs.SEPARATOR, bytes(4)),
    logs.Event(2, logs.SEPARATOR, b"\1\0\0\0"),
    logs.Event(3, logs.IPL, b"kernel_cmdline: root=/dev/vda1\0"),
)
APPLICATION = logs.application("kit Serve chat")
LINES = (f"INIT sha384/{'00' * 48}", "image-rs Pull docker.example/chat", "kit Serve chat")
SPACED = (*LINES, "kit Serve a b")


def registers(events: Any, lines: tuple[str, ...]) -> dict[str, bytes]:
    values = logs.replay(events, lines)
    return dict(zip(("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"), values, strict=True))


def with_logs(
    service: Subject, measured: Mapping[str, bytes], ccel: bytes | None, aael: str | None = None
) -> httpx.Response:
    quote = service.quote(measurements=measured)
    encoded = None if ccel is None else base64.b64encode(ccel).decode()
    return service.attest(service.body(service.asked(encode(quote, encoded, aael))))


def test_a_firmware_log_that_explains_all_passes(service: Subject) -> None:
    for events in (EVENTS, EVENTS + APPLICATION):
        answer = with_logs(service, registers(events, ()), logs.ccel(events))
        submod = service.submod(answer)
        assert submod["ear.status"] == "affirming"
        tdx = submod["ear.veraison.annotated-evidence"]["tdx"]
        assert ("ccel" if service.is_old else "uefi_event_logs") in tdx


def test_a_firmware_log_that_leads_elsewhere_is_refused(service: Subject) -> None:
    measured = registers(EVENTS, ())
    answer = with_logs(service, measured | {"rtmr_1": bytes(48)}, logs.ccel(EVENTS))
    if service.is_old:
        reason = "RTMR 0, 1, 2 values from TD quote is not equal with the values from EventLog"
    else:
        reason = mismatch(2, measured["rtmr_1"], bytes(48))
    service.refuses(answer, service.refusal(reason))


def test_only_the_newer_version_wants_rtmr3_explained(service: Subject) -> None:
    """An honest TD that somebody extended after boot is refused, if it sends its log."""
    measured = registers(EVENTS, LINES)
    answer = with_logs(service, measured, logs.ccel(EVENTS))
    if service.is_old:
        assert answer.status_code == 200
    else:
        reason = mismatch(4, bytes(48), measured["rtmr_3"])
        service.refuses(answer, service.refusal(reason))


def mismatch(index: int, calculated: bytes, given: bytes) -> str:
    return (
        "Eventlog does not pass measurement replay CC Event Log Measurement Register "
        f"[index = {index}]. Calculated value: {calculated.hex()}, Given value: {given.hex()}"
    )


def test_a_firmware_log_that_is_cut_ends_the_connection(service: Subject) -> None:
    whole = logs.ccel(EVENTS)
    with pytest.raises(httpx.RemoteProtocolError):
        with_logs(service, registers(EVENTS, ()), whole[:-5])
    assert service.attest(service.body(service.asked(service.evidence()))).status_code == 200


def test_a_text_log_is_read_by_the_older_version(service: Subject) -> None:
    text = "\n".join(LINES) + "\n"
    measured = registers((), LINES)
    submod = service.submod(with_logs(service, {"rtmr_3": measured["rtmr_3"]}, None, text))
    tdx = submod["ear.veraison.annotated-evidence"]["tdx"]
    if service.is_old:
        assert tdx["aael"] == {"image-rs/Pull": ["docker.example/chat"], "kit/Serve": ["chat"]}
    else:
        assert not {"aael", "uefi_event_logs"} & set(tdx)


def test_a_text_log_that_leads_elsewhere(service: Subject) -> None:
    text = "\n".join(LINES) + "\n"
    answer = with_logs(service, {"rtmr_3": b"\x33" * 48}, None, text)
    if not service.is_old:
        assert answer.status_code == 200
        return
    value = registers((), LINES)["rtmr_3"].hex()
    reason = f"AA eventlog does not pass check. AAEL value : {value}, Quote value {'33' * 48}"
    service.refuses(answer, service.refusal(reason))


def test_a_text_log_with_spaces_in_its_content(service: Subject) -> None:
    measured = registers((), SPACED)
    answer = with_logs(service, {"rtmr_3": measured["rtmr_3"]}, None, "\n".join(SPACED))
    if not service.is_old:
        assert answer.status_code == 200
        return
    form = "<domain> <operation> <content>"
    cause = f"Illegal AA event entry format. Should be `{form}`"
    reason = f"failed to parse AA Eventlog from evidence\n\nCaused by:\n    {cause}"
    service.refuses(answer, service.refusal(reason))


# --- policies ------------------------------------------------------------------------------------


def test_anybody_can_set_a_policy(service: Subject) -> None:
    """What the kit cannot change, and why nobody but the operator may reach this path."""
    unknown = service.evidence(measurements={"mr_td": b"\xbb" * 48})
    asked = service.asked(unknown)
    assert service.submod(service.attest(service.body(asked)))["ear.status"] == "contraindicated"
    name = "lenient" if service.is_old else "lenient_cpu"
    text = encode_base64url(LENIENT[service.version].encode())
    answer = service.request("POST", POLICY, json={"policy_id": name, "policy": text})
    assert (answer.status_code, answer.content) == (200, b"")
    answer = service.attest(service.body(asked, policy_ids=("lenient",)))
    submod = service.submod(answer)
    assert submod["ear.status"] == "affirming"
    assert submod["ear.appraisal-policy-id"] == "lenient"
    assert submod["ear.trustworthiness-vector"] == {"executables": 3, "hardware": 2}
    listed = service.request("GET", POLICY).json()
    assert name in {item["policy-id"] for item in listed}
    assert all(("policy-hash" in item) is service.is_old for item in listed)


def test_a_policy_that_is_not_there(service: Subject) -> None:
    body = service.body(service.asked(service.evidence()), policy_ids=("nobodys",))
    answer = service.attest(body)
    assert answer.status_code == 500
    if service.is_old:
        assert "source: ReadPolicyFileFailed(\n            Os {\n" in answer.text
    else:
        assert answer.text.endswith("\n1: Policy `nobodys_cpu.rego` not found")


# --- other origins' pages ------------------------------------------------------------------------


def test_which_answers_pages_may_read(service: Subject) -> None:
    for path in (ATTESTATION, KEYS, POLICY):
        answer = ask_from(service, path, ORIGIN)
        shared = path in opened(service)
        assert answer.headers.get("access-control-allow-origin") == (ORIGIN if shared else None)
        assert answer.headers.get("vary") == (VARY if shared else None)
        strangers = ask_from(service, path, OTHER)
        assert strangers.status_code == answer.status_code
        assert "access-control-allow-origin" not in strangers.headers


def test_what_browsers_ask_first(service: Subject) -> None:
    for path in (ATTESTATION, KEYS, POLICY):
        answer = preflight(service, path, ORIGIN)
        if path not in opened(service):
            expected = 404 if path == KEYS and service.is_old else 405
            assert answer.status_code == expected
            assert not any(name.startswith("access-control") for name in answer.headers)
            continue
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "content-type" in answer.headers["access-control-allow-headers"].lower()
        refused = preflight(service, path, OTHER)
        said = "Origin is not allowed to make this request"
        assert (refused.status_code, refused.text) == (400, said)
        assert not any(name.startswith("access-control") for name in refused.headers)


def opened(service: Subject) -> tuple[str, ...]:
    """The paths that are open to the chosen origin."""
    if service.is_old:
        return (ATTESTATION,) if service.is_patched else ()
    return (ATTESTATION, KEYS) if service.is_patched else (ATTESTATION, KEYS, POLICY)


def ask_from(service: Subject, path: str, origin: str) -> httpx.Response:
    headers = {"origin": origin}
    if path == ATTESTATION:
        return service.attest(service.body(service.asked(service.evidence())), headers=headers)
    return service.request("GET", path, headers=headers)


def preflight(service: Subject, path: str, origin: str) -> httpx.Response:
    method = "GET" if path == KEYS else "POST"
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "content-type",
    }
    return service.request("OPTIONS", path, headers=headers)


# --- many at once --------------------------------------------------------------------------------


def test_many_at_once_get_their_own_answers(service: Subject) -> None:
    def ask(number: int) -> bool:
        nonce = number.to_bytes(48, "big")
        runtime = {"raw": encode_base64url(nonce)}
        asked = service.asked(service.evidence(nonce), runtime_data=runtime)
        told = service.submod(service.attest(service.body(asked)))
        report_data = told["ear.veraison.annotated-evidence"]["report_data"]
        return bool(report_data == nonce.ljust(64, b"\0").hex())

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(32)))

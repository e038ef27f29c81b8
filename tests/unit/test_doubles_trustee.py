"""The likenesses of Trustee answer as the real ones did, and misbehave as they are told to.

What a likeness has in common with a real service is in test_trustee_contract. Here is what only a
library of Intel's that verifies decides, and recordings of real answers to hold them against.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import email.utils
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.trust import from_simulator, read_root
from cryptography.hazmat.primitives.asymmetric import ec

from doubles import shapes
from doubles.evidence import encode
from doubles.serving import serving
from doubles.shapes import differences
from doubles.trustee.library import EXPIRED, RESULTS, Chosen
from doubles.trustee.service import ATTESTATION, EAR, KEYS, SIMPLE, Setup, Trustee
from doubles.trustee.signing import Signer, certified, has_leading_zero
from doubles.trustee.v013 import TrusteeV013
from doubles.trustee.v021 import TrusteeV021
from quote_generator.evidence import decode_base64url, encode_base64url
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "trustee"
VERSIONS: dict[str, type[Trustee]] = {"0.13": TrusteeV013, "0.21": TrusteeV021}
KNOWN = ("mr_td", "mr_seam", "tcb_svn", "rtmr_1", "rtmr_2", "xfam")
NONCE = b"n" * 48
CLIENT = httpx.Client(trust_env=False, timeout=60)
versions = pytest.mark.parametrize("version", VERSIONS)


def known_values(quote: bytes) -> dict[str, list[str]]:
    """Reference values that fit a quote."""
    body = parse_quote(quote).body.to_dict()
    return {name: [str(body[{"tcb_svn": "tee_tcb_svn"}.get(name, name)])] for name in KNOWN}


def body_for(version: str, quote: bytes, nonce: bytes = NONCE) -> dict[str, Any]:
    """A body that binds a quote to a nonce, in a version's own form."""
    request = {
        "tee": "tdx",
        "evidence": encode(quote),
        "runtime_data": {"raw": encode_base64url(nonce)},
    }
    if version == "0.13":
        return {**request, "policy_ids": []}
    return {"verification_requests": [request], "policy_ids": []}


def quote_of(td: Simulator, **more: Any) -> bytes:
    return td.quote(NONCE.ljust(64, b"\0"), **more)


def setup_for(td: Simulator, **more: Any) -> Setup:
    trust = from_simulator(td.directory)
    return Setup(trust, **{"references": known_values(quote_of(td)), **more})


def post(url: str, body: Any, **more: Any) -> httpx.Response:
    return CLIENT.post(url + ATTESTATION, json=body, **more)


def attest(version: str, td: Simulator, setup: Setup, quote: bytes | None = None) -> httpx.Response:
    with serving(VERSIONS[version](setup).app) as url:
        return post(url, body_for(version, quote_of(td) if quote is None else quote))


def submod_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.text, options={"verify_signature": False})
    [submod] = claims["submods"].values()
    assert isinstance(submod, dict)
    return submod


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds before long."""
    end = time.monotonic() + 30
    while time.monotonic() < end and not holds():
        time.sleep(0.05)
    return holds()


# --- what Intel's library decides ----------------------------------------------------------------

NAMES = {
    # Intel's name: (v0.13's, v0.21's); None where the evidence is refused.
    "UpToDate": ("OK", "UpToDate"),
    "ConfigurationNeeded": ("Min", "ConfigurationNeeded"),
    "OutOfDate": ("OutOfDate", "OutOfDate"),
    "OutOfDateConfigurationNeeded": ("OutOfDateConfigurationNeeded",) * 2,
    "SWHardeningNeeded": ("SoftwareHardeningNeeded", "SWHardeningNeeded"),
    "ConfigurationAndSWHardeningNeeded": (
        "ConfigurationAndSoftwareHardeningNeeded",
        "ConfigurationAndSWHardeningNeeded",
    ),
    "TDRelaunchAdvised": (None, "TDRelaunchAdvised"),
    "TDRelaunchAdvisedConfigurationNeeded": (None, "TDRelaunchAdvisedConfigurationNeeded"),
    "InvalidSignature": (None, None),
    "Revoked": (None, None),
    "Unspecified": (None, None),
}


@versions
@pytest.mark.parametrize("status", RESULTS)
def test_statuses_have_the_versions_names(version: str, status: str, simulator: Simulator) -> None:
    answer = attest(version, simulator, setup_for(simulator, chosen=Chosen(status)))
    name = NAMES[status][list(VERSIONS).index(version)]
    if name is None:
        code = f"{RESULTS[status][0]:x}"
        assert answer.status_code == 500
        assert "Verification completed with Terminal result: " in answer.text
        assert code in answer.text
        return
    submod = submod_of(answer)
    assert submod["ear.veraison.annotated-evidence"]["tdx"]["tcb_status"] == name
    is_affirmed = version == "0.13" or status == "UpToDate"
    assert submod["ear.status"] == ("affirming" if is_affirmed else "contraindicated")


@pytest.mark.parametrize(
    ("version", "verdict"), [("0.13", "affirming"), ("0.21", "contraindicated")]
)
def test_collateral_that_has_expired(version: str, verdict: str, simulator: Simulator) -> None:
    """Chosen, or found because the clock says so: the older version affirms all the same."""
    ends = json.loads(simulator.collateral()["tcb_info"])["nextUpdate"]
    late = datetime.datetime.fromisoformat(ends).timestamp() + 1
    for changes in ({"chosen": Chosen(expiration=EXPIRED)}, {"clock": lambda: late}):
        submod = submod_of(attest(version, simulator, setup_for(simulator, **changes)))
        evidence = submod["ear.veraison.annotated-evidence"]["tdx"]
        assert evidence["collateral_expiration_status"] == EXPIRED
        assert submod["ear.status"] == verdict


@versions
def test_status_and_advisories_come_from_collateral(version: str, simulator: Simulator) -> None:
    found = simulator.collateral(tcb_status="OutOfDate", advisory_ids=["INTEL-SA-00001"])
    setup = setup_for(simulator)
    setup.trust = lambda: Trust(simulator.root_der, found)
    told = submod_of(attest(version, simulator, setup))["ear.veraison.annotated-evidence"]["tdx"]
    assert (told["tcb_status"], told["advisory_ids"]) == ("OutOfDate", ["INTEL-SA-00001"])


LIBRARY = {
    "another root": ("0xe022", "SGX_QL_PCK_CERT_CHAIN_ERROR (0xe022) - "),
    "a forged quote": ("0xe068", "SGX_QL_RESULT_INVALID_SIGNATURE (0xe068) - "),
    "a revoked platform": ("0xe032", "SGX_QL_TCB_REVOKED (0xe032) - TCB is revoked."),
}


@versions
@pytest.mark.parametrize("fault", LIBRARY)
def test_what_does_not_verify_is_refused(
    version: str, fault: str, simulator: Simulator, tmp_path: Path
) -> None:
    quote, setup = quote_of(simulator), setup_for(simulator)
    if fault == "another root":
        quote = quote_of(Simulator.open(tmp_path / "other"))
    elif fault == "a forged quote":
        quote = quote[:200] + bytes([quote[200] ^ 1]) + quote[201:]
    else:
        found = simulator.collateral(tcb_status="Revoked")
        setup.trust = lambda: Trust(simulator.root_der, found)
    answer = attest(version, simulator, setup, quote)
    assert answer.status_code == 500
    code = LIBRARY[fault][list(VERSIONS).index(version)]
    assert f"tee_verify_quote failed: {code}" in answer.text


def test_a_td_in_debug_mode_is_not_affirmed(simulator: Simulator) -> None:
    debug = (1 | 1 << 28).to_bytes(8, "little")
    quote = quote_of(simulator, measurements={"td_attributes": debug})
    for version in VERSIONS:
        submod = submod_of(attest(version, simulator, setup_for(simulator), quote))
        assert submod["ear.trustworthiness-vector"]["configuration"] == 36
        assert submod["ear.status"] == "warning"


# --- what is the matter with the service ---------------------------------------------------------


@versions
def test_collateral_out_of_reach(version: str, simulator: Simulator) -> None:
    answer = attest(version, simulator, setup_for(simulator, collateral_down=True))
    said = {"0.13": "tee_verify_quote failed: 0xe01b", "0.21": "failed to fetch TcbInfo"}
    assert answer.status_code == 500
    assert said[version] in answer.text


@versions
def test_reference_values_out_of_reach(version: str, simulator: Simulator) -> None:
    answer = attest(version, simulator, setup_for(simulator, references_down=True))
    said = {
        "0.13": "Generate reference data failed",
        "0.21": "Get Reference Value from RVPS failed",
    }
    assert answer.status_code == 500
    assert said[version] in answer.text


@versions
def test_without_reference_values_no_machine_is_known(version: str, simulator: Simulator) -> None:
    submod = submod_of(attest(version, simulator, setup_for(simulator, references={})))
    vector = {name: value for name, value in submod["ear.trustworthiness-vector"].items() if value}
    assert vector == {"configuration": 36, "executables": 33, "hardware": 97}
    assert submod["ear.status"] == "contraindicated"


@versions
def test_a_service_that_hangs_up(version: str, simulator: Simulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        attest(version, simulator, setup_for(simulator, hangs_up=True))


@versions
def test_a_slow_service_is_slow_with_evidence_only(version: str, simulator: Simulator) -> None:
    setup = setup_for(simulator, delay=3600)
    with serving(VERSIONS[version](setup).app) as url:
        body = body_for(version, quote_of(simulator))
        with pytest.raises(httpx.ReadTimeout):
            CLIENT.post(url + ATTESTATION, json=body, timeout=httpx.Timeout(60, read=0.5))
        assert CLIENT.get(url + "/policy").status_code == 200
        assert eventually(lambda: setup.evidence_posts == 1)


@versions
def test_a_stopped_service_refuses_connections(version: str, simulator: Simulator) -> None:
    with serving(VERSIONS[version](setup_for(simulator)).app) as url:
        assert CLIENT.get(url + ATTESTATION).status_code == 405
    with pytest.raises(httpx.ConnectError):
        CLIENT.get(url + ATTESTATION)


@versions
def test_what_was_asked_is_told(version: str, simulator: Simulator) -> None:
    setup = setup_for(simulator)
    with serving(VERSIONS[version](setup).app) as url:
        body = body_for(version, quote_of(simulator))
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda _: post(url, body).status_code, range(32)))
        CLIENT.get(url + KEYS)
        seen = CLIENT.get(f"{url}/seen").json()
    assert answers == [200] * 32
    assert seen == [f"POST {ATTESTATION}"] * 32 + [f"GET {KEYS}"]
    assert setup.evidence_posts == 32


@versions
def test_a_policy_stays_over_a_restart(version: str, simulator: Simulator) -> None:
    setup = setup_for(simulator, references={})
    policy = encode_base64url(b'"executables": 2, "hardware": 32')
    name = {"0.13": "default", "0.21": "default_cpu"}[version]
    with serving(VERSIONS[version](setup).app) as url:
        CLIENT.post(f"{url}/policy", json={"policy_id": name, "policy": policy}).raise_for_status()
    submod = submod_of(attest(version, simulator, setup))
    assert submod["ear.status"] == "warning"


# --- signers -------------------------------------------------------------------------------------


@versions
def test_a_key_of_its_own_changes_at_each_start(version: str, simulator: Simulator) -> None:
    keys = []
    for _ in range(2):
        token = attest(version, simulator, setup_for(simulator)).text
        header = jwt.get_unverified_header(token)
        shape = shapes.restful_header(version, certified=False)
        assert list(differences(header, shape)) == []
        keys.append(header["jwk"]["x"])
    assert keys[0] != keys[1]


def test_only_the_older_version_drops_leading_zeros(simulator: Simulator) -> None:
    """One key in 128 has a coordinate that RFC 7518 (6.2.1.2) would have filled up."""
    key = next(key for _ in range(100_000) if has_leading_zero(key := curve_key()))
    sizes = {}
    for version in VERSIONS:
        token = attest(version, simulator, setup_for(simulator, signer=Signer(key))).text
        jwk = jwt.get_unverified_header(token)["jwk"]
        sizes[version] = min(len(decode_base64url(jwk[name], name)) for name in ("x", "y"))
    assert sizes["0.13"] < sizes["0.21"] == 32


def curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_the_older_versions_simple_token(simulator: Simulator) -> None:
    signer, _ = certified("RS384")
    setup = setup_for(simulator, token=SIMPLE, signer=signer, references={})
    answer = attest("0.13", simulator, setup)
    claims = jwt.decode(answer.text, signer.key.public_key(), algorithms=["RS384"])
    header = jwt.get_unverified_header(answer.text)
    assert list(differences(header, shapes.RESTFUL_SIMPLE_HEADER)) == []
    assert list(differences(claims, shapes.RESTFUL_SIMPLE_CLAIMS)) == []
    status = json.loads(claims["tcb-status"])
    assert list(differences(status, shapes.restful_simple_status())) == []
    setup.references = {"tdx.quote.body.mr_td": ["00"]}
    answer = attest("0.13", simulator, setup)
    assert answer.status_code == 500
    assert '"Reject by policy default"' in answer.text


# --- the command line ----------------------------------------------------------------------------


def test_the_command_line_sets_it_up(simulator: Simulator, tmp_path: Path) -> None:
    signer, _ = certified("ES256")
    key, chain = signer.save(tmp_path)
    references = tmp_path / "references.json"
    references.write_text(json.dumps(known_values(quote_of(simulator))))
    arguments = {
        "--version": "0.21",
        "--simulator": simulator.directory,
        "--signer-key": key,
        "--signer-chain": chain,
        "--reference-values": references,
        "--allowed-origin": "https://chat.example",
        "--tcb-status": "OutOfDate",
        "--advisory-id": "INTEL-SA-00002",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    process = subprocess.Popen(
        [sys.executable, "-m", "doubles.trustee", *words],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        headers = {"origin": "https://chat.example"}
        answer = post(url, body_for("0.21", quote_of(simulator)), headers=headers)
    finally:
        process.terminate()
        process.wait(30)
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    jwt.decode(answer.text, signer.key.public_key(), algorithms=["ES256"])
    told = submod_of(answer)["ear.veraison.annotated-evidence"]["tdx"]
    assert (told["tcb_status"], told["advisory_ids"]) == ("OutOfDate", ["INTEL-SA-00002"])


# --- held to the recordings ----------------------------------------------------------------------

CHANGING = {"iat", "nbf", "exp", "jti", "policy-hash"}
"""Claims that differ from token to token, and the hash of a policy that is not here."""

OF_A_STAND_IN = {
    "earliest_issue_date", "latest_issue_date", "earliest_expiration_date", "tcb_date", "sgx_type",
    "pck_crl_num", "root_ca_crl_num", "root_key_id", "platform_provider_id", "is_dynamic_platform",
    "is_cached_keys", "is_smt_enabled", "tcb_eval_num",
}  # fmt: skip
"""Of these a stand-in for Intel's library said something else, or nothing; its platforms are of the
SGX type that no TDX platform is, Standard."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A request to a real service, and its answer."""

    path: Path

    @property
    def content(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.path.read_text())
        return loaded

    @property
    def request(self) -> dict[str, Any]:
        request: dict[str, Any] = self.content["request"]
        return request

    @property
    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.content["answer"]
        return answer

    @property
    def version(self) -> str:
        return "0.13" if self.path.name.startswith("v0.13") else "0.21"

    @property
    def can_be_repeated(self) -> bool:
        """Whether the request was kept, and the collateral that the answer rests on."""
        return bool(self.request) and "tee_verify_quote failed" not in self.answer["body"]

    @property
    def claims(self) -> dict[str, Any]:
        """What the token says, if there is one."""
        claims: dict[str, Any] = self.answer.get("token", {}).get("payload", {})
        return claims

    def setup(self) -> Setup:
        """A service set up as this one was: that can be seen in its answer."""
        is_simple = "tcb-status" in self.claims
        submod = next(iter(self.claims.get("submods", {"": {}}).values()))
        vector = submod.get("ear.trustworthiness-vector", {})
        signer, _ = certified("RS384" if is_simple else "ES256")
        moment = email.utils.parsedate_to_datetime(self.answer["headers"]["date"]).timestamp()
        return Setup(
            recorded_trust,
            signer,
            references=self._references() if vector.get("executables") in (3, 4) else {},
            token=SIMPLE if is_simple else EAR,
            chosen=self._chosen(submod),
            collateral_down="failed to fetch" in self.answer["body"],
            policies=self._policies(vector),
            clock=lambda: moment,
        )

    def _references(self) -> Mapping[str, list[str]]:
        """The recorded service knew the machine it was asked about."""
        asked = self.request.get("verification_requests", [self.request])[0]["evidence"]
        evidence = json.loads(decode_base64url(asked, "evidence"))
        return known_values(base64.b64decode(evidence["quote"]))

    def _chosen(self, submod: Mapping[str, Any]) -> Chosen:
        """What Intel's library, or what stood in for it, found."""
        if code := re.search(r"Terminal result: .*?(a0[0-9a-f]{2})\b", self.answer["body"]):
            codes = {number: name for name, (number, _) in RESULTS.items()}
            return Chosen(codes[int(code[1], 16)])
        if not submod:
            return Chosen()
        told = submod["ear.veraison.annotated-evidence"]["tdx"]
        at = list(VERSIONS).index(self.version)
        [status] = (name for name, names in NAMES.items() if names[at] == told["tcb_status"])
        expiration = told["collateral_expiration_status"]
        return Chosen(status, tuple(told["advisory_ids"]), expiration)

    def _policies(self, vector: Mapping[str, int]) -> dict[str, str]:
        """The shipped policy says something of the configuration; another was set for some."""
        if not vector or "configuration" in vector:
            return {}
        name = "default" if self.version == "0.13" else "default_cpu"
        return {name: "".join(f"{claim} := {number}\n" for claim, number in vector.items())}

    def ask(self, url: str) -> httpx.Response:
        """Send the same request."""
        request = self.request
        if "method" in request:
            headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
            asks_first = request["method"] == "OPTIONS"
            return CLIENT.request(
                request["method"], url + request["path"], headers=headers if asks_first else None
            )
        content = request.get("raw") or json.dumps(request)
        headers = {"content-type": "application/json"}
        return CLIENT.post(url + ATTESTATION, content=content, headers=headers)


def recorded_trust() -> Trust:
    """Root and collateral of the recorded TD: documents are kept with their signatures."""
    [collateral] = RECORDINGS.glob("keys/*collateral.json")
    [root] = RECORDINGS.glob("keys/*root.pem")
    fields = json.loads(collateral.read_text())
    for name, member in (("tcb_info", "tcbInfo"), ("qe_identity", "enclaveIdentity")):
        form = rf'\{{"{member}":(.*),"signature":"([0-9a-f]+)"\}}'
        match = re.fullmatch(form, fields[name], re.DOTALL)
        assert match
        fields[name], fields[f"{name}_signature"] = match.groups()
    return Trust(read_root(root), fields)


def recordings() -> list[Recording]:
    return [Recording(path) for path in sorted(RECORDINGS.glob("v*.json"))]


MISSING = "recordings of a real Trustee are not beside the project (../shared/data)"
TO_REPEAT = [
    pytest.param(recording, id=recording.path.stem)
    for recording in recordings()
    if recording.can_be_repeated
] or [pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no-recordings")]


@pytest.mark.parametrize("recording", TO_REPEAT)
def test_the_likeness_answers_as_was_recorded(recording: Recording) -> None:
    recorded = recording.answer
    with serving(VERSIONS[recording.version](recording.setup()).app) as url:
        answer = recording.ask(url)
    assert answer.status_code == recorded["status"]
    assert set(answer.headers) | {"connection"} == set(recorded["headers"])
    for name in ("content-type", "allow", "vary"):
        assert answer.headers.get(name) == recorded["headers"].get(name)
    if "token" in recorded:
        header, claims = recorded["token"]["header"], recorded["token"]["payload"]
        assert form_of(jwt.get_unverified_header(answer.text)) == form_of(header)
        found = jwt.decode(answer.text, options={"verify_signature": False})
        assert form_of(found).keys() == form_of(claims).keys()
        left_out = CHANGING | (OF_A_STAND_IN if "Standard" in json.dumps(claims) else set())
        assert without(found, left_out) == without(claims, left_out)
    elif answer.headers.get("content-type") == "application/json":
        assert form_of(answer.json()) == form_of(json.loads(recorded["body"]))
    else:
        assert answer.text == recorded["body"]


@pytest.mark.parametrize("fault", ["another root", "no collateral", "a revoked platform"])
def test_the_likeness_refuses_as_was_recorded(
    fault: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Where another request has to do, as the recorded one or its collateral was not kept."""
    recorded = {
        (recording.answer["status"], recording.answer["body"])
        for recording in recordings()
        if not recording.can_be_repeated
    }
    if not recorded:
        pytest.skip(MISSING)
    quote = quote_of(simulator)
    setup = setup_for(simulator, collateral_down=fault == "no collateral")
    if fault == "another root":
        quote = quote_of(Simulator.open(tmp_path / "other"))
    if fault == "a revoked platform":
        found = simulator.collateral(tcb_status="Revoked")
        setup.trust = lambda: Trust(simulator.root_der, found)
    answer = attest("0.13", simulator, setup, quote)
    assert (answer.status_code, answer.text) in recorded


def form_of(value: Any) -> Any:
    """Members and types: what two values of one kind have in common."""
    if isinstance(value, dict):
        return {name: form_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [form_of(inner) for inner in value[:1]]
    return type(value).__name__


def without(value: Any, names: set[str]) -> Any:
    """A value without some members, at any depth; JSON inside a text is read."""
    if isinstance(value, dict):
        return {name: without(inner, names) for name, inner in value.items() if name not in names}
    if isinstance(value, list):
        return [without(inner, names) for inner in value]
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value

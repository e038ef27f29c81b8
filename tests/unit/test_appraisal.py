"""cczoo_verifier.appraisal: what holds gets a verdict, what does not gets a check and a code."""

from __future__ import annotations

import ast
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import appraisal
from cczoo_verifier.appraisal import Rejected, Trust, Verdict, appraise
from cczoo_verifier.collateral import without_blanks
from cczoo_verifier.policy import policy_of
from cczoo_verifier.rejections import _CODES_OF_ERRORS, MEANINGS
from hypothesis import given, settings
from hypothesis import strategies as st

from quote_generator.quote import parse_quote, strip_padding
from quote_generator.simulator import Simulator

DAY = 24 * 3600
ROOT_NAME = "Intel SGX Root CA, Confidential Computing Zoo"


def trust_in(td: Simulator, **collateral: Any) -> Trust:
    return Trust(td.root_der, td.collateral(**collateral))


def rejected(quote: bytes, trust: Trust, now: float | None = None) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        appraise(quote, trust, time.time() if now is None else now)
    return caught.value.check, caught.value.code


@pytest.mark.parametrize(("version", "body_type"), [(4, 2), (5, 2), (5, 3)])
def test_a_good_quote_gets_a_verdict(simulator: Simulator, version: int, body_type: int) -> None:
    quote = simulator.quote(bytes(range(64)), version=version, body_type=body_type)
    verdict = appraise(quote, trust_in(simulator), time.time())
    assert verdict.tcb_status == "UpToDate"
    assert verdict.advisory_ids == ()
    assert verdict.quote.body.report_data == bytes(range(64))
    assert (verdict.root_name, verdict.simulated) == (
        f"{ROOT_NAME} SIMULATION",
        True,
    )


def test_any_other_root_is_called_one_whatever_its_name(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td", name="TEST")
    verdict = appraise(td.quote(bytes(64)), trust_in(td), time.time())
    assert (verdict.root_name, verdict.simulated) == (f"{ROOT_NAME} TEST", True)


@pytest.mark.parametrize(
    "status",
    [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ],
)
def test_lesser_states_are_told_with_their_advisories(simulator: Simulator, status: str) -> None:
    trust = trust_in(simulator, tcb_status=status, advisory_ids=["INTEL-SA-00837"])
    verdict = appraise(simulator.quote(bytes(64)), trust, time.time())
    assert (verdict.tcb_status, verdict.advisory_ids) == (status, ("INTEL-SA-00837",))


def test_revoked_is_rejected(simulator: Simulator) -> None:
    trust = trust_in(simulator, tcb_status="Revoked")
    assert rejected(simulator.quote(bytes(64)), trust) == ("tcb-status", "tcb-revoked")


def test_intels_root_vouches_for_no_simulator(simulator: Simulator) -> None:
    trust = Trust(None, simulator.collateral())
    assert trust.root_name == "Intel SGX Root CA"
    assert rejected(simulator.quote(bytes(64)), trust)[0] == "collateral"


def test_a_quote_of_another_pki_is_rejected(simulator: Simulator, tmp_path: Path) -> None:
    other = Simulator.open(tmp_path / "other")
    assert rejected(other.quote(bytes(64)), trust_in(simulator)) == ("quote-signature", "chain")
    mixed = Trust(other.root_der, simulator.collateral())
    assert rejected(simulator.quote(bytes(64)), mixed) == ("collateral", "signer-chain")


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ("0100001000000000", "debug"),
        ("0000000000000000", "sept-ve"),
        ("0002001000000000", "reserved"),
    ],
)
def test_td_attributes(simulator: Simulator, attributes: str, code: str) -> None:
    quote = simulator.quote(bytes(64), measurements={"td_attributes": bytes.fromhex(attributes)})
    assert rejected(quote, trust_in(simulator)) == ("td-attributes", code)


def test_a_bound_service_td_is_reported_as_such(simulator: Simulator) -> None:
    quote = simulator.quote(bytes(64), version=5, measurements={"mr_servicetd": b"\1" * 48})
    assert rejected(quote, trust_in(simulator)) == ("td-attributes", "service-td")


def test_a_policy_can_allow_what_the_library_refuses(simulator: Simulator) -> None:
    odd = {"mr_servicetd": b"\1" * 48, "td_attributes": bytes(8)}
    quote = simulator.quote(bytes(64), version=5, measurements=odd)
    allowed = policy_of(
        {
            "v": 1,
            "td_attributes": {"sept_ve_disable": "allow"},
            "reference_values": {"mr_servicetd": ["01" * 48]},
        }
    )
    assert appraise(quote, trust_in(simulator), time.time(), allowed).tcb_status == "UpToDate"


@pytest.mark.parametrize("xfam", ["0000000000000000", "0300000000000080", "0304000000000000"])
def test_xfam(simulator: Simulator, xfam: str) -> None:
    quote = simulator.quote(bytes(64), measurements={"xfam": bytes.fromhex(xfam)})
    assert rejected(quote, trust_in(simulator)) == ("td-attributes", "xfam")


def _flip(offset: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:offset] + bytes([raw[offset] ^ 1]) + raw[offset + 1 :]


@pytest.mark.parametrize(
    ("change", "check", "code"),
    [
        (lambda raw: b"", "evidence-format", "quote-malformed"),
        (lambda raw: raw[:-1], "evidence-format", "quote-malformed"),
        (lambda raw: raw + bytes(100), "evidence-format", "quote-malformed"),
        (_flip(12), "evidence-format", "vendor-unknown"),
        (_flip(30), "quote-signature", "quote-forged"),  # header user_data
        (_flip(200), "quote-signature", "quote-forged"),  # MRTD
        (_flip(570), "quote-signature", "quote-forged"),  # report data
        (_flip(640), "quote-signature", "quote-forged"),  # the signature itself
        (_flip(705), "quote-signature", "attestation-key"),
        (_flip(770 + 128), "quote-signature", "qe-report-forged"),
        (_flip(770 + 384), "quote-signature", "qe-report-forged"),
        (_flip(770 + 450), "quote-signature", "attestation-key"),  # QE auth data
    ],
)
def test_every_forged_part_is_told_apart(
    simulator: Simulator, change: Callable[[bytes], bytes], check: str, code: str
) -> None:
    assert rejected(change(simulator.quote(bytes(64))), trust_in(simulator)) == (check, code)


@pytest.mark.parametrize(
    ("field", "change", "code"),
    [
        ("tcb_info", lambda text: text.replace("UpToDate", "OutOfDate", 1), "tcb-info-forged"),
        ("tcb_info", lambda text: "{", "tcb-info-forged"),  # not read before it is verified
        ("tcb_info_signature", lambda text: "00" * 64, "tcb-info-forged"),
        ("qe_identity", lambda text: text.replace("TD_QE", "QE_TD"), "qe-identity-forged"),
        ("qe_identity", lambda text: "null", "qe-identity-forged"),
        ("qe_identity_signature", lambda text: "11" * 64, "qe-identity-forged"),
        ("tcb_info_issuer_chain", lambda text: "", "signer-chain"),
        ("root_ca_crl", lambda text: "", "crl-invalid"),
        ("pck_crl", lambda text: text[:-1] + f"{int(text[-1], 16) ^ 1:x}", "crl-invalid"),
        ("pck_crl", lambda text: "zz", "collateral-malformed"),
    ],
)
def test_damaged_collateral(
    simulator: Simulator, field: str, change: Callable[[str], str], code: str
) -> None:
    collateral = simulator.collateral()
    trust = Trust(simulator.root_der, collateral | {field: change(collateral[field])})
    assert rejected(simulator.quote(bytes(64)), trust) == ("collateral", code)


def test_blanks_are_left_out_but_in_strings() -> None:
    assert without_blanks(' { "a b" : [ 1 ,\r\n\t"\\" \\\\" ] } ') == '{"a b":[1,"\\" \\\\"]}'


def test_a_string_without_an_end_is_read_once() -> None:
    text = "{" + '\\"' * 1_000_000 + "}"
    before = time.process_time()
    assert without_blanks(text) == text
    assert time.process_time() - before < 20  # hours, where its end is looked for at every quote


@pytest.mark.parametrize("field", ["tcb_info", "root_ca_crl", "qe_identity_signature"])
def test_missing_collateral(simulator: Simulator, field: str) -> None:
    collateral = simulator.collateral()
    del collateral[field]
    trust = Trust(simulator.root_der, collateral)
    seen = rejected(simulator.quote(bytes(64)), trust)
    assert seen == ("collateral", "collateral-malformed")


@pytest.mark.parametrize(
    ("days", "code"), [(-1, "collateral-early"), (31, "crl-expired"), (400, "signer-chain")]
)
def test_time_is_a_parameter(simulator: Simulator, days: float, code: str) -> None:
    now = time.time() + days * DAY
    assert rejected(simulator.quote(bytes(64)), trust_in(simulator), now) == ("collateral", code)


def test_a_chain_beside_the_quote_is_not_used(simulator: Simulator, tmp_path: Path) -> None:
    """dcap-qvl would prefer it to the one inside the quote."""
    other = Simulator.open(tmp_path / "other")
    chain = parse_quote(other.quote(bytes(64))).signature.pck_chain_pem
    trust = Trust(simulator.root_der, simulator.collateral() | {"pck_certificate_chain": chain})
    assert appraise(simulator.quote(bytes(64)), trust, time.time()).tcb_status == "UpToDate"


def test_every_code_has_a_meaning_and_the_other_way_round() -> None:
    """Else a refusal ends in a KeyError, or a meaning is told of nothing."""
    given, words = set[str](), set[str]()
    for path in Path(appraisal.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name("rejected" | "rejecting"), args=[ast.Constant(code), *_]
                ):
                    given.add(code)
                case ast.Constant(str(word)) if path.name != "rejections.py":
                    words.add(word)
    assert given <= set(MEANINGS)
    assert set(MEANINGS) - {*words, *_CODES_OF_ERRORS.values()} == set()


@settings(max_examples=200)
@given(data=st.data())
def test_no_change_of_a_quote_is_accepted(simulator: Simulator, data: st.DataObject) -> None:
    """Whatever bytes change, the verdict is gone, or what was signed is what it was."""
    raw = simulator.quote(bytes(range(64)), version=data.draw(st.sampled_from([4, 5])))
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        verdict: Verdict = appraise(bytes(changed), trust_in(simulator), time.time())
    except Rejected:
        return
    assert verdict.quote.signed_bytes == parse_quote(raw).signed_bytes


def test_a_real_quote_is_not_accepted_under_another_root(sample: Any, simulator: Simulator) -> None:
    quote = strip_padding(sample("trustee_tdx_quote_v4.bin"))
    assert rejected(quote, trust_in(simulator))[0] in ("quote-signature", "collateral")


def test_results_are_values(simulator: Simulator) -> None:
    verdict = appraise(simulator.quote(bytes(64)), trust_in(simulator), time.time())
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.tcb_status = "UpToDate"  # type: ignore[misc]
    assert json.dumps(verdict.quote.to_dict())

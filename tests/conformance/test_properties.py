"""Whatever bytes come: never an exception, never accepted, unless it is the good case itself."""

from __future__ import annotations

import base64
import copy
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verify_python import answer

from cases.world import KINDS, World, level, platform_tcb

# Machines differ and are busy: no test fails for being slow.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)

GOOD = {kind: World(kind).case() for kind in KINDS}
MEMBERS = sorted(GOOD["v4"]["collateral"])
USED = [name for name in MEMBERS if name != "pck_crl_issuer_chain_pem"]
kinds = st.sampled_from(sorted(KINDS))


def code(case: object) -> int:
    return answer(json.dumps(case))[0]


def with_quote(case: dict[str, Any], quote: bytes) -> dict[str, Any]:
    return case | {"quote_b64": base64.b64encode(quote).decode()}


def test_the_good_ones_are_accepted() -> None:
    assert {code(case) for case in GOOD.values()} == {0}


@PATIENT
@given(kinds, st.binary(max_size=6000))
def test_random_quotes(kind: str, quote: bytes) -> None:
    assert code(with_quote(GOOD[kind], quote)) == 10


@PATIENT
@given(kinds, st.data())
def test_truncated_quotes(kind: str, data: st.DataObject) -> None:
    quote = base64.b64decode(GOOD[kind]["quote_b64"])
    end = data.draw(st.integers(0, len(quote) - 1))
    assert code(with_quote(GOOD[kind], quote[:end])) == 10


@PATIENT
@given(kinds, st.data())
def test_spliced_quotes(kind: str, data: st.DataObject) -> None:
    """Bytes taken out, put in or copied over: what is accepted is what was signed."""
    quote = base64.b64decode(GOOD[kind]["quote_b64"])
    start = data.draw(st.integers(0, 1300))
    end = data.draw(st.integers(start, min(start + 80, 1300)))
    other = data.draw(st.binary(max_size=80))
    changed = quote[:start] + other + quote[end:]
    assert code(with_quote(GOOD[kind], changed)) == (0 if changed == quote else 10)


@PATIENT
@given(st.sampled_from(USED), st.text(max_size=200) | st.binary(max_size=200))
def test_random_collateral(name: str, value: str | bytes) -> None:
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    case = copy.deepcopy(GOOD["v4"])
    case["collateral"][name] = text
    assert code(case) == 10


@PATIENT
@given(st.sampled_from(USED), st.data())
def test_truncated_collateral(name: str, data: st.DataObject) -> None:
    case = copy.deepcopy(GOOD["v4"])
    whole = case["collateral"][name]
    case["collateral"][name] = whole[: data.draw(st.integers(0, len(whole.rstrip()) - 1))]
    assert code(case) == 10


@PATIENT
@given(st.sampled_from(["pck_crl_der_b64", "root_crl_der_b64"]), st.data())
def test_changed_lists(name: str, data: st.DataObject) -> None:
    case = copy.deepcopy(GOOD["v4"])
    raw = bytearray(base64.b64decode(case["collateral"][name]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    case["collateral"][name] = base64.b64encode(raw).decode()
    assert code(case) == 10


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@PATIENT
@given(st.sampled_from(["quote_b64", "collateral", "root_ca_pem", "now"]), json_values)
def test_random_members(name: str, value: object) -> None:
    """A moment that suits, or none, would be good again; nothing else is."""
    if name == "now" and isinstance(value, int | float) and not isinstance(value, bool):
        return
    assert code(GOOD["v4"] | {name: value}) in (10, 30)


@PATIENT
@given(st.text(max_size=300))
def test_random_texts(text: str) -> None:
    assert answer(text)[0] == 30


# --- work ----------------------------------------------------------------------------------------


def steps(case: dict[str, Any]) -> int:
    """How much work an answer is: calls of functions, Python's and built-in ones."""
    text, count = json.dumps(case), 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        answer(text)
    finally:
        sys.setprofile(before)
    return count


STEPS_OF_A_GOOD_ONE = steps(GOOD["v4"])


def with_levels(number: int) -> dict[str, Any]:
    """Levels that are signed and that the platform does not reach, before the one that it does."""
    world = World()
    out_of_reach = (level(**platform_tcb(pce_svn=99 + svn)) for svn in range(number))
    world.tcb_info.value["tcbLevels"][:0] = out_of_reach
    return world.case()


def with_revoked(number: int) -> dict[str, Any]:
    world = World()
    world.root_list.revoked = list(range(10_000, 10_000 + number))
    return world.case()


def with_text(name: str, text: str) -> Callable[[int], dict[str, Any]]:
    """A member that is nothing but this text again and again."""

    def make(number: int) -> dict[str, Any]:
        case = copy.deepcopy(GOOD["v4"])
        case["collateral"][name] = text * number
        return case

    return make


def with_certificates(number: int) -> dict[str, Any]:
    return with_text("tcb_info_issuer_chain_pem", GOOD["v4"]["root_ca_pem"])(number)


def with_quote_bytes(number: int) -> dict[str, Any]:
    quote = base64.b64decode(GOOD["v4"]["quote_b64"])
    return with_quote(GOOD["v4"], quote + bytes(100 * number))


GROWING = {
    "levels": with_levels,
    "revoked": with_revoked,
    "certificates": with_certificates,
    "quote": with_quote_bytes,
    "braces": with_text("tcb_info_json", "{"),
    "brackets": with_text("qe_identity_json", "["),
    "members": with_text("tcb_info_json", '"a":1,'),
    "pem lines": with_text("qe_identity_issuer_chain_pem", "-----BEGIN CERTIFICATE-----\n"),
}


@pytest.mark.parametrize("name", GROWING)
def test_work_grows_no_faster_than_the_input(name: str) -> None:
    """Twice as much more costs at most twice as much more; what is quadratic costs four times."""
    small, middle, large = (steps(GROWING[name](number)) for number in (100, 200, 400))
    assert large - middle <= 3 * max(middle - small, 0) + 100


@PATIENT
@given(st.sampled_from(USED), st.text(max_size=2000) | st.binary(max_size=2000))
def test_work_is_bounded_by_the_input(name: str, value: str | bytes) -> None:
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    case = copy.deepcopy(GOOD["v4"])
    case["collateral"][name] = text
    assert steps(case) <= STEPS_OF_A_GOOD_ONE + 4 * len(text)

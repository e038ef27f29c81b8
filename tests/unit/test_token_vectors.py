"""`cczoo-verify` and the page judge the same tokens alike: tests/vectors/tokens.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import jws
from cczoo_verifier.appraisal import Rejected

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "tokens.json").read_text())
CHAINS = VECTORS["chains"]


def read(token: str) -> Any:
    keys = jws.read_keys(json.dumps(VECTORS["keys"]), pinned=False)
    parsed = jws.parse_token(token)
    jws.verify_token(parsed, keys, VECTORS["algorithms"], VECTORS["now"])
    return parsed.payload


def read_certified(token: str, pin: str) -> Any:
    parsed = jws.parse_token(token)
    keys = jws.read_keys(pin, pinned=True)
    jws.verify_token(parsed, keys, ("ES256", "RS384"), CHAINS["now"])
    return parsed.payload


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["name"])
def test_good_tokens(case: Any) -> None:
    assert read(case["token"]) == VECTORS["claims"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["fault"])
def test_forged_tokens(case: Any) -> None:
    with pytest.raises(Rejected) as caught:
        read(case["token"])
    assert caught.value.check == "token-signature"


@pytest.mark.parametrize("case", VECTORS["strict"], ids=lambda case: case["fault"])
def test_well_signed_tokens_of_a_bad_form(case: Any) -> None:
    with pytest.raises(Rejected) as caught:
        read(case["token"])
    assert caught.value.code == "token-malformed"


@pytest.mark.parametrize("case", CHAINS["valid"], ids=lambda case: case["name"])
def test_chains_to_a_pinned_certificate(case: Any) -> None:
    assert read_certified(case["token"], case["pin"]) == VECTORS["claims"]


@pytest.mark.parametrize("case", CHAINS["invalid"], ids=lambda case: case["fault"])
def test_chains_that_do_not_hold(case: Any) -> None:
    with pytest.raises((Rejected, ValueError)):  # ValueError: what is pinned is of no use
        read_certified(case["token"], case["pin"])

"""The route for collateral: from a service, or from the simulator where it makes the quotes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from host_double import ADA, client_of, routes_of
from limits import parse

from doubles import pccs
from doubles.serving import serving
from e2e.dcap import verify
from error_document import assert_error
from quote_generator.simulator import Simulator, pki

ROOT = "/api/v1/tee"
PARTS = {
    *("tcb_info_json", "qe_identity_json", "pck_crl_der_b64", "root_crl_der_b64"),
    *("tcb_info_issuer_chain_pem", "qe_identity_issuer_chain_pem", "pck_crl_issuer_chain_pem"),
}

Ask = Callable[..., Any]


def asking(environ: dict[str, str], **options: Any) -> Ask:
    """Ada's way to ask one set of routes."""
    client = client_of(routes_of(environ, **options))

    def ask(path: str = "collateral", **params: str) -> Any:
        if path == "collateral":
            params = {"fmspc": pccs.PLATFORM, "ca": "platform", **params}
        return client.get(f"{ROOT}/{path}", params=params, headers=ADA)

    return ask


@pytest.fixture
def environ(service: str, state: pccs.State) -> dict[str, str]:
    """The environment of a machine with a service and without TDX."""
    return {"TEE_PCCS_URL": service + "/"}


def test_it_hands_collateral_out(environ: dict[str, str], state: pccs.State, td: Simulator) -> None:
    ask = asking(environ, now=lambda: time.time())
    answer = ask()
    document = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert document.keys() == PARTS | {"v", "source", "fetched", "stale"}
    assert (document["v"], document["source"], document["stale"]) == (1, "pccs", False)
    assert verify(document, td.quote(bytes(64)), td.root_der) == "UpToDate"
    assert ask().json() == document
    assert state.count[pccs.TCB] == 1


def test_it_asks_for_the_edition_in_the_settings(
    environ: dict[str, str], state: pccs.State
) -> None:
    asking(environ | {"TEE_PCCS_UPDATE": "early"}, now=lambda: time.time())()
    assert f"{pccs.IDENTITY}?update=early" in [address for address, _ in state.seen]
    wrong = asking(environ | {"TEE_PCCS_UPDATE": "late"})()
    assert_error(wrong, 503, "misconfigured", "TEE_PCCS_UPDATE")


def test_it_says_when_what_it_hands_out_was_fetched_and_marks_what_is_stale(
    environ: dict[str, str], state: pccs.State
) -> None:
    now = [float(int(time.time()))]
    ask = asking(environ, now=lambda: now[0])
    fresh = ask().json()
    assert fresh["fetched"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now[0]))
    now[0] += 3600
    state.mode = "down"
    assert ask().json() == {**fresh, "stale": True}


def test_it_tells_errors_apart(environ: dict[str, str], state: pccs.State) -> None:
    ask = asking(environ)
    assert_error(ask(fmspc=""), 400, "bad-platform")
    assert_error(ask(fmspc="%2e%2e/.."), 400, "bad-platform", "12 hex digits")
    state.mode = "html"
    assert_error(ask(), 502, "collateral-unusable", "TEE_PCCS_URL")
    state.mode = pccs.SLOW
    hasty = asking({**environ, "TEE_COLLATERAL_TIMEOUT": "0.2"})
    assert_error(hasty(), 504, "collateral-timed-out")
    nowhere = asking({"TEE_PCCS_URL": "http://127.0.0.1:1"})
    assert_error(nowhere(), 502, "collateral-unreachable")


def test_requests_to_the_service_are_limited_and_a_copy_stays_in_reach(
    environ: dict[str, str], state: pccs.State
) -> None:
    ask = asking(environ, pccs_limit=parse("3/year"))
    assert ask().status_code == 200
    for number in range(2):
        assert_error(ask(fmspc=f"{number:012X}"), 502, "collateral-unusable")
    answer = ask(fmspc="AAAAAAAAAAAA")
    assert_error(answer, 429, "too-many-requests")
    assert int(answer.headers["retry-after"]) > 0
    assert ask().status_code == 200
    assert state.count[pccs.TCB] == 3


# The simulator


@pytest.fixture
def simulating(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that simulates."""
    return {
        **environ,
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator"),
    }


@pytest.fixture
def its_simulator(simulating: dict[str, str]) -> Simulator:
    """What that machine simulates with."""
    return Simulator.open(Path(simulating["QUOTE_GENERATOR_SIMULATOR_DIR"]))


def test_a_simulated_machine_has_the_simulators_collateral_and_root(
    simulating: dict[str, str], its_simulator: Simulator, state: pccs.State
) -> None:
    ask = asking(simulating)
    document = ask().json()
    assert document.keys() == PARTS | {"v", "source", "fetched", "stale"}
    assert (document["source"], document["stale"]) == ("simulator", False)
    quote = bytes.fromhex(ask("quote").json()["quote"])
    assert verify(document, quote, its_simulator.root_der) == "UpToDate"
    assert state.seen == []

    key = x509.load_der_x509_certificate(its_simulator.root_der).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert len(point) == 65
    root = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
    dcap = ask("config").json()["providers"]["dcap"]
    assert dcap == {"url": None, "relay": None, "root": root}


def test_both_collaterals_have_one_form(
    simulating: dict[str, str], its_simulator: Simulator
) -> None:
    """The simulator's parts are byte for byte what a service would say of it."""
    with serving(lambda _: pccs.create_app(its_simulator)) as url:
        from_service = asking({"TEE_PCCS_URL": url})().json()
    from_simulator = asking(simulating)().json()
    assert {name: from_service[name] for name in PARTS} == {
        name: from_simulator[name] for name in PARTS
    }


def test_other_platforms_are_asked_for_as_ever(
    simulating: dict[str, str], state: pccs.State
) -> None:
    state.also = frozenset({"00806F050000"})
    ask = asking(simulating)
    assert ask(fmspc="00806F050000").json()["source"] == "pccs"
    assert_error(ask(ca="processor"), 502, "collateral-unusable")


def test_a_broken_simulator_is_told_and_costs_no_configuration(
    simulating: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ask = asking({**simulating, "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "file")})
    assert_error(ask(), 503, "simulator-state")
    answer = ask("config")
    assert answer.status_code == 200
    assert answer.json()["providers"]["dcap"]["root"] is None


def test_the_doubles_platform_is_the_simulators() -> None:
    assert pki.FMSPC.hex().upper() == pccs.PLATFORM

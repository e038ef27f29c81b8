"""The routes, asked by somebody with an account and by somebody without."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from host_double import (
    ADA,
    EVE,
    LOADER,
    Accounts,
    a_bundle,
    a_statement,
    answer_to,
    client_of,
    routes_of,
    run,
    scope_of,
)
from starlette.exceptions import HTTPException

from cczoo_backend.administration import Administration
from cczoo_backend.bundle import Bundle
from cczoo_backend.content import JAVASCRIPT, Content
from cczoo_backend.routes import Routes
from e2e.evidence import decode, new_nonce, verify_nonce
from error_document import assert_error

ROOT = "/api/v1/tee"
WORKER_FILES = {LOADER: "window.cczooTrustBadge = {};", "worker-1A.js": "self.onfetch = () => {};"}
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.fixture
def simulating(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that simulates."""
    return {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator"),
    }


# Evidence


def test_evidence_answers_the_nonce(simulating: dict[str, str]) -> None:
    nonce = new_nonce()
    answer = client_of(routes_of(simulating)).get(f"{ROOT}/quote?nonce={nonce}", headers=ADA)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    verify_nonce(document, nonce)
    assert document.keys() == {
        *("quote", "quote_parse", "timestamp", "id", "status", "tee", "provider", "simulated"),
        *("runtime_data", "nonce_proof", "cc_eventlog", "aa_eventlog", "fresh"),
    }
    assert (document["fresh"], document["simulated"]) == (True, True)


def test_without_a_nonce_the_answer_says_that_it_is_not_fresh(simulating: dict[str, str]) -> None:
    client = client_of(routes_of(simulating))
    first, second = (client.get(f"{ROOT}/quote", headers=ADA).json() for _ in range(2))
    assert first["fresh"] is second["fresh"] is False
    assert first["nonce"] != second["nonce"]
    assert len(decode(first["nonce"])) == 32
    verify_nonce(first, first["nonce"])


def test_those_who_ask_together_share_a_quote_and_have_a_proof_each(
    simulating: dict[str, str],
) -> None:
    nonces = [new_nonce() for _ in range(8)]
    documents: list[dict[str, Any]] = []

    async def scenario() -> None:
        transport = httpx.ASGITransport(routes_of(simulating))
        async with httpx.AsyncClient(transport=transport, base_url="http://td") as client:
            answers = await asyncio.gather(
                *(client.get(f"{ROOT}/quote?nonce={nonce}", headers=ADA) for nonce in nonces)
            )
        documents.extend(answer.json() for answer in answers)

    run(scenario)
    for nonce, document in zip(nonces, documents, strict=True):
        verify_nonce(document, nonce)
    assert len({document["quote"] for document in documents}) < len(nonces)
    assert len({document["id"] for document in documents}) == len(nonces)


@pytest.mark.parametrize("nonce", ["", "A" * 21, "A" * 5000, "A" * 43 + "%3D", "A" * 42 + "B"])
def test_a_bad_nonce_is_refused(simulating: dict[str, str], nonce: str) -> None:
    answer = client_of(routes_of(simulating)).get(f"{ROOT}/quote?nonce={nonce}", headers=ADA)
    assert_error(answer, 400, "bad-nonce", "nonce")


def test_a_machine_without_tdx_says_what_to_do() -> None:
    answer = client_of(routes_of()).get(f"{ROOT}/quote", headers=ADA)
    assert_error(answer, 503, "tdx-not-available", "TDX")


# Who may ask


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "quote"), ("GET", "collateral"), ("GET", "config"), ("POST", "relay/trustee")],
)
def test_only_users_that_the_host_verifies_may_ask(method: str, path: str) -> None:
    client = client_of(routes_of())
    assert_error(client.request(method, f"{ROOT}/{path}"), 403, "not-allowed")
    assert_error(client.request(method, f"{ROOT}/{path}", headers=EVE), 401, "not-allowed")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (HTTPException(400, "no such thing"), 400, "bad-request"),
        (HTTPException(500, "no database"), 500, "internal-error"),
        (RuntimeError("line 7 of secret.py"), 500, "internal-error"),
    ],
)
def test_a_host_that_fails_lets_nobody_in(failure: Exception, status: int, code: str) -> None:
    client = client_of(routes_of(host=Accounts(failure=failure)))
    assert_error(client.get(f"{ROOT}/config", headers=ADA), status, code)


def test_a_mistake_is_told_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    accounts = Accounts(failure=RuntimeError("the words of a mistake"))
    answer = client_of(routes_of(host=accounts)).get(f"{ROOT}/config", headers=ADA)
    assert "the words" not in answer.text
    assert "the words of a mistake" in caplog.text


def test_public_quotes_are_counted_by_address_and_a_users_apart(
    simulating: dict[str, str],
) -> None:
    environ = {**simulating, "TEE_QUOTE_PUBLIC": "true", "TEE_QUOTE_LIMIT_ADDRESS": "2/year"}
    routes = routes_of(environ)
    client = client_of(routes)
    answers = [client.get(f"{ROOT}/quote") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert_error(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) > 0
    forged = client.get(f"{ROOT}/quote", headers={"Authorization": "Bearer forged"})
    assert_error(forged, 429, "too-many-requests")
    assert client.get(f"{ROOT}/quote", headers=ADA).status_code == 200
    cookies = {"Cookie": "token=ada-token"}
    assert client.get(f"{ROOT}/quote", headers=cookies).status_code == 200
    other = client_of(routes, address="198.51.100.7")
    assert other.get(f"{ROOT}/quote").status_code == 200
    assert_error(client.get(f"{ROOT}/config"), 403, "not-allowed")


def test_the_public_is_limited_together(simulating: dict[str, str]) -> None:
    environ = {**simulating, "TEE_QUOTE_PUBLIC": "true", "TEE_QUOTE_LIMIT_PUBLIC": "3/year"}
    routes = routes_of(environ)
    clients = [client_of(routes, address=f"192.0.2.{number}") for number in range(4)]
    assert [c.get(f"{ROOT}/quote").status_code for c in clients] == [200, 200, 200, 429]


def test_a_user_is_limited_and_each_thing_is_counted_apart(simulating: dict[str, str]) -> None:
    client = client_of(routes_of({**simulating, "TEE_QUOTE_LIMIT_USER": "2/year"}))
    codes = [client.get(f"{ROOT}/quote", headers=ADA).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    query = "fmspc=535441474544&ca=platform"
    assert client.get(f"{ROOT}/collateral?{query}", headers=ADA).status_code == 200


# Settings


def test_the_configuration_is_the_administrators() -> None:
    environ = {"TEE_RELAY": "alibaba", "TEE_TRUSTEE_URL": "https://as.example/"}
    answer = client_of(routes_of(environ)).get(f"{ROOT}/config", headers=ADA)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "v": 1,
        "enforcement": "warn",
        "policy": None,
        "default_provider": "alibaba",
        "offered": ["alibaba", "trustee", "dcap"],
        "providers": {
            "alibaba": {
                "url": None,
                "relay": "https://attest.cn-beijing.aliyuncs.com",
                "keys": None,
            },
            "trustee": {"url": "https://as.example", "relay": None, "keys": None},
            "dcap": {"url": None, "relay": None, "root": None},
        },
    }


@pytest.mark.parametrize("path", ["quote", "collateral"])
def test_a_wrong_setting_is_named_to_whoever_asks(path: str) -> None:
    routes = routes_of({"TEE_RELAY": "nobody"})
    for _ in range(2):
        answer = client_of(routes).get(f"{ROOT}/{path}", headers=ADA)
        assert_error(answer, 503, "misconfigured", "TEE_RELAY")


@pytest.mark.parametrize(
    ("told", "enforcement"),
    [({}, "warn"), ({"TEE_ENFORCEMENT": "block"}, "block"), ({"TEE_ENFORCEMENT": "x"}, "block")],
)
def test_what_is_enforced_is_told_also_where_another_setting_is_wrong(
    told: dict[str, str], enforcement: str
) -> None:
    answer = client_of(routes_of({"TEE_RELAY": "nobody", **told})).get(f"{ROOT}/config")
    assert answer.status_code == 200
    document = answer.json()
    problem = document.pop("problem")
    assert document == {"v": 1, "enforcement": enforcement}
    assert problem["code"] == "misconfigured"
    assert "TEE_RELAY" in problem["detail"]


def test_a_wrong_setting_keeps_no_file_of_the_page_back() -> None:
    answer = client_of(routes_of({"TEE_RELAY": "nobody"})).get(f"{ROOT}/page/{LOADER}")
    assert answer.status_code == 200


# The page's files


def test_a_file_of_the_page_is_kept_for_good() -> None:
    answer = client_of(routes_of()).get(f"{ROOT}/page/{LOADER}")
    assert answer.status_code == 200
    assert answer.text == "window.cczooTrustBadge = {};"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "",
        "loader.js",
        "manifest.json",
        f"x/{LOADER}",
        f"{LOADER}/",
        f"../page/{LOADER}",
        "../../__init__.py",
        "/etc/passwd",
        f"{LOADER}\0",
        LOADER.upper(),
        f" {LOADER}",
        "\u00e9.js",
        "a" * 5000,
    ],
    ids=range(13),
)
def test_no_other_name_leads_anywhere(name: str) -> None:
    answer = answer_to(routes_of(), scope_of(f"{ROOT}/page/{name}"))
    assert_error(answer, 404, "not-found")


def test_without_a_bundle_the_other_routes_answer() -> None:
    client = client_of(routes_of(bundle=None))
    assert_error(client.get(f"{ROOT}/page/{LOADER}"), 404, "not-found")
    assert client.get(f"{ROOT}/config", headers=ADA).status_code == 200


# The service worker


def test_the_worker_is_for_every_page_and_asks_nobody_else() -> None:
    files = {name: Content(body.encode(), JAVASCRIPT) for name, body in WORKER_FILES.items()}
    routes = routes_of(bundle=Bundle(LOADER, files, "worker-1A.js"))
    answer = client_of(routes).get(f"{ROOT}/worker")
    assert answer.status_code == 200
    assert answer.text == "self.onfetch = () => {};"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["service-worker-allowed"] == "/"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == "default-src 'none'; connect-src 'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("bundle", [None, a_bundle()])
def test_a_worker_that_the_bundle_does_not_have_is_missing(bundle: Bundle | None) -> None:
    assert_error(client_of(routes_of(bundle=bundle)).get(f"{ROOT}/worker"), 404, "not-found")


# Everything else below the root


@pytest.mark.parametrize(
    "path", ["", "/", "/x", "/quote/", "/quotes", "/QUOTE", "/page", "//quote"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_there_is_said_to_be_missing(path: str, method: str) -> None:
    answer = client_of(routes_of()).request(method, f"http://td{ROOT}{path}", headers=ADA)
    assert_error(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("quote", {"GET"}),
        ("collateral", {"GET"}),
        ("config", {"GET"}),
        ("report", {"POST"}),
        ("relay/alibaba", {"POST"}),
        (f"page/{LOADER}", {"GET", "HEAD"}),
        ("worker", {"GET", "HEAD"}),
    ],
)
def test_every_other_method_is_refused_and_told_which_are_taken(
    path: str, allowed: set[str]
) -> None:
    client = client_of(routes_of())
    for method in EVERY_METHOD:
        answer = client.request(method, f"{ROOT}/{path}", headers=ADA)
        assert (answer.status_code == 405) is (method not in allowed), method
        if answer.status_code == 405:
            assert set(answer.headers["allow"].split(", ")) == allowed
            if method != "HEAD":
                assert_error(answer, 405, "method-not-allowed")


def test_a_path_in_the_log_is_one_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    class Broken(Routes):
        def _endpoint(self, request: object) -> Any:
            raise RuntimeError

    settings = Administration(tmp_path, {})
    routes = Broken(Accounts(), None, environ={}, administration=settings, statement=a_statement())
    with caplog.at_level(logging.ERROR):
        client_of(routes).get(f"{ROOT}/x%0AERROR forged")
    assert "\nERROR forged" not in caplog.text
    assert r"x\nERROR forged" in caplog.text


def test_the_routes_lie_below_where_the_application_is_mounted() -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        scope = {**scope, "root_path": "/chat", "path": "/chat" + scope["path"]}
        await routes_of()(scope, receive, send)

    assert client_of(mounted).get(f"{ROOT}/page/{LOADER}").status_code == 200

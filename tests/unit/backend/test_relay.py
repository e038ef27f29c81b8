"""The relay: it carries one JSON object to the service that was set up, and its answer back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from host_double import ADA, answer_to, client_of, routes_of, scope_of

from e2e.relay_target import RelayTarget, relay_target
from error_document import assert_error

ROOT = "/api/v1/tee/relay"
BODY = {"tee": "tdx", "evidence": "AA"}


@pytest.fixture(scope="module")
def running() -> Iterator[RelayTarget]:
    """A service, for all tests here."""
    with relay_target() as target:
        yield target


@pytest.fixture
def target(running: RelayTarget, direct: None) -> Iterator[RelayTarget]:
    """The service, well-behaved at first."""
    running.seen.clear()
    yield running
    running.mode = "token"


def environ(target: RelayTarget, **more: str) -> dict[str, str]:
    return {"TEE_RELAY": "alibaba", "TEE_ALIBABA_URL": target.url, **more}


def relay(target: RelayTarget, **options: object) -> httpx.Response:
    """Ada's request to the relay."""
    if "content" not in options:
        options["json"] = BODY
    options["headers"] = {**ADA, **options.get("headers", {})}  # type: ignore[dict-item]
    settings = environ(target, TEE_RELAY_TIMEOUT="1")
    return client_of(routes_of(settings)).post(f"{ROOT}/alibaba", **options)


def test_it_carries_the_body_and_nothing_of_the_user(target: RelayTarget) -> None:
    headers = {"Cookie": "token=x", "X-Forwarded-For": "192.0.2.1", "Referer": "http://chat"}
    answer = relay(target, headers=headers)
    assert (answer.status_code, answer.text) == (200, "<b>token</b>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    (seen,) = target.seen
    assert seen.path == "/v1/attestation"
    assert json.loads(seen.body) == BODY
    assert seen.headers.keys() == {
        *("host", "accept", "accept-encoding", "content-type", "user-agent", "content-length")
    }


def test_the_services_refusal_is_passed_on(target: RelayTarget) -> None:
    target.mode = "refuse"
    answer = relay(target)
    assert (answer.status_code, answer.text) == (500, "Verifier error")


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("redirect", 502, "relay-redirected"),
        ("huge", 502, "relay-failed"),
        ("hang", 504, "relay-timed-out"),
    ],
)
def test_it_is_bounded(target: RelayTarget, mode: str, status: int, code: str) -> None:
    target.mode = mode
    assert_error(relay(target), status, code)
    assert [seen.path for seen in target.seen] == ["/v1/attestation"]


def test_it_does_not_decompress(target: RelayTarget) -> None:
    target.mode = "compressed"
    answer = relay(target)
    assert answer.content == b"<b>token</b>"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[]", 400, "bad-request"),
        (b"", 400, "bad-request"),
        (b'{"a": NaN}', 400, "bad-request"),
        (b'{"a": 1e999}', 400, "bad-request"),
        (b"{" * 1000, 400, "bad-request"),
        (b'{"a":' * 50_000, 400, "bad-request"),
        (b'{"a": "\xff"}', 400, "bad-request"),
        (b'{"a": "' + b"x" * 256 * 1024 + b'"}', 413, "too-large"),
    ],
    ids=range(8),
)
def test_it_takes_json_objects_of_bounded_size_only(
    target: RelayTarget, body: bytes, status: int, code: str
) -> None:
    answer = relay(target, content=body, headers={"Content-Type": "application/json"})
    assert_error(answer, status, code)
    assert target.seen == []


def test_it_refuses_what_a_form_on_another_site_could_send(target: RelayTarget) -> None:
    answer = relay(target, content=b"{}", headers={"Content-Type": "text/plain"})
    assert_error(answer, 415, "not-json")
    assert target.seen == []


def test_a_request_that_breaks_off_is_told(target: RelayTarget) -> None:
    scope = scope_of(
        f"{ROOT}/alibaba",
        "POST",
        content_type="application/json",
        authorization="Bearer ada-token",
    )
    part = {"type": "http.request", "body": b'{"a":', "more_body": True}
    answer = answer_to(routes_of(environ(target)), scope, part, {"type": "http.disconnect"})
    assert_error(answer, 408, "timed-out")
    assert target.seen == []


@pytest.mark.parametrize("provider", ["trustee", "dcap", "nobody", "", "..", "alibaba/x"])
def test_it_reaches_configured_services_only(target: RelayTarget, provider: str) -> None:
    scope = scope_of(f"{ROOT}/{provider}", "POST", authorization="Bearer ada-token")
    answer = answer_to(routes_of(environ(target)), scope)
    assert_error(answer, 404, "relay-not-configured", "TEE_RELAY")
    assert target.seen == []


def test_a_user_is_limited(target: RelayTarget) -> None:
    client = client_of(routes_of(environ(target, TEE_QUOTE_LIMIT_USER="2/year")))
    answers = [client.post(f"{ROOT}/alibaba", json=BODY, headers=ADA) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(target.seen) == 2

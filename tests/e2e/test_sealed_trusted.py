"""Somebody inside a sealed request who says what only a proxy may is signed in as nobody.

Asked of an open-webui that does believe proxies; the rest is in tests/unit/backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cczoo_verifier.sealed import SealedTransport

from e2e.evidence import new_nonce
from e2e.stack import Backend
from quote_generator.sealing.keyset import Keyset, parse_keyset

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("source")

SECONDS = 60
EMAIL, NAME = "X-User-Email", "X-User-Name"
PERSON = {EMAIL: "eve@example.com", NAME: "Eve"}
OF_PROXIES = {
    "Forwarded": "for=eve@example.com",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-User": "eve@example.com",
    "X-Forwarded-Email": "eve@example.com",
    "X-Real-IP": "127.0.0.1",
}
SIGN_IN = "/api/v1/auths/signin"
NOBODY = {"email": "eve@example.com", "password": "whatever"}


@pytest.fixture(scope="module")
def trusting(start_backend: Callable[..., Backend], home: Path) -> Backend:
    """An open-webui that believes what a proxy says of who somebody is."""
    env = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(home / "simulator"),
        "WEBUI_AUTH_TRUSTED_EMAIL_HEADER": EMAIL,
        "WEBUI_AUTH_TRUSTED_NAME_HEADER": NAME,
    }
    backend: Backend = start_backend("trusting", env)
    account = {"name": "Eve", "email": PERSON[EMAIL], "password": "only-for-tests", "role": "user"}
    backend.call("POST", "/api/v1/auths/add", json=account).raise_for_status()
    return backend


def keys_of(backend: Backend) -> Keyset:
    return parse_keyset(backend.quote(new_nonce()).json()["keyset"])


class Outside(httpx.BaseTransport):
    """Says something beside the sealed request, as a client without any proxy can."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers, self._carrier = headers, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers.update(self._headers)
        return self._carrier.handle_request(request)


@contextlib.contextmanager
def sealed_client(
    backend: Backend, outer: httpx.BaseTransport | None = None
) -> Iterator[httpx.Client]:
    transport = SealedTransport(backend.url, keys_of(backend), outer=outer)
    with httpx.Client(base_url=backend.url, transport=transport, timeout=SECONDS) as client:
        yield client


def assert_nobody(answer: httpx.Response) -> None:
    assert answer.status_code in (400, 401, 403), answer.text
    assert "token" not in answer.cookies
    assert '"token":' not in answer.text


def test_a_proxys_word_signs_in_where_it_comes_plain(trusting: Backend) -> None:
    """The test of the test: this open-webui does believe it."""
    answer = trusting.call("POST", SIGN_IN, json=NOBODY, headers=PERSON, token=None)
    assert answer.json()["email"] == "eve@example.com"
    assert answer.json()["token"]


@pytest.mark.parametrize("name", [*PERSON, *OF_PROXIES])
def test_no_header_inside_signs_anybody_in(trusting: Backend, name: str) -> None:
    headers = {name: (PERSON | OF_PROXIES)[name]}
    with sealed_client(trusting) as client:
        assert client.get("/api/v1/tee/sealed").json()["sealed"] is True
        assert_nobody(client.post(SIGN_IN, json=NOBODY, headers=headers))
        assert_nobody(client.get("/api/v1/auths/", headers=headers))


def test_nor_do_all_of_them_in_any_spelling(trusting: Backend) -> None:
    spelled = [each for name in PERSON for each in (name, name.upper(), name.lower())]
    headers = [(name, "eve@example.com") for name in (*spelled, *OF_PROXIES)]
    with sealed_client(trusting) as client:
        assert_nobody(client.post(SIGN_IN, json=NOBODY, headers=headers))
        assert_nobody(client.get("/api/v1/auths/", headers=headers))


def test_nor_does_what_stands_outside(trusting: Backend) -> None:
    with sealed_client(trusting, Outside(PERSON | OF_PROXIES)) as client:
        assert_nobody(client.post(SIGN_IN, json=NOBODY))
        assert_nobody(client.get("/api/v1/auths/"))

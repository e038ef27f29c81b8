"""``POST cookies``: what a browser got in the clear ends, and nothing else does."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest
from host_double import client_of, plain, routes_of
from sealed_double import a_keyring, around

from cczoo_backend.stock import COOKIES
from error_document import assert_error

ADDRESS = "/api/v1/tee/cookies"
ALL = "; ".join(f"{name}=x" for name in COOKIES)


def asked(cookie: str = ALL, app: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    app = app or routes_of({}, keys=a_keyring())
    return client_of(app).post(ADDRESS, headers={"cookie": cookie, **named})


def ended(answer: Any) -> list[str]:
    """The names of the cookies that an answer ends for good."""
    assert answer.status_code == 204
    assert answer.headers["cache-control"] == "no-store"
    names = []
    for line in answer.headers.get_list("set-cookie"):
        [(name, morsel)] = SimpleCookie(line).items()
        assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", "/")
        assert not morsel["domain"]
        names.append(name)
    return names


def test_all_of_open_webuis_end() -> None:
    assert ended(asked()) == list(COOKIES)


def test_only_what_came_along_ends() -> None:
    assert ended(asked("a=1; token=secret; oui-session=y")) == ["token", "oui-session"]
    assert ended(asked("")) == []


def test_others_stay() -> None:
    others = "_oauth2_proxy=1; Token=2; tokens=3; mfa_challenge=4; xtoken=5; __Host-token=6"
    assert ended(asked(others)) == []


@pytest.mark.parametrize(
    "cookie",
    [
        "token\tx=1; <script>=2",
        'a=token; b="token=1; c=owui-session',
        "=token; ;;; =",
        "token/../x=1; token,x=2; token x=3",
        "tok\u00e9n=1",
    ],
)
def test_words_of_the_header_never_come_back(cookie: str) -> None:
    answer = client_of(routes_of({}, keys=a_keyring())).post(
        ADDRESS, headers=[(b"cookie", cookie.encode("latin-1"))]
    )
    assert set(ended(answer)) <= set(COOKIES)
    assert "<script>" not in str(answer.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": ""},
        {"sec_fetch_site": "cross-site", "origin": "http://testserver"},
        {"origin": "https://other.example"},
        {"origin": "http://testserver:8080"},
        {"origin": "http://testserver.other.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://[x"},
    ],
)
def test_pages_of_other_origins_are_refused(headers: dict[str, str]) -> None:
    answer = asked(**headers)
    assert_error(answer, 403, "other-origin")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": "https://behind-a-proxy.example"},
        {"origin": "https://testserver"},
        {"origin": "http://TestServer"},
        {},
    ],
)
def test_the_page_may_ask(headers: dict[str, str]) -> None:
    assert ended(asked(**headers)) == list(COOKIES)


def test_there_is_nothing_to_end_where_nothing_is_sealed() -> None:
    answer = asked(app=routes_of({}))
    assert_error(answer, 404, "not-found")
    assert "set-cookie" not in answer.headers


def test_it_answers_in_the_clear_where_the_app_does_not() -> None:
    assert ended(asked(app=around(plain, environ={"TEE_SEALED": "required"}))) == list(COOKIES)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_it_is_posted_to_only(method: str) -> None:
    answer = client_of(routes_of({}, keys=a_keyring())).request(
        method, ADDRESS, headers={"cookie": ALL}
    )
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert "set-cookie" not in answer.headers

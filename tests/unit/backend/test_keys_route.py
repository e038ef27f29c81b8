"""``GET keys``: what requests are sealed to, for anybody who has checked nothing."""

from __future__ import annotations

import pytest
from host_double import ADA, client_of, routes_of
from sealed_double import a_keyring

from error_document import assert_error

KEYS = "/api/v1/tee/keys"


@pytest.mark.parametrize("headers", [ADA, {}], ids=["signed in", "nobody"])
def test_they_are_those_of_the_next_quote(headers: dict[str, str]) -> None:
    ring = a_keyring()
    answer = client_of(routes_of({}, keys=ring)).get(KEYS, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"v": 1, "keyset": ring.current().document}
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


def test_there_are_none_where_nothing_is_sealed() -> None:
    answer = client_of(routes_of({})).get(KEYS)
    assert answer.status_code == 200
    assert answer.json() == {"v": 1, "keyset": None}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_they_are_got_only(method: str) -> None:
    answer = client_of(routes_of({}, keys=a_keyring())).request(method, KEYS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    if method != "HEAD":
        assert_error(answer, 405, "method-not-allowed")

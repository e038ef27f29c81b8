"""The double of an OpenID provider, as a client of it sees it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from fastapi import FastAPI

from doubles import oidc
from doubles.serving import serving

CLAIMS = {"sub": "1", "name": "Eve", "email": "eve@example.com"}


@pytest.fixture
def provider() -> Iterator[oidc.Provider]:
    provider = oidc.Provider(claims=CLAIMS)

    def make_app(url: str) -> FastAPI:
        provider.url = url
        return oidc.create_app(provider)

    with serving(make_app):
        yield provider


def test_a_code_gives_a_token_for_the_one_who_asked(provider: oidc.Provider) -> None:
    with httpx.Client(trust_env=False) as client:
        said = client.get(f"{provider.url}/.well-known/openid-configuration").json()
        asked = {"client_id": "app", "redirect_uri": "http://app/back", "state": "s", "nonce": "n"}
        back = client.get(said["authorization_endpoint"], params=asked)
        assert back.status_code == 302
        query = parse_qs(urlsplit(back.headers["location"]).query)
        assert query["state"] == ["s"]
        tokens = client.post(said["token_endpoint"], data={"code": query["code"][0]}).json()
        [key] = client.get(said["jwks_uri"]).json()["keys"]
        assert client.get(said["userinfo_endpoint"]).json() == CLAIMS
    claims = jwt.decode(
        tokens["id_token"],
        jwt.PyJWK(key),
        algorithms=[oidc.ALG],
        audience="app",
        issuer=provider.url,
    )
    assert claims["nonce"] == "n"
    assert claims.items() >= CLAIMS.items()


def test_an_unknown_code_gives_nothing(provider: oidc.Provider) -> None:
    answer = httpx.post(f"{provider.url}/token", data={"code": "mine"}, trust_env=False)
    assert answer.status_code == 400

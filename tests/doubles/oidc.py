"""An OpenID provider that signs everybody in at once, as whom it is told.

GET  /.well-known/openid-configuration   OpenID Connect Discovery 1.0
GET  /authorize                          back to the client, with a code
POST /token                              tokens for that code, once
GET  /userinfo                           the claims
GET  /jwks                               its key
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from .jose import PrivateKey, compact, jwk, make_key, signer

ALG, KID = "RS256", "double"
LIFE = 600


@dataclass
class Provider:
    """Who comes, the client's secret, and what was handed out."""

    url: str = ""
    secret: str = ""
    claims: dict[str, str] = field(default_factory=dict)
    key: PrivateKey = field(default_factory=lambda: make_key(ALG))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each code, the parameters under which it was asked for."""
    states: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def tokens_for(self, asked: dict[str, str]) -> dict[str, Any]:
        """Tokens for the client that asked with these parameters."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": asked["client_id"], "iat": now, "exp": now + LIFE}
        if "nonce" in asked:
            claims["nonce"] = asked["nonce"]
        header = {"alg": ALG, "kid": KID}
        id_token = compact(header, {**claims, **self.claims}, signer(self.key, ALG))
        access_token = secrets.token_urlsafe(24)
        self.tokens += [id_token, access_token]
        tokens = {"access_token": access_token, "id_token": id_token}
        return {**tokens, "token_type": "Bearer", "expires_in": LIFE}


def create_app(provider: Provider) -> FastAPI:
    """The provider as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    url = provider.url

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> Response:
        addresses = {
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "userinfo_endpoint": f"{url}/userinfo",
            "jwks_uri": f"{url}/jwks",
        }
        abilities = {
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALG],
        }
        return JSONResponse({"issuer": url, **addresses, **abilities})

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(24)
        provider.codes[code] = asked
        provider.states.append(asked["state"])
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    @app.post("/token")
    async def token(request: Request) -> Response:
        sent = parse_qs((await request.body()).decode())
        asked = provider.codes.get(sent.get("code", [""])[0])
        if asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(provider.tokens_for(asked))

    @app.get("/userinfo")
    async def userinfo() -> Response:
        return JSONResponse(provider.claims)

    @app.get("/jwks")
    async def jwks() -> Response:
        return JSONResponse({"keys": [jwk(provider.key, ALG, KID)]})

    return app

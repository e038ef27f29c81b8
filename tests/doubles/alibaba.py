"""A double of Alibaba Cloud's remote attestation service, under a root of our choice.

    python -m doubles.alibaba --root FILE --collateral FILE [--cors-origin ORIGIN]
    python -m doubles.alibaba --simulator DIR

    POST /v1/attestation                      evidence in, RS256 token out
    GET  /.well-known/openid-configuration    issuer and key set address
    GET  /jwks.json                           the key set

Quotes are verified for real, by the appraisal core of `cczoo_verifier`. Shapes: the public
page "Remote attestation service" of Alibaba Cloud ECS, with its sample token.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cczoo_verifier import protocol, tokens
from cczoo_verifier.appraisal import Rejected
from cczoo_verifier.service import BodyError, appraise_request, read_body
from cczoo_verifier.trust import TrustSource, from_files, from_simulator, read_root
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from . import jose
from .genuine import stand_in
from .serving import command_line, run_double, share

TOKEN_TTL = 6 * 3600
ALGORITHM = "RS256"


@dataclass
class Service:
    """The service's key, root and clock."""

    trust: TrustSource
    cors_origins: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    key: jose.PrivateKey = field(default_factory=lambda: jose.make_key(ALGORITHM))
    kid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def token(self, issuer: str, data: bytes) -> str:
        """The token for a request body. Raises Malformed or Rejected."""
        [request] = protocol.parse_body(data, (protocol.FLAT,), accept_hashed_raw=False).requests
        now = self.clock()
        verdict = appraise_request(request, self.trust, now)
        claims = tokens.simple_claims(
            verdict, issuer=issuer, now=now, ttl=TOKEN_TTL, token_id=str(uuid.uuid4())
        )
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": "JWT"}
        return jose.compact(header, claims, jose.signer(self.key, ALGORITHM))


def create_app(service: Service, issuer: str) -> FastAPI:
    """The service as an ASGI application; `issuer` is its own address."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/v1/attestation")
    async def attestation(request: Request) -> Response:
        try:
            return PlainTextResponse(service.token(issuer, await read_body(request)))
        except (BodyError, protocol.Malformed) as error:
            return JSONResponse({"code": "InvalidParameter", "message": str(error)}, 400)
        except Rejected as error:
            return JSONResponse({"code": "AttestationFailed", "message": str(error)}, 400)

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> Response:
        return JSONResponse(discovery_document(issuer))

    @app.get("/jwks.json")
    async def keys() -> Response:
        return JSONResponse({"keys": [jose.jwk(service.key, ALGORITHM, service.kid)]})

    share(app, service.cors_origins)
    return app


def discovery_document(issuer: str) -> dict[str, object]:
    """OpenID Connect Discovery 1.0, as the service answers it."""
    return {
        "authorization_endpoint": f"{issuer}/authorize",
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "issuer": issuer,
        "jwks_uri": f"{issuer}/jwks.json",
        "response_types_supported": ["code", "code id_token", "id_token", "token id_token"],
        "subject_types_supported": ["public"],
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service."""
    parser = command_line(__doc__)
    parser.add_argument("--root", default="intel", metavar="intel|FILE")
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--collateral", type=Path, metavar="FILE")
    trust.add_argument("--simulator", type=Path, metavar="DIR")
    options = parser.parse_args(argv)
    if options.root != "intel":
        stand_in(read_root(Path(options.root)))
    source = (
        from_simulator(options.simulator)
        if options.simulator
        else from_files(options.root, options.collateral)
    )
    service = Service(source, options.cors_origin)
    return run_double(lambda url: create_app(service, url), options)


if __name__ == "__main__":
    sys.exit(main())

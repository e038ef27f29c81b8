"""Tokens as a relying party reads them: strictly, and only under keys that it already has.

The page's rules (web/src/token/jwt.ts, keys.ts); the signature itself is PyJWT's business. Keys
that a token brings along are not even read, but for a certificate chain where the user pinned
the authority that must have issued it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509

from quote_generator.errors import BadInput
from quote_generator.evidence import decode_base64url

from . import strictjson
from .appraisal import Rejected
from .certificates import UNREADABLE, read_pem
from .chains import check_pinned, key_of_chain

MAX_TOKEN = 1 << 20
"""Characters: a token may bring a whole parsed event log along."""

MAX_HEADER = 1 << 13
"""Characters: the header has no reason to be long."""

MAX_KEYS = 64
MAX_KEYS_TEXT = 1 << 16
"""Characters; the largest key sets of large services have some 10,000."""

_REFUSED = ("crit", "b64", "zip", "cty", "enc")
"""Header parameters that change what a token means; we understand none of them."""

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
_KEY_TYPES = {"RS256": "RSA", "RS384": "RSA", "ES256": "EC"}
"""Every algorithm there is here; a provider allows a part of them. No `none`, no HMAC."""

Jwk = Mapping[str, Any]


@dataclass(frozen=True)
class Token:
    """A token taken apart, not yet verified."""

    text: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Keys:
    """What a token may be signed with: `jwks`, or a certificate under one of `authorities`.

    `pinned` keys are the user's; others came from the service itself.
    """

    jwks: tuple[Jwk, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    pinned: bool = False


def read_keys(data: str | bytes, *, pinned: bool) -> Keys:
    """A JWK Set or one JWK (RFC 7517); the user's may also be PEM certificates, nothing else.

    Private and symmetric keys are refused: whoever gives one has taken the wrong file. Raises
    BadInput.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("service keys: not text") from error
    if len(text) > MAX_KEYS_TEXT:
        raise BadInput(f"service keys: more than {MAX_KEYS_TEXT} characters")
    if pinned and text.lstrip().startswith("-"):
        return Keys(authorities=_authorities(text), pinned=True)
    try:
        value = strictjson.loads(text)
    except ValueError as error:
        raise BadInput(f"service keys: {error}") from error
    keys = value.get("keys", [value]) if isinstance(value, dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise BadInput(f"service keys: expected a JWK, or a set with 1 to {MAX_KEYS}")
    if not all(_is_public(key) for key in keys):
        raise BadInput("service keys: not a public key among them")
    return Keys(jwks=tuple(keys), pinned=pinned)


def parse_token(text: str) -> Token:
    """Take a compact JWS apart (RFC 7515 section 5.2, RFC 7519 section 7.2), strictly.

    Raises Rejected (token-signature, token-malformed).
    """
    parts = text.split(".", 4) if len(text) <= MAX_TOKEN else []
    if len(parts) != 3 or len(parts[0]) > MAX_HEADER:
        raise _malformed("not three parts of bearable size")
    header, payload = (_object(part) for part in parts[:2])
    refused = [name for name in _REFUSED if name in header]
    if refused:
        raise _malformed(f"its header has {refused[0]}")
    if not isinstance(header.get("kid", ""), str):
        raise _malformed("its kid is not text")
    try:
        decode_base64url(parts[2], "signature")
    except BadInput as error:
        raise _malformed(str(error)) from error
    return Token(text, header, payload)


def verify_token(token: Token, keys: Keys, algorithms: Sequence[str], now: float) -> str:
    """Verify the signature as of `now`; returns who signed, for people.

    A token's `kid` must be the key's; where neither has one (Trustee's own signer), each key is
    tried. Only with keys that the user pinned may one side name a key and the other not.
    Raises Rejected: token-malformed for an algorithm that is not allowed, token-forged for a key
    that is not there or a signature that is wrong; key-changed for another key than the pinned
    one, of a signer that has no certificate.
    """
    alg = token.header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms:
        raise _malformed(f"its algorithm is {alg}, not {' or '.join(algorithms)}")
    if keys.authorities:
        jwk = _certified_key(token, keys.authorities, now)
        if _suits(jwk, alg) and _holds(token, jwk, alg):
            return "a certificate of the pinned authority"
        raise _forged("its certificate is for another key")
    candidates = [jwk for jwk in keys.jwks if _suits(jwk, alg) and _named(jwk, token, keys.pinned)]
    if not any(_holds(token, jwk, alg) for jwk in candidates):
        if keys.pinned and _brings_a_bare_key(token):
            raise _changed()
        if not candidates:
            raise _forged(f"no {'pinned' if keys.pinned else 'published'} key {_kid(token)}for it")
        raise _forged("its signature is wrong")
    return "a pinned key" if keys.pinned else "a key that the service publishes"


# --- keys ----------------------------------------------------------------------------------------


def _is_public(key: object) -> bool:
    return isinstance(key, dict) and "kty" in key and not ("d" in key or "k" in key)


def _named(jwk: Jwk, token: Token, pinned: bool) -> bool:
    mine, its = jwk.get("kid"), token.header.get("kid")
    return mine == its or (pinned and (mine is None or its is None))


def _suits(jwk: Jwk, alg: str) -> bool:
    """Whether the key may verify this algorithm (RFC 7517, sections 4.1 to 4.4)."""
    kind = jwk.get("kty")
    if kind != _KEY_TYPES[alg] or jwk.get("alg", alg) != alg or jwk.get("use", "sig") != "sig":
        return False
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    if not all(isinstance(jwk.get(name), str) for name in _MEMBERS[kind]):
        return False
    # RSA: 2048 to 16384 bits.
    return jwk["crv"] == "P-256" if kind == "EC" else 342 <= len(jwk["n"]) <= 2731


def _holds(token: Token, jwk: Jwk, alg: str) -> bool:
    kind = jwk["kty"]
    bare = {"kty": kind, **{name: jwk[name] for name in _MEMBERS[kind]}}
    try:
        jwt.PyJWS(algorithms=[alg]).decode(token.text, jwt.PyJWK(bare, alg), algorithms=[alg])
    except (jwt.PyJWTError, ValueError):
        return False
    return True


def _authorities(text: str) -> tuple[x509.Certificate, ...]:
    try:
        found = [x509.load_der_x509_certificate(der) for der in read_pem(text)]
    except UNREADABLE as error:
        raise BadInput("service keys: not certificates in PEM and nothing else") from error
    if len(found) > MAX_KEYS:
        raise BadInput(f"service keys: more than {MAX_KEYS} certificates")
    try:
        for certificate in found:
            check_pinned(certificate)
    except ValueError as error:
        raise BadInput(f"service keys: {error}") from error
    return tuple(found)


def _certified_key(token: Token, authorities: Sequence[x509.Certificate], now: float) -> Jwk:
    """The key of the certificate that the token brings, if an authority vouches for it."""
    header = token.header
    # Where RFC 7515 has it, or where Trustee has it.
    chain = header["x5c"] if "x5c" in header else _get(header.get("jwk"), "x5c")
    try:
        return key_of_chain(chain, authorities, now)
    except ValueError as error:
        raise _forged(str(error)) from error


# --- small things --------------------------------------------------------------------------------


def _object(part: str) -> Mapping[str, Any]:
    try:
        value = strictjson.loads(decode_base64url(part, "token").decode("utf-8"))
    except ValueError as error:
        raise _malformed(str(error)) from error
    if not isinstance(value, dict):
        raise _malformed("not JSON objects in base64url")
    return value


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _brings_a_bare_key(token: Token) -> bool:
    """Whether the header has a key without a chain, as that of a Trustee without a signer."""
    jwk = token.header.get("jwk")
    return isinstance(jwk, dict) and "x5c" not in jwk and "x5c" not in token.header


def _kid(token: Token) -> str:
    return f"{token.header['kid']} " if "kid" in token.header else ""


def _malformed(reason: str) -> Rejected:
    return Rejected("token-signature", "token-malformed", f"not a token to accept: {reason}")


def _changed() -> Rejected:
    return Rejected(
        "token-signature",
        "key-changed",
        "another key than the pinned one signed it: a Trustee without a signer of its own makes "
        "one at each start; pin the new key only if you know that it was started anew",
    )


def _forged(reason: str) -> Rejected:
    return Rejected("token-signature", "token-forged", f"the token is not the service's: {reason}")

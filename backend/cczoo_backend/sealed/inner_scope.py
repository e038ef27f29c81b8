"""The ASGI scope of what came sealed: the app's request, as if it had come by itself.

What a proxy says of a request cannot be said by whoever sealed it: headers that open-webui is set
to trust, and those that name a client, are dropped from inside. The outer request's own headers,
which anybody on the way may have written, are not taken over at all.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope

from ..scopes import SEALED_STATE
from ..stock import trusted_headers

KEY_STATE = "tee_keys"
STATEMENT_STATE = "tee_statement"
STATEMENT_FIELD = b"tee-statement"
"""The hash of the statement that a client judged: for the kit alone, and kept in the state."""

Fields = Iterable[tuple[bytes, bytes]]

# Of one connection each (RFC 9110, section 7.6.1), or this server's to decide.
_HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"expect", b"host", b"accept-encoding"),
    }
)
_OF_PROXIES = frozenset({b"forwarded", b"x-real-ip", b"tee-key"})
_OF_THE_KIT = frozenset({STATEMENT_FIELD})
_OF_PROXIES_ALIKE = (b"x-forwarded-", b"proxy-")
# Of the request by which a ticket was asked for, and not of the socket.
_OF_BODIES = (b"content-", b"date", b"accept")
_OF_HANDSHAKES = b"sec-websocket-"

_PATH = re.compile(r"/[!-\"$-~]*")  # printable ASCII without "#"


class BadInner(Exception):  # noqa: N818 - named for what it is
    """What was inside is no request that a server could be asked."""


class InnerScopes:
    """Makes scopes out of opened requests; ``environ`` names the headers of proxies."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._dropped = _HOP_BY_HOP | _OF_PROXIES | _OF_THE_KIT | trusted_headers(environ)

    def http(
        self,
        outer: Scope,
        *,
        method: str,
        scheme: str,
        authority: str,
        target: str,
        fields: Fields,
        key: str,
    ) -> dict[str, Any]:
        """Return the scope of a request that binary HTTP's reader took: its form is checked there.

        ``target`` is path and query, ``key`` the seal key's id.
        """
        fields = list(fields)
        shared = _shared(outer, target, key)
        if (judged := _judged(fields)) is not None:
            shared["state"][STATEMENT_STATE] = judged
        return {
            **shared,
            "type": "http",
            "method": method,
            "scheme": scheme if scheme in ("http", "https") else outer.get("scheme", "http"),
            "headers": [(b"host", _host(outer, authority)), *self._kept(fields)],
        }

    def websocket(self, ticket: Scope, target: str, protocols: Sequence[str]) -> dict[str, Any]:
        """Return the scope of a socket that the sealed request ``ticket`` asked for."""
        if not _PATH.fullmatch(target):
            raise BadInner("it has no path")
        headers = [
            (name, value)
            for name, value in ticket["headers"]
            if not name.startswith((*_OF_BODIES, _OF_HANDSHAKES)) or name == b"accept-language"
        ]
        # Of a handshake (RFC 6455, section 4.1): engine.io looks for it.
        headers += [
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", base64.b64encode(secrets.token_bytes(16))),
        ]
        if protocols:
            headers.append((b"sec-websocket-protocol", ", ".join(protocols).encode("ascii")))
        return {
            **_shared(ticket, target, ticket["state"][KEY_STATE]),
            "type": "websocket",
            "scheme": "wss" if ticket["scheme"] == "https" else "ws",
            "headers": headers,
            "subprotocols": list(protocols),
        }

    def _kept(self, fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        dropped = self._dropped
        for name, value in fields:
            if name == b"connection":
                dropped |= {word.strip().lower() for word in value.split(b",")}
        return [
            (name, value)
            for name, value in fields
            if name not in dropped and not name.startswith(_OF_PROXIES_ALIKE)
        ]


# What server and framework say of themselves: Starlette's requests find their application there.
_OF_SERVER = ("asgi", "app", "client", "server")


def _shared(outer: Scope, target: str, key: str) -> dict[str, Any]:
    path, _question, query = target.partition("?")
    root: str = outer.get("root_path", "")
    return {
        **{name: outer[name] for name in _OF_SERVER if name in outer},
        "http_version": "1.1",
        "root_path": root,
        "path": root + unquote(path),
        "raw_path": (root + path).encode(),
        "query_string": query.encode(),
        "state": {**outer.get("state", {}), SEALED_STATE: True, KEY_STATE: key},
    }


def _judged(fields: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return what a request says of the statement that it is meant for; None of older clients."""
    found = [value for name, value in fields if name == STATEMENT_FIELD]
    return b", ".join(found).decode("latin-1") if found else None


def _host(outer: Scope, authority: str) -> bytes:
    """Return what the request says of the server; the outer one's word where it says nothing."""
    if authority:
        return authority.encode()
    return next((value for name, value in outer["headers"] if name == b"host"), b"")

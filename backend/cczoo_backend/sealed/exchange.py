"""One Oblivious HTTP exchange: a sealed request is opened, asked of the app, and its answer sealed.

RFC 9458 and draft-ietf-ohai-chunked-ohttp outside, RFC 9292 inside; what is said there of formats
is in ``quote_generator.sealing``.
"""

from __future__ import annotations

import calendar
import email.utils
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quote_generator.sealing import padding
from quote_generator.sealing.binary_http import RequestHead
from quote_generator.sealing.chunked_ohttp import MEDIA_REQUEST, RequestOpener
from quote_generator.sealing.errors import KeyUnknown, SealingError
from quote_generator.sealing.hpke import PrivateKey

from ..errors import TeeError
from ..keys import KEMS, Keyring
from ..scopes import TICKETS, is_the_kits, route_path
from .answer import SealedAnswer
from .arrival import Arrival, Gone
from .inner_scope import STATEMENT_STATE, InnerScopes
from .replays import DATE_TOLERANCE, Replays

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 4096
"""Sealed requests that may be under way at once; each holds a chunk of up to 1 MiB at most."""

KEY_HEADER = b"tee-key"
_MEDIA_TYPE = MEDIA_REQUEST.encode()
_PADDED = padding.CODING.encode()

# RFC 9458, section 6.5.2; the type is registered by IANA.
DATE_PROBLEM = "https://iana.org/assignments/http-problem-types#date"


class Exchanges:
    """The ASGI application of ``POST ohttp``. ``app`` is asked what came inside.

    ``now`` is in seconds since 1970. ``statement_holds`` tells of the hash of a statement whether
    it is that of the current one: requests that were meant for another one do not reach ``app``.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keyring,
        scopes: InnerScopes,
        *,
        statement_holds: Callable[[str], Awaitable[bool]],
        now: Callable[[], float] = time.time,
        replays: Replays | None = None,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self._app = app
        self._keys = keys
        self._scopes = scopes
        self._statement_holds = statement_holds
        self._now = now
        self._replays = replays or Replays()
        self._in_flight = 0
        self._in_flight_max = in_flight_max
        # Nobody knows these keys: what names an unknown one costs as much as what does not open.
        self._decoys = {kem: PrivateKey.generate(kem) for kem in KEMS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises what the app raised, where its answer had begun."""
        self._in_flight += 1
        try:
            self._check(scope)
            await self._exchange(scope, receive, send)
        except TeeError as error:
            await error.response()(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _check(self, scope: Scope) -> None:
        """Refuse what needs no look inside."""
        if scope["method"] != "POST":
            detail = "This address takes POST only."
            raise TeeError(405, "method-not-allowed", detail, headers={"Allow": "POST"})
        if _header(scope, b"content-type") != _MEDIA_TYPE:
            raise _malformed(f"its media type must be {MEDIA_REQUEST}")
        if self._in_flight > self._in_flight_max or self._replays.is_full():
            detail = "Too many sealed requests are under way or came lately: try again soon."
            raise TeeError(503, "sealed-busy", detail, headers={"Retry-After": "5"})

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        keys = self._keys.live(_key_id(scope))
        private = {number: key.private for number, key in keys.items()}
        opener = RequestOpener(private, self._decoys)
        arrival = Arrival(receive, opener, self._replays.is_new)
        try:
            head = await arrival.head()
            inner = self._inner_scope(scope, head, keys[(opener.start or b"")[0]].id)
        except Gone:
            raise _malformed("it did not arrive in time") from None
        except KeyUnknown:
            raise _key_unknown() from None
        except SealingError as error:
            raise _malformed(str(error)) from None
        finally:  # an exchange may outlive its key, and must not keep it from being erased
            keys.clear()
            private.clear()
        is_padded = _asks_for_padding(head)
        answer = SealedAnswer(send, opener.response(os.urandom), is_padded=is_padded)
        await self._ask(inner, arrival, answer)
        if arrival.failure is not None and not answer.has_begun:
            raise _malformed("it could not be read to its end")

    async def _ask(self, inner: Scope, arrival: Arrival, answer: SealedAnswer) -> None:
        """Have the app, or what stands in for it, answer; an answer that fails just ends."""

        async def send(message: Message) -> None:
            if arrival.failure is None:
                await answer.send(message)

        try:
            app = await self._answering(inner)
            await app(inner, arrival.receive, send)
        except Exception:
            if arrival.failure is not None:
                return
            if not answer.has_begun:
                log.exception("%s of a sealed request failed", inner["method"])
                await _failure(inner, arrival.receive, answer.send)
                return
            raise
        finally:
            await answer.close()

    async def _answering(self, inner: Scope) -> ASGIApp:
        """Return what answers a request: the app only where clock and statement agree."""
        if not self._is_current(inner):
            return self._date_problem
        judged = inner["state"].get(STATEMENT_STATE)
        if judged is None or _attests(route_path(inner)) or await self._statement_holds(judged):
            return self._app
        return _statement_changed

    def _inner_scope(self, outer: Scope, head: RequestHead, key: str) -> Scope:
        return self._scopes.http(
            outer,
            method=head.method,
            scheme=head.scheme,
            authority=head.authority,
            target=head.path,
            fields=head.fields,
            key=key,
        )

    def _is_current(self, inner: Scope) -> bool:
        moment = _date(_header(inner, b"date"))
        return moment is not None and abs(moment - self._now()) <= DATE_TOLERANCE

    async def _date_problem(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with this server's date: the client's clock differs, or the request is old."""
        response = JSONResponse(
            {"type": DATE_PROBLEM},
            400,
            {"Date": email.utils.formatdate(self._now(), usegmt=True), "Cache-Control": "no-store"},
            "application/problem+json",
        )
        await response(scope, receive, send)


def _attests(path: str) -> bool:
    """Whether a request serves to attest anew; what asks for a socket of the app's does not."""
    return is_the_kits(path) and path != TICKETS


async def _statement_changed(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in place of the app; the request's body is left unread."""
    detail = "What this server states about itself has changed: attest anew, and then send again."
    # A field as well: the worker in the page reads no documents.
    error = TeeError(409, "statement-changed", detail, headers={"TEE-Statement": "changed"})
    await error.response()(scope, receive, send)


async def _failure(scope: Scope, receive: Receive, send: Send) -> None:
    await TeeError.unexpected().response()(scope, receive, send)


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    found = [value for name, value in scope["headers"] if name == wanted]
    return found[0] if len(found) == 1 else None


def _key_id(scope: Scope) -> str | None:
    """Return the outer header ``tee-key``; clients that know only RFC 9458 send none."""
    value = _header(scope, KEY_HEADER)
    return None if value is None else value.decode("latin-1")


def _asks_for_padding(head: RequestHead) -> bool:
    return any(
        name == b"accept-encoding" and value.strip() == _PADDED for name, value in head.fields
    )


@functools.lru_cache(maxsize=512)  # many requests are of the same second
def _date(value: bytes | None) -> float | None:
    """Return the seconds since 1970 of a date in the preferred form (RFC 9110, section 5.6.7)."""
    text = (value or b"").decode("latin-1")
    parsed = email.utils.parsedate(text) if text.endswith(" GMT") and len(text) == 29 else None
    try:
        return calendar.timegm(parsed) if parsed else None
    except (ValueError, OverflowError):
        return None


def _malformed(why: str) -> TeeError:
    return TeeError(400, "sealed-malformed", f"The sealed request cannot be read: {why}.")


def _key_unknown() -> TeeError:
    """Return the one answer to an unknown key, to what does not open, and to a repetition."""
    detail = "Nobody here opens this request: ask for fresh evidence, and seal it anew."
    return TeeError(422, "key-unknown", detail)

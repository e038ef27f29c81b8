"""What is asked of the holder of the key in a quote: whether it is there, and what it states."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.errors import SealingError
from quote_generator.sealing.keyset import Keyset
from quote_generator.sealing.padding import CODING

from .. import strictjson
from ..appraisal import Rejected
from ..bindings import Ask
from ..fetching import Answer, post_bytes
from ..problems import Unreachable
from ..waiting import asked_wait
from .exchange import PATH, TOLD_MAX, Exchange

ASKED = "/api/v1/tee/sealed"
"""What is asked inside: any answer that opens proves the key, whatever it says."""

STATED = "/api/v1/tee/statement"
"""What is asked inside, by users, for the statement with its sections."""

_CODE = "evidence-unreachable"

_REFUSED = (401, 403)
"""Statuses of answers to whom the server does not know."""

_LATER = {429: None, 503: "sealed-busy"}
"""Status and code of answers that only ask for patience."""


def asking(
    url: str,
    *,
    timeout: float,
    pin: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Ask:
    """Asks the server at `url`; waits `timeout` seconds over all for the answer.

    `pin` is the fingerprint of the one TLS certificate that is accepted there; `clock` gives
    seconds since 1970.
    """

    def ask(keyset: Keyset) -> Callable[[], None]:
        answered: Future[None] = Future()

        def run() -> None:
            try:
                _ask(url, keyset, timeout, pin, clock)
                answered.set_result(None)
            except BaseException as error:
                answered.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return answered.result

    return ask


def asking_sections(
    url: str,
    token: str,
    *,
    timeout: float,
    pin: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Callable[[Keyset, object], Any]:
    """Brings the sections of a statement from the server at `url`; `pin` as in `asking`.

    `token` is an API key of that server. It is sealed to the keyset, so nobody but the TD that a
    quote vouched for reads it. None where it is not accepted. Raises Unreachable where there are no
    sections, and where the TD states something else by now.
    """

    def ask(keyset: Keyset, statement: object) -> Any:
        fields = ((b"authorization", f"Bearer {token}".encode()),)
        try:
            status, body = _exchange(url, keyset, STATED, fields, timeout, pin, clock)
        except Rejected as error:  # it did answer before
            raise Unreachable(_CODE, f"no sections of the statement: {error}") from error
        return _sections(status, body, statement)

    return ask


def _sections(status: int, body: bytes, statement: object) -> Any:
    if status in _REFUSED:
        return None
    if status != 200:
        raise Unreachable(_CODE, f"no sections of the statement: HTTP {status}")
    try:
        document = strictjson.loads(body)
    except ValueError as error:
        raise Unreachable(_CODE, "no sections of the statement: an answer without JSON") from error
    given = document if isinstance(document, dict) else {}
    if given.get("statement") != statement:
        raise Unreachable(_CODE, "what runs there changed meanwhile; verify again")
    return given.get("sections")


def _ask(
    url: str, keyset: Keyset, timeout: float, pin: str | None, clock: Callable[[], float]
) -> None:
    """Return where the key's holder answered. Raises Rejected (key-silent) and Unreachable."""
    _exchange(url, keyset, ASKED, (), timeout, pin, clock)


def _exchange(
    url: str,
    keyset: Keyset,
    inside: str,
    fields: tuple[tuple[bytes, bytes], ...],
    timeout: float,
    pin: str | None,
    clock: Callable[[], float],
) -> tuple[int, bytes]:
    """Status and body of the sealed answer to a GET. Raises Rejected (key-silent), Unreachable."""
    address = url.rstrip("/") + PATH
    try:
        exchange = Exchange(keyset.preferred, _question(url, inside, fields, clock()))
        sealed = exchange.end()
    except SealingError as error:  # no key at all, in form of one
        raise _silent(f"nothing can be sealed to the key: {error}") from error
    headers = exchange.headers
    answer = post_bytes(address, _CODE, sealed, timeout=timeout, headers=headers, pin=pin)
    if answer.status != 200:
        raise _why_not(address, answer)
    try:
        opening = exchange.answer()
        events = opening.feed(answer.body) + opening.end()
    except SealingError as error:
        raise _silent(f"what {address} answered does not open: {error}") from error
    heads = [event.status for event in events if isinstance(event, ResponseHead)]
    return heads[0], b"".join(event for event in events if isinstance(event, bytes))


def _question(
    url: str, inside: str, more: tuple[tuple[bytes, bytes], ...], now: float
) -> RequestHead:
    parts = urlsplit(url)
    fields = (
        (b"accept-encoding", CODING.encode()),
        (b"date", email.utils.formatdate(now, usegmt=True).encode()),
        *more,
    )
    return RequestHead("GET", parts.scheme, parts.netloc, inside, fields)


def _why_not(address: str, answer: Answer) -> Rejected | Unreachable:
    code = _code(answer)
    if answer.status in _LATER and _LATER[answer.status] in (None, code):
        wait = asked_wait(answer.headers, time.time())
        reason = f"{address} asks to wait: HTTP {answer.status}"
        return Unreachable(_CODE, reason, wait=wait)
    if answer.status == 422 and code == "key-unknown":
        return _silent(
            f"nobody at {address} knows the key: somebody is in between, or there are several "
            "servers behind one address (route by the header tee-key)"
        )
    return _silent(f"{address} gave no sealed answer: HTTP {answer.status}")


def _code(answer: Answer) -> object:
    try:
        told = strictjson.loads(answer.body[:TOLD_MAX])
    except ValueError:
        return None
    return told.get("code") if isinstance(told, dict) else None


def _silent(detail: str) -> Rejected:
    return Rejected("key-binding", "key-silent", detail)

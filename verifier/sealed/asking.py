"""Whether the holder of the key in a quote is there: it answers a sealed request."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from urllib.parse import urlsplit

from quote_generator.sealing.binary_http import RequestHead
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

_LATER = {429: None, 503: "sealed-busy"}
"""Status and code of answers that only ask for patience."""


def asking(url: str, *, timeout: float, clock: Callable[[], float] = time.time) -> Ask:
    """Asks the server at `url`; waits `timeout` seconds over all for the answer.

    `clock` gives seconds since 1970.
    """

    def ask(keyset: Keyset) -> Callable[[], None]:
        answered: Future[None] = Future()

        def run() -> None:
            try:
                _ask(url, keyset, timeout, clock)
                answered.set_result(None)
            except BaseException as error:
                answered.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return answered.result

    return ask


def _ask(url: str, keyset: Keyset, timeout: float, clock: Callable[[], float]) -> None:
    """Return where the key's holder answered. Raises Rejected (key-silent) and Unreachable."""
    address = url.rstrip("/") + PATH
    try:
        exchange = Exchange(keyset.preferred, _question(url, clock()))
        sealed = exchange.end()
    except SealingError as error:  # no key at all, in form of one
        raise _silent(f"nothing can be sealed to the key: {error}") from error
    answer = post_bytes(
        address, "evidence-unreachable", sealed, timeout=timeout, headers=exchange.headers
    )
    if answer.status != 200:
        raise _why_not(address, answer)
    try:
        opening = exchange.answer()
        opening.feed(answer.body)
        opening.end()
    except SealingError as error:
        raise _silent(f"what {address} answered does not open: {error}") from error


def _question(url: str, now: float) -> RequestHead:
    parts = urlsplit(url)
    fields = (
        (b"accept-encoding", CODING.encode()),
        (b"date", email.utils.formatdate(now, usegmt=True).encode()),
    )
    return RequestHead("GET", parts.scheme, parts.netloc, ASKED, fields)


def _why_not(address: str, answer: Answer) -> Rejected | Unreachable:
    code = _code(answer)
    if answer.status in _LATER and _LATER[answer.status] in (None, code):
        wait = asked_wait(answer.headers, time.time())
        reason = f"{address} asks to wait: HTTP {answer.status}"
        return Unreachable("evidence-unreachable", reason, wait=wait)
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

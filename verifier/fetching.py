"""HTTP exchanges with an end: bounded in size and time, no redirects, no foreign secrets."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from quote_generator.tls_certificate import fingerprint, is_self_signed

from .problems import Unreachable

MAX_ANSWER = 4 << 20
_CHUNK = 64 * 1024

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
"""Names of this machine itself: what is sent there does not leave it."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, body, and headers (names in lower case).

    `certificate` is the one (DER) that the server showed on this very connection; None for http.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    certificate: bytes | None = None


class NotAccepted(Unreachable):
    """NotAccepted: whoever answers there shows a TLS certificate (DER) that is not accepted."""

    def __init__(self, code: str, message: str, certificate: bytes) -> None:
        super().__init__(code, message)
        self.certificate = certificate


def describe_certificate(certificate: bytes) -> str:
    """What people compare of a certificate (DER)."""
    kind = "self-signed, " if is_self_signed(certificate) else ""
    return f"{kind}SHA-256 fingerprint {fingerprint(certificate)}"


def get(
    url: str,
    code: str,
    *,
    timeout: float,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    pin: str | None = None,
) -> Answer:
    """GET `url` within `timeout` seconds over all. Raises Unreachable with this code.

    `pin` is the fingerprint (quote_generator.tls_certificate) of the one certificate that is
    accepted then, whoever signed it; another one gets no byte of the request (NotAccepted).
    """
    arguments = {"params": dict(params or {}), "headers": dict(headers or {})}
    return _exchange("GET", url, code, timeout, arguments, pin)


def post(url: str, code: str, body: object, *, timeout: float) -> Answer:
    """POST `body` as JSON within `timeout` seconds over all. Raises Unreachable with this code."""
    return _exchange("POST", url, code, timeout, {"json": body, "headers": {}})


def post_bytes(
    url: str,
    code: str,
    body: bytes,
    *,
    timeout: float,
    headers: Mapping[str, str],
    pin: str | None = None,
) -> Answer:
    """POST `body` as it is, as `post` does; `pin` as in `get`."""
    return _exchange("POST", url, code, timeout, {"data": body, "headers": dict(headers)}, pin)


def is_private_enough(url: str) -> bool:
    """Whether a secret may be sent there: over TLS, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or _LOOPBACK.fullmatch(parts.hostname or "") is not None


def _exchange(
    method: str,
    url: str,
    code: str,
    timeout: float,
    arguments: dict[str, Any],
    pin: str | None = None,
) -> Answer:
    # requests' own time-out starts anew with each byte; this one does not.
    adapter = _Adapter(pin)
    done = _in_thread(lambda: _send(adapter, method, url, code, timeout, arguments))
    try:
        outcome = done(timeout)
    finally:
        adapter.abort()
    if outcome is None:
        raise Unreachable(code, f"{url} did not answer within {timeout:g} seconds")
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _send(
    adapter: _Adapter,
    method: str,
    url: str,
    code: str,
    timeout: float,
    arguments: dict[str, Any],
) -> Answer:
    # Small compressed answers can be large ones; what is not asked for is not unpacked either.
    arguments["headers"]["Accept-Encoding"] = "identity"
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
            response = session.request(
                method,
                url,
                timeout=timeout,
                stream=True,
                # Following could carry the token elsewhere and say nothing about this service.
                allow_redirects=False,
                auth=_keep_headers,
                verify=adapter.pin is None,
                **arguments,
            )
            return Answer(
                response.status_code,
                _body(response, url, code),
                {name.lower(): value for name, value in response.headers.items()},
                adapter.shown,
            )
    except requests.exceptions.SSLError as error:
        certificate = _look(adapter, url, timeout)
        if certificate is None:
            raise Unreachable(code, f"{url} did not answer: {_reason(error)}") from error
        why = f"{_reason(error)} ({describe_certificate(certificate)})"
        raise NotAccepted(code, f"{url} did not answer: {why}", certificate) from error
    except requests.RequestException as error:
        raise Unreachable(code, f"{url} did not answer: {_reason(error)}") from error


def _look(adapter: _Adapter, url: str, timeout: float) -> bytes | None:
    """The certificate that is shown there, to be told; nothing is sent to whoever shows it."""
    adapter.only_looks = True
    with contextlib.suppress(_Seen, requests.RequestException), requests.Session() as session:
        session.mount("https://", adapter)
        session.get(url, timeout=timeout, verify=False)
    return adapter.shown


def _body(response: requests.Response, url: str, code: str) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unreachable(code, f"{url} answered in a compressed form that was not asked for")
    body = b""
    for part in response.iter_content(_CHUNK):
        body += part
        if len(body) > MAX_ANSWER:
            raise Unreachable(code, f"{url} answered more than {MAX_ANSWER} bytes")
    return body


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Instead of what requests would look up in ~/.netrc."""
    return request


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


def _in_thread(call: Callable[[], Answer]) -> Callable[[float], Answer | BaseException | None]:
    """Start the call; gives what waits for its result or error, None where time is up."""
    outcomes: list[Answer | BaseException] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait(seconds: float) -> Answer | BaseException | None:
        thread.join(seconds)
        return outcomes[0] if outcomes else None

    return wait


class _Seen(Exception):  # noqa: N818 - named for the state
    """_Seen: the certificate is known, which was all that the connection was for."""


class _Adapter(HTTPAdapter):
    """Keeps a hold on its sockets, so that a thread that waits for a byte can be ended.

    Without that, a server that sends one now and then would keep a thread of ours for ever.

    `shown` is the last certificate that a connection showed. One with another fingerprint than
    `pin` ends the connection before anything is sent; with `only_looks`, any certificate does.
    """

    def __init__(self, pin: str | None = None) -> None:
        self.pin = pin
        self.shown: bytes | None = None
        self.only_looks = False
        self._held: list[socket.socket] = []
        self._aborted = False
        super().__init__()

    def abort(self) -> None:
        """End what waits on these sockets, and let go of them."""
        self._aborted = True
        while self._held:
            with self._held.pop() as held, contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools()
        return manager

    def _pools(self) -> dict[str, type]:
        adapter = self

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return adapter._hold(super()._new_conn())

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return adapter._hold(super()._new_conn())

            def connect(self) -> None:
                # urllib3 compares it at the end of the handshake.
                self.assert_fingerprint = None if adapter.only_looks else adapter.pin
                super().connect()
                adapter.shown = self.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
                if adapter.only_looks:
                    raise _Seen

        return {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": Secure}),
        }

    def _hold(self, connected: socket.socket) -> socket.socket:
        self._held.append(connected.dup())  # TLS will take over the original
        if self._aborted:
            self.abort()
        return connected

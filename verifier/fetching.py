"""Fetching over HTTP with an end: bounded in size and time, no redirects, no foreign secrets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import requests

MAX_ANSWER = 4 << 20
_CHUNK = 64 * 1024

_Value = TypeVar("_Value")


class Unreachable(Exception):  # noqa: N818 - named for the state
    """Unreachable: there is no usable answer; the message says from whom and why."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, body, and headers (names in lower case)."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def get(
    url: str,
    *,
    timeout: float,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """GET `url` within `timeout` seconds over all. Raises Unreachable."""
    return _within(timeout, url, lambda: _get(url, timeout, params or {}, headers or {}))


def _get(url: str, timeout: float, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    try:
        with requests.get(
            url,
            params=params,
            headers=headers,
            timeout=timeout,
            stream=True,
            # Following could carry the token elsewhere and say nothing about this service.
            allow_redirects=False,
            auth=_keep_headers,
        ) as response:
            body = b""
            for part in response.iter_content(_CHUNK):
                body += part
                if len(body) > MAX_ANSWER:
                    raise Unreachable(f"{url} answered more than {MAX_ANSWER} bytes")
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, body, lowered)
    except requests.RequestException as error:
        raise Unreachable(f"{url} did not answer: {_reason(error)}") from error


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


def _within(timeout: float, url: str, call: Callable[[], _Value]) -> _Value:
    """The call's result; its own time-outs start anew with each byte, this one does not."""
    results: list[_Value] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if errors:
        raise errors[0]
    if not results:
        raise Unreachable(f"{url} did not answer within {timeout:g} seconds")
    return results[0]


def is_private_enough(url: str) -> bool:
    """Whether a secret may be sent there: over TLS, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")

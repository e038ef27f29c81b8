"""HTTP requests whose answers are trusted with nothing: bounded in time and size."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

SECONDS = 8.0
ANSWER_BYTES = 1 << 20

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "cczoo-install"}

# Problems by which a certificate is told from a server that is not there.
_CERTIFICATE = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)


class NoAnswerError(Exception):
    """There was no answer. ``code`` is one of unreachable, timed-out, certificate, bad-answer."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Question:
    """One request: ``url`` is absolute, ``limit`` what is read of the answer's body, in bytes.

    Without ``checks_certificate`` anybody may answer: for what is believed to nobody anyway.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    seconds: float = SECONDS
    limit: int = ANSWER_BYTES
    by_proxy: bool = False
    checks_certificate: bool = True


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case, and ``is_whole`` unless it was cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    def json(self) -> Any:
        """Return the body as JSON, None for anything else."""
        try:
            return json.loads(self.body) if self.is_whole else None
        except (ValueError, RecursionError):
            return None

    def members(self) -> dict[str, Any]:
        """Return the body's members where it is a JSON object, none otherwise."""
        found = self.json()
        return found if isinstance(found, dict) else {}

    def date(self) -> float | None:
        """Return the server's clock, in seconds since 1970, None where it says nothing readable."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError, OSError):
            return None


Reply = Answer | NoAnswerError


def ask(*questions: Question) -> list[Reply]:
    """Ask all at once, each by a connection of its own, and return the replies in that order."""

    async def all_of_them() -> list[Reply]:
        return list(await asyncio.gather(*(_reply(one) for one in questions)))

    return asyncio.run(all_of_them())


async def _reply(question: Question) -> Reply:
    try:
        return await _answer(question)
    except NoAnswerError as error:
        return error
    except TimeoutError:
        return NoAnswerError("timed-out", f"no answer within {question.seconds:g} seconds")
    except _CERTIFICATE as error:
        return NoAnswerError("certificate", _why(error))
    except (aiohttp.ClientConnectionError, OSError) as error:
        return NoAnswerError("unreachable", _why(error))
    except aiohttp.InvalidURL:  # what it says repeats the address, a password in it too
        return NoAnswerError("bad-answer", "that is no address")
    except (aiohttp.ClientError, ValueError) as error:
        return NoAnswerError("bad-answer", _why(error))


def _why(error: BaseException) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(inner.verify_message)
    if isinstance(inner, OSError) and inner.errno and not isinstance(inner, ssl.SSLError):
        number = inner.errno
        return os.strerror(number) if number > 0 else str(inner.strerror)  # of the look-up of names
    return (str(inner) or type(error).__name__)[:200]


async def _answer(question: Question) -> Answer:
    timeout = aiohttp.ClientTimeout(total=question.seconds)
    # Nothing is unpacked: a small body that becomes a large one would not be bounded.
    async with (
        aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            trust_env=question.by_proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session,
        session.request(
            question.method,
            question.url,
            headers={**_HEADERS, **question.headers},
            data=question.body,
            ssl=question.checks_certificate,
            allow_redirects=False,
        ) as response,
    ):
        body = bytearray()
        async for piece in response.content.iter_chunked(1 << 16):
            body += piece
            if len(body) > question.limit:
                break
        headers = {name.lower(): value for name, value in response.headers.items()}
        is_whole = len(body) <= question.limit
        return Answer(response.status, headers, bytes(body[: question.limit]), is_whole)


def of_server(url: str, **more: Any) -> Question:
    """Return a question to the server that is looked at; its certificate is judged by itself."""
    return Question(url, checks_certificate=False, **more)


def shown_address(url: str) -> str:
    """Return scheme, host and port of an address: what else is in it may be a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{host}{port}" if host else "an address without a host"

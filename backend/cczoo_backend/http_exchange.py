"""One HTTP exchange with an end: bounded in time and size, and without anything of the user."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
# A percent-encoded chain of three certificates has about 5000 characters.
_HEADER_BYTES = 32 * 1024


class Unreachable(Exception):  # noqa: N818 - named for the state
    """There is no answer; the message is the end of a sentence that begins with the service."""


@dataclass(frozen=True)
class Answer:
    """What came back: names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(
    method: str,
    url: str,
    *,
    seconds: float,
    limit: int,
    params: Mapping[str, str] | None = None,
    json_body: bytes | None = None,
) -> Answer:
    """Send a request and return the answer, whatever its status; a redirect is not followed.

    Only what is given here travels: no header, cookie or address of the user. Compression is
    neither asked for nor undone, so an answer can not grow in memory beyond what was counted.
    Raise TimeoutError after ``seconds`` over all, and Unreachable where there is no whole answer
    of at most ``limit`` bytes.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": "cczoo-trust-badge"}
    if json_body is not None:
        headers["Content-Type"] = "application/json"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_field_size=_HEADER_BYTES,
                trust_env=True,
            ) as session,
            session.request(
                method, url, params=params, data=json_body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, lowered, await _read(answer, limit))
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        log.error("%s %s failed: %r", method, url, error)
        raise Unreachable("could not be reached or broke off") from None


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise Unreachable(f"sent more than {limit} bytes")
    return bytes(body)

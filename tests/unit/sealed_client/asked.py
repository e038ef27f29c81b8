"""Clients that ask a server by sealed requests, sync and async alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
from cczoo_verifier.sealed import AsyncSealedTransport, Keys, SealedTransport

from doubles.chat import Chat
from quote_generator.sealing.keyset import Keyset, parse_keyset

Ask = Callable[..., httpx.Response]


def keyset_of(chat: Chat) -> Keyset:
    """The keyset that the server hands out."""
    return parse_keyset(dict(chat.keys.current().document))


class Asked:
    """Asks once for each call, sync or async alike, and reads the whole answer."""

    def __init__(self, kind: str, url: str, keys: Keys | Keyset, **options: Any) -> None:
        self.kind, self.url, self.keys, self.options = kind, url, keys, options

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        if self.kind == "async":
            return asyncio.run(self._async(method, path, request))
        return self._sync(method, path, request)

    def _sync(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        transport = SealedTransport(self.url, self.keys, **self.options)
        with httpx.Client(base_url=self.url, transport=transport, timeout=60) as client:
            return client.request(method, path, **request)

    async def _async(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        if hasattr(request.get("content"), "__next__"):
            request = request | {"content": _async_parts(request["content"])}
        transport = AsyncSealedTransport(self.url, self.keys, **self.options)
        async with httpx.AsyncClient(base_url=self.url, transport=transport, timeout=60) as client:
            return await client.request(method, path, **request)


async def _async_parts(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@contextlib.contextmanager
def client_of(url: str, keys: Keys | Keyset, **options: Any) -> Iterator[httpx.Client]:
    """A client of its own, for what takes its time."""
    transport = SealedTransport(url, keys, **options)
    with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
        yield client

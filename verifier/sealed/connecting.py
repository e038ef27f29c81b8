"""httpx clients that verify a server first, and then talk to nobody but the key's holder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from ..audit import ReferenceValues
from ..options import INTEL_PCS
from ..policy import DEFAULT, Policy
from ..verification import Verifier
from .keys import VerifiedKeys
from .transport import AsyncSealedTransport, SealedTransport

KEEP_COLLATERAL = 3600.0
"""Seconds for which collateral is used again."""

_OURS = ("base_url", "transport", "mounts", "proxy", "trust_env")


def connect(
    url: str,
    *,
    policy: Policy = DEFAULT,
    references: ReferenceValues | None = None,
    verifier: Verifier | None = None,
    accept_warnings: bool = False,
    api_key: str | None = None,
    timeout: float = 30.0,
    outer: httpx.BaseTransport | None = None,
    **options: Any,
) -> httpx.Client:
    """A client for the server at `url`, which is verified now, and again before each result ends.

    It is verified here, with collateral from Intel, by `policy` and `references`; a `verifier`
    takes the place of all that. `accept_warnings` and `api_key` as in `VerifiedKeys`. `timeout`, in
    seconds, is for each answer. `outer` carries what is sealed, such as an `httpx.HTTPTransport`
    with certificates or a proxy of its own; `options` are those of `httpx.Client`. Raises
    SealedError, of which NotVerified and NoVerdict.
    """
    _check(options)
    keys = VerifiedKeys(
        url,
        verifier or _verifier(policy, references, timeout),
        accept_warnings=accept_warnings,
        api_key=api_key,
    )
    keys.current()
    transport = SealedTransport(url, keys, outer=outer)
    return httpx.Client(
        base_url=url, transport=transport, trust_env=False, timeout=timeout, **options
    )


async def connect_async(
    url: str,
    *,
    policy: Policy = DEFAULT,
    references: ReferenceValues | None = None,
    verifier: Verifier | None = None,
    accept_warnings: bool = False,
    api_key: str | None = None,
    timeout: float = 30.0,
    outer: httpx.AsyncBaseTransport | None = None,
    **options: Any,
) -> httpx.AsyncClient:
    """The same as `connect`, for `httpx.AsyncClient`."""
    from anyio import to_thread

    _check(options)
    keys = VerifiedKeys(
        url,
        verifier or _verifier(policy, references, timeout),
        accept_warnings=accept_warnings,
        api_key=api_key,
    )
    await to_thread.run_sync(keys.current)
    transport = AsyncSealedTransport(url, keys, outer=outer)
    return httpx.AsyncClient(
        base_url=url, transport=transport, trust_env=False, timeout=timeout, **options
    )


def _verifier(policy: Policy, references: ReferenceValues | None, timeout: float) -> Verifier:
    return Verifier(
        timeout=timeout,
        policy=policy,
        references=dict(references or {}),
        pccs=INTEL_PCS,
        keep=KEEP_COLLATERAL,
    )


def _check(options: Mapping[str, Any]) -> None:
    """Raise TypeError for options that would lead requests past the sealed transport."""
    for name in _OURS:
        if name in options:
            raise TypeError(f"{name} is not for you to choose here: requests go sealed or not")

"""Talk to nobody but the holder of a key that a quote vouches for (docs/auditors.md).

from cczoo_verifier import sealed

with sealed.connect("https://chat.example") as client:
    client.get("/api/config")

connect, connect_async                  clients of httpx that verify first
SealedTransport, AsyncSealedTransport   for a keyset that was verified elsewhere
SealedError                             and its kinds: why there is no sealed answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connecting import connect, connect_async
    from .errors import (
        Broken,
        Busy,
        Elsewhere,
        KeyUnknown,
        NotRepeatable,
        NotSealed,
        NotVerified,
        NoVerdict,
        SealedError,
        StatementChanged,
    )
    from .keys import FixedKeys, Holder, Keys, VerifiedKeys
    from .transport import AsyncSealedTransport, SealedTransport

__all__ = [
    "AsyncSealedTransport",
    "Broken",
    "Busy",
    "Elsewhere",
    "FixedKeys",
    "Holder",
    "KeyUnknown",
    "Keys",
    "NoVerdict",
    "NotRepeatable",
    "NotSealed",
    "NotVerified",
    "SealedError",
    "SealedTransport",
    "StatementChanged",
    "VerifiedKeys",
    "connect",
    "connect_async",
]

_MODULES = {
    "connecting": ("connect", "connect_async"),
    "keys": ("FixedKeys", "Holder", "Keys", "VerifiedKeys"),
    "transport": ("AsyncSealedTransport", "SealedTransport"),
}


def __getattr__(name: str) -> Any:
    """Load a name where it is used: httpx takes longer than a verification, which needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = next((each for each, names in _MODULES.items() if name in names), "errors")
    return getattr(import_module(f".{module}", __name__), name)

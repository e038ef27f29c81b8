"""Tickets for sockets: each opens one, once, within half a minute of its sealed request."""

from __future__ import annotations

import collections
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quote_generator.evidence import encode_base64url

SECONDS = 30
TICKET_BYTES = 16
SECRET_BYTES = 64
PENDING_MAX = 4096


@dataclass(frozen=True)
class Ticket:
    """What was said under seal about a socket: its secret, and the ``scope`` that the app gets."""

    secret: bytes
    scope: dict[str, Any]
    until: float


class Tickets:
    """The tickets that nobody has used yet. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pending: collections.OrderedDict[str, Ticket] = collections.OrderedDict()

    def are_full(self) -> bool:
        """Whether no more are given now."""
        self._forget()
        return len(self._pending) >= PENDING_MAX

    def new(self, scope: dict[str, Any]) -> tuple[str, bytes]:
        """Return a new ticket and its secret, for a socket with this ``scope``."""
        name = encode_base64url(secrets.token_bytes(TICKET_BYTES))
        secret = secrets.token_bytes(SECRET_BYTES)
        self._pending[name] = Ticket(secret, scope, self._monotonic() + SECONDS)
        return name, secret

    def take(self, name: str) -> Ticket | None:
        """Return the ticket, which is used up with that; None where there is none (any more)."""
        self._forget()
        return self._pending.pop(name, None)

    def _forget(self) -> None:
        now = self._monotonic()
        while self._pending and next(iter(self._pending.values())).until <= now:
            self._pending.popitem(last=False)

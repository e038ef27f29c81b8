"""What a person types, and what comes back, is not on the wire: a proxy records all that passes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from doubles.wire import Wire, recorded
from e2e.browser import OBSERVER, ChatPage, signed_in_context, tee_settings
from e2e.stack import PASSWORD, Backend

OpenChat = Callable[..., ChatPage]


def canary() -> str:
    """Return a word that nobody else says."""
    return f"canary{secrets.token_hex(8)}"


@pytest.fixture
def wire(hardware: Backend) -> Iterator[Wire]:
    """A recording proxy before the backend."""
    with recorded(hardware.url) as wire:
        yield wire

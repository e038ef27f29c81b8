"""What the sealed client's tests have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asked import Ask, Asked, keyset_of
from cczoo_verifier.sealed import Keys

from doubles.chat import Chat
from quote_generator.sealing.keyset import Keyset


@pytest.fixture(params=["sync", "async"])
def asked(request: pytest.FixtureRequest, chat: Chat, url: str) -> Callable[..., Asked]:
    """Makes what asks the server, under its keys unless others are given."""

    def make(keys: Keys | Keyset | None = None, **options: Any) -> Asked:
        address = options.pop("address", url)
        return Asked(request.param, address, keys or keyset_of(chat), **options)

    return make


@pytest.fixture
def ask(asked: Callable[..., Asked]) -> Ask:
    """Asks the server once."""
    return asked()

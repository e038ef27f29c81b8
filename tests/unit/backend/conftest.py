"""A collateral service for the tests of collateral, and no proxy on the way to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from doubles import pccs
from doubles.serving import serving
from quote_generator.simulator import Simulator


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine stands between the tests and their service."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def told() -> pccs.State:
    """What the service of a module is told to do."""
    return pccs.State()


@pytest.fixture(scope="module")
def service(td: Simulator, told: pccs.State) -> Iterator[str]:
    """The address of a collateral service."""
    with serving(lambda _: pccs.create_app(td, state=told)) as url:
        yield url


@pytest.fixture
def state(service: str, told: pccs.State, direct: None) -> Iterator[pccs.State]:
    """How the service behaves; good at first."""
    vars(told).update(vars(pccs.State(url=service)))
    yield told
    told.mode = pccs.GOOD

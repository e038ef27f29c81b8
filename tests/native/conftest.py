"""Fixtures: one emulator for all tests, without faults and entries before and after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from emulator import Emulator
from interruptible import heed_interrupts
from quote_generator.attester import System

heed_interrupts()


@pytest.fixture(scope="session")
def session_emulator() -> Iterator[Emulator]:
    with Emulator(slow=2.0) as emulator:
        yield emulator


@pytest.fixture
def emulator(session_emulator: Emulator) -> Iterator[Emulator]:
    session_emulator.set_fault("none")
    yield session_emulator
    session_emulator.set_fault("none")
    assert eventually(lambda: session_emulator.state()["entries"] == []), "an entry was left"


@pytest.fixture
def system(emulator: Emulator) -> System:
    """The emulated machine; its environment is empty."""
    return System.under(emulator.root, environ={})


def eventually(condition: Callable[[], bool], attempts: int = 1000) -> bool:
    """Wait until a condition holds; False if it never does."""
    for _ in range(attempts):
        if condition():
            return True
        time.sleep(0.01)
    return False

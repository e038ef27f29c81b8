"""Fixtures: one emulator for all tests, without faults and entries before and after each.

In the guest of kernel/run.py the kernel itself stands in the emulator's place: then tests that are
marked `emulated`, or have a fault that only the emulator can make, are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from emulator import Emulator
from emulator.qgs import Qgs
from quote_generator.attester import System

sys.path.insert(0, str(Path(__file__).parent / "kernel"))

import guest

ON_REAL_KERNEL = guest.VARIABLE in os.environ


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "emulated(why): left out on the real kernel")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not ON_REAL_KERNEL:
        return
    left_out = [item for item in items if _needs_the_emulator(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _needs_the_emulator(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return bool(
        item.get_closest_marker("emulated") or parameters.get("fault") in guest.EMULATED_FAULTS
    )


Emulate = Callable[..., AbstractContextManager[Emulator]]


@pytest.fixture(scope="session")
def emulate() -> Emulate:
    """Make an emulator with options of its own."""
    return guest.RealKernel if ON_REAL_KERNEL else Emulator  # type: ignore[return-value]


@pytest.fixture(scope="session")
def session_emulator(emulate: Emulate) -> Iterator[Emulator]:
    with emulate(slow=2.0) as emulator:
        yield emulator


@pytest.fixture
def emulator(session_emulator: Emulator) -> Iterator[Emulator]:
    session_emulator.set_fault("none")
    yield session_emulator
    session_emulator.set_fault("none")
    assert eventually(lambda: session_emulator.state()["entries"] == []), "an entry was left"
    assert eventually(lambda: not session_emulator.state()["in_flight"])


@pytest.fixture
def system(emulator: Emulator) -> System:
    """The emulated machine; its environment is empty."""
    return System.under(emulator.root, environ={})


@pytest.fixture
def qgs(tmp_path: Path) -> Iterator[Qgs]:
    """A quote generation service: on vsock for real, where the real kernel is."""
    with Qgs(tmp_path, vsock_port=guest.QGS_PORT if ON_REAL_KERNEL else None) as service:
        yield service


@contextmanager
def another_reader(emulator: Emulator, entry: Path) -> Iterator[None]:
    """Have another process read a quote that does not come; in the end it is killed."""
    script = 'head -c 64 /dev/zero > "$1/inblob"; exec cat "$1/outblob"'
    entry.mkdir()
    emulator.set_fault("held:1")
    command = ["sh", "-c", script, "-", str(entry)]
    reader = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        emulator.wait_until_held()
        yield
    finally:
        reader.kill()
        reader.wait()
        entry.rmdir()


def eventually(condition: Callable[[], bool], attempts: int = 1000) -> bool:
    """Wait until a condition holds; False if it never does."""
    for _ in range(attempts):
        if condition():
            return True
        time.sleep(0.01)
    return False

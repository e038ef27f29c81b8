"""Fixtures shared by the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from quote_generator.simulator import Simulator

# Machines differ and are busy: no test fails for being slow.
settings.register_profile("kit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kit")

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """A simulated TD of its own for this test run."""
    return Simulator.open(tmp_path_factory.mktemp("simulator") / "state")


@pytest.fixture
def sample() -> SampleReader:
    """Reads a real sample by name, or skips the test where the samples are not at hand."""
    return SampleReader()


class SampleReader:
    def __call__(self, name: str) -> bytes:
        path = SAMPLES / name
        if not path.exists():
            pytest.skip(f"real sample {name} is not beside the project (../shared/data)")
        return path.read_bytes()

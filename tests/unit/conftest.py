"""Fixtures shared by the unit tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from cczoo_verifier.appraisal import Verdict
from cczoo_verifier.certificates import root_key
from hypothesis import HealthCheck, settings

from doubles.chat import Chat
from doubles.serving import serving
from quote_generator.simulator import Simulator

# Machines differ and are busy: no test fails for being slow.
settings.register_profile("kit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kit")

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """A simulated TD of its own for this test run."""
    return Simulator.open(tmp_path_factory.mktemp("simulator") / "state")


@pytest.fixture(scope="session", autouse=True)
def no_authorities(simulator: Simulator) -> Iterator[None]:
    """No HTTP client here asks the world, and to read its authorities takes each of them 20 ms.

    The simulator's root takes their place, as none at all would be an error.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(simulator.directory / "root.pem"))
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def imports_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a measured server does about imports in its process is not for those that come after."""
    monkeypatch.setattr(sys, "pycache_prefix", sys.pycache_prefix)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(sys, "path", [*sys.path])


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


# A server with evidence, for the auditor's command lines.


@pytest.fixture(scope="module")
def td(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A TD whose root stands in for Intel's: its key alone, among others, counts as no simulator's.

    Nobody here can sign under Intel's root, so without this nothing could pass without a warning.
    """
    made = Simulator.open(tmp_path_factory.mktemp("td") / "state", name="TEST")
    genuine = {root_key(None), root_key(made.root_der)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Verdict, "simulated", property(lambda self: self.evaluation.root_key not in genuine)
        )
        yield made


@pytest.fixture(scope="module")
def server(td: Simulator) -> Iterator[tuple[Chat, str]]:
    """One server for all tests here, as starting and ending one takes a while."""
    chat = Chat(td)
    with serving(chat.app) as address:
        yield chat, address


@pytest.fixture
def chat(td: Simulator, server: tuple[Chat, str]) -> Chat:
    """The server, behaving well and without a past."""
    vars(server[0]).update(vars(Chat(td)))
    return server[0]


@pytest.fixture
def url(server: tuple[Chat, str], chat: Chat) -> str:
    """Its address."""
    return server[1]

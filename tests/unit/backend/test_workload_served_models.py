"""Models of local servers as facts: by the server's address, and only what was measured."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cczoo_backend.workload import served_models
from cczoo_backend.workload.addresses import HostsFile, IPAddress
from cczoo_backend.workload.fact_log import FactLog
from cczoo_backend.workload.listeners import Listener, Listeners
from cczoo_backend.workload.machine import Weights
from cczoo_backend.workload.models import FoundStore
from cczoo_backend.workload.served_models import ServedModels
from doubles.ollama_store import WEIGHTS, OllamaStore, alter
from quote_generator.attester import System

SETTINGS = {"ollama.enable": True, "ollama.base_urls": ["http://127.0.0.1:11434/x"]}
OLLAMA = Listener(("ollama",), (11434,))
SECONDS = 10


class Sockets(Listeners):
    """An Ollama at each port, whose process has the port's number."""

    def look_again(self) -> None:
        pass

    def on(self, ips: Iterable[IPAddress], port: int) -> Listener:
        return Listener(("ollama",), (port,))


class Served:
    """Stores of servers by their process's number; those of nobody's are by 0."""

    def __init__(self, root: Path) -> None:
        self.facts = FactLog(System.under(str(root), environ={}))
        self.stores: dict[int, list[OllamaStore]] = {11434: [OllamaStore(root / "models")]}
        self.is_servers = True
        self.served = ServedModels(
            self.facts,
            listeners=Sockets(),
            stores=self.find,
            hosts=lambda: HostsFile({}, is_whole=True),
            pause=0.01,
        )

    @property
    def store(self) -> OllamaStore:
        return self.stores[11434][0]

    def find(self, pids: Sequence[int]) -> list[FoundStore]:
        return [FoundStore(s.path, self.is_servers) for pid in pids for s in self.stores[pid]]

    def models(self) -> dict[tuple[str, str], str]:
        return {
            (fact.content["server"], fact.content["name"]): fact.content["digest"]
            for fact in self.facts.facts("model")
        }

    def missing(self) -> Any:
        return self.facts.present()["missing"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.served.stop()


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_model_is_a_fact_until_it_is_another_or_gone(served: Served) -> None:
    served.store.add()
    served.served.use(SETTINGS)
    name = ("127.0.0.1:11434", "small:latest")
    eventually(lambda: [*served.models()] == [name])
    first = served.models()[name]
    assert served.served.weights(OLLAMA, "small", None) == Weights(first)
    alter(served.store.blob(WEIGHTS))
    eventually(lambda: served.models().get(name) not in (None, first))
    served.store.add("other/1b")
    eventually(lambda: ("127.0.0.1:11434", "other:1b") in served.models())
    shutil.rmtree(served.store.library / "small")
    eventually(lambda: [*served.models()] == [("127.0.0.1:11434", "other:1b")])


def test_two_servers_may_have_one_model_each(served: Served, tmp_path: Path) -> None:
    served.stores[11435] = [OllamaStore(tmp_path / "more")]
    served.store.add()
    served.stores[11435][0].add(config=b"{}")
    urls = ["http://127.0.0.1:11434", "http://127.0.0.1:11435"]
    served.served.use(SETTINGS | {"ollama.base_urls": urls})
    eventually(lambda: len(served.models()) == 2)
    assert len(set(served.models().values())) == 2
    # Whose model of that name it is cannot be told by the name alone.
    assert served.served.weights(OLLAMA, "small", None) is None


def test_where_one_server_may_have_either_there_is_no_fact(served: Served, tmp_path: Path) -> None:
    served.is_servers = False
    served.stores[11434].append(OllamaStore(tmp_path / "more"))
    served.store.add()
    served.stores[11434][1].add(config=b"{}")
    served.served.use(SETTINGS)
    eventually(lambda: ["model", "not-known", "small:latest", "ambiguous"] in served.missing())
    assert served.models() == {}
    shutil.rmtree(served.stores[11434][1].library / "small")
    eventually(lambda: [*served.models()] == [("not-known", "small:latest")])
    assert served.missing() == []


def test_what_cannot_be_measured_is_told_and_is_no_fact(served: Served) -> None:
    served.store.add()
    served.store.blob(WEIGHTS).unlink()
    served.served.use(SETTINGS)
    eventually(lambda: [each[:3] for each in served.missing()])
    ((kind, server, name, _why),) = served.missing()
    assert (kind, server, name) == ("model", "127.0.0.1:11434", "small:latest")
    assert served.models() == {}
    assert served.served.weights(OLLAMA, "small", None) is None
    shutil.rmtree(served.store.library / "small")
    eventually(lambda: served.missing() == [])


@pytest.mark.parametrize(
    "settings",
    [
        {"ollama.enable": False},
        {"ollama.base_urls": ["http://192.0.2.1:11434", "http://ollama:11434", 7, ""]},
        {"ollama.base_urls": "http://localhost:11434"},
        {"ollama.base_urls": None},
    ],
)
def test_without_a_server_here_nothing_is_looked_for(
    served: Served, settings: dict[str, object]
) -> None:
    served.store.add()
    served.served.use(SETTINGS | settings)
    time.sleep(0.1)
    assert (served.models(), served.missing()) == ({}, [])


def test_a_server_that_is_taken_out_takes_its_facts_along(served: Served) -> None:
    served.store.add()
    served.served.use(SETTINGS)
    eventually(served.models)
    served.served.use(SETTINGS | {"ollama.enable": False})
    eventually(lambda: not served.models())


def test_more_models_than_the_log_has_room_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models, "MODELS_MAX", 2)
    for number in range(4):
        served.store.add(f"small/{number}")
    served.served.use(SETTINGS)
    eventually(lambda: ["model-list", "too-many"] in served.missing())
    assert len(served.models()) == 2


@pytest.mark.parametrize(
    ("listener", "model", "is_known"),
    [
        (OLLAMA, "small", True),
        (OLLAMA, "SMALL:latest", True),
        (OLLAMA, "other", False),
        (OLLAMA, "a b", False),
        (Listener(("vllm",), (11434,)), "small", False),
        (Listener(("ollama", "ssh"), (11434,)), "small", False),
        (Listener(("ollama",), (11436,)), "small", False),
    ],
)
def test_weights_are_those_of_the_server_that_answers(
    served: Served, listener: Listener, model: str, is_known: bool
) -> None:
    served.stores[11436] = []
    served.store.add()
    served.served.use(SETTINGS)
    eventually(served.models)
    found = served.served.weights(listener, model, None)
    assert (found is not None) is is_known
    wrong = served.served.weights(listener, model, f"sha256:{'0' * 64}")
    assert wrong is None


def test_a_store_that_a_server_only_may_use_counts_by_the_server_s_word(served: Served) -> None:
    """It names the manifest: where it serves another store, that is another one."""
    served.is_servers = False
    path = served.store.add()
    served.served.use(SETTINGS)
    eventually(served.models)
    assert served.served.weights(OLLAMA, "small", None) is None
    manifest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert served.served.weights(OLLAMA, "small", manifest) == Weights(*served.models().values())
    assert served.served.weights(OLLAMA, "small", "0" * 64) is None

"""Which measured models a server of this machine answers with: facts, and answers to ``Machine``.

A server is known by its address, its store by the processes that listen there. Only Ollama's stores
are understood. Where the server of a store is not to be known, the facts name none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from quote_generator.workload.events import Fact, make_fact
from quote_generator.workload.ollama import Name

from .addresses import LOOPBACK, HostsFile, parse
from .fact_log import FactLog
from .listeners import Listener, Listeners
from .machine import Weights
from .models import FoundStore, Key, ModelMeter, Outcome, find_stores

NOT_KNOWN = "not-known"
OLLAMA = "ollama"
MODELS_MAX = 1500
"""Models whose facts are kept; the log has no room for many more."""

_URLS_MAX = 64

_Names = tuple[str, str]
"""A server's address, and what it calls a model."""


class ServedModels:
    """Has the models of local Ollama servers measured, and their facts kept in ``facts``."""

    def __init__(
        self,
        facts: FactLog,
        *,
        listeners: Listeners | None = None,
        stores: Callable[[Sequence[int]], list[FoundStore]] = find_stores,
        hosts: Callable[[], HostsFile] = HostsFile.read,
        pause: float = 1.0,
    ) -> None:
        self._facts = facts
        self._listeners = listeners or Listeners()
        self._find_stores = stores
        self._read_hosts = hosts
        self._urls: tuple[str, ...] = ()
        self._servers: Mapping[Path, tuple[str, ...]] = {}
        self._final: dict[Key, Outcome] = {}
        self._having: dict[Name, frozenset[Path]] = {}
        self._known: dict[tuple[int, ...], list[FoundStore]] = {}
        self._missing: set[_Names] = set()
        self._is_started = False
        self._starting = threading.Lock()
        self._meter = ModelMeter(self._look, changed=self._change, pause=pause)

    def use(self, settings: Mapping[str, object]) -> None:
        """Look for the servers of these settings from now on; measuring starts with the first.

        An Ollama is also one where it is asked by OpenAI's protocol.
        """
        urls = [*_listed(settings, "ollama.enable", "ollama.base_urls")]
        urls += _listed(settings, "openai.enable", "openai.api_base_urls")
        self._urls = tuple(dict.fromkeys(urls))[:_URLS_MAX]
        with self._starting:
            if self._urls and not self._is_started:
                self._is_started = True
                self._meter.start()

    def stop(self) -> None:
        """End the measuring."""
        self._meter.stop()

    def weights(self, listener: Listener, model: str, manifest: str | None) -> Weights | None:
        """Return the weights by which a server answers as ``model`` (``machine.FindWeights``)."""
        if listener.programs != (OLLAMA,):
            return None
        outcome = self._meter.outcome(model, manifest)
        if outcome.state == "being-measured":
            return Weights(None)
        if outcome.model is None or outcome.model.remote:
            return None
        is_served = self._serves(listener.pids, outcome.model.name, manifest)
        return Weights(outcome.model.digest) if is_served else None

    def _serves(self, pids: tuple[int, ...], name: Name, manifest: str | None) -> bool:
        """Whether each store that has the model is one of a server's.

        Of stores that a server only may use, its own word for the manifest must say that it does.
        """
        found = self._stores_of(pids)
        is_sure = manifest is not None or all(store.is_servers for store in found)
        having = self._having.get(name.folded, frozenset())
        return is_sure and bool(having) and having <= {store.path for store in found}

    def _stores_of(self, pids: tuple[int, ...]) -> list[FoundStore]:
        """Return the stores of processes, looked for once until the meter looks again."""
        known = self._known
        if pids not in known:
            known[pids] = self._find_stores(pids)
        return known[pids]

    # In the meter's thread

    def _look(self) -> list[Path]:
        """Return the stores of the servers that listen now."""
        self._known = {}
        hosts, servers = self._read_hosts(), dict[Path, set[str]]()
        self._listeners.look_again()
        for url in self._urls:
            address = parse(url, hosts)
            if address.reach != LOOPBACK or not address.text:
                continue
            listener = self._listeners.on(address.ips, address.port)
            if listener.programs != (OLLAMA,):
                continue
            for store in self._stores_of(listener.pids):
                name = address.text if store.is_servers else NOT_KNOWN
                servers.setdefault(store.path, set()).add(name)
        found = {path: tuple(sorted(names)) for path, names in servers.items()}
        if found != self._servers:
            self._servers = found
            self._tell()
        return list(found)

    def _change(self, key: Key, outcome: Outcome | None) -> None:
        if outcome is None:
            self._final.pop(key, None)
        else:
            self._final[key] = outcome
        name = key.name.folded
        having = self._having.get(name, frozenset()) - {key.store}
        self._having[name] = having if outcome is None else having | {key.store}
        self._tell()

    def _tell(self) -> None:
        """Bring the facts to what is known now."""
        said: dict[_Names, set[str]] = {}
        for key, outcome in self._final.copy().items():
            for server in self._servers.get(key.store, ()):
                said.setdefault((server, str(key.name)), set()).add(_digest_or_why(outcome))
        kept = dict(list(said.items())[:MODELS_MAX])
        if len(kept) < len(said):
            self._facts.miss("model-list", "too-many")
        else:
            self._facts.found("model-list")
        found = {
            names: each.pop() if len(each) == 1 else "ambiguous" for names, each in kept.items()
        }
        facts = {names: fact for names, one in found.items() if (fact := _fact(names, one))}
        for fact in self._facts.facts("model"):
            if (fact.content["server"], fact.content["name"]) not in facts:
                self._facts.remove(fact)
        for fact in facts.values():
            self._facts.add(fact)
        self._tell_missing({names: one for names, one in found.items() if names not in facts})

    def _tell_missing(self, missing: Mapping[_Names, str]) -> None:
        for names in self._missing - missing.keys():
            self._facts.found("model", *names)
        self._missing = set(missing)
        for names, why in missing.items():
            self._facts.miss("model", why, *names)


def _listed(settings: Mapping[str, object], switch: str, key: str) -> Iterator[str]:
    urls = settings.get(key) if settings.get(switch) else ()
    if isinstance(urls, Sequence) and not isinstance(urls, str):
        yield from (url for url in urls if isinstance(url, str))


def _digest_or_why(outcome: Outcome) -> str:
    """Return a model's digest ("sha256:..."), or a code that says why it has none."""
    if outcome.model is None:
        return outcome.why
    return "cloud-model" if outcome.model.remote else outcome.model.digest


def _fact(names: _Names, found: str) -> Fact | None:
    """Return the fact of a model, unless ``found`` is only a code."""
    server, name = names
    return make_fact("model", digest=found, name=name, server=server) if ":" in found else None

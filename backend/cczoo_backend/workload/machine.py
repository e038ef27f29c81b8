"""Whether an address is inside this TD: the one place where that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .addresses import LOOPBACK, NOT_KNOWN, OUTSIDE, Address, HostsFile, parse
from .listeners import Listener, Listeners

INSIDE, BROWSER, OFF = "inside", "browser", "off"

_WORSE = {OFF: 0, INSIDE: 1, BROWSER: 2, NOT_KNOWN: 3, OUTSIDE: 4}

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


@dataclass(frozen=True)
class Where:
    """Where words go, and why we say so; ``digest`` is that of a model's measured weights."""

    where: str
    why: str
    address: str | None = None
    digest: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the members that every entry of the statement has."""
        return {"where": self.where, "address": self.address, "why": self.why}


@dataclass(frozen=True)
class Weights:
    """A model's weights in a store of this TD; no digest yet while they are being measured."""

    digest: str | None


class FindWeights(Protocol):
    """What the models' part knows."""

    def __call__(self, listener: Listener, model: str, manifest: str | None) -> Weights | None:
        """Return the weights by which ``listener`` answers as ``model``, out of a store of its own.

        None where it may have others: a cloud model, a server that passes words on, a program
        whose store is not known. ``manifest`` is the digest that Ollama names for the model.
        """


def no_weights(listener: Listener, model: str, manifest: str | None) -> Weights | None:
    """Know of no weights: every local model is not-known."""
    return None


class Machine:
    """This machine as it is now: asked about addresses, it answers from what it read."""

    def __init__(
        self,
        listeners: Listeners,
        hosts: HostsFile,
        *,
        weights: FindWeights = no_weights,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._listeners = listeners
        self._hosts = hosts
        self._weights = weights
        self._environ = {name.lower(): value for name, value in (environ or {}).items()}
        self._seen: dict[str, tuple[Where, Listener | None]] = {}

    @property
    def proxies(self) -> list[str]:
        """The proxies that requests of open-webui are sent through."""
        return sorted({self._environ[name] for name in _PROXIES if self._environ.get(name)})

    def server(self, url: object) -> Where:
        """Return where the server at ``url`` is, whatever it does there: never inside."""
        return self._server(url)[0]

    def model(self, url: object, model: str, manifest: str | None = None) -> Where:
        """Return where the server at ``url`` answers as ``model``: inside, with its weights."""
        server, listener = self._server(url)
        if listener is None:
            return server
        weights = self._weights(listener, model, manifest)
        if weights is None:
            return Where(NOT_KNOWN, "no-weights", server.address)
        why = "measured" if weights.digest else "being-measured"
        return Where(INSIDE, why, server.address, weights.digest)

    def is_of_this_machine(self, url: object) -> bool:
        """Whether nobody but a program on this machine can answer at ``url``."""
        server, listener = self._server(url)
        return listener is not None or server.why in ("no-listener", "no-address")

    def place(self, url: object) -> Where:
        """Return where ``url`` leads by its spelling alone, without who listens there."""
        address = parse(url, self._hosts)
        where = NOT_KNOWN if address.reach == LOOPBACK else address.reach
        return Where(where, address.why, address.text)

    def _server(self, url: object) -> tuple[Where, Listener | None]:
        if not isinstance(url, str):
            return Where(NOT_KNOWN, "unreadable"), None
        if url not in self._seen:
            self._seen[url] = self._look_at(parse(url, self._hosts))
        return self._seen[url]

    def _look_at(self, address: Address) -> tuple[Where, Listener | None]:
        if address.reach != LOOPBACK:
            return Where(address.reach, address.why, address.text), None
        if self._is_proxied(address.host):
            return Where(NOT_KNOWN, "proxy", address.text), None
        listener = self._listeners.on(address.ips, address.port)
        if listener.problem is not None:
            return Where(NOT_KNOWN, listener.problem, address.text), None
        return Where(NOT_KNOWN, "local-server", address.text), listener

    def _is_proxied(self, host: str) -> bool:
        """Whether clients that heed the environment ask a proxy even for ``host``."""
        exceptions = self._environ.get("no_proxy", "").split(",")
        is_excepted = any(name.strip().lower() in ("*", host) for name in exceptions)
        return bool(self.proxies) and not is_excepted


def worst(places: Sequence[Where]) -> Where:
    """Return the first of the places that protect least."""
    return max(places, key=lambda place: (_WORSE[place.where], place.why == "being-measured"))

"""The statement's sections on where words go: ``models``, ``connections`` and ``functions``.

From plain values: the settings by their names in setting_names, the models as open-webui lists
them, the functions as its database holds them. Nothing is asked over the network. Sections are the
same for the same input, bounded, and hold no key, user name, path or text that does not show.

A server outside can list what it likes at any moment, and open-webui follows without anybody
changing a setting: a model under another one's name takes its place, and one that calls itself a
pipeline's filter is sent the chats with all others. So a model is inside only if each connection to
a server outside is held to names of its own: by ``model_ids``, or, for Ollama, by ``prefix_id``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .addresses import MAX_SHOWN, NOT_KNOWN, OUTSIDE, readable
from .machine import BROWSER, INSIDE, OFF, Machine, Where, worst
from .services import SERVICES, At, Place, Service, Target
from .setting_names import ALWAYS_ON, UNKNOWN, Settings

MAX_MODELS = 2000
MAX_CONNECTIONS = 500
MAX_FUNCTIONS = 1000

Model = Mapping[str, object]
Section = dict[str, object]

_NOWHERE = Where(NOT_KNOWN, "unreadable")

_PLACES = {
    Place.IN_PROCESS: Where(INSIDE, "in-process"),
    Place.BROWSER: Where(BROWSER, "browser"),
    Place.ANY_PAGE: Where(OUTSIDE, "any-page"),
}


# Model servers


@dataclass(frozen=True)
class _Server:
    """A connection to a model server, as an administrator set it up."""

    kind: str  # openai, ollama
    number: int
    url: object
    prefix: str = ""
    model_ids: frozenset[str] = frozenset()
    has_key: bool = True  # filters are asked only where there is one

    def own_name(self, model_id: str) -> str:
        """Return what the server itself calls the model."""
        return model_id.removeprefix(self.prefix)

    @property
    def may_filter(self) -> bool:
        """Whether its own list of models is used, in which it may call itself a filter of all."""
        return self.kind == "openai" and self.has_key and not self.model_ids

    def may_list(self, model_id: str) -> bool:
        """Whether a model of this id can come from this server."""
        if not model_id.startswith(self.prefix):
            return False
        return not self.model_ids or self.own_name(model_id) in self.model_ids


def _servers(kind: str, settings: Settings) -> list[_Server]:
    """Return the connections in use; where that is not known, one to nowhere that may do it all."""
    urls_key = "openai.api_base_urls" if kind == "openai" else f"{kind}.base_urls"
    if not _is_on(settings.get(f"{kind}.enable")):
        return []
    urls, configs = settings.get(urls_key), settings.get(f"{kind}.api_configs")
    if not isinstance(urls, Sequence) or isinstance(urls, str) or configs is UNKNOWN:
        return [_Server(kind, 0, None)]
    keyless = _keyless(settings.get("openai.api_keys"), len(urls))
    servers = [_server(kind, number, url, configs) for number, url in enumerate(urls)]
    return [
        replace(server, has_key=server.number not in keyless)
        for server in servers
        if server is not None
    ]


def _keyless(keys: object, count: int) -> set[int]:
    if not isinstance(keys, Sequence):
        return set()
    return {number for number in range(count) if number >= len(keys) or not keys[number]}


def _server(kind: str, number: int, url: object, configs: object) -> _Server | None:
    config: object = {}
    if isinstance(configs, Mapping):
        # By address: from before connections were numbered.
        config = configs.get(str(number), configs.get(url, {}) if isinstance(url, str) else {})
    if not isinstance(config, Mapping):
        return _Server(kind, number, url)
    if not config.get("enable", True):
        return None
    prefix, ids = config.get("prefix_id"), config.get("model_ids")
    names = (
        frozenset(map(str, ids)) if isinstance(ids, Sequence) and not isinstance(ids, str) else ()
    )
    return _Server(kind, number, url, f"{prefix}." if prefix else "", frozenset(names))


# Models


def models_section(
    models: Mapping[str, Model] | None, settings: Settings, machine: Machine
) -> Section:
    """Return where each model that is offered answers; ``models`` is open-webui's list, by id.

    None: no list was made yet. Ids and names that do not fit are left out, which is counted; a
    reader takes a model that it does not find for not-known.
    """
    router = _Router(models or {}, settings, machine)
    entries = [_model_entry(model_id, router) for model_id in router.models]
    shown = [entry for entry in entries if _fits(entry)][:MAX_MODELS]
    counts = Counter(str(entry["where"]) for entry in entries)
    return {
        "listed": models is not None,
        "counts": {where: counts[where] for where in (INSIDE, OUTSIDE, NOT_KNOWN)},
        "left_out": len(entries) - len(shown),
        "offered": [{**entry, "name": readable(str(entry["name"]))} for entry in shown],
    }


def _model_entry(model_id: str, router: _Router) -> Section:
    place = router.where(model_id)
    name = router.models[model_id].get("name")
    return {
        "id": model_id,
        "name": name if isinstance(name, str) else model_id,
        "digest": place.digest,
        **place.as_json(),
    }


def _fits(entry: Section) -> bool:
    """Whether the id can be shown as it is, so that it equals the one in a request."""
    model_id = str(entry["id"])
    return len(model_id) <= MAX_SHOWN and readable(model_id) == model_id


class _Router:
    """Finds who answers as a model: as open-webui does, and whoever else could come to."""

    def __init__(self, models: Mapping[str, Model], settings: Settings, machine: Machine) -> None:
        listed = [(key, model) for key, model in models.items() if isinstance(model, Mapping)]
        self.models: Mapping[str, Model] = dict(sorted(listed))
        self._machine = machine
        self._servers = {kind: _servers(kind, settings) for kind in ("openai", "ollama")}
        self._strangers = [
            server
            for servers in self._servers.values()
            for server in servers
            if not machine.is_of_this_machine(server.url)
        ]
        self._filters = [m for m in self.models.values() if _pipeline(m).get("type") == "filter"]
        self._found: dict[str, Where] = {}

    def where(self, model_id: str) -> Where:
        """Return where a chat with the model goes, at worst."""
        if model_id not in self._found:
            model = self.models.get(model_id)
            if model is None:
                return Where(NOT_KNOWN, "not-offered")
            is_arena = model.get("owned_by") == "arena"
            self._found[model_id] = self._arena(model) if is_arena else self._one(model_id, model)
        return self._found[model_id]

    def _arena(self, model: Model) -> Where:
        """An arena asks one of several models, by chance."""
        meta = _mapping(_mapping(model.get("info")).get("meta"))
        ids, is_exclusion = meta.get("model_ids"), meta.get("filter_mode") == "exclude"
        named = (
            set(map(str, ids)) if isinstance(ids, Sequence) and not isinstance(ids, str) else set()
        )
        chosen = [
            key
            for key, other in self.models.items()
            if other.get("owned_by") != "arena" and (not named or (key in named) != is_exclusion)
        ]
        place = worst([self.where(key) for key in chosen]) if chosen else _NOWHERE
        return Where(place.where, "arena", place.address)

    def _one(self, model_id: str, model: Model) -> Where:
        base_id = _preset_of(model)
        places = [self._base(base_id) if base_id else self._direct(model_id, model)]
        # Of models with one id, open-webui takes Ollama's; a preset only where nobody has its id.
        is_ollamas = model.get("owned_by") == "ollama"
        places += self._strangers_for(base_id or model_id, only_ollama=is_ollamas)
        places += self._strangers_for(model_id) if base_id else []
        places += [self._filter(other) for other in self._filters if _filters(other, model_id)]
        return worst(places)

    def _base(self, base_id: str) -> Where:
        """Return where the model goes that a preset stands for."""
        full_id = base_id if base_id in self.models or ":" in base_id else f"{base_id}:latest"
        model = self.models.get(full_id)
        if model is None or model.get("owned_by") == "arena" or _preset_of(model):
            return Where(NOT_KNOWN, "no-base-model")
        return self._direct(full_id, model)

    def _direct(self, model_id: str, model: Model) -> Where:
        if model.get("pipe"):
            return Where(NOT_KNOWN, "function")
        if model.get("owned_by") == "ollama":
            return self._ollama(model_id, _mapping(model.get("ollama")))
        number = model.get("urlIdx")
        server = next((s for s in self._servers["openai"] if s.number == number), None)
        if server is None or isinstance(number, bool):
            return Where(NOT_KNOWN, "no-connection")
        return self._machine.model(server.url, server.own_name(model_id))

    def _ollama(self, model_id: str, listed: Model) -> Where:
        """One of the servers that have the model is asked, by chance."""
        remote = listed.get("remote_host")
        if remote:
            cloud = self._machine.place(remote)
            return Where(cloud.where, "cloud-model", cloud.address)
        numbers = listed.get("urls")
        chosen = numbers if isinstance(numbers, Sequence) and not isinstance(numbers, str) else ()
        servers = [server for server in self._servers["ollama"] if server.number in chosen]
        if not servers or len(servers) != len(chosen):
            return Where(NOT_KNOWN, "no-connection")
        manifest = listed.get("digest")
        digest = manifest if isinstance(manifest, str) else None
        places = [self._at_ollama(s, s.own_name(model_id), listed, digest) for s in servers]
        return worst(places)

    def _at_ollama(self, server: _Server, name: str, listed: Model, digest: str | None) -> Where:
        place = self._machine.model(server.url, name, digest)
        is_cloud = name.endswith((":cloud", "-cloud")) or listed.get("remote_model")
        if is_cloud and place.where != OUTSIDE:
            return Where(NOT_KNOWN, "cloud-model", place.address)
        return place

    def _strangers_for(self, model_id: str, *, only_ollama: bool = False) -> list[Where]:
        """Return the servers not of this machine that may take the model's place, or its chats."""
        return [
            Where(NOT_KNOWN, "other-server-may-answer", self._machine.server(server.url).address)
            for server in self._strangers
            if server.may_filter
            or (server.may_list(model_id) and not (only_ollama and server.kind == "openai"))
        ]

    def _filter(self, model: Model) -> Where:
        """A filter of a pipelines server sees what is sent to other models."""
        number = model.get("urlIdx")
        server = next((s for s in self._servers["openai"] if str(s.number) == str(number)), None)
        place = self._machine.server(server.url) if server else _NOWHERE
        return Where(place.where, "pipeline-filter", place.address)


def _preset_of(model: Model) -> str | None:
    """Return the id of the model that a preset stands for.

    A model out of a server's list is none, whatever the server says of it.
    """
    if "urlIdx" in model or "ollama" in model:
        return None
    base_id = _mapping(model.get("info")).get("base_model_id")
    return base_id if isinstance(base_id, str) and base_id else None


def _pipeline(model: Model) -> Model:
    return _mapping(model.get("pipeline"))


def _filters(model: Model, model_id: str) -> bool:
    """Whether a pipelines server's filter sees chats with the model; doubts count as yes."""
    targets = _pipeline(model).get("pipelines")
    if not isinstance(targets, Sequence) or isinstance(targets, str):
        return True
    return "*" in targets or model_id in targets


# Connections


def connections_section(
    settings: Settings, constants: Settings, machine: Machine, models: Section
) -> Section:
    """Return every way by which words may leave open-webui, those that are off included.

    ``models`` is the section on models: what is told of a model server follows from them.
    """
    tools = {} if constants.get("ENABLE_TOOL_SERVERS") is False else settings
    rows = [
        *_model_servers(settings, machine, models),
        *_task_models(settings, models),
        *(_service(service, {**settings, **constants}, machine) for service in SERVICES),
        *_listed("tool-server", "tool_server.connections", "config.enable", tools, machine),
        *_listed("terminal-server", "terminal_server.connections", "enabled", tools, machine),
        *_webhooks(settings, machine),
        *_reports(constants, machine),
        *(_row("proxy", machine.server(proxy)) for proxy in machine.proxies),
    ]
    unique = {tuple(map(str, row.values())): row for row in rows}
    ordered = [unique[key] for key in sorted(unique)]
    return {"ways": ordered[:MAX_CONNECTIONS], "left_out": max(0, len(ordered) - MAX_CONNECTIONS)}


def _row(kind: str, place: Where) -> Section:
    return {"kind": kind, **place.as_json()}


def _off(kind: str) -> Section:
    return _row(kind, Where(OFF, "off"))


def _model_servers(settings: Settings, machine: Machine, models: Section) -> Iterator[Section]:
    """A local server is inside if every model that it offers is."""
    places: dict[object, set[object]] = {}
    for entry in _entries(models):
        places.setdefault(entry["address"], set()).add(entry["where"])
    is_whole = not models["left_out"]
    for kind in ("openai", "ollama"):
        servers = _servers(kind, settings)
        if not servers:
            yield _off(kind)
        for server in servers:
            place = machine.server(server.url)
            if place.why == "local-server" and is_whole and places.get(place.address) == {INSIDE}:
                place = Where(INSIDE, "models-inside", place.address)
            yield _row(kind, place)


def _task_models(settings: Settings, models: Section) -> Iterator[Section]:
    """Return the models that write titles, tags and searches, instead of a chat's own."""
    offered = {entry["id"]: entry for entry in _entries(models)}
    for kind, key in (
        ("task-model", "task.model.default"),
        ("task-model-for-others", "task.model.external"),
        ("summary-model", "chat.context_compaction.model"),
    ):
        model = settings.get(key)
        if not model:
            yield _off(kind)
        elif not isinstance(model, str) or model not in offered:
            yield _row(kind, Where(NOT_KNOWN, "not-offered"))
        else:
            entry = offered[model]
            address = entry["address"]
            place = Where(
                str(entry["where"]), "model", address if isinstance(address, str) else None
            )
            yield _row(kind, place)


def _service(service: Service, settings: Settings, machine: Machine) -> Section:
    if service.switch is not None and not _is_on(settings.get(service.switch)):
        return _off(service.kind)
    engine = settings.get(service.engine) if service.engine is not None else ""
    engine = "" if engine is None else engine
    target = service.engines.get(engine) if isinstance(engine, str) else None
    if target is None:
        return _row(service.kind, Where(NOT_KNOWN, "unknown-engine"))
    return _row(service.kind, _target(service, target, settings, machine))


def _target(service: Service, target: Target, settings: Settings, machine: Machine) -> Where:
    if isinstance(target, Place):
        return _PLACES[target]
    url = _url(target, settings)
    model = settings.get(service.model) if service.model is not None else None
    return machine.model(url, model) if isinstance(model, str) else machine.server(url)


def _url(at: At, settings: Settings) -> object:
    url = settings.get(at.key) if at.key is not None else None
    return url if url or at.default is None else at.default


def _listed(
    kind: str, key: str, switch: str, settings: Settings, machine: Machine
) -> Iterator[Section]:
    """Return the servers of a list of connections, each with its switch."""
    connections = settings.get(key)
    if connections is None or connections == []:
        yield _off(kind)
    elif not isinstance(connections, Sequence) or isinstance(connections, str):
        yield _row(kind, _NOWHERE)
    else:
        in_use = [c for c in connections if not isinstance(c, Mapping) or _is_enabled(c, switch)]
        for connection in in_use:
            yield _row(kind, machine.server(_mapping(connection).get("url")))
        if not in_use:
            yield _off(kind)


def _is_enabled(connection: Mapping[str, object], switch: str) -> bool:
    *groups, name = switch.split(".")
    for group in groups:
        connection = _mapping(connection.get(group))
    return bool(connection.get(name, True))


def _webhooks(settings: Settings, machine: Machine) -> Iterator[Section]:
    url = settings.get("webhook_url")
    yield _row("webhook", machine.server(url)) if url else _off("webhook")
    if settings.get("events.webhooks"):
        yield from _listed("webhook", "events.webhooks", "enabled", settings, machine)


def _reports(constants: Settings, machine: Machine) -> Iterator[Section]:
    """Return what open-webui tells of itself: telemetry, looking for versions, the audit log."""
    is_told = _is_on(constants.get("ENABLE_OTEL"))
    for signal in ("", "_METRICS", "_LOGS") if is_told else ():
        key = f"OTEL{signal}_EXPORTER_OTLP_ENDPOINT"
        yield _row("telemetry", machine.server(constants.get(key)))
    if not is_told:
        yield _off("telemetry")
    looks = constants.get("ENABLE_VERSION_UPDATE_CHECK", ALWAYS_ON)
    is_offline = constants.get("OFFLINE_MODE") is True
    news = machine.server("https://api.github.com")
    yield _row("version-check", news) if _is_on(looks) and not is_offline else _off("version-check")
    # Where its file lies is the section storage's matter.
    audits = constants.get("AUDIT_LOG_LEVEL") not in (None, "NONE")
    yield _row("audit-log", Where(NOT_KNOWN, "log")) if audits else _off("audit-log")


# Functions


def functions_section(
    functions: Iterable[Mapping[str, object]] | None,
    tools: Iterable[Mapping[str, object]] | None,
    constants: Settings,
) -> Section:
    """Return which code of administrators and users runs beside open-webui's own.

    Takes rows of open-webui's tables ``function`` and ``tool``; None where a table cannot be read.
    All code can send words out; whether this one is trusted not to is the relying party's
    decision, by the digest: SHA-256 of the source text as the database holds it (UTF-8).
    """
    runs, tools_run = (constants.get(f"ENABLE_{name}") is not False for name in _PLUGINS)
    rows = [
        _function(
            row, str(row.get("type")), is_active=runs and row.get("is_active") not in (False, 0)
        )
        for row in functions or ()
    ]
    rows += [_function(row, "tool", is_active=tools_run) for row in tools or ()]
    rows.sort(key=lambda row: (str(row["type"]), str(row["id"]), str(row["digest"])))
    active = [row for row in rows if row["active"]]
    kept = (active + [row for row in rows if not row["active"]])[:MAX_FUNCTIONS]
    return {
        "listed": functions is not None and tools is not None,
        "active": len(active),
        "left_out": len(rows) - len(kept),
        "present": kept,
    }


_PLUGINS = ("FUNCTIONS", "TOOLS")  # 0.12.4 can do without each


def _function(row: Mapping[str, object], kind: str, *, is_active: bool) -> Section:
    content = row.get("content")
    return {
        "id": readable(str(row.get("id"))),
        "type": readable(kind),
        "digest": content_digest(content) if isinstance(content, str) else None,
        "active": is_active,
        "global": bool(row.get("is_global")),
        "can_send": True,
    }


def content_digest(content: str) -> str:
    """Return the digest by which a function or tool is known."""
    return "sha256:" + hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


# People


def people_section(settings: Settings, constants: Settings) -> Section:
    """Return what administrators of open-webui may do with chats: true, false or "not-known"."""
    return {
        "administrators_read_chats": _yes_or_no(constants.get("ENABLE_ADMIN_CHAT_ACCESS")),
        "administrators_export": _yes_or_no(constants.get("ENABLE_ADMIN_EXPORT")),
        "channels": _yes_or_no(settings.get("channels.enable")),
    }


def _yes_or_no(value: object) -> bool | str:
    return value if isinstance(value, bool) else NOT_KNOWN


# Small things


def _is_on(value: object) -> bool:
    """Whether something is on, or may be; None where this version does not have it."""
    return value is UNKNOWN or value is ALWAYS_ON or bool(value)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _entries(models: Section) -> list[Section]:
    offered = models["offered"]
    return offered if isinstance(offered, list) else []

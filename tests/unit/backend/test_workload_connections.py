"""The statement's sections on where words go, from settings and lists as open-webui has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from cczoo_backend.workload.addresses import MAX_SHOWN, HostsFile, IPAddress
from cczoo_backend.workload.connections import (
    MAX_CONNECTIONS,
    MAX_FUNCTIONS,
    MAX_MODELS,
    connections_section,
    content_digest,
    functions_section,
    models_section,
    people_section,
)
from cczoo_backend.workload.listeners import Listener
from cczoo_backend.workload.machine import FindWeights, Machine, Weights
from cczoo_backend.workload.setting_names import NO_SETTINGS, UNKNOWN, Generation, constants

OLLAMA, OPENAI = "http://127.0.0.1:11434", "https://api.openai.com/v1"
DIGEST = "sha256:" + "a" * 64
HOSTS = HostsFile({}, is_whole=True)

# Who listens on which port of this machine.
PROGRAMS = {11434: "ollama", 11435: "ollama", 8080: "llama-server", 22: "ssh", 9998: "java"}


class Loopback:
    """Stands in for the kernel's word on listeners."""

    def on(self, _ips: tuple[IPAddress, ...], port: int) -> Listener:
        program = PROGRAMS.get(port)
        if program is None:
            return Listener(problem="no-listener")
        return Listener((program,), (1,), "forwarder" if program == "ssh" else None)


def weights_of(listener: Listener, model: str, manifest: str | None) -> Weights | None:
    if model.startswith(("cloud", "unheard")) or listener.programs not in (
        ("ollama",),
        ("llama-server",),
    ):
        return None
    return Weights(None if model.startswith("new") else manifest or DIGEST)


def machine(weights: FindWeights = weights_of, **environ: str) -> Machine:
    return Machine(Loopback(), HOSTS, weights=weights, environ=environ)  # type: ignore[arg-type]


def settings(**changed: object) -> dict[str, object]:
    """A server with a local Ollama, and nothing else."""
    base: dict[str, object] = {
        "ollama.enable": True,
        "ollama.base_urls": [OLLAMA],
        "ollama.api_configs": {},
        "openai.enable": False,
        "openai.api_base_urls": [OPENAI],
        "openai.api_configs": {},
        "openai.api_keys": [True],
    }
    return {**base, **{name.replace("__", "."): value for name, value in changed.items()}}


def ollama(name: str, **listed: object) -> dict[str, object]:
    return {"id": name, "name": name, "owned_by": "ollama", "ollama": {"urls": [0], **listed}}


def openai(name: str, index: int = 0, **more: object) -> dict[str, object]:
    return {"id": name, "name": name, **more, "owned_by": "openai", "urlIdx": index}


def preset(name: str, base: str, owned_by: str = "ollama") -> dict[str, object]:
    info = {"base_model_id": base}
    return {"id": name, "name": name, "owned_by": owned_by, "preset": True, "info": info}


def section(*models: Mapping[str, object], **changed: object) -> dict[str, Any]:
    listed = {str(model["id"]): model for model in models}
    return models_section(listed, settings(**changed), machine())


def judged(*models: Mapping[str, object], **changed: object) -> tuple[object, object, object]:
    """Return where, why and address of the first of ``models``."""
    found = {entry["id"]: entry for entry in section(*models, **changed)["offered"]}
    entry = found[models[0]["id"]]
    return entry["where"], entry["why"], entry["address"]


# Models


def test_local_model_with_its_weights() -> None:
    (entry,) = section(ollama("llama3:latest", digest=DIGEST))["offered"]
    assert entry == {
        "id": "llama3:latest",
        "name": "llama3:latest",
        "where": "inside",
        "why": "measured",
        "address": "127.0.0.1:11434",
        "digest": DIGEST,
    }


@pytest.mark.parametrize(
    ("model", "where", "why"),
    [
        (ollama("new:1b"), "inside", "being-measured"),
        (ollama("unheard-of"), "not-known", "no-weights"),
        (ollama("gpt-oss:120b-cloud"), "not-known", "cloud-model"),
        (ollama("deepseek:cloud"), "not-known", "cloud-model"),
        (ollama("mine", remote_model="x"), "not-known", "cloud-model"),
        (ollama("mine", remote_host="https://ollama.com:443"), "outside", "cloud-model"),
        (ollama("mine", remote_host="http://127.0.0.1:1"), "not-known", "cloud-model"),
        (ollama("mine", urls=[]), "not-known", "no-connection"),
        (ollama("mine", urls=[0, 9]), "not-known", "no-connection"),
        (ollama("mine", urls="0"), "not-known", "no-connection"),
        (
            {"id": "pipe", "name": "p", "owned_by": "openai", "pipe": {"type": "pipe"}},
            "not-known",
            "function",
        ),
        ({"id": "x", "name": "p", "owned_by": "who"}, "not-known", "no-connection"),
        (openai("x", index=0), "not-known", "no-connection"),  # that connection is off
    ],
)
def test_other_models(model: dict[str, object], where: str, why: str) -> None:
    assert judged(model)[:2] == (where, why)


@pytest.mark.parametrize(
    ("url", "where", "why"),
    [
        ("http://127.0.0.1:8080/v1", "inside", "measured"),
        ("http://127.0.0.1:22/v1", "not-known", "forwarder"),
        ("http://127.0.0.1:9998/v1", "not-known", "no-weights"),
        ("http://127.0.0.1:7/v1", "not-known", "no-listener"),
        ("http://host.docker.internal:1/v1", "not-known", "local-name"),
        ("https://u:secret@api.example.com/v1?key=1", "outside", "address"),
        ("http://10.0.2.2:8080/v1", "outside", "address"),
        ("nonsense", "not-known", "unreadable"),
    ],
)
def test_where_an_openai_connection_leads(url: str, where: str, why: str) -> None:
    changed = {"openai__enable": True, "openai__api_base_urls": [url]}
    if where == "inside":
        assert judged(openai("m"), **changed)[:2] == (where, why)
    else:
        place = section(openai("m"), **changed)["offered"][0]
        assert place["where"] == where
        assert "secret" not in json.dumps(place)


def test_one_of_several_servers_is_asked_by_chance() -> None:
    urls = [OLLAMA, "http://gpu.example.com:11434"]
    model = ollama("llama3:latest", urls=[0, 1])
    assert judged(model, ollama__base_urls=urls) == ("outside", "address", "gpu.example.com:11434")
    local = [OLLAMA, "http://127.0.0.1:11435"]
    assert judged(model, ollama__base_urls=local)[:2] == ("inside", "measured")


def test_preset_is_where_its_base_is() -> None:
    base = ollama("llama3:latest")
    assert judged(preset("mine", "llama3:latest"), base)[0] == "inside"
    assert judged(preset("mine", "llama3"), base)[0] == "inside"
    assert judged(preset("mine", "gone"), base)[:2] == ("not-known", "no-base-model")
    assert judged(preset("mine", "mine"), base)[:2] == ("not-known", "no-base-model")


def test_preset_takes_the_latest_not_any_of_that_name() -> None:
    other = ollama("llama3:8b")
    assert judged(preset("mine", "llama3"), other)[:2] == ("not-known", "no-base-model")


def test_arena_is_where_its_worst_model_is() -> None:
    def arena(**meta: object) -> dict[str, object]:
        return {"id": "arena", "name": "A", "owned_by": "arena", "info": {"meta": meta}}

    models = (ollama("good"), ollama("unheard"))
    assert judged(arena(), *models)[:2] == ("not-known", "arena")
    assert judged(arena(model_ids=["good"]), *models)[:2] == ("inside", "arena")
    excluded = arena(model_ids=["unheard"], filter_mode="exclude")
    assert judged(excluded, *models)[:2] == ("inside", "arena")
    assert judged(arena())[:2] == ("not-known", "arena")


# What servers outside could do


def test_server_outside_may_list_what_it_likes() -> None:
    model = openai("local-model")
    urls = ["http://127.0.0.1:8080/v1", OPENAI]
    changed: dict[str, object] = {"openai__enable": True, "openai__api_base_urls": urls}
    assert judged(model, **changed, openai__api_keys=[True, True]) == (
        "not-known",
        "other-server-may-answer",
        "api.openai.com:443",
    )
    held = {"1": {"model_ids": ["gpt-4o"]}}
    assert judged(model, **changed, openai__api_configs=held)[0] == "inside"
    taken = {"1": {"model_ids": ["local-model"]}}
    assert judged(model, **changed, openai__api_configs=taken)[0] == "not-known"
    prefixed = {"1": {"model_ids": ["local-model"], "prefix_id": "far"}}
    assert judged(model, **changed, openai__api_configs=prefixed)[0] == "inside"
    off = {OPENAI: {"enable": False}}
    assert judged(model, **changed, openai__api_configs=off)[0] == "inside"


def test_server_outside_may_call_itself_a_filter_where_it_has_a_key() -> None:
    model = ollama("llama3:latest")
    assert judged(model, openai__enable=True)[:2] == ("not-known", "other-server-may-answer")
    assert judged(model, openai__enable=True, openai__api_keys=[False])[0] == "inside"
    assert judged(model, openai__enable=True, openai__api_keys=[])[0] == "inside"
    assert judged(model, openai__enable=True, openai__api_keys=None)[0] == "not-known"
    held = {"0": {"model_ids": ["gpt-4o"]}}
    assert judged(model, openai__enable=True, openai__api_configs=held)[0] == "inside"


def test_preset_whose_id_a_server_outside_may_take() -> None:
    models = (preset("mine", "llama3:latest"), ollama("llama3:latest"))
    assert judged(*models, openai__enable=True, openai__api_keys=[])[0] == "not-known"
    assert judged(*models)[0] == "inside"


def test_other_ollama_may_list_the_same_model() -> None:
    model, urls = ollama("llama3:latest"), [OLLAMA, "http://gpu.example.com:11434"]
    assert judged(model, ollama__base_urls=urls)[:2] == ("not-known", "other-server-may-answer")
    configs = {"1": {"prefix_id": "far"}}
    assert judged(model, ollama__base_urls=urls, ollama__api_configs=configs)[0] == "inside"
    configs = {"1": {"model_ids": ["phi"]}}
    assert judged(model, ollama__base_urls=urls, ollama__api_configs=configs)[0] == "inside"


def test_filter_of_a_pipelines_server_sees_the_chat() -> None:
    pipeline = {"type": "filter", "pipelines": ["*"], "priority": 0}
    held = {"0": {"model_ids": ["f"]}}
    chat_filter = openai("f", pipeline=pipeline)
    assert judged(ollama("m"), chat_filter, openai__enable=True, openai__api_configs=held) == (
        "outside",
        "pipeline-filter",
        "api.openai.com:443",
    )
    others = openai("f", pipeline={**pipeline, "pipelines": ["other"]})
    assert judged(ollama("m"), others, openai__enable=True, openai__api_configs=held)[0] == "inside"


@pytest.mark.parametrize(
    "lie",
    [
        {"info": {"base_model_id": "llama3:latest"}, "preset": True},
        {"arena": True, "info": {"meta": {"model_ids": ["llama3:latest"]}}},
        {"ollama": {"urls": [0]}},
        {"connection_type": "local"},
    ],
)
def test_what_a_server_outside_says_of_its_models_does_not_count(lie: dict[str, object]) -> None:
    models = (openai("m", **lie), ollama("llama3:latest"))
    assert judged(*models, openai__enable=True)[0] == "outside"


def test_settings_that_cannot_be_read() -> None:
    listed = {"m": ollama("m"), "o": openai("o")}
    found = models_section(listed, NO_SETTINGS, machine())
    assert [entry["where"] for entry in found["offered"]] == ["not-known", "not-known"]


@pytest.mark.parametrize("odd", [None, "x", 5, [[]], {"0": 1}, [None, 7]])
def test_odd_settings(odd: object) -> None:
    found = section(
        ollama("m"),
        openai("o"),
        openai__enable=True,
        openai__api_base_urls=odd,
        openai__api_configs=odd,
        ollama__api_configs=odd,
        openai__api_keys=None,
    )
    assert {entry["where"] for entry in found["offered"]} == {"not-known"}


def test_proxy_may_see_even_what_is_sent_to_loopback() -> None:
    listed = {"m": ollama("m")}
    near = machine(HTTP_PROXY="http://proxy.example:3128")
    assert models_section(listed, settings(), near)["offered"][0]["why"] == "proxy"
    spared = machine(http_proxy="http://p.example", NO_PROXY="x, 127.0.0.1")
    assert models_section(listed, settings(), spared)["offered"][0]["where"] == "inside"


def test_no_list_of_models_yet() -> None:
    found = models_section(None, settings(), machine())
    assert (found["listed"], found["offered"]) == (False, [])


# Hostile names


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "a\nb",
    "\u202egnp.exe",
    "\x00",
    "\ud800",
    "x" * 999,
    "\\",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_inert_and_bounded(name: str) -> None:
    found = section({**ollama("m"), "name": name}, ollama(name))
    text = rfc8785.dumps(found).decode()
    assert "\n" not in text
    assert all(len(entry["name"]) <= MAX_SHOWN for entry in found["offered"])
    assert all(entry["name"].isprintable() for entry in found["offered"])
    shown = {entry["id"] for entry in found["offered"]}
    assert shown == ({"m", name} if name.startswith("<") else {"m"})
    assert found["left_out"] == (0 if name.startswith("<") else 1)


def test_ten_thousand_models_are_counted_and_cut() -> None:
    listed = {f"m{n:05}": ollama(f"m{n:05}") for n in reversed(range(10_000))}
    found = models_section(listed, settings(), machine())
    assert len(found["offered"]) == MAX_MODELS
    assert found["left_out"] == 10_000 - MAX_MODELS
    assert found["counts"] == {"inside": 10_000, "outside": 0, "not-known": 0}
    assert [entry["id"] for entry in found["offered"]] == sorted(listed)[:MAX_MODELS]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = st.sampled_from(
    ["id", "name", "owned_by", "urlIdx", "ollama", "pipe", "info", "pipeline", "preset"]
)


@given(st.dictionaries(st.text(max_size=9), st.dictionaries(MEMBERS, VALUES), max_size=4), VALUES)
def test_any_list_is_answered(models: Any, value: object) -> None:
    changed = {"openai.api_configs": value, "ollama.base_urls": value, "openai.enable": True}
    found = models_section(models, {**settings(), **changed}, machine())
    rfc8785.dumps(found)
    rfc8785.dumps(connections_section({**settings(), **changed}, {}, machine(), found))
    assert sum(found["counts"].values()) == len(models)  # type: ignore[attr-defined]


# Connections


def ways(constant: Mapping[str, object] | None = None, **changed: object) -> list[dict[str, Any]]:
    named = settings(**changed)
    models = models_section({"m": ollama("m")}, named, machine())
    found = connections_section(named, constant or {}, machine(), models)
    return found["ways"]  # type: ignore[return-value]


def way(kind: str, **changed: object) -> tuple[object, object, object]:
    (row,) = (row for row in ways(**changed) if row["kind"] == kind)
    return row["where"], row["why"], row["address"]


def test_server_with_nothing_outside() -> None:
    off_by_default = {"web.loader.engine": "", "audio.tts.engine": "", "rag.embedding_engine": ""}
    rows = ways(**{name.replace(".", "__"): value for name, value in off_by_default.items()})
    places = {row["kind"]: row["where"] for row in rows}
    assert places["ollama"] == "inside"
    assert places["openai"] == "off"
    assert places["embedding"] == "inside"
    assert places["web-pages"] == "outside"
    assert places["text-to-speech"] == "browser"
    assert places["web-search"] == places["tool-server"] == places["webhook"] == "off"


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        (
            "web-search",
            {"web__search__enable": True, "web__search__engine": "brave"},
            ("outside", "address", "api.search.brave.com:443"),
        ),
        (
            "web-search",
            {
                "web__search__enable": True,
                "web__search__engine": "searxng",
                "web__search__searxng_query_url": "http://127.0.0.1:8080/search?q=<query>",
            },
            ("not-known", "local-server", "127.0.0.1:8080"),
        ),
        (
            "web-search",
            {"web__search__enable": True, "web__search__engine": "of-next-year"},
            ("not-known", "unknown-engine", None),
        ),
        (
            "embedding",
            {
                "rag__embedding_engine": "ollama",
                "rag__embedding_model": "nomic",
                "rag__ollama__base_url": OLLAMA,
            },
            ("inside", "measured", "127.0.0.1:11434"),
        ),
        (
            "documents",
            {"rag__content_extraction_engine": "tika", "rag__tika_server_url": "http://tika:9998"},
            ("not-known", "local-name", "tika:9998"),
        ),
        (
            "code-interpreter",
            {
                "code_interpreter__enable": True,
                "code_interpreter__engine": "jupyter",
                "code_interpreter__jupyter__url": "https://u:p@jupyter.example.com",
            },
            ("outside", "address", "jupyter.example.com:443"),
        ),
        (
            "images",
            {"image_generation__enable": True, "image_generation__engine": ""},
            ("not-known", "unreadable", None),
        ),
        ("own-connections", {"direct__enable": True}, ("browser", "browser", None)),
        (
            "webhook",
            {"webhook_url": "https://hooks.example.com/T0K3N"},
            ("outside", "address", "hooks.example.com:443"),
        ),
        ("task-model", {"task__model__default": "m"}, ("inside", "model", "127.0.0.1:11434")),
        ("task-model", {"task__model__default": "gone"}, ("not-known", "not-offered", None)),
        (
            "tool-server",
            {"tool_server__connections": [{"url": "http://t.example/x", "path": "", "config": {}}]},
            ("outside", "address", "t.example:80"),
        ),
        (
            "tool-server",
            {"tool_server__connections": [{"url": "http://t", "config": {"enable": False}}]},
            ("off", "off", None),
        ),
        ("tool-server", {"tool_server__connections": "?"}, ("not-known", "unreadable", None)),
        (
            "terminal-server",
            {"terminal_server__connections": [{"url": "http://127.0.0.1:22"}]},
            ("not-known", "forwarder", "127.0.0.1:22"),
        ),
    ],
)
def test_ways(kind: str, changed: dict[str, object], expected: tuple[object, ...]) -> None:
    assert way(kind, **changed) == expected


def test_unknown_settings_are_never_off() -> None:
    models = models_section(None, NO_SETTINGS, machine())
    unread = constants(Generation.V0_12, {}.__getitem__)
    rows = connections_section(NO_SETTINGS, unread, machine(), models)["ways"]
    assert [row["kind"] for row in rows if row["where"] == "off"] == []  # type: ignore[attr-defined]


def test_reports() -> None:
    told = {
        "ENABLE_OTEL": True,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel.example:4317",
        "OTEL_METRICS_EXPORTER_OTLP_ENDPOINT": "http://otel.example:4317",
        "OTEL_LOGS_EXPORTER_OTLP_ENDPOINT": "http://logs.example:4317",
        "AUDIT_LOG_LEVEL": "REQUEST_RESPONSE",
    }
    rows = ways(told)
    telemetry = [row["address"] for row in rows if row["kind"] == "telemetry"]
    assert telemetry == ["logs.example:4317", "otel.example:4317"]
    assert {row["kind"]: row["where"] for row in rows}["audit-log"] == "not-known"
    offline = {row["kind"]: row["where"] for row in ways({"OFFLINE_MODE": True})}
    assert offline["version-check"] == offline["telemetry"] == offline["audit-log"] == "off"


def test_local_server_with_a_model_elsewhere_is_not_inside() -> None:
    named = settings()
    models = models_section({"a": ollama("a"), "b:cloud": ollama("b:cloud")}, named, machine())
    rows = connections_section(named, {}, machine(), models)["ways"]
    assert {row["kind"]: row["why"] for row in rows}["ollama"] == "local-server"  # type: ignore[attr-defined]


def test_many_connections_are_counted_and_cut() -> None:
    many = [{"url": f"http://t{n}.example"} for n in range(10_000)]
    named = settings(tool_server__connections=many)
    found = connections_section(named, {}, machine(), models_section({}, named, machine()))
    assert len(found["ways"]) == MAX_CONNECTIONS  # type: ignore[arg-type]
    assert found["left_out"] > 9_000  # type: ignore[operator]


def test_sections_do_not_depend_on_the_order_of_what_they_come_from() -> None:
    models = [ollama("b"), ollama("a"), openai("c")]
    servers = [{"url": "http://x.example"}, {"url": "http://a.example"}]
    texts = set()
    for order in (1, -1):
        named = settings(tool_server__connections=servers[::order])
        listed = {str(model["id"]): model for model in models[::order]}
        first = models_section(listed, named, machine())
        second = connections_section(named, {}, machine(), first)
        texts.add(rfc8785.dumps([first, second]))
    assert len(texts) == 1


# Functions


def function(name: str, **changed: object) -> dict[str, object]:
    row = {"id": name, "type": "filter", "content": "x", "is_active": True, "is_global": False}
    return {**row, **changed}


def test_functions_and_tools() -> None:
    rows = [function("b", is_active=False), function("a", type="pipe", is_global=True)]
    found = functions_section(rows, [{"id": "t", "content": "y", "user_id": "someone"}], {})
    assert found["active"] == 2
    assert [(row["type"], row["id"], row["active"]) for row in found["present"]] == [  # type: ignore[attr-defined]
        ("pipe", "a", True),
        ("tool", "t", True),
        ("filter", "b", False),
    ]
    assert all(row["can_send"] for row in found["present"])  # type: ignore[attr-defined]
    assert found["present"][0]["digest"] == content_digest("x")  # type: ignore[index]
    assert "someone" not in json.dumps(found)


def test_functions_that_cannot_be_read() -> None:
    assert functions_section(None, [], {})["listed"] is False
    odd = functions_section([{"id": None, "content": None, "is_active": None}], [], {})
    assert odd["present"][0] == {  # type: ignore[index]
        "id": "None",
        "type": "None",
        "digest": None,
        "active": True,
        "global": False,
        "can_send": True,
    }


def test_ten_thousand_functions() -> None:
    rows = [function(f"f{n:05}\u202e", is_active=n == 9_999) for n in range(10_000)]
    found = functions_section(rows, [], {})
    assert len(found["present"]) == MAX_FUNCTIONS  # type: ignore[arg-type]
    assert found["present"][0]["active"]  # type: ignore[index]
    assert found["left_out"] == 10_000 - MAX_FUNCTIONS


def test_functions_of_a_server_that_runs_none() -> None:
    off = {"ENABLE_FUNCTIONS": False, "ENABLE_TOOLS": False, "ENABLE_TOOL_SERVERS": False}
    assert functions_section([function("f")], [{"id": "t"}], off)["active"] == 0
    assert functions_section([function("f")], [{"id": "t"}], {"ENABLE_TOOLS": False})["active"] == 1
    servers = [{"url": "http://t.example"}]
    (row,) = (r for r in ways(off, tool_server__connections=servers) if r["kind"] == "tool-server")
    assert row["where"] == "off"


def test_people() -> None:
    may = {"ENABLE_ADMIN_CHAT_ACCESS": True, "ENABLE_ADMIN_EXPORT": False}
    assert people_section({"channels.enable": UNKNOWN}, may) == {
        "administrators_read_chats": True,
        "administrators_export": False,
        "channels": "not-known",
    }


def test_content_digest_is_that_of_the_text() -> None:
    assert content_digest("") == (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )

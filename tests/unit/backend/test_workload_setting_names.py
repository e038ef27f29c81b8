"""Settings by their names in each version; against real installations where they are there."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from cczoo_backend.workload import setting_names as names
from cczoo_backend.workload.services import SERVICES, At
from cczoo_backend.workload.setting_names import ALWAYS_ON, UNKNOWN, Generation

ROOT = Path(__file__).resolve().parents[3]


def test_attributes_of_each_version() -> None:
    old = names.from_attributes({"ENABLE_RAG_WEB_SEARCH": True}.__getitem__)
    new = names.from_attributes({"ENABLE_WEB_SEARCH": False}.__getitem__)
    assert (old["web.search.enable"], new["web.search.enable"]) == (True, False)
    assert old["openai.enable"] is UNKNOWN
    assert "tool_server.connections" not in old
    assert new["tool_server.connections"] is UNKNOWN
    assert old["ui.enable_user_webhooks"] is ALWAYS_ON
    assert new["direct.integrations.enable"] is ALWAYS_ON


def test_version_between_those_that_we_know() -> None:
    config = {"ENABLE_RAG_WEB_SEARCH": None, "TOOL_SERVER_CONNECTIONS": [], "ENABLE_WEB_SEARCH": 1}
    settings = names.from_attributes(config.__getitem__)
    assert settings["tool_server.connections"] == []
    assert settings["web.search.enable"] == 1


def test_rows_that_are_missing_are_unknown() -> None:
    settings = names.from_rows({"openai.enable": False, "other": 1})
    assert settings["openai.enable"] is False
    assert settings["ollama.enable"] is UNKNOWN
    assert "events.webhooks" not in settings
    assert "other" not in settings


@pytest.mark.parametrize("keys", [["sk-secret", ""], "sk-secret", None])
def test_keys_are_not_kept(keys: object) -> None:
    kept = names.from_rows({"openai.api_keys": keys})["openai.api_keys"]
    assert kept == ([True, False] if isinstance(keys, list) else UNKNOWN)


def test_constants_of_each_version() -> None:
    get = names.from_modules([SimpleNamespace(OFFLINE_MODE=True), SimpleNamespace(ENABLE_OTEL=1)])
    old, new = names.constants(Generation.V0_5, get), names.constants(Generation.V0_12, get)
    assert old["OFFLINE_MODE"] is True
    assert "ENABLE_OTEL" not in old
    assert new["ENABLE_OTEL"] == 1
    assert new["ENABLE_FUNCTIONS"] is UNKNOWN


def test_services_ask_only_for_settings_that_are_read() -> None:
    known = {*names.KEYS, *names._CONSTANTS}
    for service in SERVICES:
        targets = [target for target in service.engines.values() if isinstance(target, At)]
        asked = {service.switch, service.engine, service.model, *(at.key for at in targets)}
        assert asked - {None} <= known


# Real open-webui


def _package(version: str) -> Path:
    found = ROOT / f".venv-webui/{version}-plugin/lib/python3.11/site-packages/open_webui"
    if not found.is_dir():
        pytest.skip(f"open-webui {version} is not installed here")
    return found


@pytest.mark.parametrize("version", ["0.5.20", "0.6.43"])
def test_every_attribute_is_in_the_real_one(version: str) -> None:
    text = (_package(version) / "main.py").read_text()
    real = set(re.findall(r"app\.state\.config\.([A-Z0-9_]+) = ", text))
    settings = names.from_attributes(dict.fromkeys(real).__getitem__)
    assert (names.generation(dict.fromkeys(real).__getitem__) == 0) == (version == "0.5.20")
    unknown = {key for key, value in settings.items() if value is UNKNOWN}
    # None is no list of keys; 0.6.43 reads its setting for Azure's search without ever having it.
    assert unknown - {"web.search.azure_ai_search_endpoint"} == {"openai.api_keys"}


def test_every_row_is_in_the_real_one() -> None:
    text = (_package("0.12.4") / "config.py").read_text()
    real = set(re.findall(r"^    '([a-z0-9_.]+)': ", text, re.MULTILINE))
    assert set(names.KEYS) - real == {"events.webhooks"}


@pytest.mark.parametrize(
    ("version", "generation"),
    [("0.5.20", Generation.V0_5), ("0.6.43", Generation.V0_6), ("0.12.4", Generation.V0_12)],
)
def test_every_constant_is_in_the_real_one(version: str, generation: Generation) -> None:
    package = _package(version)
    text = "\n".join((package / name).read_text() for name in ("config.py", "env.py"))
    real = set(re.findall(r"^(?:    )?([A-Z0-9_]+) = ", text, re.MULTILINE))
    constants = names.constants(generation, dict.fromkeys(real).__getitem__)
    assert [name for name, value in constants.items() if value is UNKNOWN] == []

"""One digest for the settings: it changes with where words go, and never with a secret."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785

from cczoo_backend.workload.setting_names import ALWAYS_ON, NO_SETTINGS, UNKNOWN
from cczoo_backend.workload.settings_digest import plain_settings, settings_digest

SETTINGS: dict[str, Any] = {
    "openai.enable": True,
    "openai.api_base_urls": ["https://ada:secret@api.example/v1/secret?key=secret"],
    "openai.api_configs": {
        "0": {"enable": True, "prefix_id": "x", "model_ids": ["a"], "headers": {"k": "secret"}},
        "https://old.example/secret": {"enable": False, "key": "secret"},
        "secret": {"enable": True},
    },
    "tool_server.connections": [
        {
            "url": "http://tools.example:81/secret",
            "path": "secret",
            "key": "secret",
            "config": {"enable": True, "secret": 1},
        }
    ],
    "webhook_url": "https://hooks.example/services/secret",
    "web.search.engine": "searxng",
    "audio.stt.engine": "",
    "rag.tika_server_url": "tika:9998/secret",
    "task.model.default": None,
    "code_execution.enable": UNKNOWN,
    "direct.integrations.enable": ALWAYS_ON,
}


def test_what_is_hashed_is_canonical_and_has_no_secret() -> None:
    plain = plain_settings(SETTINGS)
    text = rfc8785.dumps(plain)
    assert settings_digest(SETTINGS) == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert b"secret" not in text.replace(b'"secret":{"enable"', b"")
    assert plain["openai.api_base_urls"] == ["api.example:443"]
    assert plain["openai.api_configs"] == {
        "0": {"enable": True, "prefix_id": "x", "model_ids": ["a"]},
        "old.example:443": {"enable": False},
    }
    assert plain["tool_server.connections"] == [
        {"url": "tools.example:81", "config": {"enable": True}}
    ]
    assert plain["webhook_url"] == "hooks.example:443"
    assert plain["rag.tika_server_url"] == "tika:9998"
    assert plain["code_execution.enable"] == {"sign": "unknown"}
    assert plain["direct.integrations.enable"] == {"sign": "always-on"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("openai.enable", False),
        ("openai.enable", UNKNOWN),
        ("openai.api_base_urls", ["https://other.example/v1"]),
        ("openai.api_base_urls", []),
        ("openai.api_configs", {"0": {"enable": True, "prefix_id": "x", "model_ids": ["b"]}}),
        ("web.search.engine", "kagi"),
        ("task.model.default", "gpt"),
        ("new.key", None),
    ],
)
def test_another_place_for_words_is_another_digest(key: str, value: object) -> None:
    assert settings_digest(SETTINGS | {key: value}) != settings_digest(SETTINGS)


def test_a_secret_changes_nothing() -> None:
    other = SETTINGS | {"openai.api_base_urls": ["https://ada:other@api.example/v1/other"]}
    assert settings_digest(other) == settings_digest(SETTINGS)


def deep(levels: int) -> object:
    return {"config": deep(levels - 1)} if levels else "x"


@pytest.mark.parametrize(
    "value",
    [1 << 70, 1.5, float("nan"), "\ud800", b"x", object(), {1: 2}, {"url": "\ud800://"}, deep(99)],
)
def test_whatever_a_setting_holds_it_has_a_digest(value: object) -> None:
    assert settings_digest(SETTINGS | {"openai.api_configs": value}).startswith("sha256:")


def test_settings_that_are_not_known() -> None:
    assert settings_digest(NO_SETTINGS) != settings_digest({})

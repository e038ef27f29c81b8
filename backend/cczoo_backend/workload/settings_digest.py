"""One digest for the settings that decide where words go, with nothing secret in it.

It is the SHA-256 of the settings' canonical JSON (RFC 8785) as ``plain_settings`` makes them: of an
address only host and port, of a connection's own settings only those that say which models it has.
So somebody who knows the settings can compute it, and nobody can try out passwords on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from .addresses import HostsFile, parse
from .setting_names import Sign

# What is kept of a connection; others (headers, keys, names of users) may be secret.
_KEPT = frozenset(
    {
        *("enable", "enabled", "config", "prefix_id", "model_ids", "connection_type"),
        *("url", "type", "auth_type", "provider"),
    }
)
_ADDRESSES = ("url", "urls", "endpoint", "host", "uri", "webhook", "webhooks")
_NO_HOSTS = HostsFile({}, is_whole=True)
_DEPTH_MAX = 6
_UNREADABLE = {"unreadable": True}


def settings_digest(settings: Mapping[str, object]) -> str:
    """Return the digest ("sha256:...")."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(plain_settings(settings))).hexdigest()


def plain_settings(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings as they are hashed."""
    return {key: _plain(value, _last_word(key), 1) for key, value in settings.items()}


def _plain(value: object, word: str, depth: int) -> object:
    if isinstance(value, Sign):
        return {"sign": value.value}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, word)
    if isinstance(value, int):
        return str(value)  # JSON has not all of them
    if depth >= _DEPTH_MAX:
        return _UNREADABLE
    if isinstance(value, Mapping):
        return {
            _text(key, ""): _plain(each, _last_word(key), depth + 1)
            for key, each in value.items()
            if isinstance(key, str) and _is_kept(key)
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(each, word, depth + 1) for each in value]
    return _UNREADABLE


def _is_kept(key: str) -> bool:
    """Whether it is a setting that is kept, or names a connection by its number or address."""
    return key in _KEPT or key.isdecimal() or "://" in key


def _last_word(key: str) -> str:
    return key.lower().replace("_", ".").rpartition(".")[2]


def _text(value: str, word: str) -> str:
    if word not in _ADDRESSES and "://" not in value:
        return value.encode("utf-8", "replace").decode()
    return parse(value, _NO_HOSTS).text or ("" if not value.strip() else "unreadable")

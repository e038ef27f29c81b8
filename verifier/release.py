"""A signed release: which kit and which open-webui may run, until when (docs/auditors.md).

Two lines of text. The first one is canonical JSON (RFC 8785) as `release.schema.json` has it, the
second one the Ed25519 signature (RFC 8032) of its bytes, without the line's end. A policy pins the
keys. It keeps the serial number of the newest release that it took its values from, and when those
end: so an old release, however well signed, does not come back, and counts for a time only.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quote_generator.errors import BadInput
from quote_generator.evidence import canonical_json

from . import strictjson
from .policy import Policy, ReleaseRules, validate
from .problems import FileError, UsageError
from .times import seconds_of

TYPE, VERSION = "cczoo-release", 1

MAX_RELEASE = 1 << 16
"""Bytes of a signed release."""

MAX_DAYS = 366
"""The longest that a release counts: what nobody signs anew has to end."""

FILLED = ("kit", "page", "open_webui", "front_end")
"""The policy's members that a release gives."""

ALGORITHM = "ed25519:"
"""What stands before keys and signatures, in hex."""

_DAY = 24 * 3600


@dataclass(frozen=True)
class Release:
    """What was signed.

    `issued` and `expires` are in seconds since 1970, `kit` and `open_webui` as in the schema, the
    latter by version.
    """

    serial: int
    issued: float
    expires: float
    not_after: str
    kit: Mapping[str, str]
    open_webui: Mapping[str, Mapping[str, str]]


# --- reading --------------------------------------------------------------------------------------


def rules_of(policy: Policy) -> ReleaseRules:
    """What a policy says of releases. Raises UsageError where it takes nothing from them."""
    if policy.workload is None or policy.workload.release is None:
        detail = "the policy names no key of a release: workload/release/keys"
        raise UsageError("release-unwanted", detail)
    return policy.workload.release


def read_release(text: bytes, rules: ReleaseRules) -> Release:
    """The release in a text, signed by a key that the policy pins, and not older than it allows.

    Nothing of it is parsed before that. Whether it has ended is left to the caller. Raises
    FileError (release-malformed, release-forged, release-older).
    """
    payload, signature = _lines(text)
    if not any(_has_signed(key, payload, signature) for key in rules.keys):
        raise FileError("release-forged", "none of the keys that the policy names has signed it")
    release = _content(payload)
    if release.serial < rules.min_serial:
        detail = f"its serial number is {release.serial}, and {rules.min_serial} was there before"
        raise FileError("release-older", f"{detail}: somebody shows an old release")
    return release


def _lines(text: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature."""
    if len(text) > MAX_RELEASE:
        raise _malformed(f"more than {MAX_RELEASE} bytes")
    found = re.fullmatch(rb"([^\n]+)\n" + ALGORITHM.encode() + rb"([0-9a-f]{128})\n", text)
    if found is None:
        raise _malformed("not a line of JSON and one with a signature")
    return found[1], bytes.fromhex(found[2].decode())


def _has_signed(key: str, payload: bytes, signature: bytes) -> bool:
    raw = bytes.fromhex(key.removeprefix(ALGORITHM))
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, payload)
    except InvalidSignature:
        return False
    return True


def _content(payload: bytes) -> Release:
    try:
        value = strictjson.loads(payload, whole_numbers=True)
        if canonical_json(value) != payload:
            raise _malformed("its JSON is not in the canonical form")
        return checked(value)
    except (ValueError, BadInput) as error:
        raise _malformed(str(error)) from error


def checked(value: object) -> Release:
    """The release in a JSON value. Raises BadInput."""
    validate(value, schema(), "release")
    assert isinstance(value, dict)  # noqa: S101 - the schema said so
    issued, expires = (seconds_of(value[name]) for name in ("issued", "expires"))
    if issued is None or expires is None or not issued < expires <= issued + MAX_DAYS * _DAY:
        raise BadInput(f"from {value['issued']} to {value['expires']} is not 1 to {MAX_DAYS} days")
    open_webui = {each["version"]: each for each in value["open_webui"]}
    if len(open_webui) < len(value["open_webui"]):
        raise BadInput("a version of open-webui is there twice")
    return Release(value["serial"], issued, expires, value["expires"], value["kit"], open_webui)


@cache
def schema() -> dict[str, Any]:
    """The schema of what is signed (JSON Schema 2020-12)."""
    text = resources.files(__package__).joinpath("release.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _malformed(why: str) -> FileError:
    return FileError("release-malformed", f"this is no signed release: {why}")


# --- filling in -----------------------------------------------------------------------------------


def fill(policy: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """A policy with the release's values, its end and its serial number, of one that pins its key.

    Values of an earlier release make room; where the policy's `versions.open_webui` names some,
    only those count. Raises UsageError (release-unwanted) for a policy that has values of its own,
    and FileError (release-without) where the release lacks all versions that the policy names.
    """
    filled = copy.deepcopy(dict(policy))
    workload = filled["workload"]
    rules, versions = workload["release"], workload.get("versions", {})
    own = [name for name in FILLED if name in workload and "not_after" not in rules]
    if own:
        detail = f"the policy says itself what may run: take {', '.join(own)} out"
        raise UsageError("release-unwanted", f"{detail}, or workload/release")
    chosen = _chosen(release.open_webui, versions.get("open_webui"), "open-webui")
    (kit,) = _chosen({release.kit["version"]: release.kit}, versions.get("kit"), "the kit")
    workload.update(
        kit=[kit["digest"]],
        page=[kit["page"]],
        open_webui=_each(each["digest"] for each in chosen),
        front_end=_each(each["front_end"] for each in chosen),
        release={**rules, "min_serial": release.serial, "not_after": release.not_after},
    )
    return filled


def _chosen(
    by_version: Mapping[str, Mapping[str, str]], wanted: Iterable[str] | None, what: str
) -> list[Mapping[str, str]]:
    names = by_version if wanted is None else wanted
    chosen = [by_version[name] for name in names if name in by_version]
    if not chosen:
        raise FileError(
            "release-without",
            f"the release is about {what} {', '.join(by_version)}, and the policy names others",
        )
    return chosen


def _each(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))

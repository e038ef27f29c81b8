"""How the text of a setting is read: one kind for each sort of value.

The text is what an environment variable would hold. Each reader raises ValueError for a wrong one,
with the end of a sentence that begins with the setting's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from limits import RateLimitItem, parse

from quote_generator.errors import BadInput
from quote_generator.service_address import base_address

# As the page reads them (web/src/session/settings.ts and web/src/token/keys.ts).
TEXT_MAX = 1 << 16
KEYS_MAX = 64
POLICY_DEPTH_MAX = 32
PAGE_SOURCES_MAX = 64
PAGE_SOURCES_OFF = "off"

_SHORT = 2048
_LIMIT_CHARACTERS = 64


@dataclass(frozen=True)
class Kind:
    """A sort of value: ``name`` is what a form goes by, ``form`` says what a text looks like.

    ``empty`` is the value of a setting that has neither a text nor a default.
    """

    name: str
    form: str
    read: Callable[[str], object]
    empty: object = None
    longest: int = _SHORT
    choices: tuple[str, ...] = ()

    def value(self, text: str) -> object:
        """Return the value of a text; raise ValueError for one that has none."""
        if not text.strip():
            return self.empty
        if len(text) > self.longest:
            raise ValueError(f"must not be longer than {self.longest} characters")
        return self.read(text)


def word(*choices: str) -> Kind:
    """Return the kind of one word among several."""
    form = f"one of {', '.join(choices)}"

    def read(text: str) -> str:
        chosen = text.strip().lower()
        if chosen not in choices:
            raise ValueError(f"must be {form}")
        return chosen

    return Kind("word", form, read, choices=choices)


def switch(on: str, off: str) -> Kind:
    """Return the kind of what is on or off, in these words; its value is a bool."""
    words = word(on, off)
    return Kind("word", words.form, lambda text: words.read(text) == on, False, choices=(on, off))


def words(choices: Sequence[str]) -> Kind:
    """Return the kind of a comma list of some words; its value is a tuple, in the list's order."""
    form = f"a comma list of {', '.join(choices)}"

    def read(text: str) -> tuple[str, ...]:
        named = tuple(dict.fromkeys(part for one in text.split(",") if (part := one.strip())))
        if not set(named) <= set(choices):
            raise ValueError(f"must be {form}")
        return named

    return Kind("words", form, read, (), choices=tuple(choices))


def address(*paths: str) -> Kind:
    """Return the kind of a service's address, of which these well-known paths are taken off."""
    form = "an http(s) address without user, query or fragment"

    def read(text: str) -> str:
        try:
            return base_address(text, *paths)
        except BadInput:
            raise ValueError(f"must be {form}") from None

    return Kind("address", form, read)


def seconds(most: int) -> Kind:
    """Return the kind of a time in seconds."""
    form = f"a number of seconds between 0 and {most}"

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:  # also refuses NaN
            raise ValueError(f"must be {form}")
        return number

    return Kind("seconds", form, read)


def _limit(text: str) -> RateLimitItem:
    try:
        limit = parse(text.strip())
    except ValueError:
        limit = None
    if limit is None or limit.amount < 1:
        raise ValueError("must read like 60/minute")
    return limit


LIMIT = Kind("limit", "a number for a time, such as 60/minute", _limit, longest=_LIMIT_CHARACTERS)


# Origins

# A part of a host name, with all that addresses of services may have in one (service_address.py).
_LABEL = "[a-z0-9_-]{1,63}"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
# Longer than any host name with its scheme and port.
_ORIGIN_CHARACTERS = 280
_SOURCE = re.compile(rf"(?:https?|wss?)://(?:\*\.{_LABEL}\.)?{_HOST}(?::([1-9][0-9]{{0,4}}))?")
_SERVICE = re.compile(
    rf"(?:https://{_HOST}|http://(?:localhost|127(?:\.[0-9]{{1,3}}){{3}}))(?::([1-9][0-9]{{0,4}}))?"
)


def is_service_origin(text: str) -> bool:
    """Whether this is the origin of a service that a page may ask, as browsers write it.

    HTTPS, or plain HTTP to the browser's own machine (web/src/base/address.ts), and a host that a
    policy can name: a name or an IPv4 address.
    """
    return _is_origin(_SERVICE, text)


def _is_origin(form: re.Pattern[str], text: str) -> bool:
    found = form.fullmatch(text) if len(text) <= _ORIGIN_CHARACTERS else None
    return found is not None and int(found[1] or 1) < 1 << 16


def _origins(text: str) -> tuple[str, ...] | None:
    text = text.strip().lower()
    if text == PAGE_SOURCES_OFF:
        return None
    found = tuple(dict.fromkeys(re.split(r"[\s,]+", text)))
    if len(found) > PAGE_SOURCES_MAX or not all(_is_origin(_SOURCE, one) for one in found):
        raise ValueError(f"must be {ORIGINS.form}")
    return found


ORIGINS = Kind(
    "origins",
    f"a list of at most {PAGE_SOURCES_MAX} origins such as https://example.com or "
    "https://*.example.com, or the word off",
    _origins,
    (),
    longest=(PAGE_SOURCES_MAX + 1) * _ORIGIN_CHARACTERS,
)


# Texts that the page reads again


def _keys(text: str) -> str:
    """Return the text of a JWK Set, a JWK, or PEM certificates."""
    try:
        are_keys = _are_certificates(text) if text.lstrip().startswith("-") else _are_jwks(text)
    except ValueError:
        are_keys = False
    if not are_keys:
        raise ValueError(f"must be {KEYS.form}")
    return text.strip()


_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----")
# RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def _are_certificates(text: str) -> bool:
    """Whether it is certificates and nothing else: a private key beside them would be published."""
    if _CERTIFICATE.sub("", text).strip():
        return False
    return 0 < len(x509.load_pem_x509_certificates(text.encode("ascii"))) <= KEYS_MAX


def _are_jwks(text: str) -> bool:
    document = _object(text)
    keys = document.get("keys", [document])
    return isinstance(keys, list) and 0 < len(keys) <= KEYS_MAX and all(map(_is_public, keys))


def _is_public(key: object) -> bool:
    """Whether it is a key (RFC 7517), and one that may be known to all."""
    return isinstance(key, dict) and "kty" in key and not _PRIVATE_MEMBERS & key.keys()


KEYS = Kind(
    "keys",
    f"a JWK Set, a JWK, or PEM certificates: at most {KEYS_MAX}, and none of them private",
    _keys,
    longest=TEXT_MAX,
)


def _policy(text: str) -> str:
    """Return the text of a JSON object. What its members mean is the relying parties' business."""
    try:
        _object(text)
    except ValueError:
        raise ValueError(f"must be {POLICY.form}") from None
    return text.strip()


POLICY = Kind(
    "policy",
    f"a policy: one JSON object of at most {TEXT_MAX} characters, no name in it twice",
    _policy,
    longest=TEXT_MAX,
)


def _object(text: str) -> dict[str, object]:
    """Return a JSON object that all readers read alike; raise ValueError for anything else."""
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict) or _is_deeper([value], POLICY_DEPTH_MAX):
        raise ValueError("no object, or nested too deeply")
    return value


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a repeated name")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _is_deeper(level: list[object], most: int) -> bool:
    """Whether lists and objects lie in one another more than ``most`` times."""
    for _ in range(most):
        level = [inner for outer in level for inner in _nesting(outer)]
        if not level:
            return False
    return True


def _nesting(outer: object) -> list[object]:
    """Return the lists and objects right inside one."""
    inside: Iterable[object] = ()
    if isinstance(outer, dict | list):
        inside = outer.values() if isinstance(outer, dict) else outer
    return [inner for inner in inside if isinstance(inner, dict | list)]

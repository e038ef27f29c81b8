"""What the administrator set in the environment (docs/backend.md lists the variables)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from limits import RateLimitItem, parse

from quote_generator.errors import BadInput
from quote_generator.service_address import PCCS_PATHS, WELL_KNOWN, base_address

from . import SEALED_OFF, sealing_mode
from .errors import TeeError

CONFIG_VERSION = 1


@dataclass(frozen=True)
class Service:
    """An attestation service's REST interface, as far as the relay needs to know it."""

    attestation_path: str
    default_url: str | None


SERVICES = {
    "alibaba": Service(WELL_KNOWN["alibaba"], "https://attest.cn-beijing.aliyuncs.com"),
    "trustee": Service(WELL_KNOWN["trustee"], None),
}
# Verifies by itself, with collateral from here: it has no address, and nothing to relay.
DCAP = "dcap"
PROVIDERS = (*SERVICES, DCAP)

INTEL_PCS = "https://api.trustedservices.intel.com"
# Editions of Intel's documents: as soon as they are out, or once platforms had time to follow.
PCCS_UPDATES = ("early", "standard")
# What a page may ask beside this server; read by itself, as pages come before anybody signs in.
PAGE_SOURCES = "TEE_PAGE_SOURCES"
PAGE_SOURCES_OFF = "off"
PAGE_SOURCES_MAX = 64
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Settings:
    """The ``TEE_*`` variables; time-outs are in seconds."""

    default_provider: str
    urls: Mapping[str, str | None]
    relayed: frozenset[str]
    public: bool
    quote_timeout: float
    relay_timeout: float
    pccs_url: str
    pccs_update: str | None
    collateral_timeout: float
    collateral_refresh: float
    user_limit: RateLimitItem
    address_limit: RateLimitItem
    public_limit: RateLimitItem
    page_sources: tuple[str, ...] | None
    sealed: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables; raise TeeError (503) that names the one that is wrong."""
        return cls(
            default_provider=_provider("TEE_DEFAULT_PROVIDER", environment, "alibaba"),
            urls={name: _url(f"TEE_{name.upper()}_URL", environment) for name in SERVICES},
            relayed=_service_set("TEE_RELAY", environment),
            public=environment.get("TEE_QUOTE_PUBLIC", "").strip().lower() == "true",
            quote_timeout=_seconds("TEE_QUOTE_TIMEOUT", environment, 10.0),
            relay_timeout=_seconds("TEE_RELAY_TIMEOUT", environment, 30.0),
            pccs_url=base_address(_url("TEE_PCCS_URL", environment) or INTEL_PCS, *PCCS_PATHS),
            pccs_update=_update("TEE_PCCS_UPDATE", environment),
            collateral_timeout=_seconds("TEE_COLLATERAL_TIMEOUT", environment, 10.0),
            collateral_refresh=_seconds("TEE_COLLATERAL_REFRESH", environment, 3600.0, WEEK),
            user_limit=_limit("TEE_QUOTE_LIMIT_USER", environment, "120/minute"),
            address_limit=_limit("TEE_QUOTE_LIMIT_ADDRESS", environment, "120/minute"),
            public_limit=_limit("TEE_QUOTE_LIMIT_PUBLIC", environment, "1200/minute"),
            page_sources=page_sources(environment),
            sealed=sealing_mode(environment),
        )

    @property
    def seals(self) -> bool:
        """Whether requests may come sealed here."""
        return self.sealed != SEALED_OFF

    def relay_address(self, provider: str) -> str | None:
        """Return the address of the service that the relay reaches, or None where it does not."""
        if provider not in self.relayed:
            return None
        known = SERVICES[provider]
        address = self.urls[provider] or known.default_url
        return base_address(address, known.attestation_path) if address else None

    def relay_url(self, provider: str) -> str | None:
        """Return where the relay forwards this provider's requests, or None if it does not."""
        address = self.relay_address(provider)
        return None if address is None else address + SERVICES[provider].attestation_path

    def document(self, root: str | None) -> dict[str, object]:
        """Return the answer of ``GET /config``; ``root`` is the simulator's, where it is used.

        ``relay`` is the address that is relayed to: a page uses the relay for no other.
        """
        services = {
            name: {"url": self.urls[name], "relay": self.relay_address(name)} for name in SERVICES
        }
        return {
            "v": CONFIG_VERSION,
            "default_provider": self.default_provider,
            "providers": {**services, DCAP: {"url": None, "relay": None, "root": root}},
        }


# A part of a host name, with all that addresses of services may have in one (service_address.py).
_LABEL = "[a-z0-9_-]{1,63}"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
# Longer than any host name with its scheme and port.
_ORIGIN_CHARACTERS = 280
_SOURCE = re.compile(rf"(?:https?|wss?)://(?:\*\.{_LABEL}\.)?{_HOST}(?::([1-9][0-9]{{0,4}}))?")
_SERVICE = re.compile(
    rf"(?:https://{_HOST}|http://(?:localhost|127(?:\.[0-9]{{1,3}}){{3}}))(?::([1-9][0-9]{{0,4}}))?"
)


def page_sources(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the origins that pages may ask beside this server's own; None: any.

    Raise TeeError (503) for anything but a list of origins, or the word that turns the policy off.
    """
    text = environment.get(PAGE_SOURCES, "").strip().lower()
    if text == PAGE_SOURCES_OFF:
        return None
    found = tuple(dict.fromkeys(re.split(r"[\s,]+", text))) if text else ()
    if len(found) > PAGE_SOURCES_MAX or not all(_is_origin(_SOURCE, one) for one in found):
        problem = (
            f"must be a list of at most {PAGE_SOURCES_MAX} origins such as https://example.com"
        )
        raise _misconfigured(PAGE_SOURCES, f"{problem} or https://*.example.com, or the word off")
    return found


def is_service_origin(text: str) -> bool:
    """Whether this is the origin of a service that a page may ask, as browsers write it.

    HTTPS, or plain HTTP to the browser's own machine (web/src/base/address.ts), and a host that a
    policy can name: a name or an IPv4 address.
    """
    return _is_origin(_SERVICE, text)


def _is_origin(form: re.Pattern[str], text: str) -> bool:
    found = form.fullmatch(text) if len(text) <= _ORIGIN_CHARACTERS else None
    return found is not None and int(found[1] or 1) < 1 << 16


def _misconfigured(variable: str, problem: str) -> TeeError:
    detail = f"The server's environment variable {variable} {problem}."
    return TeeError(503, "misconfigured", detail + " Its administrator has to correct it.")


def _provider(variable: str, environment: Mapping[str, str], default: str) -> str:
    name = environment.get(variable, "").strip() or default
    if name not in PROVIDERS:
        raise _misconfigured(variable, f"must be one of {', '.join(PROVIDERS)}")
    return name


def _service_set(variable: str, environment: Mapping[str, str]) -> frozenset[str]:
    names = {name.strip() for name in environment.get(variable, "").split(",")} - {""}
    if not names <= SERVICES.keys():
        raise _misconfigured(variable, f"must be a comma list of {', '.join(SERVICES)}")
    return frozenset(names)


def _seconds(
    variable: str, environment: Mapping[str, str], default: float, most: float = 120
) -> float:
    text = environment.get(variable, "").strip()
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= most:  # also refuses NaN
        raise _misconfigured(variable, f"must be a number of seconds between 0 and {most:g}")
    return seconds


def _update(variable: str, environment: Mapping[str, str]) -> str | None:
    edition = environment.get(variable, "").strip() or None
    if edition not in (None, *PCCS_UPDATES):
        raise _misconfigured(variable, f"must be one of {', '.join(PCCS_UPDATES)}")
    return edition


def _limit(variable: str, environment: Mapping[str, str], default: str) -> RateLimitItem:
    try:
        return parse(environment.get(variable, "").strip() or default)
    except ValueError:
        raise _misconfigured(variable, "must read like 60/minute") from None


def _url(variable: str, environment: Mapping[str, str]) -> str | None:
    text = environment.get(variable, "")
    if not text.strip():
        return None
    try:
        # With its well-known path, if it was given one: whoever uses it takes that off, once.
        return base_address(text)
    except BadInput:
        problem = "must be an http(s) address without user, query or fragment"
        raise _misconfigured(variable, problem) from None

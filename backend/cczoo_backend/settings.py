"""What the administrator set in the environment (docs/backend.md lists the variables)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from limits import RateLimitItem, parse

from .errors import TeeError

CONFIG_VERSION = 1


@dataclass(frozen=True)
class Service:
    """An attestation service's REST interface, as far as the relay needs to know it."""

    attestation_path: str
    default_url: str | None


SERVICES = {
    "alibaba": Service("/v1/attestation", "https://attest.cn-beijing.aliyuncs.com"),
    "trustee": Service("/attestation", None),
}
# Verifies by itself, with collateral from here: it has no address, and nothing to relay.
DCAP = "dcap"
PROVIDERS = (*SERVICES, DCAP)

INTEL_PCS = "https://api.trustedservices.intel.com"
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
    collateral_timeout: float
    collateral_refresh: float
    user_limit: RateLimitItem
    address_limit: RateLimitItem
    public_limit: RateLimitItem

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
            pccs_url=_url("TEE_PCCS_URL", environment) or INTEL_PCS,
            collateral_timeout=_seconds("TEE_COLLATERAL_TIMEOUT", environment, 10.0),
            collateral_refresh=_seconds("TEE_COLLATERAL_REFRESH", environment, 3600.0, WEEK),
            user_limit=_limit("TEE_QUOTE_LIMIT_USER", environment, "120/minute"),
            address_limit=_limit("TEE_QUOTE_LIMIT_ADDRESS", environment, "12/minute"),
            public_limit=_limit("TEE_QUOTE_LIMIT_PUBLIC", environment, "240/minute"),
        )

    def relay_url(self, provider: str) -> str | None:
        """Return where the relay forwards this provider's requests, or None if it does not."""
        if provider not in self.relayed:
            return None
        known = SERVICES[provider]
        base = self.urls[provider] or known.default_url
        return base + known.attestation_path if base else None

    def document(self, root: str | None) -> dict[str, object]:
        """Return the answer of ``GET /config``; ``root`` is the simulator's, where it is used."""
        services = {
            name: {"url": self.urls[name], "relay": self.relay_url(name) is not None}
            for name in SERVICES
        }
        return {
            "v": CONFIG_VERSION,
            "default_provider": self.default_provider,
            "providers": {**services, DCAP: {"url": None, "relay": False, "root": root}},
        }


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


def _limit(variable: str, environment: Mapping[str, str], default: str) -> RateLimitItem:
    try:
        return parse(environment.get(variable, "").strip() or default)
    except ValueError:
        raise _misconfigured(variable, "must read like 60/minute") from None


def _url(variable: str, environment: Mapping[str, str]) -> str | None:
    text = environment.get(variable, "").strip().rstrip("/")
    if not text:
        return None
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None or url.query or url.fragment:
        raise _misconfigured(variable, "must be an http(s) address without user, query or fragment")
    return text

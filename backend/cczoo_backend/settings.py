"""What the administrators set, as values; ``settings_table`` says what there is to be set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from limits import RateLimitItem

from quote_generator.service_address import base_address

from . import SEALED_OFF
from .errors import TeeError
from .settings_table import (
    BY_NAME,
    BY_VARIABLE,
    DCAP,
    ENFORCEMENT,
    PAGE_SOURCES,
    SERVICES,
    TABLE,
    Setting,
)

CONFIG_VERSION = 1
NOT_OFFERED = "must be one of the providers that are offered, which TEE_PROVIDERS lists"


@dataclass(frozen=True)
class Settings:
    """The settings of ``settings_table`` by their names; times are in seconds."""

    providers: tuple[str, ...]
    default_provider: str
    alibaba_url: str | None
    trustee_url: str | None
    alibaba_keys: str | None
    trustee_keys: str | None
    relay: tuple[str, ...]
    relay_timeout: float
    pccs_url: str
    pccs_update: str | None
    collateral_timeout: float
    collateral_refresh: float
    policy: str | None
    enforcement: str
    sealed: str
    statement: bool
    quote_timeout: float
    quote_public: bool
    quote_limit_user: RateLimitItem
    quote_limit_address: RateLimitItem
    quote_limit_public: RateLimitItem
    page_sources: tuple[str, ...] | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; raise TeeError (503) that names the one that is wrong."""
        values: dict[str, Any] = {one.name: _value(one, environ) for one in TABLE}
        if not suggests_what_it_offers(environ):
            raise _misconfigured("TEE_DEFAULT_PROVIDER", NOT_OFFERED)
        return cls(**values)

    @property
    def seals(self) -> bool:
        """Whether requests may come sealed here."""
        return self.sealed != SEALED_OFF

    def relay_address(self, provider: str) -> str | None:
        """Return the address of the service that the relay reaches, or None where it does not."""
        if provider not in self.relay:
            return None
        known = SERVICES[provider]
        address = self._url(provider) or known.default_url
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
            name: {
                "url": self._url(name),
                "relay": self.relay_address(name),
                "keys": self._keys(name),
            }
            for name in SERVICES
        }
        return {
            "v": CONFIG_VERSION,
            "enforcement": self.enforcement,
            "policy": self.policy,
            "default_provider": self.default_provider,
            "offered": list(self.providers),
            "providers": {**services, DCAP: {"url": None, "relay": None, "root": root}},
        }

    def _url(self, service: str) -> str | None:
        # With its well-known path, if it was given one: whoever uses it takes that off, once.
        return cast("str | None", getattr(self, f"{service}_url"))

    def _keys(self, service: str) -> str | None:
        return cast("str | None", getattr(self, f"{service}_keys"))


def page_sources(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the origins that pages may ask beside this server's own; None: any.

    Raise TeeError (503) for anything but a list of origins, or the word that turns the policy off.
    """
    return cast("tuple[str, ...] | None", _value(BY_VARIABLE[PAGE_SOURCES], environ))


def suggests_what_it_offers(environ: Mapping[str, str]) -> bool:
    """Whether the provider suggested is one of those offered; raise ValueError for wrong ones."""
    offered = cast("tuple[str, ...]", BY_NAME["providers"].value(environ))
    return BY_NAME["default_provider"].value(environ) in offered


def enforcement(environ: Mapping[str, str]) -> str:
    """Return the enforcement alone, which holds also where other settings are wrong."""
    return cast("str", _value(BY_VARIABLE[ENFORCEMENT], environ))


def _value(setting: Setting, environ: Mapping[str, str]) -> object:
    try:
        return setting.value(environ)
    except ValueError as problem:
        raise _misconfigured(setting.variable, str(problem)) from None


def _misconfigured(variable: str, problem: str) -> TeeError:
    detail = f"The server's setting {variable} {problem}."
    return TeeError(503, "misconfigured", detail + " Its administrator has to correct it.")

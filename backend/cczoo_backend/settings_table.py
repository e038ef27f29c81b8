"""Every setting of the kit's: the one place for its name, its kind, its default and what it means.

A setting is called as its variable is, without ``TEE_`` and in small letters: ``enforcement`` is
``TEE_ENFORCEMENT``. docs/configuration.md is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quote_generator.service_address import PCCS_PATHS, WELL_KNOWN

from . import SEALED, SEALED_MODES, SEALED_OFFERED, SEALED_REQUIRED, STATEMENT
from .setting_kinds import (
    KEYS,
    LIMIT,
    ORIGINS,
    POLICY,
    Kind,
    address,
    seconds,
    switch,
    word,
    words,
)

PREFIX = "TEE_"


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
# What the page does where the verdict is not good, from the laxest to the strictest.
ENFORCEMENT = "TEE_ENFORCEMENT"
ENFORCEMENTS = ENFORCEMENT_OFF, ENFORCEMENT_WARN, ENFORCEMENT_BLOCK = ("off", "warn", "block")
# Which settings the environment fixes: names, or the word for all of them.
SETTINGS_FIXED = "TEE_SETTINGS_FIXED"
ALL = "all"

_TIMEOUT_MAX = 120
_WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Setting:
    """One setting. Texts are as in the environment; an empty one counts as not set.

    ``otherwise`` is what a wrong text counts as; None: it is an error. ``unread`` is what counts
    while the file with the administrators' settings cannot be read. ``restart``: a change holds
    from the next start. ``environment_only``: no administrator changes it in the app.
    """

    variable: str
    kind: Kind
    meaning: str
    default: str = ""
    otherwise: str | None = None
    unread: str | None = None
    restart: bool = False
    environment_only: bool = False

    @property
    def name(self) -> str:
        """What administrators and the file call it."""
        return self.variable.removeprefix(PREFIX).lower()

    def text(self, environ: Mapping[str, str]) -> str:
        """Return the text that counts: the one that is set, or the default."""
        set_to = environ.get(self.variable, "")
        return set_to if set_to.strip() else self.default

    def value(self, environ: Mapping[str, str]) -> object:
        """Return the value that counts; raise ValueError for a wrong one."""
        try:
            return self.kind.value(self.text(environ))
        except ValueError:
            if self.otherwise is None:
                raise
            return self.kind.value(self.otherwise)


TABLE = (
    Setting(
        "TEE_PROVIDERS",
        words(PROVIDERS),
        "providers that users are offered",
        default=",".join(PROVIDERS),
    ),
    Setting(
        "TEE_DEFAULT_PROVIDER",
        word(*PROVIDERS),
        "provider suggested to users who chose none; with `dcap` the browser verifies by itself",
        default="alibaba",
    ),
    *(
        Setting(
            f"TEE_{name.upper()}_URL",
            address(),
            f"address suggested for `{name}`, [with its path or without](providers.md#addresses); "
            "also where the relay goes, and a page uses it for this address only",
        )
        for name in SERVICES
    ),
    *(
        Setting(
            f"TEE_{name.upper()}_KEYS",
            KEYS,
            f"keys suggested to be [pinned](providers.md#pinning) for `{name}`: the text itself, "
            "not a file's name",
        )
        for name in SERVICES
    ),
    Setting("TEE_RELAY", words(tuple(SERVICES)), "services that are relayed"),
    Setting(
        "TEE_RELAY_TIMEOUT", seconds(_TIMEOUT_MAX), "seconds for one relayed exchange", default="30"
    ),
    Setting(
        "TEE_PCCS_URL",
        address(*PCCS_PATHS),
        "where collateral comes from: a PCCS with Intel's interface version 4, such as a cloud's; "
        "with `/sgx/certification/v4` at its end or without",
        default=INTEL_PCS,
    ),
    Setting(
        "TEE_PCCS_UPDATE",
        word(*PCCS_UPDATES),
        "which edition of Intel's documents to ask it for: `early` (as soon as they are out) or "
        "`standard` (once platforms had time to follow); else as the service likes. "
        "See [rollback](verification.md#rollback)",
    ),
    Setting(
        "TEE_COLLATERAL_TIMEOUT",
        seconds(_TIMEOUT_MAX),
        "seconds for one set of collateral",
        default="10",
    ),
    Setting(
        "TEE_COLLATERAL_REFRESH",
        seconds(_WEEK),
        "seconds after which the PCCS is asked again",
        default="3600",
    ),
    Setting(
        "TEE_POLICY",
        POLICY,
        "[policy](verification.md#policy) suggested to users: the text itself, not a file's name",
    ),
    Setting(
        ENFORCEMENT,
        word(*ENFORCEMENTS),
        "what the page does where the verdict is not good: nothing, ask once, or hold everything "
        "back. Users may be stricter, never laxer",
        default=ENFORCEMENT_WARN,
        otherwise=ENFORCEMENT_BLOCK,
        unread=ENFORCEMENT_BLOCK,
    ),
    Setting(
        SEALED,
        word(*SEALED_MODES),
        "whether requests may (`offered`) or must (`required`) come "
        "[sealed](backend.md#sealed-requests), or cannot (`off`)",
        default=SEALED_OFFERED,
        otherwise=SEALED_REQUIRED,
        unread=SEALED_REQUIRED,
        restart=True,
    ),
    Setting(
        STATEMENT,
        switch("on", "off"),
        "whether what runs here is [measured](measured.md) at the start, and "
        "[stated](backend.md#what-the-server-states) in every quote that binds keys",
        default="on",
        otherwise="on",
        restart=True,
        environment_only=True,
    ),
    Setting(
        "TEE_QUOTE_TIMEOUT",
        seconds(_TIMEOUT_MAX),
        "seconds for one quote; a client waits at most for two",
        default="10",
    ),
    Setting(
        "TEE_QUOTE_PUBLIC",
        switch("true", "false"),
        "with `TEE_SEALED=off`: `true` lets auditors ask for quotes and collateral without an "
        "account",
        default="false",
        otherwise="false",
    ),
    Setting(
        "TEE_QUOTE_LIMIT_USER",
        LIMIT,
        "quotes for each user; collateral and relayed requests are counted alike, each by itself",
        default="120/minute",
    ),
    Setting(
        "TEE_QUOTE_LIMIT_ADDRESS",
        LIMIT,
        "quotes, and each by itself collateral, settings, relayed requests and reports, for each "
        "client address without an account",
        default="120/minute",
    ),
    Setting(
        "TEE_QUOTE_LIMIT_PUBLIC",
        LIMIT,
        "the same for all of those addresses together",
        default="1200/minute",
    ),
    Setting(
        PAGE_SOURCES,
        ORIGINS,
        "what a page may ask beside this server, or `off`: see "
        "[the page's policy](backend.md#the-pages-policy)",
        unread=" ",
        restart=True,
    ),
)

BY_NAME = {setting.name: setting for setting in TABLE}
BY_VARIABLE = {setting.variable: setting for setting in TABLE}


def fixed_names(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the settings that the environment fixes, by name.

    A word that names none of them fixes all: it was meant to fix something.
    """
    named = {part for one in environ.get(SETTINGS_FIXED, "").split(",") if (part := one.strip())}
    names = {one.removeprefix(PREFIX).lower() for one in named}
    if not names <= BY_NAME.keys():  # the word for all among them
        return frozenset(BY_NAME)
    return frozenset(names) | {one.name for one in TABLE if one.environment_only}


def unknown_fixed(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the words of ``TEE_SETTINGS_FIXED`` that name no setting."""
    named = {one.strip() for one in environ.get(SETTINGS_FIXED, "").split(",")} - {""}
    known = {*BY_NAME, ALL}
    return frozenset(one for one in named if one.removeprefix(PREFIX).lower() not in known)

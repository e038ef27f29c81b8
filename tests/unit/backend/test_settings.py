"""The administrator's settings: defaults, what follows from them, and wrong ones by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cczoo_backend.errors import TeeError
from cczoo_backend.settings import Settings
from quote_generator.service_address import WELL_KNOWN, base_address

ADDRESSES = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "addresses.json").read_text("utf-8")
)


def providers(settings: Settings, root: str | None = None) -> dict[str, Any]:
    found = settings.document(root)["providers"]
    assert isinstance(found, dict)
    return found


def test_defaults_suggest_alibaba_and_relay_nothing() -> None:
    settings = Settings.from_environment({})
    nothing = {"url": None, "relay": None}
    service = {**nothing, "keys": None}
    assert settings.document(None) == {
        "v": 1,
        "enforcement": "warn",
        "policy": None,
        "default_provider": "alibaba",
        "offered": ["alibaba", "trustee", "dcap"],
        "providers": {"alibaba": service, "trustee": service, "dcap": {**nothing, "root": None}},
    }
    assert not settings.quote_public
    assert settings.relay_url("alibaba") is None


def test_the_relay_goes_to_the_configured_address_and_the_providers_path() -> None:
    settings = Settings.from_environment(
        {"TEE_RELAY": "trustee, alibaba", "TEE_TRUSTEE_URL": "http://as.internal:8080/base/"}
    )
    assert settings.relay_url("trustee") == "http://as.internal:8080/base/attestation"
    assert settings.relay_url("alibaba") == (
        "https://attest.cn-beijing.aliyuncs.com/v1/attestation"
    )
    alibaba = "https://attest.cn-beijing.aliyuncs.com"
    assert providers(settings)["alibaba"] == {"url": None, "relay": alibaba, "keys": None}


@pytest.mark.parametrize("case", ADDRESSES["read"], ids=lambda case: case["text"].strip())
def test_a_services_address_may_have_its_path(case: dict[str, str]) -> None:
    """The relay reads it as page and command line do, and the page gets what they read alike."""
    name = case["provider"]
    settings = Settings.from_environment(
        {"TEE_RELAY": name, f"TEE_{name.upper()}_URL": case["text"]}
    )
    path = WELL_KNOWN[name]
    assert settings.relay_url(name) == case["address"] + path
    suggested = providers(settings)[name]["url"]
    assert base_address(suggested, path) == case["address"]
    # A page uses the relay for this address only, and reads it as it is.
    assert providers(settings)[name]["relay"] == case["address"]


@pytest.mark.parametrize("text", [text for text in ADDRESSES["refused"] if text.strip()])
def test_other_addresses_are_wrong_settings(text: str) -> None:
    for variable in ("TEE_TRUSTEE_URL", "TEE_PCCS_URL"):
        with pytest.raises(TeeError, match=variable):
            Settings.from_environment({variable: text})


@pytest.mark.parametrize("half", ["", "/sgx/certification/v4/", "/tdx/certification/v4"])
def test_a_collateral_services_address_may_have_its_path(half: str) -> None:
    settings = Settings.from_environment({"TEE_PCCS_URL": f"https://pccs.example/a{half}"})
    assert settings.pccs_url == "https://pccs.example/a"


def test_a_relay_without_an_address_is_not_offered() -> None:
    settings = Settings.from_environment({"TEE_RELAY": "trustee"})
    assert settings.relay_url("trustee") is None
    assert providers(settings)["trustee"] == {"url": None, "relay": None, "keys": None}


def test_verification_in_the_browser_can_be_suggested_and_has_no_address() -> None:
    settings = Settings.from_environment(
        {"TEE_DEFAULT_PROVIDER": "dcap", "TEE_DCAP_URL": "https://as.example"}
    )
    assert settings.document(None)["default_provider"] == "dcap"
    assert providers(settings, "a root")["dcap"] == {"url": None, "relay": None, "root": "a root"}


def test_an_edition_of_intels_documents_can_be_asked_for() -> None:
    assert Settings.from_environment({}).pccs_update is None
    for text in ("early", " standard "):
        settings = Settings.from_environment({"TEE_PCCS_UPDATE": text})
        assert settings.pccs_update == text.strip()
    with pytest.raises(TeeError, match="TEE_PCCS_UPDATE must be one of early, standard"):
        Settings.from_environment({"TEE_PCCS_UPDATE": "late"})


def test_collateral_comes_from_intel_or_from_the_configured_address() -> None:
    settings = Settings.from_environment({})
    assert settings.pccs_url == "https://api.trustedservices.intel.com"
    assert (settings.collateral_timeout, settings.collateral_refresh) == (10, 3600)
    settings = Settings.from_environment(
        {"TEE_PCCS_URL": "https://pccs.internal:8081/base/", "TEE_COLLATERAL_REFRESH": "604800"}
    )
    assert (settings.pccs_url, settings.collateral_refresh) == (
        "https://pccs.internal:8081/base",
        604800,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEE_DEFAULT_PROVIDER", "nobody"),
        ("TEE_RELAY", "alibaba,nobody"),
        ("TEE_RELAY", "dcap"),
        ("TEE_QUOTE_TIMEOUT", "soon"),
        ("TEE_QUOTE_TIMEOUT", "0"),
        ("TEE_QUOTE_TIMEOUT", "nan"),
        ("TEE_RELAY_TIMEOUT", "-1"),
        ("TEE_TRUSTEE_URL", "file:///etc/passwd"),
        ("TEE_TRUSTEE_URL", "https://user:word@as.example"),
        ("TEE_TRUSTEE_URL", "https://as.example/?q=1"),
        ("TEE_TRUSTEE_URL", "https://as.example:port"),
        ("TEE_ALIBABA_URL", "https://[::1"),
        ("TEE_ALIBABA_URL", "as.example"),
        ("TEE_PCCS_URL", "pccs.example"),
        ("TEE_PCCS_URL", "https://pccs.example/?fmspc=00"),
        ("TEE_COLLATERAL_TIMEOUT", "121"),
        ("TEE_COLLATERAL_REFRESH", "0"),
        ("TEE_COLLATERAL_REFRESH", "604801"),
        ("TEE_COLLATERAL_REFRESH", "nan"),
        ("TEE_QUOTE_LIMIT_USER", "many"),
        ("TEE_QUOTE_LIMIT_ADDRESS", "-1/minute"),
        ("TEE_QUOTE_LIMIT_PUBLIC", "10"),
        ("TEE_PAGE_SOURCES", "everything"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(TeeError, match=variable) as refused:
        Settings.from_environment({variable: value})
    assert (refused.value.status, refused.value.code) == (503, "misconfigured")


def test_limits_are_read_and_an_empty_one_is_none_of_ones_own() -> None:
    settings = Settings.from_environment(
        {"TEE_QUOTE_LIMIT_USER": "7/hour", "TEE_QUOTE_LIMIT_ADDRESS": " "}
    )
    limits = (
        settings.quote_limit_user,
        settings.quote_limit_address,
        settings.quote_limit_public,
    )
    assert [str(limit) for limit in limits] == [
        "7 per 1 hour",
        "120 per 1 minute",
        "1200 per 1 minute",
    ]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (None, "offered"),
        ("", "offered"),
        (" Offered ", "offered"),
        ("off", "off"),
        ("OFF", "off"),
        ("required", "required"),
        ("true", "required"),
        ("require", "required"),
        ("0", "required"),
    ],
)
def test_a_wrong_word_about_sealing_counts_as_required(text: str | None, mode: str) -> None:
    settings = Settings.from_environment({} if text is None else {"TEE_SEALED": text})
    assert settings.sealed == mode
    assert settings.seals == (mode != "off")

"""The relying party outside the browser: appraises TDX evidence and serves attestation results."""

from __future__ import annotations


def kit_version() -> str:
    """The kit's version, or "unknown" where it runs from a checkout that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cczoo-trust-badge")
    except PackageNotFoundError:
        return "unknown"

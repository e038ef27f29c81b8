"""quote_generator: TDX quotes from inside a trust domain.

``import quote_generator`` works on every machine: the C core, the parsers and the simulator are
loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    BadInput,
    Busy,
    CoreMissing,
    CorruptAnswer,
    LogFull,
    LogMismatch,
    NotAvailable,
    NotPermitted,
    NotSupported,
    QuoteGeneratorError,
    ServiceFailed,
    TimedOut,
)

if TYPE_CHECKING:
    from .attester import (
        Attestation,
        attest,
        available_transports,
        generate_quote,
        get_tdreport,
    )
    from .measure import check_log, extend_rtmr, finish_event, record_event
    from .quote import Quote, parse_quote
    from .tdreport import TdReport, parse_tdreport

    __version__: str

__all__ = [
    "Attestation",
    "BadInput",
    "Busy",
    "CoreMissing",
    "CorruptAnswer",
    "LogFull",
    "LogMismatch",
    "NotAvailable",
    "NotPermitted",
    "NotSupported",
    "Quote",
    "QuoteGeneratorError",
    "ServiceFailed",
    "TdReport",
    "TimedOut",
    "__version__",
    "attest",
    "available_transports",
    "check_log",
    "extend_rtmr",
    "finish_event",
    "generate_quote",
    "get_tdreport",
    "parse_quote",
    "parse_tdreport",
    "record_event",
]

_HOME = {
    "Attestation": "attester",
    "attest": "attester",
    "available_transports": "attester",
    "generate_quote": "attester",
    "get_tdreport": "attester",
    "check_log": "measure",
    "extend_rtmr": "measure",
    "finish_event": "measure",
    "record_event": "measure",
    "Quote": "quote",
    "parse_quote": "quote",
    "TdReport": "tdreport",
    "parse_tdreport": "tdreport",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cczoo-trust-badge")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"

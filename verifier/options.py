"""Options that verifying once and watching have in common."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from quote_generator.errors import BadInput
from quote_generator.service_address import PCCS_PATHS, base_address
from quote_generator.tls_certificate import parse_fingerprint

from . import evidence_file
from .output import error_document
from .policy import DEFAULT, Policy, policy_of, read_document, read_references
from .problems import UsageError
from .release import rules_of
from .release_source import Releases
from .trust import INTEL, TrustSource, from_files, from_simulator, read_root
from .verification import DCAP, PIN_OPTION, TOKEN_VARIABLE, UNSEALED_OPTION, Verifier

if TYPE_CHECKING:
    from .services.relying import Service

INTEL_PCS = "https://api.trustedservices.intel.com"
SERVICES = ("alibaba", "trustee")
UPDATES = ("early", "standard")

_T = TypeVar("_T")

_MAX_SMALL_FILE = 1 << 20
_MAX_API_KEY = 16 * 1024


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in JSON too, where JSON is what was asked for."""

    def parse_args(self, args: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        self._in_json = "--json" in args
        return super().parse_args(args)

    def error(self, message: str) -> NoReturn:
        if self._in_json:
            print(error_document(UsageError("usage", message)))
        super().error(message)


def add_unsealed_option(parser: argparse.ArgumentParser) -> None:
    """Whether an API key may leave before anything is known of who gets it."""
    parser.add_argument(
        UNSEALED_OPTION,
        action="store_true",
        help="hand the API key to whoever answers there and asks for it, before anything is known "
        "of them: for a server without sealed requests (TEE_SEALED=off) that keeps its evidence to "
        "its users. Without this it goes nowhere but, sealed, to a TD that was verified",
    )


def add_verifier_options(parser: argparse.ArgumentParser) -> None:
    """Who verifies, under which root and policy, and for how long to wait."""
    parser.add_argument(
        "--provider",
        choices=(DCAP, *SERVICES),
        default=DCAP,
        help="who verifies the quote: this machine (dcap) or an attestation service; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--service",
        metavar="URL",
        help="the attestation service, with or without its well-known path; alibaba has a built-in "
        "address",
    )
    parser.add_argument(
        "--service-keys",
        type=Path,
        metavar="FILE",
        help="accept its tokens under these keys only: a JWK or JWK Set; for trustee also the PEM "
        "certificate of the authority of its signing certificate",
    )
    parser.add_argument(
        "--send-logs",
        action="store_true",
        default=None,
        help="send the event logs to the service, too, as one: for services whose policy wants "
        "them; they are always judged here",
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="what to accept, as JSON (docs/verification.md)"
    )
    parser.add_argument(
        "--release",
        metavar="FILE|URL",
        help="a signed release of the kit, from which the policy takes what may run; it pins the "
        "keys (docs/auditors.md)",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help='expected values, before those of the policy: {"mr_td": ["<hex>"], ...}',
    )
    parser.add_argument(
        "--root",
        metavar="intel|FILE",
        help=f"root certificate, PEM or DER; default: {INTEL}; not with --simulator",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--collateral", type=Path, metavar="FILE", help="DCAP collateral as JSON, not fetched"
    )
    source.add_argument(
        "--simulator", type=Path, metavar="DIR", help="trust the simulator whose state is in DIR"
    )
    source.add_argument(
        "--pccs",
        metavar="URL",
        help=f"fetch collateral from there, also where a file has some ({INTEL_PCS})",
    )
    parser.add_argument(
        "--pccs-update",
        choices=UPDATES,
        help="which edition of Intel's documents to ask for: early, as soon as they are out, or "
        "standard, once platforms had time to follow (as the service likes)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds(0, 600),
        default=30.0,
        metavar="SECONDS",
        help="for each answer from elsewhere (%(default)g)",
    )


def make_verifier(options: argparse.Namespace, *, keep: float = 0) -> Verifier:
    """The verifier that the options ask for; it keeps collateral for `keep` seconds.

    Raises UsageError, TrustError and FileError.
    """
    _check_combination(options)
    releases = _releases(options)
    root = None if options.root in (None, INTEL) else Path(options.root)
    pccs = options.pccs
    source: TrustSource | None = None
    if options.simulator:
        source = from_simulator(options.simulator, must_exist=True)
    elif options.collateral:
        source = from_files(INTEL if root is None else str(root), options.collateral)
    return Verifier(
        policy=releases.policy() if releases else _policy(options),
        releases=releases,
        references=_references(options),
        timeout=options.timeout,
        provider=options.provider,
        service=None if options.provider == DCAP else _service(options),
        source=source,
        root_der=None if root is None else read_root(root),
        pccs=INTEL_PCS if pccs is None else _base("--pccs", pccs, *PCCS_PATHS),
        keep=keep,
        update=options.pccs_update or "",
        prefer_kept=pccs is None and options.pccs_update is None,
    )


def _check_combination(options: argparse.Namespace) -> None:
    local, remote = (
        ("root", "collateral", "simulator", "pccs", "pccs_update"),
        ("service", "service_keys", "send_logs"),
    )
    for name in remote if options.provider == DCAP else local:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError("usage", f"{option} does not go with --provider {options.provider}")
    if options.simulator and options.root is not None:
        raise UsageError("usage", "--root does not go with --simulator")
    if options.pccs_update and (options.simulator or options.collateral):
        raise UsageError("usage", "--pccs-update does not go with collateral that is not fetched")


def _service(options: argparse.Namespace) -> Service:
    from .fetching import is_private_enough
    from .services.relying import PROVIDERS, Service

    provider = PROVIDERS[options.provider]
    address = provider.address
    if options.service is not None:
        address = _base("--service", options.service, provider.path)
    keys = None
    if options.service_keys:
        from .jws import read_keys

        data = evidence_file.read(options.service_keys, _MAX_SMALL_FILE)
        keys = _parsed("keys-malformed", lambda: read_keys(data, pinned=True))
    if not address and keys is None:
        raise UsageError(
            "usage",
            f"--provider {options.provider} needs --service URL, or, with saved evidence, "
            "--service-keys FILE",
        )
    if keys is None and not is_private_enough(address):
        raise UsageError(
            "http-unpinned",
            "over plain http a service is asked only where its keys are pinned; give "
            "--service-keys, or an https address",
        )
    if keys is not None and keys.authorities and options.provider != "trustee":
        raise UsageError("usage", "only trustee signs under certificates; give a JWK Set")
    return Service(provider, address, keys, options.timeout, bool(options.send_logs))


def _base(option: str, text: str, *paths: str) -> str:
    """A service's address without its well-known path. Raises UsageError (bad-address)."""
    try:
        return base_address(text, *paths)
    except BadInput as error:
        raise UsageError("bad-address", f"{option}: {error}") from error


def _policy(options: argparse.Namespace) -> Policy:
    if not options.policy:
        return DEFAULT
    return read_policy_file(options.policy)[1]


def read_policy_file(path: Path) -> tuple[Any, Policy]:
    """A policy, as it stands in the file and as it counts.

    Raises FileError (file-unreadable), UsageError (policy-malformed).
    """

    def parse() -> tuple[Any, Policy]:
        document = read_document(text)
        return document, policy_of(document)

    text = evidence_file.read(path, _MAX_SMALL_FILE)
    return _parsed("policy-malformed", parse)


def _releases(options: argparse.Namespace) -> Releases | None:
    if options.release is None:
        return None
    if not options.policy:
        raise UsageError("usage", "--release needs --policy FILE, which pins the keys")
    document, policy = read_policy_file(options.policy)
    rules_of(policy)
    return Releases(document, options.release, timeout=options.timeout)


def _references(options: argparse.Namespace) -> dict[str, frozenset[str]]:
    if not options.reference:
        return {}
    text = evidence_file.read(options.reference, _MAX_SMALL_FILE)
    return _parsed("reference-malformed", lambda: read_references(text))


def _parsed(code: str, parse: Callable[[], _T]) -> _T:
    try:
        return parse()
    except BadInput as error:
        raise UsageError(code, str(error)) from error


# --- the API key of a server ---------------------------------------------------------------------


@dataclass(frozen=True)
class ApiKey:
    """An API key of a server: `sealed` is for a TD that was verified, `unsealed` for anybody."""

    sealed: str | None = None
    unsealed: str | None = None


def read_api_key(path: Path | None, address: str, *, unsealed: bool) -> ApiKey:
    """The API key of a server: from the file, else from the environment, else none.

    Only with leave (`unsealed`) it may go to whoever answers. Raises UsageError for one that cannot
    be sent, or not safely.
    """
    if path:
        text = evidence_file.read(path, _MAX_API_KEY).decode("latin-1").strip()
        where = str(path)
    else:
        text, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
        if not text:
            return ApiKey()
    if not text or not all("!" <= char <= "~" for char in text):
        raise UsageError("token-malformed", f"{where} does not hold one API key")
    if not unsealed:
        return ApiKey(sealed=text)
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError("usage", f"{where} is not sent over plain http; use https")
    return ApiKey(text, text)


def check_pin(address: str, pin: str | None) -> None:
    """Raise UsageError where a pin would check nothing: over http there is no certificate."""
    if pin is not None and urlsplit(address).scheme != "https":
        raise UsageError("usage", f"{PIN_OPTION} is for https, and {address} is not")


# --- types of arguments --------------------------------------------------------------------------


def url(text: str) -> str:
    """An http(s) address, to which paths can be added."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        good = False
    if not good or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http(s) address")
    if parts.username is not None or parts.password is not None:
        raise argparse.ArgumentTypeError("an address with a password in it is not safe here")
    return text


def certificate_fingerprint(text: str) -> str:
    """The SHA-256 fingerprint of a certificate, in the form of quote_generator.tls_certificate."""
    found = parse_fingerprint(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text[:200]!r} is not a SHA-256 fingerprint: 64 hex digits, with colons or without"
        )
    return found


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A type for times above `low`, up to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low
        if not low < value <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a time from {low:g} to {high:g} seconds"
            )
        return value

    return parse

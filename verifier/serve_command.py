"""`cczoo-verify serve`: the command line of the embedded attestation service."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from . import kit_version, protocol, tokens
from .signing import KeyFileError, Signer
from .trust import INTEL, TrustError, TrustSource, from_files, from_simulator

_PROTOCOLS = {
    "auto": (protocol.FLAT, protocol.LISTED),
    "trustee-0.13": (protocol.FLAT,),
    "trustee-0.14": (protocol.LISTED,),
}


def main(argv: Sequence[str]) -> int:
    """Run the service until a signal ends it; returns 0, or 1 where it cannot start."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING)
    try:
        _serve(options)
    except KeyboardInterrupt:
        return 0
    except (KeyFileError, TrustError, OSError) as error:
        print(f"cczoo-verify: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    # Loaded here: the web framework takes half a second that other commands do not need.
    from .server import run
    from .service import Settings, create_app

    trust = _trust(options)
    trust()  # fail now, not at the first request
    signer = Signer.from_file(options.key) if options.key else Signer.ephemeral()
    settings = Settings(
        trust=trust,
        signer=signer,
        token_ttl=options.token_ttl,
        cors_origins=tuple(options.cors_origin),
        forms=_PROTOCOLS[options.protocol],
        accept_hashed_raw=options.protocol == "auto",
        ear=options.ear,
        build=f"cczoo-verify {kit_version()}",
    )
    run(
        lambda _: create_app(settings),
        options.host,
        options.port,
        {"kid": signer.kid},
        verbose=options.verbose,
    )


def _trust(options: argparse.Namespace) -> TrustSource:
    if options.simulator:
        return from_simulator(options.simulator)
    return from_files(INTEL if options.root is None else options.root, options.collateral)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.simulator and options.root is not None:
        parser.error("argument --root: not allowed with argument --simulator")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cczoo-verify serve",
        description="An attestation service that speaks CoCo Trustee's REST protocol: it verifies "
        "TDX quotes under the given root and answers with a signed token.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free port (%(default)s)")
    parser.add_argument(
        "--root",
        metavar="intel|FILE",
        help=f"root certificate, PEM or DER ({INTEL}); not with --simulator",
    )
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument(
        "--collateral", type=Path, metavar="FILE", help="DCAP collateral as JSON; read at each use"
    )
    trust.add_argument(
        "--simulator",
        type=Path,
        metavar="DIR",
        help="take root and collateral of the simulator whose state is in DIR",
    )
    parser.add_argument(
        "--cors-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin use the service; repeatable (none)",
    )
    parser.add_argument(
        "--token-ttl", type=_ttl, default=300, metavar="SECONDS", help="(%(default)s)"
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="PEM file of the P-256 signing key, made when missing; without it the key ends with "
        "the process",
    )
    parser.add_argument(
        "--protocol",
        choices=sorted(_PROTOCOLS),
        default="auto",
        help="auto takes both forms of request bodies, and raw runtime data also where its hash is "
        "meant; the others are as strict as that version",
    )
    parser.add_argument(
        "--ear",
        choices=tokens.EAR_FORMS,
        default=tokens.TRUSTEE,
        help="names in the tokens: trustee writes those of CoCo Trustee up to v0.21, 04 those of "
        "draft-ietf-rats-ear-04, for clients that read that draft (%(default)s)",
    )
    parser.add_argument("--verbose", action="store_true", help="log each request")
    return parser


def _port(text: str) -> int:
    return _bounded(text, 0, 65535)


def _ttl(text: str) -> int:
    return _bounded(text, 1, 24 * 3600)


def _bounded(text: str, low: int, high: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
    return value


def _origin(text: str) -> str:
    """An origin as browsers send it: scheme, host and port, nothing after them."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != text:
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin, such as https://chat.example")
    return text

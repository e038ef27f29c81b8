"""Runs a likeness of Trustee: `python -m doubles.trustee`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cczoo_verifier.trust import from_files, from_simulator

from ..serving import run_double
from . import __doc__ as description
from .library import EXPIRED, NOT_EXPIRED, RESULTS, Chosen
from .service import EAR, SIMPLE, Setup, Trustee
from .signing import Signer
from .v013 import TrusteeV013
from .v021 import TrusteeV021

VERSIONS: dict[str, type[Trustee]] = {kind.version: kind for kind in (TrusteeV013, TrusteeV021)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service."""
    options = _command_line().parse_args(argv)
    service = VERSIONS[options.version](_setup(options))
    return run_double(service.app, options)


def _command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m doubles.trustee",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", choices=VERSIONS, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--collateral", type=Path, metavar="FILE")
    trust.add_argument("--simulator", type=Path, metavar="DIR")
    parser.add_argument("--root", default="intel", metavar="intel|FILE")
    parser.add_argument("--allowed-origin", action="append", default=[], help="repeatable")
    parser.add_argument("--patched", action="store_true", help="with the kit's patch for CORS")
    parser.add_argument("--token", choices=(EAR, SIMPLE), default=EAR, help="simple: 0.13 only")
    parser.add_argument("--signer-key", type=Path, metavar="FILE", help="PEM; none: a new key")
    parser.add_argument("--signer-chain", type=Path, metavar="FILE", help="PEM certificates")
    parser.add_argument(
        "--reference-values",
        type=Path,
        metavar="FILE",
        help='JSON: {"mr_td": ["<hex>"], ...}; without it no machine is known',
    )
    parser.add_argument("--policy", action="append", default=[], metavar="ID=FILE")
    parser.add_argument("--tcb-status", choices=RESULTS, help="Intel's name, for every quote")
    parser.add_argument("--advisory-id", action="append", default=[])
    parser.add_argument("--collateral-status", choices=(NOT_EXPIRED, EXPIRED))
    parser.add_argument("--collateral-down", action="store_true")
    parser.add_argument("--references-down", action="store_true")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--hang-up", action="store_true")
    return parser


def _setup(options: argparse.Namespace) -> Setup:
    trust = (
        from_simulator(options.simulator)
        if options.simulator
        else from_files(options.root, options.collateral)
    )
    signer = None
    if options.signer_key:
        signer = Signer.from_files(options.signer_key, options.signer_chain)
    references = options.reference_values
    files = (item.partition("=") for item in options.policy)
    return Setup(
        trust=trust,
        signer=signer,
        references=json.loads(references.read_text()) if references else {},
        origins=tuple(options.allowed_origin),
        patched=options.patched,
        token=options.token,
        chosen=Chosen(
            options.tcb_status, tuple(options.advisory_id) or None, options.collateral_status
        ),
        collateral_down=options.collateral_down,
        references_down=options.references_down,
        delay=options.slow,
        hangs_up=options.hang_up,
        policies={policy_id: Path(path).read_text() for policy_id, _, path in files},
    )


if __name__ == "__main__":
    sys.exit(main())

"""The kit's own options of ``python -m cczoo_backend``; all others are open-webui's.

Imports the standard library only: it is read before anything else is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# By this variable, which the command alone sets, the processes that serve know the fingerprint of
# their certificate: the page for auditors shows it.
FINGERPRINT = "CCZOO_HTTPS_FINGERPRINT"
# The commands of open-webui that open a port; there is no HTTPS to the others.
SERVING = ("serve", "dev")
_END = "--"
_HELP = "--help"


@dataclass(frozen=True)
class HttpsOptions:
    """How HTTPS is to be served: by a given certificate, or by one made for these ``names``."""

    certificate: Path | None
    key: Path | None
    names: tuple[str, ...]


def parse(arguments: Sequence[str], program: str) -> tuple[HttpsOptions | None, list[str]]:
    """Return what is asked of HTTPS, None for nothing, and open-webui's arguments as they came.

    The kit's options may stand anywhere before a ``--``. Where help is asked for, prints theirs;
    open-webui's own follows then. Raises SystemExit (2) for options that do not go together.
    """
    words = list(arguments)
    at = words.index(_END) if _END in words else len(words)
    parser = _parser(program)
    found, rest = parser.parse_known_args(words[:at])
    rest += words[at:]
    if _HELP in words[:at]:
        print(parser.format_help(), flush=True)
        return None, rest
    if not (found.https or found.certificate or found.key or found.names):
        return None, rest
    if found.key and not found.certificate:
        parser.error("--https-key goes with --https-certificate")
    if found.certificate and found.names:
        parser.error("--https-name is for a certificate that is made, not for one that is given")
    if rest and rest[0] not in SERVING:
        parser.error(
            f"HTTPS goes with {' and '.join(SERVING)} alone, followed by open-webui's own options, "
            "as in: --https serve --port 8443"
        )
    options = HttpsOptions(found.certificate, found.key or found.certificate, tuple(found.names))
    return options, rest


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [--https] [open-webui's own command and options]",
        description="open-webui's own command, with the trust badge. Without one, it serves.",
        epilog="docs/sealed.md says what a browser makes of a self-signed certificate. "
        "All that follows is open-webui's own:",
        add_help=False,
        allow_abbrev=False,
    )
    https = parser.add_argument_group("HTTPS, without which browsers cannot check anything")
    https.add_argument(
        "--https",
        action="store_true",
        help="serve HTTPS with a self-signed certificate, which is made once and kept in "
        "open-webui's data folder; its fingerprint is told as the server starts",
    )
    https.add_argument(
        "--https-name",
        dest="names",
        metavar="NAME",
        action="append",
        default=[],
        help="what browsers call this server, such as chat.example or 203.0.113.7, beside the "
        "addresses that it knows itself; repeatable",
    )
    https.add_argument(
        "--https-certificate",
        dest="certificate",
        metavar="FILE",
        type=Path,
        help="serve HTTPS with this certificate instead: PEM, its chain behind it",
    )
    https.add_argument(
        "--https-key",
        dest="key",
        metavar="FILE",
        type=Path,
        help="its key, where that is in another file: PEM, without a password",
    )
    return parser

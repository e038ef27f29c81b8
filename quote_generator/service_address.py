"""The addresses of services, in the one spelling that requests are made with.

The page has the same rule (web/src/base/address.ts); tests/vectors/addresses.json holds both to it.
"""

from __future__ import annotations

import ipaddress
import re

from .errors import BadInput

WELL_KNOWN = {"alibaba": "/v1/attestation", "trustee": "/attestation"}
"""Where below its address each attestation service takes evidence."""

PCCS_PATHS = ("/sgx/certification/v4", "/tdx/certification/v4")
"""Where below its address a collateral service has its two halves."""

_MAX_LENGTH = 2048
_DEFAULT_PORTS = {"https": 443, "http": 80}

# RFC 3986, less what readers differ on: user, query and fragment, other letters than ASCII's.
_FORM = re.compile(
    r"[ \t\r\n]*(https?)://"
    r"([\w-]+(?:\.[\w-]+)*|\[[\da-f:]+\])"
    r"(?::(\d{1,5}))?"
    r"((?:/(?:[\w.~!$&'()*+,;=:@-]|%[\da-f]{2})*)*)"
    r"[ \t\r\n]*",
    re.ASCII | re.IGNORECASE,
)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def base_address(text: str, *paths: str) -> str:
    """Return a service's address without a slash at its end, and without its well-known path.

    ``paths`` are the well-known ones, of which the text may have one. Raises BadInput for anything
    but an http(s) address without user, query and fragment, whose host is in its usual spelling.
    """
    found = _FORM.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None or not _is_host(found[2]) or _DOT_SEGMENT.search(found[4]):
        raise BadInput(f"{text[:200]!r} is not an http(s) address without user, query and fragment")
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 1 << 16:
        raise BadInput(f"{text[:200]!r} has a port that does not exist")
    path = found[4].rstrip("/")
    known = next((known for known in paths if path.endswith(known)), "")
    path = path.removesuffix(known).rstrip("/")
    shown = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{shown}{path}"


def _is_host(text: str) -> bool:
    """Whether a host is a name, or an IP address in its usual spelling: others name one, too."""
    host = text.lower()
    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1])}]" == host
        if re.fullmatch(r"\d+|0x[\da-f]*", host.rpartition(".")[2]):
            return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False
    return True

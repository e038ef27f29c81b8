"""DCAP collateral as the service sends it, and as dcap-qvl reads it.

The first form is the one of the route `/api/v1/tee/collateral`, of the page and of the
conformance adapters: whole bodies of Intel's service (`tcb_info_json`, `qe_identity_json`), lists
in base64, chains in PEM. The second has the signed JSON texts by themselves, and the rest in hex.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from quote_generator.errors import BadInput

from .encoding import strict_base64

_CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
_LISTS = {"pck_crl": "pck_crl", "root_ca_crl": "root_crl"}
_BODIES = {"tcb_info": "tcbInfo", "qe_identity": "enclaveIdentity"}

MEMBERS = (
    *(f"{name}_json" for name in _BODIES),
    *(f"{name}_der_b64" for name in _LISTS.values()),
    *(f"{name}_pem" for name in _CHAINS),
)
"""The seven members of the first form."""


def from_members(collateral: object) -> dict[str, str]:
    """The form of dcap-qvl for a JSON object with MEMBERS (others are ignored).

    Raises BadInput for an object that is not that: missing members, other types, lists that are
    not base64. What the bodies hold is left to the appraisal: a body that cannot be split stands
    as it is, without a signature, and never verifies.
    """
    if not isinstance(collateral, Mapping):
        raise BadInput("collateral is not a JSON object")
    texts = {name: _text(collateral, name) for name in MEMBERS}
    fields = {name: texts[f"{name}_pem"] for name in _CHAINS}
    for name, member in _LISTS.items():
        try:
            fields[name] = read_list(texts[f"{member}_der_b64"]).hex()
        except ValueError as error:
            raise BadInput(f"collateral: {member}_der_b64 is no list: {error}") from error
    for name, member in _BODIES.items():
        fields[name], fields[f"{name}_signature"] = _signed(texts[f"{name}_json"], member)
    return fields


def to_members(fields: Mapping[str, str]) -> dict[str, str]:
    """The first form for collateral in the form of dcap-qvl."""
    members = {f"{name}_pem": fields[name] for name in _CHAINS}
    for name, member in _LISTS.items():
        members[f"{member}_der_b64"] = base64.b64encode(bytes.fromhex(fields[name])).decode()
    for name, member in _BODIES.items():
        signature = fields[f"{name}_signature"]
        members[f"{name}_json"] = f'{{"{member}":{fields[name]},"signature":"{signature}"}}'
    return members


def split_signed(body: str, member: str) -> tuple[str, str]:
    """The exact text of a body's signed member, and the signature beside it (128 hex digits).

    Raises ValueError for anything but an object of these two members, which are spelled without
    escapes: nothing around what is signed has a second spelling. The text itself is not looked
    at: it is not known yet whether anybody signed it.
    """
    found = _pattern(member).fullmatch(body)
    if found is None:
        raise ValueError(f"not an object of {member} and signature alone")
    return found["first"] or found["second"], found["after"] or found["before"]


def without_blanks(text: str) -> str:
    """JSON without the white space outside of its strings, as programs write it out."""
    return _STRING_OR_BLANKS.sub(lambda found: found[1] or "", text)


@cache
def _pattern(member: str) -> re.Pattern[str]:
    blank = "[ \\t\\r\\n]*"

    def pair(name: str, value: str) -> str:
        return f'{blank}"{name}"{blank}:{blank}{value}{blank}'

    signature = '"(?P<{}>[0-9a-fA-F]{{128}})"'
    first = f"{pair(member, '(?P<first>{.*})')},{pair('signature', signature.format('after'))}"
    second = f"{pair('signature', signature.format('before'))},{pair(member, '(?P<second>{.*})')}"
    return re.compile(f"{blank}{{(?:{first}|{second})}}{blank}", re.DOTALL)


# A string that does not end goes up to the end: to look for its end again and again takes for ever.
_STRING_OR_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*"?)|[ \t\r\n]+', re.DOTALL)


# --- lists ---------------------------------------------------------------------------------------

_PEM_LIST = re.compile(
    r"[ \t\r\n]*-----BEGIN X509 CRL-----[ \t\r\n]([A-Za-z0-9+/= \t\r\n]*)"
    r"-----END X509 CRL-----[ \t\r\n]*"
)


def read_list(text: str) -> bytes:
    """The DER of a revocation list in base64, in hex or in PEM.

    A caching service answers with text, too, which stands in base64 then. Raises ValueError.
    """
    if (written := _written(text)) is not None:
        return written
    return list_of(strict_base64(text))


def list_of(data: bytes) -> bytes:
    """The DER of a revocation list in DER, or in the ASCII of hex or PEM. Raises ValueError."""
    written = _written(data.decode("latin-1"))
    return data if written is None else written


def _written(text: str) -> bytes | None:
    """The DER of a list in PEM or in hex, None where the text is neither."""
    if "-----BEGIN X509 CRL-----" in text:
        found = _PEM_LIST.fullmatch(text)
        if found is None:
            raise ValueError("not one list in PEM, and nothing else")
        return strict_base64(re.sub("[ \t\r\n]", "", found[1]))
    if re.fullmatch("30([0-9a-fA-F]{2})*", text):
        return bytes.fromhex(text)
    return None


# --- small things --------------------------------------------------------------------------------


def _signed(body: str, member: str) -> tuple[str, str]:
    try:
        return split_signed(body, member)
    except ValueError:
        return body, ""


def _text(collateral: Mapping[str, Any], name: str) -> str:
    value = collateral.get(name)
    if not isinstance(value, str):
        raise BadInput(f"collateral: {name} is missing or not text")
    return value

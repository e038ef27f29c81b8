"""DCAP collateral as the service sends it, and as dcap-qvl reads it.

The first form is the one of the route `/api/v1/tee/collateral`, of the page and of the
conformance adapters: whole bodies of Intel's service (`tcb_info_json`, `qe_identity_json`), lists
in base64, chains in PEM. The second has the signed JSON texts by themselves, and the rest in hex.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from quote_generator.errors import BadInput

from . import strictjson
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
            fields[name] = strict_base64(texts[f"{member}_der_b64"]).hex()
        except ValueError as error:
            raise BadInput(f"collateral: {member}_der_b64 is not base64") from error
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
    escapes: nothing around what is signed has a second spelling.
    """
    if not isinstance(strictjson.loads(body), dict):  # refuses repeated keys too
        raise ValueError("not a JSON object")
    found = dict(_members(body))
    if found.keys() != {f'"{member}"', '"signature"'}:
        raise ValueError(f"expected an object with {member} and signature")
    signature = re.fullmatch('"([0-9a-fA-F]{128})"', found['"signature"'])
    if signature is None:
        raise ValueError("signature is not 64 bytes in hex")
    return found[f'"{member}"'], signature[1]


def _signed(body: str, member: str) -> tuple[str, str]:
    try:
        return split_signed(body, member)
    except ValueError:
        return body, ""


def _members(body: str) -> Iterator[tuple[str, str]]:
    """The texts of name and value, as they stand, of each member of a valid JSON object."""
    decoder = json.JSONDecoder()
    at = _blank(body, body.index("{") + 1)
    while body[at] != "}":
        name = at
        _, at = decoder.raw_decode(body, name)
        key = body[name:at]
        start = _blank(body, _blank(body, at) + 1)
        _, end = decoder.raw_decode(body, start)
        yield key, body[start:end]
        at = _blank(body, end)
        if body[at] == ",":
            at = _blank(body, at + 1)


def _blank(body: str, at: int) -> int:
    while body[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


def _text(collateral: Mapping[str, Any], name: str) -> str:
    value = collateral.get(name)
    if not isinstance(value, str):
        raise BadInput(f"collateral: {name} is missing or not text")
    return value

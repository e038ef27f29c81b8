"""Verifies a quote with the backend's collateral, by other code than the kit's."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import dcap_qvl  # type: ignore[import-untyped]


def verify(document: Mapping[str, Any], quote: bytes, root: bytes) -> str:
    """Return the status that dcap-qvl gives the quote under a root (DER); it raises ValueError."""
    parts = {
        **_signed(document, "tcb_info", "tcbInfo"),
        **_signed(document, "qe_identity", "enclaveIdentity"),
        "pck_crl": base64.b64decode(document["pck_crl_der_b64"]).hex(),
        "root_ca_crl": base64.b64decode(document["root_crl_der_b64"]).hex(),
    }
    for name in ("tcb_info", "qe_identity", "pck_crl"):
        parts[f"{name}_issuer_chain"] = document[f"{name}_issuer_chain_pem"]
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(parts))
    return str(dcap_qvl.verify_with_root_ca(quote, collateral, root, int(time.time())).status)


def _signed(document: Mapping[str, Any], name: str, member: str) -> dict[str, str]:
    text = document[f"{name}_json"]
    signature = json.loads(text)["signature"]
    inner = text.removeprefix(f'{{"{member}":').removesuffix(f',"signature":"{signature}"}}')
    return {name: inner, f"{name}_signature": signature}

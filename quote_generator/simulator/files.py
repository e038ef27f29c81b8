"""The simulator's root and collateral as files, for tools that are not of this project.

Shapes: the signed documents as Intel's Provisioning Certification Service (API version 4) answers
them, certificates as PEM, revocation lists as DER; and all of it once more as the one JSON file
that Intel's PCS client tool writes for a caching service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote as percent_encode

from . import pki

CHAINS = ("tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl_issuer_chain")
LISTS = {"root_crl": "root_ca_crl", "pck_crl": "pck_crl"}


def files_of(root_der: bytes, root_pem: str, collateral: Mapping[str, str]) -> dict[str, bytes]:
    """Name -> content, of a root and of collateral in the form of `Simulator.collateral`."""
    documents = {
        "tcb_info": _signed("tcbInfo", "tcb_info", collateral),
        "qe_identity": _signed("enclaveIdentity", "qe_identity", collateral),
    }
    return {
        "root.der": root_der,
        "root.pem": root_pem.encode("ascii"),
        **{f"{name}.json": text.encode("ascii") for name, text in documents.items()},
        **{f"{name}.pem": collateral[name].encode("ascii") for name in CHAINS},
        **{f"{name}.der": bytes.fromhex(collateral[member]) for name, member in LISTS.items()},
        "platform_collaterals.json": _client_tool(documents, collateral).encode("ascii"),
    }


def _signed(member: str, name: str, collateral: Mapping[str, str]) -> str:
    """A document with its signature, whose text stays as it was signed."""
    return f'{{"{member}":{collateral[name]},"signature":"{collateral[f"{name}_signature"]}"}}'


def _client_tool(documents: Mapping[str, str], collateral: Mapping[str, str]) -> str:
    """The file of Intel's PCS client tool: chains percent-encoded, lists in hex.

    There is no processor CA; readers want its members all the same.
    """
    chains = {name: percent_encode(collateral[name]) for name in CHAINS}
    collaterals = {
        "tcbinfos": [
            {"fmspc": pki.FMSPC.hex().upper(), "tdx_tcbinfo": json.loads(documents["tcb_info"])}
        ],
        "pckcacrl": {"processorCrl": "", "platformCrl": collateral["pck_crl"]},
        "tdqeidentity": json.loads(documents["qe_identity"]),
        "certificates": {
            "TCB-Info-Issuer-Chain": chains["tcb_info_issuer_chain"],
            "SGX-Enclave-Identity-Issuer-Chain": chains["qe_identity_issuer_chain"],
            "SGX-PCK-Certificate-Issuer-Chain": {
                "PROCESSOR": "",
                "PLATFORM": chains["pck_crl_issuer_chain"],
            },
        },
        "rootcacrl": collateral["root_ca_crl"],
        "rootcacrl_cdp": pki.ROOT_CRL_URL,
    }
    return json.dumps({"platforms": [], "collaterals": collaterals}, indent=1) + "\n"

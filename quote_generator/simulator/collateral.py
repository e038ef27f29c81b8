"""What a DCAP verifier needs besides the quote: TCB info, QE identity, revocation lists.

Shapes: Intel "SGX and TDX Provisioning Certification Service API" version 4. The JSON texts are
signed as they stand, so the exact strings are kept. The whole has the form that
`dcap_qvl.QuoteCollateralV3.from_json` reads: PEM chains and JSON as text, the rest as hex.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence

from ..quote import Body
from . import pki

EVALUATION = 17
"""The usual edition of TCB info and QE identity."""

LIFE = 30 * 24 * 3600
"""Seconds from issue to next update."""

QE_MRSIGNER = b"\x05\xe5" * 16
QE_PRODUCT = 2
QE_SVN = 4
QE_ATTRIBUTES = bytes.fromhex("11") + bytes(15)
"""Identity of the simulated quoting enclave: INIT and provisioning key, not debug."""

BACKDATE = 3600
"""Seconds that issue dates lie in the past, for relying parties whose clock is behind."""


def make_collateral(
    keys: pki.Keys,
    certificates: pki.Certificates,
    body: Body,
    now: float,
    tcb_status: str,
    advisory_ids: Sequence[str],
    evaluation: int,
) -> dict[str, str]:
    """Collateral under which a quote with `body` has `tcb_status` and `advisory_ids`.

    `evaluation` is the edition of both documents (tcbEvaluationDataNumber).
    """
    dates = {"issueDate": _date(now - BACKDATE), "nextUpdate": _date(now + LIFE)}
    level = {"tcbDate": _date(now - BACKDATE), "tcbStatus": tcb_status}
    platform_level = level | {"advisoryIDs": list(advisory_ids)}
    tcb_info = _json(_tcb_info(body, dates, platform_level, evaluation))
    qe_identity = _json(_qe_identity(dates, level | {"tcbStatus": "UpToDate"}, evaluation))
    signing_chain = pki.chain_pem(certificates["tcb"], certificates["root"])
    return {
        "pck_crl_issuer_chain": pki.chain_pem(certificates["platform"], certificates["root"]),
        "root_ca_crl": pki.make_crl(keys["root"], certificates["root"], now, LIFE).hex(),
        "pck_crl": pki.make_crl(keys["platform"], certificates["platform"], now, LIFE).hex(),
        "tcb_info_issuer_chain": signing_chain,
        "tcb_info": tcb_info,
        "tcb_info_signature": pki.sign_raw(keys["tcb"], tcb_info.encode()).hex(),
        "qe_identity_issuer_chain": signing_chain,
        "qe_identity": qe_identity,
        "qe_identity_signature": pki.sign_raw(keys["tcb"], qe_identity.encode()).hex(),
    }


def _tcb_info(
    body: Body, dates: dict[str, str], level: dict[str, str | list[str]], evaluation: int
) -> dict[str, object]:
    module = {
        "mrsigner": body.mrsigner_seam.hex().upper(),
        "attributes": body.seam_attributes.hex().upper(),
        "attributesMask": "FF" * 8,
    }
    module_svn, module_version, *other = body.tee_tcb_svn
    # A module with an identity of its own is judged there, and zero here lets any version pass.
    tdx_components = [0, 0, *other] if module_version else list(body.tee_tcb_svn)
    return {
        "id": "TDX",
        "version": 3,
        **dates,
        "fmspc": pki.FMSPC.hex().upper(),
        "pceId": pki.PCE_ID.hex().upper(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": evaluation,
        "tdxModule": module,
        "tdxModuleIdentities": [
            {
                "id": f"TDX_{module_version:02X}",
                **module,
                "tcbLevels": [
                    {
                        "tcb": {"isvsvn": module_svn},
                        "tcbDate": dates["issueDate"],
                        "tcbStatus": "UpToDate",
                    }
                ],
            }
        ],
        "tcbLevels": list(_platform_levels(tdx_components, level)),
    }


def _platform_levels(
    tdx_components: Sequence[int], level: dict[str, str | list[str]]
) -> Iterator[dict[str, object]]:
    """The level that the platform has, and above one that is not up to date one that is."""
    components: dict[str, object] = {
        "sgxtcbcomponents": [{"svn": svn} for svn in pki.CPU_SVN],
        "tdxtcbcomponents": [{"svn": svn} for svn in tdx_components],
    }
    if level["tcbStatus"] != "UpToDate":
        newer = {**components, "pcesvn": pki.PCE_SVN + 1}
        yield {"tcb": newer, "tcbDate": level["tcbDate"], "tcbStatus": "UpToDate"}
    yield {"tcb": {**components, "pcesvn": pki.PCE_SVN}, **level}


def _qe_identity(
    dates: dict[str, str], level: dict[str, str], evaluation: int
) -> dict[str, object]:
    return {
        "id": "TD_QE",
        "version": 2,
        **dates,
        "tcbEvaluationDataNumber": evaluation,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": QE_ATTRIBUTES.hex().upper(),
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_MRSIGNER.hex().upper(),
        "isvprodid": QE_PRODUCT,
        "tcbLevels": [{"tcb": {"isvsvn": QE_SVN}, **level}],
    }


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))

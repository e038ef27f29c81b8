"""Two faults at once: which of them is told, in the order of docs/verification.md, "Reasons"."""

from __future__ import annotations

from .catalogue import (
    ATTRIBUTES,
    COLLATERAL,
    SIGNATURE,
    STATUS,
    Change,
    Entry,
    bad,
    body,
    both,
    certificate,
    document,
    policy,
    qe,
    revocations,
    spelled,
    world,
)
from .documents import EXACT, platform_levels
from .world import NOW, Sgx, date, level

# Each list has faults in the order in which they are told: of two the earlier one is.
Fault = tuple[str, str, Change]

COLLATERAL_FAULTS: list[Fault] = [
    (
        "a list that is no text",
        "collateral-malformed",
        world(collateral=lambda old: old | {"pck_crl_der_b64": "%"}),
    ),
    ("a signer out of date", "signer-chain", certificate("tcb", end=NOW - 1)),
    ("a forged root list", "crl-invalid", revocations("root_list", flip=True)),
    ("an ended root list", "crl-expired", revocations("root_list", end=NOW - 1)),
    ("a revoked signer", "revoked", revocations("root_list", revoked=[4])),
    ("a forged TCB info", "tcb-info-forged", spelled("tcb_info", signer="stranger")),
    ("a TCB info of SGX", "other-platform", document("tcb_info", id="SGX")),
    ("a TCB info without levels", "collateral-malformed", document("tcb_info", tcbLevels=[])),
    ("an ended TCB info", "collateral-expired", document("tcb_info", nextUpdate=date(NOW - 1))),
    ("a forged QE identity", "qe-identity-forged", spelled("qe_identity", signer="stranger")),
    (
        "an ended QE identity",
        "collateral-expired",
        document("qe_identity", nextUpdate=date(NOW - 1)),
    ),
    ("a forged PCK list", "crl-invalid", revocations("pck_list", flip=True)),
    ("an ended PCK list", "crl-expired", revocations("pck_list", end=NOW - 1)),
    ("a revoked leaf", "revoked", revocations("pck_list", revoked=[3])),
    ("a TCB info of another FMSPC", "other-platform", document("tcb_info", fmspc="00" * 6)),
]

SIGNATURE_FAULTS: list[Fault] = [
    ("a PCK out of date", "chain", certificate("pck", end=NOW - 1)),
    ("a PCK without a PPID", "pck-malformed", certificate("pck", sgx=Sgx(top={"1": b""}))),
    ("a QE report by a stranger", "qe-report-forged", world(qe_report_signer="stranger")),
    ("a QE report of another key", "attestation-key", qe(padding=b"\1" * 32)),
    ("a QE in debug mode", "qe-debug", qe(attributes=b"\x13" + bytes(15))),
    ("another QE", "qe-unknown", qe(isv_prod_id=9)),
    ("a quote by a stranger", "quote-forged", world(quote_signer="stranger")),
]

STATUS_FAULTS: list[Fault] = [
    ("another SEAM signer", "tdx-module", body(mrsigner_seam=b"\1" * 48)),
    ("an old QE", "tcb-unknown", qe(isv_svn=1)),
    ("a module that is too old", "tdx-module", body(tee_tcb_svn=bytes([4, 1, 2]) + bytes(13))),
    ("an unknown module now", "tcb-unknown", body(tee_tcb_svn2=bytes([5, 9, 2]) + bytes(13))),
    ("a revoked platform", "tcb-revoked", platform_levels(level("Revoked", **EXACT))),
]

ATTRIBUTE_FAULTS: list[Fault] = [
    ("debug", "debug", body(td_attributes=b"\1" + bytes(7))),
    ("reserved bits", "reserved", body(td_attributes=b"\2" + bytes(7))),
    ("LASS", "attributes-refused", body(td_attributes=b"\0\0\0\x08" + bytes(4))),
    ("no SEPT_VE_DISABLE", "sept-ve", body(td_attributes=bytes(8))),
    ("XFAM of nothing", "xfam", body(xfam=bytes(8))),
    (
        "masked values",
        "values-masked",
        policy(masked_values={"xfam": {"mask": "04" + "00" * 7, "value": "00" * 8}}),
    ),
    ("a nested guest", "nested-guest", body(vmid=b"\1")),
    ("attributes of a service TD", "service-td-attributes", body(curr_server_td_attr=b"\1" * 8)),
    ("a service TD", "service-td", body(mr_servicetd=b"\1" * 48)),
]


def _pairs(check: str, number: int, faults: list[Fault]) -> list[Entry]:
    """Each fault with each that comes after it in the order, which has to be told after it.

    The later one is made first: where both set the same field, the earlier one is there.
    """
    return [
        bad(
            f"order/{name} and {other}",
            number,
            check,
            both(later, change),
            "v5-td15ex",
            reason=reason,
        )
        for at, (name, reason, change) in enumerate(faults)
        for other, _, later in faults[at + 1 :]
    ]


ACROSS = [
    bad(f"order/{name} and {other}", 0, check, both(later, change), "v5-td15ex", reason=reason)
    for check, faults, behind in (
        (COLLATERAL, COLLATERAL_FAULTS[:11], SIGNATURE_FAULTS),
        (COLLATERAL, COLLATERAL_FAULTS[:11], STATUS_FAULTS),
        (SIGNATURE, SIGNATURE_FAULTS[:2], COLLATERAL_FAULTS[11:]),
        (SIGNATURE, SIGNATURE_FAULTS, STATUS_FAULTS[2:]),
        (STATUS, STATUS_FAULTS[2:], ATTRIBUTE_FAULTS),
    )
    for name, reason, change in faults
    for other, _, later in behind
]

ENTRIES = [
    *_pairs(COLLATERAL, 3, COLLATERAL_FAULTS),
    *_pairs(SIGNATURE, 9, SIGNATURE_FAULTS),
    *_pairs(STATUS, 12, STATUS_FAULTS),
    *_pairs(ATTRIBUTES, 13, ATTRIBUTE_FAULTS),
    *ACROSS,
]

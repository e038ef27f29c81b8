"""Check 14 and the policy's part of 12 and 13; and documents that are no case at all."""

from __future__ import annotations

from typing import Any

from .catalogue import (
    ATTRIBUTES,
    COLLATERAL,
    REFERENCES,
    STATUS,
    Change,
    Entry,
    bad,
    body,
    both,
    document,
    good,
    malformed,
    policy,
    world,
)
from .documents import EXACT
from .quotes import ALL, NAMING
from .tcb import RELAUNCHES
from .world import DAY, NOW, date, level

SERVTD_EXT = 1 << 17
SEPT_VE, PKS, KEY_LOCKER, PERFMON = 1 << 28, 1 << 30, 1 << 31, 1 << 63
ICSSD, LASS, MIGRATABLE, TPA = 1 << 16, 1 << 27, 1 << 29, 1 << 62
MR_TD, OTHER = "7d" * 48, "00" * 48
SERVICE_TD = b"\x5e" * 48
EXTENDED = {
    "vmid": 1,
    "td_id": 32,
    "devinfo": 48,
    "init_server_td_hash": 48,
    "init_server_td_attr": 8,
    "init_cpu_svn": 16,
    "init_tee_tcb_svn": 16,
    "init_tee_fmspc": 12,
    "curr_server_td_hash": 48,
    "curr_server_td_attr": 8,
}
"""The fields of an extended body and their sizes in bytes."""


def _status(status: str, *ids: str, at: int = NOW - DAY) -> Change:
    return document("tcb_info", tcbLevels=[level(status, *ids, at=at, **EXACT)])


def _tcb(**members: Any) -> Change:
    return policy(tcb=members)


def _advisories(*ids: str, tolerated: list[str]) -> Change:
    return both(_status("SWHardeningNeeded", *ids), _tcb(advisories=tolerated))


def _attributes(value: int, **rules: str) -> Change:
    bits = body(td_attributes=value.to_bytes(8, "little"))
    return both(bits, policy(td_attributes=rules))


def _references(**values: list[str]) -> Change:
    return policy(reference_values=values)


def _evaluations(tcb_info: int, qe_identity: int, floor: int) -> Change:
    return both(
        document("tcb_info", tcbEvaluationDataNumber=tcb_info),
        document("qe_identity", tcbEvaluationDataNumber=qe_identity),
        _tcb(min_evaluation=floor),
    )


def _below(tcb_info: int, qe_identity: int) -> Entry:
    return bad(
        f"policy/evaluations {tcb_info} and {qe_identity} of 20",
        12,
        STATUS,
        _evaluations(tcb_info, qe_identity, 20),
        status="UpToDate",
        reason="tcb-evaluation",
    )


EVALUATIONS = [
    good("policy/evaluations that differ", 12, _evaluations(20, 19, 19)),
    good("policy/evaluations of the floor", 12, _evaluations(20, 20, 20)),
    good("policy/no floor", 12, _evaluations(0, 0, 0)),
    _below(20, 19),
    _below(19, 20),
    _below(0, 4294967295),
]

STATUSES = [
    good("policy/nothing but a version", 12, policy()),
    *(
        entry
        for status in ("TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded")
        for entry in (
            good(
                f"policy/{status} warns",
                12,
                both(RELAUNCHES[status], _tcb(warn=[status])),
                status,
                *NAMING,
            ),
            bad(
                f"policy/{status} is not OutOfDate",
                12,
                STATUS,
                both(
                    RELAUNCHES[status],
                    _tcb(warn=["OutOfDate", "OutOfDateConfigurationNeeded"]),
                ),
                "v5-td15",
                status=status,
                reason="tcb-relaunch",
            ),
        )
    ),
    good(
        "policy/out of date passes",
        12,
        both(_status("OutOfDate"), _tcb(**{"pass": ["OutOfDate"]})),
        "OutOfDate",
    ),
    good(
        "policy/out of date warns",
        12,
        both(_status("OutOfDate"), _tcb(warn=["OutOfDate"])),
        "OutOfDate",
    ),
    bad(
        "policy/only hardened",
        12,
        STATUS,
        both(_status("SWHardeningNeeded"), _tcb(warn=[])),
        status="SWHardeningNeeded",
    ),
    bad("policy/nothing passes", 12, STATUS, _tcb(**{"pass": [], "warn": []}), status="UpToDate"),
    bad(
        "policy/revoked stays revoked",
        12,
        STATUS,
        both(_status("Revoked"), _tcb(**{"pass": ["OutOfDate"]})),
        reason="tcb-revoked",
    ),
    good(
        "policy/tolerated advisories",
        12,
        _advisories("INTEL-SA-00837", tolerated=["INTEL-SA-00837"]),
        "SWHardeningNeeded",
    ),
    bad(
        "policy/another advisory",
        12,
        STATUS,
        _advisories("INTEL-SA-00837", "INTEL-SA-00001", tolerated=["INTEL-SA-00837"]),
        status="SWHardeningNeeded",
        reason="tcb-advisory",
    ),
    bad(
        "policy/no advisory at all",
        12,
        STATUS,
        _advisories("INTEL-SA-00837", tolerated=[]),
        status="SWHardeningNeeded",
        reason="tcb-advisory",
    ),
    good("policy/no advisory, and there is none", 12, _tcb(advisories=[])),
    bad(
        "policy/advisory of the QE",
        12,
        STATUS,
        both(
            document("qe_identity", tcbLevels=[level("UpToDate", "INTEL-SA-00009", isvsvn=4)]),
            _tcb(advisories=[]),
        ),
        status="UpToDate",
        reason="tcb-advisory",
    ),
    good("policy/date of the level", 12, _tcb(min_date=date(NOW - DAY))),
    bad(
        "policy/date after the level's",
        12,
        STATUS,
        _tcb(min_date=date(NOW - DAY + 1)),
        status="UpToDate",
        reason="tcb-old",
    ),
    bad(
        "policy/date of the level that matched",
        12,
        STATUS,
        both(
            document(
                "tcb_info",
                tcbLevels=[level(**{**EXACT, "pcesvn": 14}), level(at=NOW - 400 * DAY, **EXACT)],
            ),
            _tcb(min_date=date(NOW - 300 * DAY)),
        ),
        status="UpToDate",
        reason="tcb-old",
    ),
]

TD = [
    good("policy/SEPT_VE_DISABLE may be off", 13, _attributes(0, sept_ve_disable="allow")),
    bad(
        "policy/SEPT_VE_DISABLE must be off",
        13,
        ATTRIBUTES,
        _attributes(SEPT_VE, sept_ve_disable="forbid"),
        reason="sept-ve",
    ),
    good("policy/SEPT_VE_DISABLE is off as it must", 13, _attributes(0, sept_ve_disable="forbid")),
    *(
        entry
        for name, bit in (("pks", PKS), ("key_locker", KEY_LOCKER), ("perfmon", PERFMON))
        for entry in (
            bad(
                f"policy/{name} forbidden",
                13,
                ATTRIBUTES,
                _attributes(SEPT_VE | bit, **{name: "forbid"}),
                reason="attributes-refused",
            ),
            bad(
                f"policy/{name} required",
                13,
                ATTRIBUTES,
                _attributes(SEPT_VE, **{name: "require"}),
                reason="attributes-refused",
            ),
            good(
                f"policy/{name} there as required",
                13,
                _attributes(SEPT_VE | bit, **{name: "require"}),
            ),
            good(
                f"policy/{name} not there as required", 13, _attributes(SEPT_VE, **{name: "forbid"})
            ),
        )
    ),
    *(
        good(
            f"policy/{name} allowed",
            13,
            _attributes(SEPT_VE | bit, **{name: "allow"}),
        )
        for name, bit in (
            ("icssd", ICSSD),
            ("servtd_ext", SERVTD_EXT),
            ("lass", LASS),
            ("migratable", MIGRATABLE),
            ("tpa", TPA),
        )
    ),
    good(
        "policy/migratable there as required",
        13,
        _attributes(SEPT_VE | MIGRATABLE, migratable="require"),
    ),
    bad(
        "policy/migratable required",
        13,
        ATTRIBUTES,
        _attributes(SEPT_VE, migratable="require"),
        reason="attributes-refused",
    ),
    bad(
        "policy/one of two newer ones allowed",
        13,
        ATTRIBUTES,
        _attributes(SEPT_VE | LASS | TPA, lass="allow"),
        reason="attributes-refused",
    ),
    bad(
        "policy/debug is never allowed",
        13,
        ATTRIBUTES,
        _attributes(SEPT_VE | 1, sept_ve_disable="allow"),
        reason="debug",
    ),
    good(
        "policy/service TD that is named",
        13,
        both(body(mr_servicetd=SERVICE_TD), _references(mr_servicetd=[SERVICE_TD.hex()])),
        "UpToDate",
        *NAMING,
    ),
    *(
        bad(
            f"policy/service TD that the quote cannot name/{kind}",
            13,
            ATTRIBUTES,
            policy(min_quote_version=5),
            kind,
            reason="service-td-unknown",
        )
        for kind in ("v4", "v5-td10")
    ),
    good(
        "policy/no service TD, as the quote says",
        13,
        policy(min_quote_version=5),
        "UpToDate",
        *NAMING,
    ),
    good("policy/any quote", 13, policy(min_quote_version=4), "UpToDate", "v4", "v5-td10"),
    bad(
        "policy/another service TD",
        13,
        REFERENCES,
        both(body(mr_servicetd=SERVICE_TD), _references(mr_servicetd=["11" * 48])),
        *NAMING,
    ),
]

REFERENCE_VALUES = [
    good("reference values/MRTD", 14, _references(mr_td=[MR_TD]), "UpToDate", *ALL),
    good("reference values/in capitals", 14, _references(mr_td=[MR_TD.upper()])),
    good("reference values/one of several", 14, _references(mr_td=[OTHER, MR_TD])),
    bad("reference values/another MRTD", 14, REFERENCES, _references(mr_td=[OTHER]), *ALL),
    *(
        bad(
            f"reference values/another {field}",
            14,
            REFERENCES,
            _references(**{field: ["12" * size]}),
        )
        for field, size in (
            ("mr_seam", 48),
            ("mrsigner_seam", 48),
            ("seam_attributes", 8),
            ("td_attributes", 8),
            ("xfam", 8),
            ("tee_tcb_svn", 16),
            ("mr_config_id", 48),
            ("mr_owner", 48),
            ("mr_owner_config", 48),
            ("rtmr_0", 48),
            ("rtmr_1", 48),
            ("rtmr_2", 48),
            ("rtmr_3", 48),
        )
    ),
    bad(
        "reference values/one of two fields",
        14,
        REFERENCES,
        _references(mr_td=[MR_TD], rtmr_0=[OTHER]),
    ),
    bad(
        "reference values/a field that TDX 1.0 has not",
        14,
        REFERENCES,
        _references(mr_servicetd=[OTHER]),
    ),
    bad(
        "reference values/tee_tcb_svn2",
        14,
        REFERENCES,
        _references(tee_tcb_svn2=["00" * 16]),
        *NAMING,
    ),
    good(
        "reference values/no service TD",
        14,
        _references(mr_servicetd=[OTHER]),
        "UpToDate",
        *NAMING,
    ),
    *(
        entry
        for field, size in EXTENDED.items()
        for entry in (
            good(
                f"reference values/{field}",
                14,
                both(body(**{field: b"\x12" * size}), _references(**{field: ["12" * size]})),
                "UpToDate",
                "v5-td15ex",
            ),
            bad(
                f"reference values/another {field}",
                14,
                REFERENCES,
                _references(**{field: ["12" * size]}),
                "v5-td15ex",
            ),
            bad(
                f"reference values/{field}, which TDX 1.5 has not",
                14,
                REFERENCES,
                _references(**{field: ["00" * size]}),
                "v5-td15",
            ),
        )
    ),
]


def _without(name: str) -> Entry:
    return malformed(
        f"case/without {name}", lambda case: {k: v for k, v in case.items() if k != name}
    )


def _with(fault: str, **members: Any) -> Entry:
    return malformed(f"case/{fault}", lambda case: case | members)


def _collateral(fault: str, name: str, value: object = None) -> Entry:
    """A member of the collateral is another value, or missing."""

    def change(old: dict[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in (old | {name: value}).items() if item is not None}

    return bad(f"collateral/{fault} {name}", 0, COLLATERAL, world(collateral=change))


def _policy(fault: str, value: object) -> Entry:
    return malformed(f"case/policy: {fault}", lambda case: case | {"policy": value})


CASES = [
    Entry(
        "case/optional members that are null",
        0,
        "accepted",
        None,
        "UpToDate",
        lambda world: None,
        ("v4",),
        lambda case: case | {"policy": None},
    ),
    malformed("case/a list", lambda case: [case]),
    malformed("case/a number", lambda case: 7),
    _without("quote_b64"),
    _without("collateral"),
    _without("now"),
    _with("quote that is no base64", quote_b64="%"),
    _with("quote as a number", quote_b64=7),
    _with("time as text", now=str(NOW)),
    _with("time before 1970", now=-1),
    _with("root that is no certificate", root_ca_pem="x"),
    _with("collateral as text", collateral="x"),
    *(
        _collateral("without", name)
        for name in (
            "tcb_info_json",
            "qe_identity_json",
            "pck_crl_der_b64",
            "root_crl_der_b64",
            "tcb_info_issuer_chain_pem",
            "qe_identity_issuer_chain_pem",
            "pck_crl_issuer_chain_pem",
        )
    ),
    _collateral("no base64 in", "pck_crl_der_b64", "%"),
    _collateral("hex instead of base64 in", "root_crl_der_b64", "30:82"),
    _collateral("a number as", "tcb_info_json", 7),
    _policy("no version", {}),
    _policy("another version", {"v": 2}),
    _policy("unknown member", {"v": 1, "tbc": {}}),
    _policy("revoked passes", {"v": 1, "tcb": {"pass": ["Revoked"]}}),
    _policy("value of another size", {"v": 1, "reference_values": {"mr_td": ["00"]}}),
]

ENTRIES = [*STATUSES, *EVALUATIONS, *TD, *REFERENCE_VALUES, *CASES]

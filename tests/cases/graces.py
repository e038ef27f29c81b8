"""The policy's members that operators know from Intel's: graces, refusals, masks, and the moments
at which each of them ends."""

from __future__ import annotations

from typing import Any

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
    good,
    malformed,
    policy,
    revocations,
    world,
)
from .documents import EXACT, module_identity, platform_levels
from .profile import flags
from .quotes import NAMING
from .tcb import RELAUNCHES
from .world import DAY, NOW, Sgx, date, level

YEAR = 365 * DAY
END_OF_TIME = 253402300799
"""The last second that has a date: 9999-12-31T23:59:59Z."""

SEPT_VE = 1 << 28


def _tcb(**members: Any) -> Change:
    return policy(tcb=members)


def _platform(status: str, *ids: str, at: int) -> Change:
    return platform_levels(level(status, *ids, at=at, **EXACT))


def _out_of_date(status: str = "OutOfDate", at: int = NOW - 10 * DAY, **tcb: Any) -> Change:
    return both(_platform(status, "INTEL-SA-00001", at=at), _tcb(**tcb))


def _status(fault: str, reason: str, change: Change, status: str, *kinds: str) -> Entry:
    return bad(f"policy/{fault}", 12, STATUS, change, *kinds, status=status, reason=reason)


OLD, OLD_AND_CONFIGURE = "OutOfDate", "OutOfDateConfigurationNeeded"
GRACE = [
    *(
        good(
            f"policy/grace of a platform, {status}",
            12,
            _out_of_date(status, grace=11 * DAY),
            status,
            told={"expires": NOW + DAY},
        )
        for status in (OLD, OLD_AND_CONFIGURE)
    ),
    good(
        "policy/grace of a platform that ends now",
        12,
        _out_of_date(grace=10 * DAY),
        OLD,
        told={"expires": NOW},
    ),
    good(
        "policy/grace of a platform that ends in this second",
        12,
        both(_out_of_date(grace=10 * DAY), world(now=NOW + 0.5)),
        OLD,
        told={"expires": NOW},
    ),
    good(
        "policy/grace of a platform that ends after all calendars",
        12,
        both(
            _out_of_date(at=END_OF_TIME, grace=YEAR),
            module_identity(tcbLevels=[level(at=END_OF_TIME, isvsvn=5)]),
            document("qe_identity", tcbLevels=[level(at=END_OF_TIME, isvsvn=4)]),
        ),
        OLD,
    ),
    _status(
        "grace of a platform that has ended", "tcb-status", _out_of_date(grace=10 * DAY - 1), OLD
    ),
    _status("no grace of a platform", "tcb-status", _out_of_date(grace=0), OLD),
    good(
        "policy/grace of a year",
        12,
        _out_of_date(at=NOW - YEAR, grace=YEAR),
        OLD,
        told={"expires": NOW},
    ),
    good(
        "policy/grace where the status passes anyway",
        12,
        _out_of_date(grace=10 * DAY, **{"pass": [OLD]}),
        OLD,
    ),
    _status(
        "grace counts from the earliest date",
        "tcb-status",
        both(
            _out_of_date(grace=11 * DAY),
            document("qe_identity", tcbLevels=[level(at=NOW - 12 * DAY, isvsvn=4)]),
        ),
        OLD,
    ),
    _status(
        "grace is not for what may be configured",
        "tcb-status",
        both(
            _platform("ConfigurationNeeded", at=NOW),
            _tcb(grace=YEAR, warn=[]),
        ),
        "ConfigurationNeeded",
    ),
    *(
        _status(
            f"grace is not for {status}",
            "tcb-relaunch",
            both(RELAUNCHES[status], _tcb(grace=YEAR)),
            status,
            *NAMING,
        )
        for status in RELAUNCHES
    ),
    _status(
        "grace, and an advisory that is refused",
        "tcb-advisory",
        _out_of_date(grace=YEAR, refused_advisories=["INTEL-SA-00001"]),
        OLD,
    ),
]


# --- collateral that has ended -------------------------------------------------------------------


def _graced(seconds: int, *changes: Change) -> Change:
    return both(policy(collateral={"grace": seconds}), *changes)


ENDED: dict[str, tuple[str, Change, int]] = {
    "root list": ("crl-expired", revocations("root_list", end=NOW - 9), 9),
    "PCK list": ("crl-expired", revocations("pck_list", end=NOW - 9), 9),
    "TCB info": ("collateral-expired", document("tcb_info", nextUpdate=date(NOW - 9)), 9),
    "QE identity": ("collateral-expired", document("qe_identity", nextUpdate=date(NOW - 9)), 9),
    "signer": ("signer-chain", certificate("tcb", end=NOW - 9), 9),
}
"""What has ended by how many seconds, and the reason without a grace."""

LISTS = ("root list", "PCK list")
"""They do not count in their last second any more."""

COLLATERAL_GRACE = [
    entry
    for name, (reason, change, ago) in ENDED.items()
    for last in (ago + 1 if name in LISTS else ago,)
    for entry in (
        good(
            f"policy/grace of an ended {name}",
            3,
            _graced(DAY, change),
            told={"expires": NOW - ago + DAY},
        ),
        good(
            f"policy/grace of an ended {name}, its last second",
            3,
            _graced(last, change),
            told={"expires": NOW - ago + last},
        ),
        bad(
            f"policy/grace of an ended {name}, over by a second",
            3,
            COLLATERAL,
            _graced(last - 1, change),
            reason=reason,
        ),
    )
] + [
    good("policy/grace of collateral that is good", 3, _graced(DAY)),
    *(
        good(
            f"policy/grace of a {name} that ends now",
            3,
            _graced(DAY, change),
            told={"expires": NOW + grace},
        )
        for name, change, grace in (
            ("root list", revocations("root_list", end=NOW), DAY),
            ("PCK list", revocations("pck_list", end=NOW), DAY),
            ("TCB info", document("tcb_info", nextUpdate=date(NOW)), 0),
            ("signer", certificate("tcb", end=NOW), 0),
        )
    ),
    bad(
        "policy/grace is not for a PCK",
        2,
        SIGNATURE,
        _graced(YEAR, certificate("pck", end=NOW - 1)),
    ),
    bad(
        "policy/grace is not for a CA",
        2,
        SIGNATURE,
        _graced(YEAR, certificate("platform", end=NOW - 1)),
    ),
    *(
        bad(
            f"policy/grace is not for a {name} to come",
            3,
            COLLATERAL,
            _graced(YEAR, change),
            reason=why,
        )
        for name, change, why in (
            ("root list", revocations("root_list", start=NOW + 1), "collateral-early"),
            ("PCK list", revocations("pck_list", start=NOW + 1), "collateral-early"),
            ("TCB info", document("tcb_info", issueDate=date(NOW + 1)), "collateral-early"),
            ("QE identity", document("qe_identity", issueDate=date(NOW + 1)), "collateral-early"),
            ("signer", certificate("tcb", start=NOW + 1), "signer-chain"),
        )
    ),
]


# --- refusals ------------------------------------------------------------------------------------


def _hardened(*ids: str, **tcb: Any) -> Change:
    return both(_platform("SWHardeningNeeded", *ids, at=NOW - DAY), _tcb(**tcb))


def _started_with(start: list[str], now: list[str], **tcb: Any) -> Change:
    """Advisories of the module with which the TD was started, and of the one of now."""
    return both(
        body(tee_tcb_svn=bytes([4, 1, 2]) + bytes(13), tee_tcb_svn2=bytes([7, 1, 2]) + bytes(13)),
        module_identity(
            tcbLevels=[level("UpToDate", *now, isvsvn=7), level("UpToDate", *start, isvsvn=4)]
        ),
        _tcb(**tcb),
    )


FIRST, SECOND = "INTEL-SA-00001", "INTEL-SA-00002"
HARDENED = "SWHardeningNeeded"
ADVISORIES = [
    _status(
        "refused advisory",
        "tcb-advisory",
        _hardened(FIRST, SECOND, refused_advisories=[SECOND]),
        HARDENED,
    ),
    good(
        "policy/refused advisory that does not apply",
        12,
        _hardened(FIRST, refused_advisories=[SECOND]),
        HARDENED,
    ),
    good("policy/no advisory is refused", 12, _hardened(FIRST, refused_advisories=[]), HARDENED),
    _status(
        "advisory that is both tolerated and refused",
        "tcb-advisory",
        _hardened(FIRST, advisories=[FIRST], refused_advisories=[FIRST]),
        HARDENED,
    ),
    *(
        _status(f"{rule} advisory of {when}", "tcb-advisory", change, "UpToDate", *NAMING)
        for rule, tcb in (
            ("refused", {"refused_advisories": [FIRST]}),
            ("untolerated", {"advisories": [SECOND]}),
        )
        for when, change in (
            ("the start", _started_with([FIRST], [SECOND], **tcb)),
            ("now", _started_with([SECOND], [FIRST], **tcb)),
        )
    ),
    good(
        "policy/tolerated advisories of the start and of now",
        12,
        _started_with([FIRST], [SECOND], advisories=[FIRST, SECOND]),
        "UpToDate",
        *NAMING,
    ),
]


def _module_of(days: int) -> Change:
    return module_identity(tcbLevels=[level(at=NOW - days * DAY, isvsvn=5)])


DATES = [
    _status(
        f"date of the {part}",
        "tcb-old",
        both(change, _tcb(min_date=date(NOW - 30 * DAY))),
        "UpToDate",
    )
    for part, change in (
        ("module", _module_of(900)),
        (
            "quoting enclave",
            document("qe_identity", tcbLevels=[level(at=NOW - 900 * DAY, isvsvn=4)]),
        ),
    )
] + [
    good(
        "policy/date of a module of that day",
        12,
        both(_module_of(30), _tcb(min_date=date(NOW - 30 * DAY))),
    ),
    _status(
        "date of what runs now",
        "tcb-old",
        both(
            body(
                tee_tcb_svn=bytes([7, 1, 2]) + bytes(13), tee_tcb_svn2=bytes([4, 1, 2]) + bytes(13)
            ),
            module_identity(tcbLevels=[level(isvsvn=7), level(at=NOW - 900 * DAY, isvsvn=4)]),
            _tcb(min_date=date(NOW - 30 * DAY)),
        ),
        "UpToDate",
        *NAMING,
    ),
]

FLAGS = ("dynamic_platform", "cached_keys", "smt")


def _machine(*values: bool) -> Change:
    return certificate("pck", sgx=Sgx(top={"7": flags(*values)}))


PROCESSOR = certificate("pck", sgx=Sgx(top={"6": b"", "7": b""}))
PLATFORMS = [
    entry
    for at, flag in enumerate(FLAGS)
    for entry in (
        _status(
            f"{flag} forbidden",
            "platform-refused",
            policy(platform={flag: "forbid"}),
            "UpToDate",
        ),
        good(
            f"policy/{flag} forbidden, and off",
            12,
            both(_machine(*(other != at for other in range(3))), policy(platform={flag: "forbid"})),
            told={"platform": {name: name != flag for name in FLAGS}},
        ),
        good(f"policy/{flag} allowed", 12, policy(platform={flag: "allow"})),
        _status(
            f"{flag} forbidden, and not told",
            "platform-refused",
            both(PROCESSOR, policy(platform={flag: "forbid"})),
            "UpToDate",
        ),
    )
] + [
    good(
        "policy/a processor that tells no flags",
        12,
        PROCESSOR,
        told={"platform": dict.fromkeys(FLAGS)},
    )
]


# --- attributes ----------------------------------------------------------------------------------


def _masked(field: str, mask: int, value: int) -> Change:
    spelled = {
        name: item.to_bytes(8, "little").hex() for name, item in (("mask", mask), ("value", value))
    }
    return policy(masked_values={field: spelled})


MASKS = [
    good("policy/masked TD attributes", 13, _masked("td_attributes", 1 << 28 | 1, 1 << 28)),
    good("policy/masked XFAM", 13, _masked("xfam", 0x7, 0x7)),
    good("policy/a mask of nothing", 13, _masked("xfam", 0, 0)),
    *(
        bad(f"policy/{fault}", 13, ATTRIBUTES, change, reason="values-masked")
        for fault, change in (
            ("masked TD attributes that are off", _masked("td_attributes", 1 << 63, 1 << 63)),
            ("masked TD attributes that are on", _masked("td_attributes", 1 << 28, 0)),
            ("masked XFAM that is on", _masked("xfam", 0xFF, 0x7)),
        )
    ),
    bad(
        "policy/masked attributes of debug",
        13,
        ATTRIBUTES,
        both(
            body(td_attributes=(SEPT_VE | 1).to_bytes(8, "little")),
            _masked("td_attributes", 1, 1),
        ),
        reason="debug",
    ),
    bad(
        "policy/servtd_ext required",
        13,
        ATTRIBUTES,
        policy(td_attributes={"servtd_ext": "require"}),
        reason="attributes-refused",
    ),
]

NESTED = [
    good(
        "policy/a nested guest that is named",
        13,
        both(body(vmid=b"\2"), policy(reference_values={"vmid": ["02"]})),
        "UpToDate",
        "v5-td15ex",
    ),
    bad(
        "policy/service TD of the start, where that of now is named",
        13,
        ATTRIBUTES,
        both(
            body(init_server_td_hash=b"\1" * 48, curr_server_td_hash=b"\1" * 48),
            policy(reference_values={"curr_server_td_hash": ["01" * 48]}),
        ),
        "v5-td15ex",
        reason="service-td",
    ),
]


def _odd(fault: str, member: dict[str, Any]) -> Entry:
    return malformed(f"case/policy: {fault}", lambda case: case | {"policy": {"v": 1, **member}})


ODD = [
    _odd(
        "a value outside its mask",
        {"masked_values": {"xfam": {"mask": "01" + "00" * 7, "value": "02" + "00" * 7}}},
    ),
    _odd("a mask without a value", {"masked_values": {"xfam": {"mask": "00" * 8}}}),
    _odd("a mask of another size", {"masked_values": {"xfam": {"mask": "00", "value": "00"}}}),
    _odd(
        "a mask of something else",
        {"masked_values": {"mr_td": {"mask": "00" * 8, "value": "00" * 8}}},
    ),
    *(
        _odd(f"a platform's grace of {value}", {"tcb": {"grace": value}})
        for value in (-1, YEAR + 1, "1", None, 1.5)
    ),
    *(
        _odd(f"a collateral's grace of {value}", {"collateral": {"grace": value}})
        for value in (-1, YEAR + 1, "1")
    ),
    _odd("SMT required", {"platform": {"smt": "require"}}),
    _odd("another flag of a platform", {"platform": {"sgx": "forbid"}}),
    _odd("a refused advisory that is none", {"tcb": {"refused_advisories": ["SA-1"]}}),
    _odd("a VM id of two bytes", {"reference_values": {"vmid": ["0000"]}}),
]

ENTRIES = [
    *GRACE,
    *COLLATERAL_GRACE,
    *ADVISORIES,
    *DATES,
    *PLATFORMS,
    *MASKS,
    *NESTED,
    *ODD,
]

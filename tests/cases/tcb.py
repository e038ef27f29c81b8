"""Check 12: what platform, TDX module and quoting enclave come to, at the start and by now.

A TD of TDX 1.5 has a TEE_TCB_SVN of its start and one of now. What is expected follows the rules of
docs/verification.md, "Restart the TD".
"""

from __future__ import annotations

from typing import Any

from .catalogue import STATUS, Change, Entry, bad, body, both, document, good
from .documents import EXACT, judged, module_identity, platform_levels, tdx_svns
from .quotes import NAMING
from .world import BEGIN, DAY, NOW, date, level, platform_tcb

HARDEN, CONFIGURE = "SWHardeningNeeded", "ConfigurationNeeded"
CONFIGURE_AND_HARDEN = "ConfigurationAndSWHardeningNeeded"
OLD, OLD_AND_CONFIGURE = "OutOfDate", "OutOfDateConfigurationNeeded"

WITH_SOMETHING_OLD = {
    "UpToDate": OLD,
    HARDEN: OLD,
    CONFIGURE: OLD_AND_CONFIGURE,
    CONFIGURE_AND_HARDEN: OLD_AND_CONFIGURE,
    OLD: OLD,
    OLD_AND_CONFIGURE: OLD_AND_CONFIGURE,
    "Revoked": "Revoked",
}
"""Every status of a platform, and what it comes to beside a module or an enclave out of date."""


def _three(platform: str, module: str, enclave: str) -> Change:
    return both(
        platform_levels(level(platform, "INTEL-SA-00001", "INTEL-SA-00002", **EXACT)),
        module_identity(tcbLevels=[level(module, "INTEL-SA-00002", isvsvn=5)]),
        document("qe_identity", tcbLevels=[level(enclave, "INTEL-SA-00003", isvsvn=4)]),
    )


def _merged(*three: str) -> Entry:
    platform, *others = three
    status = WITH_SOMETHING_OLD[platform] if OLD in others else platform
    status = "Revoked" if "Revoked" in three else status
    return judged(f"merged/{' + '.join(three)}", 12, status, _three(*three))


MERGED = [
    _merged(platform, module, enclave)
    for platform in WITH_SOMETHING_OLD
    for module in ("UpToDate", OLD, "Revoked")
    for enclave in ("UpToDate", OLD, "Revoked")
] + [
    good(
        "merged/advisories",
        12,
        both(_three(HARDEN, "UpToDate", "UpToDate")),
        HARDEN,
        told={
            "launch": {
                "status": HARDEN,
                "advisories": [f"INTEL-SA-0000{number}" for number in (1, 2, 3)],
                "date": date(BEGIN),
            }
        },
    )
]


# --- at the start, and by now --------------------------------------------------------------------


def _svns(start: tuple[int, ...], now: tuple[int, ...]) -> Change:
    return body(tee_tcb_svn=bytes(tdx_svns(*start)), tee_tcb_svn2=bytes(tdx_svns(*now)))


def _running(launch: int, current: tuple[int, int, int], *modules: Any) -> Change:
    """A TD that was started with this SVN of module 1, and runs under another module by now."""
    return both(_svns((launch, 1, 2), current), module_identity(tcbLevels=list(modules)))


def _platforms(start: str, now: str) -> Change:
    """The same of a platform: its status when the TD was started, and by now."""
    return both(
        _svns((5, 1, 2), (5, 1, 3)),
        platform_levels(
            level(now, "INTEL-SA-00002", **platform_tcb(tdx=tdx_svns(0, 0, 3))),
            level(start, "INTEL-SA-00001", at=BEGIN - DAY, **EXACT),
        ),
    )


OLD_LEVEL, NEW_LEVEL = level("OutOfDate", "INTEL-SA-00001", isvsvn=4), level(isvsvn=7)
UPDATED = _running(4, (7, 1, 2), NEW_LEVEL, OLD_LEVEL)
RELAUNCHES = {
    "TDRelaunchAdvised": UPDATED,
    "TDRelaunchAdvisedConfigurationNeeded": both(
        UPDATED, platform_levels(level("ConfigurationNeeded", **EXACT))
    ),
}
"""The TD has to be started anew, as the host is up to date by now: each status and a way to it."""


def _relaunched(start: str, now: str) -> str:
    """The status that is told, of two that are not revoked."""
    if start not in (OLD, OLD_AND_CONFIGURE) or now in (OLD, OLD_AND_CONFIGURE):
        return start
    needed = "Configuration" in start or "Configuration" in now
    return "TDRelaunchAdvised" + ("ConfigurationNeeded" if needed else "")


def _state(status: str, *advisories: str, at: int = BEGIN) -> dict[str, Any]:
    return {"status": status, "advisories": list(advisories), "date": date(at)}


def _rule(start: str, now: str) -> Entry:
    """One field of the table of launch and current statuses."""
    name, change = f"relaunch/from {start} to {now}", _platforms(start, now)
    if "Revoked" in (start, now):
        return bad(name, 12, STATUS, change, "v5-td15", reason="tcb-revoked")
    status = _relaunched(start, now)
    told = {
        "launch": _state(start, "INTEL-SA-00001", at=BEGIN - DAY),
        "current": _state(now, "INTEL-SA-00002"),
    }
    if "OutOfDate" not in status and "Relaunch" not in status:
        return good(name, 12, change, status, "v5-td15", told=told)
    reason = "tcb-relaunch" if "Relaunch" in status else "tcb-status"
    return bad(name, 12, STATUS, change, "v5-td15", status=status, reason=reason, told=told)


def _relaunch(fault: str, status: str | None, change: Change, reason: str | None = None) -> Entry:
    return bad(f"relaunch/{fault}", 12, STATUS, change, *NAMING, status=status, reason=reason)


RELAUNCH = [
    *(_rule(start, now) for start in WITH_SOMETHING_OLD for now in WITH_SOMETHING_OLD),
    *(_relaunch(status, status, change, "tcb-relaunch") for status, change in RELAUNCHES.items()),
    _relaunch("the host was never updated", OLD, _running(4, (4, 1, 2), NEW_LEVEL, OLD_LEVEL)),
    _relaunch(
        "the host was updated, and not far enough",
        OLD,
        _running(4, (6, 1, 2), NEW_LEVEL, OLD_LEVEL),
    ),
    _relaunch(
        "the platform is out of date as well",
        OLD_AND_CONFIGURE,
        both(UPDATED, platform_levels(level(OLD_AND_CONFIGURE, **EXACT))),
    ),
    _relaunch(
        "the quoting enclave is out of date as well",
        OLD,
        both(UPDATED, document("qe_identity", tcbLevels=[level("OutOfDate", isvsvn=4)])),
    ),
    _relaunch(
        "to a revoked module",
        None,
        _running(4, (7, 1, 2), level("Revoked", isvsvn=7), level(isvsvn=4)),
        "tcb-revoked",
    ),
    _relaunch(
        "to a module that nobody knows",
        None,
        _running(4, (7, 9, 2), NEW_LEVEL, OLD_LEVEL),
        "tcb-unknown",
    ),
    _relaunch(
        "to a module that is too old",
        None,
        _running(7, (3, 1, 2), NEW_LEVEL, OLD_LEVEL),
        "tcb-unknown",
    ),
    _relaunch("to a platform that is too old", None, _svns((5, 1, 2), (5, 1, 1)), "tcb-unknown"),
    _relaunch("to no module at all", None, _svns((5, 1, 2), (0, 0, 0)), "tcb-unknown"),
    _relaunch(
        "from a revoked module to one that nobody knows",
        None,
        _running(4, (7, 9, 2), level("Revoked", isvsvn=4)),
        "tcb-unknown",
    ),
    _relaunch(
        "from a module that is too old to one that nobody knows",
        None,
        _running(3, (7, 9, 2), NEW_LEVEL, OLD_LEVEL),
        "tdx-module",
    ),
    good(
        "relaunch/not needed",
        12,
        _running(7, (8, 1, 2), NEW_LEVEL, OLD_LEVEL),
        "UpToDate",
        *NAMING,
    ),
    good(
        "relaunch/to a module without a version",
        12,
        both(_svns((5, 1, 2), (5, 0, 2)), platform_levels(level(**platform_tcb(tdx=[0] * 16)))),
        "UpToDate",
        *NAMING,
    ),
    bad(
        "relaunch/a quote that does not tell",
        12,
        STATUS,
        both(
            body(tee_tcb_svn=bytes([4, 1, 2]) + bytes(13)),
            module_identity(tcbLevels=[NEW_LEVEL, OLD_LEVEL]),
        ),
        "v4",
        "v5-td10",
        status="OutOfDate",
        told={"launch": _state(OLD, "INTEL-SA-00001"), "current": None},
    ),
]


# --- dates ---------------------------------------------------------------------------------------


def _dated(platform: int, module: int, enclave: int) -> Change:
    """The three levels with these dates, in days before now."""
    return both(
        platform_levels(level(at=NOW - platform * DAY, **EXACT)),
        module_identity(tcbLevels=[level(at=NOW - module * DAY, isvsvn=5)]),
        document("qe_identity", tcbLevels=[level(at=NOW - enclave * DAY, isvsvn=4)]),
    )


DATES = [
    good(
        f"dates/{name} is the earliest",
        12,
        _dated(*days),
        told={
            "launch": _state("UpToDate", at=NOW - 30 * DAY),
            "dates": {
                part: date(NOW - ago * DAY)
                for part, ago in zip(("platform", "module", "qe"), days, strict=True)
            },
        },
    )
    for name, days in (
        ("platform", (30, 20, 10)),
        ("module", (20, 30, 10)),
        ("quoting enclave", (10, 20, 30)),
    )
] + [
    good(
        "dates/a module without a version has none",
        12,
        both(
            body(tee_tcb_svn=bytes([5, 0, 2]) + bytes(13)),
            platform_levels(level(**platform_tcb(tdx=[0] * 16))),
        ),
        told={"dates": {"platform": date(BEGIN), "module": None, "qe": date(BEGIN)}},
    )
]

# --- what is short -------------------------------------------------------------------------------


def _named(category: object, kind: object, **tcb: Any) -> dict[str, Any]:
    """SVNs of a platform's level whose first SGX component has these words."""
    asked = platform_tcb(**tcb)
    words = {"category": category, "type": kind}
    asked["sgxtcbcomponents"][0] |= {name: word for name, word in words.items() if word is not None}
    return asked


HAS = [4, 4, 2, 2, 4, 1, 0, 5] + [0] * 8
WANTS = [6, *HAS[1:]]


def _short(name: str, change: Change, *short: str, status: str = OLD) -> Entry:
    told = {"short": list(short)}
    if status in (OLD, OLD_AND_CONFIGURE):
        return bad(f"short/{name}", 12, STATUS, change, status=status, told=told)
    return good(f"short/{name}", 12, change, status, told=told)


def _word(name: str, category: object, kind: object, part: str) -> Entry:
    levels = (level(**_named(category, kind, sgx=WANTS)), level(OLD, **EXACT))
    return _short(name, platform_levels(*levels), f"{part} 4 < 6")


SHORT = [
    _short("nothing", lambda world: None, status="UpToDate"),
    _word("a component without words", None, None, "SGX component 1"),
    _word("an empty word", "", "", "SGX component 1"),
    _word("one word", "BIOS", None, "SGX component 1 (BIOS)"),
    _word("words", "BIOS", "Early Update", "SGX component 1 (BIOS, Early Update)"),
    _word("words that are none", 7, ["BIOS"], "SGX component 1"),
    _word("a word with a line's end", "BIOS\n", "Update", "SGX component 1 (Update)"),
    _word("a word of 64 characters", "x" * 64, None, f"SGX component 1 ({'x' * 64})"),
    _word("a word of 65 characters", "x" * 65, "Update", "SGX component 1 (Update)"),
    _short(
        "every part",
        both(
            platform_levels(
                level(**platform_tcb(sgx=WANTS, pce_svn=14, tdx=tdx_svns(0, 0, 3))),
                level(OLD, **EXACT),
            ),
            module_identity(tcbLevels=[level(isvsvn=7), level(OLD, isvsvn=5)]),
            document("qe_identity", tcbLevels=[level(isvsvn=8), level(OLD, isvsvn=4)]),
        ),
        "SGX component 1 4 < 6",
        "PCE 13 < 14",
        "TDX component 3 2 < 3",
        "TDX module 5 < 7",
        "quoting enclave 4 < 8",
    ),
    _short(
        "the lowest level that is up to date is enough",
        platform_levels(
            level(**platform_tcb(pce_svn=16)),
            level(**platform_tcb(pce_svn=15)),
            level(HARDEN, **platform_tcb(pce_svn=14)),
            level(OLD, **EXACT),
        ),
        "PCE 13 < 15",
    ),
    _short(
        "a component that is newer than it need be",
        platform_levels(
            level(**platform_tcb(sgx=[6, 0, *HAS[2:]])),
            level(OLD, **EXACT),
        ),
        "SGX component 1 4 < 6",
    ),
    _short("no level is up to date", platform_levels(level(OLD, **EXACT))),
    _short(
        "none above is up to date",
        platform_levels(level(OLD, **EXACT), level(**platform_tcb(pce_svn=12))),
    ),
    _short(
        "what the policy bears",
        platform_levels(level(**platform_tcb(pce_svn=14)), level(CONFIGURE, **EXACT)),
        "PCE 13 < 14",
        status=CONFIGURE,
    ),
    bad(
        "short/by what the TD was started with",
        12,
        STATUS,
        UPDATED,
        *NAMING,
        status="TDRelaunchAdvised",
        reason="tcb-relaunch",
        told={"short": ["TDX module 4 < 7"]},
    ),
    _short(
        "components of a module without a version",
        both(
            body(tee_tcb_svn=bytes([5, 0, 2]) + bytes(13)),
            platform_levels(
                level(**platform_tcb(tdx=tdx_svns(6, 0, 2))),
                level(OLD, **platform_tcb(tdx=[0] * 16)),
            ),
        ),
        "TDX component 1 5 < 6",
    ),
]

ENTRIES = [*MERGED, *RELAUNCH, *DATES, *SHORT]

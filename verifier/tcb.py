"""Which TCB level a platform has, and what that means: checks 10 to 12.

Source: Intel "SGX and TDX Provisioning Certification Service API" version 4, "Get TCB info" and
"Get TD QE identity", which describe the matching; and for a TD that runs on under an updated TDX
module, Intel's quote verification library 1.27. The highest level that matches counts.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quote_generator.quote import Body

from .documents import Identity, Level, Levels, TcbInfo
from .pck import Platform
from .rejections import rejected

_HARDENING, _CONFIGURATION, _OUT_OF_DATE = "hardening", "configuration", "out of date"
_NEEDS = {
    "UpToDate": frozenset[str](),
    "SWHardeningNeeded": frozenset({_HARDENING}),
    "ConfigurationNeeded": frozenset({_CONFIGURATION}),
    "ConfigurationAndSWHardeningNeeded": frozenset({_HARDENING, _CONFIGURATION}),
    "OutOfDate": frozenset({_OUT_OF_DATE}),
    "OutOfDateConfigurationNeeded": frozenset({_OUT_OF_DATE, _CONFIGURATION}),
}
"""What each status says is wanting. Software hardening is not told of what is out of date."""

UP_TO_DATE, REVOKED = "UpToDate", "Revoked"

RELAUNCH, RELAUNCH_CONFIGURATION = "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"
"""The statuses of a TD whose host was updated while it ran."""


@dataclass(frozen=True)
class State:
    """Platform, TDX module and quoting enclave together, under one TDX module.

    `status` is the worst of the three, `advisory_ids` are those of all, each once, `date` is the
    earliest.
    """

    status: str
    advisory_ids: tuple[str, ...]
    date: datetime.datetime


@dataclass(frozen=True)
class Dates:
    """The dates of the levels with which the TD was started; the first module has none."""

    platform: datetime.datetime
    module: datetime.datetime | None
    qe: datetime.datetime


@dataclass(frozen=True)
class Judgement:
    """The TCB of a TD: at its start, by TEE_TCB_SVN, and now, by TEE_TCB_SVN2.

    `current` is None where quotes of this kind do not say. `status` is the one of the start,
    which has a name of its own where only the TD is behind its host. `short` is what the TD was
    started with that is not up to date, such as "PCE 11 < 13": what it has, and what it needs.
    """

    launch: State
    current: State | None
    dates: Dates
    status: str
    short: tuple[str, ...] = ()

    @property
    def advisory_ids(self) -> tuple[str, ...]:
        """What applies at the start or now, each once."""
        states = [self.launch, *([self.current] if self.current else [])]
        return tuple(dict.fromkeys(item for state in states for item in state.advisory_ids))

    @property
    def date(self) -> datetime.datetime:
        """The earliest of all dates."""
        return min(self.launch.date, self.current.date if self.current else self.launch.date)


@dataclass(frozen=True)
class _Machine:
    """A TD to be judged, and by what. `tdx` are its TDX SVNs, of its start or of now.

    `qe` is the ISVSVN of its quoting enclave.
    """

    tcb_info: TcbInfo
    qe_levels: Levels
    platform: Platform
    qe: int
    tdx: bytes


def judge(
    tcb_info: TcbInfo, qe_levels: Levels, platform: Platform, body: Body, qe: int
) -> Judgement:
    """Judge the TCB; `qe` is the ISVSVN of the quoting enclave.

    Raises Rejected (tcb-status): tdx-module, tcb-unknown, tcb-revoked.
    """
    _check_module(tcb_info, body)
    machine = _Machine(tcb_info, qe_levels, platform, qe, body.tee_tcb_svn)
    enclave = _reached(qe_levels, qe)
    if enclave is None:
        raise rejected("tcb-unknown", ", ".join(_short(machine)))
    started = _launch_levels(machine)
    running = _current_levels(tcb_info, platform, body.tee_tcb_svn2)
    launch = _merged([*started, enclave])
    current = _merged([*running, enclave]) if running else None
    if launch.status == REVOKED:
        raise rejected("tcb-revoked", ", ".join(_short(machine)))
    if current and current.status == REVOKED:
        later = dataclasses.replace(machine, tdx=body.tee_tcb_svn2 or machine.tdx)
        raise rejected("tcb-revoked", ", ".join(_short(later)))
    return Judgement(
        launch=launch,
        current=current,
        dates=Dates(
            platform=started[0].date,
            module=started[1].date if len(started) > 1 else None,
            qe=enclave.date,
        ),
        status=_relaunched(launch.status, current.status) if current else launch.status,
        short=tuple(_short(machine)),
    )


def _check_module(tcb_info: TcbInfo, body: Body) -> None:
    """Check that the TDX module is one that Intel signed, and that has no attributes."""
    identity = _module(tcb_info, body.tee_tcb_svn)
    if identity is None:
        raise rejected("tdx-module", f"version {body.tee_tcb_svn[1]} is not described")
    if body.mrsigner_seam != identity.mrsigner:
        raise rejected("tdx-module", "mrsigner_seam is not that of its identity")
    if any(body.seam_attributes) or body.seam_attributes != identity.attributes:
        raise rejected("tdx-module", "seam_attributes are not zero, or not those of its identity")


def _launch_levels(machine: _Machine) -> list[Level]:
    """The levels of platform and TDX module, if that has a version of its own, at the start."""
    tcb_info, tdx = machine.tcb_info, machine.tdx
    level = _platform_level(tcb_info, machine.platform, tdx)
    if level is None:
        raise rejected("tcb-unknown", ", ".join(_short(machine)))
    identity = _module(tcb_info, tdx)
    if not tdx[1] or identity is None:
        return [level]
    module = _reached(identity.levels, tdx[0])
    if module is None:
        raise rejected("tdx-module", f"ISVSVN {tdx[0]}")
    return [level, module]


def _current_levels(tcb_info: TcbInfo, platform: Platform, tdx: bytes | None) -> list[Level]:
    """The same of now; none where the quote does not say."""
    if tdx is None:
        return []
    level, identity = _platform_level(tcb_info, platform, tdx), _module(tcb_info, tdx)
    module = _reached(identity.levels, tdx[0]) if identity and tdx[1] else None
    if level is None or (tdx[1] and module is None):
        raise rejected("tcb-unknown", f"TEE_TCB_SVN2 {tdx.hex()} reaches nothing that is known")
    return [level, module] if module else [level]


def _platform_level(tcb_info: TcbInfo, platform: Platform, tdx: bytes) -> Level | None:
    """The highest level that the platform reaches with these TDX SVNs."""
    skipped = _skipped(tdx)
    for level in tcb_info.levels.ordered:
        asked = level.svns
        if (
            platform.pce_svn >= asked.pce_svn
            and _reaches(platform.components, asked.sgx)
            and _reaches(tdx[skipped:], asked.tdx[skipped:])
        ):
            return level
    return None


def _skipped(tdx: bytes) -> int:
    """How many TDX components do not count for the platform.

    A module with a version of its own is judged by its identity, not by its two components.
    """
    return 2 if tdx[1] else 0


def _module(tcb_info: TcbInfo, tdx: bytes) -> Identity | None:
    version = tdx[1]
    return tcb_info.modules.get(f"TDX_{version:02X}") if version else tcb_info.module


def _reached(levels: Levels, svn: int) -> Level | None:
    """The highest level that an ISVSVN reaches."""
    return next((level for level in levels.ordered if svn >= level.svns), None)


def _merged(levels: Sequence[Level]) -> State:
    """The state of levels together: the worst status wins.

    One that needs configuration says so also where another is out of date.
    """
    statuses = {level.status for level in levels}
    return State(
        status=REVOKED if REVOKED in statuses else _worst(statuses),
        advisory_ids=tuple(dict.fromkeys(item for level in levels for item in level.advisory_ids)),
        date=min(level.date for level in levels),
    )


def _worst(statuses: set[str]) -> str:
    needs = frozenset[str]().union(*(_NEEDS[status] for status in statuses))
    if _OUT_OF_DATE in needs:
        needs -= {_HARDENING}
    return next(status for status, wanting in _NEEDS.items() if wanting == needs)


def _relaunched(launch: str, current: str) -> str:
    """The status of a TD that was started with one status and runs under another by now.

    Where the host has been updated under the running TD, it is the TD that has to be started anew.
    """
    if _OUT_OF_DATE not in _NEEDS[launch] or _OUT_OF_DATE in _NEEDS[current]:
        return launch
    plain = _CONFIGURATION not in _NEEDS[launch] | _NEEDS[current]
    return RELAUNCH if plain else RELAUNCH_CONFIGURATION


def _reaches(svns: Sequence[int], asked: Sequence[int]) -> bool:
    return all(has >= needs for has, needs in zip(svns, asked, strict=True))


# --- what is short -------------------------------------------------------------------------------


def _short(machine: _Machine) -> list[str]:
    """What of a machine has to be updated until all of it is up to date, part by part."""
    tdx, module = machine.tdx, _module(machine.tcb_info, machine.tdx)
    return [
        *_platform_lack(machine),
        *(_own_lack("TDX module", module.levels, tdx[0]) if module else ()),
        *_own_lack("quoting enclave", machine.qe_levels, machine.qe),
    ]


def _platform_lack(machine: _Machine) -> Iterator[str]:
    reached = _platform_level(machine.tcb_info, machine.platform, machine.tdx)
    goal = _goal_above(machine.tcb_info.levels, reached)
    if goal is None:
        return
    platform, tdx, needs = machine.platform, machine.tdx, goal.svns
    yield from _component_lacks("SGX", platform.components, needs.sgx, needs.sgx_names, 0)
    yield from _lack("PCE", platform.pce_svn, needs.pce_svn)
    yield from _component_lacks("TDX", tdx, needs.tdx, needs.tdx_names, _skipped(tdx))


def _component_lacks(
    kind: str, has: Sequence[int], needs: Sequence[int], names: Sequence[str], skipped: int
) -> Iterator[str]:
    for at in range(skipped, len(needs)):
        name = f" ({names[at]})" if names[at] else ""
        yield from _lack(f"{kind} component {at + 1}{name}", has[at], needs[at])


def _own_lack(part: str, levels: Levels, svn: int) -> Iterator[str]:
    """The same of what has one number only: a TDX module, or an enclave."""
    goal = _goal_above(levels, _reached(levels, svn))
    if goal is not None:
        yield from _lack(part, svn, goal.svns)


def _lack(part: str, has: int, needs: int) -> Iterator[str]:
    """A part that is short: what it has, and what it needs."""
    if has < needs:
        yield f"{part} {has} < {needs}"


def _goal_above(levels: Levels, reached: Level | None) -> Level | None:
    """The lowest of the levels above the reached one, or of all, that is up to date.

    None for one that is up to date itself.
    """
    if reached and reached.status == UP_TO_DATE:
        return None
    above = itertools.takewhile(lambda level: level is not reached, levels.ordered)
    return next((level for level in reversed([*above]) if level.status == UP_TO_DATE), None)

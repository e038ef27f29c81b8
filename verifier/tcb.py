"""Which TCB level a platform has, and what that means: checks 10 to 12.

Source: Intel "SGX and TDX Provisioning Certification Service API" version 4, "Get TCB info" and
"Get TD QE identity", which describe the matching; for a TD that runs on under an updated TDX
module, Intel's quote verification library 1.27. The highest level that matches counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from quote_generator.quote import Body

from .certificates import Platform
from .documents import Identity, Level, TcbInfo

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

REVOKED = "Revoked"

RELAUNCH = {
    "OutOfDate": "TDRelaunchAdvised",
    "OutOfDateConfigurationNeeded": "TDRelaunchAdvisedConfigurationNeeded",
}
"""What each status that the TD was started with becomes where the host is up to date by now."""


class NoLevel(ValueError):  # noqa: N818 - named for the state
    """NoLevel: the platform, the TDX module or the quoting enclave matches no level."""


class OtherModule(ValueError):  # noqa: N818
    """OtherModule: the TDX module is none that the TCB info describes."""


def levels(tcb_info: TcbInfo, platform: Platform, tdx: bytes, enclave: Level) -> list[Level]:
    """All that count for these TDX SVNs: platform, TDX module (if it has one), quoting enclave.

    Raises NoLevel, and OtherModule for a module that is unknown or too old.
    """
    platform_one = platform_level(tcb_info, platform, tdx)
    module = module_level(tcb_info, tdx)
    return [platform_one, *([module] if module else []), enclave]


def platform_level(tcb_info: TcbInfo, platform: Platform, tdx: bytes) -> Level:
    """The highest level that the platform reaches with these TDX SVNs. Raises NoLevel."""
    # A module with a version of its own is judged by its identity, not by its two components.
    skipped = 2 if tdx[1] else 0
    for level in tcb_info.levels:
        asked = level.svns
        if (
            platform.pce_svn >= asked.pce_svn
            and _reaches(platform.components, asked.sgx)
            and _reaches(tdx[skipped:], asked.tdx[skipped:])
        ):
            return level
    raise NoLevel("the platform is older than every TCB level")


def check_module(tcb_info: TcbInfo, body: Body) -> None:
    """Check that the TDX module is one that Intel signed. Raises OtherModule."""
    identity = _module(tcb_info, body.tee_tcb_svn)
    if body.mrsigner_seam != identity.mrsigner:
        raise OtherModule("mrsigner_seam is not that of the TDX module identity")
    # Compared as a whole: a bit outside the mask is one that nobody vouches for.
    if body.seam_attributes != masked(identity.attributes, identity.attributes_mask):
        raise OtherModule("seam_attributes is not that of the TDX module identity")


def module_level(tcb_info: TcbInfo, tdx: bytes) -> Level | None:
    """The level of the TDX module with these SVNs; None for one without a version of its own.

    Raises OtherModule for one that the TCB info does not describe or that is too old.
    """
    svn, version = tdx[:2]
    if not version:
        return None
    try:
        return enclave_level(_module(tcb_info, tdx).levels, svn)
    except NoLevel as error:
        raise OtherModule(f"the TDX module is too old: {error}") from error


def _module(tcb_info: TcbInfo, tdx: bytes) -> Identity:
    version = tdx[1]
    identity = tcb_info.modules.get(f"TDX_{version:02X}") if version else tcb_info.module
    if identity is None:
        raise OtherModule(f"there is no TDX module identity of version {version}")
    return identity


def enclave_level(levels: Sequence[Level], svn: int) -> Level:
    """The highest level that an ISVSVN reaches. Raises NoLevel."""
    for level in levels:
        if svn >= level.svns:
            return level
    raise NoLevel(f"ISVSVN {svn} is lower than every TCB level")


def merged(levels: Sequence[Level]) -> tuple[str | None, tuple[str, ...]]:
    """The status of all levels together, and all advisory ids, each once.

    The worst wins; one that needs configuration says so also where another is out of date. None
    for a status that is not known: nobody can say what it means.
    """
    ids = tuple(dict.fromkeys(item for level in levels for item in level.advisory_ids))
    statuses = {level.status for level in levels}
    if not statuses <= {*_NEEDS, REVOKED}:
        return None, ids
    if REVOKED in statuses:
        return REVOKED, ids
    needs = frozenset[str]().union(*(_NEEDS[status] for status in statuses))
    if _OUT_OF_DATE in needs:
        needs -= {_HARDENING}
    return next(status for status, wanting in _NEEDS.items() if wanting == needs), ids


def relaunched(launch: str, current: str) -> str:
    """The status of a TD that was started with one status and runs under another by now.

    Both are merged ones, by TEE_TCB_SVN and by TEE_TCB_SVN2. Where the host has been updated under
    the running TD, it is the TD that has to be started anew.
    """
    updated = current not in RELAUNCH and current != REVOKED
    return RELAUNCH.get(launch, launch) if updated else launch


def masked(value: bytes, mask: bytes) -> bytes:
    """The bits of `value` that are in `mask`, of the same size."""
    return bytes(a & b for a, b in zip(value, mask, strict=True))


def _reaches(svns: Sequence[int], asked: Sequence[int]) -> bool:
    return all(has >= needs for has, needs in zip(svns, asked, strict=True))

"""Which TCB level a platform has, and what that means: checks 10 to 12.

Source: Intel "SGX and TDX Provisioning Certification Service API" version 4, "Get TCB info" and
"Get TD QE identity", which describe the matching. The first level that matches counts, in the
order in which the signed document gives them.
"""

from __future__ import annotations

from collections.abc import Sequence

from quote_generator.quote import Body

from .certificates import Platform
from .documents import Level, TcbInfo

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


class NoLevel(ValueError):  # noqa: N818 - named for the state
    """NoLevel: the platform, the TDX module or the quoting enclave matches no level."""


class OtherModule(ValueError):  # noqa: N818
    """OtherModule: the TDX module is none that the TCB info describes."""


def platform_level(tcb_info: TcbInfo, platform: Platform, body: Body) -> Level:
    """The first level all of whose SVNs the platform has. Raises NoLevel."""
    # A module with a version of its own is judged by its identity, not by its two components.
    skipped = 2 if body.tee_tcb_svn[1] else 0
    for level in tcb_info.levels:
        asked = level.svns
        if (
            platform.pce_svn >= asked.pce_svn
            and _reaches(platform.components, asked.sgx)
            and _reaches(body.tee_tcb_svn[skipped:], asked.tdx[skipped:])
        ):
            return level
    raise NoLevel("the platform is older than every TCB level")


def module_level(tcb_info: TcbInfo, body: Body) -> Level | None:
    """The level of the TDX module; None for a module without a version of its own.

    Raises OtherModule, and NoLevel for one that is too old.
    """
    svn, version = body.tee_tcb_svn[:2]
    identity = tcb_info.modules.get(f"TDX_{version:02X}") if version else tcb_info.module
    if identity is None:
        raise OtherModule(f"there is no TDX module identity of version {version}")
    if body.mrsigner_seam != identity.mrsigner:
        raise OtherModule("mrsigner_seam is not that of the TDX module identity")
    # Compared as a whole: a bit outside the mask is one that nobody vouches for.
    if body.seam_attributes != masked(identity.attributes, identity.attributes_mask):
        raise OtherModule("seam_attributes is not that of the TDX module identity")
    return enclave_level(identity.levels, svn) if version else None


def enclave_level(levels: Sequence[Level], svn: int) -> Level:
    """The first level that an ISVSVN reaches. Raises NoLevel."""
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


def masked(value: bytes, mask: bytes) -> bytes:
    """The bits of `value` that are in `mask`, of the same size."""
    return bytes(a & b for a, b in zip(value, mask, strict=True))


def _reaches(svns: Sequence[int], asked: Sequence[int]) -> bool:
    return all(has >= needs for has, needs in zip(svns, asked, strict=True))

"""TCB info and QE identity: checks 4 and 5, and their members in types of our own.

Source: Intel "SGX and TDX Provisioning Certification Service API" version 4; strict as Intel's
quote verification library. A document is read only after its signature holds; even so, nothing in
it is taken for granted.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import strictjson
from .certificates import Early, Late

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_HEX = re.compile("[0-9a-fA-F]*")
_NAME = re.compile("[ -~]*")

_PLATFORM_STATUSES = frozenset(
    {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
    }
)
_OWN_STATUSES = frozenset({"UpToDate", "OutOfDate", "Revoked"})
"""What a platform's level can be, and one of a TDX module or an enclave."""

_WORD_MAX = 64
"""Characters of a word about a component."""

_DEPTH = 32
"""Levels of nesting, as in Intel's library; Intel's documents have 5."""

_TCB_TYPE = 0
"""The only way of composing a TCB level that the interface describes."""


Svns = Callable[[Mapping[str, Any]], Any]
"""Reads what a level asks for."""


class OtherKind(ValueError):  # noqa: N818 - named for the state
    """OtherKind: a document of another id or version than the one that is needed."""


@dataclass(frozen=True)
class Level:
    """A TCB level. `svns` are what it asks for: the kinds of level differ only in them."""

    svns: Any
    status: str
    date: datetime.datetime
    advisory_ids: tuple[str, ...]


@dataclass(frozen=True, order=True)
class PlatformSvns:
    """What a platform's level asks for: 16 SGX components, the PCE, 16 TDX components.

    In this order Intel's library sorts by them. The names say whose a component is and what it is,
    as far as Intel does, such as "BIOS, Early Microcode Update".
    """

    sgx: tuple[int, ...]
    pce_svn: int
    tdx: tuple[int, ...]
    sgx_names: tuple[str, ...] = field(compare=False)
    tdx_names: tuple[str, ...] = field(compare=False)


@dataclass(frozen=True)
class Levels:
    """Levels with the highest first, and whether the document has them in that order."""

    ordered: tuple[Level, ...]
    as_written: bool


@dataclass(frozen=True)
class Identity:
    """Whose an enclave or module must be, and its levels, which ask for an ISVSVN.

    Levels of any kind stand here with the highest first, however the document has them.
    """

    mrsigner: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: Levels


@dataclass(frozen=True)
class TcbInfo:
    """TCB info of a platform. `modules` maps "TDX_<version>" to identities.

    `evaluation` is its `tcbEvaluationDataNumber`, which grows with each TCB recovery.
    """

    start: float
    end: float
    evaluation: int
    fmspc: bytes
    pce_id: bytes
    module: Identity
    modules: Mapping[str, Identity]
    levels: Levels


@dataclass(frozen=True)
class QeIdentity:
    """Identity of the quoting enclave; numbers as in the enclave report, little-endian."""

    start: float
    end: float
    evaluation: int
    identity: Identity
    prod_id: int
    misc_select: int
    misc_select_mask: int


def read_tcb_info(text: str) -> TcbInfo:
    """TCB info for TDX. Raises ValueError, of which OtherKind."""
    value = _read(text, "TDX", 3)
    if _number(value, "tcbType", 0xFF) != _TCB_TYPE:
        raise ValueError("tcbType is not one whose levels can be compared here")
    start, end = _dates(value)
    return TcbInfo(
        start=start,
        end=end,
        evaluation=_evaluation(value),
        fmspc=_hex(value, "fmspc", 6),
        pce_id=_hex(value, "pceId", 2),
        module=_identity(_member(value, "tdxModule", dict), 48, 8, _NONE),
        modules=_modules(value),
        levels=_levels(value, _platform_svns, _PLATFORM_STATUSES),
    )


def read_qe_identity(text: str) -> QeIdentity:
    """Identity of the TDX quoting enclave. Raises as `read_tcb_info` does."""
    value = _read(text, "TD_QE", 2)
    start, end = _dates(value)
    return QeIdentity(
        start=start,
        end=end,
        evaluation=_evaluation(value),
        identity=_identity(value, 32, 16, _enclave_levels(value)),
        prod_id=_number(value, "isvprodid", 0xFFFF),
        misc_select=int.from_bytes(_hex(value, "miscselect", 4), "little"),
        misc_select_mask=int.from_bytes(_hex(value, "miscselectMask", 4), "little"),
    )


def check_dates(document: TcbInfo | QeIdentity, now: float, grace: float) -> None:
    """Raise Early or Late where the document does not count now; it may have ended `grace` ago."""
    if now < document.start:
        raise Early(f"issued at {document.start:.0f}, in seconds since 1970")
    if now > document.end + grace:
        raise Late(f"ended at {document.end:.0f}, in seconds since 1970")


def _read(text: str, kind: str, version: int) -> dict[str, Any]:
    """The document, of this kind and version: of others nobody knows what members mean."""
    value = strictjson.loads(text, whole_numbers=True)
    if not isinstance(value, dict):
        raise ValueError("the document is not a JSON object")
    if strictjson.depth(value) > _DEPTH:
        raise ValueError(f"the document is nested more than {_DEPTH} deep")
    if value.get("id") != kind or value.get("version") != version:
        raise OtherKind(f"expected {kind} of version {version}")
    return value


def _dates(value: Mapping[str, Any]) -> tuple[float, float]:
    start, end = (_date(value, name).timestamp() for name in ("issueDate", "nextUpdate"))
    return start, end


_NONE = Levels((), as_written=True)
"""The TDX module of version 0 has no levels of its own."""


def _identity(
    value: Mapping[str, Any], signer_size: int, attributes_size: int, levels: Levels
) -> Identity:
    return Identity(
        mrsigner=_hex(value, "mrsigner", signer_size),
        attributes=_hex(value, "attributes", attributes_size),
        attributes_mask=_hex(value, "attributesMask", attributes_size),
        levels=levels,
    )


def _modules(value: Mapping[str, Any]) -> dict[str, Identity]:
    """The identities of TDX modules by id: of two with the same one either could be meant."""
    if "tdxModuleIdentities" not in value:
        return {}
    items = _filled(value, "tdxModuleIdentities")
    if not all(_is_name(item.get("id")) for item in items):
        raise ValueError("a TDX module identity has no name")
    found = {item["id"].upper(): _identity(item, 48, 8, _enclave_levels(item)) for item in items}
    if len(found) != len(items):
        raise ValueError("two TDX module identities have the same id")
    return found


def _enclave_levels(value: Mapping[str, Any]) -> Levels:
    return _levels(value, lambda tcb: _number(tcb, "isvsvn", 0xFFFF), _OWN_STATUSES)


def _levels(value: Mapping[str, Any], svns: Svns, statuses: Collection[str]) -> Levels:
    """The levels with the highest first, so that the first one that is reached is the one.

    Raises ValueError for two of the same SVNs: either could be meant.
    """
    written = tuple(_level(item, svns, statuses) for item in _filled(value, "tcbLevels"))
    ordered = tuple(sorted(written, key=lambda level: level.svns, reverse=True))
    if any(above.svns == below.svns for above, below in itertools.pairwise(ordered)):
        raise ValueError("two TCB levels ask for the same")
    return Levels(ordered, as_written=written == ordered)


def _level(value: Mapping[str, Any], svns: Svns, statuses: Collection[str]) -> Level:
    ids = value.get("advisoryIDs", [])
    if not isinstance(ids, list) or not all(map(_is_name, ids)):
        raise ValueError("advisoryIDs is not a list of names")
    status = _member(value, "tcbStatus", str)
    if status not in statuses:
        raise ValueError(f"tcbStatus {status[:40]!a} is none that this level can have")
    return Level(
        svns=svns(_member(value, "tcb", dict)),
        status=status,
        date=_date(value, "tcbDate"),
        advisory_ids=tuple(ids),
    )


def _platform_svns(tcb: Mapping[str, Any]) -> PlatformSvns:
    sgx, tdx = (_list(_member(tcb, f"{kind}tcbcomponents", list)) for kind in ("sgx", "tdx"))
    if (len(sgx), len(tdx)) != (16, 16):
        raise ValueError(f"a TCB level has {len(sgx)} and {len(tdx)} components: expected 16 each")
    return PlatformSvns(
        sgx=_component_svns(sgx),
        pce_svn=_number(tcb, "pcesvn", 0xFFFF),
        tdx=_component_svns(tdx),
        sgx_names=tuple(map(_component_name, sgx)),
        tdx_names=tuple(map(_component_name, tdx)),
    )


def _component_svns(components: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    return tuple(_number(item, "svn", 0xFF) for item in components)


def _component_name(component: Mapping[str, Any]) -> str:
    words = (component.get("category"), component.get("type"))
    return ", ".join(w for w in words if w and _is_name(w) and len(w) <= _WORD_MAX)


def _evaluation(value: Mapping[str, Any]) -> int:
    return _number(value, "tcbEvaluationDataNumber", 0xFFFFFFFF)


def _member(value: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(value.get(name), kind):
        raise ValueError(f"{name} is missing or of another type")
    return value[name]


def _filled(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    items = _list(_member(value, name, list))
    if not items:
        raise ValueError(f"{name} is empty")
    return items


def _list(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("a list does not hold objects")
    return items


def _number(value: Mapping[str, Any], name: str, largest: int) -> int:
    number = value.get(name)
    if type(number) is not int or not 0 <= number <= largest:  # a bool is an int, but no number
        raise ValueError(f"{name} is missing, or not a number from 0 to {largest}")
    return number


def _hex(value: Mapping[str, Any], name: str, size: int) -> bytes:
    text = _member(value, name, str)
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise ValueError(f"{name} is not {size} bytes in hex")
    return bytes.fromhex(text)


def _is_name(value: object) -> bool:
    """Whether it is a name as Intel gives them, of characters that every reader has alike."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _date(value: Mapping[str, Any], name: str) -> datetime.datetime:
    text = _member(value, name, str)
    if not _DATE.fullmatch(text) or text < "1970":
        raise ValueError(f"{name} is not a date since 1970 in the form 2027-01-15T08:00:00Z")
    return datetime.datetime.fromisoformat(text)

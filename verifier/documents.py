"""TCB info and QE identity: checks 4 and 5, and their members in types of our own.

Source: Intel "SGX and TDX Provisioning Certification Service API" version 4. A document is read
only after its signature holds; even so, nothing in it is taken for granted.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import strictjson
from .certificates import Early, Late

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

_TCB_TYPE = 0
"""The only way of composing a TCB level that the interface describes."""


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

    In this order Intel's library sorts by them.
    """

    sgx: tuple[int, ...]
    pce_svn: int
    tdx: tuple[int, ...]


@dataclass(frozen=True)
class Identity:
    """Whose an enclave or module must be, and its levels, which ask for an ISVSVN.

    Levels of any kind stand here with the highest first, however the document has them.
    """

    mrsigner: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class TcbInfo:
    """TCB info of a platform. `modules` maps "TDX_<version>" to identities.

    `evaluation` is its `tcbEvaluationDataNumber`, which grows with each TCB recovery.
    """

    end: float
    evaluation: int
    fmspc: bytes
    pce_id: bytes
    module: Identity
    modules: Mapping[str, Identity]
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class QeIdentity:
    """Identity of the quoting enclave; numbers as in the enclave report, little-endian."""

    end: float
    evaluation: int
    identity: Identity
    prod_id: int
    misc_select: int
    misc_select_mask: int


def read_tcb_info(text: str, now: float) -> TcbInfo:
    """TCB info for TDX, in date. Raises ValueError, of which OtherKind, Early and Late."""
    value, end = _read(text, "TDX", 3, now)
    if _number(value, "tcbType", 0xFF) != _TCB_TYPE:
        raise ValueError("tcbType is not one whose levels can be compared here")
    identities = _list(value.get("tdxModuleIdentities", []))
    return TcbInfo(
        end=end,
        evaluation=_evaluation(value),
        fmspc=_hex(value, "fmspc", 6),
        pce_id=_hex(value, "pceId", 2),
        module=_identity(_member(value, "tdxModule", dict), 48, 8, ()),
        modules={
            _member(item, "id", str).upper(): _identity(item, 48, 8, _enclave_levels(item))
            for item in reversed(identities)  # of two with one id the first counts
        },
        levels=_sorted(_level(item, _platform_svns) for item in _levels(value)),
    )


def read_qe_identity(text: str, now: float) -> QeIdentity:
    """Identity of the TDX quoting enclave, in date. Raises as `read_tcb_info` does."""
    value, end = _read(text, "TD_QE", 2, now)
    return QeIdentity(
        end=end,
        evaluation=_evaluation(value),
        identity=_identity(value, 32, 16, _enclave_levels(value)),
        prod_id=_number(value, "isvprodid", 0xFFFF),
        misc_select=int.from_bytes(_hex(value, "miscselect", 4), "little"),
        misc_select_mask=int.from_bytes(_hex(value, "miscselectMask", 4), "little"),
    )


def _read(text: str, kind: str, version: int, now: float) -> tuple[dict[str, Any], float]:
    """The document and when it ends; its kind and dates are as they must be."""
    value = strictjson.loads(text, whole_numbers=True)
    if not isinstance(value, dict):
        raise ValueError("the document is not a JSON object")
    if value.get("id") != kind or _number(value, "version", 0xFF) != version:
        raise OtherKind(f"expected {kind} of version {version}")
    start, end = (_date(value, name).timestamp() for name in ("issueDate", "nextUpdate"))
    if now < start:
        raise Early(f"{kind}: issued {value['issueDate']}")
    if now > end:
        raise Late(f"{kind}: ended {value['nextUpdate']}")
    return value, end


def _identity(
    value: Mapping[str, Any], signer_size: int, attributes_size: int, levels: Sequence[Level]
) -> Identity:
    return Identity(
        mrsigner=_hex(value, "mrsigner", signer_size),
        attributes=_hex(value, "attributes", attributes_size),
        attributes_mask=_hex(value, "attributesMask", attributes_size),
        levels=tuple(levels),
    )


def _levels(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _list(_member(value, "tcbLevels", list))


def _enclave_levels(value: Mapping[str, Any]) -> tuple[Level, ...]:
    return _sorted(
        _level(item, lambda tcb: _number(tcb, "isvsvn", 0xFFFF)) for item in _levels(value)
    )


def _sorted(levels: Iterable[Level]) -> tuple[Level, ...]:
    """The levels with the highest first, so that the first one that is reached is the one.

    Raises ValueError for two of the same SVNs: either could be meant.
    """
    ordered = sorted(levels, key=lambda level: level.svns, reverse=True)
    if any(above.svns == below.svns for above, below in itertools.pairwise(ordered)):
        raise ValueError("two TCB levels ask for the same")
    return tuple(ordered)


def _level(value: Mapping[str, Any], svns: Any) -> Level:
    ids = value.get("advisoryIDs", [])
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise ValueError("advisoryIDs is not a list of texts")
    return Level(
        svns=svns(_member(value, "tcb", dict)),
        status=_member(value, "tcbStatus", str),
        date=_date(value, "tcbDate"),
        advisory_ids=tuple(ids),
    )


def _platform_svns(tcb: Mapping[str, Any]) -> PlatformSvns:
    sgx, tdx = (
        tuple(_number(item, "svn", 0xFF) for item in _list(_member(tcb, name, list)))
        for name in ("sgxtcbcomponents", "tdxtcbcomponents")
    )
    if (len(sgx), len(tdx)) != (16, 16):
        raise ValueError(f"a TCB level has {len(sgx)} and {len(tdx)} components: expected 16 each")
    return PlatformSvns(sgx, _number(tcb, "pcesvn", 0xFFFF), tdx)


def _evaluation(value: Mapping[str, Any]) -> int:
    return _number(value, "tcbEvaluationDataNumber", 0xFFFFFFFF)


def _member(value: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(value.get(name), kind):
        raise ValueError(f"{name} is missing or of another type")
    return value[name]


def _list(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("a list does not hold objects")
    return items


def _number(value: Mapping[str, Any], name: str, largest: int) -> int:
    number = _member(value, name, int)
    if isinstance(number, bool) or not 0 <= number <= largest:
        raise ValueError(f"{name} is not a number from 0 to {largest}")
    return int(number)


def _hex(value: Mapping[str, Any], name: str, size: int) -> bytes:
    text = _member(value, name, str)
    if not re.fullmatch("[0-9a-fA-F]*", text) or len(text) != 2 * size:
        raise ValueError(f"{name} is not {size} bytes in hex")
    return bytes.fromhex(text)


def _date(value: Mapping[str, Any], name: str) -> datetime.datetime:
    text = _member(value, name, str)
    if not _DATE.fullmatch(text):
        raise ValueError(f"{name} is not a date in the form 2027-01-15T08:00:00Z")
    return datetime.datetime.fromisoformat(text)

"""TDX quotes, versions 4 and 5, as frozen dataclasses.

Layouts: Intel "TDX DCAP Quoting Library API", appendix A.3 (version 4) and A.4 (version 5); the
body of type 4 as in Intel's header `sgx_quote_5.h` and its quote verification library (QVL 1.27).
All integers are little-endian. Nothing here verifies a signature: parsing only says what the
bytes claim, and refuses bytes that are not exactly one quote.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from .errors import BadInput

TEE_TYPE_TDX = 0x81
"""Header `tee_type` of a TDX quote."""

KEY_TYPE_ECDSA_P256 = 2
"""Header `att_key_type` of the only signature layout that TDX quotes have in practice."""

INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Header `vendor_id` of Intel's quoting enclave."""

BODY_TD10 = 2
"""Body type of a TDX 1.0 report (584 bytes), and of every version 4 quote."""

BODY_TD15 = 3
"""Body type of a TDX 1.5 report (648 bytes): two more fields than TDX 1.0."""

BODY_TD15EX = 4
"""Body type of an extended TDX 1.5 report (885 bytes): ten more fields than TDX 1.5."""

CERTIFICATION_QE_REPORT = 6
"""Certification data type: QE report, its signature, and nested certification data."""

CERTIFICATION_PCK_CHAIN = 5
"""Certification data type: the PCK certificate chain in PEM, leaf first."""

MAX_QUOTE_SIZE = 64 * 1024
"""Upper bound in bytes; real quotes have about 5,000, and kernels before 7.0 stop at 32 KiB."""

_HEADER = struct.Struct("<HHI4s16s20s")
_BODY_DESCRIPTOR = struct.Struct("<HI")
_TD10 = struct.Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")
_TD15 = struct.Struct(_TD10.format + "16s48s")
_TD15EX = struct.Struct(_TD15.format + "1s32s48s48s8s16s16s12s48s8s")
_BODIES = {BODY_TD10: _TD10, BODY_TD15: _TD15, BODY_TD15EX: _TD15EX}

BODY_SIZES = {body_type: layout.size for body_type, layout in _BODIES.items()}
"""Bytes of a body by its type. Each type begins as the one before it does."""

_SIGNATURE_SIZE = 64
_KEY_SIZE = 64
_QE_REPORT_SIZE = 384


@dataclass(frozen=True, slots=True)
class Header:
    """Quote header, 48 bytes. `reserved` held the QE and PCE SVN in older quotes."""

    version: int
    att_key_type: int
    tee_type: int
    reserved: bytes
    vendor_id: bytes
    user_data: bytes

    def to_dict(self) -> dict[str, str]:
        """Every field as hex in the quote's own byte order, as attestation services show it."""
        return {
            "version": self.version.to_bytes(2, "little").hex(),
            "att_key_type": self.att_key_type.to_bytes(2, "little").hex(),
            "tee_type": self.tee_type.to_bytes(4, "little").hex(),
            "reserved": self.reserved.hex(),
            "vendor_id": self.vendor_id.hex(),
            "user_data": self.user_data.hex(),
        }


@dataclass(frozen=True, slots=True)
class Body:
    """The TD report inside a quote: a field that its body type lacks is None.

    TDX 1.5 bodies have `tee_tcb_svn2` and `mr_servicetd`. Extended ones have also the rest: `vmid`
    is the nested guest that asked (0: the TD itself), `td_id` names this one instance of the TD,
    `devinfo` is a digest of what is told of its devices, `init_*` are the service TD and the
    platform that it began with, `curr_*` the service TD that is bound now.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mrsigner_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr_0: bytes
    rtmr_1: bytes
    rtmr_2: bytes
    rtmr_3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes | None = None
    mr_servicetd: bytes | None = None
    vmid: bytes | None = None
    td_id: bytes | None = None
    devinfo: bytes | None = None
    init_server_td_hash: bytes | None = None
    init_server_td_attr: bytes | None = None
    init_cpu_svn: bytes | None = None
    init_tee_tcb_svn: bytes | None = None
    init_tee_fmspc: bytes | None = None
    curr_server_td_hash: bytes | None = None
    curr_server_td_attr: bytes | None = None

    def pack(self) -> bytes:
        """The body's bytes: 584 of TDX 1.0, 648 of TDX 1.5, 885 of the extended TDX 1.5."""
        return b"".join(value for name in _BODY_FIELDS if (value := getattr(self, name)))

    def to_dict(self) -> dict[str, str]:
        """Every present field as hex in the quote's own byte order."""
        return {
            name: value.hex() for name in _BODY_FIELDS if (value := getattr(self, name)) is not None
        }


_BODY_FIELDS = tuple(field.name for field in fields(Body))

LATER_FIELDS = frozenset(field.name for field in fields(Body) if field.default is None)
"""Names of those that not every body has."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Signature data of an ECDSA-P256 quote.

    `signature` and `qe_report_signature` are raw r || s, `attestation_key` is raw x || y,
    64 bytes each. `certification_data` is what vouches for the QE report's signer: with
    `certification_type` 5 the PCK chain in PEM.
    """

    signature: bytes
    attestation_key: bytes
    qe_report: bytes
    qe_report_signature: bytes
    qe_auth_data: bytes
    certification_type: int
    certification_data: bytes

    @property
    def pck_chain_pem(self) -> str:
        """The PCK certificate chain, PEM, leaf first.

        Each byte is one character (Latin-1): what a chain may hold is for whoever reads it to say.

        Raises BadInput when the quote carries another kind of certification data.
        """
        if self.certification_type != CERTIFICATION_PCK_CHAIN:
            raise BadInput(
                f"certification_type is {self.certification_type}: only type 5 carries the PCK "
                "certificate chain; ask the quoting service for quotes with the chain inside"
            )
        # Intel's own service ends the text with a NUL byte.
        return self.certification_data.removesuffix(b"\0").decode("latin-1")

    def to_dict(self) -> dict[str, str | int]:
        """Every field, byte strings as hex."""
        return {
            "signature": self.signature.hex(),
            "attestation_key": self.attestation_key.hex(),
            "qe_report": self.qe_report.hex(),
            "qe_report_signature": self.qe_report_signature.hex(),
            "qe_auth_data": self.qe_auth_data.hex(),
            "certification_type": self.certification_type,
            "certification_data": self.certification_data.hex(),
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """One whole TDX quote; `raw` is the bytes it was read from."""

    header: Header
    body_type: int
    body: Body
    signature: Signature
    raw: bytes

    @property
    def signed_bytes(self) -> bytes:
        """The part that the attestation key signs: header, body descriptor and body."""
        start, size = _body_extent(self.header.version, self.body_type)
        return self.raw[: start + size]

    def to_dict(self) -> dict[str, object]:
        """{"header", "body", "signature"}, and for version 5 also "type" and "size", in hex."""
        described: dict[str, object] = {"header": self.header.to_dict()}
        if self.header.version == 5:
            _, size = _body_extent(5, self.body_type)
            described["type"] = self.body_type.to_bytes(2, "little").hex()
            described["size"] = size.to_bytes(4, "little").hex()
        described["body"] = self.body.to_dict()
        described["signature"] = self.signature.to_dict()
        return described


def parse_quote(data: bytes) -> Quote:
    """Read exactly one TDX quote of version 4 or 5.

    Raises BadInput, naming field and offset, when the bytes are too few, too many, or not a
    TDX quote signed with ECDSA-P256. It quotes numbers out of the bytes, for auditors; an attester
    shows it to nobody, for in what its host answers memory of this machine may stand.
    """
    quote, end = _parse_prefix(data)
    if end != len(data):
        raise BadInput(f"{len(data) - end} trailing bytes after the quote's end at offset {end}")
    return quote


def strip_padding(data: bytes) -> bytes:
    """The quote in `data` without the zero bytes after it.

    For attesters only: some quoting services size their buffer for the largest quote they
    know (70 bytes more than a version 4 quote needs) and hand out the rest as zeros. A
    relying party does not strip, it refuses. Raises BadInput as `parse_quote` does, also
    when anything but zeros follows the quote.
    """
    _, end = _parse_prefix(data)
    if data[end:].strip(b"\0"):
        raise BadInput(f"bytes other than padding after the quote's end at offset {end}")
    return data[:end]


def _parse_prefix(data: bytes) -> tuple[Quote, int]:
    """The quote that `data` begins with, and the offset where it ends."""
    header = parse_header(data)
    body_type = _parse_body_type(data, header.version)
    start, size = _body_extent(header.version, body_type)
    _need(start, size, len(data), "body")
    body = Body(*_BODIES[body_type].unpack_from(data, start))
    signature, end = _parse_signature(data, start + size)
    return Quote(header, body_type, body, signature, data), end


def parse_header(data: bytes) -> Header:
    """Read the header of a TDX quote, whatever follows it. Raises BadInput."""
    if not isinstance(data, bytes):
        raise BadInput(f"a quote is bytes, not {type(data).__name__}")
    if len(data) > MAX_QUOTE_SIZE:
        raise BadInput(f"{len(data)} bytes are too many: a quote has at most {MAX_QUOTE_SIZE}")
    _need(0, _HEADER.size, len(data), "header")
    header = Header(*_HEADER.unpack_from(data))
    if header.version not in (4, 5):
        raise BadInput(f"version at offset 0 is {header.version}: expected 4 or 5")
    if header.att_key_type != KEY_TYPE_ECDSA_P256:
        raise BadInput(
            f"att_key_type at offset 2 is {header.att_key_type}: expected 2 (ECDSA-P256)"
        )
    if header.tee_type != TEE_TYPE_TDX:
        raise BadInput(f"tee_type at offset 4 is {header.tee_type:#x}: expected 0x81 (TDX)")
    return header


def _parse_body_type(data: bytes, version: int) -> int:
    if version == 4:
        return BODY_TD10
    _need(_HEADER.size, _BODY_DESCRIPTOR.size, len(data), "body descriptor")
    body_type, size = _BODY_DESCRIPTOR.unpack_from(data, _HEADER.size)
    if body_type not in BODY_SIZES:
        raise BadInput(f"body type at offset 48 is {body_type}: expected 2, 3 or 4")
    if size != BODY_SIZES[body_type]:
        raise BadInput(
            f"body size at offset 50 is {size}: type {body_type} has {BODY_SIZES[body_type]}"
        )
    return int(body_type)


def _body_extent(version: int, body_type: int) -> tuple[int, int]:
    """Offset and size of the body."""
    descriptor = _BODY_DESCRIPTOR.size if version == 5 else 0
    return _HEADER.size + descriptor, BODY_SIZES[body_type]


def _parse_signature(data: bytes, offset: int) -> tuple[Signature, int]:
    """The signature data whose length field is at `offset`, and where it ends."""
    size, offset = _integer(data, offset, 4, len(data), "signature data length")
    _need(offset, size, len(data), "signature data")
    end = offset + size

    signature, offset = _take(data, offset, _SIGNATURE_SIZE, end, "signature")
    attestation_key, offset = _take(data, offset, _KEY_SIZE, end, "attestation_key")
    kind, offset = _integer(data, offset, 2, end, "certification data type")
    if kind != CERTIFICATION_QE_REPORT:
        raise BadInput(
            f"certification data type at offset {offset - 2} is {kind}: expected 6 (QE report)"
        )
    size, offset = _integer(data, offset, 4, end, "certification data size")
    _exactly(offset, size, end, "certification data")

    qe_report, offset = _take(data, offset, _QE_REPORT_SIZE, end, "qe_report")
    qe_signature, offset = _take(data, offset, _SIGNATURE_SIZE, end, "qe_report_signature")
    size, offset = _integer(data, offset, 2, end, "qe_auth_data size")
    auth_data, offset = _take(data, offset, size, end, "qe_auth_data")
    kind, offset = _integer(data, offset, 2, end, "QE certification data type")
    size, offset = _integer(data, offset, 4, end, "QE certification data size")
    _exactly(offset, size, end, "QE certification data")
    return Signature(
        signature, attestation_key, qe_report, qe_signature, auth_data, kind, data[offset:end]
    ), end


def _need(offset: int, size: int, end: int, field: str) -> None:
    if size > end - offset:
        raise BadInput(
            f"{field} at offset {offset} needs {size} bytes, {max(end - offset, 0)} are left"
        )


def _exactly(offset: int, size: int, end: int, field: str) -> None:
    if offset + size != end:
        raise BadInput(
            f"{field} at offset {offset} has size {size}, but its container has {end - offset}"
        )


def _take(data: bytes, offset: int, size: int, end: int, field: str) -> tuple[bytes, int]:
    _need(offset, size, end, field)
    return data[offset : offset + size], offset + size


def _integer(data: bytes, offset: int, size: int, end: int, field: str) -> tuple[int, int]:
    raw, offset = _take(data, offset, size, end, field)
    return int.from_bytes(raw, "little"), offset

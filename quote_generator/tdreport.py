"""TDREPORT: what the TDX module says of a trust domain, readable on the same machine only.

Layout: Intel TDX Module ABI, "TDREPORT_STRUCT": REPORTMACSTRUCT at 0, TEE_TCB_INFO at 256,
TDINFO_STRUCT at 512.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import BadInput

TDREPORT_SIZE = 1024
_TYPE_TDX = 0x81

# Field: offset, size.
_LAYOUT = {
    "report_type": (0, 4),
    "cpu_svn": (16, 16),
    "report_data": (128, 64),
    "mac": (224, 32),
    "tee_tcb_svn": (264, 16),
    "mr_seam": (280, 48),
    "mrsigner_seam": (328, 48),
    "seam_attributes": (376, 8),
    "td_attributes": (512, 8),
    "xfam": (520, 8),
    "mr_td": (528, 48),
    "mr_config_id": (576, 48),
    "mr_owner": (624, 48),
    "mr_owner_config": (672, 48),
    "rtmr_0": (720, 48),
    "rtmr_1": (768, 48),
    "rtmr_2": (816, 48),
    "rtmr_3": (864, 48),
    "mr_servicetd": (912, 48),
}


@dataclass(frozen=True)
class TdReport:
    """TdReport holds the fields of a TDREPORT, named as a quote's body names them."""

    report_type: bytes
    cpu_svn: bytes
    report_data: bytes
    mac: bytes
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
    mr_servicetd: bytes

    def to_dict(self) -> dict[str, str]:
        """Return the fields in hex."""
        return {field.name: getattr(self, field.name).hex() for field in fields(self)}


def parse_tdreport(data: bytes) -> TdReport:
    """Return the fields of a TDREPORT of exactly 1024 bytes. Raises BadInput."""
    if len(data) != TDREPORT_SIZE:
        raise BadInput(f"a TDREPORT has {TDREPORT_SIZE} bytes, this has {len(data)}")
    if data[0] != _TYPE_TDX:
        raise BadInput(f"report_type at offset 0 is {data[0]:#x}, of TDX it is {_TYPE_TDX:#x}")
    return TdReport(**{name: data[at : at + size] for name, (at, size) in _LAYOUT.items()})

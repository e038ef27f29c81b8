"""What a quote says of the TD, held against the policy: check 13 (td-attributes).

Bits: Intel TDX Module ABI, sections 3.4.1 (TDATTRIBUTES) and 3.4.2 (XFAM).
"""

from __future__ import annotations

from quote_generator.quote import Body

from .policy import FORBID, REQUIRE, Policy
from .rejections import rejected

_DEBUG = 1 << 0
_ATTRIBUTES = {
    "icssd": 16,
    "servtd_ext": 17,
    "lass": 27,
    "sept_ve_disable": 28,
    "migratable": 29,
    "pks": 30,
    "key_locker": 31,
    "tpa": 62,
    "perfmon": 63,
}
"""Bits of TDATTRIBUTES that a policy is about."""

_DEFINED = _DEBUG | sum(1 << bit for bit in _ATTRIBUTES.values())
"""All others must be zero: the lowest byte puts a TD under debug or profiling."""

_XFAM_FIXED1, _XFAM_ALLOWED = 0x3, 0x6DBE7
"""XFAM bits that must be, and that may be."""

NAMES_SERVICE_TD = 5
"""The version of quotes that can say, with a body of TDX 1.5, which service TD is bound."""

_SERVICE_TD_ATTRIBUTES = ("init_server_td_attr", "curr_server_td_attr")
_SERVICE_TDS = ("mr_servicetd", "init_server_td_hash", "curr_server_td_hash")
"""What a quote says of service TDs: at the start, and now."""


def check_td(body: Body, policy: Policy) -> None:
    """Raise Rejected unless the TD is one that the policy allows.

    A service TD that is bound to it, or was, could do with it what its code does: only one that
    the policy names may.
    """
    check_attributes(body, policy)
    for code, names in (
        ("service-td-attributes", _SERVICE_TD_ATTRIBUTES),
        ("service-td", _SERVICE_TDS),
    ):
        for name in names:
            if any(getattr(body, name) or b"") and name not in policy.reference_values:
                raise rejected(code, f"{name} is {getattr(body, name).hex()}")


def check_attributes(body: Body, policy: Policy) -> None:
    """Raise Rejected unless the TD's attributes are what the policy allows.

    That is all of the check where an attestation service judges: clouds bind service TDs of their
    own to every TD, and which ones are good is for the service to say. That the quote names them
    can be asked for there too.
    """
    bits = int.from_bytes(body.td_attributes, "little")
    if bits & _DEBUG:
        raise rejected("debug", body.td_attributes.hex())
    if bits & ~_DEFINED:
        raise rejected("reserved", body.td_attributes.hex())
    for name, bit in _ATTRIBUTES.items():
        is_set = bool(bits >> bit & 1)
        if getattr(policy.td_attributes, name) == (FORBID if is_set else REQUIRE):
            code = "sept-ve" if name == "sept_ve_disable" else "attributes-refused"
            raise rejected(code, f"{name} is {'on' if is_set else 'off'}")
    xfam = int.from_bytes(body.xfam, "little")
    if xfam & _XFAM_FIXED1 != _XFAM_FIXED1 or xfam & ~_XFAM_ALLOWED:
        raise rejected("xfam", body.xfam.hex())
    for name, wanted in policy.masked_values.items():
        actual = int.from_bytes(getattr(body, name), "little")
        if actual & wanted.mask != wanted.value:
            raise rejected("values-masked", f"{name} is {getattr(body, name).hex()}")
    if any(body.vmid or b"") and "vmid" not in policy.reference_values:
        raise rejected("nested-guest", f"vmid is {(body.vmid or b'').hex()}")
    # The host chooses the version of the quote, and by an older one it hides a service TD.
    if policy.min_quote_version == NAMES_SERVICE_TD and body.mr_servicetd is None:
        raise rejected("service-td-unknown")

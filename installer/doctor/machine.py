"""Whether this machine is a trust domain that can be attested: in the attester's own words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from cczoo_installer.doctor.findings import Finding, State, failure, note, ok, unknown, warning
from cczoo_installer.doctor.scene import Scene, text

_SIMULATOR = "simulator"
_TRANSPORT_CURE = "docs/attester.md has kernels, permissions and containers."


def look(scene: Scene) -> Sequence[Finding]:
    """Return what the attester finds: transports, Azure's paravisor, firmware log, registers."""
    told = scene.own
    if not told.members:
        return [unknown("attester", told.why, told.cure)]
    found = [*_transports(told.members)]
    if all(one.state is State.OK for one in found):  # else the rest follows from that
        found += [*_firmware_log(told.members), *_register(told.members)]
    if scene.server is not None and scene.server.user != os.geteuid():
        found.append(
            note(
                "other-user",
                "open-webui runs as another user than this: what is permitted may differ",
                f"Run as that user: `sudo -u '#{scene.server.user}' {scene.options.again}`.",
            )
        )
    return found


def _transports(members: Mapping[str, Any]) -> Sequence[Finding]:
    part = _part(members, "transports")
    listed = part.get("found")
    if not isinstance(listed, list):
        detail = text(part, "detail") or "the attester does not say which transports there are"
        return [failure("tdx-transports", detail, _TRANSPORT_CURE)]
    transports = [one for one in listed if isinstance(one, dict)]
    usable = [one for one in transports if one.get("usable") is True]
    real = [one for one in usable if one.get("name") != _SIMULATOR]
    facts: dict[str, Any] = {"transports": transports, "azure": members.get("azure") is True}
    if real:
        name, reason = text(real[0], "name"), (text(real[0], "reason") or "").rstrip(".")
        return [ok("tdx-transports", f"{name}: {reason}", **facts)]
    if usable:
        return [
            warning(
                "tdx-simulated",
                "no TDX here: the simulator makes the quotes, which prove nothing",
                "Badges are amber. Run it in a TDX trust domain, without "
                "QUOTE_GENERATOR_SIMULATE=1.",
                **facts,
            )
        ]
    if members.get("azure") is True:
        return [
            failure(
                "tdx-azure",
                "a virtual machine of Azure's: its paravisor keeps TDX to itself and vouches for "
                "the guest by the vTPM, which is not supported yet",
                "Use another cloud's TDX instances, or a TDX host of your own.",
                **facts,
            )
        ]
    first = next((one for one in transports if one.get("name") == "configfs-tsm"), {})
    reason, _semicolon, cure = (text(first, "reason") or "no transport is usable").partition("; ")
    cure = cure or _TRANSPORT_CURE
    return [failure("tdx-transports", f"no TDX: {reason}", _sentence(cure), **facts)]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _firmware_log(members: Mapping[str, Any]) -> Sequence[Finding]:
    part = _part(members, "firmware_log")
    if detail := text(part, "detail"):
        return [warning("firmware-log", detail, "Its events cannot be shown without it.")]
    found = part.get("found")
    if not isinstance(found, dict):
        return [
            note(
                "firmware-log",
                "this firmware hands out no event log (CCEL): what booted is known by hashes only",
                "Nothing is wrong with that; auditors see registers and no events.",
            )
        ]
    return [ok("firmware-log", f"firmware's event log: {found.get('events')} events", **found)]


def _register(members: Mapping[str, Any]) -> Sequence[Finding]:
    part = _part(members, "register")
    if detail := text(part, "detail"):
        reason, _semicolon, cure = detail.partition("; ")
        return [warning("rtmr", f"RTMR3 cannot be read: {reason}", _sentence(cure))]
    writable = _part(part, "found").get("writable")
    if writable is None:
        return [
            note(
                "rtmr",
                "RTMR3 can be read; this kernel has no file to extend it by (Linux 6.16)",
                "A vendor's kernel may have another way: open-webui's log says so at its start.",
            )
        ]
    if writable is not True:
        return [
            warning(
                "rtmr",
                "RTMR3 can be read and not extended: what runs here is stated, not measured",
                "Let open-webui's user write it (docs/measured.md).",
            )
        ]
    return [ok("rtmr", "RTMR3 can be read and extended")]


def _part(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = members.get(name)
    return found if isinstance(found, dict) else {}

"""Checks 4, 5, 8, 10, 11 and 12: TCB info, QE identity, and what they say of the platform."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from quote_generator.simulator import der

from .catalogue import (
    COLLATERAL,
    SIGNATURE,
    STATUS,
    Change,
    Entry,
    bad,
    body,
    both,
    certificate,
    document,
    good,
    qe,
    spelled,
)
from .world import BEGIN, NOW, Sgx, date, level, platform_tcb

EXACT = platform_tcb()
STATUSES = {
    "SWHardeningNeeded": True,
    "ConfigurationNeeded": True,
    "ConfigurationAndSWHardeningNeeded": True,
    "OutOfDate": False,
    "OutOfDateConfigurationNeeded": False,
    "Revoked": False,
}
"""Every status but UpToDate, and whether the default policy accepts it (with a warning)."""


def judged(name: str, number: int, status: str, change: Change) -> Entry:
    """Accepted or rejected as the default policy says. Revoked is no status to report."""
    if STATUSES.get(status, True):
        return good(name, number, change, status)
    if status == "Revoked":
        return bad(name, number, STATUS, change, reason="tcb-revoked")
    return bad(name, number, STATUS, change, status=status)


def _judged_own(name: str, number: int, status: str, change: Change) -> Entry:
    """The same of a TDX module or an enclave, which cannot have every status."""
    if status in ("OutOfDate", "Revoked"):
        return judged(name, number, status, change)
    return bad(name, number, COLLATERAL, change)


def _signed_documents(name: str, number: int) -> list[Entry]:
    """What may be wrong with a signed document, whichever it is."""

    def one(fault: str, reason: str | None = None, **fields: Any) -> Entry:
        change = spelled(name, **fields)
        return bad(f"{name}/{fault}", number, COLLATERAL, change, reason=reason)

    def unsigned(fault: str, **fields: Any) -> Entry:
        return one(fault, forged, **fields)

    def says(fault: str, reason: str | None = None, **members: Any) -> Entry:
        return bad(f"{name}/{fault}", number, COLLATERAL, document(name, **members), reason=reason)

    def other(fault: str, **members: Any) -> Entry:
        return says(fault, "other-platform", **members)

    def reindented(how: str, text: Callable[[str], str]) -> Entry:
        return good(f"{name}/re-indented {how}", number, spelled(name, text=text))

    forged = {"tcb_info": "tcb-info-forged", "qe_identity": "qe-identity-forged"}[name]
    member = {"tcb_info": "tcbInfo", "qe_identity": "enclaveIdentity"}[name]
    return [
        unsigned("forged", text=lambda text: text.replace("UpToDate", "SWHardeningNeeded", 1)),
        reindented("on one line", lambda text: json.dumps(json.loads(text))),
        reindented("on many lines", _indented),
        reindented("by tabs and CR LF", lambda text: re.sub('([{,:])"', '\\1\r\n\t "', text)),
        unsigned("re-indented and changed", text=lambda text: _indented(text).replace("17", "18")),
        unsigned("re-indented within a text", text=lambda text: text.replace("UpTo", "Up To", 1)),
        unsigned("re-indented by NBSP", text=lambda text: text.replace('":', '":\xa0')),
        unsigned("re-indented and sorted", text=lambda text: _indented(_sorted(text))),
        unsigned("signed with blanks that are gone", spell=_indented, text=_compact),
        unsigned(
            "signed with other blanks",
            spell=_indented,
            text=lambda text: text.replace(" ", "  ", 1),
        ),
        unsigned("members sorted", text=_sorted),
        unsigned("signed by a stranger", signer="stranger"),
        unsigned("signature of zeros", signature=lambda text: "00" * 64),
        unsigned(
            "signature with s and r changed over", signature=lambda text: text[64:] + text[:64]
        ),
        unsigned("both members twice", body=lambda text: f"{text[:-1]},{text[1:]}"),
        one("signature cut short", signature=lambda text: text[:-2]),
        one("signature with a byte more", signature=lambda text: text + "00"),
        one("signature in DER", signature=_as_der),
        one("signature not hex", signature=lambda text: "z" + text[1:]),
        one("empty", body=lambda text: ""),
        one("no JSON", body=lambda text: text[:-1]),
        one("text after the end", body=lambda text: text + "x"),
        one("a list", body=lambda text: f"[{text}]"),
        one("without a signature", body=lambda text: text[: text.rindex(",")] + "}"),
        one("two signatures", body=lambda text: text[:-1] + text[text.rindex(",") :]),
        one("another member", body=lambda text: text.replace(f'"{member}"', '"other"', 1)),
        one("member more", body=lambda text: text[:-1] + ',"more":1}'),
        *(
            one(f"{blank} {where}", body=_blank_at(where, char))
            for blank, char in (
                ("NBSP", "\xa0"),
                ("U+2028", "\u2028"),
                ("BOM", "\ufeff"),
                ("form feed", "\f"),
                ("vertical tab", "\v"),
            )
            for where in ("before", "after", "inside")
        ),
        one("member spelled with an escape", body=_escaped(member)),
        one("signature member spelled with an escape", body=_escaped("signature")),
        one("signature spelled with an escape", body=_escaped_signature),
        one("SVN of 1.0", spell=_respelled("svn", "{}.0")),
        one("SVN with an exponent", spell=_respelled("svn", "{}e0")),
        one("version with a fraction", spell=_respelled("version", "{}.0")),
        *(
            one(f"number {number} somewhere", spell=_with(number))
            for number in (
                "1.0",
                "1e3",
                "-0",
                "-1",
                "9007199254740992",
                "01",
                "+1",
                "NaN",
            )
        ),
        *(
            good(f"{name}/number {text} somewhere", number, spelled(name, spell=_with(text)))
            for text in ("9007199254740991", "0")
        ),
        one("33 values deep", spell=_with("[" * 32 + "]" * 32)),
        good(f"{name}/32 values deep", number, spelled(name, spell=_with("[" * 31 + "]" * 31))),
        good(f"{name}/text with a fraction", number, document(name, later="1.0, 2e3")),
        says("nextUpdate with milliseconds", nextUpdate=date(NOW + 1000)[:-1] + ".123Z"),
        says("issueDate with milliseconds", issueDate=date(NOW - 1000)[:-1] + ".000Z"),
        says("issueDate of year 0", issueDate="0000-01-01T00:00:00Z"),
        says("issueDate before 1970", issueDate="1969-12-31T23:59:59Z"),
        good(f"{name}/issueDate in 1970", number, document(name, issueDate=date(0))),
        says("date in other digits", nextUpdate=date(NOW + 1000).replace("2027", "\u0662027")),
        says("no evaluation number", tcbEvaluationDataNumber=None),
        says("evaluation number as text", tcbEvaluationDataNumber="17"),
        says("negative evaluation number", tcbEvaluationDataNumber=-1),
        says("evaluation number over 32 bits", tcbEvaluationDataNumber=1 << 32),
        one("signed list", spell=lambda text: f"[{text}]"),
        one("signed text", spell=json.dumps),
        one("signed repeated key", spell=lambda text: text.replace("{", '{"version":9,', 1)),
        one("signed repeated key inside", spell=_repeated_inside),
        good(f"{name}/signature first", number, spelled(name, body=_turned)),
        good(f"{name}/white space outside", number, spelled(name, body=_spaced(member))),
        good(f"{name}/white space inside", number, spelled(name, spell=_indented)),
        good(f"{name}/unknown member", number, document(name, later={"a": [1]})),
        says("expired", "collateral-expired", nextUpdate=date(NOW - 1)),
        good(f"{name}/ends now", number, document(name, nextUpdate=date(NOW))),
        says("issued in a second", "collateral-early", issueDate=date(NOW + 1)),
        good(f"{name}/issued now", number, document(name, issueDate=date(NOW))),
        says("no issue date", issueDate=None),
        says("no end", nextUpdate=None),
        says("date in another form", nextUpdate="2027-02-14T08:00:00+00:00"),
        says("date that is none", nextUpdate="2027-02-31T08:00:00Z"),
        says("date as a number", nextUpdate=NOW + 1000),
        other("another id", id={"tcb_info": "SGX", "qe_identity": "QE"}[name]),
        other("id missing", id=None),
        other("an older version", version={"tcb_info": 2, "qe_identity": 1}[name]),
        other("a later version", version={"tcb_info": 4, "qe_identity": 3}[name]),
        other("version as text", version={"tcb_info": "3", "qe_identity": "2"}[name]),
        other("no version", version=None),
        says("no levels member", tcbLevels=None),
        says("levels that are no objects", tcbLevels=["UpToDate"]),
        says("levels as an object", tcbLevels={}),
        says("no levels", tcbLevels=[]),
        other("another id, and no end", id="TDX_QE", nextUpdate=None),
        says("expired, and no levels", nextUpdate=date(NOW - 1), tcbLevels=[]),
    ]


def _with(value: str) -> Callable[[str], str]:
    """One more member that nobody knows, with this value."""
    return lambda text: f'{text[:-1]},"later":{value}}}'


def _compact(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


def _blank_at(where: str, char: str) -> Callable[[str], str]:
    """White space that is not JSON's, where JSON's may be."""
    return {
        "before": lambda text: char + text,
        "after": lambda text: text + char,
        "inside": lambda text: text.replace(":", f":{char}", 1),
    }[where]


def _escaped(member: str) -> Callable[[str], str]:
    """A member of the body, its first letter as an escape."""
    spelled = f"\\u{ord(member[0]):04x}{member[1:]}"
    return lambda text: text.replace(f'"{member}"', f'"{spelled}"', 1)


def _escaped_signature(text: str) -> str:
    at = text.rindex('"signature":"') + len('"signature":"')
    return f"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}"


def _respelled(member: str, form: str) -> Callable[[str], str]:
    """The first number of this name, or of one that ends so, in another spelling."""
    return lambda text: re.sub(
        rf'({member}":)(\d+)', lambda found: found[1] + form.format(found[2]), text, count=1
    )


def _sorted(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=1)


def _as_der(signature: str) -> str:
    return der.sequence(
        der.integer(int(signature[:64], 16)), der.integer(int(signature[64:], 16))
    ).hex()


def _repeated_inside(text: str) -> str:
    return text.replace('"tcbStatus":', '"tcbStatus":"Revoked","tcbStatus":', 1)


def _turned(text: str) -> str:
    at = text.rindex(',"signature"')
    return "{" + text[at + 1 : -1] + "," + text[1:at] + "}"


def _spaced(member: str) -> Callable[[str], str]:
    return lambda text: (
        text.replace(f'"{member}":', f' "{member}" :\n\t', 1).replace(',"sig', '\r\n, "sig') + "\n"
    )


def _raised(index: int, by: int = 1) -> list[int]:
    """The platform's SGX components, one of them raised."""
    components = list(Sgx().components)
    components[index] += by
    return components


def tdx_svns(*svns: int) -> list[int]:
    return [*svns, *[0] * (16 - len(svns))]


def _info(**members: Any) -> Change:
    return document("tcb_info", **members)


def platform_levels(*levels: Any) -> Change:
    return _info(tcbLevels=list(levels))


def module_identity(**members: Any) -> Change:
    """Set members of the TDX module identity; None removes one."""

    def change(world: Any) -> None:
        identity = world.tcb_info.value["tdxModuleIdentities"][0]
        identity.update(members)
        for member in [name for name, value in members.items() if value is None]:
            del identity[member]

    return change


def _also_identity(**members: Any) -> Change:
    """A second identity of a TDX module."""

    def change(world: Any) -> None:
        identities = world.tcb_info.value["tdxModuleIdentities"]
        identities.append(identities[0] | members)

    return change


def _cut(part: str, count: int) -> Change:
    """A level with another number of components."""
    tcb = platform_tcb()
    tcb[part] = (tcb[part] * 2)[:count]
    return platform_levels(level(**tcb))


LOWER = platform_tcb(sgx=[0] * 16)
LEVELS = [
    *(
        bad(
            f"tcb level/SGX component {index + 1} too low",
            10,
            STATUS,
            platform_levels(level(**platform_tcb(sgx=_raised(index)))),
        )
        for index in (0, 7, 15)
    ),
    bad("tcb level/PCESVN too low", 10, STATUS, platform_levels(level(**platform_tcb(pce_svn=14)))),
    *(
        bad(
            f"tcb level/TDX component {index + 1} too low",
            10,
            STATUS,
            platform_levels(level(**platform_tcb(tdx=[0] * index + [3] + [0] * (15 - index)))),
        )
        for index in (2, 15)
    ),
    good(
        "tcb level/TDX components 1 and 2 belong to the module",
        10,
        platform_levels(level(**platform_tcb(tdx=tdx_svns(99, 99, 2)))),
    ),
    bad(
        "tcb level/TDX component 1 too low for a module without a version",
        10,
        STATUS,
        both(
            body(tee_tcb_svn=bytes([5, 0, 2]) + bytes(13)),
            platform_levels(level(**platform_tcb(tdx=tdx_svns(6, 0, 2)))),
        ),
    ),
    good(
        "tcb level/a module without a version",
        10,
        both(
            body(tee_tcb_svn=bytes([5, 0, 2]) + bytes(13)),
            platform_levels(level(**platform_tcb(tdx=tdx_svns(5, 0, 2)))),
        ),
    ),
    good(
        "tcb level/the second one matches",
        10,
        platform_levels(
            level(**platform_tcb(pce_svn=14)),
            level("SWHardeningNeeded", "INTEL-SA-00615", **EXACT),
        ),
        "SWHardeningNeeded",
    ),
    bad(
        "tcb level/the second one matches and is out of date",
        10,
        STATUS,
        platform_levels(level(**platform_tcb(pce_svn=14)), level("OutOfDate", **EXACT)),
        status="OutOfDate",
        reason="tcb-status",
    ),
    good(
        "tcb level/unordered, the highest one counts",
        10,
        platform_levels(level("OutOfDate", **LOWER), level("SWHardeningNeeded", **EXACT)),
        "SWHardeningNeeded",
    ),
    bad(
        "tcb level/unordered, the highest one is out of date",
        10,
        STATUS,
        platform_levels(level(**LOWER), level("OutOfDate", **EXACT)),
        status="OutOfDate",
        reason="tcb-status",
    ),
    *(
        bad(
            f"tcb level/unordered by {part}, the highest one is revoked",
            10,
            STATUS,
            platform_levels(level(**platform_tcb(**lower)), level("Revoked", **EXACT)),
            reason="tcb-revoked",
        )
        for part, lower in (
            ("SGX components", {"sgx": [0] * 16}),
            ("PCESVN", {"pce_svn": 1}),
            ("TDX components", {"tdx": [0] * 16}),
        )
    ),
    bad(
        "tcb level/two of the same",
        10,
        COLLATERAL,
        platform_levels(level(**EXACT), level("Revoked", **EXACT)),
        reason="collateral-malformed",
    ),
    bad("tcb level/15 SGX components", 10, COLLATERAL, _cut("sgxtcbcomponents", 15)),
    bad("tcb level/15 TDX components", 10, COLLATERAL, _cut("tdxtcbcomponents", 15)),
    bad("tcb level/17 TDX components", 10, COLLATERAL, _cut("tdxtcbcomponents", 17)),
    bad(
        "tcb level/SVN over 255",
        10,
        COLLATERAL,
        platform_levels(level(**platform_tcb(sgx=[256, *[0] * 15]))),
    ),
    bad(
        "tcb level/negative SVN",
        10,
        COLLATERAL,
        platform_levels(level(**platform_tcb(sgx=[-1, *[0] * 15]))),
    ),
    bad(
        "tcb level/date in another form",
        10,
        COLLATERAL,
        platform_levels(level(**EXACT) | {"tcbDate": "2024"}),
    ),
    bad(
        "tcb level/date before 1970",
        10,
        COLLATERAL,
        platform_levels(level(**EXACT) | {"tcbDate": "1969-12-31T23:59:59Z"}),
    ),
    good("tcb level/date of 1970", 10, platform_levels(level(at=0, **EXACT))),
    *(
        bad(
            f"tcb level/advisory {text!a}",
            10,
            COLLATERAL,
            platform_levels(level("SWHardeningNeeded", text, **EXACT)),
        )
        for text in ("\ud800", "INTEL\0", "\u0130NTEL-SA-00837")
    ),
    good(
        "tcb level/advisory of another form",
        10,
        platform_levels(level("SWHardeningNeeded", "any ~ name", **EXACT)),
        "SWHardeningNeeded",
    ),
    *(
        bad(f"tdx module/id {text!a}", 11, COLLATERAL, module_identity(id=text))
        for text in ("TDX_01\ud800", "TDX_\ufb00")
    ),
    *(
        bad(
            f"tcb level/{status} in {which}",
            10,
            COLLATERAL,
            platform_levels(level(status, **platform_tcb(pce_svn=14)), level(**EXACT))
            if which == "another level"
            else platform_levels(level(status, **EXACT)),
        )
        for status in ("FullyTrusted", "TDRelaunchAdvised", "uptodate", "")
        for which in ("another level", "the level")
    ),
    bad(
        "tcb level/advisory as a number",
        10,
        COLLATERAL,
        platform_levels(level(**EXACT) | {"advisoryIDs": [837]}),
    ),
    bad(
        "tcb level/advisories as a text",
        10,
        COLLATERAL,
        platform_levels(level(**EXACT) | {"advisoryIDs": "INTEL-SA-00837"}),
    ),
    bad(
        "tcb level/status missing",
        10,
        COLLATERAL,
        platform_levels({"tcb": EXACT, "tcbDate": date(BEGIN)}),
    ),
    *(
        bad(
            f"tcb info/tcbType {value}",
            4,
            COLLATERAL,
            _info(tcbType=value),
            reason="collateral-malformed",
        )
        for value in (1, "0", False)
    ),
    bad("tcb info/no tcbType", 4, COLLATERAL, _info(tcbType=None), reason="collateral-malformed"),
    *(
        bad(f"tcb info/another {name}", 10, COLLATERAL, change, reason="other-platform")
        for name, change in (
            ("FMSPC", _info(fmspc="544553540001")),
            ("PCEID", _info(pceId="0001")),
        )
    ),
    bad("tcb info/FMSPC too long", 10, COLLATERAL, _info(fmspc="54455354000000")),
    bad("tcb info/FMSPC not hex", 10, COLLATERAL, _info(fmspc="TEST")),
    good("tcb info/FMSPC in small letters", 10, _info(fmspc="544553540000".lower())),
    bad(
        "pck/another FMSPC",
        10,
        COLLATERAL,
        certificate("pck", sgx=Sgx(top={"4": der.octets(b"TESU\0\0")})),
        reason="other-platform",
    ),
    bad(
        "pck/another PCEID",
        10,
        COLLATERAL,
        certificate("pck", sgx=Sgx(top={"3": der.octets(b"\1\0")})),
        reason="other-platform",
    ),
    *(
        judged(
            f"tcb level/{status}",
            12,
            status,
            platform_levels(level(status, "INTEL-SA-00837", **EXACT)),
        )
        for status in STATUSES
    ),
]

_PCESVN = certificate("pck", sgx=Sgx(pce_svn=der.integer(12)))
PLATFORMS = [
    bad("pck/lower PCESVN", 10, STATUS, _PCESVN),
    bad(
        "pck/lower SGX component",
        10,
        STATUS,
        certificate("pck", sgx=Sgx(components=_raised(5, -1))),
    ),
    bad("quote/lower TDX component", 10, STATUS, body(tee_tcb_svn=bytes([5, 1, 1]) + bytes(13))),
]

MODULES = [
    bad("module/another MRSIGNERSEAM", 11, STATUS, body(mrsigner_seam=b"\1" + bytes(47))),
    bad(
        "module/another MRSIGNERSEAM in the identity",
        11,
        STATUS,
        module_identity(mrsigner="01" + "00" * 47),
    ),
    bad("module/other SEAMATTRIBUTES", 11, STATUS, body(seam_attributes=b"\1" + bytes(7))),
    bad(
        "module/other SEAMATTRIBUTES in the identity",
        11,
        STATUS,
        module_identity(attributes="00" * 7 + "80"),
    ),
    bad(
        "module/SEAMATTRIBUTES outside the mask",
        11,
        STATUS,
        both(
            module_identity(attributesMask="00" + "FF" * 7), body(seam_attributes=b"\1" + bytes(7))
        ),
    ),
    bad(
        "module/attributes outside the mask in the identity alone",
        11,
        STATUS,
        module_identity(attributes="01" + "00" * 7, attributesMask="00" + "FF" * 7),
    ),
    bad(
        "module/SEAMATTRIBUTES that the identity has",
        11,
        STATUS,
        both(module_identity(attributes="01" + "00" * 7), body(seam_attributes=b"\1" + bytes(7))),
    ),
    good("module/a mask of zeros", 11, module_identity(attributesMask="00" * 8)),
    bad("module/ISVSVN too low", 11, STATUS, body(tee_tcb_svn=bytes([4, 1, 2]) + bytes(13))),
    bad("module/no levels", 11, COLLATERAL, module_identity(tcbLevels=[])),
    bad("module/another version", 11, STATUS, body(tee_tcb_svn=bytes([5, 2, 2]) + bytes(13))),
    bad("module/identity of another version", 11, STATUS, module_identity(id="TDX_03")),
    bad("module/no identities", 11, COLLATERAL, _info(tdxModuleIdentities=[])),
    *(
        bad(f"module/two identities {ids}", 11, COLLATERAL, _also_identity(id=ids))
        for ids in ("TDX_01", "tdx_01")
    ),
    bad(
        "module/a status of another identity that it cannot have",
        11,
        COLLATERAL,
        _also_identity(id="TDX_03", tcbLevels=[level("SWHardeningNeeded", isvsvn=5)]),
    ),
    good("module/two identities", 11, _also_identity(id="TDX_03")),
    bad("module/no identities member", 11, STATUS, _info(tdxModuleIdentities=None)),
    bad("module/no tdxModule", 11, COLLATERAL, _info(tdxModule=None)),
    bad("module/MRSIGNER too short", 11, COLLATERAL, module_identity(mrsigner="00" * 47)),
    bad("module/mask not hex", 11, COLLATERAL, module_identity(attributesMask="x" * 16)),
    good("module/identity in small letters", 11, module_identity(id="tdx_01")),
    bad(
        "module/the second level matches",
        12,
        STATUS,
        module_identity(tcbLevels=[level(isvsvn=6), level("OutOfDate", "INTEL-SA-1", isvsvn=3)]),
        status="OutOfDate",
    ),
    bad(
        "module/unordered levels, the highest one counts",
        11,
        STATUS,
        module_identity(tcbLevels=[level(isvsvn=1), level("Revoked", isvsvn=5)]),
        reason="tcb-revoked",
    ),
    bad(
        "module/two levels of the same",
        11,
        COLLATERAL,
        module_identity(tcbLevels=[level(isvsvn=5), level("Revoked", isvsvn=5)]),
        reason="collateral-malformed",
    ),
    bad(
        "module/another MRSIGNERSEAM without a version",
        11,
        STATUS,
        both(
            body(tee_tcb_svn=bytes([5, 0, 2]) + bytes(13), mrsigner_seam=b"\1" + bytes(47)),
            platform_levels(level(**platform_tcb(tdx=tdx_svns(5, 0, 2)))),
        ),
    ),
    good(
        "module/version 16",
        11,
        both(body(tee_tcb_svn=bytes([5, 16, 2]) + bytes(13)), module_identity(id="TDX_10")),
    ),
    *(
        _judged_own(
            f"module/{status}",
            12,
            status,
            module_identity(tcbLevels=[level(status, "INTEL-SA-00837", isvsvn=5)]),
        )
        for status in STATUSES
    ),
]

DEBUG = bytes.fromhex("13") + bytes(15)
QE = [
    bad("qe report/another MRSIGNER", 8, SIGNATURE, qe(mr_signer=b"\1" * 32)),
    bad("qe report/another ISVPRODID", 8, SIGNATURE, qe(isv_prod_id=1)),
    bad("qe report/another MISCSELECT", 8, SIGNATURE, qe(misc_select=1)),
    bad("qe report/other ATTRIBUTES", 8, SIGNATURE, qe(attributes=b"\x01" + bytes(15))),
    bad("qe report/debug", 8, SIGNATURE, qe(attributes=DEBUG), reason="qe-debug"),
    bad(
        "qe report/debug that the identity allows",
        8,
        SIGNATURE,
        both(qe(attributes=DEBUG), document("qe_identity", attributes=DEBUG.hex())),
        reason="qe-debug",
    ),
    bad(
        "qe report/debug outside the mask",
        8,
        SIGNATURE,
        both(
            qe(attributes=DEBUG),
            document("qe_identity", attributes="00" * 16, attributesMask="00" * 16),
        ),
        reason="qe-debug",
    ),
    good(
        "qe report/attributes outside the mask",
        8,
        qe(attributes=bytes.fromhex("15") + bytes(7) + bytes.fromhex("e7") + bytes(7)),
    ),
    good(
        "qe report/MISCSELECT outside the mask",
        8,
        both(qe(misc_select=1), document("qe_identity", miscselectMask="FEFFFFFF")),
    ),
    bad("qe report/ISVSVN too low", 8, STATUS, qe(isv_svn=3)),
    good("qe report/higher ISVSVN", 8, qe(isv_svn=0x105)),
    bad(
        "qe identity/MISCSELECT outside the mask",
        8,
        SIGNATURE,
        document("qe_identity", miscselect="01000000", miscselectMask="FEFFFFFF"),
    ),
    bad(
        "qe identity/MISCSELECT outside the mask, as in the report",
        8,
        SIGNATURE,
        both(
            qe(misc_select=1),
            document("qe_identity", miscselect="01000000", miscselectMask="FEFFFFFF"),
        ),
    ),
    bad(
        "qe identity/attributes outside the mask",
        8,
        SIGNATURE,
        document("qe_identity", attributes="15" + "00" * 15),
    ),
    bad("qe identity/another MRSIGNER", 8, SIGNATURE, document("qe_identity", mrsigner="00" * 32)),
    bad("qe identity/another ISVPRODID", 8, SIGNATURE, document("qe_identity", isvprodid=1)),
    bad("qe identity/MRSIGNER too short", 5, COLLATERAL, document("qe_identity", mrsigner="05E5")),
    bad("qe identity/no mask", 5, COLLATERAL, document("qe_identity", attributesMask=None)),
    bad(
        "qe identity/the second level matches",
        12,
        STATUS,
        document("qe_identity", tcbLevels=[level(isvsvn=6), level("OutOfDate", isvsvn=4)]),
        status="OutOfDate",
    ),
    bad(
        "qe identity/unordered levels, the highest one counts",
        8,
        STATUS,
        document("qe_identity", tcbLevels=[level(isvsvn=1), level("Revoked", isvsvn=4)]),
        reason="tcb-revoked",
    ),
    bad(
        "qe identity/two levels of the same",
        8,
        COLLATERAL,
        document("qe_identity", tcbLevels=[level(isvsvn=4), level("Revoked", isvsvn=4)]),
        reason="collateral-malformed",
    ),
    *(
        _judged_own(
            f"qe identity/{status}",
            12,
            status,
            document("qe_identity", tcbLevels=[level(status, "INTEL-SA-00837", isvsvn=4)]),
        )
        for status in STATUSES
    ),
]


ENTRIES = [
    *_signed_documents("tcb_info", 4),
    *_signed_documents("qe_identity", 5),
    *LEVELS,
    *PLATFORMS,
    *MODULES,
    *QE,
]

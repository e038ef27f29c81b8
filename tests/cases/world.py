"""Everything that a case is made of, as plain fields that a mutation may change before signing.

The shapes are Intel's: "Intel SGX PCK Certificate and CRL Profile" 1.5, "Intel SGX and TDX
Provisioning Certification Service API" version 4, and the quote layouts of `quote_generator.quote`.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from quote_generator.quote import BODY_TD10, BODY_TD15, BODY_TD15EX, INTEL_QE_VENDOR_ID
from quote_generator.simulator import der, pki
from quote_generator.simulator.quoting import DEFAULT_BODY

from . import encoding as x
from .encoding import DER, ECDSA_SHA256

NOW = 1_800_000_000
"""2027-01-15T08:00:00Z: the moment at which everything below is good."""

HOUR, DAY = 3600, 24 * 3600
BEGIN, END = NOW - DAY, NOW + 30 * DAY

ROOT_NAME = "TEST Intel SGX Root CA"
PLATFORM_NAME = "TEST Intel SGX PCK Platform CA"

DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN = 0, 5, 6
SUBJECT_KEY, AUTHORITY_KEY, POINTS = "2.5.29.14", "2.5.29.35", "2.5.29.31"
BASIC_CONSTRAINTS, KEY_USAGE, SGX = "2.5.29.19", "2.5.29.15", "1.2.840.113741.1.13.1"
CRL_NUMBER = "2.5.29.20"

POINT = "https://crl.test.invalid/list.der"
"""Where the certificates say that their issuer's list is. Nobody asks there."""

KINDS = {
    "v4": (4, BODY_TD10),
    "v5-td10": (5, BODY_TD10),
    "v5-td15": (5, BODY_TD15),
    "v5-td15ex": (5, BODY_TD15EX),
}
"""The quotes that there are: version and body type."""

_FIELDS = {BODY_TD10: 15, BODY_TD15: 17, BODY_TD15EX: 27}
"""How many fields a body has, by its type."""


@cache
def key(name: str, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """The key of that name: the same on every run."""
    seed = hashlib.sha512(f"{name}/{curve}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(seed[:31], "big") + 1, x.CURVES[curve])


def key_id(name: str, curve: str = "P-256") -> bytes:
    """The identifier of that key (RFC 7093, section 2, method 1)."""
    return hashlib.sha256(x.point(key(name, curve))).digest()[:20]


def date(seconds: int) -> str:
    """As Intel's documents write it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Sgx:
    """The SGX extension of a PCK certificate: OID arcs under SGX -> encoded value."""

    components: list[int] = field(default_factory=lambda: [4, 4, 2, 2, 4, 1, 0, 5] + [0] * 8)
    pce_svn: bytes = der.integer(13)
    top: dict[str, bytes] = field(default_factory=dict)
    tcb: dict[str, bytes] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()
    form: str = DER
    entry_form: str = DER
    more: bytes = b""
    tag: int = 0x30

    def encode(self) -> bytes:
        """The extension's value; `more` is added to its entries."""
        tcb = {f"2.{i}": der.integer(svn) for i, svn in enumerate(self.components, start=1)}
        tcb |= {"2.17": self.pce_svn, "2.18": der.octets(bytes(self.components))} | self.tcb
        top = {
            "1": der.octets(bytes(range(16))),
            "2": x.sequence(*(self._entry(arcs, value) for arcs, value in tcb.items() if value)),
            "3": der.octets(bytes(2)),
            "4": der.octets(b"TEST\0\0"),
            "5": der.enumerated(1),
            "6": der.octets(bytes(range(16, 32))),
            "7": x.sequence(*(self._entry(f"7.{i}", x.boolean(True)) for i in (1, 2, 3))),
        } | self.top
        entries = [self._entry(arcs, value) for arcs, value in top.items() if value]
        entries += [self._entry(arcs, top[arcs]) for arcs in self.repeated] + [self.more]
        return x.tlv(self.tag, b"".join(entries), self.form)

    def _entry(self, arcs: str, value: bytes) -> bytes:
        form = self.entry_form if arcs == "4" else DER
        return x.sequence(der.oid(f"{SGX}.{arcs}"), value, form=form)


@dataclass
class Certificate:
    """A certificate before it is signed; `signer` is the name of the key that does.

    `subject` and `issuer` are common names, or whole names that are encoded already; `serial` is a
    number from 0, or what is in the INTEGER.
    """

    subject: str | bytes
    issuer: str | bytes
    key: str
    signer: str
    serial: int | bytes
    ca: bool = False
    path: int | None = None
    usage: tuple[int, ...] | None = (DIGITAL_SIGNATURE,)
    start: int = BEGIN
    end: int = NOW + 365 * DAY
    late_form: bool = False
    version: int = 3
    curve: str = "P-256"
    signer_curve: str = "P-256"
    compressed: bool = False
    off_curve: bool = False
    constrained: bool = True
    extended: bool = True
    inner: str = ECDSA_SHA256
    outer: str = ECDSA_SHA256
    flip: bool = False
    unique_id: bytes = b""
    sgx: Sgx | None = None
    more: list[bytes] = field(default_factory=list)
    values: dict[str, bytes | None] = field(default_factory=dict)
    twice: tuple[str, ...] = ()
    forms: dict[str, str] = field(default_factory=dict)
    rewritten: Callable[[bytes], bytes] | None = None

    def extensions(self) -> list[bytes]:
        """Its extensions, encoded: with `values` in place of their own, None leaving one out."""
        values = {
            AUTHORITY_KEY: x.sequence(x.tlv(0x80, key_id(self.signer, self.signer_curve))),
            POINTS: x.distribution_point(POINT),
            SUBJECT_KEY: der.octets(key_id(self.key, self.curve)),
            BASIC_CONSTRAINTS: x.basic_constraints(self.ca, self.path),
            KEY_USAGE: None if self.usage is None else x.key_usage(self.usage),
            SGX: None if self.sgx is None else self.sgx.encode(),
        } | self.values
        if not self.constrained:
            values[BASIC_CONSTRAINTS] = None
        there = {oid: value for oid, value in values.items() if value is not None}
        return [
            x.extension(oid, there[oid], critical=oid in (BASIC_CONSTRAINTS, KEY_USAGE))
            for oid in (*there, *self.twice)
        ]

    def _serial(self) -> bytes:
        if isinstance(self.serial, bytes):
            return self.serial
        return self.serial.to_bytes(21, "big").lstrip(b"\0")

    def encode(self) -> bytes:
        """The signed certificate, DER."""
        extensions = [*self.more, *self.extensions()]
        form = self.forms.get
        public_key = x.public_key(key(self.key, self.curve), self.compressed)
        content = x.sequence(
            x.tlv(0xA0, der.integer(self.version - 1)) if self.version > 1 else b"",
            x.tlv(0x02, self._serial(), form("serial", DER)),
            x.algorithm(self.inner),
            x.name(self.issuer),
            x.sequence(
                x.time(self.start, self.late_form), x.time(self.end), form=form("validity", DER)
            ),
            x.name(self.subject),
            x.off_the_curve(public_key) if self.off_curve else public_key,
            self.unique_id,
            x.tlv(0xA3, x.sequence(*extensions, form=form("extensions", DER)))
            if self.extended
            else b"",
            form=form("content", DER),
        )
        if self.rewritten:
            content = self.rewritten(content)
        signer = key(self.signer, self.signer_curve)
        return x.signed(content, self.outer, signer, self.forms, self.flip)


@dataclass
class RevocationList:
    """A revocation list before it is signed."""

    issuer: str | bytes
    signer: str
    start: int = NOW - HOUR
    end: int | None = END
    late_form: bool = False
    revoked: list[int] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    version: int = 2
    unversioned: bool = False
    inner: str = ECDSA_SHA256
    outer: str = ECDSA_SHA256
    flip: bool = False
    critical: bool = False
    more: list[bytes] = field(default_factory=list)
    numbered: bool = True
    number: bytes = der.integer(1)
    authority: bool = True
    identifier: bytes | None = None
    extended: bool = True
    forms: dict[str, str] = field(default_factory=dict)
    rewritten: Callable[[bytes], bytes] | None = None

    def encode(self) -> bytes:
        """The signed list, DER."""
        entries = [x.sequence(der.integer(serial), x.time(NOW - DAY)) for serial in self.revoked]
        entries += self.entries
        authority = self.identifier or x.sequence(x.tlv(0x80, key_id(self.signer)))
        extensions = [
            *([x.extension(AUTHORITY_KEY, authority)] if self.authority else []),
            *([x.extension(CRL_NUMBER, self.number)] if self.numbered else []),
            *self.more,
        ]
        if self.critical:
            extensions.append(x.extension("1.3.6.1.4.1.99999.1", der.octets(b""), critical=True))
        form = self.forms.get
        content = x.sequence(
            der.integer(self.version - 1) if self.version > 1 and not self.unversioned else b"",
            x.algorithm(self.inner),
            x.name(self.issuer),
            x.tlv(0x17, x.time(self.start)[2:], form("time", DER)),
            b"" if self.end is None else x.time(self.end, self.late_form),
            x.sequence(*entries) if entries else b"",
            x.tlv(0xA0, x.sequence(*extensions)) if self.version > 1 and self.extended else b"",
            form=form("content", DER),
        )
        if self.rewritten:
            content = self.rewritten(content)
        return x.signed(content, self.outer, key(self.signer), self.forms, self.flip)


@dataclass
class Document:
    """TCB info or QE identity: `value` is signed as compact JSON, then `text` may change it."""

    member: str
    value: dict[str, Any]
    signer: str = "tcb"
    text: Callable[[str], str] = str
    body: Callable[[str], str] = str
    spell: Callable[[str], str] = str
    signature: Callable[[str], str] = str

    def encode(self) -> str:
        """The body as the service sends it. `spell` acts before signing, `text` after."""
        inner = self.spell(json.dumps(self.value, separators=(",", ":")))
        signature = self.signature(pki.sign_raw(key(self.signer), inner.encode()).hex())
        return self.body(f'{{"{self.member}":{self.text(inner)},"signature":"{signature}"}}')


def _root() -> Certificate:
    return Certificate(
        ROOT_NAME, ROOT_NAME, "root", "root", 1, True, 1, (KEY_CERT_SIGN, CRL_SIGN),
        end=NOW + 3650 * DAY,
    )  # fmt: skip


def _platform() -> Certificate:
    usage = (KEY_CERT_SIGN, CRL_SIGN)
    return Certificate(PLATFORM_NAME, ROOT_NAME, "platform", "root", 2, True, 0, usage)


def _certificates() -> dict[str, Certificate]:
    return {
        "root": _root(),
        "pinned": _root(),
        "platform": _platform(),
        "pck": Certificate(
            "TEST Intel SGX PCK Certificate", PLATFORM_NAME, "pck", "platform", 3, sgx=Sgx()
        ),
        "tcb": Certificate("TEST Intel SGX TCB Signing", ROOT_NAME, "tcb", "root", 4),
    }


def level(status: str = "UpToDate", *ids: str, at: int = BEGIN, **tcb: Any) -> dict[str, Any]:
    """A TCB level of any kind: its SVNs in `tcb`."""
    dated = {"tcb": tcb, "tcbDate": date(at), "tcbStatus": status}
    return dated | {"advisoryIDs": list(ids)} if ids else dated


def platform_tcb(
    sgx: list[int] | None = None, pce_svn: int = 13, tdx: list[int] | None = None
) -> dict[str, Any]:
    """The SVNs of a platform's TCB level; the defaults are exactly what the platform has."""
    sgx = [4, 4, 2, 2, 4, 1, 0, 5] + [0] * 8 if sgx is None else sgx
    tdx = [0, 0, 2] + [0] * 13 if tdx is None else tdx
    return {
        "sgxtcbcomponents": [{"svn": svn} for svn in sgx],
        "pcesvn": pce_svn,
        "tdxtcbcomponents": [{"svn": svn} for svn in tdx],
    }


def _tcb_info() -> Document:
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    value = {
        "id": "TDX",
        "version": 3,
        "issueDate": date(NOW - HOUR),
        "nextUpdate": date(END),
        "fmspc": b"TEST\0\0".hex().upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 17,
        "tdxModule": module,
        "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": [level(isvsvn=5)]}],
        "tcbLevels": [level(**platform_tcb())],
    }
    return Document("tcbInfo", value)


def _qe_identity() -> Document:
    value = {
        "id": "TD_QE",
        "version": 2,
        "issueDate": date(NOW - HOUR),
        "nextUpdate": date(END),
        "tcbEvaluationDataNumber": 17,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11" + "00" * 15,
        "attributesMask": "FB" + "FF" * 7 + "00" * 8,
        "mrsigner": "05E5" * 16,
        "isvprodid": 2,
        "tcbLevels": [level(isvsvn=4)],
    }
    return Document("enclaveIdentity", value)


@dataclass
class QeReport:
    """The quoting enclave's report (SDM volume 3D, REPORT), 384 bytes."""

    misc_select: int = 0
    attributes: bytes = bytes.fromhex("11") + bytes(15)
    mr_signer: bytes = b"\x05\xe5" * 16
    isv_prod_id: int = 2
    isv_svn: int = 4
    padding: bytes = bytes(32)
    binding: Callable[[bytes], bytes] = bytes

    def encode(self, digest: bytes) -> bytes:
        """The report over `digest`, which `binding` may change."""
        return b"".join(
            (
                bytes([4, 4, 2, 2, 4, 1, 0, 5]) + bytes(8),
                struct.pack("<I", self.misc_select) + bytes(28),
                self.attributes,
                b"\x9e" * 32 + bytes(32),
                self.mr_signer + bytes(96),
                struct.pack("<HH", self.isv_prod_id, self.isv_svn) + bytes(60),
                self.binding(digest) + self.padding,
            )
        )


@dataclass
class World:
    """A whole case before anything is signed. The default is good."""

    kind: str = "v4"
    certificates: dict[str, Certificate] = field(default_factory=_certificates)
    root_list: RevocationList = field(default_factory=lambda: RevocationList(ROOT_NAME, "root"))
    pck_list: RevocationList = field(
        default_factory=lambda: RevocationList(PLATFORM_NAME, "platform")
    )
    tcb_info: Document = field(default_factory=_tcb_info)
    qe_identity: Document = field(default_factory=_qe_identity)
    qe_report: QeReport = field(default_factory=QeReport)
    body: dict[str, bytes] = field(default_factory=lambda: _fields(DEFAULT_BODY))
    header: dict[str, Any] = field(default_factory=dict)
    auth_data: bytes = bytes(range(32))
    chains: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "pck": ("pck", "platform", "root"),
            "tcb_info_issuer": ("tcb", "root"),
            "qe_identity_issuer": ("tcb", "root"),
            "pck_crl_issuer": ("platform", "root"),
        }
    )
    qe_report_signer: str = "pck"
    quote_signer: str = "attestation"
    pem: Callable[[str, str], str] = lambda chain, text: text
    quote: Callable[[bytes], bytes] = bytes
    lists: Callable[[dict[str, bytes]], dict[str, bytes]] = dict
    collateral: Callable[[dict[str, str]], dict[str, str]] = dict
    now: float = NOW
    policy: object = None

    def case(self) -> dict[str, Any]:
        """The case as the conformance adapters read it."""
        made = {name: item.encode() for name, item in self.certificates.items()}
        lists = self.lists({"root_crl": self.root_list.encode(), "pck_crl": self.pck_list.encode()})
        chains = {
            name: self.pem(name, "".join(pem(made[item]) for item in items))
            for name, items in self.chains.items()
        }
        collateral = {
            "tcb_info_json": self.tcb_info.encode(),
            "qe_identity_json": self.qe_identity.encode(),
            **{f"{name}_der_b64": _base64(data) for name, data in lists.items()},
            **{f"{name}_chain_pem": chains[name] for name in chains if name != "pck"},
        }
        case = {
            "quote_b64": _base64(self.quote(self._quote(chains["pck"].encode("latin-1")))),
            "collateral": self.collateral(collateral),
            "root_ca_pem": pem(made["pinned"]),
            "now": self.now,
        }
        return case if self.policy is None else case | {"policy": self.policy}

    def _quote(self, chain: bytes) -> bytes:
        version, body_type = KINDS[self.kind]
        header = {
            "version": version,
            "att_key_type": 2,
            "tee_type": 0x81,
            "reserved": bytes(4),
            "vendor_id": INTEL_QE_VENDOR_ID,
            "user_data": bytes(20),
        } | self.header
        packed = b"".join([*self.body.values()][: _FIELDS[body_type]])
        descriptor = struct.pack("<HI", body_type, len(packed)) if version == 5 else b""
        signed = struct.pack("<HHI4s16s20s", *header.values()) + descriptor + packed

        attestation_key = pki.public_raw(key("attestation"))
        report = self.qe_report.encode(hashlib.sha256(attestation_key + self.auth_data).digest())
        certification = b"".join(
            (
                report,
                pki.sign_raw(key(self.qe_report_signer), report),
                struct.pack("<H", len(self.auth_data)) + self.auth_data,
                struct.pack("<HI", 5, len(chain)) + chain,
            )
        )
        signature = pki.sign_raw(key(self.quote_signer), signed) + attestation_key
        signature += struct.pack("<HI", 6, len(certification)) + certification
        return signed + struct.pack("<I", len(signature)) + signature


def pem(certificate: bytes) -> str:
    """A certificate as PEM (RFC 7468), whatever it holds."""
    text = _base64(certificate)
    lines = "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def _fields(body: Any) -> dict[str, bytes]:
    return {item.name: getattr(body, item.name) for item in dataclasses.fields(body)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

"""The simulator's PKI as others read it: openssl, files for other tools, and an older version's."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dcap_qvl
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from doubles.forking import killed_at, race
from quote_generator import __main__ as command_line
from quote_generator import atomic_file
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator, SimulatorError, pki, state
from quote_generator.simulator.files import files_of

NOW = 1_800_000_000
DAY = 24 * 3600
ROOT_LIST = "https://simulator.invalid/sgx/certification/v4/rootcacrl"
PCK_LIST = "https://simulator.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
SGX = "1.2.840.113741.1.13.1"


def openssl(*arguments: str, data: bytes = b"") -> str:
    """What openssl prints."""
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def certificates(td: Simulator) -> dict[str, str]:
    """Name -> PEM, of all four."""
    pck, platform, root = split(parse_quote(td.quote(bytes(64))).signature.pck_chain_pem)
    tcb, other_root = split(td.collateral()["tcb_info_issuer_chain"])
    assert root == other_root == td.root_pem
    return {"root": root, "platform": platform, "pck": pck, "tcb": tcb}


def split(chain: str) -> list[str]:
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", chain, re.S)


def told(pem: str) -> tuple[str, dict[str, str]]:
    """openssl's text of a certificate, and of it the extensions: name -> value."""
    text = openssl("x509", "-noout", "-text", "-nameopt", "RFC2253", data=pem.encode())
    extensions = text.split("X509v3 extensions:\n")[1].split("    Signature Algorithm")[0]
    parts = re.split(r"^ {12}(\S.*?): ?\n?", extensions, flags=re.M)[1:]
    values = (" ".join(value.split()) for value in parts[1::2])
    return text, dict(zip(parts[::2], values, strict=True))


# --- certificates and lists --------------------------------------------------------------------

USUAL = ["X509v3 Authority Key Identifier", "X509v3 CRL Distribution Points"]
USUAL += ["X509v3 Subject Key Identifier", "X509v3 Key Usage", "X509v3 Basic Constraints"]
SIGNS = ("critical Digital Signature, Non Repudiation", "critical CA:FALSE")
CERTIFIES = "critical Certificate Sign, CRL Sign"


@pytest.mark.parametrize(
    ("name", "common_name", "issuer", "list_at", "usage"),
    [
        (
            "root",
            "Intel SGX Root CA",
            "root",
            ROOT_LIST,
            (CERTIFIES, "critical CA:TRUE, pathlen:1"),
        ),
        (
            "platform",
            "Intel SGX PCK Platform CA",
            "root",
            ROOT_LIST,
            (CERTIFIES, "critical CA:TRUE, pathlen:0"),
        ),
        ("pck", "Intel SGX PCK Certificate", "platform", PCK_LIST, SIGNS),
        ("tcb", "Intel SGX TCB Signing", "root", ROOT_LIST, SIGNS),
    ],
)
def test_certificates_are_as_intels_own(
    simulator: Simulator,
    name: str,
    common_name: str,
    issuer: str,
    list_at: str,
    usage: tuple[str, str],
) -> None:
    made = certificates(simulator)
    text, extensions = told(made[name])
    issuers_text, issuers = told(made[issuer])
    assert f"Subject: O=Confidential Computing Zoo SIMULATION,CN={common_name}\n" in text
    assert f"Issuer:{issuers_text.split('Subject:')[1].split(chr(10))[0]}\n" in text
    assert list(extensions) == USUAL + [SGX] * (name == "pck")
    key_id = "X509v3 Subject Key Identifier"
    assert extensions["X509v3 Authority Key Identifier"] == issuers[key_id]
    assert extensions["X509v3 CRL Distribution Points"] == f"Full Name: URI:{list_at}"
    assert (extensions["X509v3 Key Usage"], extensions["X509v3 Basic Constraints"]) == usage
    assert "Version: 3 (0x2)" in text
    assert "ASN1 OID: prime256v1" in text
    assert text.count("Signature Algorithm: ecdsa-with-SHA256") == 2


def test_serial_numbers_are_positive_and_never_the_same(simulator: Simulator) -> None:
    serials = {
        openssl("x509", "-noout", "-serial", data=pem.encode())
        for pem in certificates(simulator).values()
    }
    assert len(serials) == 4
    for serial in serials:
        assert re.fullmatch(r"serial=[\dA-F]{38}\n", serial)  # openssl writes a minus otherwise


def test_the_sgx_extension_has_every_entry(simulator: Simulator) -> None:
    certificate = x509.load_pem_x509_certificate(certificates(simulator)["pck"].encode())
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX)).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    text = openssl("asn1parse", "-inform", "DER", data=extension.value)
    oids = re.findall(rf"OBJECT +:{re.escape(SGX)}\.([\d.]+)$", text, re.M)
    components = [f"2.{number}" for number in range(1, 19)]
    assert oids == ["1", "2", *components, "3", "4", "5", "6", "7", "7.1", "7.2", "7.3"]
    values = re.findall(r"l= *(\d+) prim: (OCTET STRING|ENUMERATED|BOOLEAN)", text)
    octets = [("OCTET STRING", size) for size in ("16", "16", "2", "6")]  # PPID, CPUSVN, PCEID
    rest = [("ENUMERATED", "1"), ("OCTET STRING", "16"), *[("BOOLEAN", "1")] * 3]
    assert [(kind, size) for size, kind in values] == octets + rest
    assert text.count("prim: INTEGER") == 17  # the components and the PCE's version


@pytest.mark.parametrize(("name", "issuer"), [("root_ca_crl", "root"), ("pck_crl", "platform")])
def test_revocation_lists_name_their_issuer_and_a_number(
    tmp_path: Path, name: str, issuer: str
) -> None:
    now = [float(NOW)]
    td = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    numbers = []
    for _ in range(3):
        crl = bytes.fromhex(td.collateral()[name])
        options = ("crl", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253")
        text = openssl(*options, data=crl)
        issuers_text, issuers = told(certificates(td)[issuer])
        assert f"Issuer:{issuers_text.split('Subject:')[1].split(chr(10))[0]}\n" in text
        [key_id] = re.findall(r"X509v3 Authority Key Identifier: \n +(\S+)", text)
        assert key_id == issuers["X509v3 Subject Key Identifier"]
        [number] = re.findall(r"X509v3 CRL Number: \n +(\S+)\n", text)
        numbers.append(int(number, 0))
        now[0] += 25 * DAY
    assert 0 <= numbers[0] < numbers[1] < numbers[2]


# --- files for other tools ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command writes."""
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATOR_DIR", str(tmp_path / "td"))
    assert command_line.main(["simulator", str(tmp_path / "new" / "files")]) == 0
    return tmp_path / "new" / "files"


def test_the_command_says_what_it_writes(capsys: Any, folder: Path) -> None:
    written = capsys.readouterr().out.splitlines()
    assert sorted(written) == sorted(str(path) for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert "PRIVATE" not in "".join(path.read_text("latin-1") for path in folder.iterdir())
    assert command_line.main(["simulator", str(folder)]) == 0  # again, over what is there


def test_a_folder_that_cannot_be_is_an_error_in_words(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATOR_DIR", str(tmp_path / "td"))
    (tmp_path / "file").touch()
    assert command_line.main(["simulator", str(tmp_path / "file")]) == 1
    assert f"{tmp_path / 'file'}" in capsys.readouterr().err


def test_openssl_follows_the_files(folder: Path, tmp_path: Path) -> None:
    """Chains, lists and revocation, as strictly as it can."""
    assert openssl("x509", "-in", f"{folder}/root.der") == (folder / "root.pem").read_text()
    td = Simulator.open(tmp_path / "td")
    pck = tmp_path / "pck.pem"
    pck.write_text(certificates(td)["pck"])
    lists = tmp_path / "lists.pem"
    names = ("root_crl", "pck_crl")
    lists.write_text(
        "".join(openssl("crl", "-inform", "DER", "-in", f"{folder}/{name}.der") for name in names)
    )
    strictly = ("verify", "-x509_strict", "-crl_check_all", "-CAfile", f"{folder}/root.pem")
    strictly += ("-CRLfile", str(lists))
    openssl(*strictly, "-untrusted", f"{folder}/pck_crl_issuer_chain.pem", str(pck))
    for name in ("tcb_info", "qe_identity"):
        openssl(*strictly, f"{folder}/{name}_issuer_chain.pem")


def test_documents_are_as_they_were_signed(folder: Path, tmp_path: Path) -> None:
    collateral = Simulator.open(tmp_path / "td").collateral()
    for member, name in (("tcbInfo", "tcb_info"), ("enclaveIdentity", "qe_identity")):
        text = (folder / f"{name}.json").read_text()
        assert f'"{member}":{collateral[name]}' in text
        assert json.loads(text).keys() == {member, "signature"}


def test_the_file_of_the_client_tool_has_it_all(folder: Path, tmp_path: Path) -> None:
    """Re-written as its readers do, the documents still are what was signed."""
    told = json.loads((folder / "platform_collaterals.json").read_text())["collaterals"]
    [info] = told["tcbinfos"]
    chains = told["certificates"]
    again = {
        "pck_crl_issuer_chain": unquote(chains["SGX-PCK-Certificate-Issuer-Chain"]["PLATFORM"]),
        "root_ca_crl": told["rootcacrl"],
        "pck_crl": told["pckcacrl"]["platformCrl"],
        "tcb_info_issuer_chain": unquote(chains["TCB-Info-Issuer-Chain"]),
        "tcb_info": json.dumps(info["tdx_tcbinfo"]["tcbInfo"], separators=(",", ":")),
        "tcb_info_signature": info["tdx_tcbinfo"]["signature"],
        "qe_identity_issuer_chain": unquote(chains["SGX-Enclave-Identity-Issuer-Chain"]),
        "qe_identity": json.dumps(told["tdqeidentity"]["enclaveIdentity"], separators=(",", ":")),
        "qe_identity_signature": told["tdqeidentity"]["signature"],
    }
    assert "\n" not in chains["TCB-Info-Issuer-Chain"]
    td = Simulator.open(tmp_path / "td")
    assert again == td.collateral()
    assert bytes.fromhex(info["fmspc"]) == pki.FMSPC
    assert f"URI:{told['rootcacrl_cdp']}" in told_of_root(td)


def told_of_root(td: Simulator) -> str:
    return told(td.root_pem)[1]["X509v3 CRL Distribution Points"]


def test_a_platforms_code_reads_the_same_in_either_case() -> None:
    """go-tdx-guest compares it as text."""
    assert pki.FMSPC.hex() == pki.FMSPC.hex().upper()


def test_the_usual_collateral_is_what_is_written(simulator: Simulator) -> None:
    files = files_of(simulator.root_der, simulator.root_pem, simulator.collateral())
    assert files["root.der"] == simulator.root_der
    assert files["pck_crl.der"].hex() == simulator.collateral()["pck_crl"]


def test_a_collateral_service_can_be_started_for_other_tools(simulator: Simulator) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "doubles.pccs", "--simulator", str(simulator.directory)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        lists = {"root_crl.der": ROOT_LIST, "pck_crl.der": PCK_LIST}
        answers = {
            name: httpx.get(address.replace("https://simulator.invalid", url), trust_env=False)
            for name, address in lists.items()
        }
    finally:
        process.terminate()
        process.wait(30)
    files = files_of(simulator.root_der, simulator.root_pem, simulator.collateral())
    assert {name: answer.content for name, answer in answers.items()} == {
        name: files[name] for name in lists
    }


# --- a state that an older version made --------------------------------------------------------


def older(td: Simulator) -> None:
    """Make `td`'s folder one of format 1: own common names, and no distribution points."""
    stored = state.load(td.directory)
    assert stored is not None
    names = {name: f"{stored.name} {text}" for name, text in pki.COMMON_NAMES.items()}
    names["root"] = f"{stored.name} Root CA"

    def issue(name: str, issuer: str, path: int | None) -> x509.Certificate:
        begin = datetime.datetime.fromtimestamp(int(time.time()), datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name.from_rfc4514_string(f"CN={names[name]}"))
            .issuer_name(x509.Name.from_rfc4514_string(f"CN={names[issuer]}"))
            .public_key(stored.keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - datetime.timedelta(days=1))
            .not_valid_after(begin + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(path is not None, path), critical=True)
            .sign(stored.keys[issuer], hashes.SHA256())
        )

    made = {
        "root": issue("root", "root", 1),
        "platform": issue("platform", "root", 0),
        "pck": issue("pck", "platform", None),
        "tcb": issue("tcb", "root", None),
    }
    with state.locked(td.directory):
        state.save(td.directory, dataclasses.replace(stored, certificates=made, format=1))
        (td.directory / "root.pem").write_text(pki.chain_pem(made["root"]))


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "td"
    older(Simulator.open(folder))
    return folder


def point_of(pem: str) -> ec.EllipticCurvePublicNumbers:
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_numbers()


def assert_good(folder: Path, td: Simulator) -> None:
    """Its quotes verify with what is published, and every certificate is as of today."""
    published = (folder / "root.pem").read_text()
    assert published == td.root_pem
    collateral = dcap_qvl.QuoteCollateralV3.from_json((folder / "collateral.json").read_text())
    quote = td.quote(bytes(64))
    verdict = dcap_qvl.verify_with_root_ca(quote, collateral, td.root_der, int(time.time()))
    assert verdict.status == "UpToDate"
    for pem in certificates(td).values():
        assert "X509v3 CRL Distribution Points" in told(pem)[1]


def test_an_older_state_is_renewed_and_its_owner_is_told(
    old_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_root = (old_folder / "root.pem").read_text()
    (old_folder / "boot").mkdir()
    (old_folder / "boot" / "registers.json").write_text(json.dumps({"rtmr_3": "33" * 48}))
    with caplog.at_level(logging.WARNING):
        td = Simulator.open(old_folder)
    assert_good(old_folder, td)
    assert td.root_pem != old_root
    assert point_of(td.root_pem) == point_of(old_root)
    assert parse_quote(td.quote(bytes(64))).body.rtmr_3 == b"\x33" * 48
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith(str(old_folder / "root.pem"))
    assert "the same key" in message
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert Simulator.open(old_folder).root_der == td.root_der
    assert not caplog.records


def test_a_usual_renewal_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Simulator.open(tmp_path, clock=lambda: NOW)
        Simulator.open(tmp_path, clock=lambda: NOW + 25 * DAY)
    assert not caplog.records


@pytest.mark.parametrize("number", [0, 3, "2", None])
def test_a_state_of_another_format_is_left_alone(tmp_path: Path, number: object) -> None:
    path = Simulator.open(tmp_path).directory / "state.json"
    text = json.dumps(json.loads(path.read_text()) | {"format": number})
    path.write_text(text)
    with pytest.raises(SimulatorError, match="of this version"):
        Simulator.open(tmp_path)
    assert path.read_text() == text


def test_an_older_root_is_not_kept_when_the_disk_was_full(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in old_folder.iterdir()}

    def full(**_: Any) -> Any:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(atomic_file.tempfile, "mkstemp", full)
    with pytest.raises(SimulatorError, match="No space left"):
        Simulator.open(old_folder)
    assert {path.name: path.read_bytes() for path in old_folder.iterdir()} == before
    monkeypatch.undo()
    assert_good(old_folder, Simulator.open(old_folder))


def test_processes_race_to_one_renewal(old_folder: Path) -> None:
    made = f"(td := Simulator.open({str(old_folder)!r})).root_der"
    told = "td.collateral()['tcb_info_signature'], td.quote(bytes(64))"
    seen = race("from quote_generator.simulator import Simulator, machine", f"({made}, {told})", 4)
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert_good(old_folder, Simulator.open(old_folder))


def test_a_killed_renewal_does_no_harm(tmp_path: Path) -> None:
    """kill -9 at each file operation: what is there is wholly old or wholly new, and opens."""
    imports = "from quote_generator.simulator import machine, Simulator"
    operations = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir")
    killed = 0
    with killed_at(imports, "Simulator.open(path)", operations) as run:
        for point in range(1, 16):
            folder = tmp_path / f"td-{point}"
            td = Simulator.open(folder)
            older(td)
            killed += run(point, folder) == -signal.SIGKILL
            stored = state.load(folder)
            assert stored is not None
            assert {key.curve.name for key in stored.keys.values()} == {"secp256r1"}
            again = Simulator.open(folder)
            assert_good(folder, again)
            assert point_of(again.root_pem) == point_of(td.root_pem)
    assert killed >= 8

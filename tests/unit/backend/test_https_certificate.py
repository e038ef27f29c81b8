"""The certificate that HTTPS is served by: made once, kept, renewed in time, never overwritten."""

from __future__ import annotations

import datetime
import ipaddress
import multiprocessing
import os
import re
import resource
import ssl
import stat
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from cczoo_backend import https_certificate
from cczoo_backend.https_certificate import (
    Certificate,
    CertificateError,
    Name,
    given_certificate,
    kept_certificate,
    own_names,
    parse_name,
)
from quote_generator.tls_certificate import fingerprint, is_self_signed, parse_fingerprint

NOW = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
OWN: Sequence[Name] = ["machine", ipaddress.ip_address("192.0.2.7"), "localhost"]


def kept(folder: Path, *asked: str, now: datetime.datetime = NOW) -> Certificate:
    return kept_certificate(folder, [parse_name(name) for name in asked], own=OWN, now=now)


def read(found: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.file.read_bytes())


def names_in(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it is kept: neither the folder nor the kit's own is there yet."""
    return tmp_path / "cczoo" / "https"


# One that is made


def test_it_is_made_once_and_then_stays(folder: Path) -> None:
    first = kept(folder)
    before = first.file.read_bytes()
    assert first.made_because == "there was none yet"
    later = kept(folder, now=NOW + datetime.timedelta(days=500))
    assert (later.fingerprint, later.made_because) == (first.fingerprint, None)
    assert first.file.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["certificate.lock", "certificate.pem"]


def test_its_key_is_its_owners_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        made = kept(folder)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (folder.parent, folder, made.file)]
    assert modes == [0o700, 0o700, 0o600]


def test_it_is_for_one_server_and_signs_no_other(folder: Path) -> None:
    made = kept(folder, "chat.example", "203.0.113.9", "[2001:db8::9]")
    certificate = read(made)
    extensions = certificate.extensions
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert names_in(certificate) == {
        *("chat.example", "203.0.113.9", "2001:db8::9"),
        *("machine", "192.0.2.7", "localhost"),
    }
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life <= datetime.timedelta(days=825)  # Apple's systems take none that lives longer
    assert certificate.not_valid_before_utc < NOW


def test_a_tls_server_takes_it_and_its_fingerprint_is_the_one_that_is_told(folder: Path) -> None:
    made = kept(folder)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.file, made.key_file)
    der = read(made).public_bytes(Encoding.DER)
    assert re.fullmatch("[0-9A-F]{2}(:[0-9A-F]{2}){31}", made.fingerprint)
    assert made.fingerprint == fingerprint(der)
    assert made.is_self_signed
    assert is_self_signed(der)


@pytest.mark.parametrize("days", [800 - 180, 800, 5000, -2])
def test_it_is_made_anew_before_it_ends_and_where_it_does_not_count_yet(
    folder: Path, days: int
) -> None:
    first = kept(folder)
    now = NOW + datetime.timedelta(days=days)
    second = kept(folder, now=now)
    assert second.fingerprint != first.fingerprint
    assert "the one before" in str(second.made_because)
    assert second.ends > now + datetime.timedelta(days=700)
    assert kept(folder, now=now).fingerprint == second.fingerprint


def test_it_is_made_anew_for_a_name_that_it_lacks_and_for_no_other_reason(folder: Path) -> None:
    first = kept(folder, "chat.example")
    second = kept(folder, "chat.example", "2001:DB8::0009")
    assert second.made_because == "the one before was not for 2001:db8::9"
    for names in (["2001:db8::9"], ["CHAT.example"], []):
        assert kept(folder, *names).fingerprint == second.fingerprint
    assert first.fingerprint != second.fingerprint
    # The machine has other addresses by now: what people compared counts more.
    other = kept_certificate(folder, [], own=["elsewhere"], now=NOW)
    assert other.fingerprint == second.fingerprint


def ask_at_once(folder: Path) -> str:
    return kept(folder).fingerprint


def test_starts_at_the_same_time_get_the_same(folder: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        found = set(pool.map(ask_at_once, [folder] * 12))
    assert found == {kept(folder).fingerprint}


def test_what_a_killed_start_left_is_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".new-left").write_bytes(b"half a key")
    kept(folder)
    assert not (folder / ".new-left").exists()


# What cannot be used is told, and never overwritten


def refused(folder: Path, code: str = "https-certificate-unusable") -> str:
    with pytest.raises(CertificateError) as caught:
        kept(folder)
    assert caught.value.code == code
    assert "--https-certificate" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("part", [0, 1, 100, 300, 600, -40])
def test_half_a_file_is_left_as_it_is(folder: Path, part: int) -> None:
    made = kept(folder)
    content = made.file.read_bytes()[:part]
    made.file.write_bytes(content)
    assert "Move it away" in refused(folder)
    assert made.file.read_bytes() == content


def of_another_key(mine: bytes, other: bytes) -> bytes:
    end = b"-----END PRIVATE KEY-----\n"
    return mine.partition(end)[0] + end + other.partition(end)[2]


def test_somebody_elses_file_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    made = kept(folder)
    mine, other = made.file.read_bytes(), kept(tmp_path / "b" / "https").file.read_bytes()
    foreign = [
        b"\x00" * 10_000,
        b"<script>\x1b[2J\n",
        mine + other,
        of_another_key(mine, other),
        b"\n" * (1 << 20) + mine,
        given_files(tmp_path, "another")[0].read_bytes(),
    ]
    for content in foreign:
        made.file.write_bytes(content)
        assert re.search("no whole|not one that|another certificate|larger", refused(folder))
        assert made.file.read_bytes() == content
    made.file.write_bytes(mine)
    assert kept(folder).fingerprint == made.fingerprint


def test_what_is_no_plain_file_of_ours_is_not_followed(folder: Path, tmp_path: Path) -> None:
    made = kept(folder)
    elsewhere = made.file.rename(tmp_path / "elsewhere.pem")
    made.file.symlink_to(elsewhere)
    refused(folder)
    made.file.unlink()
    made.file.mkdir()
    assert "no plain file" in refused(folder)
    made.file.rmdir()
    os.mkfifo(made.file)  # nobody writes into it: that must not be waited for
    assert "no plain file" in refused(folder)
    made.file.unlink()
    elsewhere.rename(made.file).chmod(0o640)
    assert "chmod 600" in refused(folder)


def test_a_folder_in_whose_place_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cczoo").write_text("in the way")
    assert "DATA_DIR" in refused(tmp_path / "cczoo" / "https", "https-certificate-not-stored")
    gone = tmp_path / "not" / "there" / "https"
    assert "No such file" in refused(gone, "https-certificate-not-stored")


def test_a_folder_that_takes_no_files_is_told() -> None:
    """Whoever asks: the kernel's own file system refuses root as well."""
    refused(Path("/proc/cczoo/https"), "https-certificate-not-stored")


def test_a_file_that_cannot_grow_leaves_what_was_there(folder: Path) -> None:
    """As on a full disk: the kernel takes the first bytes and no more."""
    first = kept(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(CertificateError, match="File too large") as caught:
            kept(folder, "new.example")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == "https-certificate-not-stored"
    assert kept(folder).fingerprint == first.fingerprint
    assert sorted(path.name for path in folder.iterdir()) == ["certificate.lock", "certificate.pem"]


def test_a_lock_that_somebody_holds_is_waited_for_in_bounds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(folder)
    monkeypatch.setattr(https_certificate, "LOCK_SECONDS", 0.1)
    lock = https_certificate.FileLock(folder / "certificate.lock")
    with lock, pytest.raises(CertificateError) as caught:
        kept(folder)
    assert caught.value.code == "https-certificate-busy"


# Names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("chat.example", "chat.example"),
        ("Chat.Example", "chat.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("vm-1", "vm-1"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:DB8::7]", "2001:db8::7"),
    ],
)
def test_names_and_addresses_are_read(text: str, name: str) -> None:
    assert str(parse_name(text)) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "a..b", "-a", "a-", "a_b", "*.example", "bücher.example", "chat.example."),
        *("chat.example:8080", "https://chat.example", "203.0.113", "203.0.113.256", "1.2.3.4.5"),
        *("a\nb", "a\x00", "a\x1b[2J", "<b>", "a" * 64, "a." * 127 + "com", "1" * 10_000),
    ],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a server's name"):
        parse_name(text)


def test_a_machine_knows_itself_as_localhost_at_least() -> None:
    names = own_names()
    assert {"localhost", ipaddress.ip_address("127.0.0.1")} <= set(names)
    assert len(names) == len(set(names))
    for odd in ("my_machine", "", "a\nb", "x" * 300):
        assert odd not in own_names(odd)
    assert "vm" in own_names("vm")


# One that is given


def given_files(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate that a stand-in for an authority issued, and its key, in two files."""
    made = kept(folder / name / "https")
    content = made.file.read_bytes()
    key = load_pem_private_key(content, None)
    own = x509.load_pem_x509_certificate(content)
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name.from_rfc4514_string("CN=An authority"))
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=90))
        .sign(ec.generate_private_key(ec.SECP256R1()), https_certificate.hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    chain = issued.public_bytes(Encoding.PEM) + own.public_bytes(Encoding.PEM)
    certificate_file.write_bytes(chain)
    wrapping = BestAvailableEncryption(password) if password else https_certificate.NoEncryption()
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, wrapping))
    return certificate_file, key_file


def test_one_that_is_given_is_used_as_it_is(tmp_path: Path) -> None:
    certificate_file, key_file = given_files(tmp_path, "given")
    given = given_certificate(certificate_file, key_file)
    assert (given.file, given.key_file) == (certificate_file, key_file)
    assert given.ends == NOW + datetime.timedelta(days=90)
    assert not given.is_self_signed
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(given.file, given.key_file)


def test_both_may_be_in_one_file(tmp_path: Path, folder: Path) -> None:
    made = kept(folder)
    link = tmp_path / "link.pem"
    link.symlink_to(made.file)  # as certbot's files are
    assert given_certificate(link, link).fingerprint == made.fingerprint


def test_one_that_cannot_be_served_is_told_before_anything_starts(tmp_path: Path) -> None:
    certificate_file, key_file = given_files(tmp_path, "given")
    _other, other_key = given_files(tmp_path, "other")
    _locked, locked_key = given_files(tmp_path, "locked", b"secret")
    empty = tmp_path / "empty"
    empty.touch()
    wrong = [
        (certificate_file, other_key, "key of another certificate"),
        (certificate_file, locked_key, "has a password"),
        (certificate_file, certificate_file, "no whole private key"),
        (certificate_file, empty, "no whole private key"),
        (key_file, key_file, "no whole certificate"),
        (empty, key_file, "no whole certificate"),
        (tmp_path / "gone", key_file, "No such file"),
        (tmp_path, key_file, "no plain file"),
    ]
    for certificate, key, why in wrong:
        with pytest.raises(CertificateError, match=why) as caught:
            given_certificate(certificate, key)
        assert caught.value.code == "https-certificate-unusable"


# Fingerprints


def test_fingerprints_are_read_as_tools_write_them() -> None:
    told = fingerprint(b"certificate")
    for text in (told, told.lower(), told.replace(":", ""), told.replace(":", " ")):
        assert parse_fingerprint(text) == told
    for text in (
        "",
        told[:-1],
        told + ":00",
        told + "\n",
        "x" * 64,
        "\u0661" * 64,
        "sha256:" + told,
    ):
        assert parse_fingerprint(text) is None


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x00" * 100])
def test_what_is_no_certificate_is_not_self_signed(der: bytes) -> None:
    assert not is_self_signed(der)

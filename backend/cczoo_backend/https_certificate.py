"""The certificate by which ``python -m cczoo_backend --https`` serves: one given, or one made here.

A browser checks evidence in pages that came over HTTPS only. That is all that this certificate is
for: whom requests go to is a matter of the key in the quote, and of no certificate. So one that
nobody else vouches for is enough, and whoever reads its key off the disk reads nothing sealed.

One that is made here is kept in open-webui's data folder, with its key in the same file: the two
are replaced together or not at all. It may sign no other certificate, so that browsers which are
told to trust it trust it for this server alone.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock, Timeout

from quote_generator.atomic_file import remove_leftovers, sync_folder, write_atomic
from quote_generator.tls_certificate import fingerprint, is_self_signed

# Under the kit's own folder in open-webui's data directory; a folder for itself, as leftovers of
# killed writers are removed under the lock of this file alone.
FOLDER = "https"
NAME = "certificate.pem"
# Apple's systems take no certificate that lives longer than 825 days, whoever trusts it.
LIFE = datetime.timedelta(days=800)
# People compare its fingerprint, so it stays as long as it can. It is made anew at a start, and a
# server may run for months after one.
RENEWED_BEFORE_END = datetime.timedelta(days=180)
# Clocks differ.
_EARLIER = datetime.timedelta(days=1)
BYTES_MAX = 1 << 20
# Whoever holds the lock does so for milliseconds.
LOCK_SECONDS = 10.0

_LOCK = "certificate.lock"
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cczoo-trust-badge")])
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_HOST_MAX = 253
# Nothing is sent to them: these networks are for documents (RFC 5737, RFC 3849). A socket that is
# connected there has the address from which this machine would reach others.
_ANYWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))

Name = str | ipaddress.IPv4Address | ipaddress.IPv6Address


class CertificateError(Exception):
    """There is no certificate to serve by. ``code`` is stable, the message says what to do.

    ``https-certificate-unusable``: a file is not what it should be; it stays as it is.
    ``https-certificate-not-stored``: none can be kept here. ``https-certificate-busy``: another
    start holds the lock for too long.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in files that a TLS server reads.

    ``made_because`` says why it was made at this start; None where it was there before.
    """

    file: Path
    key_file: Path
    fingerprint: str
    is_self_signed: bool
    ends: datetime.datetime
    made_because: str | None = None


def parse_name(text: str) -> Name:
    """Return a server's name or IP address. Raises ValueError for what is neither."""
    with suppress(ValueError):
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    name = text.lower()
    # Browsers take what ends in a number for an IPv4 address, or for nothing.
    is_number = name.rpartition(".")[2].isdigit()
    if len(name) > _HOST_MAX or is_number or not _HOST.fullmatch(name):
        raise ValueError(
            f"{text!r} is neither a server's name, such as chat.example (other letters than a to z "
            "in the form xn--...), nor an IP address"
        )
    return name


def own_names(host_name: str | None = None) -> list[Name]:
    """Return the addresses that this machine sends from, and what it is called, as far as it knows.

    Those come first that others can most likely use.
    """
    names: list[Name] = []
    for family, anywhere in _ANYWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((anywhere, 9))
            names.append(ipaddress.ip_address(one.getsockname()[0]))
    with suppress(ValueError):  # not every machine's name is one that others could use
        names.append(parse_name(socket.gethostname() if host_name is None else host_name))
    names += ["localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    return list(dict.fromkeys(names))


def given_certificate(file: Path, key_file: Path) -> Certificate:
    """Return a certificate that somebody brings, in PEM, its chain behind it. Raises an error."""
    try:
        chain = _certificates(_content(file))
        key = _private_key(_content(key_file))
        if _public_bytes(key) != _public_bytes(chain[0]):
            raise ValueError(f"{key_file} holds the key of another certificate")
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            "https-certificate-unusable",
            f"HTTPS cannot be served with {file} and {key_file}: {_reason(error)}. Give a "
            "certificate, with its chain behind it, and its key without a password, both in PEM.",
        ) from error
    return _described(chain[0], file, key_file)


def kept_certificate(
    folder: Path, asked: Sequence[Name], *, own: Sequence[Name], now: datetime.datetime
) -> Certificate:
    """Return the certificate that is kept in ``folder``; make it where there is none that will do.

    It is for the names that were ``asked`` for, and for the machine's ``own``, as they were when it
    was made. Any number of processes may ask at once: they get the same one. Raises an error.
    """
    path = folder / NAME
    try:
        with _locked(folder):
            remove_leftovers(folder)
            kept = _read(path)
            why = _why_anew(kept, asked, now)
            if kept is not None and why is None:
                return _described(kept, path, path)
            made, content = _make([*asked, *own], now)
            write_atomic(path, content, mode=_FILE_MODE)
            return _described(made, path, path, why)
    except OSError as error:
        raise CertificateError(
            "https-certificate-not-stored",
            f"No certificate can be kept in {folder}: {_reason(error)}. Have this user write there "
            "(open-webui's DATA_DIR), free space, or give one with --https-certificate.",
        ) from error


def _described(
    certificate: x509.Certificate, file: Path, key_file: Path, why: str | None = None
) -> Certificate:
    der = certificate.public_bytes(Encoding.DER)
    ends = certificate.not_valid_after_utc
    return Certificate(file, key_file, fingerprint(der), is_self_signed(der), ends, why)


# --- the file that is kept ------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    for each in (folder.parent, folder):
        if not each.is_dir():
            each.mkdir(_FOLDER_MODE, exist_ok=True)
            sync_folder(each.parent)
    try:
        with FileLock(folder / _LOCK, timeout=LOCK_SECONDS, mode=_FILE_MODE):
            yield
    except Timeout:
        raise CertificateError(
            "https-certificate-busy",
            f"Another start has held {folder / _LOCK} for {LOCK_SECONDS:g} seconds. Start again.",
        ) from None


def _read(path: Path) -> x509.Certificate | None:
    """Return the certificate that the kit made; None where there is no file.

    Anything else in its place is somebody's, or half of something: it is told, never replaced.
    """
    try:
        content = _content(path, is_private=True)
        chain = _certificates(content)
        key = _private_key(content)
        if len(chain) != 1 or (chain[0].subject, chain[0].issuer) != (_SUBJECT, _SUBJECT):
            raise ValueError("it is not one that the kit has made")
        if _public_bytes(key) != _public_bytes(chain[0]):
            raise ValueError("its key is another certificate's")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            "https-certificate-unusable",
            f"{path} cannot be used: {_reason(error)}. It is left as it is. Move it away to have "
            "another one made, which has another fingerprint, or give one with "
            "--https-certificate.",
        ) from error
    return chain[0]


def _why_anew(
    kept: x509.Certificate | None, asked: Iterable[Name], now: datetime.datetime
) -> str | None:
    """Return why a certificate has to be made; None where the one that is kept will do.

    The machine's own addresses may be others by now: what people compared counts more.
    """
    if kept is None:
        return "there was none yet"
    if now < kept.not_valid_before_utc:
        return "the one before does not count yet, by this machine's clock"
    if now > kept.not_valid_after_utc - RENEWED_BEFORE_END:
        return f"the one before ends on {kept.not_valid_after_utc:%Y-%m-%d}"
    named = set(_names_in(kept))
    missing = [str(name) for name in asked if name not in named]
    return f"the one before was not for {', '.join(missing)}" if missing else None


def _names_in(certificate: x509.Certificate) -> list[Name]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    names = extension.value
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    single = (ipaddress.IPv4Address, ipaddress.IPv6Address)
    return [*hosts, *(one for one in addresses if isinstance(one, single))]


def _make(names: Iterable[Name], now: datetime.datetime) -> tuple[x509.Certificate, bytes]:
    """Return a new certificate for these names, and the file's content: its key, and itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    told = [
        x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)
        for name in dict.fromkeys(names)
    ]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_SUBJECT)
        .issuer_name(_SUBJECT)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now - _EARLIER + LIFE)
        .add_extension(x509.SubjectAlternativeName(told), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate, private + certificate.public_bytes(Encoding.PEM)


def _content(path: Path, *, is_private: bool = False) -> bytes:
    """Return a plain file's bytes; raise OSError or ValueError for anything else.

    One that ``is_private`` is no link to somewhere else, and nobody else reads it.
    """
    # Waits for nobody at the other end of a pipe.
    follow = os.O_NOFOLLOW if is_private else 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is no plain file")
        if is_private and mode & 0o077:
            raise ValueError("others on this machine can read the key in it (chmod 600)")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(content) > BYTES_MAX:
        raise ValueError(f"{path} is larger than {BYTES_MAX} bytes")
    return content


def _certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ValueError("no whole certificate in PEM is there") from error


def _private_key(content: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, None)
    except TypeError as error:
        raise ValueError("the key has a password") from error
    except ValueError as error:
        raise ValueError("no whole private key in PEM is there") from error


def _public_bytes(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _reason(error: Exception) -> str:
    """Return why, in one line of which a terminal obeys nothing."""
    why = str(error)
    if isinstance(error, OSError) and error.strerror:
        why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "".join(char if char.isprintable() else " " for char in why).rstrip(". ")

"""Has open-webui's own command serve HTTPS, and tells people by which certificate.

The command calls ``uvicorn.run`` with what it was told, and has no option for TLS: so that one call
gets two parameters more. uvicorn hands them on to the workers that it spawns, each of which reads
the files by itself.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn

from .https_certificate import (
    FOLDER,
    Certificate,
    CertificateError,
    Name,
    given_certificate,
    kept_certificate,
    own_names,
    parse_name,
)
from .https_options import FINGERPRINT, HttpsOptions

# Addresses to listen on that are no address to be reached at.
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 (nothing is bound to them here)

Run = Callable[..., None]


def prepare(options: HttpsOptions) -> None:
    """Have ``uvicorn.run`` serve HTTPS from now on. Call it before open-webui is loaded.

    A certificate that is given, and names, are looked at now: loading open-webui takes a while.
    Raises SystemExit where they cannot be used.
    """
    try:
        names = [parse_name(name) for name in options.names]
        given = None
        if options.certificate is not None:
            given = given_certificate(options.certificate, options.key or options.certificate)
    except ValueError as error:
        raise _ended(CertificateError("usage", f"--https-name: {error}")) from error
    except CertificateError as error:
        raise _ended(error) from error
    find = partial(_kept, names) if given is None else lambda _host: given
    uvicorn.run = partial(_run, uvicorn.run, find, names)


def _run(
    run: Run,
    find: Callable[[str], Certificate],
    names: Sequence[Name],
    *arguments: Any,
    **options: Any,
) -> None:
    """Do what ``uvicorn.run`` does, over TLS."""
    host = str(options.get("host") or "")
    try:
        certificate = find(host)
    except CertificateError as error:
        raise _ended(error) from error
    os.environ[FINGERPRINT] = certificate.fingerprint
    address = _address(host, int(options.get("port") or 0), names)
    print(_told(address, certificate), file=sys.stderr, flush=True)
    run(
        *arguments,
        **options,
        ssl_certfile=str(certificate.file),
        ssl_keyfile=str(certificate.key_file),
    )


def _kept(asked: Sequence[Name], host: str) -> Certificate:
    """Return the certificate in open-webui's data folder, whose place open-webui knows by now."""
    from .openwebui import kit_folder

    own = own_names()
    if host not in _EVERYWHERE:
        with suppress(ValueError):  # uvicorn says better what is wrong with it
            own.insert(0, parse_name(host))
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return kept_certificate(kit_folder() / FOLDER, asked, own=own, now=now)


def _address(host: str, port: int, names: Sequence[Name]) -> str:
    """Return where to open the page: by the name that was asked for, else as far as is known."""
    name = str(([*names, host] if host not in _EVERYWHERE else [*names, *own_names()])[0])
    shown = f"[{name}]" if ":" in name else name
    return f"https://{shown}" + ("" if port in (0, 443) else f":{port}")


def _told(address: str, certificate: Certificate) -> str:
    """Return what people are told: one line, or two where they compared another one before."""
    kind = "self-signed" if certificate.is_self_signed else "issued by an authority"
    line = (
        f"HTTPS: open {address}. The certificate in {certificate.file} ({kind}, until "
        f"{certificate.ends:%Y-%m-%d}) has the SHA-256 fingerprint {certificate.fingerprint}. "
        "Compare it with the one that browsers and cczoo-verify show."
    )
    if certificate.made_because is None:
        return _printable(line)
    new = f"HTTPS: this certificate was made just now: {certificate.made_because}."
    return "\n".join(map(_printable, (new, line)))


def _ended(error: CertificateError) -> SystemExit:
    """Say why nothing is served: nothing goes on in plain HTTP instead."""
    message = f"open-webui does not start: {error} [{error.code}]"
    print(_printable(message), file=sys.stderr, flush=True)
    return SystemExit(2)


def _printable(text: str) -> str:
    """Return text without what a terminal would obey: paths and names come from outside."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)

"""The way from a browser to the server: HTTPS, its certificate, proxies, several servers, clock."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cczoo_installer.doctor.asking import SECONDS, Answer, NoAnswerError, ask, of_server
from cczoo_installer.doctor.findings import Finding, failure, note, ok, warning
from cczoo_installer.doctor.scene import Scene, text
from cczoo_installer.doctor.served import TEE
from cryptography import x509

_SOON_DAYS = 14
_REPLIES = 6  # of several servers in turn, so many requests meet more than one
_SEALED = "message/ohttp-chunked-req"
# A sealed request counts within two minutes of the server's clock (docs/sealed.md).
_CLOCK_NOTED = 30.0
_CLOCK_WRONG = 120.0
# By which a proxy says that it is one; uvicorn sends none of them.
_PROXY_HEADERS = ("via", "cf-ray", "x-cache", "x-served-by", "x-amz-cf-id", "x-azure-ref")
_OWN_SERVERS = {"", "uvicorn", "hypercorn-h11", "granian"}
_TRUSTED = "WEBUI_AUTH_TRUSTED_"


def look(scene: Scene) -> Sequence[Finding]:
    """Return what is between people and the server at the address that was named or found."""
    url = scene.url
    if url is None:
        return []  # said where the server is looked for
    found = [*_https(scene, url)]
    keys = [of_server(f"{url}{TEE}/keys") for _ in range(_REPLIES)]
    probe = of_server(
        f"{url}{TEE}/ohttp", method="POST", headers={"Content-Type": _SEALED}, body=b"doctor"
    )
    sealed, *replies = ask(probe, *keys)
    answers = [one for one in replies if isinstance(one, Answer)]
    if not answers:
        return found
    found += _proxy(answers[0].headers)
    if not isinstance(sealed, NoAnswerError) and _keysets(answers):
        found += _lets_sealed_pass(sealed)
    found += _servers(answers)
    found += _trusted_headers(scene.settings)
    return [*found, *_clock(answers[0], url)]


# HTTPS


def _https(scene: Scene, url: str) -> Sequence[Finding]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if not _is_loopback(host):
            return [
                failure(
                    "https",
                    f"{url} is not HTTPS: browsers check nothing there, the badge is red for ever",
                    "Put HTTPS in front, inside the TD (docs/sealed.md), and open that address.",
                )
            ]
        cure = (
            "Name the address that people open: --url https://my.chat."
            if (scene.options.url is None)
            else "Only this machine's own browsers check anything there."
        )
        return [note("https", f"{url} is for this machine alone: HTTPS was not looked at", cure)]
    try:
        seen = certificate(host, parts.port or 443)
    except OSError as trouble:
        why = trouble.strerror or str(trouble)
        return [failure("https", f"{url}: no TLS connection: {why}", "Start the HTTPS server.")]
    except ValueError as trouble:
        return [
            failure("https", f"{url}: a certificate that cannot be read: {trouble}", "Mend it.")
        ]
    return [_judged(url, seen, time.time())]


@dataclass(frozen=True)
class Certificate:
    """A server's certificate: its end in seconds since 1970, and why browsers refuse it, if so."""

    ends: float
    sha256: str
    problem: str


def certificate(host: str, port: int) -> Certificate:
    """Return the certificate that is shown at an address; raises OSError and ValueError."""
    context = ssl.create_default_context()
    problem = ""
    try:
        with _connected(context, host, port) as connection:
            der = connection.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as refused:
        problem = refused.verify_message
        # To look at what was refused; nothing is sent over this connection.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with _connected(context, host, port) as connection:
            der = connection.getpeercert(binary_form=True)
    if der is None:
        raise ValueError("there is none")
    parsed = x509.load_der_x509_certificate(der)
    digest = hashlib.sha256(der).hexdigest()
    return Certificate(parsed.not_valid_after_utc.timestamp(), digest, problem)


def _connected(context: ssl.SSLContext, host: str, port: int) -> ssl.SSLSocket:
    plain = socket.create_connection((host, port), timeout=SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _judged(url: str, seen: Certificate, now: float) -> Finding:
    end = datetime.fromtimestamp(seen.ends, UTC).strftime("%Y-%m-%d")
    detail = {"ends": end, "sha256": seen.sha256, "problem": seen.problem}
    left = (seen.ends - now) / 86400
    if left < 0:
        return failure("https", f"{url}: the certificate ended on {end}", "Renew it.", **detail)
    if seen.problem:
        return warning(
            "https",
            f"{url}: this machine does not trust the certificate ({seen.problem}; ends {end}; "
            f"SHA-256 {seen.sha256[:16]}...)",
            "Browsers ask each visitor first. Take one of a public authority, or tell people its "
            "whole fingerprint (--json has it).",
            **detail,
        )
    if left < _SOON_DAYS:
        return warning("https", f"{url}: the certificate ends on {end}", "Renew it.", **detail)
    return ok("https", f"{url}: the certificate is good until {end}", **detail)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# What is in front


def _proxy(headers: Mapping[str, str]) -> Iterator[Finding]:
    server = headers.get("server", "")
    marks = [name for name in _PROXY_HEADERS if name in headers]
    if server.lower() in _OWN_SERVERS and not marks:
        yield ok("proxy", "open-webui's own server answers, no proxy that shows itself")
        return
    shown = f"a proxy answers in front ({server or ', '.join(marks)})"
    yield note(
        "proxy",
        f"{shown}: its rules by path, sign-in or content do not see sealed requests",
        "Set such rules in open-webui instead (docs/sealed.md, Behind nginx).",
        server=server,
        headers=marks,
    )


def _lets_sealed_pass(reply: Answer) -> Iterator[Finding]:
    """Judge the answer to a sealed request without meaning: the kit refuses it in its words."""
    code = text(reply.members(), "code")
    if code in {"sealed-malformed", "key-unknown", "sealed-busy"}:
        yield ok("sealed-way", "sealed requests reach the kit")
        return
    yield failure(
        "sealed-way",
        f"sealed requests do not reach the kit: HTTP {reply.status} to POST {TEE}/ohttp",
        f"Let {TEE}/ pass: no sign-in, no media types refused (docs/sealed.md).",
        status=reply.status,
    )


def _keysets(answers: Sequence[Answer]) -> list[frozenset[str]]:
    """Return the ids of the keys that each answer names."""
    found = []
    for answer in answers:
        keyset = answer.members().get("keyset")
        seal = keyset.get("seal") if isinstance(keyset, dict) else None
        ids = (
            [one.get("id") for one in seal if isinstance(one, dict)]
            if isinstance(seal, list)
            else []
        )
        if ids:
            found.append(frozenset(str(one)[:200] for one in ids))
    return found


def _servers(answers: Sequence[Answer]) -> Iterator[Finding]:
    """See whether one address leads to several servers: their keys have none in common."""
    groups: list[frozenset[str]] = []
    for keys in _keysets(answers):
        known = next((one for one in groups if one & keys), None)
        if known is not None:
            groups.remove(known)
        groups.append(keys | (known or frozenset()))
    if len(groups) > 1:
        yield failure(
            "replicas",
            f"{len(groups)} servers answer at this address in turn: evidence of one and requests "
            "to another do not fit",
            "Route by client or by key (docs/sealed.md, Several workers, several servers).",
            servers=len(groups),
        )
    elif groups:
        yield ok("replicas", f"one server answered {len(answers)} times")


def _trusted_headers(settings: Mapping[str, str]) -> Iterator[Finding]:
    named = sorted(name for name, value in settings.items() if name.startswith(_TRUSTED) and value)
    if named:
        yield warning(
            "trusted-headers",
            f"{', '.join(named)}: sealed requests lose that header, so nobody is signed in by it",
            "Have people sign in to open-webui itself; OAuth and OIDC work sealed.",
        )


def _clock(answer: Answer, url: str) -> Iterator[Finding]:
    if not _is_loopback(urlsplit(url).hostname or ""):
        yield from compared_clock(answer, "the server")


def compared_clock(answer: Answer, whose: str) -> Iterator[Finding]:
    """Compare this machine's clock with the date of an answer that has just come."""
    theirs = answer.date()
    if theirs is None:
        return
    apart = abs(time.time() - theirs)
    if apart < _CLOCK_NOTED:
        yield ok("clock", f"this machine's clock agrees with that of {whose}")
        return
    say = failure if apart >= _CLOCK_WRONG else warning
    yield say(
        "clock",
        f"this machine's clock and that of {whose} differ by {apart:.0f} seconds",
        "Set it (timedatectl set-ntp true): tokens, keys and collateral have dates.",
        seconds=round(apart),
    )

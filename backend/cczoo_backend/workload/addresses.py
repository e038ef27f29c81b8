"""Which machine an address leads to, as far as that can be known without asking anyone.

Names are never looked up: DNS is the host's to answer. Several parsers read an address before
words travel (yarl, urllib3, ...) and do not always agree: whatever is not spelled plainly is
``not-known``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

IPAddress = IPv4Address | IPv6Address

LOOPBACK, OUTSIDE, NOT_KNOWN = "loopback", "outside", "not-known"

MAX_SHOWN = 256  # characters of a name or an address
_MAX_URL = 2048
_MAX_HOSTS = 1 << 16  # bytes of /etc/hosts

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "grpc": 4317, "ldap": 389, "ldaps": 636}

_URL = re.compile(
    r"""(?P<scheme>[A-Za-z]+)://
        (?:[^@/?\#\\\s]*@)?
        (?:\[(?P<v6>[0-9A-Fa-f:.]+)(?P<zone>%[\w.~%-]+)?\]|(?P<host>[^@/?\#\\\s:\[\]%]+))
        (?::(?P<port>[0-9]{0,5}))?
        (?:[/?\#][^\\\x00-\x20\x7f]*)?""",
    re.VERBOSE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")

# Docker's own network: what listens there may be this machine, a container or neither.
_BRIDGE = IPv4Network("172.17.0.0/16")
# What these names mean is up to /etc/hosts, a container's resolver or the local network.
_LOCAL_SUFFIXES = ("localhost", "local", "internal", "localdomain", "lan", "home", "arpa")


def readable(text: str) -> str:
    r"""Return ``text`` in characters that all show, in at most MAX_SHOWN of them.

    Control and formatting characters (line ends, marks of direction) become ``\uXXXX`` and a
    backslash becomes two, so that different texts stay different unless they are cut.
    """
    plain = text.isprintable() and "\\" not in text
    shown = text if plain else "".join(_shown(char) for char in text[: MAX_SHOWN + 1])
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def _shown(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    return "".join(f"\\u{unit:04x}" for unit in _utf16_units(char))


def _utf16_units(char: str) -> list[int]:
    data = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@dataclass(frozen=True)
class Address:
    """Where a URL leads: ``reach`` and why, host and port to show, and what is connected to."""

    reach: str  # LOOPBACK, OUTSIDE or NOT_KNOWN
    why: str
    text: str | None = None  # "host:port", without user, path and query
    host: str = ""
    port: int = 0
    ips: tuple[IPAddress, ...] = ()  # only of loopback addresses


class HostsFile:
    """What /etc/hosts says, which comes before DNS."""

    def __init__(self, names: Mapping[str, frozenset[IPAddress | None]], *, is_whole: bool) -> None:
        self._names = names
        self._is_whole = is_whole

    @classmethod
    def read(cls, path: Path = Path("/etc/hosts")) -> HostsFile:
        """Read ``path``; a file that cannot be read, or is too long, leaves names unknown."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_HOSTS + 1)
        except OSError:
            return cls({}, is_whole=False)
        names: dict[str, set[IPAddress | None]] = {}
        for line in data[:_MAX_HOSTS].decode("utf-8", "replace").splitlines():
            address, *aliases = line.partition("#")[0].split() or [""]
            for alias in aliases:
                names.setdefault(alias.lower(), set()).add(_ip(address))
        frozen = {name: frozenset(ips) for name, ips in names.items()}
        return cls(frozen, is_whole=len(data) <= _MAX_HOSTS)

    def names(self, host: str) -> bool:
        """Whether the file has a say in where ``host`` leads, or may have."""
        return not self._is_whole or host in self._names

    def loopback(self, host: str) -> tuple[IPAddress, ...]:
        """Return the addresses of ``host`` where the file gives loopback ones and no others."""
        found = self._names.get(host, frozenset()) if self._is_whole else frozenset()
        ips = [ip for ip in found if ip is not None]
        if len(ips) != len(found) or not all(ip.is_loopback for ip in ips):
            return ()
        return tuple(sorted(ips, key=lambda ip: (ip.version, int(ip))))


def parse(url: object, hosts: HostsFile) -> Address:
    """Return where ``url`` leads; never raises, never resolves a name."""
    if not isinstance(url, str):
        return Address(NOT_KNOWN, "unreadable")
    if not url.strip():
        return Address(NOT_KNOWN, "no-address")
    match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _PORTS:
        return Address(NOT_KNOWN, "unreadable", _shown_anyway(url))
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 1 << 16:
        return Address(NOT_KNOWN, "unreadable", _shown_anyway(url))
    if match["v6"] is not None:
        ip = _ip(match["v6"])
        if ip is None or (ip.is_loopback and match["zone"]):
            return Address(NOT_KNOWN, "unreadable", _shown_anyway(url))
        return _of_ip(ip, port)
    return _of_host(match["host"], port, hosts)


def _shown_anyway(url: str) -> str | None:
    """Return what may be shown of an unreadable ``url``: nothing where a password may be in it."""
    if "@" in url:
        return None
    scheme, slashes, rest = url.partition("://")
    place = re.split(r"[/?#]", rest if slashes else scheme, maxsplit=1)[0]
    return readable(place) or None


def _of_host(spelled: str, port: int, hosts: HostsFile) -> Address:
    host = _ascii(spelled)
    if host is None:
        return Address(NOT_KNOWN, "unreadable", readable(spelled))
    ip = _ip(host)
    if ip is not None and spelled.isascii():
        return _of_ip(ip, port)
    text = readable(f"{host}:{port}")
    if ip is not None or _NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
        # "127.1" or "0x7f000001": some resolvers read these as addresses.
        return Address(NOT_KNOWN, "unreadable", text)
    if host == "localhost" and spelled.isascii():
        ips = hosts.loopback(host)
        if ips:
            return Address(LOOPBACK, "loopback", text, host, port, ips)
    if hosts.names(host) or "." not in host or host.rsplit(".", 1)[-1] in _LOCAL_SUFFIXES:
        return Address(NOT_KNOWN, "local-name", text)
    return Address(OUTSIDE, "address", text)


def _ascii(host: str) -> str | None:
    """Return ``host`` as resolvers are asked for it, in small letters; None for no host name."""
    try:
        name = host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return None
    name = name.lower().removesuffix(".")
    is_name = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))
    return name if is_name else None


def _of_ip(ip: IPAddress, port: int) -> Address:
    plain = ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip
    host = f"[{plain.compressed}]" if isinstance(plain, IPv6Address) else plain.compressed
    text = f"{host}:{port}"
    # Linux connects to 0.0.0.0 and :: by the loopback device.
    if plain.is_loopback or plain.is_unspecified:
        return Address(LOOPBACK, "loopback", text, host.strip("[]"), port, _loopback_of(plain))
    if isinstance(plain, IPv4Address) and plain in _BRIDGE:
        return Address(NOT_KNOWN, "container-bridge", text)
    return Address(OUTSIDE, "address", text)


def _loopback_of(ip: IPAddress) -> tuple[IPAddress, ...]:
    if not ip.is_unspecified:
        return (ip,)
    return (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def _ip(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None

"""The statement's section ``storage``: where chats, files, logs and the secret key lie.

It is made of open-webui's settings and the kernel's word, and has no path, key, password or user
name in it: of a server only its host and port. open-webui itself is not imported.
"""

from __future__ import annotations

import hmac
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from .addresses import LOOPBACK as REACH_LOOPBACK
from .addresses import OUTSIDE as REACH_OUTSIDE
from .addresses import HostsFile, parse
from .stores import NOT_KNOWN, OUTSIDE, Answer, Kernel, Store, Stores, worst

ENVIRONMENT = "environment"


@dataclass(frozen=True)
class Setting:
    """One of open-webui's settings: its name, the module that has it, and since which version.

    The modules are ``open_webui.env`` and ``open_webui.config``; their values hold what defaults
    are made of, too. ``environment`` is the process's: these are never in a module.
    """

    name: str
    module: str
    since: str = "0.5.20"


# As 0.5.20, 0.6.43 and 0.12.4 have them. None of them can be changed while it runs.
SETTINGS = (
    Setting("UPLOAD_DIR", "config"),
    Setting("CACHE_DIR", "config"),
    # DATABASE_TYPE, _USER, _PASSWORD, _HOST and others (0.6.43) are part of this by then.
    Setting("DATABASE_URL", "env"),
    Setting("STORAGE_PROVIDER", "config"),
    Setting("S3_ENDPOINT_URL", "config"),
    Setting("AZURE_STORAGE_ENDPOINT", "config"),
    Setting("VECTOR_DB", "config"),
    Setting("CHROMA_DATA_PATH", "config"),
    Setting("CHROMA_HTTP_HOST", "config"),  # of these two, only where VECTOR_DB is chroma
    Setting("CHROMA_HTTP_PORT", "config"),
    Setting("MILVUS_URI", "config"),
    Setting("QDRANT_URI", "config"),
    Setting("OPENSEARCH_URI", "config"),
    Setting("ELASTICSEARCH_URL", "config"),
    Setting("ELASTICSEARCH_CLOUD_ID", "config"),
    Setting("PGVECTOR_DB_URL", "config"),
    Setting("WEAVIATE_HTTP_HOST", "config", "0.6.43"),
    Setting("WEAVIATE_HTTP_PORT", "config", "0.6.43"),
    Setting("WEAVIATE_GRPC_HOST", "config", "0.12.4"),
    Setting("WEAVIATE_GRPC_PORT", "config", "0.6.43"),
    Setting("ORACLE_DB_DSN", "config", "0.6.43"),
    Setting("MARIADB_VECTOR_DB_URL", "config", "0.12.4"),
    Setting("OPENGAUSS_DB_URL", "config", "0.12.4"),
    Setting("VALKEY_URL", "config", "0.12.4"),
    # 0.5.20 takes REDIS_URL for nothing but the default of WEBSOCKET_REDIS_URL.
    Setting("REDIS_URL", "env"),
    Setting("REDIS_SENTINEL_HOSTS", "env", "0.6.43"),
    Setting("REDIS_SENTINEL_PORT", "env", "0.6.43"),
    Setting("WEBSOCKET_MANAGER", "env"),
    Setting("WEBSOCKET_REDIS_URL", "env"),
    Setting("WEBSOCKET_SENTINEL_HOSTS", "env", "0.6.43"),
    Setting("WEBSOCKET_SENTINEL_PORT", "env", "0.6.43"),
    # NONE is its default since 0.6.43; 0.5.20 writes bodies of requests unless it is told not to.
    Setting("AUDIT_LOG_LEVEL", "env"),
    Setting("AUDIT_LOGS_FILE_PATH", "env"),
    Setting("ENABLE_AUDIT_LOGS_FILE", "env", "0.12.4"),
    # Compared with what is in the key's file, and not kept.
    Setting("WEBUI_SECRET_KEY", "env"),
    Setting("WEBUI_SECRET_KEY_FILE", ENVIRONMENT),  # of start.sh in newer versions
    Setting("JOURNAL_STREAM", ENVIRONMENT),  # of systemd
    Setting("SQLITE_TMPDIR", ENVIRONMENT),
    Setting("TMPDIR", ENVIRONMENT),
)

Settings = Mapping[str, object]
_Members = dict[str, object]


def read_settings(get: Callable[[str, str], object]) -> dict[str, object]:
    """Return all settings; ``get`` takes module and name, and returns None where it is not there.

    The values hold secrets: they are for ``section`` only.
    """
    return {one.name: get(one.module, one.name) for one in SETTINGS}


class Told(StrEnum):
    """What a person should know besides (and see those of the stores)."""

    LOCAL_SERVER = "local-server"  # where it keeps its data is not known
    NO_ADDRESS = "no-address"  # there is none that can be read, or none is set
    FROM_ENVIRONMENT = "environment"  # and where that comes from is not known
    WELL_KNOWN = "well-known"  # everybody knows this key
    PASSED_ON = "passed-on"  # to whom is up to another process
    SQLCIPHER = "sqlcipher"  # encrypts the file, with a password that this process was given


def section(
    settings: Settings,
    *,
    folder: str,
    temporary: str | None = None,
    kernel: Kernel | None = None,
    hosts: HostsFile | None = None,
) -> _Members:
    """Return the section.

    Relative paths begin in ``folder``, where open-webui runs; ``temporary`` is where Python puts
    large uploads while they arrive. Each member has ``kind``, ``secrecy`` and ``integrity``, and
    what there is of ``service``, ``addresses`` and ``told``; a member that is not in use is
    ``{"kind": "none"}``.
    """
    machine = kernel or Kernel(), hosts or HostsFile.read()
    return _Section(settings, folder, *machine).document(temporary or tempfile.gettempdir())


_NONE: _Members = {"kind": "none"}

_PORTS = {
    **{"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379},
    **{"postgresql": 5432, "postgres": 5432, "opengauss": 5432, "mysql": 3306, "mariadb": 3306},
    **{"tcp": 19530, "unix": 1},
}
_URL = re.compile(r"([a-z][a-z0-9]*)(?:\+[a-z0-9]+)*://([^/?#\s]*)([^\s]*)", re.IGNORECASE)
_HOST = re.compile(
    r"(?P<host>\[[\da-f:.]+\]|[^\[\]:@/\\\s]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE
)
_SQLITE = re.compile(r"sqlite(?:\+[a-z0-9]+)?://(?:/(?P<path>[^?]*))?(?:\?.*)?", re.DOTALL)
_ORACLE_HOST = re.compile(r"\(\s*host\s*=\s*([^()\s]+)\s*\)", re.IGNORECASE)
_ORACLE_PORT = re.compile(r"\(\s*port\s*=\s*(\d+)\s*\)", re.IGNORECASE)
_MAX_SERVERS = 16

_VECTOR_URLS = {
    "opensearch": "OPENSEARCH_URI",
    "pgvector": "PGVECTOR_DB_URL",
    "opengauss": "OPENGAUSS_DB_URL",
    "mariadb-vector": "MARIADB_VECTOR_DB_URL",
    "valkey": "VALKEY_URL",
}
_VECTOR_SERVICES = ("pinecone", "s3vector")

_AUDIT_LEVELS = ("METADATA", "REQUEST", "REQUEST_RESPONSE")
_REDIS_DEFAULT = "redis://localhost:6379/0"  # of 0.5.20
_KEY_FILE = ".webui_secret_key"
_WELL_KNOWN_KEYS = ("", "t0p-s3cr3t")  # the second is the default before 0.12.4
_KEY_BYTES = 4096
_SQLITE_TEMPORARY = "/var/tmp"  # noqa: S108 (nothing is put there)

_JOURNALS = ("/var/log/journal", "/run/log/journal")
_STANDARD_STREAMS = (1, 2)
# The host is at the other end of a virtual machine's consoles.
_CONSOLE = re.compile(r"/dev/(?:console|kmsg|hvc\d+|tty\d*|tty[A-Z]+\d+|vport.*)")
_TERMINAL = re.compile(r"/dev/(?:pts/.*|ptmx)")


@dataclass(frozen=True)
class _Place:
    """Where something lies: its store, and the servers' addresses where servers hold it."""

    store: Store
    addresses: tuple[str, ...] = ()

    def members(self, **more: object) -> _Members:
        addresses = {"addresses": sorted(set(self.addresses))} if self.addresses else {}
        return {**self.store.document(), **addresses, **more}


def _together(places: Iterable[_Place]) -> _Place:
    found = tuple(places)
    return _Place(
        worst(one.store for one in found),
        tuple(address for one in found for address in one.addresses),
    )


_NO_ADDRESS = _Place(NOT_KNOWN.telling(Told.NO_ADDRESS))
_SOMEWHERE_OUTSIDE = _Place(OUTSIDE.telling(Told.NO_ADDRESS))
_LOCAL_SERVER = _Place(NOT_KNOWN.telling(Told.LOCAL_SERVER))


class _Section:
    def __init__(self, settings: Settings, folder: str, kernel: Kernel, hosts: HostsFile) -> None:
        self._settings = settings
        self._folder = folder
        self._kernel = kernel
        self._hosts = hosts
        self._stores = Stores(kernel)

    def document(self, temporary: str) -> _Members:
        objects = self._objects()
        return {
            "audit_log": self._audit_log(),
            "cache": self._tree(self._text("CACHE_DIR")).members(),
            "chats": self._chats(),
            "logs": self._logs(),
            "objects": _NONE if objects is None else objects.members(service=self._provider()),
            "redis": self._redis(),
            "secret_key": self._secret_key().members(),
            "swap": _NONE if self._stores.swap is None else self._stores.swap.document(),
            "temporary": self._temporary(temporary).members(),
            "uploads": self._uploads(objects).members(),
            "vectors": self._vectors(),
        }

    def _text(self, name: str) -> str:
        """Return a setting as text; what is not set is empty."""
        value = self._settings.get(name)
        return "" if value is None else str(value)

    # Files

    def _path(self, path: str) -> _Place:
        return _Place(self._stores.of(os.path.join(self._folder, path)) if path else NOT_KNOWN)

    def _tree(self, path: str) -> _Place:
        return _Place(self._stores.of_tree(os.path.join(self._folder, path)) if path else NOT_KNOWN)

    def _temporary(self, folder: str) -> _Place:
        """Return where large uploads arrive, and where SQLite puts what it has to sort."""
        sqlite = self._text("SQLITE_TMPDIR") or self._text("TMPDIR") or _SQLITE_TEMPORARY
        return _together((self._path(folder), self._path(sqlite)))

    def _uploads(self, objects: _Place | None) -> _Place:
        """Return where uploads lie; those that go to an object store stay here as well."""
        local = self._tree(self._text("UPLOAD_DIR"))
        return local if objects is None else _together((local, objects))

    def _audit_log(self) -> _Members:
        level = self._text("AUDIT_LOG_LEVEL").upper()
        if level == "NONE" or self._settings.get("ENABLE_AUDIT_LOGS_FILE") is False:
            return _NONE
        place = self._path(self._text("AUDIT_LOGS_FILE_PATH"))
        return place.members(level=level.lower() if level in _AUDIT_LEVELS else "not-known")

    def _secret_key(self) -> _Place:
        """Return where the key lies that signs sign-ins: in the file that open-webui made of it.

        A file that holds another key says nothing about this one.
        """
        key = self._text("WEBUI_SECRET_KEY").strip()
        if key in _WELL_KNOWN_KEYS and self._settings.get("WEBUI_SECRET_KEY") is not None:
            open_to_all = Store(NOT_KNOWN.kind, Answer.NOT_KEPT, Answer.NOT_KNOWN)
            return _Place(open_to_all.telling(Told.WELL_KNOWN))
        path = os.path.join(self._folder, self._text("WEBUI_SECRET_KEY_FILE") or _KEY_FILE)
        if not key or not self._holds(path, key):
            return _Place(NOT_KNOWN.telling(Told.FROM_ENVIRONMENT))
        return self._path(path)

    def _holds(self, path: str, key: str) -> bool:
        try:
            kept = self._kernel.file_text(self._kernel.resolve(path), _KEY_BYTES).strip()
            return hmac.compare_digest(os.fsencode(kept), os.fsencode(key))
        except (OSError, ValueError):
            return False

    # Databases

    def _chats(self) -> _Members:
        service, place = self._database(self._text("DATABASE_URL"))
        return place.members(service=service)

    def _database(self, url: str) -> tuple[str, _Place]:
        """Return the kind of database, and where it lies."""
        if url.startswith("sqlite"):
            found = _SQLITE.fullmatch(url)
            return "sqlite", self._sqlite(url, found["path"] or "") if found else _NO_ADDRESS
        found = _URL.fullmatch(url)
        name = found[1].lower() if found else ""
        return name if name in _PORTS else "not-known", self._server(url)

    def _sqlite(self, url: str, path: str) -> _Place:
        """Return where a file and the journal beside it lie: another mount may hold the file."""
        if path in ("", ":memory:"):
            return _Place(self._stores.memory)
        if path.startswith("file:") or "%" in path:  # not everybody reads it in the same way
            return _NO_ADDRESS
        is_sqlcipher = url.startswith("sqlite+sqlcipher:")
        path = f"/{path}" if is_sqlcipher else path  # open-webui takes the third slash along
        place = _together((self._path(path), self._path(os.path.dirname(path) or ".")))
        return _Place(place.store.telling(Told.SQLCIPHER)) if is_sqlcipher else place

    def _vectors(self) -> _Members:
        name = self._text("VECTOR_DB")
        own = {
            "chroma": self._chroma,
            "milvus": self._milvus,
            "qdrant": self._qdrant,
            "weaviate": self._weaviate,
            "elasticsearch": self._elasticsearch,
            "oracle23ai": self._oracle,
        }
        if name in _VECTOR_URLS:
            return self._server(self._text(_VECTOR_URLS[name])).members(service=name)
        if name in _VECTOR_SERVICES:
            return _SOMEWHERE_OUTSIDE.members(service=name)
        if name in own:
            return own[name]().members(service=name)
        return NOT_KNOWN.document() | {"service": "not-known"}

    def _chroma(self) -> _Place:
        host = self._text("CHROMA_HTTP_HOST")
        if host:
            return self._host(host, self._text("CHROMA_HTTP_PORT") or "8000")
        return self._tree(self._text("CHROMA_DATA_PATH"))

    def _milvus(self) -> _Place:
        address = self._text("MILVUS_URI")
        return self._server(address) if "://" in address else self._path(address)

    def _qdrant(self) -> _Place:
        address = self._text("QDRANT_URI")
        return self._server(address) if "://" in address else self._host(address, "6333")

    def _weaviate(self) -> _Place:
        http, grpc = self._text("WEAVIATE_HTTP_HOST"), self._text("WEAVIATE_GRPC_HOST")
        return _together(
            (
                self._host(http, self._text("WEAVIATE_HTTP_PORT") or "8080"),
                self._host(grpc or http, self._text("WEAVIATE_GRPC_PORT") or "50051"),
            )
        )

    def _elasticsearch(self) -> _Place:
        if self._text("ELASTICSEARCH_CLOUD_ID"):
            return _SOMEWHERE_OUTSIDE
        return self._server(self._text("ELASTICSEARCH_URL"))

    def _oracle(self) -> _Place:
        """Return the servers of a description, of ``host:port/service``, or none of an alias."""
        dsn = self._text("ORACLE_DB_DSN")
        if dsn.startswith("("):
            ports = _ORACLE_PORT.findall(dsn) or ["1521"]
            return self._hosts_at(_ORACLE_HOST.findall(dsn), ports[0])
        place, slash, _service = dsn.rpartition("://")[2].partition("/")
        return self._host(place, "1521") if slash else _NO_ADDRESS

    def _redis(self) -> _Members:
        found = [*self._redis_of_app(), *self._redis_of_sockets()]
        return _together(found).members() if found else _NONE

    def _redis_of_app(self) -> list[_Place]:
        url = self._text("REDIS_URL")
        if self._settings.get("REDIS_SENTINEL_HOSTS") is None and url == _REDIS_DEFAULT:
            return []
        sentinels = self._hosts_of("REDIS_SENTINEL_HOSTS", "REDIS_SENTINEL_PORT")
        return sentinels or ([self._server(url)] if url else [])

    def _redis_of_sockets(self) -> list[_Place]:
        if self._text("WEBSOCKET_MANAGER").lower() != "redis":
            return []
        sentinels = self._hosts_of("WEBSOCKET_SENTINEL_HOSTS", "WEBSOCKET_SENTINEL_PORT")
        return sentinels or [self._server(self._text("WEBSOCKET_REDIS_URL"))]

    def _hosts_of(self, hosts: str, port: str) -> list[_Place]:
        """Return the sentinels; which servers they name is theirs to say."""
        names = [name.strip() for name in self._text(hosts).split(",") if name.strip()]
        if not names:
            return []
        place = self._hosts_at(names, self._text(port) or "26379")
        return [_Place(worst((place.store, NOT_KNOWN)), place.addresses)]

    # Object stores

    def _provider(self) -> str:
        provider = self._text("STORAGE_PROVIDER")
        return provider if provider in ("s3", "gcs", "azure") else "not-known"

    def _objects(self) -> _Place | None:
        provider = self._text("STORAGE_PROVIDER")
        if provider == "local":
            return None
        if provider == "s3" and self._text("S3_ENDPOINT_URL"):
            return self._server(self._text("S3_ENDPOINT_URL"))
        if provider == "azure":
            return self._server(self._text("AZURE_STORAGE_ENDPOINT"))
        return _SOMEWHERE_OUTSIDE if provider in ("s3", "gcs") else _NO_ADDRESS

    # Servers

    def _server(self, url: str) -> _Place:
        """Return where a URL's server keeps things: of one on this machine, it is not known.

        Only what every reader of the URL takes for the host is shown: passwords may hold anything.
        """
        found = _URL.fullmatch(url)
        if found is None or found[1].lower() not in _PORTS or "@" in found[3]:
            return _NO_ADDRESS
        scheme = found[1].lower()
        if scheme == "unix":
            return _LOCAL_SERVER
        query = parse_qsl(found[3].partition("?")[2].partition("#")[0], keep_blank_values=True)
        asked = {name.lower(): value for name, value in query}
        if "service" in asked or "servicefile" in asked:
            return _NO_ADDRESS
        # What libpq connects to where the query says so, whatever the host before it is.
        named = [
            value for name, value in query if name.lower() in ("host", "hostaddr", "unix_socket")
        ]
        hosts = [host for value in named for host in value.split(",")]
        hosts = hosts or found[2].rpartition("@")[2].split(",")
        return self._hosts_at(hosts, asked.get("port", str(_PORTS[scheme])))

    def _hosts_at(self, hosts: Sequence[str], port: str) -> _Place:
        if not 0 < len(hosts) <= _MAX_SERVERS:
            return _NO_ADDRESS
        return _together(self._host(host, port) for host in hosts)

    def _host(self, host: str, port: str) -> _Place:
        if host.startswith("/"):
            return _LOCAL_SERVER
        found = _HOST.fullmatch(host)
        if found is None or not port.isascii() or not port.isdigit():
            return _NO_ADDRESS
        address = parse(f"http://{found['host']}:{found['port'] or port}", self._hosts)
        if address.text is None:
            return _NO_ADDRESS
        if address.reach == REACH_OUTSIDE:
            return _Place(OUTSIDE, (address.text,))
        told = (Told.LOCAL_SERVER,) if address.reach == REACH_LOOPBACK else ()
        return _Place(NOT_KNOWN.telling(*told), (address.text,))

    # Logs

    def _logs(self) -> _Members:
        """Return where standard output and errors go, by the kernel's word."""
        found = [self._stream(number) for number in _STANDARD_STREAMS]
        stores = [store for _to, store in found if store is not None]
        to = sorted({to for to, _store in found})
        return {**(worst(stores).document() if stores else _NONE), "to": to}

    def _stream(self, number: int) -> tuple[str, Store | None]:
        try:
            leads_to = self._kernel.stream(number)
        except (OSError, ValueError):
            return "not-known", NOT_KNOWN
        if leads_to == "/dev/null":
            return "nowhere", None
        if _CONSOLE.fullmatch(leads_to):
            return "console", OUTSIDE
        if _TERMINAL.fullmatch(leads_to):
            return "terminal", NOT_KNOWN.telling(Told.PASSED_ON)
        if leads_to.startswith("socket:") and self._is_journal(leads_to):
            return "journal", self._journal()
        if leads_to.startswith("/"):
            return "file", self._stores.of(leads_to)
        return "process", NOT_KNOWN.telling(Told.PASSED_ON)

    def _is_journal(self, socket: str) -> bool:
        """Whether systemd says that it connected this socket to its journal (systemd.exec(5))."""
        _device, _colon, inode = self._text("JOURNAL_STREAM").partition(":")
        return bool(inode) and socket == f"socket:[{inode}]"

    def _journal(self) -> Store:
        """Return where the journal lies, which others may read and write elsewhere."""
        lasting, until_boot = _JOURNALS
        journal = self._stores.of(lasting if self._is_there(lasting) else until_boot)
        return worst((journal, NOT_KNOWN)).telling(Told.PASSED_ON)

    def _is_there(self, path: str) -> bool:
        try:
            self._kernel.status(path)
        except (OSError, ValueError):
            return False
        return True

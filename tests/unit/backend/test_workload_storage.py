"""The statement's section about storage: where settings lead, and that it gives nothing away."""

from __future__ import annotations

import json
import os
import re
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_machine import SWAPS, RecordedMachine

from cczoo_backend.workload.addresses import HostsFile
from cczoo_backend.workload.storage import ENVIRONMENT, SETTINGS, read_settings, section

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = sorted(ROOT.glob(".venv-webui/*-plugin/lib/python3.*/site-packages/open_webui"))
FOLDER = "/app/backend"
DATA = f"{FOLDER}/data"

DEFAULTS = {
    "UPLOAD_DIR": f"{DATA}/uploads",
    "CACHE_DIR": f"{DATA}/cache",
    "DATABASE_URL": f"sqlite:///{DATA}/webui.db",
    "STORAGE_PROVIDER": "local",
    "VECTOR_DB": "chroma",
    "CHROMA_DATA_PATH": f"{DATA}/vector_db",
    "CHROMA_HTTP_HOST": "",
    "CHROMA_HTTP_PORT": 8000,
    "MILVUS_URI": f"{DATA}/vector_db/milvus.db",
    "REDIS_URL": "",
    "REDIS_SENTINEL_HOSTS": "",
    "REDIS_SENTINEL_PORT": "26379",
    "WEBSOCKET_MANAGER": "",
    "WEBSOCKET_REDIS_URL": "",
    "AUDIT_LOG_LEVEL": "NONE",
    "AUDIT_LOGS_FILE_PATH": f"{DATA}/audit.log",
    "WEBUI_SECRET_KEY": "a secret",
}
MEMORY = {"kind": "memory", "secrecy": "kept", "integrity": "kept"}
ENCRYPTED = {"kind": "encrypted", "secrecy": "kept", "integrity": "not-kept"}
PLAIN = {"kind": "plain-disk", "secrecy": "not-kept", "integrity": "not-kept"}
OUTSIDE = {"kind": "outside", "secrecy": "not-kept", "integrity": "not-kept"}
NOT_KNOWN = {"kind": "not-known", "secrecy": "not-known", "integrity": "not-known"}
NONE = {"kind": "none"}
HOSTS = HostsFile({"localhost": frozenset({ip_address("127.0.0.1")})}, is_whole=True)


@pytest.fixture
def machine(tmp_path: Path) -> RecordedMachine:
    """An encrypted disk below the data folder, a plain one for the rest."""
    found = RecordedMachine(tmp_path)
    found.encrypted(DATA)
    found.mount("/run", "tmpfs", "0:40")
    found.streams = {1: "pipe:[1]", 2: "pipe:[1]"}
    return found


def stated(machine: RecordedMachine, **changed: object) -> dict[str, Any]:
    return section(
        {**DEFAULTS, **changed}, folder=FOLDER, temporary="/run/tmp", kernel=machine, hosts=HOSTS
    )


def test_an_installation_as_it_comes(machine: RecordedMachine) -> None:
    assert stated(machine) == {
        "audit_log": NONE,
        "cache": ENCRYPTED,
        "chats": {**ENCRYPTED, "service": "sqlite"},
        "logs": {**NOT_KNOWN, "told": ["passed-on"], "to": ["process"]},
        "objects": NONE,
        "redis": NONE,
        "secret_key": {**NOT_KNOWN, "told": ["environment"]},
        "swap": NONE,
        "temporary": PLAIN,  # SQLite's, in /var/tmp
        "uploads": ENCRYPTED,
        "vectors": {**ENCRYPTED, "service": "chroma"},
    }


def test_nothing_is_known_of_settings_that_are_not_there(machine: RecordedMachine) -> None:
    found = section({}, folder=FOLDER, temporary="/run", kernel=machine, hosts=HOSTS)
    for name in ("cache", "chats", "objects", "secret_key", "uploads", "vectors", "audit_log"):
        assert found[name]["secrecy"] == "not-known", name  # type: ignore[index]


# Chats


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("sqlite:///data/webui.db", ENCRYPTED),
        ("sqlite:////run/webui.db", MEMORY),
        ("sqlite:////run/webui.db?check=1", MEMORY),
        ("sqlite+pysqlite:////srv/webui.db", PLAIN),
        ("sqlite://", MEMORY),
        ("sqlite:///:memory:", MEMORY),
        ("sqlite:///file:x?mode=memory&uri=true", {**NOT_KNOWN, "told": ["no-address"]}),
        ("sqlite:////run%2Fx", {**NOT_KNOWN, "told": ["no-address"]}),
        ("sqlite:x", {**NOT_KNOWN, "told": ["no-address"]}),
        ("sqlite+sqlcipher:///srv/webui.db", {**PLAIN, "told": ["sqlcipher"]}),
        (f"sqlite+sqlcipher:///{DATA}/webui.db", {**ENCRYPTED, "told": ["sqlcipher"]}),
    ],
)
def test_a_database_in_a_file(machine: RecordedMachine, url: str, store: dict[str, object]) -> None:
    assert stated(machine, DATABASE_URL=url)["chats"] == {**store, "service": "sqlite"}


def test_the_journal_lies_beside_a_file_that_is_a_mount_of_its_own(
    machine: RecordedMachine,
) -> None:
    machine.write("/srv/webui.db")
    machine.mount("/srv/webui.db", "ext4", "252:9")
    assert stated(machine, DATABASE_URL="sqlite:////srv/webui.db")["chats"]["kind"] == "plain-disk"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://user:secret@db.example.com/chats", ["db.example.com:5432"]),
        ("postgresql+psycopg2://user:se:cr:et@db.example.com:6000/x", ["db.example.com:6000"]),
        ("postgres://[2001:db8::1]:6000/x", ["[2001:db8::1]:6000"]),
        ("mysql://user@203.0.113.5/x", ["203.0.113.5:3306"]),
        (
            "postgresql://u:p@a.example.com,b.example.com:1/x",
            ["a.example.com:5432", "b.example.com:1"],
        ),
        ("postgresql:///x?host=a.example.com&port=77", ["a.example.com:77"]),
        ("postgresql://127.0.0.1/x?hostaddr=203.0.113.5", ["203.0.113.5:5432"]),
        ("postgresql://localhost/x?host=/tmp&host=a.example.com", ["a.example.com:5432"]),
    ],
)
def test_a_database_on_another_machine(
    machine: RecordedMachine, url: str, addresses: list[str]
) -> None:
    chats = stated(machine, DATABASE_URL=url)["chats"]
    assert (chats["kind"], chats["addresses"]) == ("outside", addresses)
    assert chats["service"] == re.match("[a-z]+", url)[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "told", "addresses"),
    [
        ("postgresql://u:p@localhost/x", ["local-server"], ["localhost:5432"]),
        ("postgresql://u:p@127.0.0.1:7/x", ["local-server"], ["127.0.0.1:7"]),
        ("postgresql://u:p@[::1]/x", ["local-server"], ["[::1]:5432"]),
        ("postgresql://u:p@/x?host=/var/run/postgresql", ["local-server"], None),
        ("postgresql:///x", ["no-address"], None),  # PGHOST or a socket
        ("postgresql://u:p@db:5432/x", None, ["db:5432"]),  # a container's name, or not
        ("postgresql://u:p@172.17.0.1/x", None, ["172.17.0.1:5432"]),
        ("postgresql:///x?service=mine", ["no-address"], None),
    ],
)
def test_a_server_on_this_machine_may_keep_it_anywhere(
    machine: RecordedMachine, url: str, told: list[str] | None, addresses: list[str] | None
) -> None:
    chats = stated(machine, DATABASE_URL=url)["chats"]
    assert (chats["kind"], chats["secrecy"]) == ("not-known", "not-known")
    assert (chats.get("told"), chats.get("addresses")) == (told, addresses)


SECRETS = ("hunter2", "s3cret", "alice")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://alice:hunter2/s3cret@db.example.com:5432/x",
        "postgresql://alice:hunter2?s3cret@db.example.com:5432/x",
        "postgresql://alice:hunter2#s3cret@db.example.com/x",
        "postgresql://alice:hunter2@s3cret@db.example.com/x",
        "postgresql://alice:hunter2",
        "postgresql://alice:hunter2/x",
        "postgresql://alice:hunter2@db.example.com:s3cret/x",
        "postgresql://alice hunter2 s3cret",
        "alice:hunter2@s3cret",
        "hunter2",
        "s3cret://alice/hunter2",
        "postgresql://db.example.com/hunter2?user=alice&password=s3cret",
        "postgresql:///x?host=alice:hunter2@s3cret",
        "postgresql://db.example.com:1/x?port=hunter2",
        "postgresql://" + "alice:hunter2@" * 500,
        "sqlite:////srv/alice/hunter2.db",
    ],
)
def test_no_secret_and_no_name_is_shown(machine: RecordedMachine, url: str) -> None:
    changed = dict.fromkeys(("REDIS_URL", "S3_ENDPOINT_URL", "OPENSEARCH_URI", "MILVUS_URI"), url)
    for provider, vectors in (("s3", "opensearch"), ("gcs", "milvus")):
        text = json.dumps(
            stated(
                machine,
                DATABASE_URL=url,
                STORAGE_PROVIDER=provider,
                VECTOR_DB=vectors,
                WEBUI_SECRET_KEY="hunter2",
                AUDIT_LOG_LEVEL="s3cret",
                AUDIT_LOGS_FILE_PATH="/srv/alice/hunter2",
                **changed,
            )
        )
        assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize(
    "host",
    ["<script>", "a\u202eb.example", "ex\u00e4mple.com", "a%25b", "[::1%eth0]", "x" * 300, "a\\b"],
)
def test_hostile_hosts_are_inert_and_bounded(machine: RecordedMachine, host: str) -> None:
    chats = stated(machine, DATABASE_URL=f"postgresql://u:p@{host}/x")["chats"]
    text = json.dumps(chats, ensure_ascii=False)
    assert "\u202e" not in text
    assert len(text) < 600
    assert chats["secrecy"] != "kept"


def test_many_servers_are_not_all_named(machine: RecordedMachine) -> None:
    names = ",".join(f"h{number}.example.com" for number in range(10_000))
    chats = stated(machine, DATABASE_URL=f"postgresql://{names}/x")["chats"]
    assert chats == {**NOT_KNOWN, "told": ["no-address"], "service": "postgresql"}


# Uploads and object stores


@pytest.mark.parametrize(
    ("provider", "changed", "objects"),
    [
        ("s3", {}, {**OUTSIDE, "told": ["no-address"]}),
        ("gcs", {}, {**OUTSIDE, "told": ["no-address"]}),
        (
            "s3",
            {"S3_ENDPOINT_URL": "https://s3.example.com/"},
            {**OUTSIDE, "addresses": ["s3.example.com:443"]},
        ),
        (
            "azure",
            {"AZURE_STORAGE_ENDPOINT": "https://me.blob.core.windows.net"},
            {**OUTSIDE, "addresses": ["me.blob.core.windows.net:443"]},
        ),
        (
            "s3",
            {"S3_ENDPOINT_URL": "http://localhost:9000"},
            {**NOT_KNOWN, "told": ["local-server"], "addresses": ["localhost:9000"]},
        ),
        ("S4", {}, {**NOT_KNOWN, "told": ["no-address"]}),
    ],
)
def test_an_object_store(
    machine: RecordedMachine, provider: str, changed: dict[str, str], objects: dict[str, object]
) -> None:
    found = stated(machine, STORAGE_PROVIDER=provider, **changed)
    service = provider if provider in ("s3", "gcs", "azure") else "not-known"
    assert found["objects"] == {**objects, "service": service}
    assert found["uploads"]["secrecy"] == objects["secrecy"]


def test_uploads_that_go_to_an_object_store_stay_here_too(machine: RecordedMachine) -> None:
    endpoint = "http://localhost:9000"
    found = stated(machine, STORAGE_PROVIDER="s3", S3_ENDPOINT_URL=endpoint, UPLOAD_DIR="/srv")
    assert found["uploads"]["kind"] == "plain-disk"


# Vector stores


@pytest.mark.parametrize(
    ("changed", "kind", "addresses"),
    [
        (
            {"VECTOR_DB": "chroma", "CHROMA_HTTP_HOST": "c.example.com"},
            "outside",
            ["c.example.com:8000"],
        ),
        ({"VECTOR_DB": "milvus"}, "encrypted", None),
        (
            {"VECTOR_DB": "milvus", "MILVUS_URI": "http://m.example.com:19530"},
            "outside",
            ["m.example.com:19530"],
        ),
        (
            {"VECTOR_DB": "qdrant", "QDRANT_URI": "https://q.example.com"},
            "outside",
            ["q.example.com:443"],
        ),
        ({"VECTOR_DB": "qdrant", "QDRANT_URI": "q.example.com"}, "outside", ["q.example.com:6333"]),
        ({"VECTOR_DB": "qdrant"}, "not-known", None),
        (
            {"VECTOR_DB": "weaviate", "WEAVIATE_HTTP_HOST": "w.example.com"},
            "outside",
            ["w.example.com:50051", "w.example.com:8080"],
        ),
        (
            {
                "VECTOR_DB": "weaviate",
                "WEAVIATE_HTTP_HOST": "127.0.0.1",
                "WEAVIATE_GRPC_HOST": "w.example.com",
            },
            "outside",
            ["127.0.0.1:8080", "w.example.com:50051"],
        ),
        (
            {"VECTOR_DB": "opensearch", "OPENSEARCH_URI": "https://localhost:9200"},
            "not-known",
            ["localhost:9200"],
        ),
        (
            {"VECTOR_DB": "elasticsearch", "ELASTICSEARCH_URL": "https://e.example.com"},
            "outside",
            ["e.example.com:443"],
        ),
        ({"VECTOR_DB": "elasticsearch", "ELASTICSEARCH_CLOUD_ID": "x:abc"}, "outside", None),
        (
            {"VECTOR_DB": "pgvector", "PGVECTOR_DB_URL": "postgresql://u:p@v.example.com/x"},
            "outside",
            ["v.example.com:5432"],
        ),
        (
            {
                "VECTOR_DB": "opengauss",
                "OPENGAUSS_DB_URL": "opengauss+psycopg2://u:p@v.example.com/x",
            },
            "outside",
            ["v.example.com:5432"],
        ),
        (
            {
                "VECTOR_DB": "mariadb-vector",
                "MARIADB_VECTOR_DB_URL": "mariadb+mariadbconnector://u@v.example.com/x",
            },
            "outside",
            ["v.example.com:3306"],
        ),
        (
            {"VECTOR_DB": "valkey", "VALKEY_URL": "valkey://v.example.com"},
            "outside",
            ["v.example.com:6379"],
        ),
        (
            {"VECTOR_DB": "oracle23ai", "ORACLE_DB_DSN": "o.example.com:1600/FREE"},
            "outside",
            ["o.example.com:1600"],
        ),
        (
            {
                "VECTOR_DB": "oracle23ai",
                "ORACLE_DB_DSN": "(address=(protocol=tcps)(port=1522)(host = o.example.com))",
            },
            "outside",
            ["o.example.com:1522"],
        ),
        ({"VECTOR_DB": "oracle23ai", "ORACLE_DB_DSN": "mydb_high"}, "not-known", None),
        ({"VECTOR_DB": "pinecone"}, "outside", None),
        ({"VECTOR_DB": "s3vector"}, "outside", None),
        ({"VECTOR_DB": "new<b>"}, "not-known", None),
    ],
)
def test_vector_stores(
    machine: RecordedMachine, changed: dict[str, str], kind: str, addresses: list[str] | None
) -> None:
    found = stated(machine, **changed)["vectors"]
    assert (found["kind"], found.get("addresses")) == (kind, addresses)
    known = changed["VECTOR_DB"] if changed["VECTOR_DB"] != "new<b>" else "not-known"
    assert found["service"] == known


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(max_size=60), start=st.sampled_from(["", "postgresql://", "sqlite:///", "("]))
def test_no_setting_breaks_it(machine: RecordedMachine, text: str, start: str) -> None:
    names = [one.name for one in SETTINGS]
    changed: dict[str, object] = dict.fromkeys(names, start + text)
    for store in ("chroma", "milvus", "qdrant", "weaviate", "pgvector", "oracle23ai"):
        changed |= {"VECTOR_DB": store, "STORAGE_PROVIDER": "s3", "WEBSOCKET_MANAGER": "redis"}
        assert json.dumps(stated(machine, **changed)).isascii()


# Redis


def test_redis(machine: RecordedMachine) -> None:
    outside = {**OUTSIDE, "addresses": ["r.example.com:6379"]}
    assert stated(machine, REDIS_URL="redis://:pw@r.example.com/0")["redis"] == outside
    sockets = {"WEBSOCKET_MANAGER": "redis", "WEBSOCKET_REDIS_URL": "rediss://r.example.com"}
    assert stated(machine, **sockets)["redis"] == outside
    sentinels = stated(machine, REDIS_SENTINEL_HOSTS="a.example.com, 127.0.0.1")["redis"]
    assert sentinels["kind"] == "outside"
    assert sentinels["addresses"] == ["127.0.0.1:26379", "a.example.com:26379"]
    local = stated(machine, REDIS_URL="unix:///run/redis.sock")["redis"]
    assert local == {**NOT_KNOWN, "told": ["local-server"]}


def test_the_redis_of_0_5_20_is_not_used_by_default(machine: RecordedMachine) -> None:
    old = {"REDIS_URL": "redis://localhost:6379/0", "REDIS_SENTINEL_HOSTS": None}
    old["WEBSOCKET_REDIS_URL"] = old["REDIS_URL"]
    assert stated(machine, **old)["redis"] == NONE
    assert stated(machine, **old, WEBSOCKET_MANAGER="redis")["redis"]["kind"] == "not-known"
    newer = stated(machine, REDIS_URL="redis://localhost:6379/0")
    assert newer["redis"]["told"] == ["local-server"]


# Secret key


def test_the_key_in_its_file(machine: RecordedMachine) -> None:
    machine.write(f"{FOLDER}/.webui_secret_key", "a secret\n")
    assert stated(machine)["secret_key"] == PLAIN
    machine.write("/run/key", "a secret")
    assert stated(machine, WEBUI_SECRET_KEY_FILE="/run/key")["secret_key"] == MEMORY


@pytest.mark.parametrize("text", ["another", "", "a secret too", "x" * 5000, "\udcff"])
def test_a_file_with_another_key_says_nothing(machine: RecordedMachine, text: str) -> None:
    machine.write(f"{DATA}/key", text)
    found = stated(machine, WEBUI_SECRET_KEY_FILE=f"{DATA}/key")["secret_key"]
    assert found == {**NOT_KNOWN, "told": ["environment"]}


def test_a_key_that_cannot_be_written_down(machine: RecordedMachine) -> None:
    machine.write(f"{FOLDER}/.webui_secret_key", "a secret")
    assert stated(machine, WEBUI_SECRET_KEY="\ud800")["secret_key"]["told"] == ["environment"]


def test_a_mount_among_the_uploads(machine: RecordedMachine) -> None:
    machine.mount(f"{DATA}/uploads/shared", "nfs4", "0:90")
    found = stated(machine)
    assert found["uploads"] == OUTSIDE
    assert found["cache"] == ENCRYPTED


def test_a_pipe_for_a_key_stops_nobody(machine: RecordedMachine) -> None:
    os.mkfifo(f"{machine.root}/run/key")
    started = time.monotonic()
    found = stated(machine, WEBUI_SECRET_KEY_FILE="/run/key")["secret_key"]
    assert found["told"] == ["environment"]
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("key", ["t0p-s3cr3t", ""])
def test_a_key_that_everybody_knows(machine: RecordedMachine, key: str) -> None:
    found = stated(machine, WEBUI_SECRET_KEY=key)["secret_key"]
    assert (found["secrecy"], found["told"]) == ("not-kept", ["well-known"])


# Logs, swap, temporary files


@pytest.mark.parametrize(
    ("out", "errors", "to", "store"),
    [
        ("/dev/null", "/dev/null", ["nowhere"], NONE),
        ("/srv/log", "/dev/null", ["file", "nowhere"], PLAIN),
        ("/run/log", "/run/log", ["file"], MEMORY),
        ("/dev/ttyS0", "/dev/null", ["console", "nowhere"], OUTSIDE),
        ("/dev/console", "/run/log", ["console", "file"], OUTSIDE),
        ("/dev/hvc0", "/run/log", ["console", "file"], OUTSIDE),
        ("/dev/pts/3", "/dev/pts/3", ["terminal"], {**NOT_KNOWN, "told": ["passed-on"]}),
        ("pipe:[7]", "pipe:[7]", ["process"], {**NOT_KNOWN, "told": ["passed-on"]}),
        ("socket:[8]", "socket:[8]", ["process"], {**NOT_KNOWN, "told": ["passed-on"]}),
        ("socket:[9]", "socket:[9]", ["journal"], {**NOT_KNOWN, "told": ["passed-on"]}),
    ],
)
def test_logs(
    machine: RecordedMachine, out: str, errors: str, to: list[str], store: dict[str, object]
) -> None:
    machine.streams = {1: out, 2: errors}
    assert stated(machine, JOURNAL_STREAM="8:9")["logs"] == {**store, "to": to}


def test_a_journal_that_lasts(machine: RecordedMachine) -> None:
    machine.streams = {1: "socket:[9]", 2: "socket:[9]"}
    machine.folder("/var/log/journal")
    found = stated(machine, JOURNAL_STREAM="8:9")["logs"]
    assert found == {**PLAIN, "told": ["passed-on"], "to": ["journal"]}


def test_streams_that_are_closed(machine: RecordedMachine) -> None:
    machine.streams = {}
    assert stated(machine)["logs"] == {**NOT_KNOWN, "to": ["not-known"]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"AUDIT_LOG_LEVEL": "NONE"}, NONE),
        ({"AUDIT_LOG_LEVEL": "METADATA"}, {**ENCRYPTED, "level": "metadata"}),
        ({"AUDIT_LOG_LEVEL": "REQUEST_RESPONSE"}, {**ENCRYPTED, "level": "request_response"}),
        (
            {"AUDIT_LOG_LEVEL": "REQUEST", "AUDIT_LOGS_FILE_PATH": "/a"},
            {**PLAIN, "level": "request"},
        ),
        ({"AUDIT_LOG_LEVEL": "REQUEST", "ENABLE_AUDIT_LOGS_FILE": False}, NONE),
    ],
)
def test_the_audit_log(
    machine: RecordedMachine, changed: dict[str, object], expected: dict[str, object]
) -> None:
    assert stated(machine, **changed)["audit_log"] == expected


def test_swap_and_temporary_files(machine: RecordedMachine) -> None:
    assert stated(machine, TMPDIR="/run/tmp")["temporary"] == MEMORY
    assert stated(machine, SQLITE_TMPDIR="/run")["temporary"] == MEMORY
    machine.write("/proc/swaps", f"{SWAPS}/dev/sda\t\t\t\tpartition\t1\t0\t-2\n")
    found = stated(machine, DATABASE_URL="sqlite://")
    assert found["swap"] == PLAIN
    assert found["chats"] == {**PLAIN, "kind": "memory", "told": ["swap"], "service": "sqlite"}


# Settings of real versions


def test_settings_are_read_by_module_and_name() -> None:
    asked: list[tuple[str, str]] = []
    found = read_settings(lambda module, name: asked.append((module, name)))
    assert found.keys() == {one.name for one in SETTINGS}
    assert {module for module, _name in asked} == {"env", "config", ENVIRONMENT}


@pytest.mark.parametrize("package", INSTALLED, ids=lambda package: package.parents[3].name)
def test_every_version_has_the_settings_of_its_time(package: Path) -> None:
    version = package.parents[3].name.removesuffix("-plugin")
    for setting in SETTINGS:
        if setting.module == ENVIRONMENT:
            continue
        text = (package / f"{setting.module}.py").read_text()
        has_it = re.search(rf"(?m)^\s*{setting.name} = ", text) is not None
        assert has_it == (_numbers(setting.since) <= _numbers(version)), setting


@pytest.mark.parametrize("package", INSTALLED, ids=lambda package: package.parents[3].name)
def test_every_vector_store_of_every_version_is_known(
    machine: RecordedMachine, package: Path
) -> None:
    folder = package / "retrieval/vector"
    file = folder / "type.py" if (folder / "type.py").exists() else folder / "connector.py"
    names = re.findall(r"""(?m)(?:VECTOR_DB =|^    [A-Z0-9_]+ )= ['"](.+?)['"]""", file.read_text())
    assert len(names) >= 5
    for name in names:
        assert stated(machine, VECTOR_DB=name)["vectors"]["service"] == name


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


# This machine


def test_a_section_of_this_machine(tmp_path: Path) -> None:
    values = {name: str(value).replace(FOLDER, str(tmp_path)) for name, value in DEFAULTS.items()}
    found = section(values, folder=str(tmp_path))
    assert str(tmp_path) not in json.dumps(found)
    assert found.keys() == {
        *("audit_log", "cache", "chats", "logs", "objects", "redis", "secret_key", "swap"),
        *("temporary", "uploads", "vectors"),
    }

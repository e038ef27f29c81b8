"""HTTPS by the kit's command: a real server in a fresh Python, asked over real TLS connections.

Its application is a stand-in for open-webui with the whole kit around it; tests/e2e has the real
one. What starts it calls ``uvicorn.run`` as open-webui's own command does.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fake_open_webui import write_package

from cczoo_backend.https_certificate import kept_certificate
from quote_generator.tls_certificate import fingerprint

BACKEND = Path(__file__).resolve().parents[3] / "backend"
SECONDS = 120
# As in 0.5.20, which hands over the application, and as in later ones, which name it.
SERVE = """\
import os

class App:
    def __call__(self, args, prog_name):
        import open_webui.main
        import uvicorn

        workers = int(os.environ.get("UVICORN_WORKERS", "1"))
        app = open_webui.main.app if workers == 1 else "open_webui.main:app"
        port = int(args[args.index("--port") + 1])
        uvicorn.run(app, host="127.0.0.1", port=port, forwarded_allow_ips="*", workers=workers)
"""
TOLD = re.compile(r"SHA-256 fingerprint ([0-9A-F:]{95})\.")


class Server:
    """The command, running; ``port`` is where it listens."""

    def __init__(self, tmp_path: Path, site: Path, *arguments: str, **environ: str) -> None:
        self.port = free_port()
        self.log = tmp_path / f"log-{self.port}"
        self.data = tmp_path / "data"
        path = os.pathsep.join(map(str, (site, tmp_path / "kit", BACKEND.parent)))
        port = str(self.port)
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cczoo_backend", *arguments, "serve", "--port", port],
                cwd=tmp_path,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": path,
                    "DATA_DIR": str(self.data),
                    "TEE_STATEMENT": "off",
                    **environ,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def told(self) -> str:
        """What the log says so far."""
        return self.log.read_text(errors="replace")

    def ended(self) -> int:
        """The exit code of a server that does not start."""
        return self.process.wait(SECONDS)

    def wait(self, scheme: str = "https") -> Server:
        """Return once it answers."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                self.get("/api/v1/tee/sealed", scheme=scheme)
                return self
            time.sleep(0.05)
        raise AssertionError(f"it does not answer:\n{self.told}")

    def get(self, path: str, *, scheme: str = "https", verify: ssl.SSLContext | None = None) -> str:
        """The text of an answer; without a context, of whoever shows any certificate."""
        with httpx.Client(verify=verify or unverified(), trust_env=False, timeout=30) as client:
            return client.get(f"{scheme}://127.0.0.1:{self.port}{path}").text

    def shown(self) -> str:
        """The fingerprint of the certificate that a connection is shown."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            unverified().wrap_socket(plain) as connection,
        ):
            return fingerprint(connection.getpeercert(binary_form=True) or b"")

    def stop(self) -> None:
        """End it, and its workers with it."""
        self.process.terminate()
        self.process.wait(SECONDS)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


Start = Callable[..., Server]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Packages with open-webui's stand-in, and beside them the kit with a page of its own."""
    folder = tmp_path / "site"
    write_package(folder)
    (folder / "typer_double.py").write_text(SERVE)
    kit = tmp_path / "kit" / "cczoo_backend"
    ignored = shutil.ignore_patterns("__pycache__", "page")
    shutil.copytree(BACKEND / "cczoo_backend", kit, ignore=ignored)
    (kit / "page").mkdir()
    names = {"loader-1.js": b"loader", "auditors-1.js": b"auditors"}
    for name, body in names.items():
        (kit / "page" / name).write_bytes(body)
    files = {name: hashlib.sha256(body).hexdigest() for name, body in names.items()}
    manifest = {"v": 1, "loader": "loader-1.js", "auditors": "auditors-1.js", "files": files}
    (kit / "page" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "data").mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path, site: Path) -> Iterator[Start]:
    """Start the command; it ends with the test."""
    started: list[Server] = []

    def starting(*arguments: str, **environ: str) -> Server:
        started.append(Server(tmp_path, site, *arguments, **environ))
        return started[-1]

    yield starting
    for server in started:
        server.stop()


def test_log_connection_and_page_have_the_same_fingerprint(start: Start) -> None:
    server = start("--https", "--https-name", "chat.example").wait()
    found = TOLD.search(server.told)
    assert found, server.told
    assert server.shown() == found[1]
    assert f'data-certificate="{found[1]}"' in server.get("/tee")
    line = next(line for line in server.told.splitlines() if found[1] in line)
    assert line.startswith(f"HTTPS: open https://chat.example:{server.port}. ")
    assert "self-signed" in line
    assert str(server.data / "cczoo" / "https" / "certificate.pem") in line
    with pytest.raises(httpx.HTTPError):
        server.get("/", scheme="http")


def test_whoever_trusts_that_certificate_reaches_the_server_by_its_names(start: Start) -> None:
    server = start("--https").wait()
    pem = server.data / "cczoo" / "https" / "certificate.pem"
    context = ssl.create_default_context(cafile=str(pem))
    assert '"sealed":false' in server.get("/api/v1/tee/sealed", verify=context)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        server.get("/", verify=ssl.create_default_context())


def test_it_is_the_same_at_the_next_start_and_nothing_says_that_it_is_new(start: Start) -> None:
    first = start("--https").wait()
    assert "this certificate was made just now: there was none yet." in first.told
    first.stop()
    second = start("--https").wait()
    assert second.shown() == TOLD.findall(first.told)[0]
    assert "made just now" not in second.told


def test_two_starts_at_once_make_one_certificate(start: Start) -> None:
    servers = [start("--https") for _ in range(2)]
    assert len({server.wait().shown() for server in servers}) == 1
    assert sum("made just now" in server.told for server in servers) == 1


def test_each_worker_serves_https(start: Start) -> None:
    server = start("--https", UVICORN_WORKERS="2", TEE_SEALED="off").wait()
    found = TOLD.findall(server.told)
    assert len(found) == 1
    for _ in range(8):
        assert server.shown() == found[0]
        assert found[0] in server.get("/tee")


def test_a_certificate_that_is_given_is_served(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "given" / "https"
    (tmp_path / "given").mkdir()
    now = datetime.datetime.now(datetime.UTC)
    mine = kept_certificate(folder, ["mine.example"], own=["localhost"], now=now)
    server = start("--https-certificate", str(mine.file)).wait()
    assert server.shown() == mine.fingerprint
    assert mine.fingerprint in server.told
    assert not (server.data / "cczoo" / "https").exists()


def test_without_the_option_it_serves_as_ever(start: Start) -> None:
    """Also where a variable from elsewhere says something of a certificate."""
    server = start(CCZOO_HTTPS_FINGERPRINT=":".join(["AB"] * 32)).wait("http")
    assert "HTTPS" not in server.told
    assert "<main>" in server.get("/tee", scheme="http")
    assert not (server.data / "cczoo" / "https").exists()


@pytest.mark.parametrize("broken", ["folder", "file", "given", "name"])
def test_without_a_certificate_nothing_is_served_in_plain_http_instead(
    start: Start, tmp_path: Path, broken: str
) -> None:
    words, code = ["--https"], "https-certificate-unusable"
    kit = tmp_path / "data" / "cczoo"
    if broken == "folder":
        kit.write_text("in the way")
        code = "https-certificate-not-stored"
    elif broken == "file":
        (kit / "https").mkdir(parents=True)
        (kit / "https" / "certificate.pem").write_text("half")
    elif broken == "given":
        words = ["--https-certificate", "not\x1b[2Jthere\n.pem"]
    else:
        words, code = ["--https-name", "<b>\x1b[2J"], "usage"
    server = start(*words)
    assert server.ended() == 2
    (line,) = (line for line in server.told.splitlines() if "open-webui does not start: " in line)
    assert line.endswith(f" [{code}]")
    assert "\x1b" not in server.told
    assert "Traceback" not in server.told
    assert "Uvicorn running" not in server.told

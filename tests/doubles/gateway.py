"""An nginx or a Caddy of its own, with a configuration that the docs show."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

WAIT_SECONDS = 60


@contextlib.contextmanager
def running(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """Run nginx with this as its http block, which has it listen on the port of 127.0.0.1."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off;\n"
        + "".join(f"{name}_temp_path {folder}/{name};\n" for name in temporary)
        + configuration
        + "}\n"
    )
    words = [_program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stderr=log) as process:
        try:
            _await_listening(port, process, folder / "log")
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def running_caddy(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """Run Caddy with this, which has it listen on the port of 127.0.0.1."""
    # It would listen for orders, send visitors of port 80 on, and keep files in the home folder.
    alone = "{\n    admin off\n    auto_https disable_redirects\n    storage file_system data\n}\n"
    (folder / "Caddyfile").write_text(alone + configuration)
    words = [_program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, cwd=folder, env=_at_home(folder), stderr=log) as process,
    ):
        try:
            _await_listening(port, process, folder / "log")
            yield
        finally:
            process.terminate()


def _at_home(folder: Path) -> dict[str, str]:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    return {**os.environ, **dict.fromkeys(names, str(folder))}


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with addresses and files of ours in the place of the docs'; each must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def free_port() -> int:
    """A port of this machine that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files = folder / "gateway.pem", folder / "gateway.key"
    files[0].write_bytes(certificate.public_bytes(encoding))
    files[1].write_bytes(key.private_bytes(encoding, kind, serialization.NoEncryption()))
    return files


def _program(name: str) -> str:
    """The program; Debian has some where only root looks."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is missing: python3 tools/bootstrap.py system-unit"
    return found


def _await_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args} does not listen: {log.read_text()}")

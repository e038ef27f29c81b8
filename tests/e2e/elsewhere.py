"""A server elsewhere, with HTTPS, that notes what it is asked for: where words would get out to."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

WIDTH, HEIGHT = 60, 40
IMAGE = (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
    '<rect width="100%" height="100%" fill="teal"/></svg>'
).encode()


@dataclass
class Elsewhere:
    """Its origin, and each request: method, path, query, and the headers that tell of somebody."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)
    # Connections, also those on which nobody asked for anything.
    connections: int = 0

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[Elsewhere]:
    """Run the server on a free port of 127.0.0.1, with a certificate that nobody vouches for."""
    seen = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.asked.append(f"{self.command} {self.path}")
            seen.told.append({name.lower(): value for name, value in self.headers.items()})
            body = b"" if self.path.startswith("/missing") else IMAGE
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "image/svg+xml")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.answer)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, address: object) -> None:
            seen.connections += 1
            # The handshake is done here, in a thread of the connection's own.
            with contextlib.suppress(OSError):
                secured = tls.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
                super().finish_request(secured, address)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_certificate(folder))
    server = Server(("127.0.0.1", 0), Handler)
    seen.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=elsewhere")
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "elsewhere.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file

"""The verifiers: those that run in a browser, on one quote and in turns, and the auditor's command.

Ours, and the two on npm. Both of these pin Intel's root. The JavaScript one takes another root as
an argument; in the WebAssembly one the bytes of the certificate are exchanged for a certificate of
the same length.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dcap_qvl  # type: ignore[import-untyped]
from cczoo_verifier.appraisal import Trust, verify
from cczoo_verifier.collateral import from_members
from playwright.sync_api import sync_playwright

from bench.rows import Limit, detail, row
from bench.timing import in_turns, timed
from cases import encoding
from cases.world import World, key
from e2e.browser import CHROMIUM, CHROMIUM_FLAGS
from e2e.stack import REPO
from quote_generator import evidence
from quote_generator.attester import Attestation
from quote_generator.simulator import Simulator, der, pki

HERE = Path(__file__).resolve().parent
# The bundler of the page itself.
ESBUILD = REPO / "web" / "node_modules" / ".bin" / "esbuild"
WASM = HERE / "node_modules/@phala/dcap-qvl-web/dcap-qvl-web_bg.wasm"
ROOT_SIZE = 659
"""Bytes of Intel's root certificate, DER: what the WebAssembly file has room for."""

ROUNDS = 200
IN_PYTHON, IN_CHROMIUM = Limit(3), Limit(5)
PADDING = "1.3.6.1.4.1.99999.2"

AUDIT_ROUNDS = 20
VERIFIED_SIMULATED = 3  # exit code: verified, with the simulator's warning


def time_verifiers() -> None:
    """A verification in Python against dcap-qvl's, in Chromium against the two verifiers on npm."""
    _time_python()
    with tempfile.TemporaryDirectory() as page:
        found = measure(Path(page))
    ours = found["ours"]
    packages = {"javascript": "@phala/dcap-qvl (JavaScript)", "wasm": "@phala/dcap-qvl-web (WASM)"}
    for name, package in packages.items():
        median = found[name]["median"]
        row("verification in Chromium", ours["median"], package, median, "ms", limit=IN_CHROMIUM)
        row("  first one, with the start", _first(ours), package, _first(found[name]), "ms")
    detail("verifications a second", 1000 / ours["median"], "/s")


def _time_python() -> None:
    """What `cczoo-verify` does of quote and collateral; dcap-qvl, asked alone, is part of it."""
    case = _world().case()
    root = _world().certificates["pinned"].encode()
    quote, moment = base64.b64decode(case["quote_b64"]), int(case["now"])
    trust = Trust(root, from_members(case["collateral"]))
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(dict(trust.collateral)))
    whole, part = in_turns(
        ROUNDS,
        timed(lambda: verify(quote, trust, moment)),
        timed(lambda: dcap_qvl.verify_with_root_ca(quote, collateral, root, moment)),
    )
    row("verification in Python", whole / 1000, "dcap-qvl", part / 1000, "ms", limit=IN_PYTHON)


def _first(times: dict[str, float]) -> float:
    return times["start"] + times["first"]


def time_audit() -> None:
    """`cczoo-verify --evidence`, as a whole process, against a Python that does nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        command = _audit_command(Path(scratch))
        audit = timed(lambda: _audit(command))
        whole, start = in_turns(AUDIT_ROUNDS, audit, timed(python_that_does_nothing))
    row("cczoo-verify --evidence, a process", whole / 1000, "python -c ''", start / 1000, "ms")


def python_that_does_nothing() -> None:
    """Start this Python, and end it."""
    subprocess.run([sys.executable, "-c", ""], timeout=60, check=True)


def _audit_command(folder: Path) -> list[str]:
    """The command line that audits a file of evidence, made in ``folder``."""
    simulator = Simulator.open(folder / "simulator")
    nonce = bytes(32)

    def made(report_data: bytes) -> Attestation:
        quote = simulator.quote(report_data)
        return Attestation(quote, "simulator", "simulator", simulated=True)

    (document,) = evidence.build_evidence([nonce], attest=made, now=time.time())
    file = folder / "evidence.json"
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "cczoo_verifier", "--evidence", str(file), "--json"]
    command += ["--nonce", evidence.encode_base64url(nonce)]
    return [*command, "--simulator", str(simulator.directory)]


def _audit(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode != VERIFIED_SIMULATED:
        raise RuntimeError(done.stderr)


# In the browser

PAGE = '<!doctype html><meta charset="utf-8"><script type="module" src="verifiers.js"></script>'


def measure(output: Path, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Milliseconds by verifier ("ours", "javascript", "wasm"): `start`, `first` and `median`.

    `output` is an empty folder for the page. Raises what goes wrong: a verifier that does not
    accept the quote has no time.
    """
    bundle("verifiers.mjs", output)
    (output / "index.html").write_text(PAGE)
    with _serving(output) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            page = browser.new_page()
            page.goto(f"{url}/index.html")
            page.wait_for_function("typeof bench === 'function'")
            script = "([material, rounds]) => bench(material, rounds)"
            answer: dict[str, dict[str, float]] = page.evaluate(script, [_material(), rounds])
            return answer
        finally:
            browser.close()


def bundle(script: str, output: Path) -> None:
    """Make one of this folder's scripts, with what it imports, ready for a browser."""
    command = [
        str(ESBUILD),
        str(HERE / script),
        "--bundle",
        "--minify",
        "--splitting",
        "--format=esm",
        "--define:global=globalThis",
        "--define:process.env.NODE_ENV='production'",
        f"--alias:crypto={HERE / 'empty.mjs'}",
        f"--outdir={output}",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=HERE)


def _material() -> dict[str, Any]:
    """One quote and its collateral in the forms that the three take, all in base64 or text."""
    world = _world()
    case = world.case()
    root = world.certificates["pinned"].encode()
    collateral = from_members(case["collateral"])
    return {
        "quote": case["quote_b64"],
        "collateral": case["collateral"],
        "flat": collateral,
        "now": int(case["now"]),
        "root": base64.b64encode(root).decode(),
        "rootKey": base64.b64encode(b"\4" + pki.public_raw(key("root"))).decode(),
        "wasm": base64.b64encode(_wasm_for(root)).decode(),
    }


def _world() -> World:
    """A good quote under a root certificate that is as long as Intel's."""
    world = World()
    for size in range(ROOT_SIZE):
        padding = encoding.extension(PADDING, der.octets(bytes(size)))
        for name in ("root", "pinned"):
            world.certificates[name].more = [padding]
        if len(world.certificates["pinned"].encode()) == ROOT_SIZE:
            return world
    raise AssertionError("no root certificate of that length")


def _wasm_for(root: bytes) -> bytes:
    """The WebAssembly verifier with another root certificate."""
    code = WASM.read_bytes()
    subject = b"Intel SGX Root CA"
    found = [
        at
        for at in range(len(code))
        if code.startswith(b"\x30\x82\x02\x8f\x30\x82", at) and subject in code[at : at + ROOT_SIZE]
    ]
    (at,) = found
    return code[:at] + root + code[at + ROOT_SIZE :]


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

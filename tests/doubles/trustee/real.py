"""Starts a real `restful-as`, of whichever version and with or without the kit's patch.

It needs nothing but the binary, and the quote verification library that this is linked with.
Intel's own refuses a simulator's quotes: put one in `LD_LIBRARY_PATH` that answers "OK" to all.
Configuration, signer, reference values and, for v0.21, a collateral service are made here.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from quote_generator.simulator import Simulator

from .. import pccs
from ..serving import serving
from .service import ATTESTATION, KEYS
from .signing import Signer

START_SECONDS = 60


@contextlib.contextmanager
def running(
    binary: Path,
    folder: Path,
    td: Simulator,
    signer: Signer,
    references: Mapping[str, Sequence[str]],
    origin: str,
) -> Iterator[str]:
    """The address of a service that knows `references`; pages of `origin` may use it, if any."""
    with serving(lambda _: pccs.create_app(td, hex_lists=False)) as collateral:
        configuration = folder / "config.json"
        configuration.write_text(json.dumps(_configuration(folder, signer, collateral)))
        _write_references(folder, references)
        command = [str(binary), "-c", str(configuration)]
        if takes_origins(binary):
            command += ["--allowed_origin", origin]
        with _started(command, folder / "log.txt") as url:
            yield url


def takes_origins(binary: Path) -> bool:
    """Whether it has a word to say about other origins' pages: v0.21, and v0.13 if patched."""
    told = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True)
    return "--allowed_origin" in told.stdout


def version_of(url: str) -> str:
    """The version at an address: the older one has no key set."""
    answer = httpx.get(url + KEYS, trust_env=False)
    return "0.21" if answer.status_code == 200 else "0.13"


def _configuration(folder: Path, signer: Signer, collateral: str) -> dict[str, Any]:
    """One for both versions: each ignores what it does not know."""
    key, chain = signer.save(folder)
    return {
        "work_dir": str(folder / "work"),
        "storage_backend": {
            "storage_type": "LocalFs",
            "backends": {"local_fs": {"dir_path": str(folder / "storage")}},
        },
        "rvps_config": {
            "type": "BuiltIn",
            "storage": {"type": "LocalJson", "file_path": str(folder / "references.json")},
            "storage_type": "LocalFs",
        },
        "attestation_token_broker": {
            "type": "Ear",
            "duration_min": 5,
            "policy_dir": str(folder / "policies"),
            "signer": {"key_path": str(key), "cert_path": str(chain)},
        },
        "verifier_config": {"dcap_verifier": {"collateral_service": collateral}},
    }


def _write_references(folder: Path, references: Mapping[str, Sequence[str]]) -> None:
    """Values as each version keeps them: a file of all, and a file for each name."""
    common = {"expiration": "2099-01-01T00:00:00Z"}
    listed = [
        {**common, "name": name, "hash-value": [{"alg": "hex", "value": item} for item in values]}
        for name, values in references.items()
    ]
    (folder / "references.json").write_text(json.dumps(listed))
    named = folder / "storage" / "reference_value"
    named.mkdir(parents=True)
    for name, values in references.items():
        content = {**common, "name": name, "value": list(values)}
        (named / name).write_text(json.dumps(content))


@contextlib.contextmanager
def _started(command: Sequence[str], log: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    # With backtraces on, each fault's text has the whole stack in it.
    surroundings = os.environ | {"RUST_BACKTRACE": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-s", address], stdout=output, stderr=output, env=surroundings
        )
    try:
        _wait_for(f"http://{address}", process, log)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url + ATTESTATION, trust_env=False)
            return
        time.sleep(0.1)
    raise AssertionError(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")

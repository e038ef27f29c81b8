"""A conformance case's world as files for the auditor's command line."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cczoo_verifier.collateral import from_members

from cases.world import NOW, World
from doubles.chat import NONCE, Attestation
from quote_generator import evidence


def save_world(world: World, folder: Path) -> list[str]:
    """Write evidence for a known nonce, its root and its collateral; returns the options."""

    def attest(report_data: bytes) -> Attestation:
        world.body["report_data"] = report_data
        return Attestation(base64.b64decode(world.case()["quote_b64"]))

    [document] = evidence.build_evidence([NONCE], attest=attest, now=NOW, aa_eventlog=None)  # type: ignore[arg-type]
    case = world.case()
    parts = {
        "evidence": json.dumps(document),
        "root": case["root_ca_pem"],
        "collateral": json.dumps(from_members(case["collateral"])),
    }
    for name, text in parts.items():
        (folder / name).write_text(text)
    options = [word for name in parts for word in (f"--{name}", str(folder / name))]
    return [*options, "--nonce", evidence.encode_base64url(NONCE), "--at", str(NOW)]

"""Runs the conformance adapters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# What `cryptography` deprecates in odd certificates is theirs, and no news here.
PYTHON = [sys.executable, "-W", "ignore", str(HERE / "verify_python.py")]
LIBRARY = [*PYTHON, "--library"]
TYPESCRIPT = ["node", str(HERE / "verify_typescript.mjs")]
OURS = {"python": PYTHON, "typescript": TYPESCRIPT}

TIMEOUT = 300
"""Seconds; a batch takes a few, on a machine that does nothing else."""

Answer = dict[str, Any]


def batch(command: list[str], cases: Iterable[object]) -> list[Answer]:
    """The answers of an adapter to many cases."""
    text = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run(
        [*command, "--batch"], input=text, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def single(command: list[str], text: str) -> tuple[int, Answer]:
    """Exit code and answer of an adapter for one case's text."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT)
    return done.returncode, json.loads(done.stdout)


COMPARED = (
    "exit",
    "accepted",
    "status",
    "launch",
    "current",
    "dates",
    "short",
    "evaluation",
    "crl_numbers",
    "platform",
    "expires",
    "body",
)
"""The members of an answer that both verifiers give alike, beside its checks."""


def comparable(answer: Answer) -> Answer:
    """What must be alike: everything but texts that are there to be read.

    Of an answer with a failure that is the first failing check: after it only the page goes on.
    """
    told = {name: answer.get(name) for name in COMPARED}
    checks = answer.get("checks", [])
    failed = [check for check in checks if check["outcome"] == "fail"]
    return told | {
        check["id"]: [check["outcome"], check.get("reason")] for check in failed[:1] or checks
    }


def reason(answer: Answer) -> str | None:
    """The reason of the check that failed first."""
    return next((check["reason"] for check in answer["checks"] if check["outcome"] == "fail"), None)


def first_failure(answer: Answer) -> str | None:
    """The id of the check that failed first."""
    return next((check["id"] for check in answer["checks"] if check["outcome"] == "fail"), None)

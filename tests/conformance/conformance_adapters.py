"""Runs the conformance adapters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHON = [sys.executable, str(HERE / "verify_python.py")]
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


def reasons(answer: Answer) -> set[str]:
    """The codes of the first failure; the page may have a word for it at the detail's beginning."""
    failed = next((check for check in answer["checks"] if check["outcome"] == "fail"), {})
    word = failed.get("detail", "").partition(":")[0]
    return {failed.get("code"), word} - {None}


def first_failure(answer: Answer) -> str | None:
    """The id of the check that failed first."""
    return next((check["id"] for check in answer["checks"] if check["outcome"] == "fail"), None)

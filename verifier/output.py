"""What the command lines print, and what they do where that fails."""

from __future__ import annotations

import json
import os
import sys

from .problems import Problem


def printable(text: str) -> str:
    """Text without what a terminal would obey: control characters, changes of direction."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def complain(problem: Problem) -> None:
    """Say on stderr what is wrong."""
    print(f"cczoo-verify: {printable(str(problem))} [{problem.code}]", file=sys.stderr)


def remark(text: str) -> None:
    """Say something on stderr that is no error."""
    print(f"cczoo-verify: {printable(text)}", file=sys.stderr)


def error_document(problem: Problem, report: object = None) -> str:
    """What `--json` prints instead of a report; one that could not be kept comes along."""
    document: dict[str, object] = {"error": {"code": problem.code, "detail": str(problem)}}
    return json.dumps(document if report is None else {**document, "report": report}, indent=1)


def abandon_stdout() -> None:
    """Stop writing where nobody reads: Python would try again at its end, and complain."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

"""Asks a program that stands for Intel's quote verification library about conformance cases.

The program is not part of the project; docs/verification.md ("Differences from Intel's library")
says how it is called and what it prints. What it does otherwise (a crash, no end, other text) is
no answer, and told as such: a library's crash is a difference like any other.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 60.0
"""Seconds that one answer may take; it takes milliseconds."""

FILES = {
    "tcb_info.json": "tcb_info_json",
    "qe_identity.json": "qe_identity_json",
    "root_crl.der": "root_crl_der_b64",
    "pck_crl.der": "pck_crl_der_b64",
    "tcb_info_issuer_chain.pem": "tcb_info_issuer_chain_pem",
    "qe_identity_issuer_chain.pem": "qe_identity_issuer_chain_pem",
    "pck_crl_issuer_chain.pem": "pck_crl_issuer_chain_pem",
}
"""The files of the collateral folder: the member of a case's collateral that each is made of."""


@dataclass(frozen=True)
class Judged:
    """A TCB as it is told: a status, the earliest date of its parts in Unix seconds, advisories."""

    status: str
    date: int
    advisories: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """What the library says of a case. Unless it accepts, the code is all that counts.

    `current` is None where only one TCB was judged, `evaluation` the lower of the two numbers.
    """

    library: str
    accepted: bool
    code: str
    status: str | None = None
    launch: Judged | None = None
    current: Judged | None = None
    evaluation: int | None = None


class NoAnswerError(Exception):
    """The program ended or went on without saying what the library says."""


def ask(program: str, case: Mapping[str, Any], limit: float = LIMIT) -> Answer:
    """What the library says of one case. Raises NoAnswerError."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = _write(case, Path(folder))
        try:
            done = subprocess.run([program, *arguments], capture_output=True, timeout=limit)
        except subprocess.TimeoutExpired:
            raise NoAnswerError(f"no answer within {limit:g} seconds") from None
    if done.returncode < 0:
        raise NoAnswerError(f"ended by signal {-done.returncode}")
    if done.returncode > 0:
        raise NoAnswerError(
            f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[:200]}"
        )
    return read_answer(done.stdout)


def ask_all(
    program: str, cases: Iterable[Mapping[str, Any]], limit: float = LIMIT
) -> list[Answer | NoAnswerError]:
    """What the library says of each case, several at a time."""

    def one(case: Mapping[str, Any]) -> Answer | NoAnswerError:
        try:
            return ask(program, case, limit)
        except NoAnswerError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, cases))


def read_answer(text: bytes) -> Answer:
    """The answer in what the program printed. Raises NoAnswerError."""
    try:
        said = json.loads(text)
        accepted = _of(bool, said["accepted"])
        library, code = _of(str, said["library"]), _of(str, said["code"])
        if not accepted:
            return Answer(library, accepted, code)
        launch = _judged(said["launch"])
        current = None if said["current"] is None else _judged(said["current"])
        status, evaluation = _of(str, said["status"]), _of(int, said["evaluation"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoAnswerError(f"{error!r} in {text[:200]!r}") from error
    return Answer(library, accepted, code, status, launch, current, evaluation)


def _judged(said: Any) -> Judged:
    advisories = frozenset(_of(str, item) for item in _of(list, said["advisories"]))
    return Judged(_of(str, said["status"]), _of(int, said["date"]), advisories)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _write(case: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the case into the folder; the program's arguments. What a case lacks is no file."""
    quote, root, collateral = folder / "quote.bin", folder / "root.pem", folder / "collateral"
    collateral.mkdir()
    quote.write_bytes(base64.b64decode(case["quote_b64"]))
    root.write_text(case["root_ca_pem"], "utf-8", newline="")
    for name, member in FILES.items():
        text = case["collateral"].get(member)
        if isinstance(text, str):
            (collateral / name).write_bytes(_content(member, text))
    return [str(quote), str(collateral), str(root), str(int(case["now"]))]


def _content(member: str, text: str) -> bytes:
    """What a file holds: base64 is undone where it is base64, since a list may be PEM or hex."""
    if member.endswith("_b64"):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            pass
    return text.encode("utf-8", "surrogatepass")

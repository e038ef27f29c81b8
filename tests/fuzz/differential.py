"""Both verifiers on the same mutants: they must say the same, word for word, of every one.

    python tests/fuzz/differential.py --runs 20000 [--first NUMBER]   (mutants by their numbers)
    python tests/fuzz/differential.py --seconds 300 [--first NUMBER]
    python tests/fuzz/differential.py --number NUMBER                 (one mutant again)
    python tests/fuzz/differential.py --input FILE                    (one case again)

The verifiers run as the conformance adapters. A mutant on which they differ, or which ends or stops
one of them, is cut down to the mutations that it needs and kept in out/fuzz.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), *(str(REPO / "tests" / name) for name in ("", "fuzz", "conformance"))]

from conformance_adapters import OURS, Answer, comparable  # noqa: E402
from fuzzing import OUT, positive_number  # noqa: E402
from mutations import Case, Plan, made, plan_of  # noqa: E402

TIMEOUT = 60
"""Seconds: no case takes long, and a machine may be busy. What takes longer hangs."""


class Adapter:
    """A verifier that stays; started anew where a case ended it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [*command, "--batch"]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def ask(self, text: str) -> None:
        """Give it a case. `answer` has to follow."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{text}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: its answer will say so

    def answer(self) -> Answer:
        """What it says; how it ended where it said nothing."""
        try:
            line = self._lines.get(timeout=TIMEOUT)
            if line:
                return dict(json.loads(line))
            how = f"ends with {self._process.wait(TIMEOUT)}"
        except (queue.Empty, subprocess.TimeoutExpired):
            how = "hangs"
        self.close()
        self._start()
        return {"exit": how}

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@dataclass
class Pair:
    """Both verifiers."""

    adapters: dict[str, Adapter] = field(
        default_factory=lambda: {name: Adapter(command) for name, command in OURS.items()}
    )

    def ask(self, case: Case) -> None:
        text = json.dumps(case)
        for adapter in self.adapters.values():
            adapter.ask(text)

    def difference(self) -> dict[str, dict[str, Any]]:
        """Where the answers to the last case differ: member -> what each says."""
        said = {name: comparable(adapter.answer()) for name, adapter in self.adapters.items()}
        members = dict.fromkeys(member for answer in said.values() for member in answer)
        apart = {}
        for member in members:
            each = {name: answer.get(member) for name, answer in said.items()}
            if len({json.dumps(value, sort_keys=True) for value in each.values()}) > 1:
                apart[member] = each
        ends = [answer["exit"] for answer in said.values() if isinstance(answer["exit"], str)]
        return apart or ({"exit": {"both": ends[0]}} if ends else {})

    def compare(self, case: Case) -> dict[str, dict[str, Any]]:
        """The same for one case."""
        self.ask(case)
        return self.difference()

    def close(self) -> None:
        for adapter in self.adapters.values():
            adapter.close()


@dataclass(frozen=True)
class Finding:
    """A mutant on which they differ, with no more mutations than it needs."""

    number: int
    kind: str
    plan: Plan
    case: Case
    apart: dict[str, dict[str, Any]]

    def keep(self, folder: Path) -> Path:
        """Write its case down."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"differential-{self.number}.json"
        path.write_text(json.dumps(self.case) + "\n")
        return path

    def __str__(self) -> str:
        lines = [f"mutant {self.number} ({self.kind}): {', '.join(name for name, _ in self.plan)}"]
        lines += [
            f"    {member}: {name} says {json.dumps(value)[:300]}"
            for member, each in self.apart.items()
            for name, value in each.items()
        ]
        return "\n".join(lines)


def reduced(pair: Pair, number: int) -> Finding:
    """The finding of a number, with one mutation after the other left out that it does not need."""
    kind, plan = plan_of(number)
    apart = pair.compare(made(kind, plan, number))
    for mutation in plan:
        fewer = tuple(item for item in plan if item != mutation)
        still = pair.compare(made(kind, fewer, number))
        if still:
            plan, apart = fewer, still
    return Finding(number, kind, plan, made(kind, plan, number), apart)


def findings(pair: Pair, numbers: Iterator[int]) -> Iterator[Finding | None]:
    """For each mutant its finding, or None. The next one is made while both look at this one."""
    case = _mutant(next(numbers))
    while case is not None:
        number, mutant = case
        pair.ask(mutant)
        following = next(numbers, None)
        case = None if following is None else _mutant(following)
        yield reduced(pair, number) if pair.difference() else None


def _mutant(number: int) -> tuple[int, Case]:
    return number, made(*plan_of(number), number)


def run(
    numbers: Iterator[int], *, until: float = float("inf"), show: bool = False
) -> list[Finding]:
    """Compare them on these mutants; returns what was found, and shows it at once if asked to."""
    found: list[Finding] = []
    pair = Pair()
    try:
        for finding in findings(pair, numbers):
            if finding:
                found.append(finding)
                if show:
                    print(f"{finding}\n    {_again(finding.keep(OUT))}", flush=True)
            if time.monotonic() > until:
                break
    finally:
        pair.close()
    return found


def _again(path: Path) -> str:
    return f".venv/bin/python tests/fuzz/differential.py --input {os.path.relpath(path, REPO)}"


def look_again(case: Case) -> int:
    """Show where they differ on one case; the exit code."""
    pair = Pair()
    try:
        apart = pair.compare(case)
    finally:
        pair.close()
    print(Finding(0, "as given", (), case, apart) if apart else "they say the same")
    return 1 if apart else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 nothing found, 1 they differ, 2 bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--runs", type=positive_number, help="how many mutants")
    how.add_argument("--seconds", type=positive_number, help="how long")
    how.add_argument("--number", type=int, help="the one mutant to look at again")
    how.add_argument("--input", type=Path, help="the one case to look at again")
    parser.add_argument(
        "--first", type=int, help="the first mutant's number (0; by time, another one each day)"
    )
    options = parser.parse_args(argv)
    if options.input:
        return look_again(json.loads(options.input.read_text()))
    if options.number is not None:
        return look_again(_mutant(options.number)[1])
    until = time.monotonic() + options.seconds if options.seconds else float("inf")
    usual = int(time.time()) // 86400 * 1_000_000 if options.seconds else 0
    first = usual if options.first is None else options.first
    found = run(islice(count(first), options.runs), until=until, show=True)
    print(f"{len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

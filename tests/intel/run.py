"""Runs the conformance cases through Intel's library too, and lists what it says otherwise.

    python tests/intel/run.py PROGRAM

PROGRAM stands for the library: docs/verification.md ("Differences from Intel's library") says what
it is given and what it prints. Nothing of Intel's is in this repository.

Exit codes: 0 every difference is one of accepted_differences.py, and every line of it happens;
1 otherwise; 2 no such program.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "conformance")]

from conformance_adapters import PYTHON, batch  # noqa: E402

from cases import generate  # noqa: E402
from cases.catalogue import MALFORMED  # noqa: E402
from intel.accepted_differences import DIFFERENCES, VERSION, Difference  # noqa: E402
from intel.comparison import Comparison, compare, deviation  # noqa: E402
from intel.oracle import LIMIT, Answer, ask_all  # noqa: E402

Case = Mapping[str, Any]
"""A conformance case (docs/verification.md)."""


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if len(arguments) != 1 or not os.access(arguments[0], os.X_OK):
        print("usage: run.py PROGRAM", file=sys.stderr)
        return 2
    return examine(os.path.abspath(arguments[0]), cases_asked(), DIFFERENCES)


def cases_asked() -> dict[str, Case]:
    """The cases by their names: those of the suite, and the simulator's evidence.

    What is no case at all (`malformed`) is the adapters' own matter.
    """
    suite = {case.name: case.case for case in generate() if case.expected != MALFORMED}
    return suite | _simulated()


def _simulated() -> dict[str, Case]:
    """Evidence of two simulators with each of their collaterals, from the page's vectors."""
    vectors = json.loads((TESTS / "vectors" / "dcap.json").read_text("utf-8"))
    return {
        f"{name}/{collateral}": {
            "quote_b64": base64.b64encode(bytes.fromhex(td["evidence"]["quote"])).decode(),
            "collateral": members,
            "root_ca_pem": td["root_pem"],
            "now": vectors["now"],
        }
        for name in ("simulator", "other")
        for td in [vectors[name]]
        for collateral, members in td.items()
        if "tcb_info_json" in members
    }


def examine(
    program: str, cases: Mapping[str, Case], table: Iterable[Difference], limit: float = LIMIT
) -> int:
    """Ask the program and our verifier about each case, print what differs; the exit code."""
    theirs = ask_all(program, cases.values(), limit)
    ours = batch(PYTHON, cases.values())
    named = zip(cases, theirs, ours, strict=True)
    deviations = [found for item in named if (found := deviation(*item))]
    versions = sorted({item.library for item in theirs if isinstance(item, Answer)})
    print(f"{len(cases)} cases, Intel's library {', '.join(versions) or 'without an answer'}")
    if versions != [VERSION]:
        print(f"the table of accepted differences is that of {VERSION}")
    return report(compare(deviations, table))


def report(comparison: Comparison) -> int:
    """Print a comparison; the exit code."""
    for line, found in comparison.accepted.items():
        print(f"{line.does}: {line.what} ({len(found)})")
    for item in comparison.others:
        print(f"NOT IN THE TABLE {item.case}: {item.does} {item.words}")
    for pattern in comparison.stale:
        print(f"NO LONGER SO {pattern}")
    return 1 if comparison.others or comparison.stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

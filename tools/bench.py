"""`make bench`: the figures that this project watches, each against a baseline of the same run.

    python tools/bench.py [FIGURE ...]     (all of FIGURES without a name)

Where there is a limit, the row shows it, and the command ends with 1 where one is missed; tests
hold the budgets that do not depend on the machine. What is compared takes turns, so that a busy
machine slows both alike. The measuring itself is in tests/bench.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from bench.attester import (  # noqa: E402
    time_consistency,
    time_evidence,
    time_parsing,
    time_quotes,
    time_threads,
    time_transports,
)
from bench.demonstration import time_demonstration  # noqa: E402
from bench.evidence_to_verdict import time_evidence_to_verdict  # noqa: E402
from bench.installation import time_hook, time_installation, time_source_tree  # noqa: E402
from bench.new_chat import time_new_chat  # noqa: E402
from bench.open_webui import edition  # noqa: E402
from bench.page_weight import weigh_page  # noqa: E402
from bench.routes import time_health, time_routes  # noqa: E402
from bench.rows import missed  # noqa: E402
from bench.sealed_browser import time_sealed_requests, time_warm_load  # noqa: E402
from bench.sealed_layer import time_sealed_layer  # noqa: E402
from bench.sealed_routes import time_sealed_routes  # noqa: E402
from bench.verifiers import time_audit, time_verifiers  # noqa: E402
from bench.workload import time_measuring, time_statement  # noqa: E402

# What is measured, by name. A figure is a function that prints its rows; add new ones here.
FIGURES: dict[str, Callable[[], None]] = {
    # the attester
    "quotes": time_quotes,
    "transports": time_transports,
    "threads": time_threads,
    "parsing": time_parsing,
    "consistency": time_consistency,
    "evidence": time_evidence,
    # open-webui with the kit
    "page": weigh_page,
    "routes": time_routes,
    "health": time_health,
    "new-chat": time_new_chat,
    "evidence-to-verdict": time_evidence_to_verdict,
    "install": time_installation,
    "source-tree": time_source_tree,
    "hook": time_hook,
    "demo": time_demonstration,
    "measuring": time_measuring,
    "statement": time_statement,
    # sealed requests
    "sealed-layer": time_sealed_layer,
    "sealed-routes": time_sealed_routes,
    "sealed-browser": time_sealed_requests,
    "warm-load": time_warm_load,
    # the verifiers
    "browser": time_verifiers,
    "audit": time_audit,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    names = parser.parse_args(argv).figures or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    # Ended from outside is ended like by Ctrl-C: with the servers that a figure has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"open-webui is {edition()} unless a row names another (CCZOO_EDITION chooses)")
    try:
        for name in names:
            FIGURES[name]()
    except KeyboardInterrupt:
        return 130
    if missed:
        print(f"limits missed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

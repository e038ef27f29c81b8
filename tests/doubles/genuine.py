"""A root that stands in for Intel's: nobody here can sign under that one.

    python -m doubles.genuine ROOT.pem serve [OPTIONS]

runs `cczoo-verify` in a process where what this root vouches for does not count as simulated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cczoo_verifier import __main__ as command_line
from cczoo_verifier.appraisal import Verdict
from cczoo_verifier.certificates import root_key
from cczoo_verifier.trust import read_root


def stand_in(root_der: bytes) -> None:
    """Let a root's key count as genuine beside Intel's, in this process."""
    genuine = {root_key(None), root_key(root_der)}
    Verdict.simulated = property(  # type: ignore[method-assign, assignment]
        lambda self: self.evaluation.root_key not in genuine
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command line of the verifier with such a root; returns its exit code."""
    root, *rest = arguments
    stand_in(read_root(Path(root)))
    return command_line.main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

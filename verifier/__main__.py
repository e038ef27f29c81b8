"""`cczoo-verify`: verification from the command line.

    cczoo-verify URL | --evidence FILE   verify a service's evidence, here and now
    cczoo-verify watch URL...            verify servers again and again
    cczoo-verify serve ...               run the embedded attestation service
    cczoo-verify reference ...           make a policy of published packages and models

Exit codes of a verification: 0 verified, 1 failed, 2 usage, 3 verified with warnings, 4 no
evidence, token or collateral to be had; 70 is a bug, and no verdict.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from .problems import EXIT_BUG, EXIT_INTERRUPTED, EXIT_USAGE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["serve"]:
            from . import serve_command

            return serve_command.main(arguments[1:])
        if arguments[:1] == ["watch"]:
            from . import watch_command

            return watch_command.main(arguments[1:])
        if arguments[:1] == ["reference"]:
            from . import reference_command

            return reference_command.main(arguments[1:])
        from . import audit_command

        return audit_command.main(arguments)
    except ModuleNotFoundError as error:
        print(
            f"cczoo-verify: {error.name} is missing here; run: "
            "pip install 'cczoo-trust-badge[verifier]'",
            file=sys.stderr,
        )
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception:  # left to Python, its exit code would read as a verdict
        traceback.print_exc()
        return EXIT_BUG


if __name__ == "__main__":
    sys.exit(main())

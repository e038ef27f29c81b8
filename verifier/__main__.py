"""`cczoo-verify`: verification from the command line.

    cczoo-verify URL | --evidence FILE   verify a service's evidence, here and now
    cczoo-verify serve ...               run the embedded attestation service

Exit codes of a verification: 0 verified, 1 failed, 2 usage, 3 verified with warnings, 4 no
evidence or collateral to be had.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["serve"]:
            from . import serve_command

            return serve_command.main(arguments[1:])
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


if __name__ == "__main__":
    sys.exit(main())

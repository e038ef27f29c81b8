"""Why there is no verdict, and the exit codes of the command lines."""

from __future__ import annotations

EXIT_VERIFIED, EXIT_FAILED, EXIT_USAGE, EXIT_WARNED, EXIT_UNREACHABLE = 0, 1, 2, 3, 4
EXIT_BUG = 70
EXIT_INTERRUPTED, EXIT_PIPE = 130, 141
"""128 and the number of the signal, as shells say it: SIGINT, SIGPIPE."""


class Problem(Exception):  # noqa: N818 - named for the state
    """Problem: there is no verdict. `code` is stable, the message says what to do."""

    exit = EXIT_USAGE

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UsageError(Problem):
    """UsageError: options that do not go together, or name what cannot be used."""


class FileError(Problem):
    """FileError: a file cannot be read, written or used."""


class Unreachable(Problem):
    """Unreachable: there is no usable answer; the message says from whom and why.

    `code` says what there is none of: evidence-unreachable, service-unreachable (service-address,
    service-broken), keys-unreachable (keys-needed) or collateral-unreachable. `wait` is for how
    many seconds we were asked to wait before the next try.
    """

    exit = EXIT_UNREACHABLE

    def __init__(self, code: str, message: str, *, wait: float = 0.0) -> None:
        super().__init__(code, message)
        self.wait = wait

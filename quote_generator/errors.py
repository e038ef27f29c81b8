"""Every error the package raises, one class for each thing a caller can do about it."""

from __future__ import annotations


class QuoteGeneratorError(Exception):
    """QuoteGeneratorError is the base of all errors of this package.

    ``code`` is stable and meant for programs; the message is one sentence for people, ending in
    what to do. ``errno`` is the system call's, ``path`` the file it concerned, and ``attribute``
    the name of the configfs-tsm attribute, such as "outblob", where that file is one. Each is
    None where there was none.
    """

    code = "quote-generator-error"

    def __init__(
        self,
        message: str,
        *,
        errno: int | None = None,
        path: str | None = None,
        attribute: str | None = None,
    ) -> None:
        super().__init__(message)
        self.errno = errno
        self.path = path
        self.attribute = attribute


class NotAvailable(QuoteGeneratorError):  # noqa: N818 - named for the state, as the field does
    """NotAvailable: this machine or its kernel offers no such interface."""

    code = "tdx-not-available"


class CoreMissing(QuoteGeneratorError):  # noqa: N818
    """CoreMissing: this installation has no C core, or one that this machine cannot load."""

    code = "core-missing"


class NotPermitted(QuoteGeneratorError):  # noqa: N818
    """NotPermitted: the interface is there, this process may not use it."""

    code = "not-permitted"


class Busy(QuoteGeneratorError):  # noqa: N818
    """Busy: others' requests were in the way for the whole time allowed, or a disk is full.

    Try again later.
    """

    code = "busy"


class TimedOut(QuoteGeneratorError):  # noqa: N818
    """TimedOut: no answer within the time allowed; try again, or allow more time."""

    code = "timed-out"


class ServiceFailed(QuoteGeneratorError):  # noqa: N818
    """ServiceFailed: the quote service on the host answered with a failure."""

    code = "quote-service-failed"


class CorruptAnswer(QuoteGeneratorError):  # noqa: N818
    """CorruptAnswer: an answer came that is not the quote asked for; it was thrown away."""

    code = "corrupt-answer"


class NotSupported(QuoteGeneratorError):  # noqa: N818
    """NotSupported: the quote is of a newer kind, which this package cannot read yet."""

    code = "quote-not-supported"


class BadInput(QuoteGeneratorError, ValueError):  # noqa: N818
    """BadInput: an argument, or the bytes given to a parser, are not what they must be."""

    code = "bad-input"


class LogMismatch(QuoteGeneratorError):  # noqa: N818
    """LogMismatch: the application's event log does not lead to the register's value."""

    code = "log-mismatch"


class LogFull(QuoteGeneratorError):  # noqa: N818
    """LogFull: the event would make the application's event log larger than is always read."""

    code = "log-full"

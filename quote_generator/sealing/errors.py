"""What can be wrong with a sealed message or a keyset, one class for each thing to do about it."""

from __future__ import annotations

from ..errors import QuoteGeneratorError


class SealingError(QuoteGeneratorError):
    """SealingError is the base of all errors of this package. `code` is stable."""

    code = "sealing-error"


class Malformed(SealingError, ValueError):  # noqa: N818 - named for the state, as the field does
    """Malformed: these bytes, or these values to write, are not what the format says."""

    code = "sealed-malformed"


class TooLarge(Malformed):
    """TooLarge: something in the message is beyond the bounds that both ends keep."""

    code = "sealed-too-large"


class Truncated(SealingError):  # noqa: N818
    """Truncated: the message ended before its end was said; nothing of it counts as whole."""

    code = "sealed-truncated"


class KeyUnknown(SealingError):  # noqa: N818
    """KeyUnknown: nothing here opens the message; fetch the keys anew, and check them.

    A key id that nobody has, another suite than the key's and a first chunk that does not open are
    one class with one message, so that the answer says no more than that.
    """

    code = "key-unknown"

    def __init__(self) -> None:
        super().__init__("no key here opens this message: fetch fresh evidence and seal it anew")


class NotAuthentic(SealingError):  # noqa: N818
    """NotAuthentic: a later part does not open: changed, repeated, left out, or another's."""

    code = "sealed-not-authentic"


class Finished(SealingError):  # noqa: N818
    """Finished: the message has ended, or failed, and takes nothing more."""

    code = "sealed-finished"


class KeysetMalformed(SealingError, ValueError):  # noqa: N818
    """KeysetMalformed: the keyset is not what the format says; believe nothing of it."""

    code = "keyset-malformed"


class KeysetUnusable(SealingError):  # noqa: N818
    """KeysetUnusable: the keyset holds no key of a kind that is known here."""

    code = "keyset-unusable"


class KeysetExpired(SealingError):  # noqa: N818
    """KeysetExpired: the keyset is past its end; fetch fresh evidence."""

    code = "keyset-expired"


class KeysetLife(SealingError):  # noqa: N818
    """KeysetLife: the keyset claims to count for longer than keys may."""

    code = "keyset-life"

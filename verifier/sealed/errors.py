"""Why a sealed request came to nothing, by what the caller can do about it.

All are httpx errors, so that whoever uses httpx catches them as ever. None of them means that
anything was sent or shown unsealed.
"""

from __future__ import annotations

import httpx

from ..audit import Report


class SealedError(httpx.TransportError):
    """SealedError: there is no sealed answer. `code` is stable, the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotSealed(SealedError):  # noqa: N818 - named for the state
    """NotSealed (not-sealed): whoever answered did so unsealed; what they said is not shown.

    The address is wrong, sealing is off there, or somebody is in between.
    """


class KeyUnknown(SealedError):  # noqa: N818 - named for the state
    """KeyUnknown (key-unknown): nobody there opens what is sealed to this key.

    Several servers behind one address, without a balancer that routes by `tee-key`, look so.
    """


class StatementChanged(SealedError):  # noqa: N818 - named for the state
    """StatementChanged (statement-changed): the server states something else than what was judged.

    The app saw nothing of the request. Nobody judges the server anew here, or it changed once more.
    """


class Busy(SealedError):  # noqa: N818 - named for the state
    """Busy (sealed-busy): try again, after `wait` seconds where the server said so."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__("sealed-busy", message)
        self.wait = wait


class Broken(SealedError):  # noqa: N818 - named for the state
    """Broken (sealed-broken): the answer was changed or cut on its way; nothing of it counts."""


class NotRepeatable(SealedError):  # noqa: N818 - named for the state
    """NotRepeatable (not-repeatable): send the request once more.

    The server could not take it, for a reason that is gone now; its body can be read only once.
    """


class Elsewhere(SealedError):  # noqa: N818 - named for the state
    """Elsewhere (elsewhere): the request is for another server than the key's holder."""


class NotVerified(SealedError):  # noqa: N818 - named for the state
    """NotVerified (not-verified): do not trust the server. `report` says which checks failed."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__("not-verified", message)
        self.report = report


class NoVerdict(SealedError):  # noqa: N818 - named for the state
    """NoVerdict: nobody knows now whether to trust the server; try again, after `wait` seconds.

    `code` is that of the problem (evidence-unreachable, ...), `expired` or `keyset-expired`.
    """

    def __init__(self, code: str, message: str, wait: float = 0.0) -> None:
        super().__init__(code, message)
        self.wait = wait

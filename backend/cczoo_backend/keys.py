"""The keys that requests are sealed to: made in this process's memory, and gone after an hour.

They are never written anywhere. What hands a keyset out with a quote and what opens requests ask
the same ``Keyring``: a keyset that was handed out opens until its ``not_after``, and no longer.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quote_generator.sealing.hpke import Kem, PrivateKey
from quote_generator.sealing.keyset import (
    LIFE_SECONDS,
    TAKE_OVER_SECONDS,
    KeyConfig,
    make_key_config,
    make_keyset,
)

# X25519 comes first: clients take the first that they know.
KEMS = (Kem.X25519, Kem.P256)


@dataclass(frozen=True)
class SealKey:
    """One key with what a keyset says of it; ``id`` is also what ``tee-key`` calls it."""

    id: str
    config: KeyConfig
    private: PrivateKey


@dataclass(frozen=True)
class LiveKeyset:
    """Keys that were made together; ``document`` is what evidence says of them.

    ``not_after`` is in seconds since 1970, ``until`` the same moment on the monotonic clock.
    """

    keys: tuple[SealKey, ...]
    document: Mapping[str, object]
    not_after: int
    until: float


class Keyring:
    """The keys of this process. Any thread may ask.

    ``now`` gives seconds since 1970, ``monotonic`` seconds; keys end by whichever clock says so
    first, and are made anew where ``now`` was set back. ``later(seconds, function)`` has a function
    called later, by any thread: what has ended is erased also where nobody asks any more.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._later = later or _later
        self._lock = threading.Lock()
        self._keysets: list[LiveKeyset] = []  # the newest last

    def current(self) -> LiveKeyset:
        """Return the keyset to hand out: others take over before it ends, made here when due."""
        with self._lock:
            self._erase()
            if not self._keysets or not self._is_lasting(self._keysets[-1]):
                self._keysets.append(self._make())
            return self._keysets[-1]

    def live(self, id: str | None = None) -> dict[int, SealKey]:  # noqa: A002 - the field's name
        """Return the keys that open requests now, by key id (RFC 9458, section 3.1).

        With ``id``, the value of ``tee-key``, only the one that it names.
        """
        with self._lock:
            self._erase()
            return {
                key.config.key_id: key
                for keyset in self._keysets
                for key in keyset.keys
                if id in (None, key.id)
            }

    def erase(self) -> None:
        """Forget the keys whose end has come."""
        with self._lock:
            self._erase()

    def _erase(self) -> None:
        """Let go of each ended key: OpenSSL overwrites one that nobody refers to."""
        now, monotonic = self._now(), self._monotonic()
        self._keysets = [
            one for one in self._keysets if now < one.not_after and monotonic < one.until
        ]

    def _is_lasting(self, keyset: LiveKeyset) -> bool:
        """Whether it may be handed out: neither soon at its end, nor too far from it."""
        return (
            self._now() < keyset.not_after - TAKE_OVER_SECONDS
            and self._monotonic() < keyset.until - TAKE_OVER_SECONDS
            and keyset.not_after <= self._now() + LIFE_SECONDS
        )

    def _make(self) -> LiveKeyset:
        not_after = int(self._now()) + LIFE_SECONDS
        keys = tuple(self._new_keys())
        self._later(LIFE_SECONDS + 1, self.erase)
        return LiveKeyset(
            keys=keys,
            document=make_keyset([key.config for key in keys], not_after),
            not_after=not_after,
            until=self._monotonic() + LIFE_SECONDS,
        )

    def _new_keys(self) -> list[SealKey]:
        taken = {key.config.key_id for keyset in self._keysets for key in keyset.keys}
        made = []
        for kem in KEMS:
            number = secrets.choice([one for one in range(256) if one not in taken])
            taken.add(number)
            private = PrivateKey.generate(kem)
            config = make_key_config(number, private)
            made.append(SealKey(config.id, config, private))
        return made


def _later(seconds: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()

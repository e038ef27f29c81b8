"""Cases for verifiers: one quote with its collateral each, of which at most one thing is wrong.

`generate()` makes all of them, the same on every run; docs/verification.md says what the numbers
and the ids mean. Nothing here is stored: a PKI, quotes and documents are made on the spot.
"""

from __future__ import annotations

from .catalogue import Case, generate

__all__ = ["Case", "generate"]

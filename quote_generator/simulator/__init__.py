"""A software TD with a PKI of its own, for machines without Intel TDX.

Its quotes are real in form: a DCAP verifier accepts them under the simulator's root, and under
no other. The common names in its PKI are Intel's, for the tools that look for them: the root is
told from Intel's by its key. Importing this package loads nothing; `Simulator`
and `SimulatorError` bring in `cryptography` when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .machine import Simulator
    from .state import SimulatorError

__all__ = ["Simulator", "SimulatorError"]


def __getattr__(name: str) -> Any:
    if name == "Simulator":
        from .machine import Simulator

        return Simulator
    if name == "SimulatorError":
        from .state import SimulatorError

        return SimulatorError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

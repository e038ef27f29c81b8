"""An interpreter that the kernel calls ``ollama``, with a store: a double's models are inside then.

A local server counts as inside by the program that listens and by its models' weights, whatever it
answers. What speaks for it in tests is ``doubles.model``, by OpenAI's protocol, as Ollama does.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .ollama_store import OllamaStore


@dataclass(frozen=True)
class OllamaProgram:
    """OllamaProgram is how it is started: ``python`` in place of ours, with ``env`` besides."""

    python: Path
    store: OllamaStore

    @property
    def env(self) -> dict[str, str]:
        """What an administrator would set."""
        return {"OLLAMA_MODELS": str(self.store.path)}


def make_program(folder: Path, models: Sequence[str]) -> OllamaProgram:
    """Make one in a folder, with the packages of the environment that runs this."""
    ours = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "ollama"
    shutil.copy(os.path.realpath(sys.executable), python)  # a link would have the target's name
    shutil.copy(ours / "pyvenv.cfg", folder)
    (folder / "lib").symlink_to(ours / "lib")
    store = OllamaStore(folder / "models")
    for model in models:
        store.add(f"{model}/latest")
    return OllamaProgram(python, store)

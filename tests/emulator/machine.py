"""What the emulator needs of the machine that it runs on."""

from __future__ import annotations

import ctypes.util
import os


class SetupError(Exception):
    """SetupError: the machine lacks something; the message says what to do."""


def check_machine() -> None:
    """Raise SetupError unless this machine can run the emulator."""
    if os.geteuid() != 0:
        raise SetupError("the TDX emulator mounts file systems: run the tests as root")
    if not os.path.exists("/dev/fuse"):
        raise SetupError("the TDX emulator needs /dev/fuse: load the fuse module, or give it to "
                         "the container (--device /dev/fuse --cap-add SYS_ADMIN)")  # fmt: skip
    if ctypes.util.find_library("fuse") is None:
        raise SetupError("the TDX emulator needs libfuse2: apt-get install libfuse2")

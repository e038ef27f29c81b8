"""A seccomp filter as strict container runtimes have: close_range does not exist."""

from __future__ import annotations

import ctypes
import os
import struct

CLOSE_RANGE = 436
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW, ENOSYS = 0x00050000, 0x7FFF0000, 38
BPF_LOAD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06


def deny_close_range() -> None:
    """Install a seccomp filter for this process that answers close_range with ENOSYS."""
    instructions = [
        (BPF_LOAD, 0, 0, 0),  # the system call's number
        (BPF_JUMP_IF_EQUAL, 0, 1, CLOSE_RANGE),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | ENOSYS),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *one) for one in instructions)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) == 0, os.strerror(
        ctypes.get_errno()
    )

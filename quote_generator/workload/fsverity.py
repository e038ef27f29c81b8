"""Digests of files that the kernel itself holds every read against (fs-verity), kept or computed.

The root of a file's hash tree lies on the same disk as the file: who can write to that disk can
put another file with another root in its place. So this saves hashing, and does not stand in for
a store that keeps integrity.
"""

from __future__ import annotations

import fcntl
import hashlib
import struct

KIND = "fsverity:sha256"
"""What is before the colon and the hexadecimal digits of such a digest."""

_FS_IOC_MEASURE_VERITY = 0xC0046686
"""_IOWR('f', 134, struct fsverity_digest), see linux/fsverity.h."""

_VERITY_SHA256 = 1
_VERITY_BLOCK = 4096


def kept_digest(file: int) -> str | None:
    """Return the fs-verity digest (SHA-256) that the kernel keeps of an open file, if it does."""
    answer = bytearray(struct.pack("=HH", 0, 64) + bytes(64))
    try:
        fcntl.ioctl(file, _FS_IOC_MEASURE_VERITY, answer)
    except OSError:
        return None
    algorithm, size = struct.unpack_from("=HH", answer)
    if (algorithm, size) != (_VERITY_SHA256, 32):
        return None
    return f"{KIND}:{answer[4:36].hex()}"


class Tree:
    """Tree computes the digest that fs-verity keeps of a file: as hashlib's objects do.

    That is SHA-256 over a descriptor with the file's size and the root of a Merkle tree of 4096
    byte blocks, without salt: what ``fsverity enable FILE`` makes when nobody asks for anything
    else (Documentation/filesystems/fsverity.rst).
    """

    def __init__(self) -> None:
        self._size = 0
        self._rest = b""
        self._levels: list[bytearray] = []

    def update(self, data: bytes | memoryview) -> None:
        """Go on with these bytes of the file."""
        self._size += len(data)
        whole = self._rest + bytes(data)
        end = len(whole) // _VERITY_BLOCK * _VERITY_BLOCK
        for at in range(0, end, _VERITY_BLOCK):
            self._add(0, hashlib.sha256(whole[at : at + _VERITY_BLOCK]).digest())
        self._rest = whole[end:]

    def digest(self) -> str:
        """Return the digest of the file, after its last bytes."""
        if self._rest:
            self._add(0, _padded_hash(self._rest))
            self._rest = b""
        descriptor = struct.pack("<BBBBIQ", 1, _VERITY_SHA256, 12, 0, 0, self._size)
        whole = (descriptor + self._root()).ljust(256, b"\0")
        return f"{KIND}:{hashlib.sha256(whole).hexdigest()}"

    def _add(self, level: int, digest: bytes) -> None:
        """Add a block's hash to the blocks of the level above it; a full block goes up itself."""
        if level == len(self._levels):
            self._levels.append(bytearray())
        block = self._levels[level]
        block += digest
        if len(block) == _VERITY_BLOCK:
            self._close(level)

    def _close(self, level: int) -> None:
        digest = _padded_hash(self._levels[level])
        self._levels[level].clear()
        self._add(level + 1, digest)

    def _root(self) -> bytes:
        """Return the one hash that is left when every level is closed, from the lowest."""
        if self._size == 0:
            return bytes(32)
        level = 0
        while level < len(self._levels):
            block = self._levels[level]
            is_top = level == len(self._levels) - 1
            if is_top and len(block) == 32:
                return bytes(block)
            if block:
                self._close(level)
            level += 1
        raise AssertionError("a tree has a root")


def _padded_hash(data: bytes | bytearray) -> bytes:
    return hashlib.sha256(data.ljust(_VERITY_BLOCK, b"\0")).digest()

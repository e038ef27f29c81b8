"""Compiled modules that were taken from the disk, beside what their sources compile to.

Python takes a file of ``__pycache__`` by the time and size of its source alone, and runs whatever
else it holds in the source's place. Once open-webui is loaded this process takes none
(``run_sources_alone``); what it had taken before is looked at here.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Iterable
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from types import CodeType, ModuleType

from quote_generator.workload.files import tree_digest

# PEP 552: the bytes before the code, and what the second four of them say.
_HEADER = 16
_BY_HASH, _CHECKED = 0b01, 0b10
_32_BITS = 0xFFFF_FFFF


def digest_of_foreign(modules: Iterable[ModuleType]) -> str:
    """Return the digest of the compiled modules that are not what their sources compile to.

    Of ``modules``, which are loaded. It is that of nothing where all are what they should be.
    """
    found: dict[bytes, str] = {}
    for module in modules:
        spec = getattr(module, "__spec__", None)
        if spec is None or not spec.has_location or not spec.cached:
            continue
        data = _read(spec.cached)
        if data is not None and _is_taken(spec.origin, data) and not _is_of(spec.origin, data):
            found[os.fsencode(spec.cached)] = hashlib.sha256(data).hexdigest()
    return tree_digest(found)


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _is_taken(source: str, data: bytes) -> bool:
    """Whether Python runs a compiled module (PEP 552), which is not one of another source."""
    flags = int.from_bytes(data[4:8], "little")
    if data[:4] != MAGIC_NUMBER:
        return False
    if flags & _BY_HASH:
        text = _read(source)
        is_checked = flags & _CHECKED and text is not None
        return not is_checked or data[8:_HEADER] == source_hash(text or b"")
    try:
        status = os.stat(source)
    except OSError:
        return True
    said = int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:_HEADER], "little")
    return said == (int(status.st_mtime) & _32_BITS, status.st_size & _32_BITS)


def _is_of(source: str, data: bytes) -> bool:
    """Whether a compiled module is what its source compiles to, in this process."""
    text = _read(source)
    if text is None:
        return False
    try:
        loaded = marshal.loads(data[_HEADER:])  # noqa: S302 - Python has run it already
        compiled = compile(text, source, "exec", dont_inherit=True)
    except (EOFError, SyntaxError, TypeError, ValueError):
        return False
    return isinstance(loaded, CodeType) and loaded == compiled

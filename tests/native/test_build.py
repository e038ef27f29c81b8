"""What the extension module is made of: C sources here, and nothing at run time but libc."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from pathlib import Path

from quote_generator.native import build_native

FOLDER = Path(build_native.__file__).parent


def test_nothing_is_linked_but_libc() -> None:
    module = import_module("quote_generator.native._tdx")
    command = ["readelf", "--dynamic", "--wide", str(module.__file__)]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", listing))
    assert "libc.so.6" in needed
    # libpthread is a part of libc; before glibc 2.34 it was a file of its own.
    assert needed <= {"libc.so.6", "libpthread.so.0"}


def test_every_source_is_built_and_every_header_is_watched() -> None:
    sources = {file.name for file in FOLDER.glob("*.c")} - {"_tdx.c"}
    assert sources == set(build_native.SOURCES)
    assert {file.name for file in FOLDER.glob("*.h")} == set(build_native.HEADERS)

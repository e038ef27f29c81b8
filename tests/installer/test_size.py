"""The badge stays light: how much JavaScript the patched front end has over the stock one.

Builds both for real, through the kit's cache: minutes the first time, seconds afterwards.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from cczoo_installer import frontend, patchset
from cczoo_installer.report import Reporter
from installer_kit import REAL_CACHE, VERSION

MAX_RAW = 40 * 1024
MAX_GZIP = 14 * 1024


def weigh(build: Path) -> tuple[int, int]:
    """Bytes of all scripts, raw and each compressed by itself at gzip's level 9."""
    scripts = [path.read_bytes() for path in sorted((build / "_app").rglob("*.js"))]
    assert len(scripts) > 50
    raw = sum(map(len, scripts))
    return raw, sum(len(gzip.compress(text, compresslevel=9, mtime=0)) for text in scripts)


@pytest.mark.timeout(2400)
def test_growth_of_the_front_end(full_tree: Path) -> None:
    reporter = Reporter(sys.stderr)
    stock = weigh(frontend.build(full_tree, REAL_CACHE, reporter=reporter))

    patches = patchset.load(patchset.default_root(), VERSION)
    originals = {name: (full_tree / name).read_bytes() for name in patches.edited}
    changes = {**patches.patched(originals), **patches.added()}
    patched = weigh(
        frontend.build_sources(
            frontend.inputs(full_tree, changes),
            REAL_CACHE,
            frontend.toolchain(),
            reporter=reporter,
        ).folder
    )
    raw, packed = (new - old for new, old in zip(patched, stock, strict=True))
    print(f"growth: {raw} bytes raw (limit {MAX_RAW}), {packed} bytes gzip (limit {MAX_GZIP})")
    assert 0 < raw <= MAX_RAW
    assert 0 < packed <= MAX_GZIP

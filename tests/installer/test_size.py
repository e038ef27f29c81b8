"""The badge stays light: how much JavaScript the patched front end has over the stock one.

Builds both for real, through the kit's cache: minutes the first time, seconds afterwards.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from cczoo_installer import frontend, patchset
from cczoo_installer.report import Reporter
from installer_kit import REAL_CACHE, VERSION

# What comes with the pages of the app, before anybody checks anything.
MAX_LOADED_RAW = 40 * 1024
MAX_LOADED_GZIP = 14 * 1024
# With the code that comes when it is needed: all of it, and the verification of quotes in it.
MAX_RAW = 64 * 1024
MAX_GZIP = 26 * 1024
MAX_DCAP_GZIP = 10 * 1024

STATIC_IMPORT = re.compile(r"""(?:import|export)(?:[\w*${},\s]+from)?\s*["'](\.{1,2}/[^"']+)["']""")


def scripts(build: Path) -> set[Path]:
    found = set((build / "_app").rglob("*.js"))
    assert len(found) > 50
    return found


def loaded(build: Path) -> set[Path]:
    """The scripts that the app's pages import, and what those import, but not on demand."""
    immutable = build / "_app" / "immutable"
    waiting = [*immutable.glob("entry/*.js"), *immutable.glob("nodes/*.js")]
    assert len(waiting) > 10
    found: set[Path] = set()
    while waiting:
        script = waiting.pop().resolve()
        if script not in found:
            found.add(script)
            names = STATIC_IMPORT.findall(script.read_text(encoding="utf-8"))
            waiting += [script.parent / name for name in names]
    return found


def weigh(found: Iterable[Path]) -> tuple[int, int]:
    """Bytes of scripts, raw and each compressed by itself at gzip's level 9."""
    texts = [path.read_bytes() for path in sorted(found)]
    return sum(map(len, texts)), sum(
        len(gzip.compress(text, compresslevel=9, mtime=0)) for text in texts
    )


@pytest.mark.timeout(2400)
def test_growth_of_the_front_end(full_tree: Path) -> None:
    reporter = Reporter(sys.stderr)
    stock = frontend.build(full_tree, REAL_CACHE, reporter=reporter)

    patches = patchset.load(patchset.default_root(), VERSION)
    originals = {name: (full_tree / name).read_bytes() for name in patches.edited}
    changes = {**patches.patched(originals), **patches.added()}
    patched = frontend.build_sources(
        frontend.inputs(full_tree, changes),
        REAL_CACHE,
        frontend.toolchain(),
        reporter=reporter,
    ).folder

    def growth(ours: Iterable[Path], theirs: Iterable[Path]) -> tuple[int, int]:
        raw, packed = (new - old for new, old in zip(weigh(ours), weigh(theirs), strict=True))
        return raw, packed

    raw, packed = growth(loaded(patched), loaded(stock))
    print(f"loaded: {raw} bytes raw (limit {MAX_LOADED_RAW}), {packed} gzip ({MAX_LOADED_GZIP})")
    assert 0 < raw <= MAX_LOADED_RAW
    assert 0 < packed <= MAX_LOADED_GZIP

    raw, packed = growth(scripts(patched), scripts(stock))
    print(f"all: {raw} bytes raw (limit {MAX_RAW}), {packed} bytes gzip (limit {MAX_GZIP})")
    assert 0 < raw <= MAX_RAW
    assert 0 < packed <= MAX_GZIP

    root = patches.overlay["src/lib/tee/dcap/root.ts"].read_text(encoding="utf-8")
    (key,) = re.findall(r"'([\w-]{87})'", root)
    holders = [path for path in scripts(patched) if key in path.read_text(encoding="utf-8")]
    assert len(holders) == 1, "the pinned root is in one script, that of the verification"
    assert holders[0].resolve() not in loaded(patched)
    _, packed = weigh(holders)
    print(f"verification of quotes: {packed} bytes gzip (limit {MAX_DCAP_GZIP})")
    assert 0 < packed <= MAX_DCAP_GZIP

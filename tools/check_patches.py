"""Validates every patch and every anchor of every version, the places included.

    make check-patches                       # and asks a browser for the places, on every version
    .venv/bin/python tools/check_patches.py  # what can be told without one

For each version with patches: the rules of the house, the hashes against the release's archive
(from the cache, or fetched), forward and backward byte for byte, the hooks where they belong
(porting/hooks.py), the page without holes (porting/page.py). For each anchor: what
porting/anchors.py says, in the front ends of the environments that `make setup-test` makes. Of
Trustee, whose sources are not at hand, the rules. Ends with 1 if anything is wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cczoo_installer import package, patchset, release, source, versions
from cczoo_installer.errors import InstallError
from cczoo_installer.files import printable, sha256_bytes
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

from porting import anchors, hooks, page
from porting.merge import files_of, names_in
from preparation import editions
from preparation.editions import REPO
from preparation.environments import webui_folder

FINE, WRONG = 0, 1
CODE = REPO / "web" / "src" / "places" / "anchors.ts"


def main() -> int:
    """Check all, print what is wrong, and return the exit code."""
    try:
        found = [*_patch_sets(), *_trustee(), *_anchors()]
    except (InstallError, OSError) as trouble:
        print(f"check-patches: {printable(trouble)}", file=sys.stderr)
        return WRONG
    for line in found:
        print(f"  {printable(line)}")
    print(f"{len(found)} problems" if found else "all as it should be")
    return WRONG if found else FINE


def _patch_sets() -> Iterator[str]:
    root = patchset.default_root()
    for version in versions.supported(root, "source"):
        patches = patchset.load(root, version)
        print(f"open-webui {version}, patches")
        pinned = str(patches.sdist_sha256)
        archive = source.fetch(version, pinned, cache_root(), reporter=Reporter(sys.stderr))
        yield from (f"{version}: {line}" for line in problems(patches, archive))


def problems(patches: patchset.PatchSet, archive: Path) -> list[str]:
    """Return what is wrong with the patches for the release in an archive, as sentences."""
    names = names_in(archive)
    found = patchset.problems(patches, names)
    page_files = [name for name in names if name.startswith("src/") and name.endswith(".svelte")]
    stock = files_of(archive, [*patches.edited, *page_files])
    if _listed_files(archive) != (patches.folder / release.LIST).read_text("utf-8"):
        found.append(f"{release.LIST} is not the list of what the archive holds")
    changed = [
        name
        for name in patches.edited
        if sha256_bytes(stock.get(name, b"")) != patches.upstream[name]
    ]
    if changed:
        return [*found, f"upstream.json has other hashes of {', '.join(changed)}"]
    patched = patches.patched(stock)
    for name, content in patched.items():
        if patches.taken_out(name, content) != stock[name]:
            found.append(f"{name}: taking the patch back does not give upstream's bytes")
    texts = {name: content.decode() for name, content in (stock | patched).items()}
    hooked = {name: texts[name] for name in patches.edited}
    return found + hooks.problems(hooked) + page.problems({n: texts[n] for n in page_files})


def _listed_files(archive: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="cczoo-check-") as scratch:
        source.unpack(archive, Path(scratch, "release"))
        return release.listing(Path(scratch, "release"))


def _trustee() -> Iterator[str]:
    root = patchset.default_root(patchset.TRUSTEE)
    for version in versions.supported(root, "source"):
        print(f"Trustee {version}, patches (its own test has the sources: docs/porting.md)")
        patches = patchset.load(root, version)
        yield from (f"{version}: {line}" for line in patchset.problems(patches, patches.edited))


def _anchors() -> Iterator[str]:
    listed = editions.versions()
    front_ends = dict(_front_ends())
    print(f"anchors, in the front ends of {', '.join(front_ends) or 'no version'}")
    document = json.loads((patchset.default_root() / "anchors.json").read_text("utf-8"))
    yield from anchors.problems(document, CODE.read_text("utf-8"), listed, front_ends)
    for version in listed:
        if version not in front_ends:
            yield f"{version}: no front end is at hand; `make setup-test` brings it"


def _front_ends() -> Iterator[tuple[str, Path]]:
    """Yield the built front ends of the environments that stock open-webuis are in."""
    for version in editions.versions(editions.PLUGIN):
        folder = webui_folder(f"{editions.PLUGIN}-{version}")
        for found in folder.glob("lib/python3*/site-packages/open_webui"):
            yield version, package.locate(found).frontend


if __name__ == "__main__":
    sys.exit(main())

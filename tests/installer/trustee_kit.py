"""A Trustee of the touched lines only: what the kit's patches show of it, line for line.

Nothing of Trustee's sources is in this repository but the patches' lines of context. So the trees
of these tests hold those, each at its own line, and filling between them; and the patch sets are
the kit's own patches, with pins for such trees in place of those for real ones.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer import patchset
from cczoo_installer.files import sha256_bytes
from cczoo_installer.versions import supported
from installer_kit import Case

SHIPPED = patchset.default_root(patchset.TRUSTEE)
VERSIONS = supported(SHIPPED, "source")
SERVICE = "attestation-service/src/bin/restful-as.rs"  # every version's patches edit it
MARK = "kbs/Cargo.toml"  # every version is told by it

_HUNK = re.compile(r"@@ -(\d+)\S* \+(\d+)\S* @@")


@dataclass(frozen=True)
class Line:
    """One line of a patch: where it stands before and after (None: not there), and its text."""

    file: str
    before: int | None
    after: int | None
    text: str


def lines_of(patch: Path) -> Iterator[Line]:
    """Every line of a patch's hunks, read without the kit's own reader and without git."""
    file, before, after = "", 0, 0
    _header, _blank, diffs = patch.read_text().partition("\n--- a/")
    for line in ("--- a/" + diffs).splitlines():
        hunk = _HUNK.match(line)
        if line.startswith("--- a/"):
            file = line.removeprefix("--- a/")
        elif hunk:
            before, after = int(hunk[1]), int(hunk[2])
        elif line.startswith("+++ b/"):
            continue
        else:
            there, stays = line[0] != "+", line[0] != "-"
            yield Line(file, before if there else None, after if stays else None, line[1:])
            before, after = before + there, after + stays


def all_lines(version: str) -> list[Line]:
    """Every line of every patch for one version."""
    folder = SHIPPED / f"v{version}"
    return [line for path in sorted(folder.glob("*.patch")) for line in lines_of(path)]


def make_tree(folder: Path, version: str) -> Path:
    """Write a Trustee of the touched lines; returns its folder."""
    files = {
        "Cargo.toml": '[workspace]\nmembers = ["kbs", "attestation-service", "rvps"]\n',
        ".gitignore": "target\n",
        MARK: f"# The key broker of {version}.\n",
        "rvps/src/lib.rs": "// no patch touches this\n",
    }
    for name in {line.file for line in all_lines(version)}:
        known = {line.before: line.text for line in all_lines(version) if line.file == name}
        last = max(number for number in known if number is not None)
        text = (known.get(number, f"filling {number}") for number in range(1, last + 9))
        files[name] = "".join(f"{line}\n" for line in text)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / SERVICE).chmod(0o640)  # so that a lost mode shows
    return folder


def make_patch_sets(root: Path) -> Path:
    """Write the kit's patch sets for Trustee with the pins of such trees; returns their root."""
    shutil.copytree(SHIPPED, root)
    for version in VERSIONS:
        tree = make_tree(root.with_name(f"{root.name}-{version}"), version)
        path = root / f"v{version}" / "upstream.json"
        facts = json.loads(path.read_text())
        for pins in (facts["files"], facts["told_by"]):
            for name in pins:
                pins[name] = sha256_bytes((tree / name).read_bytes())
        path.write_text(json.dumps(facts))
        shutil.rmtree(tree)
    return root


def make_case(folder: Path, version: str) -> Case:
    """A Trustee of the touched lines in `folder`, with patch sets that are for it."""
    tree = make_tree(folder / "trustee", version)
    return Case(tree, tree, make_patch_sets(folder / "sets"), SERVICE, name="--trustee-dir")

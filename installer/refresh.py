"""Writes the patches anew from an edited open-webui tree: the porting loop's tool.

    python -m cczoo_installer.refresh --pristine DIR --edited DIR [--check]

Every file that differs between the two trees goes into the patch of the series that names it,
or into the one that ``--assign FILE=NNNN-topic.patch`` names. Headers are kept. The same trees
always give the same bytes, so that a refresh shows only what really changed. See
docs/porting.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cczoo_installer import patchset, release, tree
from cczoo_installer.errors import BadUsage, InstallError
from cczoo_installer.files import printable, sha256_bytes, sha256_file

# By-products of working in a tree, never part of a patch.
_IGNORED = {
    ".cczoo-install",
    ".git",
    ".svelte-kit",
    "__pycache__",
    "build",
    "data",
    "node_modules",
}
_HUNK_CONTEXT = re.compile(r"^(@@ -\S+ \+\S+ @@).*$", re.MULTILINE)
_NEW_HEADER = "Description: \nWhy: \nHow to test: \n\n"


@dataclass(frozen=True)
class Differences:
    """How an edited tree differs from the pristine one; all paths relative, sorted."""

    edited: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def differences(pristine: Path, edited: Path) -> Differences:
    """Compare two trees by content."""
    old, new = _files(pristine), _files(edited)
    both = old.keys() & new.keys()
    return Differences(
        tuple(sorted(name for name in both if sha256_file(old[name]) != sha256_file(new[name]))),
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
    )


def _files(root: Path) -> dict[str, Path]:
    found = {}
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _IGNORED]
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(root).as_posix()] = path
    return found


def unified_diff(name: str, old: bytes, new: bytes) -> str:
    """Return the diff of one file with ``a/`` and ``b/`` prefixes and nothing that varies."""
    import git

    with tempfile.TemporaryDirectory(prefix="cczoo-diff-") as scratch:
        for side, content in (("a", old), ("b", new)):
            path = Path(scratch, side, name)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        runner = git.Git(scratch)
        runner.update_environment(
            GIT_DIR=str(Path(scratch, "no-repository")),
            GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_CONFIG_SYSTEM=os.devnull,
            LC_ALL="C",
        )
        command = ["git", "diff", "--no-index", "--no-prefix", "--no-color", "--unified=3"]
        command += ["--diff-algorithm=histogram", "--no-ext-diff", "--no-textconv", "--text"]
        status, output, trouble = runner.execute(
            [*command, "--", f"a/{name}", f"b/{name}"],
            with_extended_output=True,
            with_exceptions=False,
            strip_newline_in_stdout=False,
            stdout_as_string=False,
        )
    if status not in (0, 1):
        raise BadUsage(f"git cannot compare {printable(name)}: {printable(trouble)}")
    text = output.decode("utf-8") if isinstance(output, bytes) else str(output)
    start = text.find(f"--- a/{name}")
    return _HUNK_CONTEXT.sub(r"\1", text[start:]) if start >= 0 else ""


@dataclass
class Refresh:
    """Works out the files of one patch set anew from two trees."""

    pristine: Path
    edited: Path
    root: Path
    assigned: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.version = tree.openwebui_version(self.pristine)
        if tree.openwebui_version(self.edited) != self.version:
            raise BadUsage("The two trees are different versions of open-webui.")
        self.folder = self.root / f"v{self.version}"

    def files(self, sdist_sha256: str | None = None) -> tuple[dict[str, str], list[str]]:
        """Return the new text of every file of the patch set, and remarks for a person.

        Raises BadUsage when an edit belongs to no patch or a file was removed.
        """
        found = differences(self.pristine, self.edited)
        if found.removed:
            raise BadUsage(
                f"Removed in the edited tree: {', '.join(map(printable, found.removed))}. Patches "
                "only edit files; put them back."
            )
        owners = self._owners()
        homeless = [name for name in found.edited if name not in owners]
        if homeless:
            raise BadUsage(
                f"No patch names {', '.join(map(printable, homeless))}. Undo the edit, or say "
                f"where it goes: --assign {printable(homeless[0])}=NNNN-topic.patch"
            )
        texts = {}
        for patch in sorted({owners[name] for name in found.edited}):
            diffs = [self._diff(name) for name in found.edited if owners[name] == patch]
            texts[patch] = self._header(patch) + "".join(diffs)
        texts["series"] = "".join(f"{patch}\n" for patch in sorted(texts))
        texts["upstream.json"] = self._upstream(found.edited, sdist_sha256)
        remarks = [
            f"{printable(name)} is new and was left out: patches only edit files"
            for name in found.added
        ]
        return texts, remarks

    def _owners(self) -> dict[str, str]:
        owners = {}
        for path in sorted(self.folder.glob("*.patch")):
            owners.update(dict.fromkeys(patchset.read_patch(path).files, path.name))
        return owners | dict(self.assigned)

    def _header(self, patch: str) -> str:
        path = self.folder / patch
        if not path.is_file():
            return _NEW_HEADER
        return patchset.read_patch(path).header.rstrip("\n") + "\n\n"

    def _diff(self, name: str) -> str:
        return unified_diff(
            name, (self.pristine / name).read_bytes(), (self.edited / name).read_bytes()
        )

    def _upstream(self, edited: Sequence[str], sdist_sha256: str | None) -> str:
        path = self.folder / "upstream.json"
        if sdist_sha256 is None:
            if not path.is_file():
                raise BadUsage(
                    f"{path} does not exist yet. Name the version's source archive with --sdist, "
                    "so that its hash can be pinned."
                )
            sdist_sha256 = str(json.loads(path.read_text("utf-8"))["sdist_sha256"])
        facts = {
            "version": self.version,
            "sdist_sha256": sdist_sha256,
            "files": {name: sha256_bytes((self.pristine / name).read_bytes()) for name in edited},
        }
        return json.dumps(facts, indent=2) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Refresh a patch set; returns 0, 1 when --check finds it stale, or an error's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cczoo_installer.refresh", description="Write the patches anew."
    )
    parser.add_argument("--pristine", type=Path, required=True, help="the tree as upstream has it")
    parser.add_argument("--edited", type=Path, required=True, help="the tree with the hooks")
    parser.add_argument(
        "--patches", type=Path, default=patchset.default_root(), help="default: this kit's"
    )
    parser.add_argument("--sdist", type=Path, help="the source archive, to pin its hash")
    parser.add_argument(
        "--assign", action="append", default=[], metavar="FILE=PATCH", help="may be repeated"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if stale")
    options = parser.parse_args(argv)
    try:
        assigned = dict(_assignment(text) for text in options.assign)
        refresh = Refresh(options.pristine, options.edited, options.patches, assigned)
        pin = sha256_file(options.sdist) if options.sdist else None
        texts, remarks = refresh.files(pin)
        if options.sdist is not None:
            texts[release.LIST] = release.listing(options.pristine)
        stale = _write(refresh.folder, texts, check=options.check)
    except InstallError as trouble:
        print(f"refresh: {trouble}", file=sys.stderr)
        return trouble.exit_code
    for remark in remarks:
        print(remark)
    for name in stale:
        print(f"{name}: {'stale' if options.check else 'written'}")
    return 1 if stale and options.check else 0


def _assignment(text: str) -> tuple[str, str]:
    name, _equals, patch = text.partition("=")
    if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.patch", patch):
        raise BadUsage(f"--assign {printable(text)}: write FILE=NNNN-topic.patch")
    return name, patch


def _write(folder: Path, texts: Mapping[str, str], *, check: bool) -> list[str]:
    """Write what differs, remove patches that are no more; returns the names, sorted."""
    present = {path.name: path.read_text("utf-8") for path in folder.glob("*") if path.is_file()}
    gone = [name for name in present if name.endswith(".patch") and name not in texts]
    stale = sorted([name for name in texts if present.get(name) != texts[name]] + gone)
    if not check:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            if name in texts:
                (folder / name).write_text(texts[name], encoding="utf-8")
            else:
                (folder / name).unlink()
    return stale


if __name__ == "__main__":
    sys.exit(main())

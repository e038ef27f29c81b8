"""Carries the patches for open-webui to another version: three-way, file by file, by git.

    python -m cczoo_installer --openwebui-dir /tmp/new --fetch VERSION --unpinned
    .venv/bin/python tools/port.py --from 0.5.20 --tree /tmp/new

The tree is the new version as upstream has it; it is only read. Every file that a patch of the
old version edits is merged into a work folder. Where git finds a conflict, or a file is gone,
nothing is written: each such file is named with what to do, and the same command goes on from
there. When none is left and the hooks stand where they belong (porting/hooks.py), the new version's
patches are written, with the headers of the old ones. Ends with 0 when they are, with 1 where a
person has to do something, else with the installer's codes. docs/porting.md has the whole way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cczoo_installer import patchset, release, source, tree
from cczoo_installer.errors import BadUsage, InstallError, MachineTrouble, UnsupportedVersion
from cczoo_installer.files import locked, printable, sha256_file
from cczoo_installer.install import cache_root
from cczoo_installer.openwebui_tree import check_fetch_version
from cczoo_installer.report import Reporter
from cczoo_installer.versions import supported

from porting import hooks, page
from porting.merge import Outcome, Port, files_of, names_in, read_stock
from preparation.editions import REPO

DONE, TO_DO = 0, 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python tools/port.py", description="Carry the patches to another open-webui."
    )
    options.add_argument(
        "--from", dest="old", required=True, metavar="VERSION", help="such as 0.5.20"
    )
    options.add_argument(
        "--tree", type=Path, required=True, help="the new version, as upstream has it"
    )
    options.add_argument(
        "--sdist",
        type=Path,
        help="its source archive, to pin (default: the one that --fetch VERSION --unpinned kept)",
    )
    options.add_argument(
        "--moved", action="append", default=[], metavar="OLD=NEW", help="a file that went elsewhere"
    )
    options.add_argument(
        "--drop", action="append", default=[], metavar="FILE", help="a file that needs no hook now"
    )
    options.add_argument(
        "--assign",
        action="append",
        default=[],
        metavar="FILE=PATCH",
        help="a file that needs a hook only now, such as src/X.svelte=0005-frames.patch",
    )
    options.add_argument(
        "--work", type=Path, help="where merged files lie (default: out/port/OLD-to-NEW)"
    )
    options.add_argument(
        "--patches", type=Path, default=patchset.default_root(), help="default: this kit's"
    )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Merge, and write the patches when nothing is left to do by hand; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        return carry(options)
    except InstallError as trouble:
        print(f"port: {trouble}", file=sys.stderr)
        return trouble.exit_code
    except OSError as trouble:
        where = f" ({printable(trouble.filename)})" if trouble.filename else ""
        print(f"port: {printable(trouble.strerror or trouble)}{where}. Run again.", file=sys.stderr)
        return MachineTrouble.exit_code


def carry(options: argparse.Namespace) -> int:
    """Do what the command line says; raises InstallError and OSError."""
    version = _new_version(options)
    archive = _archive(options.sdist, version)
    port = _port(options, version)
    released = _released(archive, options.tree, version)
    port.work.mkdir(parents=True, exist_ok=True)
    busy = f"Another run is at work in {printable(port.work)}. Wait for it, then run again."
    with locked(port.work, busy=busy):
        return _merge_and_write(port, options, released, archive)


def _merge_and_write(port: Port, options: argparse.Namespace, released: str, archive: Path) -> int:
    """Merge, say how every file stands, and write the patches if nothing is left to be done."""
    version = port.version
    outcomes = port.run()
    for outcome in outcomes:
        moved = f" -> {printable(outcome.target)}" if outcome.target != outcome.name else ""
        print(f"{outcome.name}{moved}: {outcome.note}")
    if any(outcome.trouble for outcome in outcomes):
        print(_what_to_do(outcomes))
        return TO_DO
    texts = port.texts(sha256_file(archive)) | {release.LIST: released}
    found = problems(texts, version, options.tree, names_in(archive))
    if found:
        print(f"\nNothing was written, because this is not as it should be in {port.work}/files:")
        print("\n".join(f"  {printable(line)}" for line in found))
        print(
            "Mend it there, and run the same again. A file that is not there yet comes by --assign."
        )
        return TO_DO
    folder = options.patches / f"v{version}"
    write(folder, texts)
    print(
        f'\n{folder}: written. Next: add "source" to the ways of {version} in versions.json, then'
    )
    print("`make check-patches`, `make installer` and the browser tests (docs/porting.md).")
    return DONE


def _new_version(options: argparse.Namespace) -> str:
    version = tree.openwebui_version(options.tree)
    if (options.tree / ".cczoo-install").exists():
        raise BadUsage(
            f"{printable(options.tree)} has the kit in it. Take it back first (--revert), or name "
            "a fresh tree: the hooks are merged into what upstream ships."
        )
    if version in supported(options.patches, "source"):
        raise BadUsage(
            f"There are patches for {printable(version)} already; "
            "`python -m cczoo_installer.refresh` changes them."
        )
    return check_fetch_version(version)


def _archive(given: Path | None, version: str) -> Path:
    name = f"open_webui-{version}.tar.gz"
    archive = given or cache_root() / "sdist" / "unpinned" / name
    if not archive.is_file():
        raise BadUsage(
            f"{printable(archive)} is not there, and its hash is to be pinned. Fetch the tree with "
            f"`python -m cczoo_installer --openwebui-dir DIR --fetch {version} --unpinned`, or "
            "name its source archive with --sdist."
        )
    return archive


def _port(options: argparse.Namespace, version: str) -> Port:
    old = patchset.load(options.patches, check_fetch_version(options.old))
    if old.sdist_sha256 is None:
        raise UnsupportedVersion(f"The patches for {old.version} pin no source archive.")
    reporter = Reporter(sys.stderr)
    pinned = source.fetch(old.version, old.sdist_sha256, cache_root(), reporter=reporter)
    return Port(
        old,
        files_of(pinned, old.edited),
        options.tree,
        version,
        options.work or REPO / "out" / "port" / f"{old.version}-to-{version}",
        moved=dict(_pair("--moved", text) for text in options.moved),
        dropped=tuple(options.drop),
        assigned=dict(_pair("--assign", text) for text in options.assign),
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise BadUsage(
            f"{option} {printable(text)[:200]}: write it with one name on either side of =."
        )
    return left, right


def _released(archive: Path, directory: Path, version: str) -> str:
    """Return the list of all files of the archive, whose hash will be pinned.

    Raises BadUsage where the tree is not what it holds, and FetchFailed for odd archives.
    """
    with tempfile.TemporaryDirectory(prefix="cczoo-port-") as scratch:
        source.unpack(archive, Path(scratch, "release"))
        text = release.listing(Path(scratch, "release"))
        listed = Path(scratch, release.LIST)
        listed.write_text(text, encoding="utf-8")
        found = release.differences(directory, release.read(listed), {})
    if found:
        some = ", ".join(f"{printable(each.name)} ({each.how})" for each in found[:5])
        raise BadUsage(
            f"{len(found)} files of {printable(directory)} are not as in {printable(archive)}: "
            f"{some}. Take a tree as that archive has it, or name the source archive of {version} "
            "with --sdist."
        )
    return text


def _what_to_do(outcomes: Sequence[Outcome]) -> str:
    left = [outcome for outcome in outcomes if outcome.trouble]
    lines = [f"\nNothing was written: {len(left)} of {len(outcomes)} files need a person."]
    lines += [f"  {printable(each.target)}: {each.trouble}" for each in left]
    lines.append("Then run the same again: what lies in the work folder stays as you leave it.")
    return "\n".join(lines)


def problems(
    texts: Mapping[str, str], version: str, directory: Path, upstream_files: Sequence[str]
) -> list[str]:
    """Return what is wrong with a patch set that is not written yet, as sentences."""
    with tempfile.TemporaryDirectory(prefix="cczoo-port-") as scratch:
        folder = Path(scratch)
        write(folder, texts)
        patches = patchset.read(folder, version)
        found = patchset.problems(patches, upstream_files)
        stocks = {name: read_stock(directory, name) or b"" for name in patches.edited}
        patched = {name: text.decode() for name, text in patches.patched(stocks).items()}
    sources = {
        path.relative_to(directory).as_posix(): path.read_text("utf-8")
        for path in sorted((directory / "src").rglob("*.svelte"))
    }
    return found + hooks.problems(patched) + page.problems(sources | _svelte(patched))


def _svelte(files: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(".svelte")}


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a patch set, which nothing lists yet, and no others than these."""
    folder.mkdir(parents=True, exist_ok=True)
    for patch in folder.glob("*.patch"):
        if patch.name not in texts:
            patch.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

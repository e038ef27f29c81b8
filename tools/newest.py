"""Tries the newest open-webui as a package: says which anchors, hooks and smoke tests hold.

    make test-newest                    # the newest release on the package index
    make test-newest VERSION=0.12.3     # another one

What it needs is made as for the versions on the list, and kept by the same keys: a lock, resolved
from the pins of the newest version on the list (out/newest), the environment of its packages (the
cache), and one with open-webui and the kit (.venv-webui). Then the installer looks for what the kit
needs (--try), every anchor is looked for in the front end, and the browser suite's smoke tests run.
Ends with 0 if all holds, with 1 if something does not; nothing is a part of `make test`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cczoo_installer import package, patchset
from cczoo_installer.files import printable

from locks import make as locks
from porting import anchors
from preparation import editions
from preparation.content import digest
from preparation.editions import REPO
from preparation.environments import UNLISTED_LOCKS, lock_path, webui_folder, webui_part
from preparation.steps import BootstrapError, prepare

HOLDS, DOES_NOT = 0, 1
LOOK_SECONDS = 120
TEST_SECONDS = 3600
HELD, LEFT_OUT = "holds", "left out"
SMOKE = "smoke tests"
RAN_TO_THE_END = (0, 1)  # of pytest's codes: all passed, or some failed


@dataclass(frozen=True)
class Line:
    """One thing that was tried: ``outcome`` is HELD or says what happened instead."""

    what: str
    outcome: str

    @property
    def holds(self) -> bool:
        """Whether it did."""
        return self.outcome == HELD

    @property
    def is_left_out(self) -> bool:
        """Whether the test left it out by itself: no fault, and no proof of anything."""
        return self.outcome.startswith(LEFT_OUT)


def main(argv: Sequence[str]) -> int:
    """Try it, print what holds, and return the exit code."""
    parser = argparse.ArgumentParser(description="Try the newest open-webui as a package.")
    parser.add_argument("--version", help="this one (default: the newest on the package index)")
    options = parser.parse_args(argv)
    try:
        version = options.version or newest_version()
        if not re.fullmatch(r"\d+(\.\d+)+", version):
            parser.error(f"{printable(version)[:80]!r} is no version")
        return try_version(version)
    except subprocess.CalledProcessError as trouble:
        print(f"test-newest: uv ended with {trouble.returncode}: see above", file=sys.stderr)
    except (BootstrapError, OSError, subprocess.TimeoutExpired) as trouble:
        print(f"test-newest: {printable(trouble)}", file=sys.stderr)
    return DOES_NOT


def newest_version() -> str:
    """Return the newest version of open-webui on the package index that this Python can run."""
    return locks.hashed("open-webui").partition("==")[2].split()[0]


def try_version(version: str) -> int:
    """Prepare the version, look, and run the tests."""
    listed = version in editions.versions(editions.PLUGIN)
    print(f"open-webui {version}: {'on the list' if listed else 'not on the list'}", flush=True)
    if not listed:
        make_lock(version)
    edition = f"{editions.PLUGIN}-{version}"
    prepare([webui_part(edition)])
    python = webui_folder(edition) / "bin" / "python"
    lines = [*looked_for(python), *anchor_lines(python, version), *tested(edition, python)]
    return report(version, lines)


def make_lock(version: str) -> None:
    """Resolve what an open-webui that is not on the list runs on, unless that was done already.

    Pins of the newest version on the list stay where they fit: what is new is open-webui's doing.
    """
    lock, seed = lock_path(version), lock_path(editions.versions(editions.PLUGIN)[-1])
    stock = f"open-webui=={version}"
    wanted = [stock, *locks.UNDECLARED, *locks.kit_requirements()]
    hashes = locks.hashed(stock)
    key = f"# {digest(hashes, *wanted, seed.read_text())}\n"
    if lock.is_file() and lock.read_text().startswith(key):
        return
    UNLISTED_LOCKS.mkdir(parents=True, exist_ok=True)
    partial = lock.with_suffix(".new")
    shutil.copyfile(seed, partial)
    partial.write_text(re.sub(r"(?m)^open-webui==(.*\\\n)*.*\n", "", partial.read_text()))
    locks.resolve(wanted, output=partial, left_out=locks.LEFT_OUT)
    pins = partial.read_text().replace(f"{stock}\n", f"{hashes}\n")
    partial.write_text(key + pins)
    partial.replace(lock)


def looked_for(python: Path) -> list[Line]:
    """Have the installer look for what the kit needs, and change nothing."""
    command = [str(python), "-m", "cczoo_installer", "--openwebui-dir", str(package_of(python))]
    done = subprocess.run(
        [*command, "--try", "--dry-run", "--json"],
        capture_output=True,
        text=True,
        timeout=LOOK_SECONDS,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
        found = answer["found"]
    except (ValueError, KeyError):
        return [Line("hooks: the installer", printable(done.stderr)[-300:] or "said nothing")]
    return [
        Line(f"hooks: {item['what']}", HELD if item["found"] else "NOT FOUND") for item in found
    ]


def package_of(python: Path) -> Path:
    """Return the folder of the open-webui in an environment; raises OSError where there is none."""
    for found in python.parent.parent.glob("lib/python3*/site-packages/open_webui"):
        return found
    raise FileNotFoundError(f"no open_webui in {python.parent.parent}")


def anchor_lines(python: Path, version: str) -> list[Line]:
    """Look for the texts of every anchor in the front end.

    Those that are said to be for the newest version on the list are the ones to worry about.
    """
    document = json.loads((patchset.default_root() / "anchors.json").read_text("utf-8"))
    front_end = package.locate(package_of(python)).frontend
    like = version if version in editions.versions() else editions.versions()[-1]
    return [
        Line(f"anchors: {where}", outcome)
        for where, outcome in anchors_found(document, front_end, like)
    ]


def anchors_found(document: Mapping[str, Any], front_end: Path, like: str) -> list[tuple[str, str]]:
    """Return for each anchor of the version ``like`` whether its texts are in a front end."""
    found = []
    for where, _, entry in anchors.entries(document["places"]):
        if like in entry.get("versions", ()):
            gone = sorted(anchors.missing(front_end, set(anchors.texts(entry))))
            found.append((where, f"NOT FOUND: {', '.join(gone)}" if gone else HELD))
    return found


def tested(edition: str, python: Path) -> list[Line]:
    """Run the smoke tests on the edition, and return how each ended."""
    UNLISTED_LOCKS.mkdir(parents=True, exist_ok=True)
    report_file = UNLISTED_LOCKS / f"{edition}.xml"
    report_file.unlink(missing_ok=True)
    version = edition.partition("-")[2]
    env = {"CCZOO_EDITION": edition, "CCZOO_TRIED": version, "CCZOO_WEBUI_PYTHON": str(python)}
    command = [sys.executable, "-m", "pytest", "tests/e2e", "-m", "smoke", "-q"]
    code = subprocess.run(
        [*command, f"--junitxml={report_file}"],
        cwd=REPO,
        env={**os.environ, **env},
        timeout=TEST_SECONDS,
        check=False,
    ).returncode
    lines = test_lines(report_file.read_text("utf-8")) if report_file.is_file() else []
    if code not in RAN_TO_THE_END:
        lines.append(Line(SMOKE, f"did not run to their end (pytest ended with {code})"))
    return lines or [Line(SMOKE, "left no report")]


def test_lines(junit: str) -> list[Line]:
    """Return how each test ended, from the report of a run of ours."""
    cases = ElementTree.fromstring(junit).iter("testcase")  # noqa: S314 - written by our own run
    lines = [Line(f"smoke: {case.get('name')}", _outcome(case)) for case in cases]
    return lines if any(not line.is_left_out for line in lines) else [Line(SMOKE, "none ran")]


def _outcome(case: ElementTree.Element) -> str:
    for kind, words in (("failure", "FAILED"), ("error", "FAILED"), ("skipped", LEFT_OUT)):
        found = case.find(kind)
        if found is not None:
            first = (found.get("message") or "").partition("\n")[0]
            return f"{words}: {printable(first)[:200]}"
    return HELD


def report(version: str, lines: Sequence[Line]) -> int:
    """Print what holds and what does not, the latter last; return the exit code."""
    left_out = [line for line in lines if line.is_left_out]
    wrong = [line for line in lines if not (line.holds or line.is_left_out)]
    tried = len(lines) - len(left_out)
    held = f"{tried - len(wrong)} of {tried} hold, {len(left_out)} were left out"
    print(f"\nopen-webui {version} as a package: {held}")
    for line in sorted(lines, key=wrong.__contains__):
        print(f"  {printable(line.what)}: {line.outcome}")
    if wrong:
        print('docs/porting.md, "Adding a version", tells what is done about anchors.')
    return DOES_NOT if wrong else HOLDS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Rules of the house that a reader of one change would not notice."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from preparation import editions

REPO = Path(__file__).resolve().parents[2]


def tracked(pattern: str = "*") -> list[Path]:
    """The repository's files, as git or (outside a checkout) the folder has them."""
    answer = subprocess.run(
        ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    files = [REPO / name for name in answer.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and file.match(pattern)]


def test_the_version_is_in_one_place() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    statement = re.compile(rf"""version\w*["']?\s*[:=]\s*["']{re.escape(version)}["']""", re.I)
    places = [
        str(file.relative_to(REPO))
        for suffix in ("*.py", "*.toml", "*.ts", "*.json", "*.svelte")
        for file in tracked(suffix)
        if file.name not in {"package.json", "package-lock.json"}
        and statement.search(file.read_text())
    ]
    assert places == ["pyproject.toml"]


def test_lock_entries_carry_no_download_address() -> None:
    locks = tracked("package-lock.json")
    assert REPO / "web" / "package-lock.json" in locks
    for lock in locks:
        packages = json.loads(lock.read_text())["packages"]
        assert packages
        assert [name for name, entry in packages.items() if "resolved" in entry] == []
    for lock in tracked("tools/locks/*.txt"):
        assert "://" not in lock.read_text()


def test_what_is_built_is_not_kept() -> None:
    built = {"dist", "build", "node_modules", "out"}
    assert [file for file in tracked() if built & set(file.relative_to(REPO).parts)] == []


def test_versions_of_open_webui_are_named_by_their_list_alone() -> None:
    named = re.compile("[\"'](" + "|".join(map(re.escape, editions.versions())) + ")[\"']")
    rooms = ("tools", "installer", "backend", "verifier", "quote_generator", "web/src")
    programs = [
        file
        for room in rooms
        for suffix in ("py", "ts")
        for file in tracked(f"*.{suffix}")
        if (REPO / room) in file.parents
    ]
    assert programs
    assert [str(file) for file in programs if named.search(file.read_text())] == []


def test_the_readme_names_the_supported_versions() -> None:
    listed = ", ".join(editions.versions())
    assert f"({listed};" in (REPO / "README.md").read_text()


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in tracked("docs/*.md"))])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = re.sub("`[^`\n]*`", "", (REPO / page).read_text())  # code leads nowhere
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text) + re.findall(r'src="([^"]+)"', text)
    missing = [t for t in targets if not ((REPO / page).parent / t).exists()]
    assert missing == []


def test_every_page_is_listed_in_the_readme() -> None:
    readme = (REPO / "README.md").read_text()
    pages = [file.name for file in tracked("docs/*.md")]
    assert [page for page in pages if f"docs/{page}" not in readme] == []

"""Rules of the house that a reader of one change would not notice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from preparation import editions, machine
from preparation.steps import BootstrapError

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
    # Not the whole path: the checkout's own folder may be called anything, `docs` for one.
    return [file for file in files if file.is_file() and file.relative_to(REPO).match(pattern)]


ENGLISH = ["README.md", *(f"docs/{page.name}" for page in tracked("docs/*.md"))]
CHINESE = ["README.zh-CN.md", *(f"docs/zh-CN/{page.name}" for page in tracked("docs/zh-CN/*.md"))]


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
    for lock in [*tracked("tools/locks/*.txt"), *tracked("installer/locks/*.txt")]:
        assert "://" not in lock.read_text()


def test_what_is_built_is_not_kept() -> None:
    built = {"dist", "build", "node_modules", "out"}
    assert [file for file in tracked() if built & set(file.relative_to(REPO).parts)] == []


PROMISED = re.compile(r"""wait_for_function\(\s*f?["']*\s*async\b""")


def test_no_browser_test_waits_for_a_promise() -> None:
    """To Playwright's wait_for_function a promise is true: such a wait is none."""
    assert PROMISED.search('page.wait_for_function(\n    """async () => false""")')
    files = tracked("tests/e2e/*.py")
    assert len(files) > 20
    assert [file.name for file in files if PROMISED.search(file.read_text())] == []


def test_all_versions_together_are_also_built_twice() -> None:
    """The one test that is left out elsewhere."""
    command = ["make", "--dry-run", "--no-print-directory", "-C", str(REPO), "test-versions"]
    # Not those of the make that runs this.
    env = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    plan = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    built = [line for line in plan.stdout.splitlines() if "CCZOO_BUILD_TWICE=1" in line]
    assert len(built) == 1
    assert "pytest tests/installer -k elsewhere" in built[0]
    assert {name for name in editions.every() if f"CCZOO_EDITION={name} " in plan.stdout} == set(
        editions.every()
    )


# What says what is true of one version and not of the others.
FACTS_OF_A_VERSION = {
    "backend/cczoo_backend/workload/storage.py",
    "tests/e2e/browser.py",
    "tests/unit/backend/test_openwebui.py",
    "tests/unit/backend/test_workload_setting_names.py",
}


def test_versions_of_open_webui_are_named_by_their_list_alone() -> None:
    versions = "|".join(map(re.escape, editions.versions()))
    # Where it is explained what an edition's name is like, one is named for all.
    named = re.compile(rf"""(?<!\bas in )["'](?:v|source-|plugin-)?(?:{versions})["']""")
    rooms = ("tools", "installer", "backend", "verifier", "quote_generator", "web/src", "tests")
    programs = [
        file
        for room in rooms
        for suffix in ("py", "ts")
        for file in tracked(f"*.{suffix}")
        if (REPO / room) in file.parents
    ]
    naming = {str(f.relative_to(REPO)) for f in programs if named.search(f.read_text())}
    assert naming == FACTS_OF_A_VERSION


def versions_shown(readme: str) -> list[list[str]]:
    """The numbers in each row of a README's table of versions, from the top."""
    text = (REPO / readme).read_text()
    [table] = re.findall(r"(?m)^## (?:Versions|版本)\n\n((?:\|.*\n)+)", text)
    return [re.findall(r"\d+(?:\.\d+)*", row.split("|")[2]) for row in table.splitlines()[2:]]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_shows_the_versions_that_the_code_takes(
    readme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustees = json.loads((REPO / "patches" / "trustee" / "versions.json").read_text())["versions"]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BootstrapError) as refused:
        machine.check_node()  # names those that it takes
    nodes = re.findall(r"\d+(?:\.\d+)?", str(refused.value).split(" with npm")[0])
    assert versions_shown(readme) == [
        editions.versions(editions.PLUGIN),
        editions.versions(editions.SOURCE),
        [entry["version"] for entry in trustees],
        [".".join(map(str, version)) for version in machine.WEBUI_PYTHONS],
        nodes,
    ]


def test_readme_and_porting_name_the_supported_versions() -> None:
    porting = (REPO / "docs" / "porting.md").read_text()
    patched = editions.versions(editions.SOURCE)
    for page in ("README.md", "README.zh-CN.md"):
        readme = (REPO / page).read_text()
        assert set(re.findall(r"(?<!\w)v(\d+\.\d+\.\d+)", readme)) == set(patched)
    assert f"| those with patches: {', '.join(patched)} |" in porting


PICTURES = [str(path.relative_to(REPO)) for path in tracked("docs/images/*")]


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_is_shown(picture: str) -> None:
    shown = re.compile(rf'src="[^"]*{re.escape(Path(picture).name)}"')
    assert any(shown.search((REPO / page).read_text()) for page in ENGLISH)


@pytest.mark.parametrize("picture", [name for name in PICTURES if name.endswith(".svg")])
def test_drawings_are_small_and_bring_nothing_from_elsewhere(picture: str) -> None:
    text = (REPO / picture).read_text()
    assert len(text) < 15_000
    shapes = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert shapes <= {
        *("svg", "title", "desc", "style", "defs", "marker", "g"),
        *("path", "rect", "circle", "line", "text"),
    }
    assert re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)|@import|\shref", text) == []


@pytest.mark.parametrize("page", ENGLISH[1:] + CHINESE)
def test_no_page_speaks_of_an_open_webui_that_is_not_supported(page: str) -> None:
    text = (REPO / page).read_text()
    after_name = r"(?:source-|plugin-|open-webui(?: |-)v?|patches/open-webui/v|--fetch )"
    named = set(re.findall(rf"{after_name}(\d+\.\d+\.\d+)", text))
    assert named <= set(editions.versions())


@pytest.mark.parametrize("page", ENGLISH + CHINESE)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = re.sub("`[^`\n]*`", "", (REPO / page).read_text())  # code leads nowhere
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text) + re.findall(r'src="([^"]+)"', text)
    missing = [t for t in targets if not ((REPO / page).parent / t).exists()]
    assert missing == []


def heading_anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", ENGLISH + CHINESE)
def test_links_into_pages_lead_to_a_heading(page: str) -> None:
    place = REPO / page
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", place.read_text())
    pages = [((place.parent / target if target else place), anchor) for target, anchor in links]
    missing = [
        f"{target.name}#{anchor}"
        for target, anchor in pages
        if target.suffix == ".md" and anchor not in heading_anchors(target)
    ]
    assert missing == []


@pytest.mark.parametrize("page", [f"docs/{path.name}" for path in tracked("docs/*.md")])
def test_tests_that_a_page_names_are_there(page: str) -> None:
    text = (REPO / page).read_text()
    files = [REPO / name for name in re.findall(r"`((?:web/)?tests?/[^`\s]+)`", text)]
    assert [file for file in files if not file.exists()] == []
    bodies = "".join(file.read_text() for file in files if file.is_file())
    named = re.findall(r"`(test_\w+)`", text)
    assert [name for name in named if f"def {name}(" not in bodies] == []


@pytest.mark.parametrize(
    ("readme", "pages"), [("README.md", ENGLISH), ("README.zh-CN.md", CHINESE)]
)
def test_every_page_is_listed_in_the_readme(readme: str, pages: list[str]) -> None:
    text = (REPO / readme).read_text()
    assert [page for page in pages if page != readme and f"({page})" not in text] == []


def language_links(page: Path) -> list[Path]:
    """Where the line below a page's title leads: to the same in another language."""
    line = page.read_text().splitlines()[2]
    return [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)]+)\)", line)]


@pytest.mark.parametrize("page", CHINESE)
def test_languages_lead_to_one_another(page: str) -> None:
    [english] = language_links(REPO / page)
    assert language_links(english) == [REPO / page]


FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def commands_of(text: str) -> list[str]:
    """The lines of a page's blocks of code, without what they say to people."""
    lines = "".join(block for kind, block in FENCED.findall(text) if kind != "mermaid").splitlines()
    bare = (re.sub(r"(^|\s+)# .*", "", line).strip() for line in lines)
    return [line for line in bare if line]


def code_of(text: str) -> list[str]:
    """What is code in a page's sentences."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


@pytest.mark.parametrize("page", CHINESE)
def test_chinese_pages_have_the_code_of_english_ones(page: str) -> None:
    """Commands, settings and codes are tested where the English pages have them."""
    text, english = (REPO / page).read_text(), [(REPO / name).read_text() for name in ENGLISH]
    tested = {line for other in english for line in commands_of(other)}
    assert [line for line in commands_of(text) if line not in tested] == []
    known = "\n".join([*tested, *(code for other in english for code in code_of(other))])
    assert [code for code in code_of(text) if code not in known] == []

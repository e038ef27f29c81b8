"""Building before changing anything: the cache, failing builds, the place where it is served.

node and npm are doubles here (see FAKE_NPM); the last tests run the real ones.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import frontend, patchset
from cczoo_installer.errors import BuildFailed, Locked
from cczoo_installer.files import locked
from installer_kit import (
    HOOKED_TOO,
    REAL_CACHE,
    VERSION,
    FakeTools,
    Ran,
    make_patch_set,
    snapshot,
    started,
    wait_for,
    write_files,
)

Run = Callable[..., Ran]


def test_build_is_made_from_the_patched_sources_and_placed(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    stock = snapshot(small_tree)
    done = cczoo(small_tree, "--json")
    assert (done.code, done.json["build"]) == (0, "built anew")
    built = (small_tree / "build/_app/app.js").read_text()
    assert "export const HOOK = 'probe';" in built
    assert "<!-- probe -->" in built
    assert "cczoo-" in (small_tree / "build/index.html").read_text()
    assert not (small_tree / "node_modules").exists()
    ci, run = fake_tools.calls()
    assert ci.startswith("npm ci --ignore-scripts --no-audit --no-fund")
    assert run.endswith(f" in {next((cache / 'frontend').iterdir())}/tree")

    again = cczoo(small_tree, "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert fake_tools.builds() == 1
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_node_is_not_needed_to_see_that_nothing_is_to_do(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    cczoo(small_tree)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (fake_tools.folder / "node").unlink()
    assert cczoo(small_tree, "--json").json["changed"] is False


def test_an_older_build_comes_back_with_revert(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    (small_tree / "build/_app").mkdir(parents=True)
    (small_tree / "build/index.html").write_text("older")
    (small_tree / "build/_app").chmod(0o700)
    stock = snapshot(small_tree)
    cczoo(small_tree)
    assert (small_tree / "build/index.html").read_text() != "older"
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_revert_says_what_will_be_where_no_build_was(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    told = cczoo(small_tree, "--revert", "--dry-run")
    assert "would remove build/, of which there was none before\n" in told.out
    assert "GET / with 404" in told.out
    assert "--rebuild" in told.out
    done = cczoo(small_tree, "--revert")
    assert "GET / with 404" in done.out
    assert snapshot(small_tree) == stock
    nothing_to_do = cczoo(small_tree, "--revert").out
    assert "404" not in nothing_to_do.replace(str(small_tree), "")


def test_revert_says_that_an_own_build_comes_back(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    write_files(small_tree, {"build/index.html": "the user's own"})
    cczoo(small_tree)
    for options in ([], ["--rebuild"]):
        told = cczoo(small_tree, "--revert", "--dry-run", *options)
        assert "would restore build/ as it was before\n" in told.out
        assert "404" not in told.out.replace(str(small_tree), "")
        assert ("nothing is to be built" in told.out) == bool(options)
    assert cczoo(small_tree, "--revert", "--rebuild", "--json").json["build"] == "restored"
    assert fake_tools.builds() == 1


def test_rebuild_leaves_stock_open_webui_with_its_own_front_end(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    ours = page_second(small_tree)
    told = cczoo(small_tree, "--revert", "--rebuild", "--dry-run")
    assert "build open-webui's own\n" in told.out
    assert fake_tools.builds() == 1
    done = cczoo(small_tree, "--revert", "--rebuild", "--json")
    assert (done.code, done.json["build"]) == (0, "rebuilt")
    assert "HOOK" not in (small_tree / "build/_app/app.js").read_text()
    assert page_second(small_tree) >= ours
    left = snapshot(small_tree)
    assert {name: facts for name, facts in left.items() if not name.startswith("build")} == stock

    # It is the user's own then: kept by an installation, and put back.
    cczoo(small_tree)
    assert "HOOK" in (small_tree / "build/_app/app.js").read_text()
    assert cczoo(small_tree, "--revert", "--json").json["build"] == "restored"
    assert snapshot(small_tree) == left


def test_rebuild_after_the_kit_is_gone(small_tree: Path, cczoo: Run, fake_tools: FakeTools) -> None:
    cczoo(small_tree)
    cczoo(small_tree, "--revert")
    done = cczoo(small_tree, "--revert", "--rebuild", "--json")
    assert (done.code, done.json["build"], done.json["changed"]) == (0, "rebuilt", True)
    assert (small_tree / "build/index.html").is_file()
    assert not (small_tree / ".cczoo-install").exists()


def test_a_front_end_of_the_kit_in_a_stock_tree_is_left_alone(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    """Somebody has copied it there: no record and no patched file says that it may go."""
    cczoo(small_tree)
    (small_tree / "build").rename(small_tree / "build.kept")
    cczoo(small_tree, "--revert")
    (small_tree / "build.kept").rename(small_tree / "build")
    before = snapshot(small_tree)
    done = cczoo(small_tree, "--revert", "--rebuild")
    assert (done.code, "nothing is to be built" in done.out) == (0, True)
    assert snapshot(small_tree) == before


def test_a_rebuild_that_fails_takes_nothing_back(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    cczoo(small_tree)
    before = snapshot(small_tree)
    monkeypatch.setenv("FAKE_NPM_DOES", "fail")
    assert cczoo(small_tree, "--revert", "--rebuild").code == 5
    assert snapshot(small_tree) == before


def test_a_rebuild_killed_before_its_last_step_can_be_done_again(
    small_tree: Path,
    cczoo: Run,
    fake_tools: FakeTools,
    child_command: Callable[..., list[str]],
) -> None:
    cczoo(small_tree)
    killed = child_command(small_tree, "--revert", "--rebuild", at="stock:place")
    assert subprocess.run(killed, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert cczoo(small_tree, "--status", "--json").json["state"] == "not-installed"
    assert cczoo(small_tree, "--revert", "--rebuild").code == 0
    assert (small_tree / "build/index.html").is_file()
    assert not (small_tree / ".cczoo-install").exists()


def test_a_restart_is_asked_for(small_tree: Path, cczoo: Run, fake_tools: FakeTools) -> None:
    assert "an open-webui that is running: stop it first" in cczoo(small_tree).out
    assert "Restart what is running of it" in cczoo(small_tree, "--revert").out
    assert "Restart" not in cczoo(small_tree, "--revert").out


def test_a_stock_build_in_the_tree_changes_nothing_for_the_cache(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    """open-webui's own build fills static/pyodide first, and leaves more than its build/."""
    write_files(small_tree, {"static/pyodide/pyodide-lock.json": "{}"})
    cczoo(small_tree)
    cczoo(small_tree, "--revert")
    write_files(
        small_tree,
        {
            "static/pyodide/pyodide.asm.wasm": "",
            "static/pyodide/numpy-2.0.2.whl": "",
            ".svelte-kit/tsconfig.json": "{}",
            "node_modules/svelte/package.json": "{}",
            "build/index.html": "stock",
        },
    )
    assert cczoo(small_tree, "--json").json["build"] == "from the cache"
    (workspace,) = cache.glob("frontend/*/tree/static/pyodide")
    assert [path.name for path in workspace.iterdir()] == ["pyodide-lock.json"]


def page_second(tree: Path) -> int:
    """The modification time of the page as HTTP tells it: in whole seconds."""
    return int((tree / "build/index.html").stat().st_mtime)


IN_2100 = 4102444800


def test_no_page_is_taken_for_the_one_before_it(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    """open-webui's server answers "not modified" by date: each page is newer than the last one.

    Even where the last one is from a clock that was ahead.
    """
    write_files(small_tree, {"build/index.html": "the user's own"})
    os.utime(small_tree / "build/index.html", (IN_2100, IN_2100))
    seconds = [page_second(small_tree)]
    for _ in range(2):  # built anew, then from the cache
        cczoo(small_tree)
        seconds.append(page_second(small_tree))
        (small_tree / "src/lib/index.ts").write_text(f"// edit {len(seconds)}\n")
        cczoo(small_tree)  # the one of ours replaced by another
        seconds.append(page_second(small_tree))
        cczoo(small_tree, "--revert")
        seconds.append(page_second(small_tree))
        (small_tree / "src/lib/index.ts").write_text("// as it was\n")
    assert seconds == sorted(set(seconds))
    assert (small_tree / "build/index.html").read_text() == "the user's own"


def test_a_page_of_ours_is_newer_than_the_one_of_ours_before_it(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    cczoo(small_tree)
    os.utime(small_tree / "build/index.html", (IN_2100, IN_2100))
    (small_tree / "src/lib/index.ts").write_text("// edited\n")
    assert cczoo(small_tree, "--json").json["changed"] is True
    assert page_second(small_tree) == IN_2100 + 1


def test_a_page_gets_the_date_of_its_placing(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    """Not that of the day when the cache got it, or when the user built it."""
    write_files(small_tree, {"build/index.html": "the user's own"})
    os.utime(small_tree / "build/index.html", (1, 1))
    cczoo(small_tree)
    (page,) = cache.glob("builds/*/build/index.html")
    os.utime(page, (1, 1))
    cczoo(small_tree, "--revert")
    assert page_second(small_tree) > 1_000_000_000
    assert cczoo(small_tree, "--json").json["build"] == "from the cache"
    assert page_second(small_tree) > 1_000_000_000


def test_a_build_folder_without_a_page_or_that_is_a_file(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    (small_tree / "build").write_text("not a folder\n")
    stock = snapshot(small_tree)
    assert cczoo(small_tree).code == 0
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_another_build_of_the_same_sources_comes_from_the_cache(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    cczoo(small_tree)
    cczoo(small_tree, "--revert")
    assert cczoo(small_tree, "--dry-run", "--json").json["build"] == "from the cache"
    assert cczoo(small_tree, "--json").json["build"] == "from the cache"
    assert fake_tools.builds() == 1


def test_no_build_then_build(small_tree: Path, cczoo: Run, fake_tools: FakeTools) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    assert not (small_tree / "build").exists()
    assert cczoo(small_tree).code == 0
    assert (small_tree / "build/index.html").is_file()
    # Asking for no build does not take away the one that is there.
    assert cczoo(small_tree, "--no-build", "--json").json["changed"] is False
    assert (small_tree / "build/index.html").is_file()
    cczoo(small_tree, "--revert")
    assert snapshot(small_tree) == stock


def test_a_source_edited_since_is_built_in(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    theirs = small_tree / "src/lib/index.ts"
    content = theirs.read_bytes()
    theirs.write_text("// edited by the user\n")
    assert cczoo(small_tree, "--json").json["changed"] is True
    built = (small_tree / "build/_app/app.js").read_text()
    assert "edited by the user" in built
    assert "export const HOOK = 'probe';" in built
    theirs.write_bytes(content)
    cczoo(small_tree, "--revert")
    assert snapshot(small_tree) == stock


def test_newer_patch_set_is_built_from_upstream_not_from_the_older_one(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, pristine: Path, tmp_path: Path
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    newer = make_patch_set(tmp_path / "newer", pristine, "newer")
    assert cczoo(small_tree, with_patches=newer).code == 0
    built = (small_tree / "build/_app/app.js").read_text()
    assert built.count("<!-- newer -->") == 1
    assert "probe" not in built
    cczoo(small_tree, "--revert")
    assert snapshot(small_tree) == stock


def test_files_that_the_build_does_not_read_do_not_matter(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    cczoo(small_tree)
    (small_tree / ".env").write_text("OPENAI_API_KEY=secret\n")
    (small_tree / "backend/open_webui/other.py").write_text("x = 1\n")
    assert cczoo(small_tree, "--json").json["changed"] is False
    cczoo(small_tree, "--revert")
    (small_tree / "src/lib/index.ts").write_text("// so that it builds again\n")
    cczoo(small_tree)
    assert fake_tools.builds() == 2
    assert not list(cache.rglob(".env")), "secrets stay where they are"


@pytest.mark.parametrize("does", ["fail", "nothing"])
def test_failed_build_leaves_the_tree_as_it_was(
    small_tree: Path,
    cczoo: Run,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", does)
    before = snapshot(small_tree)
    failed = cczoo(small_tree, "--json")
    assert (failed.code, failed.json["code"]) == (5, "build-failed")
    assert "build.log" in failed.err
    assert "was not changed" in failed.err
    if does == "fail":
        assert "vite: something is wrong" in failed.err
        assert "\x1b" not in failed.err
    assert snapshot(small_tree) == before


def test_failed_build_leaves_an_installation_as_it_was(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    cczoo(small_tree)
    (small_tree / "src/lib/index.ts").write_text("// edited\n")
    before = snapshot(small_tree)
    monkeypatch.setenv("FAKE_NPM_DOES", "fail")
    assert cczoo(small_tree).code == 5
    assert snapshot(small_tree) == before


def test_what_builds_is_what_open_webui_and_its_packages_take(pristine: Path) -> None:
    """By `engines`, which its .npmrc has npm hold to; asked of npm's own semver."""
    assert "engine-strict=true" in (pristine / ".npmrc").read_text()
    root = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True)
    script = """
        const semver = require(process.argv[1] + '/npm/node_modules/semver');
        const { packages } = require(process.argv[2]);
        const takes = Object.values(packages)
            .filter((each) => !each.optional && each.engines?.node)
            .map((each) => each.engines.node);
        for (const version of process.argv.slice(3))
            console.log(takes.every((range) => semver.satisfies(version, range)));
    """
    tried = ["18.20.8", "20.18.0", "20.18.1", "21.0.0", "22.0.0", "22.99.9", "23.0.0"]
    done = subprocess.run(
        ["node", "-e", script, root.stdout.strip(), str(pristine / "package-lock.json"), *tried],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    takes = [line == "true" for line in done.stdout.split()]
    ours = [
        frontend.OLDEST_NODE <= tuple(map(int, each.split("."))) < frontend.TOO_NEW_NODE
        for each in tried
    ]
    assert takes == ours == [False, False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("v18.20.4", False),
        ("v20.18.0", False),
        ("v20.18.1", True),
        ("v21.7.3", True),
        ("v22.0.0", True),
        ("v22.99.9", True),
        ("v23.0.0", False),
        ("nonsense\x1b[2J", False),
    ],
)
def test_node_version(
    small_tree: Path,
    cczoo: Run,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    good: bool,
) -> None:
    monkeypatch.setenv("FAKE_NODE_VERSION", version)
    before = snapshot(small_tree)
    done = cczoo(small_tree)
    assert done.code == (0 if good else 5)
    if not good:
        assert "20.18.1" in done.err
        assert "\x1b" not in done.err
        assert snapshot(small_tree) == before
        assert fake_tools.calls() == []


def test_npm_gets_the_environment_that_the_build_needs(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NODE_ENV=production would leave out the build tools; the user's own options are kept."""
    monkeypatch.setenv("NODE_ENV", "production")
    monkeypatch.setenv("NODE_OPTIONS", "--use-openssl-ca")
    assert cczoo(small_tree).code == 0
    environments = fake_tools.log.with_suffix(".env").read_text()
    assert "NODE_ENV=" not in environments
    assert "NODE_OPTIONS=--use-openssl-ca --max-old-space-size=4096\n" in environments
    assert "APP_BUILD_HASH=cczoo-" in environments


def test_without_npm(
    small_tree: Path, cczoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_git = tmp_path / "only-git"
    only_git.mkdir()
    (only_git / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(only_git))
    refused = cczoo(small_tree)
    assert refused.code == 5
    assert "node and npm cannot be found" in refused.err
    assert cczoo(small_tree, "--no-build").code == 0


@pytest.mark.parametrize("damage", ["change", "add", "remove", "manifest"])
def test_a_damaged_cache_entry_is_built_again(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path, damage: str
) -> None:
    cczoo(small_tree)
    cczoo(small_tree, "--revert")
    (entry,) = (cache / "builds").iterdir()
    script = entry / "build/_app/app.js"
    good = script.read_bytes()
    if damage == "change":
        script.write_bytes(good + b"evil()")
    elif damage == "add":
        (entry / "build/evil.js").write_text("evil()")
    elif damage == "remove":
        script.unlink()
    else:
        (entry / "manifest.json").write_text('["cut o')
    assert cczoo(small_tree, "--json").json["build"] == "built anew"
    assert fake_tools.builds() == 2
    assert (small_tree / "build/_app/app.js").read_bytes() == good
    assert not (small_tree / "build/evil.js").exists()


def test_packages_are_installed_again_when_that_was_cut_off(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    def installs() -> int:
        return sum(call.startswith("npm ci") for call in fake_tools.calls())

    cczoo(small_tree)
    (small_tree / "src/lib/index.ts").write_text("// one\n")
    cczoo(small_tree)
    assert installs() == 1, "node_modules is kept between builds"
    (workspace,) = (cache / "frontend").iterdir()
    (workspace / "tree/node_modules/.cczoo-complete").unlink()
    (small_tree / "src/lib/index.ts").write_text("// two\n")
    cczoo(small_tree)
    assert installs() == 2


def test_old_builds_are_dropped(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    for number in range(frontend.KEPT_BUILDS + 2):
        (small_tree / "src/lib/index.ts").write_text(f"// {number}\n")
        assert cczoo(small_tree).code == 0
    assert fake_tools.builds() == frontend.KEPT_BUILDS + 2
    assert len(list((cache / "builds").iterdir())) == frontend.KEPT_BUILDS


def test_an_edited_build_is_not_lost(small_tree: Path, cczoo: Run, fake_tools: FakeTools) -> None:
    cczoo(small_tree)
    (small_tree / "build/mine.html").write_text("mine")
    before = snapshot(small_tree)
    for options in (["--revert"], []):
        refused = cczoo(small_tree, *options)
        assert refused.code == 4
        assert "build/mine.html" in refused.err
        assert "mv build build.mine" in refused.err
    assert snapshot(small_tree) == before
    (small_tree / "build").rename(small_tree / "build.mine")
    assert cczoo(small_tree, "--status", "--json").json["modified"] == ["build"]
    assert cczoo(small_tree).code == 0
    assert cczoo(small_tree, "--status", "--json").json["state"] == "installed"


@pytest.mark.parametrize("damage", ["remove", "cut", "other"])
def test_a_damaged_list_of_the_build_is_named(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, damage: str
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    record = small_tree / ".cczoo-install/applied/build.json"
    if damage == "remove":
        record.unlink()
    else:
        record.write_text('{"index.html' if damage == "cut" else "[1]")
    for options in (["--status"], ["--revert"], []):
        refused = cczoo(small_tree, *options)
        assert refused.code == 6
        assert "build.json" in refused.err
    # The way out that the message names.
    (small_tree / "build").rename(small_tree / "build.mine")
    assert cczoo(small_tree, "--revert").code == 0
    shutil.rmtree(small_tree / "build.mine")
    assert snapshot(small_tree) == stock


def test_a_linked_build_folder_is_refused_before_building(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    (small_tree / "build").symlink_to(tmp_path / "served")
    refused = cczoo(small_tree)
    assert refused.code == 4
    assert fake_tools.calls() == []
    assert list((tmp_path / "served").iterdir()) == []


def test_a_linked_build_folder_is_refused_before_reverting(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, tmp_path: Path
) -> None:
    """Even where the link leads to just what was installed."""
    cczoo(small_tree)
    (small_tree / "build").rename(tmp_path / "served")
    (small_tree / "build").symlink_to(tmp_path / "served")
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--revert")
    assert refused.code == 4
    assert "symbolic link" in refused.err
    assert snapshot(small_tree) == before


def test_frontend_build_dir_elsewhere_is_mentioned(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTEND_BUILD_DIR", "/srv/front")
    done = cczoo(small_tree)
    assert done.code == 0
    assert "FRONTEND_BUILD_DIR is set to /srv/front" in done.out


def test_the_cache_may_be_unwritable(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, cache: Path
) -> None:
    cache.write_text("a file where the folder should be")
    before = snapshot(small_tree)
    refused = cczoo(small_tree)
    assert refused.code == 6
    assert "CCZOO_CACHE" in refused.err
    assert snapshot(small_tree) == before


def test_two_builds_of_the_same_sources_are_one(
    small_tree: Path,
    child_command: Callable[..., list[str]],
    fake_tools: FakeTools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", "linger")
    twin = tmp_path / "twin"
    shutil.copytree(small_tree, twin)
    with (
        started(child_command(small_tree), stderr=subprocess.PIPE) as first,
        started(child_command(twin), stderr=subprocess.PIPE) as second,
    ):
        assert second.stderr is not None
        assert first.stderr is not None
        Path(f"{fake_tools.log}.go").touch()
        first.communicate(timeout=60)
        second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert fake_tools.builds() == 1
    assert snapshot(twin / "build") == snapshot(small_tree / "build")


def test_killed_while_npm_runs(
    small_tree: Path,
    child_command: Callable[..., list[str]],
    cczoo: Run,
    fake_tools: FakeTools,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """kill -9 of the installer ends npm and what that has started; the next run can build."""
    monkeypatch.setenv("FAKE_NPM_DOES", "hang")
    pid_file = Path(f"{fake_tools.log}.pid")
    before = snapshot(small_tree)
    with started(child_command(small_tree)) as child:
        wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=30)
    grandchild = Path(f"/proc/{pid_file.read_text().strip()}")
    wait_for(lambda: not grandchild.exists())
    assert snapshot(small_tree) == before
    (workspace,) = (cache / "frontend").iterdir()
    with locked(workspace / "lock", busy="busy", wait=30):
        pass
    monkeypatch.delenv("FAKE_NPM_DOES")
    assert cczoo(small_tree, "--json").json["build"] == "built anew"


def test_an_npm_that_does_not_want_to_stop_is_stopped(
    small_tree: Path,
    child_command: Callable[..., list[str]],
    fake_tools: FakeTools,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it is gone nobody else may use its workspace, even though the installer was killed."""
    monkeypatch.setenv("FAKE_NPM_DOES", "stubborn")
    with started(child_command(small_tree)) as child:
        wait_for(lambda: Path(f"{fake_tools.log}.started").exists())
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=30)
    (workspace,) = (cache / "frontend").iterdir()
    wait_for(lambda: Path(f"{fake_tools.log}.asked").exists())
    with pytest.raises(Locked), locked(workspace / "lock", busy="busy"):
        pass
    with locked(workspace / "lock", busy="busy", wait=30):
        assert not Path(f"{fake_tools.log}.done").exists()


def test_inputs_and_key(small_tree: Path) -> None:
    sources = frontend.inputs(small_tree)
    assert {"package.json", "package-lock.json", "vite.config.ts", ".npmrc"} <= sources.keys()
    assert not any(name.startswith(("backend/", "build/")) for name in sources)
    key = frontend.build_key(sources, 20)
    assert frontend.build_key(sources, 22) != key
    assert frontend.build_key(frontend.inputs(small_tree, {"backend/x.py": b""}), 20) == key
    changed = frontend.inputs(small_tree, {HOOKED_TOO: b"new"})
    assert frontend.build_key(changed, 20) != key
    same = frontend.inputs(small_tree, {HOOKED_TOO: (small_tree / HOOKED_TOO).read_bytes()})
    assert frontend.build_key(same, 20) == key
    without = frontend.inputs(small_tree, {"package-lock.json": b"{}", HOOKED_TOO: None})
    assert HOOKED_TOO not in without
    (small_tree / "src/linked").symlink_to("/tmp")
    with pytest.raises(BuildFailed, match="symbolic link"):
        frontend.inputs(small_tree)


@pytest.mark.timeout(2400)
def test_real_build_that_fails(
    full_tree: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real npm and vite, on a Svelte file that does not compile."""
    monkeypatch.setenv("CCZOO_CACHE", str(REAL_CACHE))
    broken = full_tree / "src/routes/+layout.svelte"
    broken.unlink()
    broken.write_text("<script>\n\tlet unfinished = (\n</script>\n{#if}\n")
    before = snapshot(full_tree)
    failed = cczoo(full_tree, with_patches=None)
    assert failed.code == 5
    assert "+layout.svelte" in failed.err
    assert snapshot(full_tree) == before


@pytest.mark.skipif("CCZOO_BUILD_TWICE" not in os.environ, reason="takes minutes and 4 GB")
@pytest.mark.timeout(4800)
def test_real_build_is_the_same_bytes_elsewhere(full_tree: Path, tmp_path: Path) -> None:
    patches = patchset.load(patchset.default_root(), VERSION)
    originals = {name: (full_tree / name).read_bytes() for name in patches.edited}
    sources = frontend.inputs(full_tree, patches.patched(originals))
    tools = frontend.toolchain()
    here = frontend.build_sources(sources, REAL_CACHE, tools)
    there = frontend.build_sources(sources, tmp_path / "in/another/folder", tools)
    assert there.folder != here.folder
    assert there.hashes == here.hashes


@pytest.mark.timeout(2400)
def test_real_build(full_tree: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, whole: apply, build, look, run again, revert byte for byte."""
    monkeypatch.setenv("CCZOO_CACHE", str(REAL_CACHE))
    before = snapshot(full_tree)
    assert cczoo(full_tree, with_patches=None).code == 0
    index = (full_tree / "build/index.html").read_text()
    assert "_app/immutable" in index
    scripts = "".join(path.read_text() for path in (full_tree / "build/_app").rglob("*.js"))
    assert f'"{VERSION}"' in scripts
    for place in ("badge", "settings"):
        assert f'"data-tee-place","{place}"' in scripts
    # Named by what was built, not by the clock: the same sources make the same bytes.
    key = cczoo(full_tree, "--status", "--json", with_patches=None).json["build"]
    named = json.loads((full_tree / "build/_app/version.json").read_text())
    assert named == {"version": f"cczoo-{key[:12]}"}
    assert cczoo(full_tree, "--json", with_patches=None).json["changed"] is False
    assert cczoo(full_tree, "--revert", with_patches=None).code == 0
    assert snapshot(full_tree) == before

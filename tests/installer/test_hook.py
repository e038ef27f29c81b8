"""The plug-in way: one hook file beside an installed open-webui, which stays as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import hook_line, hooked_package, package, patchset
from installer_kit import (
    BACKEND,
    CHILD,
    OPEN_WEBUI,
    PLUGIN_VERSION,
    VERSION,
    Environment,
    Ran,
    say_version,
    snapshot,
    write_files,
)

from preparation import editions

Run = Callable[..., Ran]

HOOKED = (["open-webui starts", "the badge is in Open WebUI"], "")
STOCK = (["open-webui starts"], "")


def test_install_adds_one_file_and_revert_removes_it(environment: Environment, cczoo: Run) -> None:
    assert environment.starts() == STOCK
    before = snapshot(environment.site)

    done = cczoo(environment.package, "--json")
    assert done.code == 0
    assert done.json["changed"] is True
    assert done.json["way"] == "plugin"
    assert done.json["added"] == [str(environment.hook)]
    after = snapshot(environment.site)
    assert {name: after[name] for name in before} == before
    ours = {name for name in after.keys() - before.keys() if not name.startswith(".cczoo-install")}
    assert ours == {environment.hook.name}
    assert after[environment.hook.name][1] == 0o644
    assert environment.starts() == HOOKED

    status = cczoo(environment.package, "--status", "--json").json
    assert status["state"] == "installed"
    assert status["version"] == PLUGIN_VERSION
    assert (status["supported"], status["current"]) == (True, True)
    assert status["hook"] == str(environment.hook)
    assert f"hook {environment.hook}" in cczoo(environment.package, "--status").out

    assert cczoo(environment.package, "--revert", "--json").json["added"] == [str(environment.hook)]
    assert environment.starts() == STOCK
    assert without_byte_code(snapshot(environment.site)) == without_byte_code(before)
    assert cczoo(environment.package, "--revert", "--json").json["changed"] is False


def without_byte_code(found: dict[str, tuple[str, int, str]]) -> dict[str, tuple[str, int, str]]:
    return {name: facts for name, facts in found.items() if "__pycache__" not in name}


def test_a_second_run_has_nothing_to_do(environment: Environment, cczoo: Run) -> None:
    first = cczoo(environment.package)
    assert "Next: restart open-webui" in first.out
    assert "python -m cczoo_backend" in first.out
    inode = environment.hook.stat().st_ino
    again = cczoo(environment.package)
    assert again.code == 0
    assert "already installed; nothing to do" in again.out
    assert environment.hook.stat().st_ino == inode


@pytest.mark.parametrize("installed", [False, True])
def test_dry_run_changes_nothing(environment: Environment, cczoo: Run, installed: bool) -> None:
    if installed:
        cczoo(environment.package)
    before = snapshot(environment.site)
    told = cczoo(environment.package, "--dry-run", *(["--revert"] if installed else []))
    assert told.code == 0
    assert f"would {'remove' if installed else 'add'} {environment.hook}\n" in told.out
    assert snapshot(environment.site) == before


def test_neither_node_nor_git_is_needed(
    environment: Environment, cczoo: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cczoo(environment.package).code == 0


@pytest.mark.parametrize(
    "options", [["--no-build"], ["--fetch", VERSION], ["--revert", "--rebuild"]]
)
def test_what_only_a_source_tree_has(
    environment: Environment, cczoo: Run, options: list[str]
) -> None:
    before = snapshot(environment.site)
    refused = cczoo(environment.package, *options, "--json")
    assert (refused.code, refused.json["code"]) == (2, "usage")
    assert snapshot(environment.site) == before


# -- the line ------------------------------------------------------------------------------------


def modules_at_start(environment: Environment) -> set[str]:
    lines = environment.run("-X", "importtime", "-c", "pass").stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines}


def test_another_process_imports_nothing_more(environment: Environment, cczoo: Run) -> None:
    before = modules_at_start(environment)
    assert "site" in before
    cczoo(environment.package)
    assert modules_at_start(environment) == before
    done = environment.run("-c", "import open_webui, json; print('as ever')")
    assert (done.stdout, done.stderr) == ("as ever\n", "")


def test_without_the_kit_it_is_silent_and_without_effect(
    environment: Environment, cczoo: Run
) -> None:
    cczoo(environment.package)
    shutil.rmtree(environment.site / "cczoo_backend")
    assert environment.starts() == STOCK
    status = cczoo(environment.package, "--status").out
    assert "The hook has no effect without the kit" in status
    assert f"{environment.python} -m pip install " in status
    assert cczoo(environment.package, "--revert").code == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"__init__.py": "1 / 0"},
        {"hook.py": "1 / 0"},
        {"hook.py": "import there_is_no_such_module"},
        {"hook.py": "something_else = None"},
        {"hook.py": "def find_spec(*given):\n    raise OSError('a\\nb')\n"},
    ],
)
def test_with_a_broken_kit_open_webui_starts_and_says_so(
    environment: Environment, cczoo: Run, broken: dict[str, str]
) -> None:
    cczoo(environment.package)
    write_files(environment.site / "cczoo_backend", broken)
    printed, said = environment.starts()
    assert printed == STOCK[0]
    (line,) = said.splitlines()
    assert "The trust badge is not active: cczoo_backend is broken" in line


@pytest.mark.parametrize("broken", [None, {"__init__.py": "1 / 0"}, {"hook.py": "1 / 0"}])
@pytest.mark.parametrize("mode", ["required", " Required", "a typing error"])
def test_open_webui_does_not_start_without_what_is_required(
    environment: Environment, cczoo: Run, broken: dict[str, str] | None, mode: str
) -> None:
    cczoo(environment.package)
    if broken is None:
        shutil.rmtree(environment.site / "cczoo_backend")
    else:
        write_files(environment.site / "cczoo_backend", broken)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        environment.starts(TEE_SEALED=mode)
    assert failed.value.stdout == ""
    assert "TEE_SEALED requires sealed requests" in failed.value.stderr
    for other in ("", "off", "Offered"):
        assert environment.starts(TEE_SEALED=other)[0] == STOCK[0]


def test_a_kit_without_a_hook_module_is_broken_too(environment: Environment, cczoo: Run) -> None:
    cczoo(environment.package)
    (environment.site / "cczoo_backend/hook.py").unlink()
    printed, said = environment.starts()
    assert printed == STOCK[0]
    assert "cczoo_backend.hook" in said


def test_a_folder_that_is_processed_twice_hooks_once(environment: Environment, cczoo: Run) -> None:
    cczoo(environment.package)
    code = f"import site, sys; site.addsitedir({str(environment.site)!r}); "
    code += "print(sum(hasattr(each, 'cczoo_packages') for each in sys.meta_path)); "
    done = environment.run("-c", code + "import open_webui.main")
    assert done.stdout.splitlines() == ["1", *HOOKED[0]]


def test_another_open_webui_is_left_alone(
    environment: Environment, cczoo: Run, tmp_path: Path
) -> None:
    cczoo(environment.package)
    write_files(tmp_path / "another/open_webui", OPEN_WEBUI)
    assert environment.starts(PYTHONPATH=str(tmp_path / "another")) == STOCK


def test_the_line_is_one_ascii_line() -> None:
    line = hook_line.hook_line(["/é\n'\"\\", "/\udcff"]).decode("ascii")
    assert line.count("\n") == 1
    assert line.startswith("import os, sys; exec(")
    assert line.endswith("\n")
    compile(line, "line", "exec")


def test_the_hook_of_a_package_beside_it_is_the_same_everywhere(
    environment: Environment, cczoo: Run
) -> None:
    cczoo(environment.package)
    content = environment.hook.read_bytes()
    assert content == hook_line.hook_line([hook_line.BESIDE])
    assert b"/" not in content


@pytest.mark.parametrize("folder", ["lib/../lib", "link"])
def test_a_site_folder_by_another_name(environment: Environment, cczoo: Run, folder: str) -> None:
    """As `addsitedir` gives it to the line: not always by its real path."""
    cczoo(environment.package)
    top = environment.python.parent.parent
    (top / "link").symlink_to("lib")
    named = str(top / folder / environment.site.relative_to(top / "lib"))
    code = f"import site, sys; sys.path.insert(0, {named!r}); site.addsitedir({named!r})"
    done = environment.run("-S", "-c", f"{code}; import open_webui.main")
    assert (done.stdout.splitlines(), done.stderr) == HOOKED


# -- which Python, which kit ---------------------------------------------------------------------


def container_image(top: Path, version: str = PLUGIN_VERSION) -> Path:
    """The layout of open-webui's own image below `top`: no dist-info, build/ two levels up."""
    files = {f"backend/open_webui/{name}": text for name, text in OPEN_WEBUI.items()}
    package_json = json.dumps({"name": "open-webui", "version": version})
    build = {
        name.replace("backend/open_webui/frontend", "build"): text for name, text in files.items()
    }
    write_files(top, {**build, "package.json": package_json, "CHANGELOG.md": ""})
    return top / "backend/open_webui"


@pytest.mark.parametrize("name", ["app", "an 'odd' \"é\\\n", "link"])
def test_a_folder_outside_of_site_packages_is_hooked_in_the_python_that_runs_us(
    environment: Environment, patches: Path, tmp_path: Path, name: str
) -> None:
    """As in a container image; cczoo-install runs with that image's Python."""
    for ours in (environment.package, *environment.site.glob("open_webui-*")):
        shutil.rmtree(ours)
    if name == "link":
        (tmp_path / name).symlink_to(tmp_path / "real")
        container_image(tmp_path / "real")
        folder = tmp_path / name / "backend/open_webui"
    else:
        folder = container_image(tmp_path / name)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/cczoo_installer").symlink_to(Path(package.__file__).parent)
    env = {"PYTHONPATH": str(tmp_path / "ours"), "PYTHONDONTWRITEBYTECODE": "1"}
    before, stock = snapshot(tmp_path), snapshot(environment.site)

    def install(*options: str) -> Ran:
        arguments = [patches, "none", "none", "--openwebui-dir", folder, *options]
        done = environment.run(CHILD, *arguments, **env)
        return Ran(done.returncode, done.stdout, done.stderr)

    told = install().out
    assert f"the Python that runs this, {environment.python}" in told
    assert environment.hook.is_file()
    assert environment.starts(PYTHONPATH=str(folder.parent)) == HOOKED
    assert install("--status", "--json").json["version"] == PLUGIN_VERSION
    assert install("--status", "--json").json["state"] == "installed"
    install("--revert")
    assert without_byte_code(snapshot(environment.site)) == without_byte_code(stock)
    assert without_byte_code(snapshot(tmp_path)) == without_byte_code(before)


@pytest.mark.parametrize("kind", ["nothing", "another package", "an older kit"])
def test_the_kit_has_to_be_there(environment: Environment, cczoo: Run, kind: str) -> None:
    shutil.rmtree(environment.site / "cczoo_backend")
    if kind == "another package":
        write_files(environment.site, {"their.pth": "/nowhere\nimport their_module; x = 1\n# x\n"})
    if kind == "an older kit":
        finder = "__editable___cczoo_trust_badge_0_1_0_finder"
        write_files(
            environment.site,
            {f"{finder}.py": "MAPPING = {'cczoo_installer': '/x'}", "k.pth": f"import {finder}; x"},
        )
    before = snapshot(environment.site)
    refused = cczoo(environment.package, "--json")
    assert (refused.code, refused.json["code"]) == (6, "machine")
    assert f"`{environment.python} -m pip install " in refused.json["detail"]
    assert cczoo(environment.package, "--dry-run").code == 6
    assert snapshot(environment.site) == before


@pytest.mark.parametrize("kind", ["finder", "path"])
def test_a_kit_in_development_counts(
    environment: Environment, cczoo: Run, tmp_path: Path, kind: str
) -> None:
    (environment.site / "cczoo_backend").rename(tmp_path / "cczoo_backend")
    if kind == "path":
        (environment.site / "kit.pth").write_text(f"{tmp_path}\n")
    else:
        finder = f"""\
            import sys
            from importlib.util import spec_from_file_location
            MAPPING = {{'cczoo_backend': {str(tmp_path / "cczoo_backend")!r}}}

            class Finder:
                @staticmethod
                def find_spec(name, path=None, target=None):
                    if name in MAPPING:
                        return spec_from_file_location(name, MAPPING[name] + "/__init__.py")

            def install():
                sys.meta_path.append(Finder)
            """
        write_files(environment.site, {"kit_finder.py": finder})
        (environment.site / "kit.pth").write_text("import kit_finder; kit_finder.install()")
    assert cczoo(environment.package).code == 0
    assert environment.starts() == HOOKED


# -- versions ------------------------------------------------------------------------------------


def test_an_untested_version_needs_try(environment: Environment, cczoo: Run) -> None:
    say_version(environment.site, "0.99.1")
    before = snapshot(environment.site)
    refused = cczoo(environment.package, "--json")
    assert (refused.code, refused.json["code"]) == (3, "unsupported-version")
    assert "--try" in refused.json["detail"]
    assert f"{VERSION}, {PLUGIN_VERSION}" in refused.json["detail"]
    assert cczoo(environment.package, "--status", "--json").json["supported"] is False
    assert snapshot(environment.site) == before

    done = cczoo(environment.package, "--try", "--json")
    assert done.code == 0
    assert len(done.json["found"]) == 5
    assert all(finding["found"] for finding in done.json["found"])
    assert "has not been tested" in done.json["notes"][0]
    assert environment.starts() == HOOKED


@pytest.mark.parametrize(
    ("file", "text", "missing"),
    [
        ("main.py", "application = make()", "'app = FastAPI(' in main.py"),
        ("utils/auth.py", "def decode_token(token): ...", "'def get_verified_user(' in"),
        ("utils/auth.py", "def get_verified_user(user): ...", "'def decode_token(' in"),
        ("frontend/_app/app.js", "", "a place for badge in the page"),
        ("frontend/_app/folder.js/other.js", "", "a place for settings in the page"),
    ],
)
def test_try_says_what_it_did_not_find(
    environment: Environment, cczoo: Run, file: str, text: str, missing: str
) -> None:
    write_files(environment.package, {file: text})
    told = cczoo(environment.package, "--try")
    assert told.code == 0
    lines = [line for line in told.out.splitlines() if line.endswith("found")]
    (not_found,) = (line for line in told.out.splitlines() if line.endswith("NOT FOUND"))
    assert len(lines) == 4
    assert missing in not_found
    assert environment.hook.is_file()


def test_try_looks_into_the_front_end_of_a_container_image(
    environment: Environment, cczoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "our_site", lambda: environment.site)
    folder = container_image(tmp_path / "app", "0.99.1")
    told = cczoo(folder, "--try", "--dry-run", "--json").json
    assert all(finding["found"] for finding in told["found"])
    shutil.rmtree(tmp_path / "app/build")
    told = cczoo(folder, "--try", "--dry-run", "--json").json
    assert [finding["found"] for finding in told["found"]] == [True, True, True, False, False]


@pytest.mark.parametrize("text", [None, "[]", '{"places": 1}', '{"places": {"badge": {}}}'])
def test_anchors_that_cannot_be_read(
    environment: Environment, cczoo: Run, patches: Path, text: str | None
) -> None:
    (patches / "anchors.json").unlink()
    if text is not None:
        (patches / "anchors.json").write_text(text)
    refused = cczoo(environment.package, "--try", "--json")
    assert (refused.code, refused.json["code"]) == (1, "broken-patch-set")
    assert not environment.hook.exists()


def test_an_upgrade_of_open_webui_keeps_the_hook(environment: Environment, cczoo: Run) -> None:
    before = snapshot(environment.site)
    cczoo(environment.package)
    shutil.rmtree(environment.package)
    write_files(environment.package, OPEN_WEBUI)
    say_version(environment.site, VERSION)
    assert environment.starts() == HOOKED
    status = cczoo(environment.package, "--status", "--json").json
    assert (status["version"], status["state"]) == (VERSION, "installed")
    assert cczoo(environment.package, "--json").json["changed"] is False
    say_version(environment.site, PLUGIN_VERSION)
    assert cczoo(environment.package, "--revert").code == 0
    assert without_byte_code(snapshot(environment.site)) == before


def test_an_upgrade_of_the_kit_replaces_the_hook(
    environment: Environment, cczoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(environment.site)
    cczoo(environment.package)
    monkeypatch.setattr(hook_line, "SOURCE", hook_line.SOURCE + "newer = True\n")
    assert environment.starts() == HOOKED, "the older hook works with the newer kit"
    status = cczoo(environment.package, "--status", "--json").json
    assert (status["state"], status["current"]) == ("installed", False)
    assert cczoo(environment.package, "--json").json["changed"] is True
    assert "newer" in environment.hook.read_text()
    assert environment.starts() == HOOKED
    assert cczoo(environment.package, "--revert").code == 0
    assert without_byte_code(snapshot(environment.site)) == before


def install_as_kit_0_1_0(package: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what that kit left: another hook, and the real path of the package in it."""
    with monkeypatch.context() as older:
        older.setattr(hook_line, "SOURCE", hook_line.SOURCE + "older = True\n")
        older.setattr(hooked_package, "BESIDE", "")
        assert cczoo(package).code == 0


@pytest.mark.parametrize("then", ["install", "revert"])
def test_what_an_older_kit_installed(
    environment: Environment, cczoo: Run, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    stock = snapshot(environment.site)
    install_as_kit_0_1_0(environment.package, cczoo, monkeypatch)
    assert str(environment.package) in environment.hook.read_text()
    assert environment.starts() == HOOKED
    status = cczoo(environment.package, "--status", "--json").json
    assert (status["state"], status["current"]) == ("installed", False)
    if then == "install":
        assert cczoo(environment.package, "--json").json["changed"] is True
        assert environment.hook.read_bytes() == hook_line.hook_line([hook_line.BESIDE])
        assert environment.starts() == HOOKED
        assert cczoo(environment.package, "--status", "--json").json["current"] is True
    assert cczoo(environment.package, "--revert", "--json").json["changed"] is True
    assert without_byte_code(snapshot(environment.site)) == without_byte_code(stock)


def test_where_open_webui_is_gone_the_hook_can_be_taken_out(
    environment: Environment, cczoo: Run
) -> None:
    cczoo(environment.package)
    for theirs in (environment.package, *environment.site.glob("open_webui-*")):
        shutil.rmtree(theirs)
    write_files(environment.package, {"data/webui.db": "what they leave behind"})
    status = cczoo(environment.package, "--status", "--json").json
    assert (status["version"], status["state"]) == (None, "installed")
    assert "is gone" in cczoo(environment.package, "--status").out
    assert cczoo(environment.package, "--json").code == 3
    shutil.rmtree(environment.package)
    assert cczoo(environment.package, "--revert").code == 0
    assert not environment.hook.exists()
    assert not (environment.site / ".cczoo-install").exists()
    for option in ("--status", "--revert"):
        refused = cczoo(environment.package, option, "--json")
        assert (refused.code, refused.json["code"]) == (3, "not-open-webui")


# -- what is in the way --------------------------------------------------------------------------


def test_a_file_where_the_hook_goes_is_refused(environment: Environment, cczoo: Run) -> None:
    environment.hook.write_text("/mine\n")
    before = snapshot(environment.site)
    refused = cczoo(environment.package, "--json")
    assert (refused.code, refused.json["code"]) == (4, "local-edits")
    assert str(environment.hook) in refused.json["detail"]
    assert snapshot(environment.site) == before


def test_an_edited_hook_is_not_lost(environment: Environment, cczoo: Run) -> None:
    cczoo(environment.package)
    environment.hook.write_text("/mine\n")
    before = snapshot(environment.site)
    for options in ([], ["--revert"], ["--revert", "--dry-run"]):
        assert cczoo(environment.package, *options).code == 4
    assert cczoo(environment.package, "--status", "--json").json["state"] == "modified"
    assert snapshot(environment.site) == before
    environment.hook.unlink()
    assert cczoo(environment.package, "--json").json["changed"] is True
    assert environment.starts() == HOOKED


@pytest.mark.parametrize("top", ["the top", "its package"])
def test_a_source_tree_gets_patches(small_tree: Path, cczoo: Run, top: str) -> None:
    folder = small_tree / "backend/open_webui"
    write_files(folder, {"__init__.py": "", "utils/auth.py": ""})
    before = snapshot(small_tree)
    if top == "the top":
        assert cczoo(small_tree, "--no-build", "--json").json["way"] == "source"
        return
    refused = cczoo(folder, "--json")
    assert (refused.code, refused.json["code"]) == (2, "usage")
    assert f"name its top folder, {small_tree}." in refused.json["detail"]
    assert snapshot(small_tree) == before


@pytest.mark.parametrize("part", ["__init__.py", "main.py", "utils/auth.py", "METADATA"])
def test_what_is_no_open_webui(environment: Environment, cczoo: Run, part: str) -> None:
    (dist_info,) = environment.site.glob("open_webui-*")
    (dist_info if part == "METADATA" else environment.package).joinpath(part).unlink()
    before = snapshot(environment.site)
    for options in ([], ["--try"], ["--status"]):
        refused = cczoo(environment.package, *options, "--json")
        assert (refused.code, refused.json["code"]) == (3, "not-open-webui")
    assert snapshot(environment.site) == before


def test_the_top_of_a_container_image_names_the_package(tmp_path: Path, cczoo: Run) -> None:
    container_image(tmp_path / "app")
    refused = cczoo(tmp_path / "app")
    assert refused.code == 3
    assert "backend/open_webui" in refused.err


def test_links_in_a_ring(tmp_path: Path, cczoo: Run) -> None:
    (tmp_path / "open_webui").symlink_to(tmp_path / "ring")
    (tmp_path / "ring").symlink_to(tmp_path / "open_webui")
    assert cczoo(tmp_path / "open_webui").code == 3


def test_the_shipped_lists_are_used(environment: Environment, cczoo: Run) -> None:
    say_version(environment.site, "0.99.1")
    refused = cczoo(environment.package, with_patches=None).err
    assert ", ".join(editions.versions(editions.PLUGIN)) in refused
    found = cczoo(environment.package, "--try", "--json", with_patches=None).json["found"]
    places = [finding["what"] for finding in found if "place" in finding["what"]]
    shipped = json.loads((patchset.default_root() / "anchors.json").read_text("utf-8"))
    assert places == [f"a place for {place} in the page" for place in shipped["places"]]


def test_a_package_that_is_linked_into_site_packages(
    environment: Environment, cczoo: Run, tmp_path: Path
) -> None:
    environment.package.rename(tmp_path / "their_folder")
    environment.package.symlink_to(tmp_path / "their_folder")
    assert cczoo(environment.package).code == 0
    assert environment.hook.read_bytes() == hook_line.hook_line([hook_line.BESIDE])
    assert environment.starts() == HOOKED
    assert cczoo(environment.package, "--revert").code == 0


def test_packages_that_share_a_python_share_the_hook(
    environment: Environment, cczoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "our_site", lambda: environment.site)
    stock = snapshot(environment.site)
    here, there = environment.package, container_image(tmp_path / "app")
    gone = container_image(tmp_path / "gone")
    for each in (gone, here, there):
        assert cczoo(each, "--status", "--json").json["state"] == "not-installed"
        assert cczoo(each).code == 0
    paths = {"here": "", "there": str(there.parent), "gone": str(gone.parent)}
    assert all(environment.starts(PYTHONPATH=path) == HOOKED for path in paths.values())

    shutil.rmtree(tmp_path / "gone")
    reverted = cczoo(here, "--revert", "--json").json
    assert reverted["changed"] is True
    assert reverted["notes"] == [f"The hook stays for {there}."]
    assert environment.starts() == STOCK
    assert environment.starts(PYTHONPATH=paths["there"]) == HOOKED
    assert cczoo(here, "--status", "--json").json["state"] == "not-installed"
    assert cczoo(here, "--revert", "--json").json["changed"] is False
    assert cczoo(there, "--status", "--json").json["state"] == "installed"
    assert str(tmp_path / "gone") not in environment.hook.read_text()

    assert cczoo(there, "--revert").code == 0
    assert without_byte_code(snapshot(environment.site)) == without_byte_code(stock)


def moved(environment: Environment, to: Path) -> Environment:
    environment.python.parent.parent.rename(to)
    (site,) = to.glob("lib/python3*/site-packages")
    return Environment(to / "bin" / "python", site)


def test_an_environment_that_was_moved_keeps_its_hook(
    environment: Environment, cczoo: Run, tmp_path: Path
) -> None:
    cczoo(environment.package)
    there = moved(environment, tmp_path / "moved")
    assert there.starts() == HOOKED
    status = cczoo(there.package, "--status", "--json").json
    assert (status["state"], status["current"]) == ("installed", True)
    assert cczoo(there.package, "--json").json["changed"] is False
    assert cczoo(there.package, "--revert", "--json").json["changed"] is True
    assert there.starts() == STOCK


@pytest.mark.parametrize("then", ["install", "revert"])
def test_an_environment_that_was_moved_with_an_older_hook(
    environment: Environment,
    cczoo: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    """That hook is for a package in the old place: of no use, and nobody's."""
    install_as_kit_0_1_0(environment.package, cczoo, monkeypatch)
    there = moved(environment, tmp_path / "moved")
    assert there.starts() == STOCK
    assert cczoo(there.package, "--status", "--json").json["state"] == "not-installed"
    if then == "install":
        assert cczoo(there.package).code == 0
        assert there.starts() == HOOKED
        assert str(environment.site) not in there.hook.read_text()
    assert cczoo(there.package, "--revert", "--json").json["changed"] is True
    assert not there.hook.exists()
    assert not (there.site / ".cczoo-install").exists()


def test_our_own_site_is_that_of_this_python() -> None:
    assert package.our_site().is_relative_to(Path(sys.prefix).resolve())


def test_the_backend_double_keeps_the_contract() -> None:
    """What these tests stand on is what the kit has: a function of four arguments."""
    from cczoo_backend import hook

    assert hook.find_spec("json", None, None, "/nowhere") is None
    assert "def find_spec(name, path, target, package)" in BACKEND["hook.py"]

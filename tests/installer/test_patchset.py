"""The validator: patch sets that ship are listed, explained, thin, and do what they say."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from cczoo_installer import patchset, refresh, release, versions
from cczoo_installer.errors import BrokenPatchSet, UnsupportedVersion
from cczoo_installer.files import sha256_file
from installer_kit import HOOKED, HOOKED_LAST, HOOKED_TOO, VERSION, VERSIONS, git, make_patch

ROOT = patchset.default_root()


@dataclass(frozen=True)
class Shipped:
    """What ships for one version: its patches, and the tree and archive that they are for."""

    patches: patchset.PatchSet
    tree: Path
    archive: Path

    @property
    def originals(self) -> dict[str, bytes]:
        """The files that the patches edit, as upstream has them."""
        return {name: (self.tree / name).read_bytes() for name in self.patches.edited}

    def added_lines(self, name: str) -> list[str]:
        """What the patches add to one file."""
        (patch,) = (each for each in self.patches.patches if name in each.files)
        lines = patch.path.read_text().splitlines()
        return [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")]


@pytest.fixture(scope="module", params=versions.supported(ROOT, "source"))
def shipped(
    request: pytest.FixtureRequest,
    archive_of: Callable[[str], Path],
    pristine_of: Callable[[str], Path],
) -> Shipped:
    """Each version that has patches, one after the other."""
    version = request.param
    return Shipped(patchset.load(ROOT, version), pristine_of(version), archive_of(version))


def files_in(archive: Path) -> list[str]:
    """Every file of a source archive, by its path in the tree."""
    with tarfile.open(archive) as tar:
        return [member.name.partition("/")[2] for member in tar if member.isreg()]


@pytest.fixture(scope="module")
def upstream_files(archive_of: Callable[[str], Path]) -> list[str]:
    """The files of the version that the spoilt patch sets are for."""
    return files_in(archive_of(VERSION))


def test_versions_with_patches_are_those_of_the_list() -> None:
    with_patches = {path.parent.name for path in ROOT.glob("v*/upstream.json")}
    assert with_patches == {f"v{version}" for version in versions.supported(ROOT, "source")}


@pytest.mark.parametrize("text", [None, "", "[]", '{"versions": [1]}', '{"versions": [{}]}'])
def test_a_list_of_versions_that_cannot_be_read(patches: Path, text: str | None) -> None:
    (patches / "versions.json").unlink()
    if text is not None:
        (patches / "versions.json").write_text(text)
    with pytest.raises(BrokenPatchSet, match=r"versions\.json"):
        versions.supported(patches, "plugin")


def test_shipped_patch_set_keeps_the_rules(shipped: Shipped) -> None:
    assert patchset.problems(shipped.patches, files_in(shipped.archive)) == []


def test_pins_are_upstreams(shipped: Shipped) -> None:
    patches = shipped.patches
    assert patches.upstream == {name: sha256_file(shipped.tree / name) for name in patches.edited}
    assert patches.sdist_sha256 == sha256_file(shipped.archive)


def test_shipped_patches_apply_and_reverse_byte_for_byte(shipped: Shipped, tmp_path: Path) -> None:
    """Forward through our code, backward through plain git, as a packager would."""
    patches, originals = shipped.patches, shipped.originals
    patched = patches.patched(originals)
    assert all(patched[name] != originals[name] for name in patches.edited)
    work = tmp_path / "work"
    for name, content in patched.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    git(tmp_path, "init", "-q", "work")
    for patch in reversed(patches.patches):
        git(work, "apply", "--reverse", str(patch.path))
    assert {name: (work / name).read_bytes() for name in originals} == originals


def test_the_page_gains_places_only(shipped: Shipped) -> None:
    """No import, no component: what fills the places comes from cczoo_backend."""
    svelte = [name for name in shipped.patches.edited if name.endswith(".svelte")]
    added = [line.strip() for name in svelte for line in shipped.added_lines(name)]
    assert sorted(line for line in added if "data-tee-place" in line) == [
        '<div data-tee-place="badge"></div>',
        '<div data-tee-place="settings"></div>',
    ]
    assert [line for line in added if re.search(r"\bimport\b|<[A-Z]", line)] == []


@pytest.fixture(scope="module")
def patched_page(shipped: Shipped) -> dict[str, str]:
    """The Svelte sources of the page, with the patches."""
    sources = {
        path.relative_to(shipped.tree).as_posix(): path.read_bytes()
        for path in (shipped.tree / "src").rglob("*.svelte")
    }
    sources |= shipped.patches.patched(shipped.originals)
    return {name: text.decode() for name, text in sources.items() if name.endswith(".svelte")}


def test_no_frame_has_the_origin_of_the_page(patched_page: dict[str, str]) -> None:
    assert len(patched_page) > 100
    frames = [tag for text in patched_page.values() for tag in re.findall(r"<iframe\b[^>]*", text)]
    assert len(frames) >= 7
    assert [frame for frame in frames if "allow-same-origin" in frame] == []
    without = [frame for frame in frames if "sandbox=" not in frame]
    # Files as they are: PDFs, which no browser shows in a sandbox; the rest is no page.
    as_they_are = re.compile(r"/files/\$?\{[\w.]+\}/content[\"`]")
    assert [frame for frame in without if not as_they_are.search(frame)] == []


# What goes into the page as markup without being sanitised there, and is none of a model's.
OTHER_MARKUP = {
    "katex.renderToString(content, { displayMode, throwOnError: false })",
    "marked.parse(DOMPurify.sanitize(banner.content))",
    "marked.parse( sanitizeResponseContent(models[selectedModelIdx]?.info?.meta?.description) )",
    "html",  # DOMPurify.sanitize(token.text)
}


def test_nothing_goes_into_the_page_as_it_came(patched_page: dict[str, str]) -> None:
    """Each other piece of markup was looked at; the loader cleans it all once more."""
    found = {
        " ".join(markup.split())
        for text in patched_page.values()
        for markup in re.findall(r"\{@html\s+(.*?)\}\s*(?:$|<)", text, re.DOTALL | re.MULTILINE)
    }
    assert {markup for markup in found if not markup.startswith("DOMPurify.")} == OTHER_MARKUP


@pytest.mark.parametrize("kit", ["there", "missing", "broken"])
@pytest.mark.parametrize("sealed", [None, "Off", "required", "a typing error"])
def test_the_backend_hook(
    shipped: Shipped,
    kit: str,
    sealed: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It hands the application over; where that fails open-webui goes on, and logs it.

    Unless requests have to come sealed, which nobody else would see to.
    """
    monkeypatch.setattr(os, "environ", {} if sealed is None else {"TEE_SEALED": sealed})
    if kit != "missing":
        text = "installed = []\ndef install(app):\n    installed.append(app)\n"
        (tmp_path / "cczoo_backend.py").write_text(text if kit == "there" else "1 / 0\n")
    monkeypatch.setitem(sys.modules, "cczoo_backend", None)
    monkeypatch.delitem(sys.modules, "cczoo_backend")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    app, log = object(), logging.getLogger("open_webui.main")
    names = {"app": app, "log": log, "os": os}
    goes_on = kit == "there" or sealed in (None, "Off")
    with contextlib.nullcontext() if goes_on else pytest.raises((ImportError, ZeroDivisionError)):
        exec("\n".join(shipped.added_lines("backend/open_webui/main.py")), names)
    if kit == "there":
        assert sys.modules["cczoo_backend"].installed == [app]
        assert caplog.messages == []
    else:
        (message,) = caplog.messages
        assert "cczoo_backend is missing or broken" in message
        assert ("ZeroDivisionError" in message) == (kit == "broken")


def test_shipped_patches_are_what_a_refresh_writes(shipped: Shipped, tmp_path: Path) -> None:
    patches = shipped.patches
    edited = tmp_path / "edited"
    for name in ("package.json", "src/app.html", "backend/open_webui/main.py", *patches.edited):
        for tree in (edited, tmp_path / "pristine"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shipped.tree / name, tree / name)
    for name, content in patches.patched(shipped.originals).items():
        (edited / name).write_bytes(content)
    texts, remarks = refresh.Refresh(tmp_path / "pristine", edited, ROOT).files()
    assert remarks == []
    assert texts == {name: (patches.folder / name).read_text() for name in texts}
    # The list of the release is written with an archive alone: see test_install_released.py.
    assert texts.keys() == {path.name for path in patches.folder.iterdir()} - {release.LIST}


def test_package_data_holds_every_file(shipped: Shipped) -> None:
    """What the installer reads is under the package's folder, whose files all ship."""
    patches = shipped.patches
    package = Path(patchset.__file__).parent.parent / "patches"
    files = [patch.path for patch in patches.patches] + [
        ROOT / "versions.json",
        ROOT / "anchors.json",
    ]
    assert all(path.is_file() for path in files)
    assert all(path.resolve().is_relative_to(package.resolve()) for path in files)


def edit_upstream(root: Path, change: Callable[[dict[str, str]], object]) -> None:
    path = root / f"v{VERSION}" / "upstream.json"
    facts = json.loads(path.read_text())
    change(facts["files"])
    path.write_text(json.dumps(facts))


def spoil_unlisted(root: Path, pristine: Path) -> None:
    (root / f"v{VERSION}/series").write_text("0001-hook.patch\n")
    edit_upstream(root, lambda files: files.pop("src/app.html"))


def spoil_order(root: Path, pristine: Path) -> None:
    (root / f"v{VERSION}/series").write_text("0002-page.patch\n0001-hook.patch\n")


def spoil_header(root: Path, pristine: Path) -> None:
    patch = root / f"v{VERSION}/0001-hook.patch"
    patch.write_text(patch.read_text().replace("Why: To be tested.\n", ""))


def spoil_index_line(root: Path, pristine: Path) -> None:
    patch = root / f"v{VERSION}/0001-hook.patch"
    patch.write_text(patch.read_text().replace("--- a/", "--- a/x\n+++ b/x\nindex 12..34\n--- a/"))
    edit_upstream(root, lambda files: files.update({"x": "0"}))


def spoil_time_stamp(root: Path, pristine: Path) -> None:
    patch = root / f"v{VERSION}/0001-hook.patch"
    stamped = f"/{HOOKED}\t2026-01-01 00:00:00\n"
    patch.write_text(patch.read_text().replace(f"/{HOOKED}\n", stamped))


def spoil_pins(root: Path, pristine: Path) -> None:
    edit_upstream(root, lambda files: files.update({"README.md": "0"}))


def spoil_size(root: Path, pristine: Path) -> None:
    old = (pristine / HOOKED).read_bytes()
    new = old + b"x = 1\n" * (patchset.MAX_ADDED_LINES + 1)
    (root / f"v{VERSION}/0001-hook.patch").write_text(make_patch(HOOKED, old, new))


def spoil_build_settings(root: Path, pristine: Path) -> None:
    old = (pristine / "vite.config.ts").read_bytes()
    patch = make_patch("vite.config.ts", old, old + b"// more\n")
    (root / f"v{VERSION}/0004-vite.patch").write_text(patch)
    with (root / f"v{VERSION}/series").open("a") as series:
        series.write("0004-vite.patch\n")
    edit_upstream(root, lambda files: files.update({"vite.config.ts": "0"}))


def spoil_number_of_files(root: Path, pristine: Path) -> None:
    names = [path.relative_to(pristine).as_posix() for path in (pristine / "src/lib").glob("*.ts")]
    names += [f"{name}.more" for name in names] + [f"src/{n}.ts" for n in range(9)]
    diffs = [f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n" for name in sorted(names)]
    header = "Description: x\nWhy: x\nHow to test: x\n\n"
    (root / f"v{VERSION}/0004-many.patch").write_text(header + "".join(diffs))
    with (root / f"v{VERSION}/series").open("a") as series:
        series.write("0004-many.patch\n")
    edit_upstream(root, lambda files: files.update(dict.fromkeys(names, "0")))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_unlisted, "0002-page.patch is not in series"),
        (spoil_order, "series is not sorted"),
        (spoil_header, "the header lacks Why"),
        (spoil_index_line, "unexpected line 'index 12..34'"),
        (spoil_time_stamp, "time stamp"),
        (spoil_pins, "disagree about README.md"),
        (spoil_size, "lines added by patches, at most 60"),
        (spoil_build_settings, "vite.config.ts, which must stay upstream's"),
        (spoil_number_of_files, "existing files edited, at most 10"),
    ],
)
def test_the_validator_finds(
    patches: Path,
    pristine: Path,
    upstream_files: list[str],
    spoil: Callable[[Path, Path], None],
    complaint: str,
) -> None:
    assert patchset.problems(patchset.load(patches, VERSION), upstream_files) == []
    spoil(patches, pristine)
    found = patchset.problems(patchset.load(patches, VERSION), upstream_files)
    assert any(complaint in sentence for sentence in found), found


@pytest.mark.parametrize(
    "text",
    [
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x\n",
        "--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "--- a/x\n+++ b/y\n@@ -1 +1 @@\n-x\n+y\n",
        "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n-x\n+y\n",
        "--- a/x\n",
    ],
)
def test_patches_that_are_no_edits_are_refused(patches: Path, text: str) -> None:
    (patches / f"v{VERSION}/0001-hook.patch").write_text(text)
    with pytest.raises(BrokenPatchSet):
        patchset.load(patches, VERSION)


def test_a_patch_set_must_pin_what_it_edits(patches: Path) -> None:
    edit_upstream(patches, lambda files: files.pop(HOOKED))
    with pytest.raises(BrokenPatchSet, match=HOOKED):
        patchset.load(patches, VERSION)


def test_a_patch_without_its_place_is_refused(patches: Path, pristine: Path) -> None:
    loaded = patchset.load(patches, VERSION)
    contents = {name: (pristine / name).read_bytes() for name in loaded.edited}
    contents[HOOKED] = contents[HOOKED].replace(b"app.include_router", b"app.include")
    with pytest.raises(BrokenPatchSet, match="does not apply"):
        loaded.patched(contents)


def test_digest_follows_every_part(patches: Path) -> None:
    seen = {patchset.load(patches, VERSION).digest}
    for patch in patchset.load(patches, VERSION).patches:
        patch.path.write_text(patch.path.read_text().replace("probe", "another probe"))
        seen.add(patchset.load(patches, VERSION).digest)
    (patches / f"v{VERSION}/series").write_text("0001-hook.patch\n")
    seen.add(patchset.load(patches, VERSION).digest)
    assert len(seen) == 5
    (patches / f"v{VERSION}/notes.txt").write_text("no part of it")
    assert patchset.load(patches, VERSION).digest in seen


@pytest.mark.parametrize("version", ["0.5.19", f"{VERSION}/..", "..", "", f"{VERSION}\x1b"])
def test_unknown_versions(version: str) -> None:
    with pytest.raises(UnsupportedVersion):
        patchset.load(ROOT, version)


def test_refresh_loop(
    patches: Path, pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Edit, refresh, apply: what comes out is what was edited; a second refresh is quiet."""
    names = ["package.json", HOOKED, "src/app.html", HOOKED_LAST, "src/lib/index.ts"]
    for tree in ("pristine", "edited"):
        for name in names:
            (tmp_path / tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pristine / name, tmp_path / tree / name)
    edited = tmp_path / "edited"
    (edited / HOOKED).write_bytes((edited / HOOKED).read_bytes() + b"# no end of line")
    (edited / "src/lib/index.ts").write_bytes(b"// first\n" + (edited / names[-1]).read_bytes())
    (edited / "src/lib/new.ts").write_text("// new\n")
    argv = ["--pristine", str(tmp_path / "pristine"), "--edited", str(edited)]
    argv += ["--patches", str(patches)]

    assert refresh.main(argv) == 2, "an edit that no patch names"
    argv += ["--assign", "src/lib/index.ts=0004-index.patch"]
    assert refresh.main([*argv, "--check"]) == 1
    assert not (patches / f"v{VERSION}/0004-index.patch").exists()
    capsys.readouterr()
    assert refresh.main(argv) == 0
    assert "src/lib/new.ts is new and was left out" in capsys.readouterr().out
    assert refresh.main([*argv, "--check"]) == 0
    assert not (patches / f"v{VERSION}/0002-page.patch").exists(), "its edit is gone"

    loaded = patchset.load(patches, VERSION)
    assert loaded.edited == (HOOKED, "src/lib/index.ts")
    assert loaded.patches[0].fields["Why"] == "To be tested."
    result = loaded.patched({name: (pristine / name).read_bytes() for name in loaded.edited})
    assert result == {name: (edited / name).read_bytes() for name in loaded.edited}


def test_refresh_refuses_removed_files(patches: Path, pristine: Path, tmp_path: Path) -> None:
    for tree in ("pristine", "edited"):
        for name in ("package.json", HOOKED, "src/app.html"):
            (tmp_path / tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pristine / name, tmp_path / tree / name)
    (tmp_path / "edited/src/app.html").unlink()
    argv = ["--pristine", str(tmp_path / "pristine"), "--edited", str(tmp_path / "edited")]
    assert refresh.main([*argv, "--patches", str(patches)]) == 2


def test_patches_apply_with_plain_patch_too(shipped: Shipped, tmp_path: Path) -> None:
    """Somebody without our tools gets the same result."""
    if shutil.which("patch") is None:
        pytest.skip("patch(1) is not installed")
    patches, originals = shipped.patches, shipped.originals
    for name, content in originals.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for patch in patches.patches:
        command = ["patch", "--strip=1", "--input", str(patch.path)]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert {name: (tmp_path / name).read_bytes() for name in originals} == patches.patched(
        originals
    )


def test_porting_to_a_new_version(patches: Path, pristine: Path, tmp_path: Path) -> None:
    """The steps of docs/porting.md: a new version gets its own folder and pins."""
    for tree in ("pristine", "edited"):
        for name in (HOOKED, HOOKED_TOO, HOOKED_LAST):
            (tmp_path / tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / tree / name).write_bytes(b"# moved\n" * 30 + (pristine / name).read_bytes())
        package = {"name": "open-webui", "version": "9.9.9"}
        (tmp_path / tree / "package.json").write_text(json.dumps(package))
    archive = tmp_path / "open_webui-9.9.9.tar.gz"
    archive.write_bytes(b"an archive")
    older, newer = patches / f"v{VERSION}", patches / "v9.9.9"
    shutil.copytree(older, newer)
    (newer / "upstream.json").unlink()
    for patch in patchset.load(patches, VERSION).patches:
        edited = tmp_path / "edited" / patch.files[0]
        edited.write_bytes(edited.read_bytes() + b"# hooked\n")
    argv = ["--pristine", str(tmp_path / "pristine"), "--edited", str(tmp_path / "edited")]
    argv += ["--patches", str(patches)]
    assert refresh.main(argv) == 2, "without the archive there is no hash to pin"
    assert refresh.main([*argv, "--sdist", str(archive)]) == 0
    with pytest.raises(UnsupportedVersion):
        patchset.load(patches, "9.9.9")
    more = [*VERSIONS["versions"], {"version": "9.9.9", "ways": ["source"]}]
    (patches / "versions.json").write_text(json.dumps({"versions": more}))
    ported = patchset.load(patches, "9.9.9")
    assert ported.sdist_sha256 == sha256_file(archive)
    assert release.differences(tmp_path / "pristine", release.read(newer / release.LIST), {}) == []
    assert ported.upstream == {
        name: sha256_file(tmp_path / "pristine" / name)
        for name in (HOOKED, HOOKED_TOO, HOOKED_LAST)
    }
    assert [patch.header for patch in ported.patches] == [
        patch.header for patch in patchset.load(patches, VERSION).patches
    ]

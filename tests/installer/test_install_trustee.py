"""`--trustee-dir`: on trees of the touched lines, and on a real Trustee where one is at hand.

A run that is killed, out of disk, locked out or not allowed to write is in test_install_stopped,
for Trustee as for open-webui. `TRUSTEE_SRC` names a git repository of Trustee, with its tags.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import patchset
from cczoo_installer.__main__ import main
from cczoo_installer.files import MAX_CHANGED, sha256_bytes, sha256_file
from installer_kit import Case, Ran, Snapshot, git, snapshot
from trustee_kit import (
    MARK,
    SERVICE,
    SHIPPED,
    VERSIONS,
    all_lines,
    make_case,
    make_tree,
)

Run = Callable[..., Ran]
Command = Callable[..., list[str]]

TRUSTEE_SRC = os.environ.get("TRUSTEE_SRC")
VERBS = ([], ["--status"], ["--revert"], ["--dry-run"], ["--revert", "--dry-run"])
# What the patches made of the real files, by hash, and of which diffs that was seen.
TRIED = json.loads(Path(__file__).with_name("trustee_tried.json").read_text())


@pytest.fixture(params=VERSIONS)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Case]:
    """Each version that has patches, with a tree of it."""
    return request.param, make_case(tmp_path, request.param)


def pinned(case: Case, version: str) -> dict[str, str]:
    facts = json.loads((case.patches / f"v{version}/upstream.json").read_text())
    return dict(facts["files"])


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """What differs between two snapshots, without the journal's folder."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {name for name in names if not name.startswith(".cczoo-install")}


# -- what ships ---------------------------------------------------------------------------------


def test_versions_with_patches_are_those_of_the_list() -> None:
    assert {path.parent.name for path in SHIPPED.glob("v*/series")} == {f"v{v}" for v in VERSIONS}
    assert len(VERSIONS) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_shipped_patch_set_keeps_the_rules(version: str) -> None:
    patches = patchset.load(SHIPPED, version)
    assert patches.version == json.loads((patches.folder / "upstream.json").read_text())["version"]
    assert patchset.problems(patches, patches.upstream) == []
    assert patches.sdist_sha256 is None


def test_each_version_is_told_by_files_that_no_patch_edits() -> None:
    sets = [patchset.load(SHIPPED, version) for version in VERSIONS]
    assert all(each.told_by and not each.told_by.keys() & each.upstream.keys() for each in sets)
    assert len({tuple(sorted(each.told_by.items())) for each in sets}) == len(sets)


def diffs_of(version: str) -> str:
    """Return the SHA-256 of a patch set without its headers: of what it does, not of why."""
    patches = patchset.load(SHIPPED, version).patches
    return sha256_bytes("".join(p.path.read_text()[len(p.header) :] for p in patches).encode())


def test_what_ships_was_tried_on_the_real_files() -> None:
    """A changed patch goes back to a real Trustee: see test_on_a_real_trustee."""
    assert {version: tried["diffs"] for version, tried in TRIED.items()} == {
        version: diffs_of(version) for version in VERSIONS
    }


# -- installing, looking, taking back -----------------------------------------------------------


def test_install_and_revert(each: tuple[str, Case], cczoo: Run) -> None:
    version, case = each
    stock = snapshot(case.root)
    assert {name: sha256_file(case.root / name) for name in pinned(case, version)} == pinned(
        case, version
    )

    planned = cczoo(case, "--dry-run")
    assert snapshot(case.root) == stock
    done = cczoo(case, "--json")
    assert done.code == 0
    assert set(done.json["edited"]) == {line.file for line in all_lines(version)}
    installed = snapshot(case.root)
    assert changed(stock, installed) == set(done.json["edited"])
    assert all(f"would change {name}\n" in planned.out for name in done.json["edited"])
    assert installed[SERVICE][1] == stock[SERVICE][1] == 0o640

    status = cczoo(case, "--status", "--json").json
    assert (status["program"], status["version"]) == ("Trustee", version)
    assert (status["state"], status["supported"], status["current"]) == ("installed", True, True)
    assert (status["way"], status["build"], status["hook"]) == ("source", None, None)
    again = cczoo(case)
    assert "already installed; nothing to do" in again.out
    assert snapshot(case.root) == installed

    assert cczoo(case, "--revert", "--json").json["changed"] is True
    assert snapshot(case.root) == stock
    assert cczoo(case, "--revert", "--json").json["changed"] is False


def test_every_line_is_where_the_patch_has_it(each: tuple[str, Case], cczoo: Run) -> None:
    """No patch slips: each line of it, and each line of filling, is where it belongs."""
    version, case = each
    stock = {name: (case.root / name).read_text() for name in pinned(case, version)}
    assert cczoo(case).code == 0
    for name, text in stock.items():
        now = (case.root / name).read_text().splitlines()
        ours = {line.after: line.text for line in all_lines(version) if line.file == name}
        ours.pop(None, None)
        assert {number: now[number - 1] for number in ours if number} == ours
        old = [line for line in text.splitlines() if line.startswith("filling")]
        assert [line for line in now if line.startswith("filling")] == old
        assert len(now) == len(ours) + len(old)


def test_plain_git_takes_the_patches_back(each: tuple[str, Case], cczoo: Run) -> None:
    """Forward through our code, backward as somebody without it would."""
    version, case = each
    stock = {name: (case.root / name).read_bytes() for name in pinned(case, version)}
    assert cczoo(case).code == 0
    git(case.root, "init", "-q")
    for patch in reversed(patchset.load(case.patches, version).patches):
        git(case.root, "apply", "--reverse", str(patch.path))
    assert {name: (case.root / name).read_bytes() for name in stock} == stock


def test_only_attestation_and_keys_get_cors() -> None:
    """The routes that get CORS, by the lines of the patches: never the one for policies."""
    wrapped = {
        version: [
            before.text.split("WebApi::")[1].split(".")[0]
            for before, line in zip(all_lines(version), all_lines(version)[1:], strict=False)
            if line.after and line.text.strip().startswith(".wrap(")
        ]
        for version in VERSIONS
    }
    assert wrapped == {"0.13.0": ["Attestation"], "0.21.0": ["Attestation", "Jwks"]}


def test_the_lock_file_gains_one_package_and_moves_none() -> None:
    lock = [line for line in all_lines("0.13.0") if line.file == "Cargo.lock"]
    assert all(line.after is not None for line in lock)
    new = [line.text for line in lock if line.before is None]
    assert [text for text in new if text.startswith("name =")] == ['name = "actix-cors"']
    assert new.count(' "actix-cors",') == 1
    assert "Cargo.lock" not in {line.file for line in all_lines("0.21.0")}


def test_what_is_taken_back_is_newer_than_what_was_built_of_it(trustee: Case, cczoo: Run) -> None:
    """Or cargo, which goes by dates, would call the patched binary fresh."""
    os.utime(trustee.root / SERVICE, (1, 1))
    cczoo(trustee)
    patched = (trustee.root / SERVICE).stat().st_mtime_ns
    cczoo(trustee, "--revert")
    assert (trustee.root / SERVICE).stat().st_mtime_ns > patched


def test_what_is_said(trustee: Case, cczoo: Run) -> None:
    done = cczoo(trustee)
    assert "installed; 3 files changed." in done.out
    # A debug build of v0.13.0 does not start, and neither version verifies TDX by default.
    assert "for release, with the features restful-bin and tdx-verifier" in done.out
    assert "--allowed_origin" in done.out
    assert "pip install" not in done.out
    status = cczoo(trustee, "--status").out
    assert f"Trustee {VERSIONS[0]}\n" in status
    assert "front end" not in status
    assert "reverted; 3 files restored." in cczoo(trustee, "--revert").out


def test_a_newer_patch_set_replaces_the_older_one(trustee: Case, cczoo: Run) -> None:
    stock = snapshot(trustee.root)
    cczoo(trustee)
    (patch,) = (trustee.patches / f"v{VERSIONS[0]}").glob("*.patch")
    patch.write_text(patch.read_text().replace("max_age(86400)", "max_age(3600)"))
    status = cczoo(trustee, "--status", "--json").json
    assert (status["state"], status["current"]) == ("installed", False)
    done = cczoo(trustee)
    assert "Replaces what kit" in done.out
    assert "max_age(3600)" in (trustee.root / SERVICE).read_text()
    assert cczoo(trustee, "--revert").code == 0
    assert snapshot(trustee.root) == stock


def test_checkout(trustee: Case, cczoo: Run) -> None:
    git(trustee.root, "init", "-q", "-b", "main")
    git(trustee.root, "add", "-A")
    git(trustee.root, "commit", "-q", "-m", "Everything")
    git(trustee.root, "tag", f"v{VERSIONS[0]}")
    assert cczoo(trustee).code == 0
    status = cczoo(trustee, "--status", "--json").json
    assert status["tag"] == f"v{VERSIONS[0]}"
    changes = git(trustee.root, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert sorted(changes) == sorted(f" M {name}" for name in pinned(trustee, VERSIONS[0]))
    assert cczoo(trustee, "--revert").code == 0
    assert git(trustee.root, "status", "--porcelain", "--untracked-files=all") == ""

    (trustee.root / SERVICE).write_text("mine\n")
    assert f"git checkout v{VERSIONS[0]} -- FILE" in cczoo(trustee).err


# -- what is refused, with nothing changed ------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--openwebui-dir", "."],
        ["--fetch", "0.13.0"],
        ["--no-build"],
        ["--try"],
        ["--status", "--revert"],
        ["--status", "--dry-run"],
        ["--status", "--no-build"],
        ["--revert", "--try"],
        ["--revert", "--rebuild"],
    ],
)
def test_usage(trustee: Case, cczoo: Run, options: list[str]) -> None:
    before = snapshot(trustee.root)
    refused = cczoo(trustee, *options, "--json")
    assert (refused.code, refused.json["code"]) == (2, "usage")
    assert snapshot(trustee.root) == before


def test_neither_folder_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--status"]) == 2
    said = capsys.readouterr().err
    assert "--openwebui-dir" in said
    assert "--trustee-dir" in said


def refused_as_no_trustee(folder: Path, case: Case, cczoo: Run, word: str) -> None:
    """Every verb answers that it is none, says `word`, and leaves all as it is."""
    before = snapshot(folder.parent)
    other = Case(folder, folder, case.patches, SERVICE, name=case.name)
    for verb in VERBS:
        refused = cczoo(other, *verb, "--json")
        assert (refused.code, refused.json["code"]) == (3, "not-trustee")
        assert word in refused.json["detail"]
        assert not set("\x1b\x07") & set(refused.out + refused.err)
    assert snapshot(folder.parent) == before


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "Cargo.toml"),
        (b"", "workspace"),
        (b"[workspace", "Cargo.toml"),
        (b"\xff\xfe\x00", "Cargo.toml"),
        (b'[package]\nname = "other"\n', "workspace"),
        (b"[workspace]\nmembers = 5\n", "Cargo.toml"),
        (b"[workspace]\nmembers = [{}]\n", "Cargo.toml"),
        (b'[workspace]\nmembers = ["server", "client"]\n', "attestation-service, kbs"),
        (b'[workspace]\nmembers = ["kbs", "attestation-service"]\n', "attestation-service"),
        (b"a = " + b"[" * 200_000, "Cargo.toml"),
        (b"#" * (2 << 20), "absurdly large"),
        (b'"\x1b]0;owned\x07" = ', "Cargo.toml"),
    ],
)
def test_not_a_trustee(
    tmp_path: Path, trustee: Case, cczoo: Run, content: bytes | None, word: str
) -> None:
    folder = tmp_path / "something"
    (folder / "kbs").mkdir(parents=True)
    if content is not None:
        (folder / "Cargo.toml").write_bytes(content)
    refused_as_no_trustee(folder, trustee, cczoo, word)


@pytest.mark.parametrize("manifest", ["Cargo.toml", "package.json"])
def test_a_pipe_in_the_place_of_a_manifest(
    trustee: Case, child_command: Command, tmp_path: Path, manifest: str
) -> None:
    """It is not waited for: nobody may ever write to it."""
    folder = tmp_path / "something"
    folder.mkdir()
    os.mkfifo(folder / manifest)
    name = trustee.name if manifest == "Cargo.toml" else "--openwebui-dir"
    case = Case(folder, folder, trustee.patches, SERVICE, name=name)
    done = subprocess.run(
        child_command(case, "--status"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "no regular file" in done.stderr


def test_missing_empty_and_file(tmp_path: Path, trustee: Case, cczoo: Run) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, word in (("missing", "not exist"), ("empty", "is empty"), ("file", "not a folder")):
        refused_as_no_trustee(tmp_path / name, trustee, cczoo, word)
    assert not (tmp_path / "missing").exists()


def test_the_one_in_place_of_the_other(trustee: Case, cczoo: Run, small_tree: Path) -> None:
    refused_as_no_trustee(small_tree, trustee, cczoo, "--openwebui-dir")
    before = snapshot(trustee.root)
    for verb in VERBS:
        refused = cczoo(trustee.root, *verb, "--json")
        assert (refused.code, refused.json["code"]) == (3, "not-open-webui")
        assert "--trustee-dir" in refused.json["detail"]
    assert snapshot(trustee.root) == before


def test_an_unknown_version(trustee: Case, cczoo: Run) -> None:
    (trustee.root / MARK).write_text("# The key broker of a release to come.\n")
    git(trustee.root, "init", "-q", "-b", "main")
    git(trustee.root, "add", "-A")
    git(trustee.root, "commit", "-q", "-m", "Everything")
    git(trustee.root, "tag", "v0.99.0")
    before = snapshot(trustee.root)
    for verb in ([], ["--dry-run"]):
        refused = cczoo(trustee, *verb, "--json")
        assert (refused.code, refused.json["code"]) == (3, "unsupported-version")
        assert ", ".join(VERSIONS) in refused.json["detail"]
        assert "v0.99.0" in refused.json["detail"]
    status = cczoo(trustee, "--status", "--json").json
    assert (status["version"], status["supported"]) == (None, False)
    assert "unknown version" in cczoo(trustee, "--status").out
    assert cczoo(trustee, "--revert", "--json").json["changed"] is False
    assert snapshot(trustee.root) == before


@pytest.mark.parametrize("spoil", ["edit", "delete", "line-ends", "half-applied", "folder"])
def test_a_local_edit_is_refused(each: tuple[str, Case], cczoo: Run, spoil: str) -> None:
    """Also one that somebody made with a part of the very patch: it is not ours to take back."""
    version, case = each
    victim = case.root / SERVICE
    if spoil == "edit":
        victim.write_text(victim.read_text() + "// mine\n")
    elif spoil == "line-ends":
        victim.write_bytes(victim.read_bytes().replace(b"\n", b"\r\n"))
    elif spoil == "half-applied":
        git(case.root, "init", "-q")
        (patch,) = patchset.load(case.patches, version).patches
        if patch.files == (SERVICE,):
            pytest.skip("this version's patch has no parts: see test_install_unrecorded.py")
        git(case.root, "apply", f"--include={SERVICE}", str(patch.path))
    else:
        victim.unlink()
        if spoil == "folder":
            victim.mkdir()
    before = snapshot(case.root)
    for verb in ([], ["--dry-run"]):
        refused = cczoo(case, *verb, "--json")
        assert (refused.code, refused.json["code"]) == (4, "local-edits")
        assert f"Not as Trustee {version} ships it: {SERVICE}." in refused.json["detail"]
    assert snapshot(case.root) == before


@pytest.mark.parametrize("name", [SERVICE, MARK])
def test_a_huge_file_is_not_read(
    trustee: Case, child_command: Command, tmp_path: Path, name: str
) -> None:
    """Four terabytes, all of them holes: who reads them is still at it tomorrow."""
    (trustee.root / name).unlink()
    with (trustee.root / name).open("wb") as stream:
        stream.truncate(1 << 42)
    assert (trustee.root / name).stat().st_size > MAX_CHANGED
    done = subprocess.run(
        child_command(trustee), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == (4 if name == SERVICE else 3), done.stderr
    assert name in done.stderr
    assert not (trustee.root / ".cczoo-install").exists()


@pytest.mark.parametrize("place", [SERVICE, "attestation-service", "Cargo.lock"])
def test_links_that_lead_out_of_the_tree_are_refused(
    trustee: Case, cczoo: Run, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    shutil.move(trustee.root / place, outside)
    (trustee.root / place).symlink_to(outside)
    before = snapshot(tmp_path)
    refused = cczoo(trustee, "--json")
    assert (refused.code, refused.json["code"]) == (4, "local-edits")
    assert "symbolic link" in refused.json["detail"]
    assert snapshot(tmp_path) == before


def test_a_link_to_the_tree_is_the_tree(trustee: Case, cczoo: Run, tmp_path: Path) -> None:
    stock = snapshot(trustee.root)
    link = tmp_path / "link"
    link.symlink_to(trustee.root)
    through = Case(link, link, trustee.patches, SERVICE, name=trustee.name)
    assert cczoo(through).code == 0
    assert cczoo(trustee, "--status", "--json").json["state"] == "installed"
    assert cczoo(through, "--revert").code == 0
    assert snapshot(trustee.root) == stock


# -- what happens to a tree once it is patched ----------------------------------------------------


def test_an_edit_of_a_patched_file_is_never_lost(trustee: Case, cczoo: Run) -> None:
    stock = snapshot(trustee.root)
    cczoo(trustee)
    ours, mine = trustee.root / SERVICE, trustee.root / f"{SERVICE}.mine"
    ours.write_text("// mine\n")
    before = snapshot(trustee.root)
    for verb in (["--revert"], ["--revert", "--dry-run"], []):
        refused = cczoo(trustee, *verb)
        assert refused.code == 4
        assert SERVICE in refused.err
    assert snapshot(trustee.root) == before
    status = cczoo(trustee, "--status", "--json").json
    assert (status["state"], status["modified"]) == ("modified", [SERVICE])

    ours.rename(mine)  # the way out that the message names
    assert cczoo(trustee, "--revert").code == 0
    assert mine.read_text() == "// mine\n"
    mine.unlink()
    assert snapshot(trustee.root) == stock


def test_a_version_that_cannot_be_told_any_more_is_taken_back(trustee: Case, cczoo: Run) -> None:
    stock = snapshot(trustee.root)
    told = (trustee.root / MARK).read_text()
    cczoo(trustee)
    (trustee.root / MARK).write_text(f"{told}# mine\n")
    status = cczoo(trustee, "--status", "--json").json
    assert (status["state"], status["version"], status["current"]) == ("installed", None, None)
    assert "would replace it" not in cczoo(trustee, "--status").out
    assert cczoo(trustee).code == 3
    assert cczoo(trustee, "--revert").code == 0
    (trustee.root / MARK).write_text(told)
    assert snapshot(trustee.root) == stock


def test_another_version_under_the_installation(trustee: Case, cczoo: Run, tmp_path: Path) -> None:
    cczoo(trustee)
    newer = make_tree(tmp_path / "newer", VERSIONS[-1])
    shutil.copytree(newer, trustee.root, dirs_exist_ok=True)
    before = snapshot(trustee.root)
    for verb in ([], ["--dry-run"], ["--revert"], ["--revert", "--dry-run"]):
        refused = cczoo(trustee, *verb)
        assert refused.code == 4
        assert f"installed into Trustee {VERSIONS[0]}" in refused.err
        assert f"is Trustee {VERSIONS[-1]} now" in refused.err
    assert snapshot(trustee.root) == before


def test_a_record_of_another_program_is_not_taken_back(trustee: Case, cczoo: Run) -> None:
    cczoo(trustee)
    path = trustee.root / ".cczoo-install/applied/record.json"
    record = json.loads(path.read_text())
    assert (record["program"], record["version"]) == ("Trustee", VERSIONS[0])
    path.write_text(json.dumps(record | {"program": "open-webui"}))
    before = snapshot(trustee.root)
    refused = cczoo(trustee, "--revert")
    assert refused.code == 4
    assert "installed into open-webui" in refused.err
    assert snapshot(trustee.root) == before


def test_a_damaged_original_is_never_put_back(trustee: Case, cczoo: Run) -> None:
    cczoo(trustee)
    (trustee.root / ".cczoo-install/applied/old" / SERVICE).write_text("rotten")
    before = snapshot(trustee.root)
    refused = cczoo(trustee, "--revert")
    assert refused.code == 6
    assert SERVICE in refused.err
    assert snapshot(trustee.root) == before


# -- the real one -------------------------------------------------------------------------------

real = pytest.mark.skipif(not TRUSTEE_SRC, reason="TRUSTEE_SRC names no repository of Trustee")


def checkout_of(version: str, folder: Path) -> Path:
    """A real checkout of one release."""
    git(folder.parent, "clone", "-q", "--shared", "--no-checkout", str(TRUSTEE_SRC), folder.name)
    git(folder, "checkout", "-q", f"v{version}")
    return folder


@real
@pytest.mark.parametrize("version", VERSIONS)
def test_on_a_real_trustee(version: str, tmp_path: Path, cczoo: Run) -> None:
    """Put what this finds into trustee_tried.json after a patch was changed."""
    tree = checkout_of(version, tmp_path / "trustee")
    case = Case(tree, tree, SHIPPED, SERVICE, name="--trustee-dir")
    stock = snapshot(tree / "attestation-service")
    assert cczoo(case).code == 0
    status = cczoo(case, "--status", "--json").json
    assert (status["version"], status["tag"]) == (version, f"v{version}")
    edited = patchset.load(SHIPPED, version).edited
    found = {"diffs": diffs_of(version), "files": {n: sha256_file(tree / n) for n in edited}}
    assert found == TRIED[version]
    # Each line of a patch is on the real file's very line: nothing was shifted.
    for name in edited:
        now = (tree / name).read_text().splitlines()
        ours = [line for line in all_lines(version) if line.file == name and line.after]
        assert [now[(line.after or 0) - 1] for line in ours] == [line.text for line in ours]
    assert cczoo(case, "--revert").code == 0
    assert git(tree, "status", "--porcelain", "--untracked-files=all") == ""
    assert snapshot(tree / "attestation-service") == stock


@real
@pytest.mark.parametrize("version", VERSIONS)
def test_on_a_real_archive(version: str, tmp_path: Path, cczoo: Run) -> None:
    """An unpacked archive has no tag that could tell its version."""
    tree = checkout_of(version, tmp_path / "trustee")
    shutil.rmtree(tree / ".git")
    case = Case(tree, tree, SHIPPED, SERVICE, name="--trustee-dir")
    before = snapshot(tree)
    assert cczoo(case, "--json").json["changed"] is True
    assert cczoo(case, "--status", "--json").json["version"] == version
    assert cczoo(case, "--revert").code == 0
    assert snapshot(tree) == before


@real
def test_no_other_real_release_is_taken_for_one_of_ours(tmp_path: Path) -> None:
    tree = checkout_of(VERSIONS[0], tmp_path / "trustee")
    told = {}
    for tag in git(tree, "tag", "--list", "v*").split():
        listed = git(tree, "ls-tree", "--name-only", tag, MARK)
        if listed:
            git(tree, "checkout", "-q", "--force", tag)
            told[tag] = patchset.told_version(SHIPPED, tree)
    assert {tag: version for tag, version in told.items() if version} == {
        f"v{version}": version for version in VERSIONS
    }

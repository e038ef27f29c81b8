"""root on a tree that is somebody else's: works as that user, and leaves what that user can use."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from installer_kit import Case, Environment, FakeTools, needs_root, snapshot, write_files

pytestmark = needs_root

Command = Callable[..., list[str]]
UID, GID = 4711, 4712
NOBODY = 65534

# Everything here lies where only root can look. So whoever root becomes keeps the right to read,
# and no other one.
MAY_READ = [
    "setpriv",
    "--securebits=+no_setuid_fixup",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
    "--bounding-set=-all,+dac_read_search,+setuid,+setgid,+setpcap",
]


WITH_OUR_PACKAGES = """
import runpy, site, sys
site.addsitedir(sys.argv[1])
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def give_away(folder: Path, uid: int = UID, gid: int = GID) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, uid, gid, follow_symlinks=False)


def owners(folder: Path) -> set[tuple[int, int]]:
    """Everybody who owns something in a folder, or the folder."""
    found = [path.lstat() for path in [folder, *folder.rglob("*")]]
    return {(status.st_uid, status.st_gid) for status in found}


@pytest.fixture
def as_root(child_command: Command) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as root, as sudo does."""

    def run(where: Path | Case, *options: str) -> subprocess.CompletedProcess[str]:
        command = child_command(where, *options, do="step-down")
        return subprocess.run(
            [*MAY_READ, *command], capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def as_owner(child_command: Command) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as the tree's owner."""
    to_user = [f"--reuid={UID}", f"--regid={GID}", "--clear-groups"]

    def run(where: Path | Case, *options: str) -> subprocess.CompletedProcess[str]:
        command = [*MAY_READ, *to_user, *child_command(where, *options)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_what_root_installs_is_the_owners_to_take_back(
    small_tree: Path,
    as_root: Callable[..., subprocess.CompletedProcess[str]],
    as_owner: Callable[..., subprocess.CompletedProcess[str]],
    cache: Path,
    fake_tools: FakeTools,
) -> None:
    write_files(small_tree, {"build/index.html": "the user's own front end"})
    cache.mkdir()
    give_away(small_tree)
    give_away(cache)
    give_away(fake_tools.folder)
    fake_tools.log.touch()
    fake_tools.log.with_suffix(".env").touch()
    give_away(fake_tools.log)
    give_away(fake_tools.log.with_suffix(".env"))
    before = snapshot(small_tree)

    done = as_root(small_tree)
    assert done.returncode == 0, done.stderr
    assert f"Going on as {UID}, who owns {small_tree}: nothing of it runs as root." in done.stderr
    assert owners(small_tree) == {(UID, GID)}
    assert owners(cache) == {(UID, GID)}
    environments = fake_tools.log.with_suffix(".env").read_text()
    assert "HOME=/nonexistent\n" in environments
    assert "HOME=/root" not in environments
    ran_as = {line for line in environments.splitlines() if line.startswith("RAN_AS=")}
    assert ran_as == {f"RAN_AS={UID}"}

    taken_back = as_owner(small_tree, "--revert")
    assert taken_back.returncode == 0, taken_back.stderr
    assert snapshot(small_tree) == before


def test_a_user_with_an_account_gets_that_ones_home_and_cache(
    small_tree: Path,
    as_root: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
) -> None:
    give_away(small_tree, NOBODY, NOBODY)
    monkeypatch.setenv("XDG_CACHE_HOME", "/root/.cache")
    done = as_root(small_tree, "--no-build")
    assert done.returncode == 0, done.stderr
    assert "Going on as nobody" in done.stderr
    assert owners(small_tree) == {(NOBODY, NOBODY)}


def test_links_of_the_owner_lead_root_nowhere(
    small_tree: Path,
    as_root: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    """The owner's journal folder holds a link to a file of root's, which we would write."""
    precious = tmp_path / "precious"
    precious.write_text("root's\n")
    (small_tree / ".cczoo-install").mkdir()
    (small_tree / ".cczoo-install/.gitignore").symlink_to(precious)
    give_away(small_tree)
    done = as_root(small_tree, "--no-build")
    assert done.returncode == 0, done.stderr
    assert precious.read_text() == "root's\n"
    assert precious.stat().st_uid == 0
    assert owners(small_tree) == {(UID, GID)}


def test_an_older_journal_of_roots_is_named_with_its_cure(
    small_tree: Path,
    as_root: Callable[..., subprocess.CompletedProcess[str]],
    as_owner: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert as_root(small_tree, "--no-build").returncode == 0  # it is root's own: nobody steps down
    give_away(small_tree)
    home = small_tree / ".cczoo-install"
    give_away(home, 0, 0)
    before = snapshot(small_tree)
    for run in (as_root, as_owner):
        refused = run(small_tree, "--revert")
        assert refused.returncode == 6
        assert f"`sudo chown -R {UID} {home}`" in refused.stderr
    assert snapshot(small_tree) == before
    give_away(home)
    assert as_owner(small_tree, "--revert").returncode == 0


def test_a_folder_to_be_is_its_parents_owners(
    tmp_path: Path, as_root: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    give_away(home)
    refused = as_root(home / "tree", "--no-build")
    assert refused.returncode == 3
    assert f"Going on as {UID}, who owns {home}" in refused.stderr


def test_a_hook_is_the_work_of_whoever_owns_its_folder(
    environment: Environment, as_root: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As in a container: the package is a user's, and the folder that gets the hook is root's."""
    give_away(environment.package)
    done = as_root(environment.package)
    assert done.returncode == 0, done.stderr
    assert "Going on as" not in done.stderr
    assert environment.hook.stat().st_uid == 0
    assert as_root(environment.package, "--revert").returncode == 0
    give_away(environment.site)
    done = as_root(environment.package)
    assert done.returncode == 0, done.stderr
    assert f"Going on as {UID}, who owns {environment.site}" in done.stderr
    assert environment.hook.stat().st_uid == UID


def test_who_cannot_read_the_kit_is_told_so(
    small_tree: Path, child_command: Command, tmp_path: Path
) -> None:
    """Whose Python is in a folder that only root may look into, as below /root."""
    give_away(small_tree)
    before = snapshot(small_tree)
    command = child_command(small_tree, "--no-build", do="step-down")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    hidden = private / "python"
    hidden.symlink_to(command[0])
    refused = subprocess.run(
        [str(hidden), "-c", WITH_OUR_PACKAGES, sysconfig.get_path("purelib"), *command[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 6
    assert "Install the kit where" in refused.stderr
    assert snapshot(small_tree) == before

"""Places where a change is not simply a rename: folders of others, mounts, layers of an image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installer_kit import (
    CHILD,
    HOOKED,
    HOOKED_LAST,
    FakeTools,
    Ran,
    in_mount_namespace,
    make_patch_set,
    needs_root,
    snapshot,
    write_files,
)

Run = Callable[..., Ran]
Command = Callable[..., list[str]]
OWN_BUILD = {"build/_app/app.js": "", "build/index.html": "the user's own front end"}

# root may write anywhere; without these capabilities it meets permissions as everybody does.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []


@pytest.fixture
def as_a_user(child_command: Command) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as somebody whom permissions stop."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AS_A_USER, *child_command(*arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def locked_folder(small_tree: Path) -> Iterator[Callable[[str], Path]]:
    """Make a folder of the tree unwritable until the test is over."""
    locked: list[Path] = []

    def lock(name: str) -> Path:
        folder = small_tree / name
        folder.chmod(0o555)
        locked.append(folder)
        return folder

    yield lock
    for folder in locked:
        if folder.exists():
            folder.chmod(0o755)


@pytest.mark.parametrize("name", ["src", "src/lib", "backend/open_webui", "build", "."])
def test_a_folder_that_is_not_writable_is_seen_before_anything_is_built(
    small_tree: Path,
    as_a_user: Callable[..., subprocess.CompletedProcess[str]],
    locked_folder: Callable[[str], Path],
    fake_tools: FakeTools,
    name: str,
) -> None:
    write_files(small_tree, OWN_BUILD)
    folder = locked_folder(name)
    before = snapshot(small_tree)
    refused = as_a_user(small_tree)
    assert refused.returncode == 6
    assert "No permission" in refused.stderr
    assert f"({folder})" in refused.stderr
    assert "Nothing of the kit is installed." in refused.stderr
    assert snapshot(small_tree) == before
    assert fake_tools.calls() == []


@pytest.mark.parametrize("name", ["src/lib", "build"])
def test_a_folder_that_became_unwritable_stops_revert_before_it_begins(
    small_tree: Path,
    cczoo: Run,
    as_a_user: Callable[..., subprocess.CompletedProcess[str]],
    locked_folder: Callable[[str], Path],
    fake_tools: FakeTools,
    name: str,
) -> None:
    write_files(small_tree, OWN_BUILD)
    stock = snapshot(small_tree)
    assert cczoo(small_tree).code == 0
    folder = locked_folder(name)
    before = snapshot(small_tree)
    refused = as_a_user(small_tree, "--revert")
    assert refused.returncode == 6
    assert f"({folder})" in refused.stderr
    assert "The installation that --status shows is in place." in refused.stderr
    assert snapshot(small_tree) == before
    folder.chmod(0o755)
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_a_restore_goes_on_past_what_is_right_already(
    small_tree: Path,
    cczoo: Run,
    child_command: Command,
    as_a_user: Callable[..., subprocess.CompletedProcess[str]],
    locked_folder: Callable[[str], Path],
) -> None:
    """What was never changed needs no permission; what was, is named once more."""
    stock = snapshot(small_tree)
    killed = child_command(small_tree, "--no-build", at=f"write:{HOOKED_LAST}")
    subprocess.run(killed, capture_output=True, check=False)
    assert cczoo(small_tree, "--status", "--json").json["state"] == "unfinished"
    locked_folder(str(Path(HOOKED_LAST).parent))
    done = as_a_user(small_tree, "--revert")
    assert done.returncode == 0, done.stderr
    (small_tree / HOOKED_LAST).parent.chmod(0o755)
    assert snapshot(small_tree) == stock


@needs_root
def test_trouble_that_no_look_foresees_is_rolled_back(
    small_tree: Path, as_a_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A folder that anybody may write to, but where only its owner may replace a file."""
    folder = (small_tree / HOOKED_LAST).parent
    folder.chmod(0o1777)
    for path in (folder, small_tree / HOOKED_LAST):
        os.chown(path, 4711, 4711)
    stock = snapshot(small_tree)
    refused = as_a_user(small_tree, "--no-build")
    assert refused.returncode == 6
    assert "No permission" in refused.stderr
    assert "Nothing of the kit is installed." in refused.stderr
    assert snapshot(small_tree) == stock


MOUNT_INSIDE = """
    child=$1 patches=$2 tree=$3 place=$4
    mount --bind "$tree/$place" "$tree/$place"
    set +e
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree"
    first=$?
    umount "$tree/$place"
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --quiet || exit 99
    mount --bind "$tree/$place" "$tree/$place"
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --revert
    second=$?
    umount "$tree/$place"
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --status
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --revert --quiet || exit 98
    exit $((first * 10 + second))
"""


@needs_root
@pytest.mark.parametrize("place", ["src", "src/lib", HOOKED, "build"])
def test_a_mount_inside_the_tree_is_seen_before_anything_changes(
    small_tree: Path,
    patches: Path,
    cache: Path,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """Also a bind mount of the same file system, across which no rename leads either."""
    monkeypatch.setenv("PYTHON", sys.executable)
    write_files(small_tree, OWN_BUILD)
    before = snapshot(small_tree)
    done = in_mount_namespace(MOUNT_INSIDE, CHILD, patches, small_tree, place)
    assert done.returncode == 66, done.stderr
    assert done.stderr.count(f"{small_tree / place} is a mount of its own inside the folder") == 2
    assert "installed: kit" in done.stdout
    assert snapshot(small_tree) == before


WITHOUT_PROC = """
    child=$1 patches=$2 tree=$3
    mount -t tmpfs tmpfs /proc
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --no-build --quiet
    "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --revert --quiet
"""


@needs_root
def test_a_root_without_proc_is_good_enough(
    small_tree: Path, patches: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    before = snapshot(small_tree)
    done = in_mount_namespace(WITHOUT_PROC, CHILD, patches, small_tree)
    assert done.returncode == 0, done.stderr
    assert snapshot(small_tree) == before


# A tree in a lower layer of an overlayfs, as in a container's image: its folders cannot be renamed.
LAYERED = """
    base=$1; shift
    mkdir -p "$base/mnt" && cd "$base"
    layer() {  # puts what lies in mnt below a new, empty layer
        number=$((${number:-0} + 1))
        lower="$base/layer$number${lower:+:$lower}"
        mkdir -p "$base/layer$((number + 1))" "$base/work$number"
        if [ $number -gt 1 ]; then umount "$base/mnt"; fi
        mount -t overlay overlay \\
            -o "lowerdir=$lower,upperdir=$base/layer$((number + 1)),workdir=$base/work$number" \\
            "$base/mnt"
    }
    run() { "$PYTHON" "$CHILD" "$@"; }
    layer
"""


@pytest.fixture
def layers(small_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose ``mnt/tree`` will be the tree, in the lowest layer; on a file system that can.

    Overlayfs takes no overlayfs for its upper layer, as in a container, so this lies in memory.
    """
    write_files(small_tree, OWN_BUILD)
    (small_tree / "build/_app").chmod(0o750)
    base = tmp_path / "layers"
    base.mkdir()
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("CHILD", str(CHILD))
    return base


def in_layers(
    base: Path, tree: Path, script: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a script with the tree at ``mnt/tree`` in a lower layer."""
    prepare = """
        tree=$2
        mount -t tmpfs tmpfs "$1"
        mkdir -p "$1/layer1"
        cp -a "$tree" "$1/layer1/tree"
    """
    done = in_mount_namespace(prepare + LAYERED + "\nshift\n" + script, base, tree, *arguments)
    assert "Traceback" not in done.stderr
    return done


INSTALL_AND_REVERT = """
    run "$1" none none --openwebui-dir mnt/tree --quiet
    grep -q probe mnt/tree/src/app.html
    grep -q cczoo- mnt/tree/build/index.html
    if [ "$2" = next ]; then layer; fi
    run "$1" none none --openwebui-dir mnt/tree --status | grep '^installed:'
    run "$1" none none --openwebui-dir mnt/tree --quiet
    if [ "$2" = replaced ]; then
        run "$3" none none --openwebui-dir mnt/tree --quiet
        layer
        run "$1" none none --openwebui-dir mnt/tree --quiet
        layer
    fi
    run "$1" none none --openwebui-dir mnt/tree --revert --quiet
    diff -r --no-dereference mnt/tree "$tree"
    test "$(stat -c %a mnt/tree/build/_app)" = 750
"""


@needs_root
@pytest.mark.parametrize("when", ["same", "next", "replaced"])
def test_a_tree_in_a_lower_layer(
    layers: Path,
    small_tree: Path,
    patches: Path,
    pristine: Path,
    cache: Path,
    fake_tools: FakeTools,
    tmp_path: Path,
    when: str,
) -> None:
    """Installed in one layer, taken back in the same or in the next, replaced in between."""
    newer = make_patch_set(tmp_path / "newer", pristine, "newer")
    done = in_layers(layers, small_tree, INSTALL_AND_REVERT, patches, when, newer)
    assert done.returncode == 0, done.stdout + done.stderr


# Killed at a step, then stored as a layer, as an image would be; then gone on with.
KILLED = """
    patches=$1 way=$2 after=$3 step=$4
    if [ "$way" = --revert ]; then
        run "$patches" none none --openwebui-dir mnt/tree --quiet
        layer
    fi
    set +e
    run "$patches" "$step" kill --openwebui-dir mnt/tree --quiet $way
    test $? = 137 || exit 97
    set -e
    layer
    run "$patches" none none --openwebui-dir mnt/tree --quiet $after
    if [ -z "$after" ]; then
        grep -q cczoo- mnt/tree/build/index.html
        run "$patches" none none --openwebui-dir mnt/tree --quiet --revert
    fi
    diff -r --no-dereference mnt/tree "$tree"
"""
COPYING = [
    ("", "copy:build.leaving", "--revert"),
    ("", "build:leaving", ""),
    ("", "build:left", "--revert"),
    ("", "build:place", ""),
    ("", "commit:end", "--revert"),
    ("--revert", "copy:reverting", "--revert"),
    ("--revert", "remove:applied", ""),
    ("--revert", "remove:applied/record.json", "--revert"),
    ("--revert", "build:removed", ""),
    ("--revert", "revert:end", "--revert"),
]


@needs_root
@pytest.mark.parametrize(("way", "step", "after"), COPYING)
def test_killed_where_folders_are_copied(
    layers: Path,
    small_tree: Path,
    patches: Path,
    cache: Path,
    fake_tools: FakeTools,
    way: str,
    step: str,
    after: str,
) -> None:
    done = in_layers(layers, small_tree, KILLED, patches, way, after, step)
    assert done.returncode == 0, done.stdout + done.stderr


KILLED_TWICE = """
    patches=$1
    run "$patches" none none --openwebui-dir mnt/tree --quiet
    layer
    for step in build:removed copy:coming remove:reverting remove:reverting/build-taken-back; do
        set +e
        run "$patches" "$step" kill --openwebui-dir mnt/tree --quiet --revert
        test $? = 137 || exit 97
        set -e
        layer
    done
    run "$patches" none none --openwebui-dir mnt/tree --quiet --revert
    diff -r --no-dereference mnt/tree "$tree"
"""


@needs_root
def test_killed_again_and_again_in_one_layer_after_the_other(
    layers: Path, small_tree: Path, patches: Path, cache: Path, fake_tools: FakeTools
) -> None:
    done = in_layers(layers, small_tree, KILLED_TWICE, patches)
    assert done.returncode == 0, done.stdout + done.stderr


FULL_CACHE = """
    child=$1 patches=$2 tree=$3
    mkdir -p "$CCZOO_CACHE"
    mount -t tmpfs -o size=8m tmpfs "$CCZOO_CACHE"
    exec "$PYTHON" "$child" "$patches" none none --openwebui-dir "$tree" --json
"""


@needs_root
def test_a_full_disk_of_the_cache_is_told_as_that(
    small_tree: Path,
    patches: Path,
    cache: Path,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even where npm has nothing to say: there is no room for its log either."""
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("FAKE_NPM_DOES", "fill")
    before = snapshot(small_tree)
    done = in_mount_namespace(FULL_CACHE, CHILD, patches, small_tree)
    assert done.returncode == 6, done.stderr
    told = json.loads(done.stdout)
    assert told["code"] == "machine"
    assert f"The disk of the cache ({cache}/frontend" in told["detail"]
    assert "CCZOO_CACHE" in told["detail"]
    assert "registry" not in told["detail"]
    assert snapshot(small_tree) == before


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("code ENOSPC", 6),
        ("nospc ENOSPC: no space left on device, write", 6),
        ("EDQUOT: disk quota exceeded", 6),
        ("code ENOTFOUND", 5),
    ],
)
def test_a_disk_that_only_npm_has_found_full(
    small_tree: Path,
    cczoo: Run,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
    says: str,
    code: int,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", "complain")
    monkeypatch.setenv("FAKE_NPM_SAYS", says)
    before = snapshot(small_tree)
    failed = cczoo(small_tree)
    assert failed.code == code
    assert ("A disk is full" in failed.err) == (code == 6)
    assert ("registry" in failed.err) == (code == 5)
    assert says in failed.err
    assert snapshot(small_tree) == before

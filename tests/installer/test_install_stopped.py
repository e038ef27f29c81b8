"""Runs that are killed, interrupted, out of disk, locked out or not allowed to write."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import __main__ as command_line
from installer_kit import (
    CHILD,
    HOOKED,
    HOOKED_LAST,
    HOOKED_TOO,
    Case,
    Environment,
    FakeTools,
    Ran,
    in_mount_namespace,
    install_as_kit_0_1_0,
    make_patch_set,
    needs_root,
    snapshot,
    started,
    steps_of,
    wait_for,
    without_ours,
    write_files,
)

from doubles.terminal import terminal

Run = Callable[..., Ran]
Command = Callable[..., list[str]]


def case_of(kind: str, request: pytest.FixtureRequest, patches: Path) -> Case:
    """One of the shapes of an installation: sources, a front end, a package's hook, a Trustee."""
    if kind == "hook":
        environment: Environment = request.getfixturevalue("environment")
        hook = environment.hook.name
        return Case(environment.package, environment.site, patches, hook)
    if kind == "trustee":
        trustee: Case = request.getfixturevalue("trustee")
        return trustee
    tree: Path = request.getfixturevalue("small_tree")
    if kind == "build over build":
        write_files(tree, {"build/_app/app.js": "", "build/index.html": "an older front end"})
        (tree / "build").chmod(0o750)
    return Case(tree, tree, patches, HOOKED_TOO, ("--no-build",) if kind == "no-build" else ())


@pytest.fixture(params=["no-build", "build", "build over build", "hook", "trustee"])
def case(request: pytest.FixtureRequest, patches: Path, fake_tools: FakeTools) -> Case:
    """Every shape of an installation."""
    return case_of(request.param, request, patches)


FULL_AT_STEPS = Path(__file__).with_name("full_disk.py")


def test_kill_at_every_step_of_an_installation(
    case: Case, cczoo: Run, child_command: Command
) -> None:
    """kill -9 anywhere leaves a tree that the next run understands and finishes."""
    stock = snapshot(case.root)
    steps = steps_of(case.patches, *case.argv(*case.options))
    installed = without_ours(snapshot(case.root))
    assert cczoo(case, "--revert").code == 0
    assert snapshot(case.root) == stock
    assert len(steps) > 8

    for number, step in enumerate(steps):
        died = subprocess.run(
            child_command(case, *case.options, at=step),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, step
        status = cczoo(case, "--status", "--json").json
        if step == "commit:done":
            assert status["state"] == "installed"
        elif steps.index(step) > steps.index("commit:begin"):
            assert status["state"] == "unfinished", step
        else:
            assert status["state"] == "not-installed", step
            assert without_ours(snapshot(case.root)) == stock, step
        if number % 2:  # half of the times finish, half of the times give up
            again = cczoo(case, *case.options)
            assert again.code == 0, step
            assert ("stopped half-way" in again.err) == (status["state"] == "unfinished")
            assert without_ours(snapshot(case.root)) == installed, step
        assert cczoo(case, "--revert").code == 0, step
        assert snapshot(case.root) == stock, step


def test_kill_at_every_step_of_a_revert(case: Case, cczoo: Run, child_command: Command) -> None:
    stock = snapshot(case.root)
    cczoo(case, *case.options)
    steps = steps_of(case.patches, *case.argv("--revert"))
    for number, step in enumerate(steps):
        assert cczoo(case, *case.options).code == 0
        died = subprocess.run(
            child_command(case, "--revert", at=step),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, step
        if number % 2:
            assert cczoo(case, *case.options).code == 0, step
            assert cczoo(case, "--status", "--json").json["state"] == "installed", step
        assert cczoo(case, "--revert").code == 0, step
        assert snapshot(case.root) == stock, step


def test_killed_while_being_taken_back_after_being_killed(
    case: Case, cczoo: Run, child_command: Command
) -> None:
    """Recovery itself may be killed, any number of times."""
    stock = snapshot(case.root)
    subprocess.run(
        child_command(case, *case.options, at="commit:sync"),
        capture_output=True,
        check=False,
    )
    for step in (f"restore:{case.file}", "revert:end", "revert:trash"):
        died = subprocess.run(
            child_command(case, "--revert", at=step), capture_output=True, check=False
        )
        assert died.returncode == -signal.SIGKILL, step
    assert cczoo(case, "--revert").code == 0
    assert snapshot(case.root) == stock


def test_an_edit_made_after_a_kill_is_not_lost(
    small_tree: Path, cczoo: Run, child_command: Command
) -> None:
    subprocess.run(
        child_command(small_tree, "--no-build", at="commit:end"), capture_output=True, check=False
    )
    (small_tree / HOOKED).write_text("mine\n")
    before = snapshot(small_tree)
    for options in (["--no-build"], ["--revert"]):
        refused = cczoo(small_tree, *options)
        assert refused.code == 4
        assert HOOKED in refused.err
    assert snapshot(small_tree) == before


def test_an_edit_made_while_we_build_is_not_lost(
    small_tree: Path, patches: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def edit(step: str) -> None:
        if step == "stage:end":
            (small_tree / HOOKED).write_text("mine\n")

    argv = ["--openwebui-dir", str(small_tree), "--no-build"]
    assert command_line.run(argv, patches=patches, on_step=edit) == 4
    assert HOOKED in capsys.readouterr().err
    assert (small_tree / HOOKED).read_text() == "mine\n"
    assert "HOOK" not in (small_tree / HOOKED_LAST).read_text()


def test_trouble_half_way_rolls_back(
    small_tree: Path, patches: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stock = snapshot(small_tree)

    def fail(step: str) -> None:
        if step == "write:src/app.html":
            raise OSError(5, "Input/output error")

    argv = ["--openwebui-dir", str(small_tree), "--no-build"]
    assert command_line.run(argv, patches=patches, on_step=fail) == 6
    said = capsys.readouterr().err
    assert "Input/output error" in said
    assert "Nothing of the kit is installed." in said
    assert snapshot(small_tree) == stock


def failing_at(*wanted: str) -> Callable[[str], None]:
    """An `on_step` under which the disk fails at the named steps, one after the other."""
    left = list(wanted)

    def fail(step: str) -> None:
        if left and step == left[0]:
            del left[0]
            raise OSError(5, "Input/output error")

    return fail


@pytest.mark.parametrize("again", [["--revert"], ["--no-build"]])
def test_trouble_half_way_through_a_revert(
    small_tree: Path,
    patches: Path,
    cczoo: Run,
    capsys: pytest.CaptureFixture[str],
    again: list[str],
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    installed = snapshot(small_tree)
    argv = ["--openwebui-dir", str(small_tree), "--revert"]
    third = [step for step in steps_of(patches, *argv) if step.startswith("restore:")][2]
    cczoo(small_tree, "--no-build")

    assert command_line.run([*argv, "--json"], patches=patches, on_step=failing_at(third)) == 6
    assert "It is half-way" in json.loads(capsys.readouterr().out)["detail"]
    assert cczoo(small_tree, "--status", "--json").json["state"] == "unfinished"
    assert cczoo(small_tree, *again).code == 0
    assert snapshot(small_tree) == (stock if again == ["--revert"] else installed)


@pytest.mark.parametrize(
    ("at", "state", "said"),
    [
        (["stage:record"], "installed", "The installation that --status shows is in place"),
        (["restore:src/app.html"], "unfinished", "It is half-way"),
        (["write:src/app.html"], "not-installed", "Nothing of the kit is installed"),
        (["write:src/app.html", "revert:end"], "unfinished", "It is half-way"),
    ],
)
@pytest.mark.parametrize("from_version", ["this kit", "kit 0.1.0"])
def test_trouble_during_an_upgrade(
    small_tree: Path,
    patches: Path,
    pristine: Path,
    tmp_path: Path,
    cczoo: Run,
    capsys: pytest.CaptureFixture[str],
    at: list[str],
    state: str,
    said: str,
    from_version: str,
) -> None:
    """What is said is how the tree stands, and the same command then recovers."""
    stock = snapshot(small_tree)
    newer = make_patch_set(tmp_path / "newer", pristine, "newer")
    if from_version == "this kit":
        cczoo(small_tree, "--no-build")
    else:
        install_as_kit_0_1_0(small_tree, patches)
    argv = ["--openwebui-dir", str(small_tree), "--no-build"]
    assert command_line.run(argv, patches=newer, on_step=failing_at(*at)) == 6
    assert said in capsys.readouterr().err
    assert cczoo(small_tree, "--status", "--json", with_patches=newer).json["state"] == state
    assert cczoo(small_tree, "--no-build", with_patches=newer).code == 0
    assert "<!-- newer -->" in (small_tree / "src/app.html").read_text()
    assert cczoo(small_tree, "--revert", with_patches=newer).code == 0
    assert snapshot(small_tree) == stock


def test_how_a_tree_stands_that_cannot_be_looked_at(
    small_tree: Path, patches: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_step: str) -> None:
        (small_tree / ".cczoo-install").symlink_to("/nowhere")
        raise OSError(5, "Input/output error")

    argv = ["--openwebui-dir", str(small_tree), "--no-build"]
    assert command_line.run(argv, patches=patches, on_step=fail) == 6
    assert "How it stands could not be read" in capsys.readouterr().err


def test_two_at_once(quick: Case, cczoo: Run, child_command: Command) -> None:
    with started(
        child_command(quick, *quick.options, at="commit:begin", do="wait"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "waiting\n"
        before = snapshot(quick.root)
        for options in (quick.options, ["--revert"]):
            refused = cczoo(quick, *options, "--json")
            assert (refused.code, refused.json["code"]) == (7, "locked")
        assert cczoo(quick, "--status", "--json").json["busy"] is True
        assert snapshot(quick.root) == before
        first.communicate("\n", timeout=60)
        assert first.returncode == 0
    status = cczoo(quick, "--status", "--json").json
    assert (status["state"], status["busy"]) == ("installed", False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_npm_runs(
    small_tree: Path,
    fake_tools: FakeTools,
    child_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", "hang")
    before = snapshot(small_tree)
    pid_file = Path(f"{fake_tools.log}.pid")
    with started(child_command(small_tree), stderr=subprocess.PIPE) as child:
        wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        child.send_signal(number)
        _out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert "stopped. Nothing of the kit is installed." in err
    assert "Traceback" not in err
    assert snapshot(small_tree) == before
    # What npm had started is gone as well.
    wait_for(lambda: not Path(f"/proc/{pid_file.read_text().strip()}").exists())


def test_a_terminal_shows_phase_time_estimate_and_the_end_of_the_output(
    small_tree: Path,
    child_command: Command,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", "hang")
    with (
        terminal(60) as screen,
        started(child_command(small_tree), stderr=screen.stream) as child,
    ):
        screen.wait_for(b": vite: 12 of 99")
        child.send_signal(signal.SIGINT)
        screen.wait_for(b"Run again to go on.")
        assert child.wait(60) == 130
        shown = screen.shown
    assert re.search(rb"\x1b\[K  npm run \d+:\d\d of about \d+:\d\d: vite", shown)
    assert b"Building the front end" in shown


def test_interrupted_while_the_tree_changes(
    small_tree: Path, cczoo: Run, child_command: Command
) -> None:
    """The last moment is finished, not undone: Ctrl-C in it comes too late."""
    before = snapshot(small_tree)
    with started(
        child_command(small_tree, "--no-build", at="write:src/app.html", do="wait"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert child.returncode == 0
    assert cczoo(small_tree, "--status", "--json").json["state"] == "installed"
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == before


def test_interrupted_while_staging(small_tree: Path, child_command: Command) -> None:
    before = snapshot(small_tree)
    with started(
        child_command(small_tree, "--no-build", at="stage:record", do="wait"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert child.returncode == 130
    assert snapshot(small_tree) == before


# Where the tree lies on a small file system of its own with FREE KiB left on it.
FULL_DISK = """
    child=$1 patches=$2 tree=$3 name=$4 dir=$5 option=$6 free=$7 result=$8
    cp -a "$tree" "$tree.kept"
    mount -t tmpfs -o size=24m tmpfs "$tree"
    cp -a "$tree.kept/." "$tree/"
    rest=$(df --output=avail -k "$tree" | tail -1)
    dd if=/dev/zero of="$tree/filler" bs=1024 count=$((rest - free)) status=none
    set +e
    "$PYTHON" "$child" "$patches" none none "$name" "$dir" $option --json > "$result"
    code=$?
    set -e
    rm -f "$tree/filler"
    if [ $code = 6 ]; then diff -r "$tree" "$tree.kept"; fi
    exit $code
"""


@pytest.fixture(params=["no-build", "hook", "trustee"])
def quick(request: pytest.FixtureRequest, patches: Path) -> Case:
    """An installation that builds nothing."""
    return case_of(request.param, request, patches)


def paths_of(case: Case) -> list[str | Path]:
    options = case.options or ("--quiet",)
    return [CHILD, case.patches, case.root, case.name, case.directory, *options]


@needs_root
def test_disk_full(
    quick: Case,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However little room is left: either all is done, or nothing was."""
    monkeypatch.setenv("PYTHON", sys.executable)
    codes = {}
    for free in (0, 4, 8, 12, 16, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 512):
        result = tmp_path / "result.json"
        done = in_mount_namespace(FULL_DISK, *paths_of(quick), str(free), result)
        shutil.rmtree(f"{quick.root}.kept")
        assert done.returncode in (0, 6), done.stderr
        assert "Traceback" not in done.stderr
        document = json.loads(result.read_text())
        assert document["ok"] == (done.returncode == 0)
        if done.returncode == 6:
            assert "full" in document["detail"]
        codes[free] = done.returncode
    assert codes[0] == 6
    assert codes[512] == 0


@needs_root
def test_disk_full_from_each_step_on(
    quick: Case, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there was room up to a step and none from there on; both to and fro."""
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    named = [quick.name, quick.directory, *quick.options]
    script = 'exec "$PYTHON" "$@"'
    done = in_mount_namespace(script, FULL_AT_STEPS, quick.patches, quick.root, *named)
    assert done.returncode == 0, done.stderr
    results: dict[str, tuple[int, str]] = json.loads(done.stdout)
    assert {step: wrong for step, (_code, wrong) in results.items() if wrong} == {}
    codes = {step: code for step, (code, _wrong) in results.items()}
    assert codes["install stage:begin"] == 6
    assert codes["install commit:begin"] == 0
    # What is taken back needs no room.
    assert {code for step, code in codes.items() if step.startswith("revert")} == {0}
    assert len(codes) > 10


REVERT_ON_FULL_DISK = """
    child=$1 patches=$2 tree=$3 name=$4 dir=$5 option=$6
    cp -a "$tree" "$tree.kept"
    mount -t tmpfs -o size=24m tmpfs "$tree"
    cp -a "$tree.kept/." "$tree/"
    chmod --reference="$tree.kept" "$tree"
    "$PYTHON" "$child" "$patches" none none "$name" "$dir" $option
    dd if=/dev/zero of="$tree/filler" bs=1024 status=none || true
    "$PYTHON" "$child" "$patches" none none "$name" "$dir" --revert
    rm "$tree/filler"
    diff -r "$tree" "$tree.kept"
"""


@needs_root
def test_revert_needs_no_room(quick: Case, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    done = in_mount_namespace(REVERT_ON_FULL_DISK, *paths_of(quick))
    assert done.returncode == 0, done.stdout + done.stderr


READ_ONLY = """
    child=$1 patches=$2 tree=$3 name=$4 dir=$5 option=$6
    mount --bind "$tree" "$tree"
    mount -o remount,ro,bind "$tree"
    "$PYTHON" "$child" "$patches" none none "$name" "$dir" --status > /dev/null
    "$PYTHON" "$child" "$patches" none none "$name" "$dir" --dry-run $option > /dev/null
    exec "$PYTHON" "$child" "$patches" none none "$name" "$dir" $option
"""


@needs_root
def test_read_only_folder(quick: Case, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    before = snapshot(quick.root)
    done = in_mount_namespace(READ_ONLY, *paths_of(quick))
    assert done.returncode == 6, done.stderr
    assert "read-only" in done.stderr
    assert snapshot(quick.root) == before


def test_a_file_size_limit_is_explained(small_tree: Path, child_command: Command) -> None:
    """RLIMIT_FSIZE stands in for a disk that fills up, where mounting is not allowed."""
    before = snapshot(small_tree)
    limited = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999));"
    limited += "os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", limited, *child_command(small_tree, "--no-build")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(small_tree) == before

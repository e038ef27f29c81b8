"""`--make-env` with a real venv and a real pip, and packages of a few lines from a folder.

The kit's own locks are read here, and not installed: that takes minutes and gigabytes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cczoo_installer import __main__ as command_line
from cczoo_installer import environment, own_wheel
from cczoo_installer.environment import MARKER
from cczoo_installer.errors import MachineTrouble
from cczoo_installer.files import locked, sha256_file
from installer_kit import PLUGIN_VERSION, VERSIONS, Ran, snapshot

from preparation import editions

SECONDS = 120


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A wheel of a few lines, such as pip takes."""
    folder.mkdir(parents=True, exist_ok=True)
    information = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = ""
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record += f"{path},sha256={digest.rstrip('=')},{len(text.encode())}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{information}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@dataclass
class Shop:
    """Locks of one version, and all that they name in a folder instead of a package index."""

    patches: Path
    locks: Path
    wheels: Path
    kit: Path
    sizes: dict[str, int] = field(default_factory=lambda: {"download": 3, "disk": 40})

    def write(self, needs: str = "small-need==1.0\n", cuda: str = "") -> None:
        """Write lock and sizes anew."""
        self.patches.mkdir(exist_ok=True)
        self.locks.mkdir(exist_ok=True)
        (self.patches / "versions.json").write_text(json.dumps(VERSIONS))
        stock = self.wheels / f"open_webui-{PLUGIN_VERSION}-py3-none-any.whl"
        pinned = f"open-webui=={PLUGIN_VERSION} \\\n    --hash=sha256:{sha256_file(stock)}\n"
        name = f"open-webui-{PLUGIN_VERSION}"
        (self.locks / f"{name}.txt").write_text(f"# lean\n{pinned}{needs}")
        (self.locks / f"{name}-full.txt").write_text(
            f"# full\n{pinned}{needs}torch==2.0\n# Only with a torch for CUDA:\n{cuda}"
        )
        sizes = {PLUGIN_VERSION: {"lean": self.sizes, "full": self.sizes}}
        (self.locks / "sizes.json").write_text(json.dumps(sizes))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A package index of a folder; pip asks no other."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "open_webui", PLUGIN_VERSION, {"open_webui/__init__.py": ""})
    make_wheel(wheels, "small_need", "1.0", {"small_need.py": ""})
    make_wheel(wheels, "torch", "2.0", {"torch.py": ""})
    kit = make_wheel(tmp_path / "kit", "cczoo_trust_badge", "0", {"cczoo_backend/__init__.py": ""})
    monkeypatch.setattr(environment, "own_wheel", lambda _folder: kit)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    made = Shop(tmp_path / "patches", tmp_path / "locks", wheels, kit)
    made.write()
    return made


@pytest.fixture
def make_env(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process."""

    def run(folder: Path, *options: str) -> Ran:
        capsys.readouterr()
        argv = ["--make-env", str(folder), *options]
        if not {"--status", "--openwebui-version"} & set(options):
            argv += ["--openwebui-version", PLUGIN_VERSION]
        code = command_line.run(argv, patches=shop.patches, locks=shop.locks)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return run


Run = Callable[..., Ran]


def importable(folder: Path, *names: str) -> bool:
    """Whether the environment's own Python finds all of these."""
    code = f"import {', '.join(names)}"
    done = subprocess.run([folder / "bin" / "python", "-I", "-c", code], timeout=SECONDS)
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["full", "lean"])
def test_an_environment_has_open_webui_and_the_kit(
    tmp_path: Path, make_env: Run, kind: str
) -> None:
    folder = tmp_path / "new" / "env"
    lean = ["--lean"] if kind == "lean" else []
    done = make_env(folder, *lean, "--json")
    assert (done.code, done.json["changed"], done.json["kind"]) == (0, True, kind)
    assert importable(folder, "open_webui", "cczoo_backend", "small_need")
    assert importable(folder, "torch") == (kind == "full")
    assert sorted(path.name for path in folder.glob(".cczoo*")) == [MARKER]
    status = make_env(folder, "--status", "--json").json
    assert (status["state"], status["version"], status["kind"]) == ("made", PLUGIN_VERSION, kind)
    before = snapshot(folder)
    again = make_env(folder, *lean)
    assert again.code == 0
    assert "nothing to do" in again.out
    assert snapshot(folder) == before


def test_what_a_torch_for_cuda_brings_is_held_by_the_lock(
    tmp_path: Path, shop: Shop, make_env: Run
) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(shop.wheels, "cuda_part", version, {"cuda_part.py": ""})
    wheel = make_wheel(shop.wheels, "torch", "2.0", {"torch.py": ""})
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    content["torch-2.0.dist-info/METADATA"] += "Requires-Dist: cuda-part\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    shop.write(cuda="cuda-part==1.0\n")
    folder = tmp_path / "env"
    assert make_env(folder).code == 0
    [part] = importlib.metadata.distributions(
        name="cuda-part", path=[str(path) for path in folder.glob("lib/*/site-packages")]
    )
    assert part.version == "1.0"


def test_a_dry_run_says_what_it_takes_and_makes_nothing(tmp_path: Path, make_env: Run) -> None:
    done = make_env(tmp_path / "env", "--dry-run")
    assert done.code == 0
    assert "3 MB to download" in done.out
    assert "40 MB of disk" in done.out
    assert not (tmp_path / "env").exists()


def test_the_sizes_are_said_before_anything_is_made(tmp_path: Path, make_env: Run) -> None:
    lines = make_env(tmp_path / "env", "--lean").err.splitlines()
    assert "3 MB to download" in lines[0]
    assert "empty environment" in lines[1]


@pytest.mark.parametrize("what", ["a file", "a folder", "a marker of somebody else's"])
def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, make_env: Run, what: str) -> None:
    folder = tmp_path / "env"
    if what == "a file":
        folder.write_text("mine\n")
    else:
        folder.mkdir()
        name = MARKER if "marker" in what else "thesis.txt"
        (folder / name).write_text("[" * 5000)
    before = snapshot(tmp_path)
    done = make_env(folder, "--json")
    assert (done.code, done.json["code"]) == (4, "in-the-way")
    assert make_env(folder, "--status", "--json").json["state"] == "foreign"
    assert snapshot(tmp_path) == before


def test_another_environment_is_not_changed(tmp_path: Path, shop: Shop, make_env: Run) -> None:
    folder = tmp_path / "env"
    assert make_env(folder, "--lean").code == 0
    before = snapshot(folder)
    done = make_env(folder)
    assert done.code == 4
    assert "another folder" in done.err
    shop.write("small-need==1.0\n# of a later kit\n")
    assert make_env(folder, "--lean").code == 4
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--openwebui-version", "1.2.3\x1b[2J\n"], "unsupported-version"),
        (["--openwebui-version", "../../etc/passwd"], "unsupported-version"),
        (["--revert"], "usage"),
        (["--fetch", "1"], "usage"),
        (["--no-build"], "usage"),
        (["--try"], "usage"),
        (["--status", "--dry-run"], "usage"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, make_env: Run, options: list[str], code: str
) -> None:
    done = make_env(tmp_path / "env", *options, "--json")
    assert done.json["code"] == code
    assert "\x1b" not in done.err
    assert not (tmp_path / "env").exists()


def test_options_of_environments_are_for_nothing_else(tmp_path: Path, shop: Shop) -> None:
    argv = ["--openwebui-dir", str(tmp_path), "--lean", "--quiet"]
    assert command_line.run(argv, patches=shop.patches) == 2


def test_a_name_that_no_command_takes(tmp_path: Path, make_env: Run) -> None:
    assert make_env(tmp_path / "en\nv").code == 2


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, shop: Shop, make_env: Run) -> None:
    shop.write("nobody-has-this==1.0\n")
    folder = tmp_path / "env"
    folder.mkdir()
    done = make_env(folder, "--lean", "--json")
    assert (done.code, done.json["code"]) == (6, "machine")
    assert "nobody-has-this" in done.err
    assert list(folder.iterdir()) == []


def test_an_altered_open_webui_is_refused(tmp_path: Path, shop: Shop, make_env: Run) -> None:
    make_wheel(shop.wheels, "open_webui", PLUGIN_VERSION, {"open_webui/__init__.py": "evil = 1\n"})
    done = make_env(tmp_path / "env", "--lean")
    assert done.code == 6
    assert "HASHES" in done.err
    assert not (tmp_path / "env").exists()


def test_what_misleads_pip_or_python_is_left_out(
    tmp_path: Path, make_env: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "pip.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "wrong"))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    assert make_env(tmp_path / "env", "--lean").code == 0
    assert importable(tmp_path / "env", "open_webui")
    assert not (tmp_path / "elsewhere").exists()


# --- Stopped, and a full disk -------------------------------------------------------------------


@pytest.fixture
def slow_pip(shop: Shop) -> Callable[[], None]:
    """Let pip build a package that takes for ever, so that a run can be stopped in the middle."""
    source = shop.wheels / "small-need-3.0"
    source.mkdir()
    (source / "setup.py").write_text(
        "import pathlib, time\n"
        f"pathlib.Path({str(shop.wheels / 'building')!r}).write_text('')\n"
        f"while not pathlib.Path({str(shop.wheels / 'go on')!r}).exists(): time.sleep(0.05)\n"
        "raise SystemExit('stopped')\n"
    )
    shop.write(f"small-need @ {source.as_uri()}\n")

    def let_go() -> None:
        (shop.wheels / "go on").write_text("")

    return let_go


@contextlib.contextmanager
def begun(folder: Path, shop: Shop, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run as a process of its own, in the middle of its packages."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import pathlib, sys
        from cczoo_installer import __main__ as command_line, environment
        environment.own_wheel = lambda _folder: pathlib.Path({str(shop.kit)!r})
        argv = ["--make-env", {str(folder)!r}, "--lean", "--openwebui-version", {PLUGIN_VERSION!r}]
        sys.exit(command_line.run(argv, patches=pathlib.Path({str(shop.patches)!r}),
                                  locks=pathlib.Path({str(shop.locks)!r})))
        """)
    )
    with subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PIP_NO_BUILD_ISOLATION": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        end = time.monotonic() + SECONDS
        while not (shop.wheels / "building").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()
            (shop.wheels / "go on").write_text("")


def await_unlocked(folder: Path) -> None:
    """Wait until what a killed run had started is gone as well."""
    with locked(folder, busy="still there", wait=SECONDS):
        pass


def test_what_kill_9_leaves_is_told_and_made_anew(
    tmp_path: Path, shop: Shop, make_env: Run, slow_pip: Callable[[], None]
) -> None:
    folder = tmp_path / "env"
    with begun(folder, shop, tmp_path) as process:
        assert make_env(folder, "--lean").code == 7  # nobody comes in between
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)
        assert make_env(folder, "--status", "--json").json["state"] == "unfinished"
        assert "half-made" in make_env(folder, "--status").out
        assert not importable(folder, "open_webui")
        await_unlocked(folder)  # pip ends with whoever started it
    shop.write()
    done = make_env(folder, "--lean")
    assert done.code == 0
    assert "stopped half-way; this one begins anew" in done.err
    assert importable(folder, "open_webui", "cczoo_backend")


def test_ctrl_c_leaves_nothing(tmp_path: Path, shop: Shop, slow_pip: Callable[[], None]) -> None:
    folder = tmp_path / "env"
    with begun(folder, shop, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        slow_pip()
        assert process.wait(SECONDS) == 130
    assert not folder.exists()


def test_a_marker_that_was_being_written_is_in_nobodys_way(tmp_path: Path, make_env: Run) -> None:
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / f"{MARKER}.new").write_text('{"v": 1, "sta')
    assert make_env(folder, "--status", "--json").json["state"] == "absent"
    assert make_env(folder, "--lean").code == 0


def test_too_little_room_is_said_first(tmp_path: Path, shop: Shop, make_env: Run) -> None:
    shop.sizes = {"download": 1, "disk": 10**9}
    shop.write()
    done = make_env(tmp_path / "env", "--json")
    assert done.code == 6
    assert "disk is full" in done.json["detail"]
    assert not (tmp_path / "env").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_disk_that_fills_up_is_told_as_that(tmp_path: Path, shop: Shop, make_env: Run) -> None:
    make_wheel(shop.wheels, "small_need", "1.0", {"small_need.py": "# " + "x" * 60_000_000})
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", disk], check=True)
    try:
        done = make_env(disk / "env", "--lean", "--json")
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.code == 6
    assert "The disk is full" in done.json["detail"]
    assert left == []


# --- The kit itself -----------------------------------------------------------------------------


def test_an_installed_kit_packs_the_wheel_that_it_came_from(tmp_path: Path) -> None:
    page = {"cczoo_backend/__init__.py": "x = 1\n", "cczoo_backend/page/manifest.json": "{}"}
    origin = make_wheel(tmp_path, "cczoo_trust_badge", "0.0.7", page)
    site = tmp_path / "site"
    uv = Path(sys.executable).with_name("uv")
    pip = [uv, "pip", "install", "--no-deps", "--no-index", "--no-cache", "-q"]
    subprocess.run([*pip, "--target", site, origin], check=True, timeout=SECONDS)
    [found] = importlib.metadata.distributions(name="cczoo-trust-badge", path=[str(site)])
    (tmp_path / "out").mkdir()
    packed = own_wheel.pack(found, tmp_path / "out")
    assert packed.name == origin.name
    with zipfile.ZipFile(packed) as ours, zipfile.ZipFile(origin) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        for name in theirs.namelist():
            if not name.endswith("/RECORD"):
                assert ours.read(name) == theirs.read(name)
    shutil.rmtree(site)
    subprocess.run([*pip, "--target", site, packed], check=True, timeout=SECONDS)
    assert (site / "cczoo_backend" / "page" / "manifest.json").is_file()


def test_a_kit_without_its_page_is_not_passed_on(tmp_path: Path) -> None:
    site = tmp_path / "site"
    origin = make_wheel(tmp_path, "cczoo_trust_badge", "1", {"cczoo_backend/__init__.py": ""})
    with zipfile.ZipFile(origin) as archive:
        archive.extractall(site)
    [found] = importlib.metadata.distributions(name="cczoo-trust-badge", path=[str(site)])
    with pytest.raises(MachineTrouble, match="without the page"):
        own_wheel.pack(found, tmp_path)


# --- The kit's own locks ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "lean"])
@pytest.mark.parametrize("version", editions.versions())
def test_every_version_has_locks_and_sizes(version: str, kind: str) -> None:
    lock = environment.read_lock(environment.LOCKS, version, kind)
    assert "--hash=sha256:" in lock.stock
    assert bool(lock.torch) == bool(lock.cuda) == (kind == "full")
    # What RAG needs in the process itself, and what keeps the oldest one's from breaking.
    assert ("sentence-transformers==" in lock.needs) == (kind == "full")
    pins = dict(line.split("==") for line in lock.needs.splitlines() if "==" in line)
    assert pins["pyarrow"] == "20.0.0"
    assert pins.get("posthog", "5.4.0") == "5.4.0"
    assert pins.get("datasets", "3.6.0") == "3.6.0"
    sizes = environment.read_sizes(environment.LOCKS, version, kind)
    assert 0 < sizes.download < sizes.disk


def test_without_a_word_it_is_what_new_users_get(tmp_path: Path) -> None:
    made = environment.NewEnvironment(
        tmp_path, command_line.patchset.default_root(), command_line.Reporter(None)
    )
    assert (made.version, made.kind) == (editions.versions(editions.PLUGIN)[-1], "full")

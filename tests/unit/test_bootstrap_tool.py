"""The parts of `tools/bootstrap.py` that decide something; every make target runs the rest."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import bootstrap
from preparation import content, editions, environments, machine, steps, uv

BOOTSTRAP = Path(bootstrap.__file__)
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A set-up of the test's own: its logs, its children, and nothing remembered."""
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(steps, "_children", steps._Children())
    remembering = (
        *(machine.find_python, machine.find_webui_python, machine.version_of),
        uv._uv_environment,
    )
    for function in remembering:
        function.cache_clear()
    yield
    for function in remembering:
        function.cache_clear()


def part(
    name: str,
    make: Callable[[], None],
    *,
    needs: tuple[steps.Part, ...] = (),
    current: Callable[[], bool] = lambda: False,
    disk: int = 0,
    check: Callable[[], None] = lambda: None,
) -> steps.Part:
    folder = steps.LOGS / name
    return steps.Part(name, name, folder, make, current, needs, disk=disk, check=check)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_needs_nothing_but_the_standard_library() -> None:
    # -E -s -S: no site-packages, no user site, as on a machine where nothing was installed.
    command = [sys.executable, "-E", "-s", "-S", str(BOOTSTRAP), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0
    assert "webui" in answer.stdout


def test_an_environment_elsewhere_is_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    for names in (["webui"], [f"webui-{e}" for e in editions.full()], ["dev"]):
        with pytest.raises(SystemExit):
            bootstrap.main([*names, "--at", "out/somewhere"])
        assert "--at is for one environment" in capsys.readouterr().err


# What is made anew


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of sources in a checkout of its own."""
    monkeypatch.setattr(content, "REPO", tmp_path)
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "a.py").write_text("1")
    return tmp_path / "kit"


def put(file: Path, text: str) -> None:
    file.write_text(text)


def key() -> str:
    return content.digest(files=content.source_files(["kit", "not-there"]))


def test_a_part_is_made_again_when_its_sources_change(kit: Path) -> None:
    before = key()
    (kit / "a.py").write_text("2")
    changed = key()
    assert changed != before
    (kit / "a.py").rename(kit / "b.py")
    assert key() not in {before, changed}


@pytest.mark.parametrize(
    "name", ["__pycache__/a.py", "node_modules/x/a.js", "dist/a.js", "a.o", "_tdx.abi3.so"]
)
def test_what_is_made_from_sources_is_none(kit: Path, name: str) -> None:
    before = key()
    (kit / name).parent.mkdir(parents=True, exist_ok=True)
    (kit / name).write_text("made")
    assert key() == before


def test_an_interrupted_installation_is_not_current(tmp_path: Path) -> None:
    def fail() -> None:
        raise steps.BootstrapError("the disk is full")

    makes: list[Callable[[], None]] = [fail, lambda: None]
    made = content.keyed("kit", "", tmp_path, lambda: "key", lambda: makes.pop(0)())
    with pytest.raises(steps.BootstrapError):
        made.make()
    assert not made.is_current()
    made.make()
    assert made.is_current()
    assert not content.is_marked(tmp_path, "another key")


def test_what_is_edited_meanwhile_is_made_again(kit: Path, tmp_path: Path) -> None:
    made = content.keyed("kit", "", tmp_path, key, lambda: put(kit / "a.py", "edited"))
    made.make()
    assert not made.is_current()
    made.make()
    assert made.is_current()


# Side by side


def test_what_is_needed_is_made_first_and_once() -> None:
    made: list[str] = []
    base = part("base", lambda: made.append("base"))
    both = [part(name, lambda n=name: made.append(n), needs=(base,)) for name in ("a", "b")]
    steps.prepare(both)
    assert made[0] == "base"
    assert sorted(made) == ["a", "b", "base"]


def test_independent_parts_are_made_side_by_side() -> None:
    meeting = threading.Barrier(3)
    parts = [part(name, lambda: meeting.wait(PATIENCE_SECONDS)) for name in ("a", "b", "c")]
    steps.prepare(parts)  # one after the other they would never meet


def test_a_current_part_asks_for_nothing() -> None:
    def never() -> None:
        pytest.fail("made")

    base = part("base", never, check=never)
    steps.prepare([part("wheel", never, needs=(base,), current=lambda: True)])


def test_nothing_is_begun_where_one_part_cannot_be_made(tmp_path: Path) -> None:
    def no_node() -> None:
        raise steps.BootstrapError("no Node.js")

    begun = tmp_path / "begun"
    with pytest.raises(steps.BootstrapError, match=r"no Node\.js"):
        steps.prepare([part("a", begun.touch), part("b", begun.touch, check=no_node)])
    assert not begun.exists()


def test_a_full_disk_is_told_beforehand(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(steps.BootstrapError, match="are needed"):
        steps.prepare([part("a", begun.touch), part("b", begun.touch, disk=10**9)])
    assert not begun.exists()


def test_the_first_failure_ends_all_and_is_the_one_that_is_told(tmp_path: Path) -> None:
    started = tmp_path / "started"
    endless = [sys.executable, "-c", "import sys, time; open(sys.argv[1], 'w'); time.sleep(9999)"]

    def fail() -> None:
        wait_until(started.exists)
        steps.run([sys.executable, "-c", "raise SystemExit('out of coffee')"])

    with pytest.raises(steps.BootstrapError, match="out of coffee"):
        steps.prepare([part("slow", lambda: steps.run([*endless, started])), part("bad", fail)])
    with pytest.raises(steps.StoppedError):
        steps.run(["true"])


def test_another_run_is_waited_for_and_its_work_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: list[str] = []
    state = {"current": False}
    shared = part("shared", lambda: made.append("again"), current=lambda: state["current"])
    said = ""

    def waits() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "waiting for another run" in said

    with steps.exclusively(shared):
        second = threading.Thread(target=steps.prepare, args=([shared],))
        second.start()
        wait_until(waits)
        state["current"] = True
    second.join(PATIENCE_SECONDS)
    assert not second.is_alive()
    assert made == []


# Commands


def test_a_failing_command_is_named_with_the_end_of_what_it_wrote() -> None:
    code = "for n in range(100): print('line', n)\nraise SystemExit(3)"
    with pytest.raises(steps.BootstrapError, match="exit code 3") as caught:
        steps.run([sys.executable, "-c", code])
    assert "line 99" in str(caught.value)
    assert "line 9\n" not in str(caught.value)


def test_a_command_is_heard_where_it_is_told_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('to nobody'); print('half a minute ...', file=sys.stderr)"
    steps.run([sys.executable, "-c", code])
    assert capsys.readouterr().err == ""
    steps.run([sys.executable, "-c", code], aloud=True)
    said = capsys.readouterr().err
    assert re.fullmatch(r"\[setup \d+:\d\d\] half a minute \.\.\.\n", said)


def test_uv_takes_the_index_that_pip_was_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "global.index-url='https://index.invalid/simple'\n:env:.cert='/etc/ours.pem'\n"
    monkeypatch.setattr(uv, "answer_of", lambda command: listing)
    monkeypatch.setattr(uv, "_uv_folder", lambda: Path("/nowhere"))
    for name in ("UV_DEFAULT_INDEX", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    env = uv._uv_environment()
    assert env["UV_DEFAULT_INDEX"] == "https://index.invalid/simple"
    assert env["SSL_CERT_FILE"] == "/etc/ours.pem"
    uv._uv_environment.cache_clear()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.invalid/simple")
    assert uv._uv_environment()["UV_DEFAULT_INDEX"] == "https://own.invalid/simple"


# Versions and locks


def test_the_newest_of_each_way_is_tested_in_full_and_every_other_version_too() -> None:
    assert len(editions.full()) == 2
    tested = editions.full() + editions.smoke()
    assert {*tested} <= {*editions.every()}
    assert {editions.way_and_version(each)[1] for each in tested} == {*editions.versions()}
    for way in (editions.SOURCE, editions.PLUGIN):
        newest = max(editions.versions(way), key=lambda text: [int(n) for n in text.split(".")])
        assert f"{way}-{newest}" in editions.full()


@pytest.mark.parametrize("edition", ["plugin-0.0.1", "source", "", "../plugin-0.12.4"])
def test_an_edition_that_is_not_listed_is_refused(edition: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        editions.way_and_version(edition)


@pytest.mark.parametrize("version", editions.versions())
def test_a_lock_pins_all_that_the_kit_needs_and_open_webui_by_hash(version: str) -> None:
    stock, requirements = environments._lock_of(version)
    assert re.match(rf"open-webui=={re.escape(version)} \\\n +--hash=sha256:[0-9a-f]{{64}}", stock)
    lines = [line for line in requirements.splitlines() if not line.startswith("#")]
    pins = dict(re.fullmatch(r"([a-z0-9-]+)==(\S+)", line).groups() for line in lines)
    project = tomllib.loads((editions.REPO / "pyproject.toml").read_text())["project"]
    for needed in project["dependencies"]:
        assert re.split(r"[^A-Za-z0-9-]", needed)[0].lower() in pins
    assert not {"open-webui", "torch", "transformers", "sentence-transformers"} & set(pins)


# The system


@pytest.fixture
def something_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"fuse": (lambda: False, ("cczoo-no-such-package", "util-linux"))}
    monkeypatch.setattr(machine, "SYSTEM_NEEDS", needs)


@pytest.mark.usefixtures("something_missing")
def test_without_root_the_exact_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(steps.BootstrapError) as caught:
        machine.system(["fuse"])
    assert "sudo apt-get install -y --no-install-recommends util-linux" in " ".join(
        str(caught.value).replace("&& ", "\n").splitlines()
    )


@pytest.mark.usefixtures("something_missing")
def test_elsewhere_than_on_debian_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    with pytest.raises(steps.BootstrapError, match="util-linux"):
        machine.system(["fuse"])


def test_the_browsers_of_the_tests_are_packages_too() -> None:
    packages = {name for need in machine.FOR_TESTING for name in machine.SYSTEM_NEEDS[need][1]}
    assert {"chromium", "firefox-esr", "webkit2gtk-driver", "xvfb"} <= packages


def test_the_unit_tests_have_the_proxy_that_they_start() -> None:
    packages = {name for need in machine.FOR_UNIT_TESTS for name in machine.SYSTEM_NEEDS[need][1]}
    assert "nginx-light" in packages
    assert {*machine.FOR_UNIT_TESTS} <= {*machine.FOR_TESTING}


def test_without_node_the_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    with pytest.raises(steps.BootstrapError, match=r"Node\.js 20"):
        machine.check_node()


@pytest.mark.parametrize("version", ["18.20.4", "20.18.9", "21.7.0", "22.12.0", "23.0.0", ""])
def test_a_node_of_another_version_is_refused_before_any_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    put_node(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(steps.BootstrapError, match=version or "does not start"):
        machine.check_node()


@pytest.mark.parametrize("version", ["20.19.0", "20.20.2", "22.13.0", "22.99.1"])
def test_a_node_that_builds_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    put_node(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machine.check_node()


def put_node(folder: Path, version: str) -> None:
    """A `node` that says it has this version, and an `npm`."""
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


def test_without_root_the_tests_say_so_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(steps.BootstrapError, match="sudo make test"):
        machine.check_privileges()


def put_python(folder: Path, name: str, version: str | None) -> Path:
    """An interpreter that says it has this version; None for one that does not start.

    A version manager's shim exists but fails when that version is not selected.
    """
    shim = folder / name
    does = "exit 127" if version is None else f"echo Python {version}"
    shim.write_text(f"#!/bin/sh\n{does}\n")
    shim.chmod(0o755)
    return shim


@pytest.fixture
def running_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str | None], Path]:
    """Play a machine whose only Python, which runs this, is of one version."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def run_on(version: str | None) -> Path:
        interpreter = put_python(tmp_path, "python", version)
        monkeypatch.setattr(machine.sys, "executable", str(interpreter))
        return interpreter

    return run_on


RunningOn = Callable[[str | None], Path]


def test_a_python_that_does_not_start_is_passed_over(running_on: RunningOn, tmp_path: Path) -> None:
    running_on(None)
    for name in ("python3.11", "python3.12"):
        put_python(tmp_path, name, None)
    with pytest.raises(steps.BootstrapError, match=r"Python 3\.11 or newer is needed"):
        machine.find_python()
    put_python(tmp_path, "python3.12", "3.12.1")
    assert machine.find_python() == machine.find_webui_python() == "python3.12"


@pytest.mark.parametrize("version", ["3.11.2", "3.12.1", "3.13.0", "3.14.0rc1", "4.0.0"])
def test_the_kit_takes_any_newer_python(running_on: RunningOn, version: str) -> None:
    interpreter = running_on(version)
    assert machine.find_python() == str(interpreter)


@pytest.mark.parametrize("version", ["3.10.13", "2.7.18", "three", ""])
def test_an_older_python_is_refused_by_its_name(running_on: RunningOn, version: str) -> None:
    running_on(version)
    with pytest.raises(steps.BootstrapError, match=r"Python 3\.11 or newer is needed"):
        machine.find_python()


def test_a_python_that_is_too_new_for_open_webui_still_makes_wheel_and_environment(
    running_on: RunningOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_on("3.13.0")
    assert {part.name for part in bootstrap.chosen(["dev", "wheel"], None)} == {"dev", "wheel"}
    for name in ("webui", f"webui-{editions.full()[0]}", "model"):
        with pytest.raises(steps.BootstrapError, match=r"open-webui needs Python 3\.11 or 3\.12"):
            bootstrap.chosen([name], None)


def test_open_webui_gets_a_python_of_its_own_where_ours_is_too_new(
    running_on: RunningOn, tmp_path: Path
) -> None:
    ours = running_on("3.13.0")
    put_python(tmp_path, "python3.11", "3.11.7")
    assert machine.find_python() == str(ours)
    assert machine.find_webui_python() == "python3.11"


# Before the demonstration


@pytest.fixture
def demonstration(monkeypatch: pytest.MonkeyPatch) -> steps.Part:
    """Something that `make demo` makes afterwards, and that this never does."""
    later = part("later", lambda: pytest.fail("that is for the demonstration"), disk=40)
    monkeypatch.setattr(bootstrap, "demonstration", lambda: [later])
    return later


def choose(monkeypatch: pytest.MonkeyPatch, chosen: steps.Part) -> None:
    monkeypatch.setattr(bootstrap, "chosen", lambda _names, _at: [chosen])


@pytest.mark.usefixtures("demonstration")
def test_the_demonstration_is_told_with_what_comes_before_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    choose(monkeypatch, part("now", lambda: made.append("now"), disk=2))
    bootstrap.prepare_all(["dev"], None, before_demo=True)
    said = capsys.readouterr().err
    assert said.count("to be made: now; later") == said.count("to be made") == 1
    assert "42 MB of disk" in said
    assert made == ["now"]


def test_where_nothing_comes_before_it_the_demonstration_speaks_for_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], demonstration: steps.Part
) -> None:
    choose(monkeypatch, part("now", lambda: None, current=lambda: True))
    bootstrap.prepare_all(["dev"], None, before_demo=True)
    assert demonstration.what not in capsys.readouterr().err


def test_a_disk_too_small_for_the_demonstration_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    choose(monkeypatch, part("now", lambda: made.append("now")))
    endless = part("later", lambda: None, disk=10**9)
    monkeypatch.setattr(bootstrap, "demonstration", lambda: [endless])
    with pytest.raises(steps.BootstrapError, match="are needed"):
        bootstrap.prepare_all(["dev"], None, before_demo=True)
    assert made == []


@pytest.mark.usefixtures("demonstration")
def test_what_cannot_be_told_yet_is_told_in_its_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_yet() -> list[steps.Part]:
        raise steps.BootstrapError("no Python yet")

    choose(monkeypatch, part("now", lambda: None))
    monkeypatch.setattr(bootstrap, "demonstration", not_yet)
    bootstrap.prepare_all(["dev"], None, before_demo=True)
    assert "to be made: now\n" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["", "latest", "0.0.1; true"])
@pytest.mark.parametrize("plugin", ["", "1"])
def test_the_demonstration_goes_by_its_variables(
    monkeypatch: pytest.MonkeyPatch, plugin: str, version: str
) -> None:
    monkeypatch.setenv("PLUGIN", plugin)
    monkeypatch.setenv("VERSION", version)
    names = [each.name for each in bootstrap.demonstration()]
    source, plugged = editions.full()
    edition = plugged if plugin else source
    assert names == [*([] if plugin else ["open-webui"]), f"webui-{edition}", "model"]


def with_needs(parts: Iterable[steps.Part]) -> dict[str, steps.Part]:
    """All of these and what they need, whether it is there or not."""
    found: dict[str, steps.Part] = {}
    for each in parts:
        found |= with_needs(each.needs) | {each.name: each}
    return found


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_says_what_all_of_the_demonstration_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, readme: str
) -> None:
    """On a machine that has the system's packages."""
    monkeypatch.setenv("DEMO_HOME", str(tmp_path))
    for name in ("PLUGIN", "VERSION", "OPENWEBUI_DIR"):
        monkeypatch.delenv(name, raising=False)
    every = with_needs([environments.dev_part(), *bootstrap.demonstration()]).values()
    text = (BOOTSTRAP.parents[1] / readme).read_text()
    sizes = re.findall(r"(\d+\.\d) GB", text)
    assert sizes == [
        f"{sum(each.download for each in every) / 1000:.1f}",
        f"{sum(each.disk for each in every) / 1000:.1f}",
    ]

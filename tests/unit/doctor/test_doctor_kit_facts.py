"""Asking a Python about the kit: bounded, believed to nothing, and nobody's as root."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from cczoo_installer.doctor import kit_facts
from cczoo_installer.doctor.kit_facts import diagnosis, own_diagnosis, probe
from cczoo_installer.kit import kit_version
from environment_double import KIT, Environment

NOBODY = 65534


def replace_python(environment: Environment, script: str) -> Path:
    """Put a program in the place of an environment's Python."""
    environment.python.unlink()
    environment.python.write_text(f"#!/bin/sh\n{script}\n")
    environment.python.chmod(0o755)
    return environment.python


def test_a_real_environment_says_what_it_would_import(environment: Environment) -> None:
    told = probe(environment.python, path=None, again="", root=False)
    assert told.members["open_webui"]["place"] == str(environment.package / "__init__.py")
    assert told.members["kit"] == {"version": None, "place": None}
    environment.add_the_kit()
    told = probe(environment.python, path=None, again="", root=False)
    assert told.members["kit"] == {"version": kit_version(), "place": str(KIT / "__init__.py")}


def test_the_servers_own_path_counts(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "cczoo_backend").mkdir(parents=True)
    (tmp_path / "elsewhere" / "cczoo_backend" / "__init__.py").touch()
    told = probe(environment.python, path=str(tmp_path / "elsewhere"), again="", root=False)
    assert str(told.members["kit"]["place"]).startswith(str(tmp_path / "elsewhere"))


def test_the_kit_in_an_environment_is_asked(environment: Environment) -> None:
    environment.add_the_kit()
    told = diagnosis(environment.python, root=False)
    assert (told.members["v"], told.members["kit"]) == (1, kit_version())


def test_our_own_kit_is_asked_where_things_lie(tmp_path: Path) -> None:
    told = own_diagnosis([tmp_path], {"TEE_PCCS_URL": "https://pccs.example"})
    assert told.members["services"]["pccs"] == "https://pccs.example"
    assert set(told.members["stores"]) == {str(tmp_path)}


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo",
        "echo '[1, 2]'",
        "echo '{'; exit 0",
        "printf '\\377'",
        "kill -9 $$",
        "cat /dev/zero",  # has no end
        "echo '{}'; exit 3",
        "printf '%0200000d' 0 | tr 0 '['",
    ],
)
def test_a_python_that_answers_nonsense_is_told(environment: Environment, script: str) -> None:
    told = probe(replace_python(environment, script), path=None, again="", root=False)
    assert not told.members
    assert told.why
    assert told.cure


@pytest.mark.parametrize("script", ["sleep 600", "exec 1>&-; sleep 600", "sleep 600 & echo '{}'"])
def test_a_python_that_hangs_is_ended_with_its_children(
    environment: Environment, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_facts, "SECONDS", 0.5)
    note = f"echo $$ > {tmp_path}/pid\n{script}"
    told = probe(replace_python(environment, note), path=None, again="", root=False)
    assert not told.members
    group = int((tmp_path / "pid").read_text())
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("something of it runs on")


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = probe(tmp_path / "python", path=None, again="", root=False)
    assert "No such file" in told.why


def give_away(path: Path) -> None:
    """Let a file be another user's than root's."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.parametrize("which", ["package", "python", "site", "mapped"])
def test_nothing_of_a_users_is_run_as_root(
    environment: Environment, which: str, tmp_path: Path
) -> None:
    mark = tmp_path / "it-ran"
    environment.python.unlink()
    environment.python.write_text(f"#!/bin/sh\ntouch {mark}; echo '{{}}'\n")
    environment.python.chmod(0o755)
    mapped = tmp_path / "mapped"
    mapped.mkdir()
    places = {
        "package": environment.package,
        "python": environment.python,
        "site": environment.site,
        "mapped": mapped,
    }
    give_away(places[which])
    path = str(mapped) if which == "mapped" else None
    told = probe(environment.python, path=path, again="cczoo-install doctor", root=True)
    assert told.skipped
    assert "not run as root" in told.why
    assert "sudo -u" in told.cure
    assert "cczoo-install doctor" in told.cure
    assert not mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files that are root's")
def test_what_everybody_can_write_to_is_not_run_as_root(environment: Environment) -> None:
    environment.site.chmod(0o777)
    told = probe(environment.python, path=None, again="", root=True)
    assert told.skipped
    assert "everybody" in told.why
    assert "chmod" in told.cure


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files that are root's")
def test_what_is_roots_is_run_as_root(environment: Environment) -> None:
    told = probe(environment.python, path=None, again="", root=True)
    assert told.members["open_webui"]["place"]

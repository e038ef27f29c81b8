"""The folder of commands is no place to import from, unless something already was."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from cczoo_backend.scripts_folder import scripts_folders, without_scripts


def module(name: str, file: object) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = file  # type: ignore[assignment]
    return made


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def test_the_folder_of_commands_is_left_by_whatever_name(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(scripts)
    path = [str(scripts), "/elsewhere/bin", str(tmp_path / "link"), f"{tmp_path}/link/../bin"]
    modules = {
        "__main__": module("__main__", str(scripts / "open-webui")),
        "__mp_main__": module("__mp_main__", str(scripts / "open-webui")),
        "json": module("json", "/lib/json.py"),
        "builtin": module("builtin", None),
        "odd": module("odd", 1),
    }
    assert without_scripts(path, modules, {str(scripts)}) == ["/elsewhere/bin"]


@pytest.mark.parametrize("file", ["typer.py", "typer/__init__.py", "deep/er/x.so"])
def test_one_that_a_module_came_from_stays(scripts: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "link").symlink_to(scripts)
    for folder in (scripts, tmp_path / "link"):
        modules = {"typer": module("typer", str(folder / file))}
        assert without_scripts([str(folder)], modules, {str(scripts)}) == [str(folder)]


def test_what_is_linked_into_it_came_from_it(scripts: Path, tmp_path: Path) -> None:
    (scripts / "typer.py").symlink_to(tmp_path / "elsewhere.py")
    modules = {"typer": module("typer", str(scripts / "typer.py"))}
    assert without_scripts([str(scripts)], modules, {str(scripts)}) == [str(scripts)]


def test_the_folder_of_this_python_s_commands_is_known() -> None:
    assert str(Path(sysconfig.get_path("scripts")).resolve()) in scripts_folders()

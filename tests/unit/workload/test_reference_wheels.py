"""What wheels are measured as, and wheels that installers refuse or differ about."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from cczoo_verifier import reference_wheels
from cczoo_verifier.problems import FileError
from cczoo_verifier.reference_wheels import wheel_distribution, wheels_environment
from hypothesis import given
from hypothesis import strategies as st
from made_wheels import CORE, WHEELS, write_wheel, write_wheels

STEM = "acme_core-2.0+cpu"


def code_of(wheel: Path) -> str:
    with pytest.raises(FileError) as caught:
        wheel_distribution(wheel)
    return caught.value.code


def made(folder: Path, files: Mapping[str, bytes]) -> Path:
    path = folder / "made.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_folder_with_a_wheels_content_is_that_wheel(tmp_path: Path) -> None:
    for wheel in write_wheels(tmp_path / "wheels"):
        folder = tmp_path / wheel.stem
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        assert wheel_distribution(folder) == wheel_distribution(wheel)


def test_scripts_headers_and_data_go_elsewhere(tmp_path: Path) -> None:
    whole = wheel_distribution(write_wheel(tmp_path, STEM, CORE))
    installed = {
        name: data
        for name, data in CORE.items()
        if not any(f".data/{kind}/" in name for kind in ("scripts", "headers", "data"))
    }
    assert len(installed) == len(CORE) - 3
    (tmp_path / "b").mkdir()
    assert wheel_distribution(write_wheel(tmp_path / "b", STEM, installed)) == whole


def test_purelib_is_where_the_rest_is(tmp_path: Path) -> None:
    moved = {
        name.removeprefix(f"{STEM}.data/purelib/").removeprefix(f"{STEM}.data/platlib/"): data
        for name, data in CORE.items()
    }
    (tmp_path / "b").mkdir()
    whole = wheel_distribution(write_wheel(tmp_path, STEM, CORE))
    assert wheel_distribution(write_wheel(tmp_path / "b", STEM, moved)) == whole


def test_the_order_of_wheels_does_not_matter(tmp_path: Path) -> None:
    wheels = write_wheels(tmp_path / "wheels")
    assert len(wheels) == len(WHEELS)
    assert wheels_environment(wheels) == wheels_environment(reversed(wheels))
    assert wheels_environment(wheels) != wheels_environment(wheels[1:])


INFO: Mapping[str, bytes] = {"a-1.dist-info/METADATA": b"Name: a\n"}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.py": b""},
        {"a.dist-info/METADATA": b""},
        {"a b-1.dist-info/METADATA": b""},
        {**INFO, "b-1.dist-info/METADATA": b""},
        {**INFO, "../a.py": b""},
        {**INFO, "a/../../b.py": b""},
        {**INFO, "/etc/passwd": b""},
        {**INFO, "a//b.py": b""},
        {**INFO, "./a.py": b""},
        {**INFO, "a\\b.py": b""},
        {**INFO, "a-1.data/purelib/../../b.py": b""},
        {**INFO, "a.py": b"1", "a-1.data/purelib/a.py": b"2"},
    ],
)
def test_wheels_that_nobody_should_install(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    assert code_of(made(tmp_path, files)) == "wheel-unusable"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice(tmp_path: Path) -> None:
    wheel = made(tmp_path, {**INFO, "a.py": b"1"})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("a.py", b"2")
    assert code_of(wheel) == "wheel-unusable"


def test_more_than_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made(tmp_path, {**INFO, "a.py": b"1" * 1000})
    monkeypatch.setattr(reference_wheels, "SIZE_MAX", 1000)
    assert code_of(wheel) == "wheel-unusable"


def test_no_wheel(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nothing.whl") == "wheel-unreadable"
    (tmp_path / "text.whl").write_bytes(b"text")
    assert code_of(tmp_path / "text.whl") == "wheel-unreadable"
    assert code_of(tmp_path) == "wheel-unusable"


@given(st.data())
def test_a_damaged_wheel_is_the_same_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("wheel")
    wheel = write_wheel(folder, "a-1", {"a.py": b"content\n" * 4})
    whole, content = wheel_distribution(wheel), bytearray(wheel.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    wheel.write_bytes(content)
    with suppress(FileError):
        found = wheel_distribution(wheel)
        # What zip says of times and systems may differ, and nothing else.
        assert found == whole or found.digest != whole.digest

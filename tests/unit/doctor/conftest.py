"""Scenes for the doctor: nothing runs, nothing is known, until a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import patchset
from cczoo_installer.doctor.scene import Options, Scene
from environment_double import Environment, make_environment

from preparation import editions

MakeScene = Callable[..., Scene]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine stands between the doctor and the doubles."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A kernel that has no processes and plenty of memory."""
    folder = tmp_path / "proc"
    (folder / "net").mkdir(parents=True)
    (folder / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    (folder / "stat").write_text("cpu 1 2 3\nbtime 1700000000\n")
    return folder


@pytest.fixture
def scene(proc: Path) -> MakeScene:
    """Makes a scene; what the command line says, and members of the scene, by name."""

    def make(
        directory: Path | None = None,
        url: str | None = None,
        offline: bool = False,
        env: Mapping[str, str] | None = None,
        **members: Any,
    ) -> Scene:
        patches = patchset.default_root()
        options = Options(directory, url, None, offline, patches, env or {}, proc)
        return Scene(options, **members)

    return make


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A real environment with the oldest supported open-webui, and without the kit."""
    return make_environment(tmp_path / "environment", editions.versions()[0])

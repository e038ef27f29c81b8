"""What is measured at a start: digests as find and sha256sum give them, or why there is none."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cczoo_backend.workload import start_facts as module
from cczoo_backend.workload.start_facts import Missing, Places, import_folders, start_facts
from quote_generator.workload.environment import measure_environment
from quote_generator.workload.events import Fact

TREE = "LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum"


def by_command(folder: Path, find: str = "find . -type f -printf '%P\\0'") -> str:
    """The digest of a folder, as docs/measured.md says how to compute it."""
    done = subprocess.run(
        ["bash", "-c", f"{find} | {TREE}"], cwd=folder, capture_output=True, text=True, check=True
    )
    return "sha256:" + done.stdout.split()[0]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def install(site: Path, name: str, version: str, files: dict[str, str]) -> None:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    record = "".join(f"{each},,\n" for each in files)
    write(site, {**files, f"{info}/METADATA": f"Name: {name}\n", f"{info}/RECORD": record})


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "site-packages"
    install(folder, "open-webui", "9.8.7", {"open_webui/main.py": "app = 1\n"})
    install(folder, "cczoo-trust-badge", "1.2.3", {"cczoo_backend/__init__.py": "\n"})
    return folder


@pytest.fixture
def places(tmp_path: Path, site: Path) -> Places:
    library = tmp_path / "lib"
    write(library, {"os.py": "\n", "lib-dynload/x.so": "\n"})
    front_end = tmp_path / "front end"
    write(front_end, {"index.html": "<head>", "_app/a.js": "1", "_app/new\nline.js": "2"})
    return Places(
        package=site / "open_webui",
        version="9.8.7-dev",
        front_end=front_end,
        page={"loader-A.js": b"x", "attest-B.js": b"y"},
        path=[str(library), str(library / "lib-dynload"), str(site), str(site), str(site / "no")],
        library=str(library),
    )


def measured(places: Places) -> dict[str, object]:
    return {
        found.kind: dict(found.content) if isinstance(found, Fact) else found.why
        for found in start_facts(places)
    }


def test_each_kind_has_its_fact(places: Places, site: Path, tmp_path: Path) -> None:
    environment = measure_environment([site])
    kit, webui = (environment.distribution(name) for name in ("cczoo-trust-badge", "open-webui"))
    write(tmp_path / "page", {"attest-B.js": "y", "loader-A.js": "x"})
    assert places.front_end
    found = measured(places)
    assert list(found) == list(module.KINDS)
    assert found["kit"] == {"digest": kit.digest, "version": "1.2.3", "v": 1}
    assert found["open-webui"] == {
        "digest": webui.digest,
        "version": "9.8.7",
        "way": "plugin",
        "v": 1,
    }
    assert found["front-end"] == {"digest": by_command(places.front_end), "v": 1}
    assert found["page"] == {"digest": by_command(tmp_path / "page"), "v": 1}
    library = found["environment"]
    assert isinstance(library, dict)
    assert library["digest"] == environment.digest
    assert (library["distributions"], library["unlisted_files"]) == (2, 0)
    without = "find . -name site-packages -prune -o -type f -printf '%P\\0'"
    assert library["python"] == by_command(tmp_path / "lib", without)


def test_a_source_tree_is_known_by_the_package_s_folder(places: Places, tmp_path: Path) -> None:
    """What open-webui writes there while it runs does not count, but what can be imported does."""
    package = tmp_path / "backend" / "open_webui"
    write(
        package, {"main.py": "app", "a/b.py": "b", "static/x/swagger.js": "1", "data/up.txt": "1"}
    )
    write(package, {"static/x/module.py": "m", "__pycache__/main.cpython-311.pyc": "c"})
    os.mkfifo(package / "data" / "pipe")
    find = "printf '%s\\0' a/b.py main.py static/x/module.py"
    source = replace(places, package=package)
    assert measured(source)["open-webui"] == {
        "digest": by_command(package, find),
        "version": "9.8.7-dev",
        "way": "source",
        "v": 1,
    }
    before = measured(source)["open-webui"]
    write(package, {"static/x/swagger.js": "2", "data/up.txt": "2"})
    assert measured(source)["open-webui"] == before
    write(package, {"a/b.py": "c"})
    assert measured(source)["open-webui"] != before


def test_a_source_tree_is_no_unlisted_code(places: Places, tmp_path: Path) -> None:
    """The fact of open-webui answers for the package; of an installed one, RECORD does."""
    backend = tmp_path / "backend"
    write(backend, {"open_webui/main.py": "app", "open_webui/a/b.py": "b", "beside.py": "c"})
    source = replace(places, package=backend / "open_webui", path=[*places.path, str(backend)])
    for some, count in ((source, 1), (replace(source, package=places.package), 3)):
        environment = measured(some)["environment"]
        assert isinstance(environment, dict)
        assert environment["unlisted_files"] == count


def test_what_cannot_be_measured_says_why_and_leaves_the_others(
    places: Places, tmp_path: Path
) -> None:
    poor = replace(places, front_end=None, page=None)
    found = measured(poor)
    assert (found["front-end"], found["page"]) == ("no-front-end", "no-page")
    os.mkfifo(tmp_path / "lib" / "site-packages" / "pipe")
    found = measured(places)
    whys = {kind: why for kind, why in found.items() if isinstance(why, str)}
    assert whys == dict.fromkeys(("kit", "open-webui", "environment"), "special-file")


def test_a_kit_that_is_not_installed_has_no_digest(places: Places, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    (site / "cczoo_trust_badge-1.2.3.dist-info").rename(tmp_path / "away")
    found = measured(places)
    assert found["kit"] == "no-distribution"
    assert isinstance(found["environment"], dict)
    assert found["environment"]["unlisted_files"] == 1


def test_an_unexpected_error_is_told_and_not_fatal(
    places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def broken(folders: list[str], package: Path | None) -> None:
        calls.append(folders)
        raise ZeroDivisionError

    monkeypatch.setattr(module, "measure_environment", broken)
    assert [each for each in start_facts(places) if isinstance(each, Missing)] == [
        Missing("kit", "failed"),
        Missing("open-webui", "failed"),
        Missing("environment", "failed"),
    ]
    assert len(calls) == 1
    assert "ZeroDivisionError" in caplog.text


def test_an_archive_that_python_imports_from_is_no_folder(tmp_path: Path) -> None:
    archive = tmp_path / "more.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(module.NotMeasurable) as caught:
        import_folders([str(archive)], str(tmp_path / "lib"))
    assert caught.value.code == "archive-on-path"


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        ("lib", False),
        ("lib/lib-dynload", False),
        ("lib/site-packages", True),
        ("lib/dist-packages", True),
        ("library", True),
        ("elsewhere", True),
        ("not-there", False),
    ],
)
def test_folders_that_python_imports_from(tmp_path: Path, entry: str, counts: bool) -> None:
    for name in (
        "lib/lib-dynload",
        "lib/site-packages",
        "lib/dist-packages",
        "library",
        "elsewhere",
    ):
        (tmp_path / name).mkdir(parents=True)
    found = import_folders([str(tmp_path / entry)] * 2, str(tmp_path / "lib"))
    assert found == ([str(tmp_path / entry)] if counts else [])


def test_relative_folders_begin_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module.sys, "path", ["", "some", "/x"])
    found = Places.of_this_process(tmp_path, "1", None, None).path
    assert found == [f"{tmp_path}/", f"{tmp_path}/some", "/x"]

"""A Python environment: the same digests from wheels, other ones for whatever was changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cczoo_installer.hook_line import BESIDE, FILE, hook_line
from cczoo_verifier.reference_wheels import wheel_distribution, wheels_environment
from hypothesis import given
from hypothesis import strategies as st
from made_wheels import install_by_hand, install_by_pip, install_by_uv, write_wheel, write_wheels

from quote_generator.workload import environment
from quote_generator.workload.environment import (
    HOOK,
    HOOK_SHA256,
    Environment,
    is_counted,
    measure_environment,
    measure_interpreter,
    normalized,
)
from quote_generator.workload.files import NotMeasurable

NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
INFO = "open_webui-1.2.dist-info"
RECORD = f"{INFO}/RECORD"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages folder with open-webui and a module of another distribution."""
    folder = tmp_path / "site-packages"
    wheels = [each for each in write_wheels(tmp_path) if not each.name.startswith("acme_core")]
    install_by_hand(wheels, folder)
    return folder


def measured(site: Path) -> Environment:
    return measure_environment([site])


def code_of(site: Path) -> str:
    with pytest.raises(NotMeasurable) as caught:
        measured(site)
    assert str(caught.value).isascii()
    return caught.value.code


def add_row(site: Path, row: bytes) -> None:
    with (site / RECORD).open("ab") as file:
        file.write(row + b",,\n")


def drop_row(site: Path, path: bytes) -> None:
    rows = (site / RECORD).read_bytes().splitlines(keepends=True)
    kept = [row for row in rows if not row.startswith(path + b",")]
    assert len(kept) == len(rows) - 1
    (site / RECORD).write_bytes(b"".join(kept))


# --- the same from the wheels ---------------------------------------------------------------------


@pytest.mark.parametrize("install", [install_by_uv, install_by_pip])
def test_what_an_installer_makes_follows_from_the_wheels(
    tmp_path: Path, install: Callable[[list[Path], Path], Path]
) -> None:
    wheels = write_wheels(tmp_path / "wheels")
    found = measured(install(wheels, tmp_path / "some" / "where"))
    assert {*found.distributions} == {*map(wheel_distribution, wheels)}
    assert found.digest == wheels_environment(wheels)
    assert found.unlisted_files == ()
    assert found.unlisted == NOTHING
    assert found.bytecode_files > 0
    names = [(each.name, each.version) for each in found.distributions]
    assert sorted(names) == [
        ("acme-core", "2.0+cpu"),
        ("acme-plug", "0.1.post1"),
        ("open-webui", "1.2"),
    ]
    assert found.distribution("Open_WebUI").version == "1.2"


def test_the_place_does_not_matter(site: Path, tmp_path: Path) -> None:
    before = measured(site)
    shutil.copytree(site, tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert measured(tmp_path / "elsewhere") == before
    assert measured(tmp_path / "link") == before


def test_folders_in_any_order_and_named_twice(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    install_by_hand([write_wheel(tmp_path, "more-3", {"more.py": b"3"})], other)
    (other / "evil.py").write_bytes(b"1")
    both = measure_environment([site, other])
    assert both == measure_environment([other, site, tmp_path / "other" / ".." / "other"])
    assert both.digest != measured(site).digest
    assert both.unlisted_files == (b"evil.py",)


def test_what_installers_and_open_webui_write_does_not_count(site: Path) -> None:
    before = measured(site)
    for name in ("REQUESTED", "direct_url.json", "uv_cache.json", "INSTALLER"):
        (site / INFO / name).write_text("another installer")
    # As open-webui's first start leaves it.
    shutil.rmtree(site / "data")
    (site / "open_webui_data.zip").write_bytes(b"PK")
    (site / "open_webui/data/uploads").mkdir()
    (site / "open_webui/data/uploads/9f1c-22_evil.py").write_bytes(b"somebody's upload")
    (site / "open_webui/data/vector_db.sqlite3").write_bytes(b"rows")
    os.mkfifo(site / "open_webui/data/socket")
    (site / "open_webui/static/favicon.png").write_bytes(b"another picture")
    (site / "open_webui/static/custom.css").write_bytes(b"a {}")
    # Data that nobody imports.
    (site / "open_webui/frontend/notes.txt").write_bytes(b"unnamed")
    assert measured(site) == before


def test_bytecode_is_counted_apart(site: Path) -> None:
    before = measured(site)
    cache = site / "open_webui" / "__pycache__"
    cache.mkdir()
    (cache / "main.cpython-311.pyc").write_bytes(b"compiled")
    (cache / "main.cpython-311.opt-1.pyc").write_bytes(b"compiled")
    add_row(site, b"open_webui/__pycache__/main.cpython-311.pyc")
    after = measured(site)
    assert (after.digest, after.unlisted) == (before.digest, before.unlisted)
    assert (before.bytecode_files, after.bytecode_files) == (0, 2)
    assert before.bytecode == NOTHING != after.bytecode


# --- what was changed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "open_webui/__init__.py",
        "open_webui/main.py",
        "open_webui/migrations/versions/7e5b_init.py",
        "open_webui/frontend/index.html",
        "requirements-slim.txt",
        "six.py",
        "acme/plug/__init__.py",
        f"{INFO}/entry_points.txt",
        f"{INFO}/METADATA",
        f"{INFO}/licenses/LICENSE",
    ],
)
def test_a_changed_byte_or_a_removed_file(site: Path, path: str) -> None:
    before = measured(site)
    data = (site / path).read_bytes()
    (site / path).write_bytes(bytes([data[0] ^ 1]) + data[1:] if data else b"x")
    changed = measured(site)
    (site / path).unlink()
    removed = measured(site)
    assert len({before.digest, changed.digest, removed.digest}) == 3
    assert removed.unlisted == before.unlisted
    assert sum(each.missing for each in removed.distributions) == int(
        not path.startswith(INFO)
    ) or (removed.distribution("open-webui").missing == 1)


ADDED = [
    "sitecustomize.py",
    "usercustomize.py",
    "evil.pth",
    "evil.start",
    "x.abi3.so",
    "x.cpython-311-x86_64-linux-gnu.so",
    "sourceless.pyc",
    "easy.egg",
    "easy.egg-link",
    "libs/libz-1.so.1.3",
    "acme.libs/libz.so.1",
    "acme/.libs/libz.so",
    "acme-more/evil.py",  # importlib.import_module has no need of identifiers
    "evil.egg/evil.py",
    "some.zip",
    "acme/evil.py",  # in a namespace package
    "acme/evil/deep/er.py",
    "open_webui/evil.py",
    "open_webui/static/evil.py",
    "open_webui/static/inner/evil.abi3.so",
    "open_webui/data/evil.py",
    "data/evil.pyc",
    "open_webui/__pycache__/sourceless.pyc",
    "open_webui/__pycache__/evil.py",
    "evil.egg-info",
    "evil.egg-info/entry_points.txt",
    "~pen_webui-1.2.dist-info/entry_points.txt",
    "evil-1.0.DIST-INFO/entry_points.txt",
    "with space-1.0.dist-info/RECORD",
    "new\nline.py",
    "\udcff\udcfe.py",
    "\u202egnp.py",
]


@pytest.mark.parametrize("path", ADDED)
def test_an_added_file_that_nobody_names(site: Path, path: str) -> None:
    before = measured(site)
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_bytes(b"evil")
    after = measured(site)
    assert after.digest == before.digest
    assert after.unlisted != before.unlisted
    assert after.unlisted_files == (os.fsencode(path),)
    if (site / "evil").exists():
        return
    (site / path).write_bytes(b"more")
    assert measured(site).unlisted != after.unlisted


@pytest.mark.parametrize(
    "path",
    [
        ".cache/evil.py",
        ".cache/evil.pth",
        ".cache/deep/er/evil.so",
        ".venv/lib/python3.11/site-packages/evil/evil.so",
        "acme.libs/evil.py",
        "acme.libs/evil.so/evil.so",
        "acme/1.0/evil.py",
        "evil.py/__init__.py",
    ],
)
def test_an_added_file_that_no_import_leads_to(site: Path, path: str) -> None:
    before = measured(site)
    (site / path).parent.mkdir(parents=True)
    (site / path).write_bytes(b"evil")
    (site / path).with_name("a link").symlink_to("/tmp")
    os.mkfifo((site / path).with_name("pipe"))
    assert measured(site) == before
    add_row(site, path.encode())
    assert measured(site).digest != before.digest, "what a RECORD names counts everywhere"


@pytest.mark.parametrize("path", [each for each in ADDED if "-info" not in each.lower()])
def test_an_added_file_that_record_names(site: Path, path: str) -> None:
    before = measured(site)
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_bytes(b"evil")
    add_row(site, b'"' + os.fsencode(path) + b'"')
    after = measured(site)
    assert after.digest != before.digest
    assert after.unlisted == before.unlisted


def test_a_record_that_names_fewer_files(site: Path) -> None:
    before = measured(site)
    drop_row(site, b"open_webui/main.py")
    after = measured(site)
    assert after.digest != before.digest
    assert after.unlisted_files == (b"open_webui/main.py",)
    (site / RECORD).unlink()
    gone = measured(site)
    assert b"open_webui/__init__.py" in gone.unlisted_files
    assert gone.digest not in (before.digest, after.digest)


def test_a_record_that_names_anothers_file(site: Path) -> None:
    before = measured(site)
    add_row(site, b"open_webui/../six.py")
    assert measured(site).distribution("open-webui") != before.distribution("open-webui")
    assert measured(site).distribution("acme-plug") == before.distribution("acme-plug")


@pytest.mark.parametrize(
    "row",
    [
        b"../../etc/passwd",
        b"/etc/passwd",
        b"//etc/passwd",
        b"../../../bin/open-webui",
        b"open_webui/../../secret",
        b"..",
        b".",
        b"",
        b"/",
    ],
)
def test_names_outside_do_not_count(site: Path, row: bytes) -> None:
    before = measured(site)
    (site.parent / "secret").write_bytes(b"secret")
    os.mkfifo(site.parent / "pipe")
    add_row(site, row)
    add_row(site, b"../pipe")
    assert measured(site) == before


@pytest.mark.parametrize(
    "row", [b"nothing.py", b"open_webui/", b"a\0b.py", b"\xff.py", b"x" * 9999]
)
def test_names_of_nothing_are_told(site: Path, row: bytes) -> None:
    before = measured(site)
    add_row(site, row)
    after = measured(site)
    assert after.digest == before.digest
    assert after.distribution("open-webui").missing == 1


def test_a_distribution_that_is_there_twice(site: Path) -> None:
    before = measured(site)
    shutil.copytree(site / INFO, site / "Open.WebUI-1.2.dist-info")
    after = measured(site)
    assert after.digest != before.digest
    assert len(after.distributions) == len(before.distributions) + 1
    with pytest.raises(NotMeasurable) as caught:
        after.distribution("open-webui")
    assert caught.value.code == "distribution-twice"
    with pytest.raises(NotMeasurable) as caught:
        after.distribution("torch")
    assert caught.value.code == "no-distribution"


def test_another_version_in_the_name_alone(site: Path) -> None:
    before = measured(site)
    (site / INFO).rename(site / "open_webui-1.3.dist-info")
    assert measured(site).digest != before.digest


# --- the kit's hook -------------------------------------------------------------------------------


def test_the_hook_is_what_the_installer_writes() -> None:
    line = hook_line([BESIDE])
    assert os.fsdecode(HOOK) == FILE
    assert hashlib.sha256(line).hexdigest() == HOOK_SHA256
    assert line.count(b"('open_webui',)") == 1, "with another name there, nothing else differs"


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_the_hook_is_no_unlisted_file(site: Path, name: str) -> None:
    site = site.rename(site.parent / name)
    before = measured(site)
    (site / FILE).write_bytes(hook_line([BESIDE]))
    assert measured(site) == before


@pytest.mark.parametrize(
    "line",
    [
        b"",
        hook_line([BESIDE]) + b"\n",
        hook_line([BESIDE])[:-1],
        hook_line([BESIDE]).replace(b"\n", b"\r\n"),
        hook_line([BESIDE]) + b"import evil\n",
        hook_line(["/elsewhere/open_webui"]),
        hook_line([BESIDE, "/elsewhere/open_webui"]),
    ],
)
def test_anything_else_under_the_hooks_name_is_unlisted(site: Path, line: bytes) -> None:
    (site / FILE).write_bytes(line)
    assert measured(site).unlisted_files == (HOOK,)


@pytest.mark.parametrize("path", ["another.pth", "Cczoo_open_webui.pth", f"acme/{FILE}"])
def test_the_hook_under_another_name_is_unlisted(site: Path, path: str) -> None:
    (site / path).write_bytes(hook_line([BESIDE]))
    assert measured(site).unlisted_files == (path.encode(),)


def test_the_hook_counts_where_python_does_not_run_it_and_as_a_link(site: Path) -> None:
    other = site.parent / "other"
    other.mkdir()
    (other / FILE).write_bytes(hook_line([BESIDE]))
    assert measured(other).unlisted_files == (HOOK,)
    (site / "hook").write_bytes(hook_line([BESIDE]))
    (site / FILE).symlink_to("hook")
    assert measured(site).unlisted_files == (HOOK,)


def test_a_hook_without_end(site: Path) -> None:
    (site / FILE).write_bytes(bytes(environment.HOOK_MAX + 1))
    assert code_of(site) == "file-too-large"


@pytest.mark.parametrize("name", ["app", "an 'odd' \"\u00e9\\\n", "\udcff"])
def test_an_open_webui_out_of_its_sources_and_its_hook_are_known(site: Path, name: str) -> None:
    """As in a container image. What lies beside the package is still unlisted."""
    before = measured(site)
    package = site.parent / name / "open_webui"
    package.mkdir(parents=True)
    (package / "main.py").write_bytes(b"app = 1")
    (site / FILE).write_bytes(hook_line([str(package)]))
    both = [site, package.parent]
    assert measure_environment(both, package) == before
    assert measure_environment(both).unlisted_files == (HOOK, b"open_webui/main.py")
    (package.parent / "open_webui2.py").write_bytes(b"evil")
    (package.parent / "open_webui2").mkdir()
    (package.parent / "open_webui2/main.py").write_bytes(b"evil")
    assert measure_environment(both, package).unlisted_files == (
        b"open_webui2.py",
        b"open_webui2/main.py",
    )


def test_the_hook_of_an_open_webui_elsewhere_is_compared_byte_by_byte(site: Path) -> None:
    package = str(site.parent / "app" / "open_webui")
    line = hook_line([package])
    for other in (
        line + b"#" + line,
        hook_line([package, package]),
        hook_line([BESIDE, package]),
        line.replace(b"sealed requests", ascii((package,)).encode()),
        hook_line([package + "2"]),
    ):
        (site / FILE).write_bytes(other)
        assert measure_environment([site], package).unlisted_files == (HOOK,)


# --- links, pipes, and too much ------------------------------------------------------------------


@pytest.mark.parametrize("target", ["{outside}", "{inside}", "/nowhere"])
def test_a_link_swapped_in(site: Path, target: str) -> None:
    before = measured(site)
    outside = site.parent / "main.py"
    (site / "open_webui/main.py").rename(outside)
    link = target.format(outside=outside, inside=site / "six.py")
    (site / "open_webui/main.py").symlink_to(link)
    assert measured(site).digest != before.digest


def test_a_folder_swapped_for_a_link(site: Path) -> None:
    before = measured(site)
    (site / "open_webui").rename(site.parent / "open_webui")
    (site / "open_webui").symlink_to(site.parent / "open_webui")
    after = measured(site)
    assert after.digest != before.digest
    assert after.unlisted_files == (b"open_webui",)


@pytest.mark.parametrize(
    "name", ["evil", "evil.txt", f"{INFO}/REQUESTED", "open_webui/static/evil"]
)
def test_a_link_counts_whatever_it_is_called(site: Path, name: str) -> None:
    (site / name).symlink_to("/tmp")
    first = measured(site)
    assert first.unlisted_files == (name.encode(),)
    (site / name).unlink()
    (site / name).symlink_to("/var/tmp")
    assert measured(site).unlisted != first.unlisted


@pytest.mark.parametrize("name", ["pipe", "evil.py", f"{INFO}/pipe", "open_webui/static/evil.py"])
def test_a_pipe_is_an_error(site: Path, name: str) -> None:
    os.mkfifo(site / name)
    assert code_of(site) == "special-file"


@pytest.mark.parametrize("name", ["open_webui/main.py", RECORD])
def test_a_pipe_in_a_files_place_is_an_error(site: Path, name: str) -> None:
    (site / name).unlink()
    os.mkfifo(site / name)
    assert code_of(site) == "special-file"


def test_a_record_behind_a_link(site: Path) -> None:
    (site / RECORD).rename(site.parent / "RECORD")
    (site / RECORD).symlink_to(site.parent / "RECORD")
    assert code_of(site) == "file-changed"


def test_a_huge_record(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(site / RECORD, environment.RECORD_MAX + 1)  # a hole in a file takes no room
    assert code_of(site) == "file-too-large"
    (site / RECORD).write_bytes(b"".join(b"%d,,\n" % number for number in range(1000)))
    monkeypatch.setattr(environment, "FILES_MAX", 999)
    assert code_of(site) == "too-many-files"


def test_a_field_without_end(site: Path) -> None:
    add_row(site, b'"' + b"x" * (1 << 20))
    assert code_of(site) == "bad-record"


def test_ten_thousand_entries(site: Path) -> None:
    for number in range(10_000):
        (site / f"evil{number}.py").touch()
        add_row(site, b"nothing%d.py" % number)
    found = measured(site)
    assert len(found.unlisted_files) == 10_000
    assert found.distribution("open-webui").missing == 10_000


@given(record=st.binary(max_size=300))
def test_any_record_gives_digests_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, record: bytes
) -> None:
    site = tmp_path_factory.mktemp("site")
    (site / "a-1.dist-info").mkdir()
    (site / "a-1.dist-info" / "RECORD").write_bytes(record)
    (site / "a.py").touch()
    with suppress(NotMeasurable):
        found = measured(site)
        assert [each.name for each in found.distributions] == ["a"]
        assert found.unlisted_files == (b"a.py",) or found.distributions[0].files == 1


# --- rules ----------------------------------------------------------------------------------------


@given(st.text("aB.-_", min_size=1))
def test_names_are_normalized_once(name: str) -> None:
    assert normalized(normalized(name)) == normalized(name)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        (b"a/__pycache__/b.cpython-311.pyc", False),
        (b"__pycache__/b.cpython-311.opt-2.pyc", False),
        (b"a/__pycache__/b.pyc", True),
        (b"a/__pycache__/c/b.cpython-311.pyc", True),
        (b"a/b.pyc", True),
        (b"a-1.dist-info/RECORD", False),
        (b"a-1.dist-info/METADATA", True),
        (b"a-1.dist-info/inner/RECORD", True),
        (b"a/RECORD", True),
        (b"data/x.txt", False),
        (b"data/x.py", True),
        (b"database/x.txt", True),
        (b"open_webui/static/a.png", False),
        (b"open_webui/statics/a.png", True),
    ],
)
def test_which_files_count(path: bytes, counts: bool) -> None:
    assert is_counted(path) is counts


# --- the interpreter ------------------------------------------------------------------------------


def test_the_standard_library(tmp_path: Path) -> None:
    library = tmp_path / "python3.11"
    for name in ("os.py", "lib-dynload/_ssl.so", "site-packages/a.py", "__pycache__/os.x.pyc"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_bytes(name.encode())
    before = measure_interpreter(library, "3.11.7")
    (library / "site-packages/a.py").unlink()
    (library / "__pycache__/os.x.pyc").unlink()
    assert measure_interpreter(library, "3.11.7") == before
    (library / "sitecustomize.py").symlink_to("/etc/python3.11/sitecustomize.py")
    linked = measure_interpreter(library, "3.11.7")
    assert linked.digest != before.digest
    assert linked.links == (b"sitecustomize.py",)


def test_our_own_standard_library() -> None:
    found = measure_interpreter(sysconfig.get_path("stdlib"), sys.version.split()[0])
    assert found.digest.startswith("sha256:")

"""Fetching the source: the real archive, hostile archives, and pip's settings."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import source
from cczoo_installer.errors import FetchFailed, MachineTrouble
from cczoo_installer.files import MAX_CHANGED, sha256_file
from cczoo_installer.report import Reporter
from cczoo_installer.source import Index, configured_index
from installer_kit import HOOKED, VERSION, FakeTools, Ran, snapshot

Run = Callable[..., Ran]


@pytest.fixture
def filled_cache(cache: Path, archive: Path, patches: Path) -> Path:
    """The test's cache with the real archive in it, and the small patch set pinning it."""
    (cache / "sdist").mkdir(parents=True)
    os.link(archive, cache / "sdist" / archive.name)
    facts_file = patches / f"v{VERSION}/upstream.json"
    facts = json.loads(facts_file.read_text())
    facts_file.write_text(json.dumps(facts | {"sdist_sha256": sha256_file(archive)}))
    return cache


@pytest.mark.parametrize("state", ["missing", "empty", "deep"])
def test_fetch_and_install(
    tmp_path: Path, cczoo: Run, filled_cache: Path, pristine: Path, state: str
) -> None:
    directory = tmp_path / ("new/folders/open-webui" if state == "deep" else "open-webui")
    if state == "empty":
        directory.mkdir()
    assert cczoo(directory, "--fetch", f"v{VERSION}", "--no-build").code == 0
    assert "# probe: hooked" in (directory / HOOKED).read_text()
    assert (directory / "run.sh").stat().st_mode & 0o777 == 0o644
    assert (directory / "confirm_remove.sh").stat().st_mode & 0o777 == 0o755
    # The same command again, as a script would run it, finds nothing to do.
    again = cczoo(directory, "--fetch", VERSION, "--no-build", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert cczoo(directory, "--revert").code == 0
    assert snapshot(directory) == snapshot(pristine)
    assert not list(directory.parent.glob(".cczoo-fetch-*"))


def test_a_failed_build_says_that_the_fetched_source_stays(
    tmp_path: Path,
    cczoo: Run,
    filled_cache: Path,
    fake_tools: FakeTools,
    pristine: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_NPM_DOES", "fail")
    directory = tmp_path / "open-webui"
    failed = cczoo(directory, "--fetch", VERSION, "--json")
    assert failed.code == 5
    stays = f"The open-webui tree was not changed. The fetched source stays in {directory}."
    assert failed.json["detail"].endswith(stays)
    assert stays in failed.err
    assert snapshot(directory) == snapshot(pristine)
    assert "stays" not in cczoo(directory, "--fetch", VERSION).err


def test_fetch_dry_run_fetches_nothing(tmp_path: Path, cczoo: Run, cache: Path) -> None:
    told = cczoo(tmp_path / "new", "--fetch", VERSION, "--dry-run")
    assert told.code == 0
    assert "would fetch" in told.out
    assert not (tmp_path / "new").exists()
    assert not cache.exists()


def test_fetch_into_a_folder_with_something_else(tmp_path: Path, cczoo: Run) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("precious")
    refused = cczoo(tmp_path / "full", "--fetch", VERSION)
    assert refused.code == 3
    assert snapshot(tmp_path / "full").keys() == {"thesis.txt"}


def test_fetch_over_another_version(small_tree: Path, cczoo: Run) -> None:
    package = json.loads((small_tree / "package.json").read_text())
    (small_tree / "package.json").write_text(json.dumps(package | {"version": "0.6.5"}))
    assert cczoo(small_tree, "--fetch", VERSION).code == 3


def test_fetch_of_an_unknown_version(tmp_path: Path, cczoo: Run) -> None:
    refused = cczoo(tmp_path / "new", "--fetch", "0.4.0")
    assert refused.code == 3
    assert VERSION in refused.err
    assert not (tmp_path / "new").exists()


def wrong_archive(folder: Path) -> Path:
    """A well-formed archive of the right name with other content."""
    folder.mkdir()
    path = folder / f"open_webui-{VERSION}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(f"open_webui-{VERSION}/package.json")
        tar.addfile(info, io.BytesIO())
    return path


def test_another_archive_of_that_name_is_refused(
    tmp_path: Path, cczoo: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_archive(tmp_path / "links")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    refused = cczoo(tmp_path / "new", "--fetch", VERSION, "--json")
    assert (refused.code, refused.json["code"]) == (8, "fetch-failed")
    assert "SHA-256" in refused.json["detail"]
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (cache / "sdist").iterdir()] == ["lock"]


UNKNOWN = "0.5.99"  # no version of anybody's


def serve_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, says: str | None = UNKNOWN
) -> Path:
    """Have the package index hold a source archive of a version that the kit does not know."""
    folder.mkdir(exist_ok=True)
    path = folder / f"open_webui-{UNKNOWN}.tar.gz"
    files = {"src/app.html": b"<html></html>", "backend/open_webui/main.py": b"app = None\n"}
    if says is not None:
        facts = {"name": "open-webui", "version": says}
        files["package.json"] = json.dumps(facts).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"open_webui-{UNKNOWN}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def test_unpinned_says_what_it_did_not_check(
    tmp_path: Path, cczoo: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_unknown(tmp_path / "links", monkeypatch)
    assert cczoo(tmp_path / "new", "--fetch", UNKNOWN).code == 3  # never by itself
    assert (
        "would fetch" in cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned", "--dry-run").out
    )
    assert not (tmp_path / "new").exists()
    done = cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned")
    assert done.code == 0
    assert "NOT CHECKED" in done.out
    assert "Nothing was installed" in done.out
    assert sha256_file(served) in done.out
    assert snapshot(tmp_path / "new").keys() >= {"package.json", "src/app.html"}
    assert not (tmp_path / "new/.cczoo-install").exists()
    kept = cache / "sdist/unpinned" / served.name
    assert str(kept) in done.out
    assert sha256_file(kept) == sha256_file(served)
    # What is kept is no cache: another archive under that name is seen.
    served.unlink()
    serve_unknown(tmp_path / "links", monkeypatch, says="0.5.98")
    refused = cczoo(tmp_path / "newer", "--fetch", UNKNOWN, "--unpinned", "--json")
    assert (refused.code, refused.json["code"]) == (8, "fetch-failed")


@pytest.mark.parametrize("says", [None, "0.5.98", "\x1b[31m"])
def test_unpinned_is_the_version_at_least(
    tmp_path: Path, cczoo: Run, cache: Path, monkeypatch: pytest.MonkeyPatch, says: str | None
) -> None:
    serve_unknown(tmp_path / "links", monkeypatch, says)
    refused = cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned")
    assert refused.code == 8
    assert "\x1b" not in refused.err
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (cache / "sdist/unpinned").iterdir()] == ["lock"]


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"x" * 600)])
def test_unpinned_of_what_is_no_archive(
    tmp_path: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    serve_unknown(tmp_path / "links", monkeypatch).write_bytes(content)
    assert cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned").code == 8
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_unpinned_of_an_archive_that_is_damaged(
    tmp_path: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    served = serve_unknown(tmp_path / "links", monkeypatch)
    facts = json.dumps({"version": UNKNOWN}).encode()
    with tarfile.open(served, "w:gz") as tar:
        for name, data in (("package.json", facts), ("words", os.urandom(1 << 15).hex().encode())):
            info = tarfile.TarInfo(f"open_webui-{UNKNOWN}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    content = bytearray(served.read_bytes())
    at = int(len(content) * part)
    content[at : at + 20] = b"\xff" * 20
    served.write_bytes(content)
    assert cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned").code == 8
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        (b"[" * 100_000, None),
        (b'{"version": "' + UNKNOWN.encode() + b'"}' + b" " * MAX_CHANGED, None),
        (b"{}", 1 << 40),
    ],
    ids=["deep", "huge", "said to be huge"],
)
def test_unpinned_with_an_absurd_package_json(
    tmp_path: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch, facts: bytes, size: int | None
) -> None:
    path = serve_unknown(tmp_path / "links", monkeypatch)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo(f"open_webui-{UNKNOWN}/package.json")
        info.size = len(facts)
        tar.addfile(info, io.BytesIO(facts))
    if size is not None:  # the header says more than comes
        info.size = size
        path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + facts))
    assert cczoo(tmp_path / "new", "--fetch", UNKNOWN, "--unpinned").code == 8
    assert not (tmp_path / "new").exists()


def test_unpinned_is_for_unknown_versions_and_empty_folders(tmp_path: Path, cczoo: Run) -> None:
    known = cczoo(tmp_path / "new", "--fetch", VERSION, "--unpinned")
    assert (known.code, "leave --unpinned out" in known.err) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("precious")
    assert cczoo(tmp_path / "full", "--fetch", UNKNOWN, "--unpinned").code == 4
    assert cczoo(tmp_path / "new", "--unpinned").code == 2
    assert snapshot(tmp_path / "full").keys() == {"thesis.txt"}


@pytest.mark.parametrize(
    "index",
    [
        Index(no_index=True),
        Index(index_url="http://127.0.0.1:9/simple"),
        Index(index_url="no url at all"),
        Index(index_url="file:///nowhere/at/all"),
        Index(cert="/nowhere/ca.pem"),
    ],
)
def test_unreachable_indexes_are_explained(tmp_path: Path, index: Index) -> None:
    with pytest.raises((FetchFailed, OSError)) as raised:
        source.fetch(VERSION, "0" * 64, tmp_path, reporter=Reporter(io.StringIO()), index=index)
    if isinstance(raised.value, FetchFailed):
        assert "pip" in str(raised.value)


def test_a_damaged_archive_in_the_cache_is_fetched_again(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "links").mkdir()
    os.link(archive, tmp_path / "links" / archive.name)
    (tmp_path / "cache/sdist").mkdir(parents=True)
    cached = tmp_path / "cache/sdist" / archive.name
    cached.write_bytes(b"half of it")
    index = Index(no_index=True, find_links=(str(tmp_path / "links"),))
    found = source.fetch(
        VERSION,
        sha256_file(archive),
        tmp_path / "cache",
        reporter=Reporter(io.StringIO()),
        index=index,
    )
    assert found == cached
    assert sha256_file(cached) == sha256_file(archive)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "evil",
    [
        member("top/../../outside"),
        member("../outside"),
        member("/tmp/outside"),
        member("top/./x/../../../outside"),
        member("top/link", tarfile.SYMTYPE, "/etc"),
        member("top/link", tarfile.LNKTYPE, "../../outside"),
        member("top/fifo", tarfile.FIFOTYPE),
        member("top/device", tarfile.CHRTYPE),
        member("top"),
        member("loose"),
    ],
    ids=lambda info: f"{info.name} {info.type!r}",
)
def test_hostile_archives_unpack_nothing(tmp_path: Path, evil: tarfile.TarInfo) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member("top/package.json"), io.BytesIO())
        tar.addfile(evil, io.BytesIO())
    before = snapshot(tmp_path)
    with pytest.raises(FetchFailed):
        source.unpack(path, tmp_path / "tree")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"x" * 2000)])
def test_damaged_archives_unpack_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    before = snapshot(tmp_path)
    with pytest.raises((FetchFailed, OSError)):
        source.unpack(tmp_path / "archive", tmp_path / "tree")
    assert snapshot(tmp_path) == before


def test_archive_cut_short(tmp_path: Path, archive: Path) -> None:
    with archive.open("rb") as stream:
        (tmp_path / "short.tar.gz").write_bytes(stream.read(1 << 20))
    before = snapshot(tmp_path)
    with pytest.raises(FetchFailed, match="not a readable archive"):
        source.unpack(tmp_path / "short.tar.gz", tmp_path / "tree")
    assert snapshot(tmp_path) == before


def test_unpack_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").write_text("mine")
    path = tmp_path / "good.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member("top/package.json"), io.BytesIO())
    before = snapshot(tmp_path)
    with pytest.raises(MachineTrouble):
        source.unpack(path, tmp_path / "tree")
    assert snapshot(tmp_path) == before


def test_pip_settings(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    env = {"HOME": str(tmp_path / "home")}
    assert configured_index(env, tmp_path) == Index()
    write("etc/pip.conf", "[global]\nindex-url = https://one.example/simple\ncert = /one.pem\n")
    write("home/.config/pip/pip.conf", "[download]\nextra_index_url =\n https://a/\n https://b/\n")
    write("extra.conf", "[global]\nindex-url = https://two.example/simple\n[install]\ncert = x\n")
    found = configured_index(env, tmp_path)
    assert found.index_url == "https://one.example/simple"
    assert found.extra_index_urls == ("https://a/", "https://b/")
    assert found.cert == "/one.pem"
    found = configured_index(env | {"PIP_CONFIG_FILE": str(tmp_path / "extra.conf")}, tmp_path)
    assert found.index_url == "https://two.example/simple"
    env |= {"PIP_INDEX_URL": "https://three.example/simple", "PIP_NO_INDEX": "0"}
    env |= {"PIP_FIND_LINKS": "/a /b", "PIP_TRUSTED_HOST": "three.example"}
    found = configured_index(env, tmp_path)
    assert (found.index_url, found.no_index) == ("https://three.example/simple", False)
    assert (found.find_links, found.trusted_hosts) == (("/a", "/b"), ("three.example",))
    assert configured_index(env | {"PIP_CONFIG_FILE": os.devnull}, tmp_path).cert is None
    write("etc/pip.conf", "this is not\x00 a [configuration\n")
    configured_index(env, tmp_path)


def test_fetch_then_build_in_one_go(
    tmp_path: Path, cczoo: Run, filled_cache: Path, fake_tools: FakeTools
) -> None:
    done = cczoo(tmp_path / "new", "--fetch", VERSION, "--json")
    assert (done.code, done.json["build"]) == (0, "built anew")
    assert (tmp_path / "new/build/index.html").is_file()

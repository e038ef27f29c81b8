"""The bundle: read whole and as it was built, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from host_double import scope_of

from cczoo_backend import bundle
from cczoo_backend.bundle import BundleError, find_bundle, read_bundle
from cczoo_backend.content import Content, accepts_gzip

FILES = {"loader-1A2b.js": b"window.cczooTrustBadge = {};", "page-3C.js": b"export {};\n" * 99}


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def build(folder: Path, bodies: Mapping[str, bytes] = FILES, **changes: object) -> Path:
    """What ``npm run build`` leaves in a folder, with changes to its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    digests = {name: digest_of(body) for name, body in bodies.items()}
    manifest = {"v": 1, "loader": "loader-1A2b.js", "files": digests, **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_bundle_is_the_files_of_its_manifest(tmp_path: Path) -> None:
    folder = build(tmp_path)
    (folder / "more.js").write_text("not in the manifest")
    found = read_bundle(folder)
    assert (found.loader, found.worker, found.auditors) == ("loader-1A2b.js", None, None)
    assert {name: content.body for name, content in found.files.items()} == FILES


@pytest.mark.parametrize("what", ["worker", "auditors"])
def test_a_bundle_may_have_a_service_worker_and_a_page_for_auditors(
    tmp_path: Path, what: str
) -> None:
    assert getattr(read_bundle(build(tmp_path, **{what: "page-3C.js"})), what) == "page-3C.js"


def test_the_first_folder_that_has_one_counts(tmp_path: Path) -> None:
    wheel, checkout = tmp_path / "page", tmp_path / "dist"
    build(checkout)
    assert find_bundle((wheel, checkout)).files["page-3C.js"].body == FILES["page-3C.js"]
    build(wheel, {**FILES, "page-3C.js": b"newer"})
    assert find_bundle((wheel, checkout)).files["page-3C.js"].body == b"newer"


def test_without_one_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="npm run build"):
        find_bundle((tmp_path, tmp_path / "none"))


def test_the_folders_are_the_wheels_and_the_checkouts() -> None:
    repository = Path(__file__).resolve().parents[3]
    package = repository / "backend" / "cczoo_backend"
    assert (package / "page", repository / "web" / "dist") == bundle.FOLDERS


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"loader": "other.js"},
        {"loader": None},
        {"loader": ["loader-1A2b.js"]},
        {"files": {}},
        {"files": []},
        {"files": {"loader-1A2b.js": "00"}},
        {"files": {"loader-1A2b.js": None}},
        {"files": {"loader-1A2b.js": digest_of(FILES["loader-1A2b.js"]).upper()}},
        {"loader": "../x.js", "files": {"../x.js": digest_of(b"")}},
        {"loader": 'a".js', "files": {'a".js': digest_of(b"")}},
        {"loader": "a.js\n", "files": {"a.js\n": digest_of(b"")}},
        {"loader": "\u00e4.js", "files": {"\u00e4.js": digest_of(b"")}},
        {"loader": "a.mjs", "files": {"a.mjs": digest_of(b"")}},
        {"worker": "other.js"},
        {"worker": ["page-3C.js"]},
        {"worker": ""},
        {"auditors": "other.js"},
        {"auditors": ["page-3C.js"]},
    ],
    ids=range(19),
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is no manifest"):
        read_bundle(build(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    build(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="no manifest"):
        read_bundle(tmp_path)


def test_a_file_that_was_not_built_so_is_refused(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "page-3C.js").write_bytes(FILES["page-3C.js"] + b"\n")
    with pytest.raises(BundleError, match=r"page-3C\.js is not the file that was built"):
        read_bundle(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "page-3C.js").unlink()
    with pytest.raises(BundleError, match=r"page-3C\.js cannot be read"):
        read_bundle(tmp_path)


# How it is sent


def sent(content: Content, **options: str) -> Any:
    return content.response(scope_of(**options), {"Cache-Control": "no-store"})


def test_content_is_compressed_for_those_who_accept_it() -> None:
    body = FILES["page-3C.js"]
    content = Content(body, "text/javascript")
    plain, packed = sent(content), sent(content, accept_encoding="gzip, br")
    assert plain.body == body
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == body
    assert packed.body is sent(content, accept_encoding="gzip").body
    for answer in (plain, packed):
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.headers["cache-control"] == "no-store"


def test_content_that_compression_does_not_shorten_stays_plain() -> None:
    assert sent(Content(b"{}", "text/javascript"), accept_encoding="gzip").body == b"{}"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_has_the_headers_of_get(encoding: str) -> None:
    content = Content(FILES["page-3C.js"], "text/javascript")
    get = sent(content, accept_encoding=encoding)
    head = sent(content, method="HEAD", accept_encoding=encoding)
    assert head.body == b""
    assert head.headers == get.headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip; q=1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br", False),
        ("x-gzipped", False),
        ("*", False),
        ("", False),
    ],
)
def test_only_those_who_name_gzip_accept_it(header: str, expected: bool) -> None:
    assert accepts_gzip(scope_of(accept_encoding=header)) is expected

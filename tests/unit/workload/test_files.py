"""The digest of a tree: what GNU's tools compute, and what hostile trees get."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quote_generator.workload import files
from quote_generator.workload.files import (
    Kind,
    NotMeasurable,
    hash_files,
    list_tree,
    measure_tree,
    read_file,
    sha256sum_line,
    tree_digest,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose names are as awkward as names can be."""
    root = tmp_path / "tree"
    names = [
        b"a",
        b"b/c.txt",
        b"b.d/e",
        b"new\nline",
        b"re\rturn",
        b"back\\slash",
        b"\xff\xfe",
        b"-n",
    ]
    for name in [*names, "ünï".encode(), b"\xe2\x80\xae.txt", b"b/deep/er/still", b" sp ace"]:
        path = os.fsencode(root) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name * 3)
    (root / "empty").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(3 << 20))
    (root / "no files").mkdir()
    return root


@pytest.fixture
def open_files() -> Iterator[None]:
    """Hold that nothing is left open."""
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


def gnu_digest(root: Path) -> str:
    """What the line in files.py prints, which anybody can run."""
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not here")
    (command,) = [line.strip() for line in (files.__doc__ or "").splitlines() if "find" in line[:9]]
    made = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=root, capture_output=True, check=True
    )
    return f"sha256:{made.stdout.split()[0].decode()}"


def code_of(root: Path) -> str:
    with pytest.raises(NotMeasurable) as caught:
        measure_tree(root)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    return caught.value.code


def test_the_tools_of_gnu_compute_the_same(tree: Path, open_files: None) -> None:
    assert measure_tree(tree).digest == gnu_digest(tree)
    assert measure_tree(tree).files == 14


def test_every_byte_and_name_counts(tree: Path) -> None:
    digests = {measure_tree(tree).digest}
    (tree / "a").write_bytes(b"aab")
    digests.add(measure_tree(tree).digest)
    (tree / "a").rename(tree / "aa")
    digests.add(measure_tree(tree).digest)
    (tree / "empty").unlink()
    digests.add(measure_tree(tree).digest)
    (tree / "no files" / "evil").touch()
    digests.add(measure_tree(tree).digest)
    assert len(digests) == 5


def test_an_empty_tree(tmp_path: Path) -> None:
    assert measure_tree(tmp_path).digest == f"sha256:{hashlib.sha256().hexdigest()}"


def test_skipped_folders_are_not_entered(tree: Path) -> None:
    os.mkfifo(tree / "b" / "pipe")
    skipping = measure_tree(tree, skips=lambda path: path.split(b"/")[0] == b"b")
    shutil.rmtree(tree / "b")
    assert measure_tree(tree) == skipping


NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & {0, 0x2F})


@given(st.dictionaries(NAMES, st.binary(max_size=20)))
def test_lines_are_told_apart(content: dict[bytes, bytes]) -> None:
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    lines = [sha256sum_line(digest, name) for name, digest in hashes.items()]
    assert len({*lines}) == len(content)
    assert all(line.count(b"\n") == 1 and b"\r" not in line for line in lines)
    assert tree_digest(hashes) == tree_digest(dict(reversed(hashes.items())))


# --- links ----------------------------------------------------------------------------------------


def test_a_link_to_a_file_of_the_tree_is_that_file(tree: Path) -> None:
    (tree / "link").symlink_to("b/c.txt")
    (tree / "b" / "to link").symlink_to(tree / "link")
    linked = measure_tree(tree)
    assert linked.links == ()
    for name in ("link", "b/to link"):
        (tree / name).unlink()
        (tree / name).write_bytes((tree / "b" / "c.txt").read_bytes())
    assert measure_tree(tree).digest == linked.digest


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../outside", "nowhere", "loop", "b", ".", "/dev/zero", "/proc/self/mem"],
)
def test_any_other_link_is_its_own_text(tree: Path, target: str) -> None:
    (tree.parent / "outside").write_bytes(b"secret")
    (tree / "loop").symlink_to(target)
    linked = measure_tree(tree)
    assert linked.links == (b"loop",)
    (tree / "loop").unlink()
    (tree / "loop").write_text(target)  # what `readlink -n` prints
    assert measure_tree(tree).digest == linked.digest


def test_a_tree_may_itself_stand_behind_a_link(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree)
    (tree / "inner").symlink_to("a")
    assert measure_tree(tree.parent / "link") == measure_tree(tree)


# --- what has no digest ---------------------------------------------------------------------------


def test_pipes_and_sockets_are_never_opened(tree: Path, open_files: None) -> None:
    os.mkfifo(tree / "pipe")
    assert code_of(tree) == "special-file"
    (tree / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        assert code_of(tree) == "special-file"


def test_what_is_swapped_in_is_seen(tree: Path, open_files: None) -> None:
    found = list_tree(tree)
    for path in (b"a", b"b/c.txt"):
        assert found[path] is Kind.FILE
    (tree / "a").unlink()
    os.mkfifo(tree / "a")
    with pytest.raises(NotMeasurable) as caught:
        hash_files(tree, {b"a": Kind.FILE})
    assert caught.value.code == "special-file"
    (tree / "a").unlink()
    (tree / "a").symlink_to("/etc/passwd")
    shutil.rmtree(tree / "b")
    (tree / "b").symlink_to("/etc")
    for path in (b"a", b"b/c.txt", b"b/passwd", b"gone", b"large/file"):
        with pytest.raises(NotMeasurable) as caught:
            hash_files(tree, {path: Kind.FILE})
        assert caught.value.code == "file-changed"


class Growing:
    """A file that has more bytes each time one reads."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, fd: int, size: int) -> bytes:
        return self.content


@pytest.mark.parametrize("content", [b"without end", b""])
def test_a_file_that_grows_or_shrinks(
    tree: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "read", Growing(content).read)
    assert code_of(tree) == "file-changed"


def test_too_many_files(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILES_MAX", 13)
    assert code_of(tree) == "too-many-files"


def test_too_deep(tree: Path, open_files: None) -> None:
    folder = os.open(tree, os.O_RDONLY)
    for _ in range(files.DEPTH_MAX):
        os.mkdir("deeper" * 40, dir_fd=folder)  # longer than any path may be
        inner = os.open("deeper" * 40, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    assert code_of(tree) == "too-deep"


def test_ten_thousand_entries(tree: Path) -> None:
    many = tree / "many"
    many.mkdir()
    for number in range(10_000):
        (many / str(number)).touch()
    assert measure_tree(tree).files == 10_014


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tree: Path) -> None:
    (tree / "a").chmod(0)
    assert code_of(tree) == "file-unreadable"


def test_what_is_not_there(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nothing") == "file-changed"


def test_one_file(tree: Path) -> None:
    assert read_file(tree, b"b/c.txt", 100) == b"b/c.txt" * 3
    with pytest.raises(NotMeasurable) as caught:
        read_file(tree, b"large", 1000)
    assert caught.value.code == "file-too-large"

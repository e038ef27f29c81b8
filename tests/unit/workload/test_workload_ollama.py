"""Models of Ollama: what a manifest says, and the digest of what a store holds."""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.ollama_store import (
    CONFIG,
    LAYERS,
    TEMPLATE,
    TERMS,
    WEIGHTS,
    OllamaStore,
    alter,
    claimed,
    layer,
    manifest,
)
from quote_generator.workload import fsverity, ollama
from quote_generator.workload.ollama import (
    Measured,
    Name,
    NotMeasured,
    Store,
    model_digest,
    parse_manifest,
    parse_name,
)
from quote_generator.workload.text import canonical_text

SMALL = parse_name("small")

RECORDED = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
    b'"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":'
    b'"sha256:5649d52885f84996c7f2f15bd7cf4cc5ee53d0f4ef580751081b256271766af4","size":488},'
    b'"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":'
    b'"sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",'
    b'"size":98362432,"from":"smollm2:latest"},'
    b'{"mediaType":"application/vnd.ollama.image.template","digest":'
    b'"sha256:a76128699ee70927fd749870c097c4495dce039ef88140981c062095b98afc35","size":112}]}\n'
)
"""Two layers of what a real Ollama 0.5.7 wrote."""


@pytest.fixture
def store(tmp_path: Path) -> OllamaStore:
    store = OllamaStore(tmp_path / "models")
    store.add()
    return store


def measure(store: OllamaStore, name: Name = SMALL) -> Measured:
    with Store(store.path) as opened:
        return opened.measure(name)


@contextmanager
def not_measured(why: str) -> Iterator[None]:
    with pytest.raises(NotMeasured) as caught:
        yield
    assert caught.value.why == why
    assert caught.value.code == "not-measured"


# --- manifests and digests -----------------------------------------------------------------------


def test_the_digest_is_that_of_the_text_which_the_documentation_gives() -> None:
    read = parse_manifest(RECORDED)
    text = (
        '{"config":"sha256:5649d52885f84996c7f2f15bd7cf4cc5ee53d0f4ef580751081b256271766af4",'
        '"layers":[{"digest":'
        '"sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",'
        '"type":"application/vnd.ollama.image.model"},{"digest":'
        '"sha256:a76128699ee70927fd749870c097c4495dce039ef88140981c062095b98afc35",'
        '"type":"application/vnd.ollama.image.template"}]}'
    )
    assert model_digest(read) == claimed(text.encode())
    assert canonical_text(json.loads(text)) == text
    assert read.digest == claimed(RECORDED)


def test_where_a_model_came_from_and_its_license_do_not_count() -> None:
    told = manifest([layer("model", WEIGHTS, **{"from": "/home/me/x"}), layer("license", TERMS)])
    assert model_digest(parse_manifest(told)) == model_digest(
        parse_manifest(manifest({"model": WEIGHTS}))
    )


def test_everything_else_counts() -> None:
    tensors = [layer("tensor", WEIGHTS, name=name) for name in ("a", "b")]
    variants = [
        manifest(LAYERS),
        manifest(dict(reversed(LAYERS.items()))),
        manifest(LAYERS | {"system": b"Be kind."}),
        manifest(LAYERS | {"template": b"other"}),
        manifest(LAYERS, b"{}"),
        manifest({"adapter": WEIGHTS}),
        manifest(tensors),
        manifest(tensors[::-1]),
        manifest([layer("tensor", WEIGHTS)]),
        manifest([]),
    ]
    assert len({model_digest(parse_manifest(each)) for each in variants}) == len(variants)


def test_a_model_of_thousands_of_layers_has_a_digest() -> None:
    many = [layer("tensor", b"", name=f"layer.{number}.w") for number in range(ollama.MAX_LAYERS)]
    assert model_digest(parse_manifest(manifest(many))).startswith("sha256:")
    with not_measured("bad-manifest"):
        parse_manifest(manifest([*many, layer("tensor", b"")]))


LAYER = layer("model", WEIGHTS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        RECORDED[:-3],
        RECORDED + b"{}",
        b"\xef\xbb\xbf" + RECORDED,
        RECORDED.decode().encode("utf-16"),
        RECORDED.replace(b"smollm2", b"\xff"),
        RECORDED.replace(b'"layers":[', b'"layers":[],"layers":['),
        RECORDED.replace(b'"layers":[', b'"LAYERS":[],"layers":['),
        RECORDED.replace(b'"layers":[', '"layer\u017f":[],"layers":['.encode()),
        RECORDED.replace(b'"size":112', b'"size":112,"Digest":"sha256:00"'),
        RECORDED.replace(b'"size":112', b'"size":112,"digest":"sha256:00"'),
        RECORDED.replace(b'"size":112', b'"size":1.0'),
        RECORDED.replace(b'"size":112', b'"size":-1'),
        RECORDED.replace(b'"size":112', b'"size":true'),
        RECORDED.replace(b'"size":112', b'"size":' + b"9" * 5000),
        RECORDED.replace(b'"size":112', b'"size":NaN'),
        RECORDED.replace(b"sha256:a76128", b"sha256-a76128"),
        RECORDED.replace(b"sha256:a76128", b"sha256:A76128"),
        RECORDED.replace(b"sha256:a76128699ee7", b"sha256:../../../etc"),
        RECORDED.replace(b'"schemaVersion":2', b'"schemaVersion":1'),
        b'{"schemaVersion":2,"layers":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        manifest([LAYER | {"digest": "../../../../etc/passwd"}]),
        manifest([LAYER | {"digest": "/etc/passwd"}]),
        manifest([LAYER | {"digest": claimed(b"") + "\n"}]),
        manifest([LAYER | {"digest": None}]),
        manifest([LAYER | {"digest": ""}]),
        manifest([LAYER | {"mediaType": ""}]),
        manifest([LAYER | {"mediaType": 7}]),
        manifest([LAYER | {"mediaType": "x" * 20_000}]),
        manifest([LAYER | {"name": ["x"]}]),
        manifest([LAYER | {"name": "\ud800"}]),
        manifest(["layer"]),  # type: ignore[list-item]
        b" " * (ollama.MAX_MANIFEST + 1),
    ],
)
def test_a_manifest_with_no_meaning_or_two_is_refused(data: bytes) -> None:
    with not_measured("bad-manifest"):
        parse_manifest(data)


@given(st.binary(max_size=200), st.integers(0, len(RECORDED)), st.integers(0, 40))
def test_spoilt_manifests_are_refused_and_nothing_else_happens(
    data: bytes, at: int, gone: int
) -> None:
    try:
        read = parse_manifest(RECORDED[:at] + data + RECORDED[at + gone :])
    except NotMeasured as error:
        assert error.why == "bad-manifest"  # noqa: PT017
    else:
        assert model_digest(read).startswith("sha256:")


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=4))
def test_the_text_of_a_model_is_canonical_whatever_its_layers_are_called(
    layers: list[tuple[str, str]],
) -> None:
    entries = [LAYER | {"mediaType": kind, "name": name} for kind, name in layers]
    read = parse_manifest(manifest(entries))
    fact = {
        "config": read.config.digest,
        "layers": [
            {"digest": claimed(WEIGHTS), "type": kind} | ({"name": name} if name else {})
            for kind, name in layers
        ],
    }
    assert model_digest(read) == claimed(canonical_text(fact).encode())


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("small", "registry.ollama.ai/library/small/latest", "small:latest"),
        ("deepseek-r1:70b", "registry.ollama.ai/library/deepseek-r1/70b", "deepseek-r1:70b"),
        ("me/x:v1", "registry.ollama.ai/me/x/v1", "me/x:v1"),
        ("hf.co/o/M-GGUF:Q4", "hf.co/o/M-GGUF/Q4", "hf.co/o/M-GGUF:Q4"),
        ("localhost:5000/o/m", "localhost:5000/o/m/latest", "localhost:5000/o/m:latest"),
        ("Registry.Ollama.AI/Library/x:1", "Registry.Ollama.AI/Library/x/1", "x:1"),
    ],
)
def test_names(text: str, parts: str, shown: str) -> None:
    name = parse_name(text)
    assert "/".join(name.parts) == parts
    assert str(name) == shown
    assert parse_name(shown).folded == name.folded


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "a:", ":a", "/a", "a/", "../x", "..", "a/../b", "a/b/c/d", "https://h/n/m"),
        *("<img src=x>", "a\nb", "a\n", "a\u202eb", "a\0b", "é", "x" * 81, "a b", "-a", "a:b:c"),
        *("a/b.c/d", ".hidden", "a@b", "\ud800"),
    ],
)
def test_no_name_leads_anywhere_or_hides_anything(text: str) -> None:
    with not_measured("bad-name"):
        parse_name(text)


# --- a store -------------------------------------------------------------------------------------


def test_an_untouched_model_has_the_digest_of_its_manifest_alone(store: OllamaStore) -> None:
    measured = measure(store)
    read = parse_manifest((store.library / "small/latest").read_bytes())
    assert measured.digest == model_digest(read)
    assert (measured.kind, measured.altered, measured.remote) == ("sha256", (), False)
    assert measured.manifest == read.digest
    assert measured.size == len(CONFIG + WEIGHTS + TEMPLATE)


@pytest.mark.parametrize("data", [CONFIG, WEIGHTS, TEMPLATE])
def test_one_byte_of_a_layer_makes_another_model_and_the_layer_is_named(
    store: OllamaStore, data: bytes
) -> None:
    before = measure(store)
    alter(store.blob(data), len(data) - 1)
    after = measure(store)
    assert after.digest != before.digest
    assert [each.digest for each in after.altered] == [claimed(data)]
    assert after.manifest == before.manifest


def test_a_license_is_not_even_read(store: OllamaStore) -> None:
    before = measure(store)
    store.blob(TERMS).unlink()
    assert measure(store) == before


def test_a_model_on_another_machine_is_told(store: OllamaStore) -> None:
    for config in (b'{"Remote_Host":"https://x"}', b'{"remote_model":"m"}', b"no JSON", b"[]"):
        store.add("far/latest", LAYERS, config)
        assert measure(store, parse_name("far")).remote, config
    store.add("near/latest", LAYERS, b'{"remote_host":""}')
    assert not measure(store, parse_name("near")).remote


def test_hashed_bytes_are_remembered_while_the_file_is_the_same(store: OllamaStore) -> None:
    known: dict[ollama.Fingerprint, str] = {}
    with Store(store.path) as opened:
        first = opened.measure(SMALL, known=known)
        for mark in known:
            known[mark] = claimed(b"remembered")
        assert opened.measure(SMALL, known=known).digest != first.digest
        for data in (CONFIG, WEIGHTS, TEMPLATE):
            store.blob(data).touch()
        assert opened.measure(SMALL, known=known) == first


def spoil_blob(spoil: Callable[[Path, Path], object]) -> Callable[[OllamaStore, Path], object]:
    return lambda store, aside: spoil(store.blob(WEIGHTS), aside)


def spoil_manifest(spoil: Callable[[Path, Path], object]) -> Callable[[OllamaStore, Path], object]:
    return lambda store, aside: spoil(store.library / "small/latest", aside)


def gone(path: Path, aside: Path) -> None:
    path.unlink()


def link_out(path: Path, aside: Path) -> None:
    path.rename(aside)
    path.symlink_to(aside)


def link_in(path: Path, aside: Path) -> None:
    inside = path.with_name("sha256-" + "0" * 64)
    path.rename(inside)
    path.symlink_to(inside.name)


def pipe(path: Path, aside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path, aside: Path) -> None:
    path.unlink()
    path.mkdir()


def link_of_folder(path: Path, aside: Path) -> None:
    path.parent.rename(aside)
    path.parent.symlink_to(aside)


def pipe_for_folder(path: Path, aside: Path) -> None:
    path.parent.rename(aside)
    os.mkfifo(path.parent)


def large(path: Path, aside: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100 << 20)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoil_blob(gone), "missing"),
        (spoil_blob(link_out), "link"),
        (spoil_blob(link_in), "link"),
        (spoil_blob(pipe), "not-a-file"),
        (spoil_blob(folder), "not-a-file"),
        (spoil_blob(link_of_folder), "link"),
        (spoil_blob(pipe_for_folder), "link"),
        (spoil_manifest(gone), "missing"),
        (spoil_manifest(link_out), "link"),
        (spoil_manifest(pipe), "not-a-file"),
        (spoil_manifest(link_of_folder), "link"),
        (spoil_manifest(large), "bad-manifest"),
    ],
)
def test_spoilt_stores_have_a_clear_outcome(
    store: OllamaStore, tmp_path: Path, spoil: Callable[[OllamaStore, Path], object], why: str
) -> None:
    spoil(store, tmp_path / "aside")
    with not_measured(why):
        measure(store)


def test_a_file_that_is_too_large_to_hash_is_told_without_hashing(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama, "MAX_BLOB", len(WEIGHTS) - 1)
    with not_measured("too-large"):
        measure(store)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
@pytest.mark.parametrize("hidden", ["blobs", "manifests/registry.ollama.ai/library", "file"])
def test_what_another_account_hides_is_told(store: OllamaStore, hidden: str) -> None:
    (store.blob(WEIGHTS) if hidden == "file" else store.path / hidden).chmod(0)
    with Store(store.path) as opened:
        os.seteuid(65534)
        try:
            with not_measured("unreadable"):
                opened.measure(SMALL)
            listing = opened.names()
        finally:
            os.seteuid(0)
    assert (listing.unread, len(listing.names)) == ((1, 0) if "library" in hidden else (0, 1))


def test_a_mapped_file_that_is_written_to_later_is_another(store: OllamaStore) -> None:
    """A page that was written to once takes more without a new ctime, until it is written out."""
    if b"tmpfs" in subprocess.check_output(["stat", "-f", "-c", "%T", store.path]):
        pytest.skip("a tmpfs never shows it")
    name = (claimed(WEIGHTS),)
    with store.blob(WEIGHTS).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = WEIGHTS[:1]
        with Store(store.path) as opened:
            opened.measure(SMALL)
            before = opened.blob_fingerprints(name)
            time.sleep(0.05)
            mapped[0:1] = b"x"
            assert opened.blob_fingerprints(name) != before


def growing(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewritten(path: Path) -> None:
    alter(path)


@pytest.mark.parametrize("change", [growing, rewritten, Path.unlink])
def test_a_blob_that_changes_while_it_is_read_is_told(
    store: OllamaStore, change: Callable[[Path], object]
) -> None:
    def advance(count: int) -> None:
        if count == len(WEIGHTS):
            change(store.blob(WEIGHTS))

    with Store(store.path) as opened, not_measured("changed"):
        opened.measure(SMALL, advance=advance)


def test_a_blob_that_grows_as_fast_as_it_is_read_comes_to_an_end(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama, "_PIECE", 4)
    read = []

    def advance(count: int) -> None:
        read.append(count)
        if sum(read) > len(CONFIG):
            growing(store.blob(WEIGHTS))

    with Store(store.path) as opened, not_measured("changed"):
        opened.measure(SMALL, advance=advance)
    assert sum(read) < len(CONFIG + WEIGHTS) + 8


def test_what_advance_raises_ends_the_work_and_leaves_nothing_open(store: OllamaStore) -> None:
    class Cancelled(Exception):  # noqa: N818
        pass

    def advance(count: int) -> None:
        raise Cancelled

    before = os.listdir("/proc/self/fd")
    with pytest.raises(Cancelled), Store(store.path) as opened:
        opened.measure(SMALL, advance=advance)
    assert os.listdir("/proc/self/fd") == before


def test_the_list_has_what_ollama_lists_and_counts_the_rest(
    store: OllamaStore, tmp_path: Path
) -> None:
    store.add("small/v2")
    store.write_manifest(b"{}", "<img src=x onerror=alert(1)>/latest")
    store.write_manifest(b"{}", "line\nbreak/latest")
    store.write_manifest(b"{}", "\u202egnp.exe/latest")
    store.write_manifest(b"{}", "deep/er/latest")
    (store.library / os.fsdecode(b"\xff\xfe")).mkdir()
    (store.library / "loose").write_bytes(b"{}")
    (store.library / "led").symlink_to(tmp_path)
    os.mkfifo(store.library / "small/pipe")
    with Store(store.path) as opened:
        listing = opened.names()
    assert list(map(str, listing.names)) == ["small:latest", "small:pipe", "small:v2"]
    assert (listing.ignored, listing.unread, listing.complete) == (6, 1, True)


def test_a_store_with_too_many_models_is_told_to_be_incomplete(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama, "MAX_NAMES", 20)
    for number in range(30):
        store.write_manifest(b"{}", f"small/v{number}")
    with Store(store.path) as opened:
        listing = opened.names()
    assert not listing.complete
    assert len(listing.names) <= 20


def test_a_store_that_is_none(tmp_path: Path) -> None:
    with not_measured("missing"):
        Store(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with not_measured("link"):
        Store(tmp_path / "file")
    with Store(tmp_path) as empty, not_measured("missing"):
        empty.names()


# --- fs-verity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
        (bytes(4096 * 128 + 1), "e4143a5705610b7ad2eb85482cfc033c7062a89b9faf9118603f592d53fd10e0"),
        (b"a" * 4096 * 256, "3e982f1619f4442c645e71b6bb2e77ca8526b98744453e8ce2e7b2a436848e2d"),
    ],
)
def test_fsverity_digests_are_those_of_its_own_tool(data: bytes, digest: str) -> None:
    """As ``fsverity digest`` of fsverity-utils 1.5 prints them."""
    whole, pieces = fsverity.Tree(), fsverity.Tree()
    whole.update(data)
    for at in range(0, len(data), 10_007):
        pieces.update(data[at : at + 10_007])
    assert whole.digest() == pieces.digest() == f"fsverity:sha256:{digest}"


def keeping(
    monkeypatch: pytest.MonkeyPatch, *, without: bytes = b"none", algorithm: int = 1
) -> None:
    """Let the kernel keep fs-verity digests of all files but one."""

    def ioctl(file: int, request: int, answer: bytearray) -> int:
        assert request == 0xC0046686
        data = os.pread(file, 1 << 20, 0)
        if data == without:
            raise OSError(61, "No data available")
        tree = fsverity.Tree()
        tree.update(data)
        struct.pack_into("=HH", answer, 0, algorithm, 32)
        answer[4:36] = bytes.fromhex(tree.digest().rpartition(":")[2])
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)


def test_digests_that_the_kernel_keeps_are_taken_and_said(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_bytes = measure(store)
    with Store(store.path) as opened:
        hashes = opened.hashes(SMALL)
    keeping(monkeypatch)
    measured = measure(store)
    assert measured.kind == "fsverity:sha256"
    assert measured.digest != by_bytes.digest
    read = parse_manifest(manifest(LAYERS))
    assert measured.digest == model_digest(
        read, {digest: tree for digest, (_, tree) in hashes.items()}
    )
    assert {digest: same for digest, (same, _) in hashes.items()} == {
        each.digest: each.digest for each in read.counted
    }


@pytest.mark.parametrize("data", [CONFIG, TEMPLATE])
def test_where_one_blob_has_none_all_are_hashed(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    by_bytes = measure(store)
    keeping(monkeypatch, without=data)
    assert measure(store) == by_bytes


def test_digests_of_another_algorithm_are_not_taken(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping(monkeypatch, algorithm=2)
    assert measure(store).kind == "sha256"


def test_a_kernel_that_keeps_none_says_so(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb+") as file:
        assert fsverity.kept_digest(file.fileno()) is None


def test_hashing_is_that_of_hashlib(store: OllamaStore) -> None:
    data = os.urandom((1 << 20) + 17)
    store.add("large/latest", {"model": data})
    alter(store.blob(data), 1 << 20)
    with Store(store.path) as opened:
        by_bytes = opened.hashes(parse_name("large"))[claimed(data)][0]
    held = store.blob(data).read_bytes()
    assert by_bytes == f"sha256:{hashlib.sha256(held).hexdigest()}" != claimed(data)

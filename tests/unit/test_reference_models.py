"""The digest of a model, from what was published of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cczoo_verifier.problems import FileError
from cczoo_verifier.reference_models import (
    ReferenceModel,
    of_store,
    published_at,
    reference_model,
)

from doubles.ollama_store import LAYERS, WEIGHTS, OllamaStore, alter, claimed, manifest
from quote_generator.workload.ollama import Name, Store, parse_name

MANIFEST = manifest(LAYERS)
DIGEST = claimed(MANIFEST)


@pytest.fixture
def store(tmp_path: Path) -> OllamaStore:
    store = OllamaStore(tmp_path / "models")
    store.add()
    return store


@pytest.fixture
def expected(store: OllamaStore) -> ReferenceModel:
    """What a TD with this store measures."""
    with Store(store.path) as opened:
        return ReferenceModel("small:latest", opened.measure(parse_name("small")).digest, DIGEST)


def refused(code: str, asked: str, **more: object) -> None:
    with pytest.raises(FileError) as caught:
        reference_model(asked, **more)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_manifest_is_enough(tmp_path: Path, expected: ReferenceModel) -> None:
    (tmp_path / "a=b@c.json").write_bytes(MANIFEST)
    assert reference_model(f"small={tmp_path}/a=b@c.json") == expected


@pytest.mark.parametrize("digest", [DIGEST, DIGEST.removeprefix("sha256:")])
def test_a_manifest_is_found_by_its_digest(
    store: OllamaStore, expected: ReferenceModel, digest: str, tmp_path: Path
) -> None:
    stores = [tmp_path / "none", store.path]
    assert reference_model(f"small:latest@{digest}", stores=stores) == expected


def test_weights_that_were_altered_are_not_taken_for_published_ones(
    store: OllamaStore, expected: ReferenceModel
) -> None:
    whole = of_store("small", store.path)
    assert (whole.digest, whole.manifest) == (expected.digest, DIGEST)
    assert whole.fsverity_digest not in (None, expected.digest)
    alter(store.blob(WEIGHTS))
    assert reference_model(f"small@{DIGEST}", stores=[store.path]) == expected
    with pytest.raises(FileError) as caught:
        of_store("small", store.path)
    assert caught.value.code == "model-differs"


def test_what_is_fetched_must_have_the_digest(expected: ReferenceModel) -> None:
    asked: list[Name] = []

    def fetch(name: Name) -> bytes:
        asked.append(name)
        return MANIFEST

    assert reference_model(f"small@{DIGEST}", fetch=fetch) == expected
    assert published_at(asked[0]) == (
        "https://registry.ollama.ai/v2/library/small/manifests/latest"
    )
    refused("model-differs", f"small@{'0' * 64}", fetch=fetch)
    refused("model-manifest", f"small@{DIGEST}", fetch=lambda name: b"<html>")


def test_nothing_is_fetched_by_itself(store: OllamaStore) -> None:
    refused("model-unknown", f"small@{DIGEST}")
    refused("model-unknown", f"small@{'0' * 64}", stores=[store.path])


@pytest.mark.parametrize(
    "asked", ["small", "", "small@", "small@58374e1324fc", "../x=file", "<b>=x", f"@{DIGEST}"]
)
def test_what_is_no_model(asked: str) -> None:
    refused("model-name", asked)


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    refused("model-manifest", f"small={tmp_path}")
    refused("model-manifest", f"small={tmp_path}/nowhere")
    refused("model-manifest", "small=\0")
    (tmp_path / "bad.json").write_bytes(MANIFEST[:-9])
    refused("model-manifest", f"small={tmp_path}/bad.json")
    with pytest.raises(FileError):
        of_store("small", tmp_path)

"""The digest of a model of Ollama, from what its publisher's registry has: no weights are needed.

A model is asked for in one of two ways:

``NAME=FILE``
    a manifest, saved from a registry or copied from ``manifests/`` of a store;
``NAME@DIGEST``
    the manifest that has this digest: what Ollama shows as the model's (``/api/tags``; its first
    12 digits in ``ollama list``), "sha256:" before it or not. It is looked for in the folders of
    ``stores``, and fetched only by a function that the caller hands over: nothing here goes to the
    network by itself. Whatever brings it, its bytes must have the digest.

A manifest claims the digests of its layers. That is what a reference is for: a TD whose blobs hold
something else has measured another digest. A TD whose kernel keeps fs-verity digests of all blobs
measures those instead; they follow from the blobs alone, so from a whole store (`of_store`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from quote_generator.workload.ollama import (
    MAX_MANIFEST,
    Manifest,
    Name,
    NotMeasured,
    Store,
    model_digest,
    parse_manifest,
    parse_name,
)

from .problems import FileError

Fetch = Callable[[Name], bytes]
"""Brings a published manifest, of at most `MAX_MANIFEST` bytes."""

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True)
class ReferenceModel:
    """A model as a TD should measure it: by its blobs' bytes, and where known by fs-verity's."""

    name: str
    digest: str
    manifest: str
    fsverity_digest: str | None = None


def reference_model(
    asked: str, *, stores: Sequence[Path] = (), fetch: Fetch | None = None
) -> ReferenceModel:
    """The model asked for in NAME=FILE or NAME@DIGEST.

    Raises FileError: model-name, model-unknown, model-manifest, or model-differs.
    """
    text, sign, rest = _divided(asked)
    name = _name(text)
    if sign == "=":
        return _reference(name, _read(Path(rest)))
    wanted = _DIGEST.fullmatch(rest)
    if wanted is None:
        raise FileError("model-name", "after @ comes a digest of 64 hexadecimal digits")
    digest = f"sha256:{wanted[1]}"
    for store in stores:
        if (found := _stored(store, name)) is not None and found.digest == digest:
            return _from_manifest(name, found)
    if fetch is None:
        raise FileError(
            "model-unknown",
            f"no store that was named has {name} with that manifest; give its file ({name}=FILE)",
        )
    reference = _reference(name, fetch(name))
    if reference.manifest != digest:
        raise FileError(
            "model-differs", f"what is published as {name} now is another: {reference.manifest}"
        )
    return reference


def of_store(name: str, folder: Path) -> ReferenceModel:
    """The model as this store's blobs have it, whose every byte is read.

    Raises FileError: model-name, model-manifest, or model-differs where a blob is not what the
    manifest says.
    """
    wanted = _name(name)
    try:
        with Store(folder) as store:
            manifest, _ = store.manifest(wanted)
            hashed = store.hashes(wanted)
    except NotMeasured as error:
        raise FileError("model-manifest", str(error)) from error
    by_bytes = {claimed: digest for claimed, (digest, _) in hashed.items()}
    if model_digest(manifest, by_bytes) != model_digest(manifest):
        raise FileError("model-differs", f"layers of {wanted} in this store are not what it says")
    verity = model_digest(manifest, {claimed: tree for claimed, (_, tree) in hashed.items()})
    return ReferenceModel(str(wanted), model_digest(manifest), manifest.digest, verity)


def published_at(name: Name) -> str:
    """The address at which a registry has a model's manifest, for those who fetch it."""
    return f"https://{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"


def _divided(asked: str) -> tuple[str, str, str]:
    """A name, the first sign that no name has, and what follows that."""
    found = re.search("[=@]", asked)
    if found is None:
        raise FileError("model-name", "a model is NAME=FILE (its manifest) or NAME@DIGEST")
    return asked[: found.start()], found[0], asked[found.end() :]


def _name(text: str) -> Name:
    try:
        return parse_name(text)
    except NotMeasured as error:
        raise FileError("model-name", str(error)) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST + 1)
    except (OSError, ValueError) as error:
        raise FileError("model-manifest", f"{path} cannot be read: {error}") from error


def _stored(folder: Path, name: Name) -> Manifest | None:
    try:
        with Store(folder) as store:
            return store.manifest(name)[0]
    except NotMeasured:
        return None


def _reference(name: Name, data: bytes) -> ReferenceModel:
    try:
        return _from_manifest(name, parse_manifest(data))
    except NotMeasured as error:
        raise FileError("model-manifest", str(error)) from error


def _from_manifest(name: Name, manifest: Manifest) -> ReferenceModel:
    return ReferenceModel(str(name), model_digest(manifest), manifest.digest)

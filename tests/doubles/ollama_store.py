"""A store as Ollama 0.5.7 lays it out, with models of a few bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

CONFIG = b'{"model_format":"gguf","model_family":"llama"}'
WEIGHTS, TEMPLATE, TERMS = b"GGUF weights", b"{{ .Prompt }}", b"Apache-2.0"


def claimed(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(kind: str, data: bytes, **more: object) -> dict[str, object]:
    media_type = f"application/vnd.ollama.image.{kind}"
    return {"mediaType": media_type, "digest": claimed(data), "size": len(data), **more}


def manifest(
    layers: Mapping[str, bytes] | list[dict[str, object]], config: bytes = CONFIG
) -> bytes:
    """The bytes of a manifest, as Ollama writes it."""
    if isinstance(layers, Mapping):
        layers = [layer(kind, data) for kind, data in layers.items()]
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": layer("model", config)
        | {"mediaType": "application/vnd.docker.container.image.v1+json"},
        "layers": layers,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


LAYERS = {"model": WEIGHTS, "template": TEMPLATE, "license": TERMS}


class OllamaStore:
    """A store that a test fills, and spoils."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs"
        self.library = path / "manifests/registry.ollama.ai/library"
        self.blobs.mkdir(parents=True)
        self.library.mkdir(parents=True)

    def add(
        self,
        name: str = "small/latest",
        layers: Mapping[str, bytes] = LAYERS,
        config: bytes = CONFIG,
    ) -> Path:
        """Add a model with its blobs; return its manifest's path."""
        for data in (config, *layers.values()):
            self.blob(data).write_bytes(data)
        return self.write_manifest(manifest(layers, config), name)

    def write_manifest(self, data: bytes, name: str = "small/latest") -> Path:
        path = self.library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def blob(self, data: bytes) -> Path:
        """The path of the blob that is named after these bytes."""
        return self.blobs / claimed(data).replace(":", "-")


def alter(path: Path, at: int = 0) -> None:
    """Change one byte of a file in place, and set its time of change back, as far as that goes."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

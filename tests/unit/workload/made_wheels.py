"""Small wheels, and environments into which uv, pip or a few lines of ours install them."""

from __future__ import annotations

import base64
import csv
import ensurepip
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

UV = Path(sys.executable).with_name("uv")

OPEN_WEBUI: Mapping[str, bytes] = {
    "open_webui/__init__.py": b"app = 1\n",
    "open_webui/main.py": b"from open_webui import app\n",
    "open_webui/migrations/versions/7e5b_init.py": b"revision = '7e5b'\n",
    "open_webui/frontend/index.html": b"<html></html>\n",
    "open_webui/static/favicon.png": b"a picture",
    "open_webui/data/readme.txt": b"data",
    "data/readme.txt": b"more data",
    "requirements-slim.txt": b"aiohttp\n",
    "open_webui-1.2.dist-info/entry_points.txt": b"[console_scripts]\nopen-webui = a:b\n",
    "open_webui-1.2.dist-info/licenses/LICENSE": b"A licence\n",
}

# A namespace package, a compiled module with a library beside it, and a folder .data.
CORE: Mapping[str, bytes] = {
    "acme/core/__init__.py": b"",
    "acme/core/fast.abi3.so": b"\x7fELF compiled",
    "acme_core.libs/libz-1.so.1.3": b"\x7fELF library",
    "acme_core.pth": b"import sys\n",
    "acme,odd name.txt": b"quoted in RECORD\n",
    "acme_core-2.0+cpu.data/purelib/acme/core/pure.py": b"pure = True\n",
    "acme_core-2.0+cpu.data/platlib/acme/core/plat.py": b"plat = True\n",
    "acme_core-2.0+cpu.data/scripts/acme": b"#!python\nprint(1)\n",
    "acme_core-2.0+cpu.data/headers/acme.h": b"#define ACME\n",
    "acme_core-2.0+cpu.data/data/share/acme.txt": b"share\n",
}

PLUG: Mapping[str, bytes] = {"acme/plug/__init__.py": b"plug = 1\n", "six.py": b"six = 6\n"}

WHEELS: Mapping[str, Mapping[str, bytes]] = {
    "open_webui-1.2": OPEN_WEBUI,
    "acme_core-2.0+cpu": CORE,
    "Acme.Plug-0.1.post1": PLUG,
}


def write_wheel(folder: Path, stem: str, files: Mapping[str, bytes]) -> Path:
    """Write a wheel for NAME-VERSION into a folder."""
    info = f"{stem}.dist-info"
    name, _, version = stem.rpartition("-")
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in {**content, f"{info}/RECORD": record(content, info)}.items():
            archive.writestr(file, data)
    return path


def record(content: Mapping[str, bytes], dist_info: str) -> bytes:
    """Return the RECORD for these files, as wheels and installers write it."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    for file, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([file, f"sha256={digest}", len(data)])
    rows.writerow([f"{dist_info}/RECORD", "", ""])
    return text.getvalue().encode("utf-8", "surrogateescape")


def write_wheels(folder: Path) -> list[Path]:
    """Write WHEELS into a folder."""
    folder.mkdir(exist_ok=True)
    return [write_wheel(folder, stem, files) for stem, files in WHEELS.items()]


def install_by_hand(wheels: list[Path], site: Path) -> None:
    """Unpack wheels without a folder .data as an installer would."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        (site / info / "INSTALLER").write_text("hand\n")


def install_by_uv(wheels: list[Path], at: Path) -> Path:
    """Install wheels with uv into a new environment, and return its site-packages."""
    if not UV.is_file():
        pytest.skip("there is no uv beside this Python")
    environment = {**os.environ, "UV_CACHE_DIR": str(at.parent / "uv-cache"), "UV_OFFLINE": "1"}
    python = at / "bin" / "python"
    quiet = {"check": True, "env": environment, "capture_output": True, "timeout": 120}
    subprocess.run([UV, "venv", "--no-project", "--python", sys.executable, at], **quiet)
    command = [UV, "pip", "install", "--no-deps", "--compile-bytecode", "--python", python]
    subprocess.run([*command, *wheels], **quiet)
    return _site_packages(at)


def install_by_pip(wheels: list[Path], at: Path) -> Path:
    """Install wheels with the pip that comes with Python, and return the new site-packages."""
    bundled = [*Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")]
    if not bundled:
        pytest.skip("this Python comes without pip")
    make = [sys.executable, "-m", "venv", "--without-pip", at]
    subprocess.run(make, check=True, timeout=120)
    command = [at / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    environment = {**os.environ, "PYTHONPATH": str(bundled[0])}
    subprocess.run([*command, *wheels], check=True, env=environment, timeout=120)
    return _site_packages(at)


def _site_packages(environment: Path) -> Path:
    (site,) = environment.glob("lib/python3*/site-packages")
    for leftover in site.glob("_virtualenv*"):  # older versions of uv put it there
        leftover.unlink()
    return site

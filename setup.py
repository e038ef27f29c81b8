"""What pyproject.toml cannot say: the C core on Linux, and the page's bundle inside the wheel."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

# A check-out installed in editable mode serves this folder as it is.
BUNDLE = Path(__file__).resolve().parent / "web" / "dist"
WITHOUT_PAGE = "CCZOO_WHEEL_WITHOUT_PAGE"
REFUSAL = (
    "the page's bundle (web/dist) is not built, and open-webui would show no badge without it. "
    "`make wheel` builds both; it needs Node.js. Where only cczoo-verify or cczoo-install is "
    f"wanted, set {WITHOUT_PAGE}=1."
)
WITH_CORE = "CCZOO_WITH_CORE"
LEFT_OUT = (
    "THE C CORE WAS NOT BUILT, and the package comes without it. Quotes of this machine need it: "
    "for those take the project's wheel, or build again with a C compiler and Python's headers at "
    f"hand (Debian: gcc libc6-dev python3-dev). {WITH_CORE}=1 makes this an error."
)


class BuildCore(build_ext):
    """Leaves the C core out where it cannot be built, and says so: auditors need no compiler."""

    def build_extension(self, extension: Extension) -> None:
        extension.optional = os.environ.get(WITH_CORE) != "1"
        try:
            super().build_extension(extension)
        except Exception:
            if extension.optional:
                self.warn(LEFT_OUT)
            raise  # setuptools goes on where it was optional


class BuildWithPage(build_py):
    """Puts the bundle that `npm run build` left in web/dist into `cczoo_backend/page/`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode or os.environ.get(WITHOUT_PAGE) == "1":
            return
        page = Path(self.build_lib) / "cczoo_backend" / "page"
        shutil.rmtree(page, ignore_errors=True)  # pieces of an earlier build have other names
        page.mkdir(parents=True)
        for name, content in bundle().items():
            (page / name).write_bytes(content)


def bundle() -> dict[str, bytes]:
    """The bundle's files by name: those that its manifest lists, just as it lists them.

    With them go the manifest itself and the licences of what was bundled.
    """
    manifest = BUNDLE / "manifest.json"
    if not manifest.is_file():
        raise SetupError(REFUSAL)
    files = {path.name: path.read_bytes() for path in (manifest, BUNDLE / "LICENSES.txt")}
    for name, digest in json.loads(files[manifest.name])["files"].items():
        files[name] = (BUNDLE / name).read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise SetupError(f"web/dist/{name} is not what its manifest says: run `make wheel`.")
    return files


def wheel_options() -> dict[str, str]:
    """One wheel for every Python from 3.11 on, except free-threaded ones: each needs its own."""
    free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
    return {} if free_threaded else {"py_limited_api": "cp311"}


# The structures, the verifier and the installer work anywhere; the transports need Linux.
setup(
    cmdclass={"build_ext": BuildCore, "build_py": BuildWithPage},
    options={"bdist_wheel": wheel_options()},
    cffi_modules=["quote_generator/native/build_native.py:ffibuilder"]
    if sys.platform == "linux"
    else [],
)

"""The kit as a wheel, for another Python: what was built, or what is installed here.

The kit is on no package index, and whoever put its name on one could put anything there: so it is
never fetched by name.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from pathlib import Path, PurePosixPath

from cczoo_installer.errors import MachineTrouble
from cczoo_installer.files import printable
from cczoo_installer.kit import DISTRIBUTION

# What installers write beside what was in the wheel.
_WRITTEN_BY_INSTALLERS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_WRITTEN_BY_INSTALLERS |= {"uv_cache.json", "uv_build.json"}
_PAGE = "cczoo_backend/page/manifest.json"
_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip file can hold


def own_wheel(folder: Path) -> Path:
    """Return a wheel of this kit, put into ``folder`` where it has to be made.

    From a checkout it is the one that `make wheel` built; otherwise it holds the files that are
    installed here, byte for byte. Raises MachineTrouble where there is none with a page.
    """
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        built = sorted((checkout / "out" / "wheel").glob("*.whl"))
        if not built:
            raise MachineTrouble(
                f"There is no wheel of the kit in {printable(checkout / 'out' / 'wheel')}. Run "
                "`make wheel` in the checkout, then this again. Nothing was changed."
            )
        return built[-1]
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as trouble:
        raise MachineTrouble(
            "The kit is not installed as a package here, so it cannot be put elsewhere. Install "
            "its wheel with pip, and run this again. Nothing was changed."
        ) from trouble
    return pack(distribution, folder)


def pack(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    """Write the files of an installed distribution into a wheel in ``folder``, and return it."""
    names = sorted(
        path.as_posix()
        for path in distribution.files or ()
        if path.parts[0] != ".."  # commands, which installers make anew
        and "__pycache__" not in path.parts
        and not (path.parent.suffix == ".dist-info" and path.name in _WRITTEN_BY_INSTALLERS)
    )
    if _PAGE not in names:
        raise MachineTrouble(
            "This kit was installed without the page's part, and open-webui would show no badge. "
            "Install the wheel that `make wheel` built, and run this again. Nothing was changed."
        )
    [information] = {PurePosixPath(name).parts[0] for name in names if ".dist-info/" in name}
    wheel = folder / f"{information.removesuffix('.dist-info')}-{_tag(distribution)}.whl"
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            content = Path(str(distribution.locate_file(name))).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record.append(f"{name},sha256={digest},{len(content)}\n")
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
        record.append(f"{information}/RECORD,,\n")
        archive.writestr(zipfile.ZipInfo(f"{information}/RECORD", _DATE), "".join(record))
    return wheel


def _tag(distribution: importlib.metadata.Distribution) -> str:
    """Return for which Pythons it was built, such as cp311-abi3-manylinux_2_26_x86_64."""
    for line in (distribution.read_text("WHEEL") or "").splitlines():
        if line.startswith("Tag: "):
            return line.removeprefix("Tag: ").strip()
    raise MachineTrouble(
        "The kit's installation does not say what it was built for. Install its wheel anew with "
        "pip, and run this again. Nothing was changed."
    )

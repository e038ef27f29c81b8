"""What a guest's kernel and firmware tell of the machine, beside its TDX interfaces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# tdx-guest.c hands out quotes by configfs-tsm since 6.7. "Fix handling of host controlled 'quote'
# buffer length" (commit c3fd16c3b98e) came into 7.0 and, by series, into these.
_FIRST = (6, 7)
_MENDED_SINCE = (7, 0)
_BACKPORTS = {(6, 12): 80, (6, 18): 21, (6, 19): 11}
MENDED_IN = "6.12.80, 6.18.21, 6.19.11 and 7.0"

_AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"


def believes_the_host(release: str) -> bool:
    """Say whether a kernel of that release (uname -r) believes the host how long a quote is.

    By upstream's versions: a distribution may have carried the mend over to an older one.
    """
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if numbers is None:
        return False
    series, patch = (int(numbers[1]), int(numbers[2])), int(numbers[3] or 0)
    return _FIRST <= series < _MENDED_SINCE and patch < _BACKPORTS.get(series, patch + 1)


def is_azure(asset_tag: str, tpms: Iterable[str]) -> bool:
    """Say whether this is a virtual machine of Azure's with a vTPM.

    ``asset_tag`` is the path of the firmware's chassis asset tag. Azure's TDX machines are such: a
    paravisor of the cloud's own keeps TDX to itself, and vouches for the guest by the vTPM.
    """
    try:
        tag = Path(asset_tag).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return False
    return tag == _AZURE_ASSET_TAG and any(Path(tpm).exists() for tpm in tpms)

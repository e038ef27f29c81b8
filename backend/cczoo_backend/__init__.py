"""What open-webui's process gains in the trust domain: evidence for the browser's trust badge.

``install`` is the one hook. Importing this package imports neither open-webui nor FastAPI.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

__all__ = ["complain", "install"]


def install(app: Any) -> None:
    """Add the kit to ``app``, open-webui's FastAPI application; a second time changes nothing.

    Never raises: where the kit cannot be added, the log says why and ``app`` is as it was.
    """
    try:
        from .openwebui import add_to

        add_to(app)
    except Exception as error:
        complain(error)


def complain(error: Exception) -> None:
    """Say in the log and on stderr why open-webui runs without the kit.

    On stderr too: open-webui may not have set its log up yet, or keep it elsewhere.
    """
    message = f"The trust badge is not active: cczoo_backend is broken ({error!r})."
    # As it starts, open-webui silences the loggers that are there: hence one that was not.
    log = logging.getLogger(f"{__name__}.install")
    log.error("%s Install the cczoo-trust-badge wheel again.", message)
    print(message, file=sys.stderr)

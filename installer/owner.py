"""Working as the owner of a tree, and never as root on what belongs to somebody else.

Building runs what a tree's package.json says, and its owner could put links where we write. So
``sudo cczoo-install`` on a user's tree becomes that user, for good, before it looks at anything
in there. What it leaves is the user's then, and so can be taken back without sudo.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import MutableMapping
from pathlib import Path

from cczoo_installer.errors import MachineTrouble
from cczoo_installer.files import printable

# What sudo may have kept, and leads to root's own folders or is a word to root.
_ROOTS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SUDO_COMMAND")


def step_down(directory: Path, env: MutableMapping[str, str]) -> str | None:
    """Become the owner of ``directory`` where we are root and that is somebody else.

    Of a folder that is not there yet it is the owner of the one that it will be in. Sets HOME,
    USER and LOGNAME of ``env``. Returns a sentence about it, or None where nothing was to do;
    raises MachineTrouble where the kernel does not allow it.
    """
    if os.geteuid() != 0:
        return None
    there = directory.absolute()
    while not there.exists():
        there = there.parent
    owner = there.stat()
    if owner.st_uid == 0:
        return None
    try:
        account = pwd.getpwuid(owner.st_uid)
        name, home, group = account.pw_name, account.pw_dir, account.pw_gid
    except KeyError:  # a number alone, as in a container
        name, home, group = str(owner.st_uid), "/nonexistent", owner.st_gid
    try:
        if name.isdigit():
            os.setgroups([])
        else:
            os.initgroups(name, group)
        os.setresgid(group, group, group)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except OSError as trouble:
        raise MachineTrouble(
            f"{printable(there)} belongs to {printable(name)}, and root cannot become that user "
            f"here ({printable(trouble.strerror)}). Run as the owner; nothing was changed."
        ) from trouble
    out_of_reach = [path for path in (sys.executable, __file__) if not os.access(path, os.R_OK)]
    if out_of_reach:
        raise MachineTrouble(
            f"{printable(there)} belongs to {printable(name)}, who cannot read "
            f"{printable(out_of_reach[0])}, and root runs nothing of a user's tree. Install the "
            f"kit where {printable(name)} can use it, and run it as that user. Nothing was changed."
        )
    for variable in _ROOTS:
        env.pop(variable, None)
    env.update(HOME=home, USER=name, LOGNAME=name)
    return (
        f"Going on as {printable(name)}, who owns {printable(there)}: nothing of it runs as root."
    )

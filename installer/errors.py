"""Every trouble the installer expects, with a stable code and the exit code it ends in."""

# ruff: noqa: N818 - named for what is wrong; that they are errors is the base class's name

from __future__ import annotations

from typing import ClassVar


class InstallError(Exception):
    """Expected trouble. The message is one or more sentences and says what to do.

    ``code`` is stable and meant for programs, ``exit_code`` is what the process ends with.
    """

    code: ClassVar[str] = "internal-error"
    exit_code: ClassVar[int] = 1


class BrokenPatchSet(InstallError):
    """The kit's own patch set does not do what it says: a mistake of ours, not of the tree."""

    code = "broken-patch-set"


class BadUsage(InstallError):
    """The command line asks for something that cannot be."""

    code = "usage"
    exit_code = 2


class NotOpenWebui(InstallError):
    """The folder is not an open-webui source tree."""

    code = "not-open-webui"
    exit_code = 3


class NotTrustee(InstallError):
    """The folder is not a source tree of CoCo Trustee."""

    code = "not-trustee"
    exit_code = 3


class UnsupportedVersion(InstallError):
    """It is the program that it should be, but not a version that we have patches for."""

    code = "unsupported-version"
    exit_code = 3


class LocalEdits(InstallError):
    """Files that we would overwrite or take back hold somebody else's work."""

    code = "local-edits"
    exit_code = 4


class InTheWay(InstallError):
    """A folder that was to be filled holds something already."""

    code = "in-the-way"
    exit_code = 4


class BuildFailed(InstallError):
    """There is no front end to install; the tree is as it was."""

    code = "build-failed"
    exit_code = 5


class MachineTrouble(InstallError):
    """Disk full, no permission, a tool or a backup that is missing."""

    code = "machine"
    exit_code = 6


class Locked(InstallError):
    """Another installer works on the same thing."""

    code = "locked"
    exit_code = 7


class FetchFailed(InstallError):
    """The open-webui source could not be had, or is not what it should be."""

    code = "fetch-failed"
    exit_code = 8

"""Measured values as reference values that CoCo Trustee reads (`--write-reference-values`).

`trustee-rvps` is for v0.13, whose reference value provider (RVPS) has two ways in:
`reference_values.json` is its storage of type LocalJson, `register.json` a message of type
`sample` for `rvps-tool register`. `trustee-localfs` is for v0.21: one file a name in the folder
`reference_value` of its key-value storage LocalFs.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quote_generator.quote import Body

from .audit import Report
from .problems import FileError

RVPS, LOCAL_FS = "trustee-rvps", "trustee-localfs"

NAMES: Mapping[str, tuple[str, ...]] = {
    RVPS: ("mr_td", "mr_seam", "tcb_svn", "rtmr_1", "rtmr_2", "xfam"),
    LOCAL_FS: ("mr_td", "rtmr_1", "rtmr_2", "xfam"),
}
"""The names that the policy asks for which comes with each version."""

FIELDS = {"tcb_svn": "tee_tcb_svn"}
"""A quote's field, where Trustee calls it otherwise."""

DEFAULT_DAYS = 365
"""Trustee's own time for values that somebody registers is twelve months."""

MAX_DAYS = 3650

_FORMAT = "0.1.0"
"""The number of the form of reference values, and of messages, that both versions know."""

_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
"""The service runs under another account, and what is measured is no secret."""


@dataclass(frozen=True)
class Target:
    """Where to write reference values, and in which form: one of NAMES."""

    form: str
    folder: Path

    @property
    def paths(self) -> list[Path]:
        """The files that are written."""
        if self.form == RVPS:
            return [self.folder / "reference_values.json", self.folder / "register.json"]
        return [self.folder / "reference_value" / name for name in NAMES[LOCAL_FS]]


def target(text: str) -> Target:
    """The target in FORM or FORM:DIR; without DIR it is a folder with the form's name, here.

    Raises argparse.ArgumentTypeError.
    """
    form, colon, folder = text.partition(":")
    if form not in NAMES or (colon and not folder) or "\0" in folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not {' or '.join(NAMES)}, or FORM:DIR")
    return Target(form, Path(folder or form))


# --- what is written -----------------------------------------------------------------------------


def contents(form: str, body: Body, ends: datetime.datetime) -> list[bytes]:
    """What is written into the `paths` of a target of this form, in their order."""
    measured = body.to_dict()
    values = {name: measured[FIELDS.get(name, name)] for name in NAMES[form]}
    if form == RVPS:
        return [_json([_stored(*item, ends) for item in values.items()]), _message(values)]
    return [_json(_kept(*item, ends)) for item in values.items()]


def _stored(name: str, value: str, ends: datetime.datetime) -> dict[str, object]:
    """A reference value of v0.13. It is compared as text: the algorithm's name is never read."""
    return _named(name, ends) | {"hash-value": [{"alg": "sha384", "value": value}]}


def _kept(name: str, value: str, ends: datetime.datetime) -> dict[str, object]:
    """A reference value of v0.21."""
    return _named(name, ends) | {"value": [value]}


def _named(name: str, ends: datetime.datetime) -> dict[str, object]:
    return {"version": _FORMAT, "name": name, "expiration": _rfc3339(ends)}


def _message(values: Mapping[str, str]) -> bytes:
    """What `rvps-tool register` sends: all values of a name, as a document in base64."""
    document = json.dumps({name: [value] for name, value in values.items()}).encode("ascii")
    payload = base64.b64encode(document).decode("ascii")
    return _json({"version": _FORMAT, "type": "sample", "payload": payload})


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode("ascii") + b"\n"


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")  # the one form that Trustee reads


# --- writing -------------------------------------------------------------------------------------


def check_target(chosen: Target) -> None:
    """Raise FileError where nothing could be written, before the work is done."""
    for path in chosen.paths:
        if os.path.lexists(path):
            raise _exists(path)
        folder = next(each for each in path.absolute().parents if os.path.lexists(each))
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise FileError("save-failed", f"{folder} is not a folder to write to")


def write(chosen: Target, body: Body, ends: datetime.datetime) -> None:
    """Write all of the files or none; one that is there stays as it is.

    Raises FileError: values-exist, or save-failed.
    """
    written = list(zip(chosen.paths, contents(chosen.form, body, ends), strict=True))
    try:
        with contextlib.ExitStack() as undo:
            for folder in dict.fromkeys((chosen.folder, *(path.parent for path, _ in written))):
                _make_folder(folder, undo)
            # Nobody takes a file in here for a value, and none gets its name before it is whole.
            with tempfile.TemporaryDirectory(prefix=".cczoo-", dir=chosen.folder) as staging:
                staged = [_stage(Path(staging, path.name), data) for path, data in written]
                for whole, (path, _) in zip(staged, written, strict=True):
                    os.link(whole, path)
                    undo.callback(path.unlink, missing_ok=True)
            undo.pop_all()
    except FileExistsError as error:  # somebody was faster
        raise _exists(Path(error.filename2 or error.filename)) from error
    except OSError as error:
        reason = error.strerror or error
        raise FileError(
            "save-failed", f"no reference values were written to {chosen.folder}: {reason}"
        ) from error


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir()
        undo.callback(_remove_empty, each)
        each.chmod(_FOLDER_MODE)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _stage(path: Path, data: bytes) -> Path:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), _FILE_MODE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return path


def _exists(path: Path) -> FileError:
    return FileError(
        "values-exist",
        f"{path} is there already, and stays as it is; move it away, or name another folder "
        "(FORM:DIR) and merge by hand",
    )


# --- what is said of it --------------------------------------------------------------------------


def note(
    chosen: Target, report: Report, compared: Collection[str], ends: datetime.datetime
) -> dict[str, Any]:
    """What was written, for programs; `compared` are the fields that somebody expected."""
    return {
        "form": chosen.form,
        "files": [str(path) for path in chosen.paths],
        "expires": _rfc3339(ends),
        "remarks": list(_remarks(chosen, report, compared)),
    }


def _remarks(chosen: Target, report: Report, compared: Collection[str]) -> Iterator[str]:
    """What anyone has to know who lets a service rely on these values."""
    if report.simulated:
        yield "no hardware that Intel vouches for made them: they are for trying out only"
    new = [name for name in NAMES[chosen.form] if FIELDS.get(name, name) not in compared]
    if new:
        yield (
            f"trust on first use: nothing was compared with {', '.join(new)}, which are those of "
            "the TD that answered; compare them with its builder's before a service relies on them"
        )
    if report.logs and "rtmr_2" in report.logs.unexplained:
        yield "rtmr_2 was extended after boot: the next start may lead to another value"
    if chosen.form == RVPS:
        yield "the date is for reference_values.json; what is registered counts for 12 months"
    else:
        yield "Trustee v0.21 does not look at the date: take values away yourself"

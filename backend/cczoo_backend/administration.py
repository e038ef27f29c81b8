"""The settings that count: the administrators' file over the environment, and how it is changed.

A ``TEE_*`` variable is what a setting is until an administrator changes it; those that
``TEE_SETTINGS_FIXED`` names nobody changes in the app. All that reads settings is given one
mapping, the environment with the stored texts in it.

Where the file cannot be read, nothing falls back to the environment: what needs settings is
refused, requests have to come sealed from the next start on, and the page is told to hold
everything back. What the environment fixes holds all the same, as the file has no say in it.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import TeeError
from .settings import (
    CONFIG_VERSION,
    NOT_OFFERED,
    Settings,
    enforcement,
    suggests_what_it_offers,
)
from .settings_file import Busy, Changed, SettingsFile, Stored
from .settings_table import BY_NAME, SETTINGS_FIXED, TABLE, Setting, fixed_names, unknown_fixed

log = logging.getLogger(__name__)

ADMINISTRATION_VERSION = 1
LOOK_SECONDS = 1.0
"""How often it is looked for what others stored: another worker, or somebody with an editor."""

Errors = dict[str, dict[str, str]]


class WrongValues(Exception):  # noqa: N818 - named for the state
    """A change that cannot be made: a code and a sentence for each setting that is wrong."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


@dataclass(frozen=True)
class _Snapshot:
    """What counts as long as the file has this ``mark``."""

    mark: object
    stored: Stored
    environ: Mapping[str, str]


class Administration:
    """The settings in ``folder`` and ``environ``. Any thread may ask; a look blocks for a read."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = SettingsFile(folder)
        self._environ = environ
        self._monotonic = monotonic
        self._fixed = fixed_names(environ)
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._snapshot = self._read()
        self._at_start = self._snapshot.environ
        self._settings: tuple[_Snapshot, Settings] | None = None
        for word in sorted(unknown_fixed(environ)):
            log.error("%s: %.100r is no setting. All of them are fixed.", SETTINGS_FIXED, word)

    # What counts

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment with what is stored in it: for what is decided at the start."""
        return self._at_start

    def settings(self) -> Settings:
        """Return what counts now; raise TeeError (503) for a wrong setting or an unreadable file.

        What holds from the next start on is as it was at this one.
        """
        snapshot = self._current()
        if snapshot.stored.problem is not None:
            raise self._unreadable(snapshot.stored.problem)
        known = self._settings
        if known is None or known[0] is not snapshot:
            known = (snapshot, Settings.from_environment(self._running(snapshot)))
            self._settings = known
        return known[1]

    def config_in_trouble(self, error: TeeError) -> dict[str, object]:
        """Return the answer of ``GET /config`` where ``settings`` raised ``error``."""
        return {
            "v": CONFIG_VERSION,
            "enforcement": enforcement(self._current().environ),
            "problem": {"code": error.code, "detail": error.detail},
        }

    def _running(self, snapshot: _Snapshot) -> dict[str, str]:
        at_start = {one.variable: one.text(self._at_start) for one in TABLE if one.restart}
        return {**snapshot.environ, **at_start}

    def _current(self) -> _Snapshot:
        with self._lock:
            if self._monotonic() >= self._next_look:
                self._next_look = self._monotonic() + LOOK_SECONDS
                if self._file.mark() != self._snapshot.mark:
                    self._snapshot = self._read()
            return self._snapshot

    def _read(self) -> _Snapshot:
        mark = self._file.mark()  # before the content: a later one is seen by the next look
        stored = self._file.read()
        if stored.problem is None:
            texts = stored.values
        else:
            log.error("%s: %s", self._file.path, self._unreadable(stored.problem).detail)
            texts = {one.name: one.unread for one in TABLE if one.unread is not None}
        free = {BY_NAME[name].variable: text for name, text in texts.items() if self._is_free(name)}
        return _Snapshot(mark, stored, {**self._environ, **free})

    def _is_free(self, name: str) -> bool:
        return name not in self._fixed

    @staticmethod
    def _unreadable(why: str) -> TeeError:
        cure = "Its administrator has to put it right, put a copy back, or remove it."
        detail = f"The server's file with its settings cannot be read: {why}. {cure}"
        return TeeError(503, "settings-unreadable", detail)

    # What administrators see and change

    def document(self) -> dict[str, object]:
        """Return the answer of ``GET /admin/settings``."""
        snapshot = self._current()
        problem = snapshot.stored.problem
        unreadable = None if problem is None else self._unreadable(problem)
        return {
            "v": ADMINISTRATION_VERSION,
            "version": snapshot.stored.version,
            "problem": unreadable and {"code": unreadable.code, "detail": unreadable.detail},
            "settings": {one.name: self._row(one, snapshot) for one in TABLE},
            "errors": _errors(snapshot.environ, BY_NAME),
        }

    def _row(self, setting: Setting, snapshot: _Snapshot) -> dict[str, object]:
        text = setting.text(snapshot.environ)
        return {
            "value": text,
            "initial": setting.text(self._environ),
            "default": setting.default,
            "stored": setting.name in snapshot.stored.values and self._is_free(setting.name),
            "fixed": not self._is_free(setting.name),
            "variable": setting.variable,
            "kind": setting.kind.name,
            "form": setting.kind.form,
            "choices": list(setting.kind.choices),
            "restart": setting.restart,
            "pending": setting.restart and text != setting.text(self._at_start),
        }

    def change(self, changes: Mapping[str, object], version: str) -> None:
        """Store ``changes``: texts by name, None for the initial value. Blocks.

        Raise WrongValues, and TeeError: 412 where the file has another ``version`` by now, 503
        where it cannot be written. In each case nothing has changed.
        """
        errors = self._refused(changes)
        if errors:
            raise WrongValues(errors)

        def changed(values: Mapping[str, str]) -> dict[str, str]:
            merged: dict[str, object] = {**values, **changes}
            return {name: text for name, text in merged.items() if isinstance(text, str)}

        try:
            self._file.replace(version, changed)
        except Changed:
            detail = "Somebody else has changed the settings meanwhile: look at them again."
            raise TeeError(412, "settings-changed", detail) from None
        except Busy as error:
            raise TeeError(503, "settings-busy", f"Nothing is changed: {error}.") from None
        except OSError as error:
            log.error("the settings could not be stored: %s", error)
            why = "the disk is full" if error.errno in _FULL else error.strerror
            detail = f"Nothing is changed: the settings could not be stored ({why})."
            raise TeeError(503, "settings-not-stored", detail) from None
        finally:
            with self._lock:
                self._next_look = 0.0

    def _refused(self, changes: Mapping[str, object]) -> Errors:
        """Return what keeps these changes from being made."""
        errors: Errors = {}
        for name, text in changes.items():
            if (found := self._refusal(name, text)) is not None:
                code, detail = found
                errors[name] = {"code": code, "detail": detail}
        snapshot = self._current()
        if snapshot.stored.problem is not None:
            # What was decided is not known: somebody has to decide all of it anew.
            for name in BY_NAME:
                if name not in changes and self._is_free(name):
                    detail = "The file cannot be read: send every setting, or null for it."
                    errors[name] = {"code": "missing", "detail": detail}
        if errors:
            return errors
        environ = dict(snapshot.environ)
        for name, text in changes.items():
            variable = BY_NAME[name].variable
            environ[variable] = text if isinstance(text, str) else self._environ.get(variable, "")
        return _errors(environ, changes)

    def _refusal(self, name: str, text: object) -> tuple[str, str] | None:
        setting = BY_NAME.get(name)
        if setting is None:
            return "unknown", "There is no such setting."
        if not self._is_free(name):
            fixing = setting.variable if setting.environment_only else SETTINGS_FIXED
            return "fixed", f"The server's environment fixes it ({fixing})."
        if text is None:
            return None
        if not isinstance(text, str) or not _is_clean(text):
            return "not-text", "It must be a text, or null for its first value."
        try:
            setting.kind.value(text)
        except ValueError as problem:
            return _code(setting), f"It {problem}."
        return None


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _errors(environ: Mapping[str, str], names: Mapping[str, object]) -> Errors:
    """Return what is wrong with these settings in ``environ``."""
    errors: Errors = {}
    for name in names:
        try:
            BY_NAME[name].value(environ)
        except ValueError as problem:
            errors[name] = {"code": _code(BY_NAME[name]), "detail": f"It {problem}."}
    if not errors and names.keys() & {"providers", "default_provider"}:
        with suppress(ValueError):  # of the other one: it has its own error
            if not suggests_what_it_offers(environ):
                errors["default_provider"] = {"code": "not-offered", "detail": f"It {NOT_OFFERED}."}
    return errors


def _code(setting: Setting) -> str:
    return f"bad-{setting.kind.name}"


def _is_clean(text: str) -> bool:
    """Whether a text can be written as UTF-8, and holds no control characters but white space."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any((ord(one) < 0x20 and one not in "\t\n\r") or ord(one) == 0x7F for one in text)

"""The statement: what this TD says about the present, each section known by its digest.

Quotes bind ``{"v": 1, "sections": {name: digest}}``; the sections themselves are for callers with
an account. The statement is kept until something that it was made of changes, so asking for it
costs each request next to nothing. What this process changes counts for the very next question,
what others change (another process, a model server that starts) from the next look on, a second
later. A section that cannot be made says ``{"not_known": true}``: nothing is left out.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from quote_generator.evidence import document_hash
from quote_generator.sealing.keyset import STATEMENT

from ..host import Readings, Workload
from .addresses import HostsFile
from .connections import connections_section, functions_section, models_section, people_section
from .listeners import Listeners
from .machine import FindWeights, Machine, no_weights
from .setting_names import NO_SETTINGS
from .storage import section as storage_section

log = logging.getLogger(__name__)

VERSION = 1
LOOK_SECONDS = 1.0
"""How often it is looked for what others changed, while anybody asks."""

STORAGE_SECONDS = 60.0
"""How often it is looked where things lie."""

# Looking takes a twentieth of the time at most.
_REST = 20

Section = Mapping[str, object]

NOT_MEASURED: Section = {"log": "not-written", "why": "not-measured", "facts": []}
_NOT_KNOWN: Section = {"not_known": True}


@dataclass(frozen=True)
class Stated:
    """One statement: ``document`` is what evidence binds by its ``hash`` (base64url).

    ``sections_json`` is None where it has no sections.
    """

    sections: Mapping[str, Section]
    document: Mapping[str, object]
    hash: str
    sections_json: str | None

    @classmethod
    def of(cls, sections: Mapping[str, Section], digests: Mapping[str, str]) -> Stated:
        """Return the statement of these sections, whose digests are given."""
        document = {"v": VERSION, "sections": dict(digests)}
        text = json.dumps(sections, separators=(",", ":"))
        return cls(sections, document, document_hash(document), text)


class Stating(Protocol):
    """What is asked for the statement: as ``Statement`` answers."""

    async def current(self) -> Stated: ...

    async def holds(self, hash: str) -> bool: ...  # noqa: A002 - the field's name

    def for_quote(self) -> AbstractContextManager[Stated]: ...


class NothingStated:
    """Stands in for a statement where nothing is to be measured and stated: it has no sections."""

    _STATED = Stated({}, STATEMENT, document_hash(STATEMENT), None)

    async def current(self) -> Stated:
        """Return the statement that says nothing."""
        return self._STATED

    async def holds(self, hash: str) -> bool:  # noqa: A002 - the field's name
        """Whether this is the hash of a statement that says nothing."""
        return hash == self._STATED.hash

    @contextmanager
    def for_quote(self) -> Iterator[Stated]:
        """Yield the statement for a quote."""
        yield self._STATED


class Statement:
    """Keeps the statement of ``source``; to be asked on one event loop.

    ``mode`` is how requests are sealed. ``measured`` returns the section of what was measured, and
    ``weights`` finds models' weights: whoever gives them calls ``touch`` when they say something
    else. ``still`` keeps what was measured, and its log, as they are. ``monotonic`` is in seconds;
    ``machine`` and ``storage`` look at this machine.
    """

    def __init__(
        self,
        source: Workload,
        *,
        mode: str,
        measured: Callable[[], Section] = lambda: NOT_MEASURED,
        weights: FindWeights = no_weights,
        still: Callable[[], AbstractContextManager[None]] = nullcontext,
        monotonic: Callable[[], float] = time.monotonic,
        machine: Callable[[], Machine] | None = None,
        storage: Callable[[Mapping[str, object]], Section] | None = None,
    ) -> None:
        self._source = source
        self._mode = mode
        self._measured = measured
        self._still = still
        self._monotonic = monotonic
        self._machine = machine or functools.partial(_this_machine, Listeners(), weights)
        self._look_at_storage = storage or functools.partial(storage_section, folder=os.getcwd())
        self._storage: tuple[float, Section] | None = None
        self._told: set[str] = set()
        self._digests: dict[str, tuple[Section, str]] = {}
        self._stated: Stated | None = None
        self._mark: object = None
        self._touched = self._touch_seen = object()
        self._look_again_at = 0.0
        self._lock = asyncio.Lock()
        self._looks: set[asyncio.Task[Stated]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tee-statement")

    async def current(self) -> Stated:
        """Return the statement as it is now: with every change that was made before this call."""
        stated = self._stated
        if stated is not None and self._is_of_now():
            late = self._monotonic() - self._look_again_at
            if late < 0:
                return stated
            if late < LOOK_SECONDS:  # only others can have changed something: nobody waits for that
                if not self._looks:
                    self._start_look()
                return stated
        return await asyncio.shield(self._start_look())

    async def holds(self, hash: str) -> bool:  # noqa: A002 - the field's name
        """Whether this is the hash of the current statement."""
        return (await self.current()).hash == hash

    @contextmanager
    def for_quote(self) -> Iterator[Stated]:
        """Yield the statement for a quote, while what is measured stays as it says.

        It is the one that ``current``, which has to be asked before, returned last, with what has
        been measured since. For any thread.
        """
        if self._stated is None:
            raise RuntimeError("nothing has been stated yet")
        with self._still():
            measured = self._section("measured", self._measured)
            yield self._stated_of({**self._stated.sections, "measured": measured})

    def touch(self) -> None:
        """Have what was given in (``measured``, ``weights``) asked anew; any thread may call."""
        self._touched = object()

    # Looking

    def _is_of_now(self) -> bool:
        return self._source.mark() is self._mark and self._touched is self._touch_seen

    def _start_look(self) -> asyncio.Task[Stated]:
        """Look in a task of its own: one who asked and left does not end it for the others."""
        task = asyncio.get_running_loop().create_task(self._look())
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _look(self) -> Stated:
        async with self._lock:
            began = self._monotonic()
            if self._stated is not None and self._is_of_now() and began < self._look_again_at:
                return self._stated  # somebody who came before has looked since
            mark = self._source.mark()  # before the reading: a change during it has another look
            readings = await self._readings()
            touched = self._touched
            loop = asyncio.get_running_loop()
            self._stated = await loop.run_in_executor(self._thread, self._state, readings)
            self._mark, self._touch_seen = mark, touched
            now = self._monotonic()
            self._look_again_at = now + max(LOOK_SECONDS, _REST * (now - began))
            return self._stated

    async def _readings(self) -> Readings:
        try:
            return await self._source.read()
        except Exception:
            self._tell("readings")
            return Readings()

    def _state(self, readings: Readings) -> Stated:
        return self._stated_of(self._sections(readings))

    def _stated_of(self, sections: Mapping[str, Section]) -> Stated:
        digests = {name: self._digest(name, section) for name, section in sections.items()}
        if self._stated is not None and self._stated.document["sections"] == digests:
            return self._stated
        return Stated.of(sections, digests)

    def _digest(self, name: str, section: Section) -> str:
        """Return a section's digest; comparing costs less than making it anew."""
        kept = self._digests.get(name)
        if kept is None or kept[0] != section:
            kept = self._digests[name] = section, document_hash(section)
        return kept[1]

    # Sections

    def _sections(self, readings: Readings) -> dict[str, Section]:
        machine = functools.cache(self._machine)
        settings = NO_SETTINGS if readings.settings is None else readings.settings
        constants = readings.constants or {}
        models = self._section(
            "models", lambda: models_section(readings.models, settings, machine())
        )
        return {
            "models": models,
            "connections": self._section(
                "connections",
                lambda: connections_section(settings, constants, machine(), dict(models)),
            ),
            "functions": self._section(
                "functions",
                lambda: functions_section(readings.functions, readings.tools, constants),
            ),
            "people": self._section("people", lambda: people_section(settings, constants)),
            "storage": self._section("storage", self._storage_section),
            "sealing": {"mode": self._mode, "receipts": False},
            "measured": self._section("measured", self._measured),
        }

    def _section(self, name: str, make: Callable[[], Section]) -> Section:
        try:
            section = make()
            self._digest(name, section)  # which a section without canonical JSON has not
        except Exception:
            self._tell(name)
            return _NOT_KNOWN
        self._told.discard(name)
        return section

    def _storage_section(self) -> Section:
        now = self._monotonic()
        if self._storage is None or now - self._storage[0] >= STORAGE_SECONDS:
            self._storage = now, self._look_at_storage(self._source.storage_settings())
        return self._storage[1]

    def _tell(self, name: str) -> None:
        """Log the exception at hand, once until that is well again."""
        if name not in self._told:
            self._told.add(name)
            log.exception("not known in the statement: %s", name)


def _this_machine(listeners: Listeners, weights: FindWeights) -> Machine:
    listeners.look_again()
    return Machine(listeners, HostsFile.read(), weights=weights, environ=os.environ)

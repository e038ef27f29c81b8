"""What runs here is measured before anybody is answered, and again where it changes.

At the start: ``begin`` while the application is built, the rest in a thread beside its own start,
and no request passes ``AfterMeasuring`` before that has ended. From then on whoever reads the
application's settings and code passes them through ``Measurer.watching``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quote_generator.attester import System
from quote_generator.errors import QuoteGeneratorError
from quote_generator.workload.events import Fact, make_fact

from ..host import Readings, Workload
from .fact_log import FactLog
from .listeners import Listener
from .machine import Weights
from .plugin_code import NOT_KNOWN, Code, active_code, measure_before_it_runs
from .served_models import ServedModels
from .settings_digest import settings_digest
from .start_facts import KINDS, Missing, Places, start_facts

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long the first request waits at most: a stuck disk must not keep the server from starting."""

CODE_MAX = 1000
"""Functions and tools whose facts are kept."""

_UNTIL_THEN = "being-measured"
_NOT_READ = "not-read"
_CODE = ("function", "tool")
_Rows = Sequence[Mapping[str, object]]


class Measurer:
    """Measures what runs in this process and beside it; ``present`` says what is known.

    ``measure`` yields the facts of the start, ``models`` makes what finds local models.
    """

    def __init__(
        self,
        *,
        system: System | None = None,
        measure: Callable[[Places], Iterable[Fact | Missing]] = start_facts,
        models: Callable[[FactLog], ServedModels] = ServedModels,
    ) -> None:
        self._changed: Callable[[], None] = lambda: None
        self._facts = FactLog(system, changed=lambda: self._changed())
        self._measure = measure
        self._models = models(self._facts)
        self._rewrite: Callable[[str], str] = lambda text: text
        self._ran: set[tuple[str, ...]] = set()
        self._runs = 0
        self._taken: object = None  # rows, and how much code had run by then
        self._settings: Mapping[str, object] | None = None
        self._code = threading.Lock()
        self._done = threading.Event()

    def begin(self, places: Callable[[], Places], plugins: Callable[[], ModuleType]) -> None:
        """Record a start, have code measured before it runs, and measure the rest in a thread.

        ``plugins`` returns open-webui's module that runs functions and tools. Never raises.
        """
        for kind in (*KINDS, "settings"):
            self._facts.miss(kind, _UNTIL_THEN)
        self._facts.begin()
        self._hook(plugins)
        thread = threading.Thread(target=self._start, args=(places,), daemon=True)
        thread.name = "tee-measuring"
        thread.start()

    async def settled(self) -> None:
        """Return once the start is measured, or after START_SECONDS."""
        if not await asyncio.to_thread(self._done.wait, START_SECONDS):
            log.error("what runs here is still being measured; requests are answered meanwhile")

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call ``changed``, in any thread, after each change of what ``present`` returns."""
        self._changed = changed

    def watching(self, source: Workload) -> Workload:
        """Return the same source, but that what is read from it is measured as well."""
        return _Watched(source, self)

    # What others ask

    def present(self) -> Mapping[str, object]:
        """Return the statement's section ``measured``; see ``FactLog.present``."""
        return self._facts.present()

    def still(self) -> AbstractContextManager[None]:
        """Keep facts and log as they are while evidence takes the one and the other."""
        return self._facts.still()

    def weights(self, listener: Listener, model: str, manifest: str | None) -> Weights | None:
        """Return a local model's weights (``machine.FindWeights``)."""
        return self._models.weights(listener, model, manifest)

    # What is measured

    def take(self, readings: Readings) -> None:
        """Measure settings and code as they were read, and look for models where they say."""
        if readings.settings is None:
            self._settings = None
            self._facts.miss("settings", _NOT_READ)
        else:
            self._take_settings({**readings.settings, **(readings.constants or {})})
        constants = readings.constants or {}
        self._take_code(
            () if constants.get("ENABLE_FUNCTIONS") is False else readings.functions,
            () if constants.get("ENABLE_TOOLS") is False else readings.tools,
        )

    def runs(self, code: Code) -> None:
        """Record code that is about to run. It stays a fact: what has run cannot be taken back."""
        with self._code:
            fact = self._fact_of(code)
            if fact is not None:
                self._ran.add(fact.key)
                self._runs += 1
                self._facts.add(fact)

    def _hook(self, plugins: Callable[[], ModuleType]) -> None:
        missing: Iterable[str] = _CODE
        try:
            module = plugins()
            missing = measure_before_it_runs(module, self.runs)
            self._rewrite = getattr(module, "replace_imports", self._rewrite)
        except Exception:
            log.exception("what runs functions and tools is not to be found")
        for kind in missing:
            log.warning("code of this kind runs without being measured before: %s", kind)
            self._facts.miss(kind, "not-hooked")

    def _start(self, places: Callable[[], Places]) -> None:
        began = time.monotonic()
        try:
            for found in self._measure(places()):
                if isinstance(found, Missing):
                    self._facts.miss(found.kind, found.why)
                else:
                    self._facts.add(found)
        except Exception:
            log.exception("what runs here could not be measured")
        finally:
            self._done.set()
        log.info("what runs here was measured in %.1f seconds", time.monotonic() - began)

    def _take_settings(self, settings: Mapping[str, object]) -> None:
        if settings != self._settings:
            self._settings = settings
            self._facts.found("settings")
            try:
                self._facts.add(make_fact("settings", digest=settings_digest(settings)))
            except Exception:
                log.exception("the settings cannot be measured")
                self._facts.miss("settings", "failed")
        self._models.use(settings)

    def _take_code(self, functions: _Rows | None, tools: _Rows | None) -> None:
        rows = {"function": functions, "tool": tools}
        read = [kind for kind, found in rows.items() if found is not None]
        for kind in _CODE:
            self._tell_whether(kind in read, f"{kind}-list", _NOT_READ)
        with self._code:
            taken = functions, tools, self._runs
            if taken == self._taken:
                return
            self._taken = taken
            active = active_code(functions or (), tools or (), rewrite=self._rewrite)
            self._tell_whether(len(active) <= CODE_MAX, "code", "too-many")
            facts = [fact for code in active[:CODE_MAX] if (fact := self._fact_of(code))]
            stays = self._ran.union(fact.key for fact in facts)
            for fact in self._facts.facts(*read):
                if fact.key not in stays:
                    self._facts.remove(fact)
            for fact in facts:
                self._facts.add(fact)

    def _tell_whether(self, is_well: bool, kind: str, why: str) -> None:
        if is_well:
            self._facts.found(kind)
        else:
            self._facts.miss(kind, why)

    def _fact_of(self, code: Code) -> Fact | None:
        """Return the fact of code; only rows of the database tell which type of function it is."""
        if code.type == NOT_KNOWN:
            earlier = [
                fact for fact in self._facts.facts(code.kind) if fact.content["id"] == code.id
            ]
            code = replace(code, type=earlier[0].content["type"]) if earlier else code
        try:
            return code.fact
        except QuoteGeneratorError as error:
            self._facts.miss(code.kind, error.code)
            return None


class _Watched:
    """A source whose readings a measurer takes, too."""

    def __init__(self, source: Workload, measurer: Measurer) -> None:
        self._source = source
        self._measurer = measurer

    def mark(self) -> object:
        return self._source.mark()

    async def read(self) -> Readings:
        readings = await self._source.read()
        try:
            await asyncio.to_thread(self._measurer.take, readings)
        except Exception:
            log.exception("what was read could not be measured")
        return readings

    def storage_settings(self) -> Mapping[str, object]:
        return self._source.storage_settings()


class AfterMeasuring:
    """Has everybody wait until ``ready`` has returned, once: a server that starts, or a request."""

    def __init__(self, app: ASGIApp, ready: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._ready = ready
        self._is_ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if self._is_ready:
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._when_ready(send))
        else:
            await self._wait()
            await self._app(scope, receive, send)

    def _when_ready(self, send: Send) -> Send:
        async def send_when_ready(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._wait()
            await send(message)

        return send_when_ready

    async def _wait(self) -> None:
        try:
            await self._ready()
        except Exception:
            log.exception("requests are answered although not all is measured")
        self._is_ready = True

"""The machine under the TEST root with other software in it, or with logs of what it runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import BrowserContext, Route

from e2e.evidence import field_of, report_data_of
from quote_generator.eventlog import join_logs
from quote_generator.simulator import Simulator
from vectors import logs

QUOTE_PATH = "/api/v1/tee/quote"
LOGS = ("cc_eventlog", "aa_eventlog")


class Changed:
    """The same machine with other software in it: signed by its hardware, over the same data."""

    def __init__(self, machine: Simulator) -> None:
        self.machine = machine
        self.measurements: dict[str, bytes] = {}
        self.event_logs: dict[str, Any] = {}
        self.lines: Sequence[str] | None = None
        """What others logged after the server, whose log then stays."""

    def __call__(self, context: BrowserContext) -> None:
        context.route(f"**{QUOTE_PATH}*", self._answer)

    def quote(self, report_data: bytes = bytes(64)) -> bytes:
        """Return a quote of this machine."""
        return self.machine.quote(report_data, version=5, measurements=self.measurements)

    def _answer(self, route: Route) -> None:
        """Answer as the server does, with what this quote holds in the place of its own."""
        answer = route.fetch()
        document = answer.json()
        if answer.ok:
            if self.lines is not None:
                self._log(document, self.lines)
            firmware, application = join_logs(*map(self.event_logs.get, LOGS))
            document |= {
                "quote": self.quote(report_data_of(document)).hex(),
                "cc_eventlog": base64.b64encode(firmware).decode() if firmware else None,
                "aa_eventlog": application,
            }
        route.fulfill(response=answer, json=document)

    def _log(self, document: dict[str, Any], lines: Sequence[str]) -> None:
        """Have lines behind those that the server logged, and in the register with them."""
        events = logs.application(*lines)
        register = field_of(document, "rtmr_3")
        for event in events:
            register = logs.sha384(register + event.digest)
        self.measurements["rtmr_3"] = register
        own = _entries(base64.b64decode(document["cc_eventlog"]))
        self.event_logs["aa_eventlog"] = own + b"".join(map(logs.event, events))


def _entries(log: bytes) -> bytes:
    """Return what the application of a machine without a firmware's log has in its evidence."""
    empty, _text = join_logs(None, b"")
    assert empty is not None
    pairs = enumerate(zip(log, empty, strict=False))
    header = next((at for at, (one, other) in pairs if one != other), len(empty))
    return log[header:].removesuffix(empty[header:])

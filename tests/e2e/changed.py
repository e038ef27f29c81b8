"""The machine under the TEST root with other software in it, or with logs of what it runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import BrowserContext, Route

from e2e.evidence import field_of, report_data_of
from quote_generator.eventlog import join_logs
from quote_generator.simulator import Simulator
from vectors.logs import sha384

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
        register = field_of(document, "rtmr_3")
        for line in lines:
            register = sha384(register + sha384(line.encode()))
        self.measurements["rtmr_3"] = register
        log = document["aa_eventlog"] + "".join(f"{line}\n" for line in lines)
        self.event_logs["aa_eventlog"] = log

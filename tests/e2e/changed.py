"""The machine under the TEST root with other software in it, or with logs of what it runs."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import BrowserContext, Route

from quote_generator.attester import Attestation
from quote_generator.evidence import build_evidence, parse_nonce
from quote_generator.simulator import Simulator

QUOTE_PATH = "/api/v1/tee/quote"


class Changed:
    """The same machine with other software in it: signed by its hardware, for this page's nonce."""

    def __init__(self, machine: Simulator) -> None:
        self.machine = machine
        self.measurements: dict[str, bytes] = {}
        self.event_logs: dict[str, Any] = {}

    def __call__(self, context: BrowserContext) -> None:
        context.route(f"**{QUOTE_PATH}*", self._answer)

    def quote(self, report_data: bytes = bytes(64)) -> bytes:
        """Return a quote of this machine."""
        return self.machine.quote(report_data, version=5, measurements=self.measurements)

    def _attest(self, report_data: bytes) -> Attestation:
        quote = self.quote(report_data)
        return Attestation(quote, "configfs-tsm", "tdx_guest", simulated=False)

    def _answer(self, route: Route) -> None:
        nonce = parse_nonce(route.request.url.partition("nonce=")[2])
        (document,) = build_evidence(
            [nonce], attest=self._attest, now=time.time(), **self.event_logs
        )
        route.fulfill(json=document)

"""Likenesses of a real Trustee for the browser: what they know, and what tests do with them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from cczoo_verifier.trust import from_files
from starlette.types import Receive, Scope, Send

from doubles import jose
from doubles.serving import serving
from doubles.trustee.service import Setup, Trustee
from doubles.trustee.signing import EAR_ALGORITHM, Signer
from doubles.trustee.v013 import TrusteeV013
from doubles.trustee.v021 import TrusteeV021
from quote_generator.quote import parse_quote

VERSIONS: dict[str, type[Trustee]] = {kind.version: kind for kind in (TrusteeV013, TrusteeV021)}
FIRST_POSTS = {"0.13": 2, "0.21": 1}
"""How often a page that knows nothing of a service sends evidence: it tries the newer body first.

After that it is once.
"""

# Who asks there gets to this machine itself, but a page takes it for another one's address.
OTHER_HOST = "0.0.0.0"

_KNOWN = {
    "mr_td": "mr_td",
    "mr_seam": "mr_seam",
    "tee_tcb_svn": "tcb_svn",
    "rtmr_1": "rtmr_1",
    "rtmr_2": "rtmr_2",
    "xfam": "xfam",
}


def setup(pki: Path, quote: bytes, **more: Any) -> Setup:
    """Return how a service is set up that trusts a root and knows a machine by its quote."""
    body = parse_quote(quote).body.to_dict()
    return Setup(
        from_files(str(pki / "root.pem"), pki / "collateral.json"),
        references={name: [str(body[field])] for field, name in _KNOWN.items()},
        **more,
    )


class Running:
    """A service at an address of its own; ``setup`` may be changed meanwhile."""

    def __init__(self, version: str, setup: Setup) -> None:
        self.version = version
        self.setup = setup
        self.trustee = VERSIONS[version](setup)
        self.url = ""
        self._end = contextlib.ExitStack()

    def __enter__(self) -> Running:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen: where it did before, if it was stopped."""
        port = int(self.url.rpartition(":")[2] or 0)
        self.url = self._end.enter_context(serving(self.trustee.app, port=port))

    def stop(self) -> None:
        """End, so that nobody listens."""
        self._end.close()

    @property
    def posts(self) -> int:
        """How often it was sent evidence."""
        return self.setup.evidence_posts

    @property
    def signers_key(self) -> str:
        """The key that signs, as JSON, as an administrator hands it to users."""
        return json.dumps(jose.jwk(self.trustee.signer.key, EAR_ALGORITHM, ""))

    def sign_with(self, signer: Signer) -> None:
        """Sign with another key from now on, as after a start without a configured one."""
        self.trustee.signer = signer


class Behind:
    """An address that a backend relays to, and the service that a test puts there."""

    def __init__(self) -> None:
        self.url = ""
        self._trustee: Trustee | None = None

    @property
    def other_url(self) -> str:
        """The same address as one of another machine, by plain HTTP."""
        return self.url.replace("127.0.0.1", OTHER_HOST)

    def put(self, version: str, setup: Setup) -> Running:
        """Have this service there from now on."""
        running = Running(version, setup)
        running.url, self._trustee = self.url, running.trustee
        return running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._trustee is not None, "the test put no service there"
        await self._trustee.app()(scope, receive, send)


def evidence_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence in a body of either version."""
    from e2e.evidence import decode

    [request] = body.get("verification_requests", [body])
    return dict(json.loads(decode(request["evidence"])))

"""The relying party of an attestation service: evidence out, a token in, and what it is worth.

The rules are the page's (web/src/providers): a token counts only under keys of the service, for
this quote, and now. A new service is one more entry of PROVIDERS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quote_generator.quote import Quote
from quote_generator.service_address import WELL_KNOWN

from ..appraisal import Rejected
from ..checks import FAIL, PASS, Check
from ..fetching import get, post
from ..jws import Keys, parse_token, read_keys, verify_token
from ..problems import Unreachable
from .claims import Claims, Tcb, check_claims, ear_claims, seconds, simple_claims
from .exchange import (
    ADVICE,
    KEYS,
    SERVICE,
    Body,
    alibaba_body,
    discovered,
    flat_body,
    listed_body,
    misunderstood,
    request,
    why_no_word,
)

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""


@dataclass(frozen=True)
class Provider:
    """One kind of attestation service.

    `address` is the built-in one, empty where each has its own; `keys_path` is where the key
    set lies, or the document that says where (`discovery`); `bodies` are the request bodies that
    it may take, newest first; `issuer` says whether its tokens name its address as issuer and
    audience: if not, they may name no audience.
    """

    address: str
    path: str
    keys_path: str
    algorithms: tuple[str, ...]
    issuer: bool
    discovery: bool
    bodies: tuple[Callable[[Body], Body], ...]
    claims: Callable[[Mapping[str, Any]], Claims]


@dataclass
class Service:
    """A service that a user chose; `keys` are None where it publishes them itself."""

    provider: Provider
    address: str
    keys: Keys | None
    timeout: float
    _form: int = 0

    def opinion(
        self, quote: Quote, logs: Body, *, now: Callable[[], float], token: str | None = None
    ) -> Opinion:
        """What the service says of a quote and the event logs beside it in the evidence.

        `token` is one that it gave earlier, instead of asking now; `now` is read once the answer
        is there. Raises Unreachable where there is no answer, or no keys.
        """
        text = token
        try:
            text = self._ask(quote, logs) if text is None else text
            parsed = parse_token(text)
            keys = self.keys or self._published()
            moment = now()
            signer = verify_token(parsed, keys, self.provider.algorithms, moment)
        except Rejected as error:
            return Opinion(text, (Check(error.check, FAIL, str(error), error.code),))
        signed = Check("token-signature", PASS, f"signed with {signer}")
        claims = self.provider.claims(parsed.payload)
        issuer = self.address if self.provider.issuer else None
        return Opinion(
            text,
            (signed, check_claims(parsed, claims, quote, issuer, moment), claims.appraise()),
            claims.tcb,
            claims.simulated,
            seconds(parsed.payload.get("exp")),
        )

    def _ask(self, quote: Quote, logs: Body) -> str:
        """The token's text. Raises Rejected with what the service said, or Unreachable."""
        sent = request(quote, logs)
        bodies = self.provider.bodies
        url = self.address + self.provider.path
        for form in sorted(range(len(bodies)), key=lambda form: form != self._form):
            answer = post(url, SERVICE, bodies[form](sent), timeout=self.timeout)
            if not misunderstood(answer):
                self._form = form
                break
        if elsewhere := why_no_word(answer):
            raise Unreachable(elsewhere, f"{url} answered HTTP {answer.status}{ADVICE[elsewhere]}")
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status != 200:
            reason = f"the service refused: HTTP {answer.status} {text[:_SHOWN]}"
            raise Rejected("token-signature", "service-rejected", reason)
        return text

    def _published(self) -> Keys:
        """The keys that the service publishes now."""
        url = self.address + self.provider.keys_path
        try:
            if self.provider.discovery:
                url = discovered(self._get(url), self.address)
            return read_keys(self._get(url), pinned=False)
        except ValueError as error:
            raise Unreachable(KEYS, f"{url} is of no use: {error}") from error

    def _get(self, url: str) -> bytes:
        answer = get(url, KEYS, timeout=self.timeout)
        if answer.status != 200:
            raise Unreachable(KEYS, f"{url} answered HTTP {answer.status}")
        return answer.body


@dataclass(frozen=True)
class Opinion:
    """A service's word: its token, if it gave one, and the checks of it.

    The rest is in the token, where its signature holds: `simulated` says that a simulator's root
    vouches for the quote, and the token ends at `expires` (seconds since 1970).
    """

    token: str | None
    checks: tuple[Check, ...]
    tcb: Tcb = field(default_factory=Tcb)
    simulated: bool = False
    expires: float = math.inf


PROVIDERS = {
    "alibaba": Provider(
        address="https://attest.cn-beijing.aliyuncs.com",
        path=WELL_KNOWN["alibaba"],
        keys_path="/.well-known/openid-configuration",
        algorithms=("RS256",),
        issuer=True,
        discovery=True,
        bodies=(alibaba_body,),
        claims=simple_claims,
    ),
    "trustee": Provider(
        address="",
        path=WELL_KNOWN["trustee"],
        keys_path="/.well-known/jwks.json",
        algorithms=("ES256", "RS384"),
        issuer=False,
        discovery=False,
        bodies=(listed_body, flat_body),
        claims=lambda payload: (ear_claims if "submods" in payload else simple_claims)(payload),
    ),
}

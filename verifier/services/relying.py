"""The relying party of an attestation service: evidence out, a token in, and what it is worth.

The rules are the page's (web/src/providers): a token counts only under keys of the service, for
this quote, and now. A new service is one more entry of PROVIDERS.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.quote import Quote
from quote_generator.service_address import WELL_KNOWN

from ..appraisal import Rejected
from ..checks import FAIL, PASS, WARN, Check
from ..fetching import Answer, get, post
from ..jws import Keys, parse_token, read_keys, verify_token
from ..problems import Unreachable
from ..tcb_rules import PlatformState
from ..waiting import asked_wait
from .claims import (
    Claims,
    check_claims,
    check_collateral,
    collateral_end,
    ear_claims,
    seconds,
    simple_claims,
    tcb_of,
)
from .exchange import (
    ADDRESS,
    KEYS,
    PIN,
    SERVICE,
    Body,
    alibaba_body,
    discovered,
    flat_body,
    judge,
    listed_body,
    merged_log,
    misunderstood,
    request,
    text_of,
)
from .members import Told

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""


@dataclass(frozen=True)
class Provider:
    """One kind of attestation service.

    `address` is the built-in one, empty where each has its own; `keys_path` is where the key
    set lies, or the document that says where (`discovery`); `bodies` are the request bodies that
    it may take, one or two, the newest first; `issuer` says whether its tokens name its address
    as issuer and audience: if not, they may name no audience.
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
    """A service that a user chose; `keys` are None where it publishes them itself.

    With `send_logs` the event logs go along, as one.
    """

    provider: Provider
    address: str
    keys: Keys | None
    timeout: float
    send_logs: bool = False
    _form: int = 0

    def opinion(
        self, quote: Quote, logs: Body, *, now: Callable[[], float], token: str | None = None
    ) -> Opinion:
        """What the service says of a quote; `logs` is the evidence, with both logs in it.

        `token` is one that it gave earlier, instead of asking now; `now` is read once the answer
        is there. Raises Unreachable where there is no answer, or no keys: these are there before
        any evidence leaves.
        """
        keys = self.keys or self._published()
        log, withheld = (None, "") if token is not None else self._log(logs)
        text = token
        try:
            text = self._ask(request(quote, log)) if text is None else text
            parsed = parse_token(text)
            moment = now()
            signer = verify_token(parsed, keys, self.provider.algorithms, moment)
        except Rejected as error:
            return Opinion(text, (Check(error.check, FAIL, str(error), error.code),))
        claims = self.provider.claims(parsed.payload)
        issuer = self.address if self.provider.issuer else None
        collateral = check_collateral(claims.told, moment)
        return Opinion(
            text,
            (
                _signed(signer, withheld),
                check_claims(parsed, claims, quote, issuer, moment),
                *([collateral] if collateral else []),
                claims.appraise(),
            ),
            claims.told,
            claims.simulated,
            min(seconds(parsed.payload.get("exp")), collateral_end(claims.told)),
        )

    def _log(self, evidence: Body) -> tuple[bytes | None, str]:
        """The log that goes along; and why none does, although the user wants it."""
        if not self.send_logs:
            return None, ""
        ccel, aael = evidence.get("cc_eventlog"), evidence.get("aa_eventlog")
        try:
            return merged_log(None if ccel is None else base64.b64decode(ccel), aael), ""
        except BadInput as error:
            return None, str(error)

    def _ask(self, sent: Body) -> str:
        """The token's text. Raises Rejected with what the service said, or Unreachable."""
        url = self.address + self.provider.path
        answer = self._post(url, sent)
        word, text = judge(answer), text_of(answer) or ""
        if word is None:
            return text
        meaning = "".join(f": {part}" for part in (word.meaning, text[:_SHOWN]) if part)
        if word.is_about_evidence:
            check = "appraisal" if word.code == "appraisal" else "token-signature"
            reason = f"the service refused: HTTP {answer.status}{meaning}"
            raise Rejected(check, word.code, reason)
        advice = ": there is no attestation service at this address"
        reason = advice if word.code == ADDRESS else meaning
        raise _unreachable(word.code, f"{url} answered HTTP {answer.status}{reason}", answer)

    def _post(self, url: str, sent: Body) -> Answer:
        """The answer to the body that the service takes, which is remembered."""
        bodies = self.provider.bodies
        answer = post(url, SERVICE, bodies[self._form](sent), timeout=self.timeout)
        if len(bodies) == 1 or not misunderstood(answer):
            return answer
        self._form = 1 - self._form
        return post(url, SERVICE, bodies[self._form](sent), timeout=self.timeout)

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
        if answer.status == 404:
            raise Unreachable(PIN, f"{url} is not there: pin the keys with --service-keys")
        if answer.status != 200:
            raise _unreachable(KEYS, f"{url} answered HTTP {answer.status}", answer)
        return answer.body


def _signed(signer: str, withheld: str) -> Check:
    if not withheld:
        return Check("token-signature", PASS, f"signed with {signer}")
    detail = f"signed with {signer}; the event logs were not sent: {withheld}"
    return Check("token-signature", WARN, detail, "logs-unmerged")


def _unreachable(code: str, message: str, answer: Answer) -> Unreachable:
    return Unreachable(code, message, wait=asked_wait(answer.headers, time.time()))


@dataclass(frozen=True)
class Opinion:
    """A service's word: its token, if it gave one, and the checks of it.

    The rest is in the token, where its signature holds: what it tells of platform and collateral;
    `simulated` says that a simulator's root vouches for the quote; at `expires` (seconds since
    1970) the token ends, or the collateral that it rests on.
    """

    token: str | None
    checks: tuple[Check, ...]
    told: Told = field(default_factory=Told)
    simulated: bool = False
    expires: float = math.inf

    @property
    def tcb(self) -> PlatformState:
        """The platform's TCB, as far as it is told."""
        return tcb_of(self.told)


PROVIDERS = {
    "alibaba": Provider(
        address="https://attest.cn-beijing.aliyuncs.com",
        path=WELL_KNOWN["alibaba"],
        keys_path="/.well-known/openid-configuration",
        algorithms=("RS256",),
        issuer=True,
        discovery=True,
        bodies=(alibaba_body,),
        claims=lambda payload: simple_claims(payload, any_policy=True),
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

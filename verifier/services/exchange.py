"""What services are sent, and what their answers are: a token, a refusal, or no word at all.

`answers.json` says what an answer means that is no token. The page reads the same file
(web/src/providers/exchange.ts), so both come to the same code.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.eventlog import (
    APPLICATION_REGISTER,
    join_logs,
    parse_aael,
    parse_ccel,
    replay_ccel,
)
from quote_generator.evidence import encode_base64url
from quote_generator.quote import Quote

from .. import strictjson
from ..fetching import Answer

SERVICE, KEYS, ADDRESS = "service-unreachable", "keys-unreachable", "service-address"
BROKEN, REJECTED, PIN = "service-broken", "service-rejected", "keys-needed"

_BLANK = " \t\r\n"
"""White space, as HTTP and JSON have it: every language's own kind has more of it."""

_TABLE: Mapping[str, Any] = json.loads(
    resources.files(__package__).joinpath("answers.json").read_text("utf-8")
)

_EV_IPL = 0x0D
_SHA384 = 0x000C

Body = Mapping[str, Any]


# --- what is sent --------------------------------------------------------------------------------


def request(quote: Quote, log: bytes | None) -> Body:
    """What every service takes: the quote and its report data, and one event log if it wants it."""
    inner = {"quote": base64.b64encode(quote.raw).decode()}
    if log is not None:
        inner["cc_eventlog"] = base64.b64encode(log).decode()
    return {
        "tee": "tdx",
        "evidence": encode_base64url(json.dumps(inner).encode()),
        # Raw data is compared with the report data as it is; services hash structured data only.
        "runtime_data": {"raw": encode_base64url(quote.body.report_data)},
    }


def alibaba_body(request: Body) -> Body:
    return {**request, "policy_ids": []}


def listed_body(request: Body) -> Body:
    """Trustee from v0.14."""
    request = {**request, "runtime_data_hash_algorithm": "sha384"}
    return {"verification_requests": [request], "policy_ids": []}


def flat_body(request: Body) -> Body:
    """Trustee up to v0.13."""
    return {**request, "runtime_data_hash_algorithm": "sha384", "policy_ids": []}


def merged_log(ccel: bytes | None, aael: str | None) -> bytes | None:
    """Both logs as one of TCG2 events, which is what a current Trustee replays; None for none.

    CCEL goes up to its end, or the CoCo agent's header stands in its place; the application's
    events follow, and 8 bytes 0xFF. A line of its text becomes an event of the digest that the
    register was extended with: of type EV_IPL, whose digest is that of its data.

    Raises BadInput where a log cannot be read, or the text begins at another value than the
    events before it lead to: then no replay from zeros comes to the register.
    """
    if ccel is None and aael is None:
        return None
    before = () if ccel is None else parse_ccel(ccel)
    entries = b""
    if aael is not None:
        log = parse_aael(aael)
        if replay_ccel(before)["rtmr_3"] != log.initial:
            raise BadInput("the application's log begins where no earlier event leads")
        lines = (f"INIT sha384/{log.initial.hex()}", *(event.line for event in log.events))
        entries = b"".join(map(_entry, lines))
    return join_logs(ccel, entries)[0]


def _entry(line: str) -> bytes:
    """A line as a TCG2 event (TCG PC Client Platform Firmware Profile, section 10.2.2)."""
    text = line.encode()
    head = APPLICATION_REGISTER, _EV_IPL, 1
    return b"".join(
        (
            *(number.to_bytes(4, "little") for number in head),
            _SHA384.to_bytes(2, "little"),
            hashlib.sha384(text).digest(),
            len(text).to_bytes(4, "little"),
            text,
        )
    )


# --- what comes back ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """What an answer says that is no token: a stable code, and what it means, perhaps nothing.

    `service-rejected` and `appraisal` are about this evidence. All others say nothing about the
    machine: whoever gets one may ask again.
    """

    code: str
    meaning: str

    @property
    def is_about_evidence(self) -> bool:
        """Whether the service has looked at the evidence, and does not accept it."""
        return self.code in (REJECTED, "appraisal")


def text_of(answer: Answer) -> str | None:
    """An answer's text, or None where it is none (what is not UTF-8 is no text)."""
    try:
        return answer.body.decode("utf-8").strip(_BLANK)
    except UnicodeDecodeError:
        return None


def judge(answer: Answer) -> Word | None:
    """What an answer means, or None where it is to be read as a token."""
    text = text_of(answer)
    unread = text is None and not 300 <= answer.status < 400
    name = _TABLE["else"] if unread else _name(answer.status, text or "")
    if name is None:
        return None
    word = _TABLE["words"][name]
    return Word(word["code"], word["text"])


def _name(status: int, text: str) -> str | None:
    """The first rule that fits; cheap ones before those that read the text."""
    if 300 <= status < 400:
        return str(_TABLE["redirect"])
    if name := _TABLE["statuses"].get(str(status)):
        return str(name)
    if text.startswith("<"):  # a page for people: no service has tokens or refusals like that
        return str(_TABLE["page_of_error" if status >= 500 else "page"])
    if status == 200:
        return None
    said = text[: _TABLE["characters"]]
    return _by_intels_code(said) or _by_phrase(said) or _by_form(status, text)


def _by_intels_code(said: str) -> str | None:
    """Intel's quote library answers with a number, which Trustee hands on."""
    for before in _TABLE["intel_before"]:
        _, found, rest = said.partition(before)
        if found and (name := _TABLE["intel"].get(rest[:4])):
            return str(name)
    return None


def _by_phrase(said: str) -> str | None:
    return next((name for phrase, name in _TABLE["phrases"] if phrase in said), None)


def _by_form(status: int, text: str) -> str:
    """Alibaba Cloud refuses with status 400 and an object that has a code and a message."""
    try:
        value = strictjson.loads(text) if status == 400 else None
    except ValueError:
        value = None
    is_named = isinstance(value, dict) and all(
        isinstance(value.get(member), str) for member in ("code", "message")
    )
    return str(_TABLE["named_error" if is_named else "else"])


_MISSING = re.compile("missing field `(verification_requests|tee)`")


def misunderstood(answer: Answer) -> bool:
    """Whether the service takes the other form of body: each names the member that it misses."""
    return answer.status == 400 and _MISSING.search(text_of(answer) or "") is not None


def discovered(document: bytes, address: str) -> str:
    """The key set's address, by OpenID Connect Discovery 1.0 (sections 4.2 and 4.3).

    The document must be this very issuer's, and the keys lie at its own origin. Raises
    ValueError.
    """
    value = strictjson.loads(document)
    known = value if isinstance(value, dict) else {}
    issuer, keys = known.get("issuer"), known.get("jwks_uri")
    if issuer != address:
        raise ValueError(f"issuer is not {address}")
    scheme, _, rest = address.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}/"
    if not isinstance(keys, str) or not keys.startswith(origin):
        raise ValueError("jwks_uri is at another origin")
    return keys

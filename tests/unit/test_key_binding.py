"""Check `key-binding`: keyset, statement and their ends, and when the key's holder is asked."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cczoo_verifier.appraisal import Rejected, Trust
from cczoo_verifier.audit import Report, audit
from cczoo_verifier.checks import Check
from cczoo_verifier.policy import policy_of
from cczoo_verifier.problems import Unreachable
from cczoo_verifier.services.relying import Opinion
from cczoo_verifier.table import write_report

from doubles.chat import NONCE, STATEMENT
from doubles.chat import make_evidence as make
from quote_generator import evidence
from quote_generator.sealing.hpke import Kem, PrivateKey
from quote_generator.sealing.keyset import (
    KeyConfig,
    Keyset,
    make_key_config,
    make_keyset,
)
from quote_generator.simulator import Simulator

KEY = make_key_config(7, PrivateKey.generate(Kem.X25519))
OTHER = make_key_config(8, PrivateKey.generate(Kem.P256))
HOUR = 3600


def a_keyset(ends_in: float = HOUR, *configs: KeyConfig, now: float | None = None) -> Any:
    moment = time.time() if now is None else now
    return make_keyset(configs or (KEY, OTHER), moment + ends_in)


class Holder:
    """Answers, or does not, and counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, 0

    def __call__(self, keyset: Keyset) -> Callable[[], None]:
        self.asked += 1
        self.keyset = keyset

        def wait() -> None:
            if self.error:
                raise self.error

        return wait


def run(td: Simulator, document: Any, holder: Holder | None, **options: Any) -> Report:
    options.setdefault("trust", lambda _: Trust(td.root_der, td.collateral()))
    options.setdefault("now", time.time())
    return audit(document, nonce=NONCE, ask=holder, **options)


def key_check(report: Report) -> Check:
    (check,) = (check for check in report.checks if check.id == "key-binding")
    return check


def said(report: Report) -> tuple[str, str]:
    check = key_check(report)
    return check.outcome, check.code


# --- what the quote is over ----------------------------------------------------------------------


def test_a_key_whose_holder_answers(td: Simulator) -> None:
    keyset = a_keyset()
    holder = Holder()
    report = run(td, make(td, keyset=keyset), holder)
    check = key_check(report)
    assert (report.result, check.outcome, check.code) == ("pass", "pass", "")
    assert KEY.id in check.detail
    assert "X25519" in check.detail
    assert keyset["not_after"] in check.detail
    assert holder.asked == 1
    assert report.keys == holder.keyset
    told = {"id": KEY.id, "kem": "X25519", "not_after": keyset["not_after"]}
    assert report.to_dict()["keys"] == told
    assert check.until == holder.keyset.not_after


def test_a_keyset_of_p256_alone(td: Simulator) -> None:
    report = run(td, make(td, keyset=a_keyset(HOUR, OTHER)), Holder())
    assert report.to_dict()["keys"]["kem"] == "P-256"


def test_without_a_key_a_live_server_is_a_warning(td: Simulator) -> None:
    holder = Holder()
    report = run(td, make(td), holder)
    assert (report.result, said(report), holder.asked) == ("warn", ("warn", "key-none"), 0)
    assert report.keys is None
    assert report.to_dict()["keys"] is None


def test_keyset_and_statement_beside_version_1_count_for_nothing(td: Simulator) -> None:
    """Anybody can put a keyset beside a quote that does not bind it."""
    document = make(td) | {"keyset": a_keyset(), "statement": STATEMENT}
    holder = Holder()
    assert said(run(td, document, holder)) == ("warn", "key-none")
    assert holder.asked == 0


@pytest.mark.parametrize("live", [True, False])
def test_a_policy_can_ask_for_a_key(td: Simulator, live: bool) -> None:
    policy = policy_of({"v": 1, "require_sealed": True})
    holder = Holder() if live else None
    assert said(run(td, make(td), holder, policy=policy)) == ("fail", "key-none")
    sealed = run(td, make(td, keyset=a_keyset()), holder, policy=policy)
    assert said(sealed) == (("pass", "") if live else ("skipped", "not-asked"))
    lax = policy_of({"v": 1, "require_sealed": False})
    assert said(run(td, make(td), Holder(), policy=lax)) == ("warn", "key-none")


def test_evidence_from_a_file_asks_nobody(td: Simulator) -> None:
    for document in (make(td), make(td, keyset=a_keyset()), make(td, keyset=a_keyset(-HOUR))):
        report = run(td, document, None)
        assert (report.result, said(report)) == ("pass", ("skipped", "not-asked"))
        assert report.keys is None


def changes() -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Ways in which a document's keyset and statement are not the quote's."""
    fresh = make_key_config(9, PrivateKey.generate(Kem.X25519))
    yield "a keyset of another quote", lambda d: d.update(keyset=a_keyset(HOUR, fresh))
    yield "a later end", lambda d: d["keyset"].update(not_after="2099-01-01T00:00:00Z")
    yield "an entry less", lambda d: d["keyset"]["seal"].pop()
    yield "another order", lambda d: d["keyset"]["seal"].reverse()
    yield "a member more", lambda d: d["keyset"].update(more=1)
    yield "no keyset", lambda d: d.pop("keyset")
    yield "keyset is null", lambda d: d.update(keyset=None)
    yield "keyset is a list", lambda d: d.update(keyset=[d["keyset"]])
    yield "keyset is text", lambda d: d.update(keyset=json.dumps(d["keyset"]))
    yield "no canonical form", lambda d: d["keyset"].update(more=1 << 60)
    yield "half a character", lambda d: d["keyset"].update(more="\ud800")
    yield "no statement", lambda d: d.pop("statement")
    yield "another statement", lambda d: d.update(statement={"v": 1, "all": "is well"})
    yield "statement of another version", lambda d: d.update(statement={"v": 2})
    yield "statement is null", lambda d: d.update(statement=None)
    yield "swapped", lambda d: d.update(keyset=d["statement"], statement=d["keyset"])


CHANGES = dict(changes())


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("live", [True, False])
def test_what_is_not_the_quotes_fails(td: Simulator, name: str, live: bool) -> None:
    document = make(td, keyset=a_keyset())
    CHANGES[name](document)
    holder = Holder()
    report = run(td, document, holder if live else None)
    assert (report.result, said(report)) == ("fail", ("fail", "key-mismatch")), name
    assert holder.asked == 0  # nothing is asked of keys that nobody vouches for


def bound(td: Simulator, runtime: Any, **members: Any) -> Any:
    """Evidence of this TD over runtime data that somebody made up."""
    form = evidence.canonical_json(runtime)
    document = make(td, keyset=a_keyset()) | members
    document["quote"] = td.quote(evidence.report_data(form)).hex()
    document["runtime_data"] = evidence.encode_base64url(form)
    document["nonce_proof"] = {"leaf_index": 0, "tree_size": 1, "path": []}
    return document


def runtime_of(keyset: Any, statement: Any = STATEMENT, **members: Any) -> Any:
    root = evidence.encode_base64url(evidence.merkle_tree_hash([NONCE]))
    hashes = {
        "keys": evidence.document_hash(keyset),
        "statement": evidence.document_hash(statement),
    }
    return {"v": 2, "nonce_root": root, **hashes, **members}


@pytest.mark.parametrize("name", ["keys", "statement"])
@pytest.mark.parametrize("value", [None, 1, "", "AAAA", [], {}])
def test_hashes_in_runtime_data_must_be_hashes(td: Simulator, name: str, value: Any) -> None:
    keyset = a_keyset()
    document = bound(td, runtime_of(keyset, **{name: value}), keyset=keyset)
    assert said(run(td, document, Holder())) == ("fail", "key-mismatch")
    runtime = runtime_of(keyset)
    del runtime[name]
    assert said(run(td, bound(td, runtime, keyset=keyset), Holder())) == ("fail", "key-mismatch")
    # So that it is the hash alone that was wrong.
    assert said(run(td, bound(td, runtime_of(keyset), keyset=keyset), Holder()))[0] == "pass"


@pytest.mark.parametrize("name", ["keys", "statement"])
def test_what_neither_quote_nor_document_has_is_missing(td: Simulator, name: str) -> None:
    keyset = a_keyset()
    runtime = runtime_of(keyset)
    del runtime[name]
    members = {"keyset": keyset, "statement": STATEMENT}
    members["keyset" if name == "keys" else name] = None
    assert said(run(td, bound(td, runtime, **members), Holder())) == ("fail", "key-mismatch")


def test_nothing_bound_is_not_the_hash_of_nothing(td: Simulator) -> None:
    """A quote over the hashes of null, and a document that has no keyset."""
    null = evidence.encode_base64url(hashlib.sha256(b"null").digest())
    runtime = runtime_of(a_keyset(), keys=null, statement=null)
    document = bound(td, runtime, keyset=None, statement=None)
    assert said(run(td, document, Holder())) == ("fail", "key-mismatch")


def malformed() -> Iterator[tuple[str, Any]]:
    """Keysets that a TD could sign, and nobody can use."""
    keyset = a_keyset()

    def changed(change: Callable[[Any], object]) -> Any:
        other = copy.deepcopy(keyset)
        change(other)
        return other

    yield "empty", {}
    yield "no keys", changed(lambda k: k.update(seal=[]))
    yield "keys are none", changed(lambda k: k.update(seal=None))
    yield "another version", changed(lambda k: k.update(v=2))
    yield "no end", changed(lambda k: k.pop("not_after"))
    yield "an end in words", changed(lambda k: k.update(not_after="soon"))
    yield "an end elsewhere", changed(lambda k: k.update(not_after="2026-11-29T10:00:00+01:00"))
    yield "another id", changed(lambda k: k["seal"][0].update(id=OTHER.id))
    yield "cut", changed(lambda k: k["seal"][0].update(key_config=k["seal"][0]["key_config"][:-4]))
    yield "not base64url", changed(lambda k: k["seal"][0].update(key_config="+/"))
    yield "twice", changed(lambda k: k["seal"].append(k["seal"][0]))
    yield "too many", changed(lambda k: k.update(seal=k["seal"] * 9))
    yield "too long", changed(lambda k: k.update(more="x" * 9000))
    unknown = evidence.encode_base64url(b"\x01\x7f\xff" + bytes(40))
    yield (
        "of an unknown kind",
        changed(lambda k: k.update(seal=[{"id": KEY.id, "key_config": unknown}])),
    )


MALFORMED = dict(malformed())


@pytest.mark.parametrize("name", MALFORMED)
def test_a_keyset_that_nobody_can_use(td: Simulator, name: str) -> None:
    keyset, holder = MALFORMED[name], Holder()
    document = bound(td, runtime_of(keyset), keyset=keyset)
    assert said(run(td, document, holder)) == ("fail", "key-mismatch")
    assert holder.asked == 0


def test_members_that_nobody_knows_are_hashed_and_passed_over(td: Simulator) -> None:
    unknown = {"id": "new", "key_config": evidence.encode_base64url(b"\x01\x7f\xff" + bytes(40))}
    keyset = a_keyset() | {"later": {"x": [1, None]}}
    keyset["seal"].insert(0, unknown)
    report = run(td, make(td, keyset=keyset, statement={"v": 1, "models": []}), Holder())
    assert said(report)[0] == "pass"
    assert report.to_dict()["keys"]["id"] == KEY.id


@pytest.mark.parametrize(
    ("ends_in", "expected"),
    [
        (-121, ("fail", "keyset-expired")),
        (-120, ("pass", "")),
        (0, ("pass", "")),
        (3720, ("pass", "")),
        (3721, ("fail", "keyset-life")),
        (10**9, ("fail", "keyset-life")),
    ],
)
def test_how_long_keys_count(td: Simulator, ends_in: int, expected: tuple[str, str]) -> None:
    now = float(int(time.time()))
    keyset = a_keyset(ends_in, now=now)
    assert said(run(td, make(td, keyset=keyset), Holder(), now=now)) == expected


def test_evidence_for_another_nonce_asks_nobody(td: Simulator) -> None:
    holder = Holder()
    report = run(td, make(td, bytes(32), keyset=a_keyset()), holder)
    assert said(report) == ("fail", "not-run")
    assert holder.asked == 0


# --- who is asked, and when ----------------------------------------------------------------------

SILENT = Rejected("key-binding", "key-silent", "nobody answered")
GONE = Unreachable("evidence-unreachable", "no connection")


def test_a_silent_holder_fails(td: Simulator) -> None:
    report = run(td, make(td, keyset=a_keyset()), Holder(SILENT))
    assert (report.result, said(report)) == ("fail", ("fail", "key-silent"))
    assert (report.keys, report.to_dict()["keys"]) == (None, None)


def test_a_server_that_is_gone_is_no_verdict_unless_there_is_one(td: Simulator) -> None:
    document = make(td, keyset=a_keyset())
    with pytest.raises(Unreachable):
        run(td, document, Holder(GONE))
    report = run(td, document, Holder(GONE), references={"mr_td": {"00" * 48}})
    assert (report.result, said(report)) == ("fail", ("fail", "not-run"))


def test_a_key_is_not_told_where_a_check_failed(td: Simulator) -> None:
    """Whoever forged a quote holds its key."""
    report = run(td, make(td, keyset=a_keyset()), Holder(), references={"mr_td": {"00" * 48}})
    assert said(report)[0] == "pass"
    assert report.to_dict()["keys"] is None
    out = io.StringIO()
    write_report(report, out)
    assert "sealed to" not in out.getvalue()


def test_the_holder_is_asked_before_what_is_dear_and_awaited_after_it(td: Simulator) -> None:
    order: list[str] = []

    def ask(_: Keyset) -> Callable[[], None]:
        order.append("asked")
        return lambda: order.append("answered")

    def trust(_: Any) -> Trust:
        order.append("collateral")
        return Trust(td.root_der, td.collateral())

    document = make(td, keyset=a_keyset())
    audit(document, nonce=NONCE, trust=trust, now=time.time(), ask=ask)
    assert order == ["asked", "collateral", "answered"]


@pytest.mark.parametrize("outcome", [None, SILENT])
def test_with_a_service_it_is_the_same(td: Simulator, outcome: Exception | None) -> None:
    """And the service gets the same 64 bytes of report data as ever."""
    seen: list[bytes] = []

    def service(quote: Any) -> Opinion:
        seen.append(quote.body.report_data)
        return Opinion(None, ())

    document = make(td, keyset=a_keyset())
    report = run(td, document, Holder(outcome), service=service)
    assert said(report) == (("fail", "key-silent") if outcome else ("pass", ""))
    runtime = evidence.decode_base64url(document["runtime_data"], "runtime_data")
    assert seen == [evidence.report_data(runtime)]

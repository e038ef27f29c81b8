"""What a TD states of its workload, one change each, and what check `workload` makes of it.

The sections are as the backend writes them. A case changes them by edits: a JSON pointer and the
value to put there (`-` puts it at a list's end), or the pointer alone: the member goes.

Expected outcomes are written here by hand, from the contract in docs/verification.md.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.evidence import document_hash

PASS, WARN, FAIL, SKIPPED = "pass", "warn", "fail", "skipped"
OK, AMBER, INFO = "ok", "amber", "info"

Edit = tuple[Any, ...]
Violation = tuple[str, str]


def sha(byte: str) -> str:
    return f"sha256:{byte * 32}"


KIT, WEBUI, FRONT, PAGE = sha("11"), sha("22"), sha("33"), sha("44")
ENVIRONMENT, PYTHON, NOTHING = sha("55"), sha("56"), sha("57")
NO_BYTECODE = f"sha256:{hashlib.sha256().hexdigest()}"
SMALL, LARGE, OTHER, CODE = sha("a1"), sha("a2"), sha("0f"), sha("c0")
VERITY = f"fsverity:{LARGE}"

LOCAL = "127.0.0.1:11434"
CLOUD = "api.example.com:443"
HOSTILE = "<img src=x onerror=alert(1)>\n\u202e\"'&\\\x1b[31m"
"""Nothing of this may be obeyed, by a page or a terminal."""


# --- what is stated ------------------------------------------------------------------------------


def _model(name: str, digest: str | None, **more: object) -> dict[str, object]:
    where = {"where": "inside", "address": LOCAL, "why": "measured"}
    return {"id": name, "name": name, "digest": digest, **where, **more}


def _way(kind: str, where: str = "off", address: str | None = None, why: str = "off") -> object:
    return {"kind": kind, "where": where, "address": address, "why": why}


def _store(**more: object) -> dict[str, object]:
    return {"kind": "encrypted", "secrecy": "kept", "integrity": "not-kept", **more}


def _code(name: str, kind: str, digest: str | None = CODE, *, active: bool = True) -> object:
    beside = {"active": active, "global": False, "can_send": True}
    return {"id": name, "type": kind, "digest": digest, **beside}


ENVIRONMENT_FACT = {
    "bytecode": NO_BYTECODE,
    "digest": ENVIRONMENT,
    "distributions": 251,
    "python": PYTHON,
    "python_version": "3.11.7",
    "unlisted": NOTHING,
    "unlisted_files": 0,
}

FACTS: list[list[Any]] = [
    ["kit", {"digest": KIT, "v": 1, "version": "0.2.0"}],
    ["open-webui", {"digest": WEBUI, "v": 1, "version": "9.8.7", "way": "plugin"}],
    ["front-end", {"digest": FRONT, "v": 1}],
    ["page", {"digest": PAGE, "v": 1}],
    ["environment", {**ENVIRONMENT_FACT, "v": 1}],
    ["settings", {"digest": sha("66"), "v": 1}],
    ["model", {"digest": SMALL, "name": "llama3.2:1b", "server": LOCAL, "v": 1}],
    ["model", {"digest": LARGE, "name": "deepseek-r1:70b", "server": LOCAL, "v": 1}],
]

_ALL_OFF = (
    *("audit-log", "documents", "image-editing", "images", "live-speech", "openai"),
    *("own-connections", "own-tools", "own-webhooks", "reranking", "sharing", "speech-to-text"),
    *("summary-model", "task-model", "task-model-for-others", "telemetry", "terminal-server"),
    *("text-to-speech", "tool-server", "version-check", "web-pages", "web-search", "webhook"),
)

SECTIONS: dict[str, Any] = {
    "connections": {
        "ways": [
            _way("embedding", "inside", None, "in-process"),
            _way("ollama", "inside", LOCAL, "models-inside"),
            *map(_way, _ALL_OFF),
        ],
        "left_out": 0,
    },
    "functions": {
        "listed": True,
        "active": 0,
        "left_out": 0,
        "present": [_code("resting", "filter", active=False)],
    },
    "measured": {"log": "written", "why": "", "facts": FACTS},
    "models": {
        "listed": True,
        "counts": {"inside": 2, "outside": 0, "not-known": 0},
        "left_out": 0,
        "offered": [_model("deepseek-r1:70b", LARGE), _model("llama3.2:1b", SMALL)],
    },
    "people": {
        "administrators_read_chats": False,
        "administrators_export": False,
        "channels": False,
    },
    "sealing": {"mode": "require", "receipts": False},
    "storage": {
        "audit_log": {"kind": "none"},
        "cache": _store(),
        "chats": _store(service="sqlite"),
        "logs": {"kind": "memory", "secrecy": "kept", "integrity": "kept", "to": ["journal"]},
        "objects": {"kind": "none"},
        "redis": {"kind": "none"},
        "secret_key": _store(),
        "swap": {"kind": "none"},
        "temporary": {"kind": "memory", "secrecy": "kept", "integrity": "kept"},
        "uploads": _store(
            kind="encrypted-integrity", integrity="kept", told=["replay"], addresses=[]
        ),
        "vectors": _store(service="chroma"),
    },
}
"""A machine of which there is nothing to complain."""


def edited(value: Any, edits: Sequence[Edit]) -> Any:
    changed = copy.deepcopy(value)
    for pointer, *given in edits:
        *parents, name = pointer.split("/")[1:]
        holder = changed
        for parent in parents:
            holder = holder[int(parent) if isinstance(holder, list) else parent]
        if isinstance(holder, list):
            at = len(holder) if name == "-" else int(name)
            holder[at : at + 1] = given
        elif given:
            [holder[name]] = given
        else:
            del holder[name]
    return changed


def statement_of(sections: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "sections": {name: document_hash(one) for name, one in sections.items()}}


def line(kind: str, content: dict[str, Any]) -> str:
    """An event's line: of the canonical text, JSON has but these two otherwise."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"cczoo {kind} " + text.replace(" ", r"\u0020").replace(r"\n", r"\u000a")


def log_of(facts: Sequence[Sequence[Any]]) -> list[str]:
    return [
        "image-rs PullImage docker.example/chat",
        line("start", {"v": 1}),
        *(line(*fact) for fact in facts),
    ]


def _fact(at: int, **members: object) -> list[Edit]:
    """Edits of a fact's members in the section; the log follows in `_case`."""
    return [(f"/measured/facts/{at}/1/{name}", value) for name, value in members.items()]


KIT_AT, WEBUI_AT, FRONT_AT, PAGE_AT, ENVIRONMENT_AT, SETTINGS_AT, SMALL_AT, LARGE_AT = range(8)

_USUAL: Any = object()

NOW = 1_795_000_000
"""Seconds since 1970 at which a case is judged that does not say when: 2026-11-18T11:06:40Z."""

DEFAULTS: dict[str, Any] = {
    "runtime": 2,
    "withheld": False,
    "log": log_of(FACTS),
    "policy": None,
    "covered": True,
    "now": NOW,
    "remembered": None,
    "reads_keys": False,
    "violations": [],
    "differences": [],
}
"""What a case does not say; its statement is then that of its sections."""


def _case(
    name: str,
    *edits: Edit,
    outcome: str,
    code: str = "",
    policy: Any = None,
    covered: bool = True,
    now: float = NOW,
    statement: Any = _USUAL,
    statement_edits: Sequence[Edit] = (),
    withheld: bool = False,
    runtime: int = 2,
    log: Any = _USUAL,
    remembered: Sequence[Sequence[Edit]] | None = None,
    reads_keys: bool = False,
    violations: Sequence[Violation] = (),
    differences: Sequence[tuple[str, str, str]] = (),
) -> dict[str, Any]:
    """A case; a member that is not in it has the value of DEFAULTS.

    `log` is null where none was proven. `reads_keys` is whether check key-binding warns that
    something could. `remembered` are the edits of each earlier visit, the first one first; null
    where there was none. Of a violation, member and subject; of a difference, code, what and name.
    """
    sections = edited(SECTIONS, edits)
    usual, is_whole = _statement(sections)
    found = {
        "statement": edited(usual, statement_edits) if statement is _USUAL else statement,
        "log": _log(sections.get("measured")) if log is _USUAL else log,
        "runtime": runtime,
        "withheld": withheld,
        "policy": policy,
        "covered": covered,
        "now": now,
        "remembered": None if remembered is None else [list(map(list, one)) for one in remembered],
        "reads_keys": reads_keys,
        "violations": list(map(list, violations)),
        "differences": list(map(list, differences)),
    }
    defaults = {**DEFAULTS, "statement": usual if is_whole else None}
    return {
        "name": name,
        "edits": list(map(list, edits)),
        **{name: value for name, value in found.items() if not _is_same(value, defaults[name])},
        "outcome": outcome,
        "code": code,
    }


def _is_same(one: object, other: object) -> bool:
    """As JSON has it: in Python 1 is true."""
    return json.dumps(one) == json.dumps(other)


def _statement(sections: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The statement of these sections, and whether all have a digest; else it is the usual one."""
    try:
        return statement_of(sections), True
    except BadInput:
        return statement_of(SECTIONS), False


def _log(measured: Any) -> list[str]:
    facts = measured.get("facts") if isinstance(measured, dict) else None
    return log_of(facts if isinstance(facts, list) and _are_facts(facts) else FACTS)


def _are_facts(facts: list[Any]) -> bool:
    return all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[1], dict) for one in facts
    )


def workload() -> object:
    """The sections, and cases of the check, of what is told, and of a chosen model."""
    return {
        "source": "docs/verification.md, section Workload; backend/cczoo_backend/workload",
        "sections": SECTIONS,
        "statement": statement_of(SECTIONS),
        "defaults": DEFAULTS,
        "checks": [
            *_not_stated(),
            *_mismatches(),
            *_malformed(),
            *_withheld(),
            *_measured(),
            *_policies(),
            *_releases(),
            *_unlisted(),
            *_changed(),
            *_in_order(),
        ],
        "notes": list(_notes()),
        "models": list(_models()),
    }


# --- 1: not stated -------------------------------------------------------------------------------

_ANY = {"kit": [KIT]}


def _not_stated() -> Iterator[object]:
    for policy, outcome in ((None, SKIPPED), ({}, FAIL), (_ANY, FAIL)):
        beside = "" if policy is None else f", policy {json.dumps(policy)[:9]}"
        yield _case(
            f"runtime data of version 1{beside}",
            runtime=1,
            statement=None,
            withheld=True,
            policy=policy,
            outcome=outcome,
            code="not-stated",
        )
        for statement in ({"v": 1}, {"v": 2}):
            yield _case(
                f"statement {json.dumps(statement)}{beside}",
                statement=statement,
                withheld=True,
                policy=policy,
                outcome=outcome,
                code="not-stated",
            )
    yield _case(
        "no sections stated, but given",
        statement={"v": 1},
        outcome=SKIPPED,
        code="not-stated",
    )


# --- 2: form, and digests ------------------------------------------------------------------------


def _mismatch(name: str, *edits: Edit, **more: Any) -> dict[str, Any]:
    return _case(name, *edits, outcome=FAIL, code="statement-mismatch", **more)


def _mismatches() -> Iterator[object]:
    good = statement_of(SECTIONS)
    digest = good["sections"]["people"]
    yield _mismatch("a statement of another version", statement={**good, "v": 2})
    yield _mismatch("version true", statement={**good, "v": True})
    yield _mismatch("version as text", statement={**good, "v": "1"})
    yield _mismatch("no version", statement={"sections": good["sections"]})
    for name, sections in (("a list", []), ("text", "x"), ("null", None), ("a number", 1)):
        yield _mismatch(f"sections are {name}", statement={"v": 1, "sections": sections})
    for name, statement in (("a list", [1]), ("text", "v1"), ("a number", 1)):
        yield _mismatch(f"the statement is {name}", statement=statement)
    for name, value in (
        ("too short", digest[:-1]),
        ("too long", digest + "A"),
        ("padded", digest[:-1] + "="),
        ("of the other alphabet", "+" + digest[1:]),
        ("and a line's end", digest + "\n"),
        ("a number", 5),
        ("null", None),
        ("an object", {}),
        ("another's", good["sections"]["storage"]),
    ):
        yield _mismatch(f"a digest {name}", statement_edits=[("/sections/people", value)])
    for withheld in (False, True):
        beside = ", sections withheld" if withheld else ""
        yield _mismatch(
            f"a digest of other characters{beside}",
            statement_edits=[("/sections/people", "\u00e9" * 43)],
            withheld=withheld,
        )
        yield _mismatch(
            f"a section's name with markup{beside}",
            statement_edits=[("/sections/<b>", digest)],
            withheld=withheld,
        )
        yield _mismatch(
            f"65 sections{beside}",
            statement={"v": 1, "sections": {f"s{at}": digest for at in range(65)}},
            withheld=withheld,
        )
    yield _case(
        "64 sections, withheld",
        statement={"v": 1, "sections": {f"s{at}": digest for at in range(64)}},
        withheld=True,
        outcome=SKIPPED,
        code="statement-withheld",
    )
    yield _mismatch("a section that is not in the list", statement_edits=[("/sections/people",)])
    yield _mismatch("a section that was left out", ("/people",), statement=good)
    yield _mismatch("a section of every object", statement_edits=[("/sections/__proto__", digest)])
    changes: list[Edit] = [
        ("/people/administrators_read_chats", "not-known"),
        ("/models/offered/0/where", "outside"),
        ("/functions/present/0/active", True),
        ("/storage/chats/told", []),
        ("/measured/facts/0/1/version", "0.2.1"),
    ]
    for edit in changes:
        yield _mismatch(f"another value than stated: {edit[0]}", edit, statement=good)
    yield _mismatch(
        "half of a surrogate pair", ("/models/offered/0/name", "\ud83d"), statement=good
    )
    yield _case(
        "a section that nobody knows",
        ("/later", {"anything": [HOSTILE, 1.5, None]}),
        outcome=PASS,
    )
    yield _case(
        "members that nobody knows",
        ("/models/later", HOSTILE),
        ("/models/offered/0/later", {}),
        ("/connections/ways/0/later", 1.5),
        ("/functions/present/0/later", []),
        ("/people/later", 1),
        ("/storage/later", _store(kind="new-kind")),
        ("/storage/chats/later", [{}]),
        ("/sealing/later", None),
        ("/measured/later", {}),
        statement_edits=[("/later", 1)],
        outcome=PASS,
    )


def _malformed() -> Iterator[object]:
    """Sections that hash to their entries, and hold what they must not."""
    for section in SECTIONS:
        for name, value in (("a list", []), ("text", ""), ("null", None), ("true", True)):
            yield _mismatch(f"section {section} is {name}", (f"/{section}", value))
    for pointer, values in _WRONG.items():
        for value in values:
            shown = json.dumps(value)
            yield _mismatch(f"{pointer} is {shown}", (pointer, value))
    for pointer in _NEEDED:
        yield _mismatch(f"{pointer} is not there", (pointer,))
    yield _mismatch("a fact with a member less", ("/measured/facts/0/1/version",))
    yield _mismatch("a fact with a member more", ("/measured/facts/0/1/more", 1))
    yield _mismatch("a fact of three", ("/measured/facts/0/-", 1))
    yield _mismatch("a fact of one", ("/measured/facts/0/1",))
    yield _mismatch("one fact twice", ("/measured/facts/-", FACTS[0]))


_NO_TEXT = (1, True, None, [], {})
_NO_COUNT = (-1, 1.5, True, "1", None, 1 << 53)
_NO_BOOL = (0, "true", None, [])
_NO_LIST = ({}, "x", None, 1)
_NO_ENTRY = ([[]], ["x"], [None], [1])

_WRONG: dict[str, tuple[object, ...]] = {
    "/models/listed": _NO_BOOL,
    "/models/left_out": _NO_COUNT,
    "/models/offered": (*_NO_LIST, *_NO_ENTRY),
    "/models/offered/0/id": _NO_TEXT,
    "/models/offered/0/name": _NO_TEXT,
    "/models/offered/0/where": _NO_TEXT,
    "/models/offered/0/why": _NO_TEXT,
    "/models/offered/0/address": (1, True, [], {}),
    "/models/offered/0/digest": (1, True, [], {}),
    "/connections/left_out": _NO_COUNT,
    "/connections/ways": (*_NO_LIST, *_NO_ENTRY),
    "/connections/ways/0/kind": _NO_TEXT,
    "/connections/ways/0/where": _NO_TEXT,
    "/connections/ways/0/why": _NO_TEXT,
    "/connections/ways/0/address": (1, True, [], {}),
    "/functions/listed": _NO_BOOL,
    "/functions/active": _NO_COUNT,
    "/functions/left_out": _NO_COUNT,
    "/functions/present": (*_NO_LIST, *_NO_ENTRY),
    "/functions/present/0/id": _NO_TEXT,
    "/functions/present/0/type": _NO_TEXT,
    "/functions/present/0/digest": (1, True, [], {}),
    "/functions/present/0/active": _NO_BOOL,
    "/people/administrators_read_chats": (0, None, [], {}),
    "/people/administrators_export": (0, None, [], {}),
    "/people/channels": (0, None, [], {}),
    "/storage/chats": ("encrypted", None, [], True),
    "/storage/chats/kind": _NO_TEXT,
    "/storage/chats/secrecy": _NO_TEXT,
    "/storage/chats/integrity": _NO_TEXT,
    "/storage/chats/service": _NO_TEXT,
    "/storage/chats/addresses": (*_NO_LIST, [1], [None], [[]]),
    "/storage/chats/told": (*_NO_LIST, [1], [None], [[]]),
    "/sealing/mode": _NO_TEXT,
    "/sealing/receipts": _NO_BOOL,
    "/measured/log": _NO_TEXT,
    "/measured/why": _NO_TEXT,
    "/measured/facts": (*_NO_LIST, *_NO_ENTRY),
    "/measured/facts/0/0": _NO_TEXT,
    "/measured/facts/0/1": ("x", None, [], 1),
    "/measured/facts/0/1/v": (2, True, "1"),
    "/measured/facts/0/1/digest": ("", None, 1, sha("AB"), f"fsverity:{KIT}"),
    "/measured/facts/4/1/unlisted_files": (-1, 1.5, True, "0", None),
    "/measured/facts/6/1/name": ("", 1, "n" * 513),
}

_NEEDED = (
    "/models/offered/0/id",
    "/models/offered/0/where",
    "/connections/ways/0/kind",
    "/connections/ways/0/where",
    "/functions/present/0/id",
    "/functions/present/0/type",
    "/functions/present/0/active",
    "/storage/chats/kind",
)
"""Without these an entry says nothing."""


# --- 3: withheld ---------------------------------------------------------------------------------


def _withheld() -> Iterator[object]:
    yield _case("withheld", withheld=True, outcome=SKIPPED, code="statement-withheld")
    yield _case(
        "withheld, nothing covered",
        withheld=True,
        covered=False,
        outcome=SKIPPED,
        code="statement-withheld",
    )
    yield _case(
        "withheld, a policy that asks for nothing",
        withheld=True,
        policy={},
        outcome=SKIPPED,
        code="statement-withheld",
    )
    for policy in (_ANY, {"models": [SMALL]}, {"require": ["no-model-outside"]}):
        yield _case(
            f"withheld, a policy for {next(iter(policy))}",
            withheld=True,
            policy=policy,
            outcome=FAIL,
            code="statement-withheld",
        )
    yield _case(
        "withheld, and something remembered",
        withheld=True,
        remembered=[[]],
        outcome=SKIPPED,
        code="statement-withheld",
    )


# --- 4: measured ---------------------------------------------------------------------------------


def _measured() -> Iterator[object]:
    other = copy.deepcopy(FACTS)
    other[WEBUI_AT][1]["digest"] = OTHER
    differing = {
        "another digest": log_of(other),
        "a fact more": [*log_of(FACTS), line("model", {**FACTS[SMALL_AT][1], "name": "more"})],
        "a fact less": log_of(FACTS[:-1]),
        "another order": log_of([*FACTS[1:], FACTS[0]]),
        "another start since": [*log_of(FACTS), line("start", {"v": 1})],
        "no start": log_of(FACTS)[2:],
        "no event": [],
    }
    for name, log in differing.items():
        yield _case(f"log: {name}", log=log, outcome=FAIL, code="measured-mismatch")
    yield _case("log: none is proven", log=None, outcome=WARN, code="log-withheld")
    yield _case(
        "log: none is proven, a policy for the kit",
        log=None,
        policy=_ANY,
        outcome=WARN,
        code="log-withheld",
    )
    yield _case(
        "log: others' events, and of kinds that are not known yet",
        log=[
            "image-rs PullImage docker.example/x",
            *log_of(FACTS)[:3],
            "cczoo later {}",
            "coco Later x",
            *log_of(FACTS)[3:],
        ],
        outcome=PASS,
    )
    yield _case(
        "log: an earlier start, and a fact that was replaced",
        log=[*log_of(other), *log_of(FACTS)[1:3], line(*other[WEBUI_AT]), *log_of(FACTS)[3:]],
        outcome=PASS,
    )
    yield _case(
        "log: an earlier start",
        log=[*log_of(other), *log_of(FACTS)],
        outcome=PASS,
    )
    yield _case(
        "a fact of a kind that is not known yet",
        ("/measured/facts/-", ["later", {"anything": HOSTILE}]),
        log=[*log_of(FACTS), "cczoo later {}"],
        outcome=PASS,
    )
    for log in (None, [], log_of(other)):
        yield _case(
            f"no log was written, and {'there is none' if log is None else len(log)}",
            ("/measured/log", "not-written"),
            ("/measured/why", "no-rtmr"),
            log=log,
            outcome=PASS,
        )
    yield _case(
        "a word for the log that is not known",
        ("/measured/log", HOSTILE),
        log=None,
        outcome=PASS,
    )


# --- 5: policy -----------------------------------------------------------------------------------


def _violated(
    name: str, policy: Any, violations: Sequence[Violation], *edits: Edit, **more: Any
) -> dict[str, Any]:
    return _case(
        name,
        *edits,
        policy=policy,
        outcome=FAIL,
        code="workload-policy",
        violations=violations,
        **more,
    )


ALL = {
    "kit": [OTHER, KIT],
    "open_webui": [WEBUI],
    "front_end": [FRONT],
    "page": [PAGE],
    "environment": [ENVIRONMENT],
    "python": [PYTHON],
    "models": [SMALL, LARGE],
    "functions": [CODE],
    "versions": {"open_webui": ["9.7.6", "9.8.7"], "kit": ["0.2.0"]},
    "require": [
        "no-model-outside",
        "no-unlisted-function",
        "storage-encrypted",
        "no-administrator-reads",
        "environment-without-unlisted",
    ],
}
"""Everything that a policy can ask for, and has here."""

_OUTSIDE: list[Edit] = [
    ("/models/offered/1/where", "outside"),
    ("/models/offered/1/address", CLOUD),
    ("/models/offered/1/why", "address"),
    ("/models/offered/1/digest", None),
]
_MEASURING: list[Edit] = [
    ("/models/offered/0/digest", None),
    ("/models/offered/0/why", "being-measured"),
]


def _policies() -> Iterator[object]:
    yield _case("a policy that asks for all", policy=ALL, outcome=PASS)
    yield _case("a policy that asks for nothing", policy={}, outcome=PASS)
    yield from _policies_on_facts()
    yield from _policies_on_models()
    yield from _policies_on_functions()
    yield from _policies_on_storage()
    yield _violated(
        "every member is violated, in order",
        {
            "require": ["environment-without-unlisted", "no-administrator-reads"],
            "versions": {"kit": ["9"], "open_webui": ["9"]},
            **{
                name: [OTHER]
                for name in ("models", "python", "environment", "page", "front_end", "open_webui")
            },
            "kit": [OTHER],
        },
        [
            ("kit", ""),
            ("open_webui", ""),
            ("front_end", ""),
            ("page", ""),
            ("environment", ""),
            ("python", ""),
            ("models", "deepseek-r1:70b"),
            ("models", "llama3.2:1b"),
            ("versions/open_webui", ""),
            ("versions/kit", ""),
            ("environment-without-unlisted", ""),
            ("no-administrator-reads", "administrators_read_chats"),
        ],
        ("/people/administrators_read_chats", True),
        *_fact(ENVIRONMENT_AT, unlisted_files=3),
    )


def _releases() -> Iterator[object]:
    """A policy whose values come from a signed release, which ends."""
    other_kit: Edit = ("/measured/facts/0/1/digest", OTHER)
    keys = {"keys": [f"ed25519:{'ab' * 32}"]}
    given = {**keys, "min_serial": 3, "not_after": "2026-11-18T11:06:41Z"}
    filled = {"kit": [KIT], "release": given}
    missing: Any = {"outcome": FAIL, "code": "release-missing"}
    expired: Any = {"outcome": FAIL, "code": "release-expired"}
    yield _case("a release that counts", policy=filled, outcome=PASS)
    yield _case("a release's last moment", policy=filled, now=NOW + 0.5, outcome=PASS)
    yield _case("a release that ends now", policy=filled, now=NOW + 1, **expired)
    yield _case("a release that ended", policy=filled, now=NOW + 400 * 86400, **expired)
    yield _case("no release was filled in", policy={"release": keys}, **missing)
    asked = {"kit": [KIT], "release": {**keys, "min_serial": 3}}
    yield _case("no release, though there are values", policy=asked, **missing)
    yield _case("a release of nothing", policy={"release": given}, outcome=PASS)
    yield _violated("a release that counts, and another kit", filled, [("kit", "")], other_kit)
    yield _case(
        "a release that ended before what is violated",
        other_kit,
        policy=filled,
        now=NOW + 1,
        violations=[("kit", "")],
        **expired,
    )
    yield _case(
        "the log before a release that ended",
        policy=filled,
        now=NOW + 1,
        log=[],
        outcome=FAIL,
        code="measured-mismatch",
    )
    yield _case(
        "a release that ended before a log that is withheld",
        policy=filled,
        now=NOW + 1,
        log=None,
        **expired,
    )
    yield _case(
        "a release, withheld",
        policy={"release": given},
        withheld=True,
        outcome=FAIL,
        code="statement-withheld",
    )


def _policies_on_facts() -> Iterator[object]:
    facts = {
        "kit": KIT_AT,
        "open_webui": WEBUI_AT,
        "front_end": FRONT_AT,
        "page": PAGE_AT,
        "environment": ENVIRONMENT_AT,
    }
    for member, at in facts.items():
        policy = {member: ALL[member]}
        yield _case(f"{member} as the policy has it", policy=policy, outcome=PASS)
        found = _fact(at, digest=sha("0e"))
        yield _violated(f"another {member}", policy, [(member, "")], *found)
        yield _violated(f"{member} was not measured", policy, [(member, "")], _gone(at))
    python = {"python": [PYTHON]}
    other = _fact(ENVIRONMENT_AT, python=OTHER)
    yield _violated("another Python", python, [("python", "")], *other)
    none = _fact(ENVIRONMENT_AT, python=None)
    yield _violated("Python without a digest", python, [("python", "")], *none)
    yield _violated("no environment, so no Python", python, [("python", "")], _gone(ENVIRONMENT_AT))
    for name, at in (("open_webui", WEBUI_AT), ("kit", KIT_AT)):
        policy = {"versions": {name: [FACTS[at][1]["version"]]}}
        member = f"versions/{name}"
        yield _case(f"{member} as the policy has it", policy=policy, outcome=PASS)
        found = _fact(at, version=HOSTILE)
        yield _violated(f"another {member}", policy, [(member, "")], *found)
        yield _violated(f"{member} of nothing", policy, [(member, "")], _gone(at))
    rule = "environment-without-unlisted"
    policy = {"require": [rule]}
    found = _fact(ENVIRONMENT_AT, unlisted_files=1)
    yield _violated("a file that no distribution names", policy, [(rule, "")], *found)
    found = _fact(ENVIRONMENT_AT, bytecode=OTHER)
    yield _violated("a compiled module that is not its source's", policy, [(rule, "")], *found)
    found = _fact(ENVIRONMENT_AT, bytecode=None)
    yield _violated("compiled modules of which nothing is known", policy, [(rule, "")], *found)
    yield _violated("no environment was measured", policy, [(rule, "")], _gone(ENVIRONMENT_AT))
    yield _violated("no section measured", policy, [(rule, "")], ("/measured",), log=None)
    no_facts = [("kit", ""), ("versions/kit", "")]
    policy = {"kit": [KIT], "versions": {"kit": ["0.2.0"]}}
    yield _violated("no section measured, a kit", policy, no_facts, ("/measured",), log=None)
    no_list = ("/measured/facts",)
    unwritten = ("/measured/log", "not-written")
    yield _violated("no facts, a kit", policy, no_facts, no_list, unwritten, log=None)
    yield _case(
        "no log was written, and the facts are as the policy has them",
        unwritten,
        log=None,
        policy=policy,
        outcome=PASS,
    )


def _gone(at: int) -> Edit:
    return (f"/measured/facts/{at}",)


def _policies_on_models() -> Iterator[object]:
    both = {"models": [SMALL, LARGE]}
    first, second = ("models", "deepseek-r1:70b"), ("models", "llama3.2:1b")
    unknown = ("models", "")
    yield _violated("a model's other weights", both, [first], ("/models/offered/0/digest", OTHER))
    yield _violated("one of two models is allowed", {"models": [LARGE]}, [second])
    yield _violated("a model that is being measured", both, [first], *_MEASURING)
    by_verity = [("/models/offered/0/digest", VERITY)]
    yield _violated("a model by fs-verity, not allowed so", both, [first], *by_verity)
    yield _case(
        "a model by fs-verity",
        *by_verity,
        policy={"models": [SMALL, VERITY]},
        outcome=PASS,
    )
    yield _violated(
        "where a model runs is not known", both, [second], ("/models/offered/1/where", "not-known")
    )
    yield _violated(
        "a word for where that nobody knows", both, [second], ("/models/offered/1/where", HOSTILE)
    )
    yield _case("a model outside is not this member's matter", *_OUTSIDE, policy=both, outcome=PASS)
    yield _violated("models that were left out", both, [unknown], ("/models/left_out", 1))
    yield _violated("no word on what was left out", both, [unknown], ("/models/left_out",))
    yield _violated("no list of models yet", both, [unknown], ("/models/listed", False))
    yield _violated("no word whether they are listed", both, [unknown], ("/models/listed",))
    yield _violated("no list of models", both, [unknown], ("/models/offered",))
    yield _violated("no section models", both, [unknown], ("/models",))
    yield _violated(
        "a model's hostile name", both, [("models", HOSTILE)], ("/models/offered/-", _bad_model())
    )
    rule = "no-model-outside"
    policy = {"require": [rule]}
    yield _violated("a model outside", policy, [(rule, "llama3.2:1b")], *_OUTSIDE)
    yield _violated(
        "a model that may be outside",
        policy,
        [(rule, "llama3.2:1b")],
        ("/models/offered/1/where", "not-known"),
    )
    yield _case(
        "a model that is being measured is inside", *_MEASURING, policy=policy, outcome=PASS
    )
    for edit in (("/models/left_out", 1), ("/models/listed", False), ("/models",)):
        yield _violated(f"no model outside: {edit[0]}", policy, [(rule, "")], edit)
    yield _violated("no section connections", policy, [(rule, "")], ("/connections",))
    yield _violated("connections left out", policy, [(rule, "")], ("/connections/left_out", 1))
    for kind in ("task-model", "task-model-for-others", "summary-model"):
        for where in ("outside", "not-known", "browser"):
            way = _way(kind, where, CLOUD, "model")
            yield _violated(
                f"{kind} is {where}", policy, [(rule, kind)], ("/connections/ways/-", way)
            )
    yield _case(
        "a task model inside",
        ("/connections/ways/-", _way("task-model", "inside", LOCAL, "model")),
        policy=policy,
        outcome=PASS,
    )


def _bad_model() -> object:
    return _model(HOSTILE, OTHER)


def _policies_on_functions() -> Iterator[object]:
    rule = "no-unlisted-function"
    listed = {"functions": [CODE], "require": [rule]}
    bare = {"require": [rule]}
    active = ("/functions/present/-", _code("mine", "filter"))
    yield _case("a function that the policy lists", active, policy=listed, outcome=PASS)
    yield _violated("any function", bare, [(rule, "mine")], active, reads_keys=True)
    for kind in ("filter", "tool", HOSTILE):
        other = ("/functions/present/-", _code("mine", kind, OTHER))
        yield _violated(
            f"another function: {kind[:6]}", listed, [(rule, "mine")], other, reads_keys=True
        )
    blank = ("/functions/present/-", _code("mine", "filter", None))
    yield _violated("one without a digest", listed, [(rule, "mine")], blank, reads_keys=True)
    for edit in (
        ("/functions",),
        ("/functions/listed", False),
        ("/functions/listed",),
        ("/functions/present",),
        ("/functions/left_out", 1),
        ("/functions/left_out",),
    ):
        shown = json.dumps(edit)
        yield _violated(f"functions: {shown}", listed, [(rule, "")], edit, reads_keys=True)


def _policies_on_storage() -> Iterator[object]:
    rule = "storage-encrypted"
    policy = {"require": [rule]}
    asked = ("chats", "uploads", "vectors", "cache", "temporary", "secret_key")
    for name in asked:
        plain = {"kind": "plain-disk", "secrecy": "not-kept", "integrity": "not-kept"}
        yield _violated(f"{name} plain", policy, [(rule, name)], (f"/storage/{name}", plain))
        yield _violated(f"{name} not there", policy, [(rule, name)], (f"/storage/{name}",))
    for secrecy in ("not-known", "not-kept", HOSTILE):
        edit = ("/storage/chats/secrecy", secrecy)
        yield _violated(f"chats: {secrecy[:9]}", policy, [(rule, "chats")], edit)
    yield _violated("no word", policy, [(rule, "chats")], ("/storage/chats/secrecy",))
    yield _violated("no section storage", policy, [(rule, name) for name in asked], ("/storage",))
    for kind in ("memory", "encrypted-integrity"):
        yield _case(f"chats in {kind}", ("/storage/chats/kind", kind), policy=policy, outcome=PASS)
    yield _case(
        "temporary files: none",
        ("/storage/temporary", {"kind": "none"}),
        policy=policy,
        outcome=PASS,
    )
    for name in ("logs", "swap", "redis", "audit_log", "objects"):
        plain = {"kind": "plain-disk", "secrecy": "not-kept", "integrity": "not-kept"}
        yield _case(
            f"{name} plain is not this member's matter",
            (f"/storage/{name}", plain),
            policy=policy,
            outcome=PASS,
        )
    rule = "no-administrator-reads"
    policy = {"require": [rule]}
    members = ("administrators_read_chats", "administrators_export")
    for name in members:
        for value in (True, "not-known", "false"):
            shown = json.dumps(value)
            edit = (f"/people/{name}", value)
            yield _violated(f"{name}: {shown}", policy, [(rule, name)], edit)
        yield _violated(f"{name}: no word", policy, [(rule, name)], (f"/people/{name}",))
    yield _violated("no section people", policy, [(rule, name) for name in members], ("/people",))


# --- 6: unlisted functions -----------------------------------------------------------------------


def _unlisted() -> Iterator[object]:
    active = ("/functions/present/-", _code("mine", "filter"))
    tool = ("/functions/present/-", _code("mine", "tool", OTHER))

    def warned(name: str, *edits: Edit, **more: Any) -> dict[str, Any]:
        return _case(name, *edits, outcome=WARN, code="unlisted-function", reads_keys=True, **more)

    yield warned("an active function", active)
    yield warned("an active tool", tool)
    yield warned("an active function, not covered", active, covered=False)
    yield warned("an active function, a policy without a list", active, policy=_ANY)
    yield warned("an active function, a policy for others", active, policy={"functions": [OTHER]})
    yield warned("a function of a hostile name", ("/functions/present/-", _code(HOSTILE, HOSTILE)))
    yield warned("one called __proto__", ("/functions/present/-", _code("__proto__", "pipe")))
    yield warned("functions cannot be listed", ("/functions/listed", False))
    yield warned("functions were left out", ("/functions/left_out", 2))
    yield warned("no section functions", ("/functions",))
    yield _case(
        "an active function that is listed", active, policy={"functions": [CODE]}, outcome=PASS
    )
    yield warned("one is listed, one is not", active, tool, policy={"functions": [CODE]})
    yield _case("functions that rest", ("/functions/present/0/digest", None), outcome=PASS)


# --- 7: what changed -----------------------------------------------------------------------------


def _changed() -> Iterator[object]:
    unknown = {"kind": "ollama", "where": "not-known", "address": "127.0.0.1:11434", "why": "x"}
    yield _case(
        "a model server that is not known until models are listed",
        ("/connections/ways/-", unknown),
        ("/models/listed", False),
        ("/models/offered", []),
        remembered=[[]],
        outcome=PASS,
    )
    yield _case(
        "a model server that is not known although models are listed",
        ("/connections/ways/-", unknown),
        remembered=[[]],
        outcome=WARN,
        code="workload-changed",
        differences=[("new", "connection", "ollama 127.0.0.1:11434")],
    )
    yield _case("nothing changed", remembered=[[]], outcome=PASS)
    yield from _changed_facts()
    yield from _changed_models()
    yield from _changed_ways()
    yield _case(
        "several things changed, in order",
        *_fact(WEBUI_AT, digest=OTHER, version="9.8.8"),
        ("/models/offered/1/digest", OTHER),
        ("/connections/ways/-", _way("web-search", "outside", CLOUD, "address")),
        ("/storage/chats/secrecy", "not-kept"),
        ("/people/administrators_export", True),
        remembered=[[]],
        outcome=WARN,
        code="workload-changed",
        differences=[
            ("other-files", "open-webui", ""),
            ("other-weights", "model", "llama3.2:1b"),
            ("new", "connection", f"web-search {CLOUD}"),
            ("less-secret", "storage", "chats"),
            ("may-read", "people", "administrators_export"),
        ],
    )


def _differing(name: str, difference: Any, before: Sequence[Edit], *edits: Edit) -> dict[str, Any]:
    """`before` are the edits of the visit before, `edits` those of now."""
    return _case(
        name,
        *edits,
        remembered=[before],
        outcome=WARN,
        code="workload-changed",
        differences=[difference],
    )


def _changed_facts() -> Iterator[object]:
    kinds = {
        "kit": KIT_AT,
        "open-webui": WEBUI_AT,
        "front-end": FRONT_AT,
        "page": PAGE_AT,
        "environment": ENVIRONMENT_AT,
    }
    for kind, at in kinds.items():
        other = _fact(at, digest=OTHER)
        yield _differing(f"{kind}: other files", ("other-files", kind, ""), [], *other)
        yield _differing(f"{kind}: gone", ("not-measured", kind, ""), [], _gone(at))
        yield _case(f"{kind}: measured now", remembered=[[_gone(at)]], outcome=PASS)
    other = _fact(SETTINGS_AT, digest=OTHER)
    yield _differing("other settings", ("other-settings", "settings", ""), [], *other)
    for name, value in (("python", OTHER), ("unlisted", OTHER), ("bytecode", OTHER)):
        edits = _fact(ENVIRONMENT_AT, **{name: value})
        difference = ("other-files", "environment", name)
        yield _differing(f"environment: other {name}", difference, [], *edits)
    yield _case(
        "the same files under another version",
        *_fact(WEBUI_AT, version="9.8.8"),
        remembered=[[]],
        outcome=PASS,
    )
    yield _case(
        "no log was written any more, the facts are the same",
        ("/measured/log", "not-written"),
        log=None,
        remembered=[[]],
        outcome=WARN,
        code="workload-changed",
        differences=[("not-measured", "log", "")],
    )


def _changed_models() -> Iterator[object]:
    weights = ("other-weights", "model", "deepseek-r1:70b")
    other: Edit = ("/models/offered/0/digest", OTHER)
    yield _differing("other weights", weights, [], other)
    yield _differing(
        "other weights, by fs-verity", weights, [], ("/models/offered/0/digest", VERITY)
    )
    yield _case("a model that is measured now", remembered=[_MEASURING], outcome=PASS)
    yield _case("a model that is being measured again", *_MEASURING, remembered=[[]], outcome=PASS)
    yield _case(
        "other weights, measured again in between",
        other,
        remembered=[[], _MEASURING],
        outcome=WARN,
        code="workload-changed",
        differences=[weights],
    )
    place = ("other-place", "model", "llama3.2:1b")
    yield _differing("a model went outside", place, [], *_OUTSIDE)
    yield _differing("a model came inside", place, _OUTSIDE)
    yield _differing(
        "a model went elsewhere outside",
        place,
        _OUTSIDE,
        *_OUTSIDE,
        ("/models/offered/1/address", "other.example:443"),
    )
    yield _case(
        "a model inside, on another port",
        ("/models/offered/1/address", "127.0.0.1:9999"),
        remembered=[[]],
        outcome=PASS,
    )
    fresh = _model("fresh", OTHER)
    yield _case("a model is new", ("/models/offered/-", fresh), remembered=[[]], outcome=PASS)
    yield _case("a model is gone", ("/models/offered/1",), remembered=[[]], outcome=PASS)
    yield _case(
        "a model that was gone comes back with other weights",
        ("/models/offered/1/digest", OTHER),
        remembered=[[], [("/models/offered/1",)]],
        outcome=WARN,
        code="workload-changed",
        differences=[("other-weights", "model", "llama3.2:1b")],
    )
    odd = _model("__proto__", SMALL)
    yield _case(
        "a model called __proto__",
        ("/models/offered/-", odd),
        remembered=[[]],
        outcome=PASS,
    )
    yield _differing(
        "other weights under a hostile name",
        ("other-weights", "model", HOSTILE),
        [("/models/offered/-", _model(HOSTILE, SMALL))],
        ("/models/offered/-", _bad_model()),
    )


def _changed_ways() -> Iterator[object]:
    way = ("/connections/ways/-", _way("web-search", "outside", CLOUD, "address"))
    yield _differing("a connection is new", ("new", "connection", f"web-search {CLOUD}"), [], way)
    yield _differing(
        "a connection to nobody knows where",
        ("new", "connection", "webhook"),
        [],
        ("/connections/ways/-", _way("webhook", "not-known", None, "unreadable")),
    )
    yield _case("a connection that was there", way, remembered=[[way]], outcome=PASS)
    yield _case("a connection is gone", remembered=[[way]], outcome=PASS)
    yield _case(
        "a connection inside is new",
        ("/connections/ways/-", _way("reranking", "inside", None, "in-process")),
        remembered=[[]],
        outcome=PASS,
    )
    yield _differing(
        "an embedding that was in the process goes out",
        ("new", "connection", f"embedding {CLOUD}"),
        [],
        ("/connections/ways/0", _way("embedding", "outside", CLOUD, "address")),
    )
    listed = {"functions": [CODE, OTHER]}
    mine = ("/functions/present/-", _code("mine", "filter"))
    other = ("/functions/present/-", _code("mine", "filter", OTHER))

    def function(name: str, before: Sequence[Edit], *edits: Edit, differences: Any) -> object:
        return _case(
            name,
            *edits,
            policy=listed,
            remembered=[before],
            outcome=WARN if differences else PASS,
            code="workload-changed" if differences else "",
            differences=differences,
        )

    yield function("a function is new", [], mine, differences=[("new", "function", "mine")])
    yield function(
        "a tool is new",
        [],
        ("/functions/present/-", _code("mine", "tool")),
        differences=[("new", "tool", "mine")],
    )
    yield function(
        "a function's other code", [mine], other, differences=[("other-code", "function", "mine")]
    )
    yield function("a function is gone", [mine], differences=[])
    yield function("the same function", [mine], mine, differences=[])
    yield function(
        "a function of a tool's id",
        [("/functions/present/-", _code("mine", "tool"))],
        mine,
        differences=[("new", "function", "mine")],
    )
    for secrecy in ("not-kept", "not-known"):
        edit = ("/storage/chats/secrecy", secrecy)
        less = ("less-secret", "storage", "chats")
        yield _differing(f"chats: {secrecy} now", less, [], edit)
        yield _case(f"chats: {secrecy} before", remembered=[[edit]], outcome=PASS)
    reads = "administrators_read_chats"
    for value in (True, "not-known"):
        shown = json.dumps(value)
        edit = (f"/people/{reads}", value)
        yield _differing(f"administrators: {shown} now", ("may-read", "people", reads), [], edit)
        yield _case(f"administrators: {shown} before", remembered=[[edit]], outcome=PASS)


# --- 8, and which comes first --------------------------------------------------------------------


def _in_order() -> Iterator[object]:
    function: Edit = ("/functions/present/-", _code("mine", "filter"))
    changed = _fact(KIT_AT, digest=OTHER)
    yield _case("all is well, and covered", outcome=PASS)
    yield _case("the machine's own word", covered=False, outcome=SKIPPED, code="own-word")
    yield _case(
        "the machine's own word, as the policy asks",
        covered=False,
        policy=ALL,
        outcome=WARN,
        code="own-word",
    )
    yield _case(
        "the machine's own word, a policy that asks for nothing",
        covered=False,
        policy={},
        outcome=WARN,
        code="own-word",
    )
    yield _case(
        "changed, and not covered",
        *changed,
        covered=False,
        remembered=[[]],
        outcome=WARN,
        code="workload-changed",
        differences=[("other-files", "kit", "")],
    )
    yield _violated("not covered, and violated", {"kit": [OTHER]}, [("kit", "")], covered=False)
    yield _mismatch(
        "form before the log",
        ("/people/channels", None),
        log=[],
    )
    yield _case(
        "the log before the policy",
        log=[],
        policy={"kit": [OTHER]},
        outcome=FAIL,
        code="measured-mismatch",
        violations=[("kit", "")],
    )
    yield _case(
        "a function is told of by key-binding, whatever comes first",
        function,
        log=None,
        outcome=WARN,
        code="log-withheld",
        reads_keys=True,
    )
    yield _violated(
        "the policy before a log that is withheld", {"kit": [OTHER]}, [("kit", "")], log=None
    )
    yield _violated(
        "the policy before a function", {"kit": [OTHER]}, [("kit", "")], function, reads_keys=True
    )
    yield _case(
        "a function before what changed",
        function,
        *changed,
        remembered=[[]],
        outcome=WARN,
        code="unlisted-function",
        reads_keys=True,
        differences=[("other-files", "kit", ""), ("new", "function", "mine")],
    )
    yield _case(
        "sections without content, and no policy",
        *[(f"/{name}", {}) for name in SECTIONS],
        log=None,
        outcome=WARN,
        code="unlisted-function",
        reads_keys=True,
    )
    yield _case(
        "an empty list of sections",
        *[(f"/{name}",) for name in SECTIONS],
        log=None,
        outcome=WARN,
        code="unlisted-function",
        reads_keys=True,
    )
    yield _case(
        "sections that could not be made",
        *[(f"/{name}", {"not_known": True}) for name in SECTIONS],
        log=None,
        outcome=WARN,
        code="unlisted-function",
        reads_keys=True,
    )


# --- what people are told ------------------------------------------------------------------------


def _told(name: str, notes: Sequence[Sequence[Any]], *edits: Edit, log: Any = _USUAL) -> object:
    """`notes`: level, code, and what is told of, in order."""
    sections = edited(SECTIONS, edits)
    log = _log(sections.get("measured")) if log is _USUAL else log
    return {
        "name": name,
        "edits": list(map(list, edits)),
        **({} if log == DEFAULTS["log"] else {"log": log}),
        "notes": [
            {"level": level, "code": code, **(more[0] if more else {})}
            for level, code, *more in notes
        ],
    }


_RUNS = [
    (INFO, "runs", {"what": "kit", "name": "0.2.0", "digest": KIT}),
    (INFO, "runs", {"what": "open-webui", "name": "9.8.7", "digest": WEBUI}),
]
_INSIDE = (OK, "models-inside", {"count": 2})
_STAYS = (OK, "words-stay")
_NO_CODE = (OK, "no-functions")
_NOBODY = (OK, "administrators-do-not-read")
_KEPT = (OK, "storage-kept")
_GOOD = [*_RUNS, _INSIDE, _STAYS, _NO_CODE, _NOBODY, _KEPT]


def _with(*changes: tuple[Any, Sequence[Any]]) -> list[Any]:
    """The usual notes, some replaced by others."""
    found = list(_GOOD)
    for old, new in changes:
        at = found.index(old)
        found[at : at + 1] = new
    return found


def _notes() -> Iterator[object]:
    yield _told("nothing to complain of", _GOOD)
    yield from _notes_on_what_runs()
    yield from _notes_on_models()
    yield from _notes_on_words()
    yield from _notes_on_functions()
    yield from _notes_on_people_and_storage()
    yield _told(
        "nothing is said",
        [
            (AMBER, "log-not-written", {"why": "not-known"}),
            (AMBER, "models-not-listed"),
            (AMBER, "words-not-known"),
            (AMBER, "functions-not-known"),
            (AMBER, "administrators-not-known", {"name": "administrators_read_chats"}),
            (AMBER, "administrators-not-known", {"name": "administrators_export"}),
            (AMBER, "storage-not-known", {"name": "chats"}),
            (AMBER, "storage-not-known", {"name": "uploads"}),
            (AMBER, "storage-not-known", {"name": "vectors"}),
            (AMBER, "storage-not-known", {"name": "cache"}),
            (AMBER, "storage-not-known", {"name": "temporary"}),
            (AMBER, "storage-not-known", {"name": "secret_key"}),
        ],
        *[(f"/{name}", {"not_known": True}) for name in SECTIONS],
        log=None,
    )


def _notes_on_what_runs() -> Iterator[object]:
    yield _told(
        "no log",
        [(AMBER, "log-not-written", {"why": "no-rtmr"}), *_GOOD],
        ("/measured/log", "not-written"),
        ("/measured/why", "no-rtmr"),
        log=None,
    )
    yield _told("a log that is not there", [(AMBER, "log-withheld"), *_GOOD], log=None)
    yield _told(
        "files that no distribution names",
        [*_RUNS, (AMBER, "environment-unlisted", {"count": 3}), *_GOOD[2:]],
        *_fact(ENVIRONMENT_AT, unlisted_files=3),
    )
    yield _told(
        "events that are not understood",
        [(AMBER, "unknown-events", {"count": 2}), *_GOOD],
        log=[*log_of(FACTS), "cczoo later {}", "cczoo page yes"],
    )


def _notes_on_models() -> Iterator[object]:
    out = {"count": 1, "address": CLOUD, "names": ["llama3.2:1b"]}
    yield _told(
        "a model outside",
        _with((_INSIDE, [(OK, "models-inside", {"count": 1}), (AMBER, "models-outside", out)])),
        *_OUTSIDE,
    )
    yield _told(
        "many models outside: eight names, in the list's order",
        _with(
            (
                _INSIDE,
                [
                    _INSIDE,
                    (
                        AMBER,
                        "models-outside",
                        {"count": 10, "address": CLOUD, "names": [f"m{at}" for at in range(8)]},
                    ),
                ],
            )
        ),
        *[
            ("/models/offered/-", _model(f"m{at}", None, where="outside", address=CLOUD))
            for at in range(10)
        ],
    )
    yield _told(
        "models at two addresses, and at none",
        _with(
            (
                _INSIDE,
                [
                    _INSIDE,
                    (AMBER, "models-outside", {"count": 2, "address": "b", "names": ["1", "3"]}),
                    (AMBER, "models-outside", {"count": 1, "address": "a", "names": ["2"]}),
                    (AMBER, "models-not-known", {"count": 1, "address": "", "names": ["4"]}),
                ],
            )
        ),
        *[
            ("/models/offered/-", _model(name, None, where="outside", address=address))
            for name, address in (("1", "b"), ("2", "a"), ("3", "b"))
        ],
        ("/models/offered/-", _model("4", None, where="not-known", address=None)),
    )
    yield _told(
        "a model that is being measured",
        _with(
            (
                _INSIDE,
                [
                    (OK, "models-inside", {"count": 1}),
                    (AMBER, "models-being-measured", {"count": 1, "names": ["deepseek-r1:70b"]}),
                ],
            )
        ),
        *_MEASURING,
    )
    yield _told(
        "models left out",
        _with((_INSIDE, [_INSIDE, (AMBER, "models-left-out", {"count": 7})])),
        ("/models/left_out", 7),
    )
    yield _told(
        "a hostile name, as it stands",
        _with(
            (
                _INSIDE,
                [
                    _INSIDE,
                    (AMBER, "models-outside", {"count": 1, "address": HOSTILE, "names": [HOSTILE]}),
                ],
            )
        ),
        ("/models/offered/-", _model(HOSTILE, None, where="outside", address=HOSTILE)),
    )


def _notes_on_words() -> Iterator[object]:
    for where in ("outside", "not-known", "browser"):
        can_leave = {"what": "images", "where": where, "address": CLOUD}
        yield _told(
            f"images: {where}",
            _with((_STAYS, [(AMBER, "words-can-leave", can_leave)])),
            ("/connections/ways/-", _way("images", where, CLOUD, "address")),
        )
    yield _told(
        "ways that were left out",
        _with((_STAYS, [(AMBER, "words-left-out", {"count": 2})])),
        ("/connections/left_out", 2),
    )
    nowhere = {"what": "webhook", "where": "not-known", "address": ""}
    yield _told(
        "a word for where that nobody knows, and no address",
        _with((_STAYS, [(AMBER, "words-can-leave", nowhere)])),
        ("/connections/ways/-", _way("webhook", HOSTILE, None, "x")),
    )
    yield _told(
        "a model server outside is told of with its models",
        _GOOD,
        ("/connections/ways/-", _way("openai", "outside", CLOUD, "address")),
        ("/connections/ways/-", _way("ollama", "not-known", LOCAL, "local-server")),
    )


def _notes_on_functions() -> Iterator[object]:
    told = {"what": "tool", "name": HOSTILE, "digest": CODE}
    yield _told(
        "a tool",
        _with((_NO_CODE, [(AMBER, "function-active", told)])),
        ("/functions/present/-", _code(HOSTILE, "tool")),
    )
    blank = {"what": "pipe", "name": "mine", "digest": ""}
    yield _told(
        "a pipe without a digest",
        _with((_NO_CODE, [(AMBER, "function-active", blank)])),
        ("/functions/present/-", _code("mine", "pipe", None)),
    )
    yield _told(
        "functions left out",
        _with((_NO_CODE, [(AMBER, "functions-not-known")])),
        ("/functions/left_out", 1),
    )


def _notes_on_people_and_storage() -> Iterator[object]:
    reads = {"name": "administrators_read_chats"}
    yield _told(
        "administrators read",
        _with((_NOBODY, [(AMBER, "administrators-read", reads)])),
        ("/people/administrators_read_chats", True),
    )
    yield _told(
        "and nobody knows whether they export",
        _with(
            (
                _NOBODY,
                [
                    (AMBER, "administrators-read", reads),
                    (AMBER, "administrators-not-known", {"name": "administrators_export"}),
                ],
            )
        ),
        ("/people/administrators_read_chats", True),
        ("/people/administrators_export", "not-known"),
    )
    plain = {"kind": "plain-disk", "secrecy": "not-kept", "integrity": "not-kept"}
    yield _told(
        "logs on a plain disk, chats nobody knows where",
        _with(
            (
                _KEPT,
                [
                    (AMBER, "storage-not-known", {"name": "chats"}),
                    (AMBER, "storage-plain", {"name": "logs", "kind": "plain-disk"}),
                ],
            )
        ),
        ("/storage/logs", plain),
        ("/storage/chats/secrecy", "not-known"),
    )
    yield _told(
        "redis outside",
        _with((_KEPT, [(AMBER, "storage-plain", {"name": "redis", "kind": "outside"})])),
        ("/storage/redis", {**plain, "kind": "outside", "addresses": [CLOUD]}),
    )


# --- the chosen model ----------------------------------------------------------------------------


def _chosen(
    name: str,
    model: str,
    level: str,
    code: str,
    *edits: Edit,
    address: str = "",
    what: str = "model",
) -> object:
    """`what`: the kind of model that counts, the chosen one or one for tasks."""
    return {
        "name": name,
        "edits": list(map(list, edits)),
        "model": model,
        "level": level,
        "code": code,
        "address": address,
        "what": what,
    }


def _models() -> Iterator[object]:
    small, large = "llama3.2:1b", "deepseek-r1:70b"
    outside, unknown = "model-outside", "model-not-known"
    yield _chosen("inside", small, OK, "model-inside", address=LOCAL)
    yield _chosen("outside", small, AMBER, outside, *_OUTSIDE, address=CLOUD)
    yield _chosen("another one is outside", large, OK, "model-inside", *_OUTSIDE, address=LOCAL)
    yield _chosen(
        "being measured", large, AMBER, "model-being-measured", *_MEASURING, address=LOCAL
    )
    yield _chosen(
        "inside without a digest",
        large,
        AMBER,
        "model-being-measured",
        ("/models/offered/0/digest", None),
        address=LOCAL,
    )
    for where in ("not-known", "browser", "Inside", HOSTILE):
        edit = ("/models/offered/1/where", where)
        yield _chosen(f"where: {where[:9]}", small, AMBER, unknown, edit, address=LOCAL)
    yield _chosen("no address", small, OK, "model-inside", ("/models/offered/1/address", None))
    for model in ("", "llama3.2", "LLAMA3.2:1B", "llama3.2:1b ", "__proto__", HOSTILE):
        yield _chosen(f"not offered: {model[:12]}", model, AMBER, unknown)
    yield _chosen("no section models", small, AMBER, unknown, ("/models",))
    yield _chosen("no list", small, AMBER, unknown, ("/models", {"not_known": True}))
    twice = _model(small, None, where="outside", address=CLOUD)
    for at in ("-", "0"):
        yield _chosen(
            f"offered twice, the worst one counts: {at}",
            small,
            AMBER,
            outside,
            (f"/models/offered/{at}", twice),
            address=CLOUD,
        )
    for kind in ("task-model", "task-model-for-others", "summary-model"):
        for where, code in (("outside", outside), ("not-known", unknown), ("browser", unknown)):
            yield _chosen(
                f"{kind} is {where}",
                small,
                AMBER,
                code,
                ("/connections/ways/-", _way(kind, where, CLOUD, "model")),
                address=CLOUD,
                what=kind,
            )
        yield _chosen(
            f"{kind} is inside",
            small,
            OK,
            "model-inside",
            ("/connections/ways/-", _way(kind, "inside", LOCAL, "model")),
            address=LOCAL,
        )
    yield _chosen(
        "outside, and so is the task model",
        small,
        AMBER,
        outside,
        *_OUTSIDE,
        ("/connections/ways/-", _way("task-model", "outside", "other.example:443", "model")),
        address=CLOUD,
    )
    yield _chosen(
        "not known, and the task model is outside",
        "nobody",
        AMBER,
        outside,
        ("/connections/ways/-", _way("task-model", "outside", CLOUD, "model")),
        address=CLOUD,
        what="task-model",
    )
    yield _chosen(
        "where task models run is not known",
        small,
        AMBER,
        unknown,
        ("/connections",),
        what="task-model",
    )
    yield _chosen(
        "web search outside is no model",
        small,
        OK,
        "model-inside",
        ("/connections/ways/-", _way("web-search", "outside", CLOUD, "address")),
        address=LOCAL,
    )

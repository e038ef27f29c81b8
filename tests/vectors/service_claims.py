"""What services' tokens say, one fault each, and what follows for each check.

The shapes are those of Trustee v0.13.0 and v0.21.0 (docs/providers.md), of draft-ietf-rats-ear-04
and of Alibaba Cloud's service; the quote is `v5-td15` of quotes.json, everything else is made up.
An edit is a JSON pointer and the value to put there, or the pointer alone: the member goes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

PASS, WARN, SKIPPED = "pass", "warn", "skipped"
CLAIM, APPRAISAL, EXPIRED, UNTOLD = "token-claim", "appraisal", "collateral-expired", "not-told"
OLD, RELAUNCH = "tcb-status", "tcb-relaunch"

CHECKS = ("token-claims", "collateral", "tcb-status", "appraisal")

LIFE = 300
"""Seconds that the tokens last."""

TOLD = {
    "tcb_status": "UpToDate",
    "advisory_ids": [],
    "collateral_expiration_status": "0",
    "earliest_expiration_date": "2027-02-01T00:00:00Z",
    "earliest_issue_date": "2027-01-10T00:00:00Z",
    "latest_issue_date": "2027-01-14T00:00:00Z",
    "tcb_date": "2026-03-01T00:00:00Z",
    "tcb_eval_num": 18,
    "pck_crl_num": 7,
    "root_ca_crl_num": 3,
    "root_key_id": "ab" * 48,
    "sgx_type": "Scalable",
    "platform_provider_id": "cd" * 16,
    "platform_instance_id": "ef" * 16,
    "is_dynamic_platform": True,
    "is_cached_keys": False,
    "is_smt_enabled": True,
}
"""What v0.21 tells of the platform."""

_NEWER = ("tee_tcb_svn2", "mr_servicetd")
_PROFILE = "tag:github.com,2024:confidential-containers/Trustee"
_VERIFIER = {"developer": "https://as.example", "build": "1.0"}
_ATTRIBUTES = {"debug": False, "septve_disable": True}


def service_claims(quote_body: Mapping[str, str], now: int) -> object:
    """The tokens; `quote_body` is the quote's, by the names that it has here."""
    body = dict(quote_body)
    body["tcb_svn"] = body.pop("tee_tcb_svn")  # the services' name for it
    tokens = _tokens(body, now)
    cases = [
        *_as_they_come(now),
        *_words_of_ours(),
        *_mixed(),
        *_verdicts(),
        *_statuses(),
        *_collateral(now),
        *_policies(),
        *_nonces(body["report_data"]),
        *_types(),
    ]
    return {
        "source": "docs/providers.md, section What is checked",
        "now": now,
        "quote": "v5-td15",
        "tokens": tokens,
        "cases": cases,
    }


# --- good tokens ---------------------------------------------------------------------------------


def _tokens(body: dict[str, str], now: int) -> dict[str, Any]:
    """Payloads; `tcb-status`, a text in tokens, is an object here."""
    times = {"iat": now, "exp": now + LIFE}
    old = {name: value for name, value in body.items() if name not in _NEWER}
    tdx_old = {
        "quote": {"header": {}, "body": old},
        "td_attributes": _ATTRIBUTES,
        "tcb_status": "OK",
        "advisory_ids": [],
        "collateral_expiration_status": "0",
        "ccel": {},
    }
    tdx = {"quote": {"header": {}, "body": body}, "td_attributes": _ATTRIBUTES}
    beside = {"report_data": body["report_data"], "init_data": body["mr_config_id"]}
    flat = {f"tdx.quote.body.{name}": value for name, value in old.items()}
    simple = {
        "customized_claims": {"init_data": None, "runtime_data": None},
        "evaluation-reports": [{"policy-id": "default", "policy-hash": "ab" * 48}],
        "iss": "CoCo-Attestation-Service",
        "jti": "lxw3n2ddZt",
        "nbf": now,
        **times,
        "tee": "tdx",
    }
    return {
        "v0.13": {
            "eat_profile": _PROFILE,
            **times,
            "ear.verifier-id": _VERIFIER,
            "submods": {
                "cpu": {
                    "ear.status": "affirming",
                    "ear.trustworthiness-vector": {
                        "configuration": 2,
                        "executables": 3,
                        "hardware": 2,
                    },
                    "ear.appraisal-policy-id": "default",
                    "ear.veraison.annotated-evidence": {
                        **beside,
                        "init_data_claims": None,
                        "runtime_data_claims": None,
                        "tdx": tdx_old,
                    },
                }
            },
        },
        "v0.13 Simple": {
            **simple,
            "tcb-status": {
                **beside,
                **flat,
                "tdx.tcb_status": "OK",
                "tdx.advisory_ids": [],
                "tdx.collateral_expiration_status": "0",
                "tdx.td_attributes.debug": False,
            },
        },
        "v0.21": {
            "eat_profile": _PROFILE,
            **times,
            "iss": "CoCo-Attestation-Service",
            "ear.verifier-id": _VERIFIER,
            "submods": {
                "cpu0": {
                    "ear.status": "affirming",
                    "ear.trustworthiness-vector": {
                        "instance-identity": 0,
                        "configuration": 2,
                        "executables": 4,
                        "file-system": 0,
                        "hardware": 2,
                        "runtime-opaque": 0,
                        "storage-opaque": 0,
                        "sourced-data": 0,
                    },
                    "ear.appraisal-policy-id": "default",
                    "ear.trustee.identifiers": {"validated": {}},
                    "ear.veraison.annotated-evidence": {
                        **beside,
                        "init_data_claims": None,
                        "runtime_data_claims": None,
                        "tdx": {**tdx, **TOLD},
                    },
                }
            },
        },
        # The verifier's words are its own, and the TD's are under the name of its TEE.
        "ear-04": {
            "eat_profile": "tag:ietf.org,2026:rats/ear#04",
            **times,
            "ear_verifier_id": _VERIFIER,
            "submods": {
                "cpu0": {
                    "ear_status": "affirming",
                    "ear_trustworthiness_vector": {"hardware": 2},
                    "ear_appraisal_policy_ids": ["default"],
                    "ear_attester_claims": {**beside, "tdx": tdx},
                    "ear_verifier_claims": dict(TOLD),
                }
            },
        },
        # As Trustee is going to write it: one object for whatever hardware there is.
        "ear-04 Trustee": {
            "eat_profile": _PROFILE,
            **times,
            "ear_verifier_id": _VERIFIER,
            "submods": {
                "cpu0": {
                    "ear_status": "affirming",
                    "ear_trustworthiness_vector": {"hardware": 2},
                    "ear_appraisal_policy_ids": ["default"],
                    "ear_attester_claims": {**beside, "tee": "tdx", "claims": {**tdx, **TOLD}},
                }
            },
        },
        # Of Alibaba Cloud's service; its issuer is not the subject here. It tells nothing of the
        # platform, and honest TDs pass.
        "telling nothing": {**simple, "tcb-status": {**beside, **flat}},
    }


SILENT = "telling nothing"
ALL = ("v0.13", "v0.13 Simple", "v0.21", "ear-04", "ear-04 Trustee", SILENT)
EARS = ("v0.13", "v0.21", "ear-04", "ear-04 Trustee")

_USUAL = {"collateral": {SILENT: SKIPPED}, "tcb-status": {SILENT: SKIPPED}}


def _case(
    name: str,
    token: str,
    *edits: tuple[Any, ...],
    policy: Mapping[str, Any] | None = None,
    **outcomes: str,
) -> dict[str, Any]:
    """A case; `outcomes` are those of checks (`_` for `-`) that are not the token's usual ones.

    An outcome is pass, skipped, the code of a failure, or `warn` and a code.
    """
    usual = {check: _USUAL.get(check, {}).get(token, PASS) for check in CHECKS}
    found = {check.replace("_", "-"): outcome for check, outcome in outcomes.items()}
    return {
        "name": f"{token}: {name}",
        "token": token,
        "edits": [list(edit) for edit in edits],
        **({} if policy is None else {"policy": {"v": 1, "tcb": policy}}),
        "checks": {**usual, **found},
    }


# --- where members are ---------------------------------------------------------------------------

_SUBMOD = {"v0.13": "/submods/cpu", **dict.fromkeys(EARS[1:], "/submods/cpu0")}
_STATUS = {
    **{token: f"{at}/ear_status" for token, at in _SUBMOD.items()},
    "v0.13": "/submods/cpu/ear.status",
    "v0.21": "/submods/cpu0/ear.status",
}
_VECTOR = {
    **{token: f"{at}/ear_trustworthiness_vector" for token, at in _SUBMOD.items()},
    "v0.13": "/submods/cpu/ear.trustworthiness-vector",
    "v0.21": "/submods/cpu0/ear.trustworthiness-vector",
}
_EVIDENCE = {
    **{token: f"{at}/ear_attester_claims" for token, at in _SUBMOD.items()},
    "v0.13": "/submods/cpu/ear.veraison.annotated-evidence",
    "v0.21": "/submods/cpu0/ear.veraison.annotated-evidence",
}
_PLATFORM = {
    "v0.13": f"{_EVIDENCE['v0.13']}/tdx/",
    "v0.13 Simple": "/tcb-status/tdx.",
    "v0.21": f"{_EVIDENCE['v0.21']}/tdx/",
    "ear-04": "/submods/cpu0/ear_verifier_claims/",
    "ear-04 Trustee": f"{_EVIDENCE['ear-04 Trustee']}/claims/",
    SILENT: "/tcb-status/tdx.",
}


def _as_they_come(now: int) -> Iterator[dict[str, Any]]:
    for token in ALL:
        yield {**_case("as it comes", token), "expires": now + LIFE}
        # Which is the TD's, not the verifier's word.
        mr_td = _PLATFORM[token].replace("ear_verifier_claims/", "ear_attester_claims/tdx/")
        mr_td += "quote.body.mr_td" if mr_td.endswith("tdx.") else "quote/body/mr_td"
        yield _case("another MRTD", token, (mr_td, "00" * 48), token_claims=CLAIM)
        yield _case("no MRTD", token, (mr_td,), token_claims=CLAIM)


def _words_of_ours() -> Iterator[dict[str, Any]]:
    """As `cczoo-verify serve` says it, which tells of simulators."""
    kit = {"simulated": True, "root": "x"}
    words = {"tdx": TOLD, "cczoo": kit}
    edit = ("/submods/cpu0/ear_verifier_claims", words)
    yield {**_case("words of our own", "ear-04", edit), "simulated": True}
    for token in EARS:
        edit = (f"{_EVIDENCE[token]}/cczoo", kit)
        yield {**_case("simulated", token, edit), "simulated": True}
        other = {_EVIDENCE[token].rpartition("/")[2]: {"cczoo": kit}, **_policy(token)}
        edit = ("/submods/gpu0", other)
        case = _case("simulated elsewhere", token, edit, appraisal=APPRAISAL)
        yield {**case, "simulated": True}


def _policy(token: str) -> dict[str, Any]:
    """The member of a submodule that names the policy, by the token's names."""
    old = token.startswith("v")
    return (
        {"ear.appraisal-policy-id": "default"} if old else {"ear_appraisal_policy_ids": ["default"]}
    )


def _mixed() -> Iterator[dict[str, Any]]:
    """Names of two generations, and two who speak: every reader could find another verdict."""
    for token in EARS:
        at = _SUBMOD[token]
        for name, value in _OTHERS[token.startswith("v")].items():
            edit = (f"{at}/{name}", value)
            yield _case(f"{name}, too", token, edit, token_claims=CLAIM, **_unread(token, name))
        edit = ("/submods/gpu0", _OTHERS[token.startswith("v")])
        found = {**_unread(token), "appraisal": APPRAISAL}
        yield _case("another kind of submodule", token, edit, token_claims=CLAIM, **found)
        yield _case(
            "a status of its own in the payload",
            token,
            (f"/{_STATUS[token].rpartition('/')[2]}", "affirming"),
            token_claims=CLAIM,
        )
        yield _case("Simple's reports, too", token, ("/evaluation-reports", []), token_claims=CLAIM)
        yield _case("Simple's status, too", token, ("/tcb-status", "{}"), token_claims=CLAIM)
        yield _case("submodules in a submodule", token, (f"{at}/submods", {}), token_claims=CLAIM)
        yield _case(
            "two who speak",
            token,
            (f"{_EVIDENCE[token]}/tdx", {"tcb_status": "UpToDate"}),
            (f"{_EVIDENCE[token]}/tee", "tdx"),
            (f"{_EVIDENCE[token]}/claims", {}),
            token_claims=CLAIM,
            collateral=SKIPPED,
            tcb_status=SKIPPED,
        )
    edit = ("/ear_verifier_id", _VERIFIER)
    yield _case("the newer verifier's name", "v0.13", edit, token_claims=CLAIM, **_unread("v0.13"))
    edit = ("/eat_profile", "tag:ietf.org,2026:rats/ear#04")
    yield _case("the newer profile", "v0.21", edit, token_claims=CLAIM, **_unread("v0.21"))
    yield _case(
        "the older verifier's name", "ear-04", ("/ear.verifier-id", _VERIFIER), token_claims=CLAIM
    )
    for token in ("v0.13 Simple", SILENT):
        for name in ("ear.status", "ear_status"):
            yield _case(f"{name}, too", token, (f"/{name}", "affirming"), token_claims=CLAIM)
    for token, place in (
        ("v0.13", "ear.veraison.annotated-evidence"),
        ("v0.21", "ear.veraison.annotated-evidence"),
        ("ear-04", "ear_attester_claims"),
    ):
        kit = f"{_SUBMOD[token]}/{place}/cczoo"
        told = "OK" if token == "v0.13" else "UpToDate"
        yield _case("a status told twice alike", token, (kit, {"tcb_status": told}))
        yield _case(
            "two TCB statuses",
            token,
            (kit, {"tcb_status": "OutOfDate"}),
            token_claims=CLAIM,
            tcb_status=SKIPPED,
        )
        yield _case(
            "a status and none",
            token,
            (kit, {"tcb_status": None}),
            token_claims=CLAIM,
            tcb_status=SKIPPED,
        )


_OTHERS = {
    True: {
        "ear_status": "affirming",
        "ear_trustworthiness_vector": {"hardware": 2},
        "ear_appraisal_policy_ids": ["default"],
    },
    False: {
        "ear.status": "affirming",
        "ear.trustworthiness-vector": {"hardware": 2},
        "ear.appraisal-policy-id": "default",
    },
}
"""Names of the other generation, for older tokens and for newer ones."""


def _unread(token: str, name: str = "") -> dict[str, str]:
    """What is not found in an older token that is read as a newer one."""
    if not token.startswith("v"):
        return {}
    untold = {"collateral": SKIPPED, "tcb_status": SKIPPED}
    return untold if name == "ear_status" else {**untold, "appraisal": APPRAISAL}


def _verdicts() -> Iterator[dict[str, Any]]:
    for token in EARS:
        status, vector = _STATUS[token], _VECTOR[token]
        yield _case("warning", token, (status, "warning"), appraisal=f"warn {APPRAISAL}")
        for bad in ("contraindicated", "none", "Affirming", "", 2, None, ["affirming"], {}):
            yield _case(f"status {bad!r}", token, (status, bad), appraisal=APPRAISAL)
        yield _case("no status", token, (status,), appraisal=APPRAISAL)
        yield _case("no vector", token, (vector,))
        for value, outcome in (
            (96, APPRAISAL), (97, APPRAISAL), (127, APPRAISAL), (-97, APPRAISAL),
            (32, f"warn {APPRAISAL}"), (95, f"warn {APPRAISAL}"), (-33, f"warn {APPRAISAL}"),
            (-128, APPRAISAL), (-96, f"warn {APPRAISAL}"),
            (31, PASS), (2, PASS), (1, PASS), (0, PASS), (-1, PASS), (-2, PASS), (-32, PASS),
            (128, APPRAISAL), (-129, APPRAISAL), ("2", APPRAISAL), (2.5, APPRAISAL),
            (None, APPRAISAL), (True, APPRAISAL),
        ):  # fmt: skip
            name = f"affirming, with hardware {value!r}"
            yield _case(name, token, (f"{vector}/hardware", value), appraisal=outcome)
        for odd in ([], "x", None, {"<b>": 2}):
            yield _case(f"vector {odd!r}", token, (vector, odd), appraisal=APPRAISAL)
        yield _case(
            "contraindicated, with its reasons",
            token,
            (status, "contraindicated"),
            (vector, {"configuration": 36, "executables": 33, "hardware": 97}),
            appraisal=APPRAISAL,
        )
        yield _case(
            "another submodule that is none", token, ("/submods/gpu0", 1), appraisal=APPRAISAL
        )
        worse = {status.rpartition("/")[2]: "contraindicated", **_policy(token)}
        yield _case(
            "another submodule that is worse", token, ("/submods/gpu0", worse), appraisal=APPRAISAL
        )
    yield _case(
        "no submodules",
        "v0.13",
        ("/submods", {}),
        token_claims=CLAIM,
        collateral=SKIPPED,
        tcb_status=SKIPPED,
        appraisal=APPRAISAL,
    )
    yield _case(
        "submodules in a list",
        "v0.21",
        ("/submods", []),
        token_claims=CLAIM,
        collateral=SKIPPED,
        tcb_status=SKIPPED,
        appraisal=APPRAISAL,
    )
    for token in ("v0.13 Simple", SILENT):
        said = [[{"policy-id": "default", "evaluation-result": {"allow": x}}] for x in (False, 1)]
        for reports in ([], None, {}, [1], [{"policy-id": 1}], *said):
            edit = ("/evaluation-reports", reports)
            yield _case(f"reports {reports!r}", token, edit, appraisal=APPRAISAL)
        yield _case("no reports", token, ("/evaluation-reports",), appraisal=APPRAISAL)


def _statuses() -> Iterator[dict[str, Any]]:
    """The platform's, by the names of each version."""
    hardening, both = "SWHardeningNeeded", "ConfigurationAndSWHardeningNeeded"
    relaunches = ("TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded")
    for token in ALL:
        status = f"{_PLATFORM[token]}tcb_status"
        is_old = not token.startswith("ear-04")
        yield (
            _case("no TCB status", token, (status,), tcb_status=SKIPPED)
            if (token != SILENT)
            else _case("UpToDate", token, (status, "UpToDate"), tcb_status=PASS)
        )
        for name, outcome in (
            ("UpToDate", PASS),
            ("ConfigurationNeeded", f"warn {OLD}"),
            (hardening, f"warn {OLD}"),
            (both, f"warn {OLD}"),
            ("OutOfDate", OLD),
            ("OutOfDateConfigurationNeeded", OLD),
            ("Revoked", OLD),
            ("", OLD),
            ("ok", OLD),
            *((name, RELAUNCH) for name in relaunches),
            (None, UNTOLD),
            ({"OK": 1}, UNTOLD),
            (0, UNTOLD),
        ):
            yield _case(f"TCB status {name!r}", token, (status, name), tcb_status=outcome)
        for name, outcome in (
            ("OK", PASS),
            ("Min", f"warn {OLD}"),
            ("SoftwareHardeningNeeded", f"warn {OLD}"),
            ("ConfigurationAndSoftwareHardeningNeeded", f"warn {OLD}"),
            ("TdRelaunchAdvised", RELAUNCH),
            ("TdRelaunchAdvisedConfigurationNeeded", RELAUNCH),
        ):
            # From v0.15 on all names are Intel's, and these are nobody's.
            found = outcome if is_old else OLD
            yield _case(f"TCB status {name!r}", token, (status, name), tcb_status=found)
    status = f"{_PLATFORM['v0.21']}tcb_status"
    for name in relaunches:
        yield _case(
            f"{name}, which the policy lets pass with a warning",
            "v0.21",
            (status, name),
            policy={"warn": [name]},
            tcb_status=f"warn {RELAUNCH}",
        )


def _collateral(now: int) -> Iterator[dict[str, Any]]:
    for token in ALL:
        at = _PLATFORM[token]
        status, end = f"{at}collateral_expiration_status", f"{at}earliest_expiration_date"
        yield _case("collateral in date", token, (status, "0"), collateral=PASS)
        for odd in ("1", "00", "", " 0", "expired", 0, 1, None, True, ["0"]):
            edit = (status, odd)
            yield _case(f"collateral status {odd!r}", token, edit, collateral=EXPIRED)
        ends = (
            ("2027-01-15T08:00:01Z", PASS, now + 1),
            ("2027-01-15T08:04:59.999999Z", PASS, now + 299),
            ("2027-01-15T08:02:00+00:00", PASS, now + 120),
            ("2027-01-15T08:00:00Z", EXPIRED, None),
            ("2027-01-15T07:59:59Z", EXPIRED, None),
            ("1999-01-01T00:00:00Z", EXPIRED, None),
            ("9999-12-31T23:59:59Z", PASS, now + LIFE),
        )
        for date, outcome, expires in ends:
            case = _case(f"collateral until {date}", token, (end, date), collateral=outcome)
            yield case if expires is None else {**case, "expires": expires}
        for odd in ("2027-02-31T00:00:00Z", "2027-02-01", "2027-02-01T24:00:00Z", "tomorrow", "",
                    "2027-02-01T00:00:00", "2027-02-01T00:00:60Z", "0000-01-01T00:00:00Z",
                    "2027-02-01T00:00:00+01:00", 1_801_440_000, None):  # fmt: skip
            yield _case(f"collateral until {odd!r}", token, (end, odd), collateral=UNTOLD)


def _policies() -> Iterator[dict[str, Any]]:
    """A policy is not met by what is not told."""
    for token in ALL:
        at = _PLATFORM[token]
        told = token in ("v0.21", "ear-04", "ear-04 Trustee")
        tells_status = token != SILENT
        early, late = {"min_date": "2026-03-01T00:00:00Z"}, {"min_date": "2026-03-01T00:00:01Z"}
        low, high = {"min_evaluation": 18}, {"min_evaluation": 19}
        for name, policy, outcome in (
            ("a date", early, PASS if told else UNTOLD),
            ("a later date", late, "tcb-old" if told else UNTOLD),
            ("an edition", low, PASS if told else UNTOLD),
            ("a later edition", high, "tcb-evaluation" if told else UNTOLD),
            ("no advisory", {"advisories": []}, PASS if tells_status else UNTOLD),
            ("no warning", {"warn": []}, PASS if tells_status else UNTOLD),
            (
                "the usual statuses in another order",
                {
                    "warn": [
                        "ConfigurationAndSWHardeningNeeded",
                        "SWHardeningNeeded",
                        "ConfigurationNeeded",
                    ]
                },
                PASS if tells_status else SKIPPED,
            ),
        ):
            yield _case(f"the policy asks for {name}", token, policy=policy, tcb_status=outcome)
        date, number = (f"{at}tcb_date", "2026-03-01T00:00:00Z"), (f"{at}tcb_eval_num", 18)
        yield _case(
            "a date without a status",
            token,
            (f"{at}tcb_status",),
            date,
            policy=early,
            tcb_status=UNTOLD,
        )
        yield _case(
            "an edition without a status",
            token,
            (f"{at}tcb_status",),
            number,
            policy=low,
            tcb_status=UNTOLD,
        )
        yield _case(
            "an advisory",
            token,
            (f"{at}advisory_ids", ["INTEL-SA-1"]),
            (f"{at}tcb_status", "UpToDate"),
            policy={"advisories": ["INTEL-SA-2"]},
            tcb_status="tcb-advisory",
        )


def _nonces(report_data: str) -> Iterator[dict[str, Any]]:
    sent = base64.urlsafe_b64encode(bytes.fromhex(report_data)).decode().rstrip("=")
    for token in ALL:
        places = ["/eat_nonce"] + ([f"{_SUBMOD[token]}/eat_nonce"] if token in _SUBMOD else [])
        for at in places:
            yield _case(f"our nonce at {at}", token, (at, sent))
            yield _case(f"our nonce in a list at {at}", token, (at, [sent]))
            for name, odd in (
                ("another", "A" * 86),
                ("padded", f"{sent}=="),
                ("hex", report_data),
                ("no", ""),
                ("null for a", None),
                ("an empty list for a", []),
                ("two times our", [sent, sent]),
                ("a list of lists for a", [[sent]]),
            ):
                yield _case(f"{name} nonce at {at}", token, (at, odd), token_claims=CLAIM)


def _types() -> Iterator[dict[str, Any]]:
    """Members of another type than the table says."""
    for token in ALL:
        at = _PLATFORM[token]
        for name, odd in (
            *(("tcb_eval_num", odd) for odd in ("18", 17.5, -1, None, True, [18], 1 << 53)),
            *(("tcb_date", odd) for odd in ("2026-03-01", 1772323200, None, "x")),
            *(("advisory_ids", odd) for odd in ("INTEL-SA-1", None, [1], {}, [["INTEL-SA-1"]])),
        ):
            edit = (f"{at}{name}", odd)
            yield _case(f"{name} {odd!r}", token, edit, tcb_status=UNTOLD)
        # What is only shown decides nothing.
        for name in (
            "pck_crl_num",
            "root_key_id",
            "sgx_type",
            "is_smt_enabled",
            "latest_issue_date",
        ):
            yield _case(f"{name} of another type", token, (f"{at}{name}", {"x": 1}))
    yield _case("an edition written 18.0", "v0.21", (f"{_PLATFORM['v0.21']}tcb_eval_num", 18.0))
    for token in EARS:
        evidence = _EVIDENCE[token]
        for odd in (None, [], "x"):
            outcomes = {"collateral": SKIPPED, "tcb_status": SKIPPED}
            yield _case(f"evidence {odd!r}", token, (evidence, odd), token_claims=CLAIM, **outcomes)
        yield _case(
            "another TEE",
            token,
            (evidence, {"snp": {}}),
            token_claims=CLAIM,
            collateral=SKIPPED,
            tcb_status=SKIPPED,
        )
    verifier = {"v0.13": "/ear.verifier-id", "ear-04": "/ear_verifier_id"}
    for token, name in verifier.items():
        yield _case("a verifier that is a text", token, (name, "x"), token_claims=CLAIM)
    yield _case("no verifier", "v0.13", ("/ear.verifier-id",))
    yield _case("no verifier", "ear-04", ("/ear_verifier_id",), token_claims=CLAIM)
    yield _case(
        "a policy's id that is a list",
        "v0.21",
        ("/submods/cpu0/ear.appraisal-policy-id", ["default"]),
        token_claims=CLAIM,
    )
    yield _case(
        "policies' ids that are a text",
        "ear-04",
        ("/submods/cpu0/ear_appraisal_policy_ids", "default"),
        token_claims=CLAIM,
    )
    # Nobody asks for a policy by name here, so whoever passed the request on did.
    others: dict[str, tuple[tuple[str, Any], str]] = {
        "v0.13": (("/submods/cpu/ear.appraisal-policy-id", "lenient"), "token_claims"),
        "v0.21": (("/submods/cpu0/ear.appraisal-policy-id", "lenient"), "token_claims"),
        "ear-04": (("/submods/cpu0/ear_appraisal_policy_ids", ["default", "x"]), "token_claims"),
        "v0.13 Simple": (("/evaluation-reports", [{"policy-id": "lenient"}]), "appraisal"),
    }
    for token, (edit, check) in others.items():
        code = CLAIM if check == "token_claims" else APPRAISAL
        yield _case("by a policy that was not asked for", token, edit, **{check: code})
    for token, name in (
        ("v0.13", "cpu/ear.appraisal-policy-id"),
        ("v0.21", "cpu0/ear.appraisal-policy-id"),
        ("ear-04", "cpu0/ear_appraisal_policy_ids"),
    ):
        yield _case("by no policy that it names", token, (f"/submods/{name}",), token_claims=CLAIM)
    none = ("/submods/cpu0/ear_appraisal_policy_ids", [])
    yield _case("by policies that are none", "ear-04", none, token_claims=CLAIM)
    for odd in (["id"], {}, 1, "not an id"):
        yield _case(f"the id {odd!r}", "v0.21", ("/jti", odd), token_claims=CLAIM)
    yield _case("for an audience that is null", "v0.21", ("/aud", None), token_claims=CLAIM)
    yield _case(
        "words that are a list",
        "ear-04",
        ("/submods/cpu0/ear_verifier_claims", []),
        token_claims=CLAIM,
        collateral=SKIPPED,
        tcb_status=SKIPPED,
    )
    for token in ("v0.13 Simple", SILENT):
        yield _case(
            "no tcb-status",
            token,
            ("/tcb-status",),
            token_claims=CLAIM,
            collateral=SKIPPED,
            tcb_status=SKIPPED,
        )
        yield _case(
            "tcb-status in a list",
            token,
            ("/tcb-status", ["{}"]),
            token_claims=CLAIM,
            collateral=SKIPPED,
            tcb_status=SKIPPED,
        )

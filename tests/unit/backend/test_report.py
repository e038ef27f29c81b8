"""What a page reports: places that it found no anchor for, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from host_double import client_of, routes_of

from cczoo_backend import report
from error_document import assert_error

PATH = "/api/v1/tee/report"
ANCHORS = Path(__file__).resolve().parents[3] / "patches" / "open-webui" / "anchors.json"


A_VIOLATION = {"directive": "connect-src", "origin": "https://a.example:8443"}


def send(body: object, **options: object) -> httpx.Response:
    return client_of(routes_of()).post(PATH, json=body, **options)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (["badge"], "has no place for: badge."),
        (["settings", "badge"], "has no place for: badge, settings."),
    ],
)
def test_a_missing_place_is_one_warning(
    caplog: pytest.LogCaptureFixture, missing: list[str], told: str
) -> None:
    answer = send({"v": 1, "missing": missing})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"open-webui 0.0.0 {told}" in record.getMessage()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"v": 1},
        {"v": 2, "missing": ["badge"]},
        {"v": 1, "missing": []},
        {"v": 1, "missing": "badge"},
        {"v": 1, "missing": {"badge": 1}},
        {"v": 1, "missing": ["badge", "badge"]},
        {"v": 1, "missing": ["badge", "chat\nERROR forged"]},
        {"v": 1, "missing": [["badge"]]},
        {"v": 1, "missing": [None]},
        {"v": 1, "missing": ["badge"], "blocked": A_VIOLATION},
        {"v": 2, "blocked": A_VIOLATION},
        {"v": 1, "blocked": None},
        {"v": 1, "blocked": [A_VIOLATION]},
        {"v": 1, "blocked": {"directive": "connect-src"}},
        {"v": 1, "blocked": {**A_VIOLATION, "directive": "script\nERROR forged"}},
        {"v": 1, "blocked": {**A_VIOLATION, "directive": ["connect-src"]}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": "https://a.example\nERROR forged"}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": "https://a.example/?q=words"}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": "https://a.example%0a"}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": "\x1b[31mhttps://a.example"}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": "https://" + "a" * 300}},
        {"v": 1, "blocked": {**A_VIOLATION, "origin": None}},
    ],
    ids=range(24),
)
def test_anything_else_is_refused_and_not_logged(
    caplog: pytest.LogCaptureFixture, body: object
) -> None:
    assert_error(send(body), 400, "bad-request")
    assert caplog.records == []


def test_an_origin_that_the_policy_kept_a_page_from_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = client_of(routes_of({"TEE_QUOTE_LIMIT_ADDRESS": "1000/minute"}))
    for directive in ("connect-src", "connect-src", "frame-src"):
        violation = {**A_VIOLATION, "directive": directive}
        assert client.post(PATH, json={"v": 1, "blocked": violation}).status_code == 204
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    told = "open-webui 0.0.0 kept it from https://a.example:8443 (connect-src)."
    assert told in record.getMessage()
    assert "TEE_PAGE_SOURCES" in record.getMessage()


def test_made_up_origins_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(routes_of({"TEE_QUOTE_LIMIT_ADDRESS": "1000/minute"}))
    for number in range(report.ORIGINS_MAX + 20):
        violation = {**A_VIOLATION, "origin": f"https://h{number}.example"}
        assert client.post(PATH, json={"v": 1, "blocked": violation}).status_code == 204
    assert len(caplog.records) == report.ORIGINS_MAX


def test_a_report_is_small() -> None:
    assert_error(send({"v": 1, "missing": ["badge"], "more": "x" * 1024}), 413, "too-large")


def test_a_form_on_another_site_cannot_report() -> None:
    content = json.dumps({"v": 1, "missing": ["badge"]})
    headers = {"Content-Type": "text/plain"}
    assert_error(
        client_of(routes_of()).post(PATH, content=content, headers=headers), 415, "not-json"
    )


def test_reports_are_limited_apart_from_quotes() -> None:
    environ = {"TEE_QUOTE_PUBLIC": "true", "TEE_QUOTE_LIMIT_ADDRESS": "2/year"}
    client = client_of(routes_of(environ))
    answers = [client.post(PATH, json={"v": 1, "missing": ["badge"]}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert client.get("/api/v1/tee/quote").status_code == 503  # let in, on a machine without TDX


def test_the_known_places_are_those_that_can_be_missed() -> None:
    places = json.loads(ANCHORS.read_bytes())["places"]
    assert {name for name, site in places.items() if "expected" in site} == report.PLACES

"""The one form in which the backend tells a failure."""

from __future__ import annotations

from typing import Any


def assert_error(answer: Any, status: int, code: str, words: str = "") -> None:
    """Assert that an answer is the error document."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    document = answer.json()
    assert document.keys() == {"status", "code", "detail"}
    assert (answer.status_code, document["status"], document["code"]) == (status, False, code)
    assert words in document["detail"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text

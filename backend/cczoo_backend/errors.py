"""Failures that the caller is told about, always as the same JSON document."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

# Answers are about one nonce at one moment: no cache may keep them, no browser may guess a type,
# and as a document they can do nothing.
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


class TeeError(Exception):
    """A failure with an HTTP status, a stable code, and what to do (see docs/backend.md)."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    @classmethod
    def from_http_exception(cls, error: HTTPException) -> TeeError:
        """Return the error that says what open-webui's authentication said."""
        if error.status_code in (401, 403):
            code = "not-allowed"
        else:
            code = "bad-request" if error.status_code < 500 else "internal-error"
        return cls(error.status_code, code, str(error.detail))

    @classmethod
    def unexpected(cls) -> TeeError:
        """Return the error that stands for a mistake in the kit; the log has what happened."""
        detail = "The server failed in a way it did not expect; its log has the details."
        return cls(500, "internal-error", detail)

    def response(self) -> Response:
        """Return the error document of the evidence contract."""
        document = {"status": False, "code": self.code, "detail": self.detail}
        return JSONResponse(document, self.status, HEADERS | self.headers)


def too_many_waiting(detail: str) -> TeeError:
    """Return the refusal of a caller who may come back in a few seconds."""
    return TeeError(429, "too-many-waiting", detail, headers={"Retry-After": "5"})

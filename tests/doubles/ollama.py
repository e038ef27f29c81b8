"""Ollama's own API as 0.5.7 speaks it, over the models of a store, and later ones' cloud models.

python -m doubles.ollama [--port N] [--delay SECONDS] [--cloud NAME ...]

HEAD /, GET /, GET /api/version
GET  /api/tags                  the models of $OLLAMA_MODELS, with the digests of their manifests
GET  /api/ps                    those that were asked
POST /api/show, DELETE /api/delete
POST /api/chat                  "You said: <the last message>", streamed word by word or at once
POST /api/embed                 the same small vector for every text
POST /api/pull                  fails, as without a network
GET  /v1/models, POST /v1/chat/completions (streamed or at once)
and the orders of doubles.replies. Anything else is not found.

What each answers is held to a real 0.5.7's answers by tests/unit/test_doubles_ollama.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from .replies import VECTOR, Replies, add_orders
from .serving import command_line, run_double

VERSION = "0.5.7"
CLOUD = "https://ollama.com:443"
CLOUD_VERSION = "0.12.0"
"""The oldest that has models in its maker's cloud."""

_LIBRARY = "registry.ollama.ai/library/"
_KEPT = timedelta(minutes=5)
_BUFFER = 2048
"""Bytes of an answer; Go's server tells the length of none that is longer."""

_NDJSON = "application/x-ndjson"
_JSON = "application/json; charset=utf-8"
_SIGNS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


@dataclass(frozen=True)
class Model:
    """A model of the store, as /api/tags lists it; ``manifest`` is its file."""

    name: str
    manifest: Path

    def entry(self) -> dict[str, Any]:
        """Return what is listed of it; the digest is that of the manifest's bytes."""
        data = self.manifest.read_bytes()
        document = json.loads(data)
        parts = [document["config"], *document["layers"]]
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": _time(datetime.fromtimestamp(self.manifest.stat().st_mtime, UTC)),
            "size": sum(part["size"] for part in parts),
            "digest": hashlib.sha256(data).hexdigest(),
            "details": self.details(document["config"]["digest"]),
        }

    def details(self, config: str) -> dict[str, Any]:
        """Return what the model's config tells of it."""
        told = json.loads(self.blob(config))
        return {
            "parent_model": "",
            "format": told.get("model_format", ""),
            "family": told.get("model_family", ""),
            "families": told.get("model_families"),
            "parameter_size": told.get("model_type", ""),
            "quantization_level": told.get("file_type", ""),
        }

    def layer(self, kind: str) -> str:
        """Return the text of a layer, empty where there is none."""
        for layer in json.loads(self.manifest.read_bytes())["layers"]:
            if layer["mediaType"].endswith(f".{kind}"):
                return self.blob(layer["digest"]).decode()
        return ""

    def takes_tools(self) -> bool:
        """Return whether its template has a place for tools."""
        return ".Tools" in self.layer("template")

    def full_name(self) -> str:
        """Return its name with its place, which some errors show."""
        return f"{self.manifest.parents[2].name}/{self.manifest.parents[1].name}/" + (
            f"{self.manifest.parent.name}:{self.manifest.name}"
        )

    def blob(self, digest: str) -> bytes:
        """Return the bytes that are kept under a digest."""
        store = next(one for one in self.manifest.parents if (one / "blobs").is_dir())
        return (store / "blobs" / digest.replace(":", "-")).read_bytes()


@dataclass
class State(Replies):
    """What it says, the store whose models it has, and the models of its maker's cloud."""

    store: Path | None = None
    cloud: Sequence[str] = ()
    loaded: dict[str, datetime] = field(default_factory=dict)

    def models(self) -> list[Model]:
        """Return the models of the store, the newest first, as they are now."""
        if self.store is None:
            return []
        root = self.store / "manifests"
        files = [path for path in root.glob("*/*/*/*") if path.is_file()]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [Model(_short(path.relative_to(root)), path) for path in files]

    def find(self, name: object) -> Model | None:
        """Return the model that a request names; without a tag it is the latest."""
        full = _full(name)
        return next((model for model in self.models() if model.name == full), None)


def create_app(state: State) -> FastAPI:
    """Ollama as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, _not_found)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def root() -> Response:
        return PlainTextResponse("Ollama is running")

    add_orders(app, state)
    add_routes(app, state)
    _add_openai(app, state)
    return app


async def _not_found(request: Request, error: Exception) -> Response:
    """Whatever it has no route for, a wrong method included."""
    return Response(b"404 page not found", 404, headers={"content-type": "text/plain"})


def add_routes(app: FastAPI, state: State) -> None:
    """Add Ollama's own routes to a server."""
    _add_lists(app, state)
    _add_store(app, state)
    _add_answers(app, state)


def _add_lists(app: FastAPI, state: State) -> None:
    @app.get("/api/version")
    async def version() -> Response:
        return _json({"version": CLOUD_VERSION if state.cloud else VERSION})

    @app.get("/api/tags")
    async def tags() -> Response:
        here = [model.entry() for model in state.models()]
        return _json({"models": [*here, *(_cloud_model(name) for name in state.cloud)]})

    @app.get("/api/ps")
    async def loaded() -> Response:
        entries = []
        for model in state.models():
            if model.name in state.loaded:
                entry = model.entry()
                del entry["modified_at"]
                until = {"expires_at": _time(state.loaded[model.name] + _KEPT), "size_vram": 0}
                entries.append(entry | until)
        return _json({"models": entries})


def _add_store(app: FastAPI, state: State) -> None:
    @app.post("/api/show")
    async def show(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        if (name := _named(body)) in state.cloud:
            return _json(_cloud_model(name))
        if not (model := state.find(name)):
            return _unknown(name)
        entry, template = model.entry(), model.layer("template")
        return _json(
            {
                "modelfile": f'# Modelfile generated by "ollama show"\nTEMPLATE {template}\n',
                "template": template,
                "details": entry["details"],
                "model_info": {"general.architecture": entry["details"]["family"]},
                "modified_at": entry["modified_at"],
            }
        )

    @app.delete("/api/delete")
    async def delete(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        if not (model := state.find(_named(body))):
            return _unknown(_named(body))
        model.manifest.unlink()
        return Response()

    @app.post("/api/pull")
    async def pull(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        path, _, tag = _full(_named(body)).rpartition(":")
        url = f"https://registry.ollama.ai/v2/library/{path}/manifests/{tag}"
        why = f'pull model manifest: Get "{url}": dial tcp: lookup registry.ollama.ai: no such host'
        return _lines([{"status": "pulling manifest"}, {"error": why}])


def _add_answers(app: FastAPI, state: State) -> None:
    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await _asked(request, state)
        if isinstance(body, Response):
            return body
        if body.get("tools") and (model := state.find(body["model"])) and not model.takes_tools():
            return _error(400, f"{model.full_name()} does not support tools")
        if not body.get("messages"):
            return _json(_said(body, "") | {"done_reason": "load", "done": True})
        state.requests.append(body)
        if state.fault is not None:
            return _error(500, state.fault)
        if body.get("stream", True):
            return StreamingResponse(_chat_lines(state, body), media_type=_NDJSON)
        return _json(_said(body, state.reply(body["messages"])) | _end(time.monotonic_ns()))

    @app.post("/api/embed")
    async def embed(request: Request) -> Response:
        body = await _asked(request, state)
        if isinstance(body, Response):
            return body
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        answer = {"model": body["model"], "embeddings": [VECTOR for _ in texts]}
        took = {"total_duration": 1, "load_duration": 1, "prompt_eval_count": len(texts)}
        return _json(answer | took if texts else answer)


def _add_openai(app: FastAPI, state: State) -> None:
    @app.get("/v1/models")
    async def models() -> Response:
        data = [
            {
                "id": model.name,
                "object": "model",
                "created": int(model.manifest.stat().st_mtime),
                "owned_by": "library",
            }
            for model in state.models()
        ]
        # The one answer that is not gin's own: no charset, and an end of line.
        text = _text({"object": "list", "data": data}) + "\n"
        return Response(text, media_type="application/json")

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await _asked(request, state)
        if isinstance(body, Response):
            return _openai_error(body)
        state.requests.append(body)
        if body.get("stream"):
            # Given as a header, it gets no charset.
            kind = {"content-type": "text/event-stream"}
            return StreamingResponse(_events(state, body), headers=kind)
        message = {"role": "assistant", "content": state.reply(body["messages"])}
        answer = _completion(body, "chat.completion", "message", message, "stop")
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return Response(_text(answer | {"usage": usage}) + "\n", media_type="application/json")


def _openai_error(answer: Response) -> Response:
    """Return an error of Ollama's own as its other protocol has it."""
    is_wrong = answer.status_code == 400
    kind = "invalid_request_error" if is_wrong else "api_error"
    message = json.loads(bytes(answer.body))["error"]
    text = _text({"error": {"message": message, "type": kind, "param": None, "code": None}})
    if is_wrong:  # found before Ollama's own route was reached
        return Response(text, 400, media_type=_JSON)
    return Response(text + "\n", answer.status_code, media_type="application/json")


# --- requests ------------------------------------------------------------------------------------


async def _body(request: Request) -> dict[str, Any] | Response:
    """Return the object that was sent, whatever it was called; or what is wrong with it."""
    data = await request.body()
    if not data:
        return _error(400, "missing request body")
    try:
        body = json.loads(data)
    except ValueError:
        first = data.decode(errors="replace").lstrip()[:1]
        if first in {"{", "["}:
            return _error(400, "unexpected EOF")
        return _error(400, f"invalid character '{first}' looking for beginning of value")
    if isinstance(body, dict):
        return body
    return _error(400, "json: cannot unmarshal array into Go value of type api.ChatRequest")


async def _asked(request: Request, state: State) -> dict[str, Any] | Response:
    """Return a request to a model that it has, which is loaded then."""
    body = await _body(request)
    if isinstance(body, Response):
        return body
    name = body.get("model")
    if not name:
        return _error(400, "model is required")
    model = state.find(name)
    if model is not None:
        state.loaded[model.name] = datetime.now(UTC)
    elif name not in state.cloud:
        return _error(404, f'model "{name}" not found, try pulling it first')
    return body


def _named(body: dict[str, Any]) -> Any:
    """Return what a request about the store calls the model; older clients say `name`."""
    return body.get("model") or body.get("name")


def _full(name: object) -> str:
    text = str(name)
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"


def _short(path: Path) -> str:
    """Return a model's name as people type it: the library's own goes without its place."""
    return f"{path.parent.as_posix()}:{path.name}".removeprefix(_LIBRARY)


# --- answers -------------------------------------------------------------------------------------


async def _chat_lines(state: State, body: dict[str, Any]) -> AsyncIterator[str]:
    began = time.monotonic_ns()
    async for word in state.words(body):
        yield _text(_said(body, word) | {"done": False}) + "\n"
    yield _text(_said(body, "") | _end(began)) + "\n"


def _said(body: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": body["model"], "created_at": _time(datetime.now(UTC)), "message": message}


def _end(began: int) -> dict[str, Any]:
    """Return what the last line says of an answer; durations in nanoseconds."""
    return {
        "done_reason": "stop",
        "done": True,
        "total_duration": time.monotonic_ns() - began,
        "load_duration": 1,
        "prompt_eval_count": 1,
        "prompt_eval_duration": 1,
        "eval_count": 1,
        "eval_duration": 1,
    }


async def _events(state: State, body: dict[str, Any]) -> AsyncIterator[str]:
    async for word in state.words(body):
        yield _event(body, word, None)
    yield _event(body, "", "stop")
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any], text: str, finish: str | None) -> str:
    delta = {"role": "assistant", "content": text}
    return f"data: {_text(_completion(body, 'chat.completion.chunk', 'delta', delta, finish))}\n\n"


def _completion(
    body: dict[str, Any], kind: str, part: str, said: dict[str, str], finish: str | None
) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, part: said, "finish_reason": finish}],
    }


def _cloud_model(name: str) -> dict[str, Any]:
    """A model of Ollama's cloud as a local Ollama lists it (api/types.go, 0.12)."""
    return {
        "name": name,
        "model": name,
        "remote_model": name.removesuffix("-cloud"),
        "remote_host": CLOUD,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": 384,
        "digest": "875e8e3a629d" + "0" * 52,
        "details": {"format": "", "family": "gptoss", "families": ["gptoss"]},
        "capabilities": ["completion"],
    }


def _text(value: object) -> str:
    """Return JSON as Go writes it: without a blank, and with nothing that HTML would take."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_SIGNS)


def _json(value: object, status: int = 200) -> Response:
    data = _text(value).encode()
    if len(data) > _BUFFER:
        return StreamingResponse(iter([data]), status, media_type=_JSON)
    return Response(data, status, media_type=_JSON)


def _lines(values: Sequence[object]) -> Response:
    return StreamingResponse(iter([_text(each) + "\n" for each in values]), media_type=_NDJSON)


def _error(status: int, message: str) -> Response:
    # Never longer than what is sent with its length: who asks may read it again.
    return Response(_text({"error": message}), status, media_type=_JSON)


def _unknown(name: object) -> Response:
    return _error(404, f"model '{name}' not found")


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server."""
    parser = command_line(__doc__)
    parser.add_argument("--delay", type=float, default=State.delay, help="seconds between words")
    parser.add_argument("--cloud", action="append", default=[], help="repeatable")
    options = parser.parse_args(argv)
    store = os.environ.get("OLLAMA_MODELS")
    state = State(delay=options.delay, store=Path(store) if store else None, cloud=options.cloud)
    return run_double(lambda _: create_app(state), options)


if __name__ == "__main__":
    sys.exit(main())

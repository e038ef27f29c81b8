"""The double of Ollama against recorded answers of a real 0.5.7, and against one that answers.

The recordings lie beside the project. Of an answer's JSON its form is compared: members, their
order and their kinds; of errors the text.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from doubles.ollama import VERSION, State, create_app
from doubles.ollama_store import LAYERS, OllamaStore
from doubles.replies import reply_to
from doubles.serving import serving

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ollama"
MISSING = "recordings of a real Ollama are not beside the project (../shared/data)"
CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
    b'"model_type":"134.52M","file_type":"Q4_1"}'
)
NAME = "smollm2"
MESSAGES = [{"role": "user", "content": "What is <this> & that?"}]
REPLY = reply_to(MESSAGES)
CLIENT = httpx.Client(trust_env=False, timeout=60)

# What was asked when it was recorded. {} is the name of a model that is there.
ASKED: dict[str, tuple[str, str, Any]] = {
    "HEAD-root": ("HEAD", "/", None),
    "GET-api-version": ("GET", "/api/version", None),
    "GET-api-tags": ("GET", "/api/tags", None),
    "GET-api-ps": ("GET", "/api/ps", None),
    "GET-v1-models": ("GET", "/v1/models", None),
    "POST-api-show": ("POST", "/api/show", {"model": "{}"}),
    "DELETE-missing": ("DELETE", "/api/delete", {"model": "nope"}),
    "POST-api-chat-missing": ("POST", "/api/chat", {"model": "nope", "messages": MESSAGES}),
    "POST-api-chat-badjson": ("POST", "/api/chat", '{"model":'),
    "POST-api-chat-once": ("POST", "/api/chat", {"model": "{}", "stream": False}),
    "POST-api-chat-stream": ("POST", "/api/chat", {"model": "{}"}),
    "POST-v1-chat-stream": ("POST", "/v1/chat/completions", {"model": "{}", "stream": True}),
    "POST-api-embed": ("POST", "/api/embed", {"model": "{}", "input": ["one", "two"]}),
    "GET-api-ps-loaded": ("GET", "/api/ps", None),
    "POST-api-pull-offline": ("POST", "/api/pull", {"model": "doesnotexist"}),
}
OF_SOME_MODELS = {"model_info", "parameters", "messages"}
"""What /api/show tells of a model's own files: more of one than of another."""

# What was seen of a real 0.5.7 besides: what is asked, and the answer's status, kind and body.
JSON, PLAIN, OTHER = "application/json; charset=utf-8", "text/plain", "application/json"
NOT_THERE = 'model "nope" not found, try pulling it first'
SEEN = {
    "nothing": ("POST", "/api/chat", "", 400, JSON, {"error": "missing request body"}),
    "no model": ("POST", "/api/chat", "{}", 400, JSON, {"error": "model is required"}),
    "a list": (
        *("POST", "/api/chat", "[]", 400, JSON),
        {"error": "json: cannot unmarshal array into Go value of type api.ChatRequest"},
    ),
    "a word": (
        *("POST", "/api/chat", "x", 400, JSON),
        {"error": "invalid character 'x' looking for beginning of value"},
    ),
    "shown": (
        *("POST", "/api/show", '{"model":"nope"}', 404, JSON),
        {"error": "model 'nope' not found"},
    ),
    "embedded": ("POST", "/api/embed", '{"model":"nope"}', 404, JSON, {"error": NOT_THERE}),
    "no words": (
        *("POST", "/api/embed", '{"model":"{}"}', 200, JSON),
        {"model": "{}", "embeddings": []},
    ),
    "another method": ("GET", "/api/chat", "", 404, PLAIN, "404 page not found"),
    "no such route": ("GET", "/api/nothing", "", 404, PLAIN, "404 page not found"),
    "OpenAI's": (
        *(
            "POST",
            "/v1/chat/completions",
            '{"model":"nope","messages":[{"role":"user","content":"x"}]}',
            404,
            OTHER,
        ),
        {"error": {"message": NOT_THERE, "type": "api_error", "param": None, "code": None}},
    ),
}


@pytest.fixture
def store(tmp_path: Path) -> OllamaStore:
    """A store with one model."""
    store = OllamaStore(tmp_path / "models")
    store.add(f"{NAME}/latest", LAYERS, CONFIG)
    return store


@pytest.fixture
def state(store: OllamaStore) -> State:
    """A double of this store that answers at once."""
    return State(delay=0, store=store.path)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    """Where it listens: on a socket, as only then answers are as they travel."""
    with serving(lambda _: create_app(state)) as url:
        yield url


def ask(url: str, name: str, model: str = NAME) -> httpx.Response:
    """Send the request of a recording."""
    method, path, body = ASKED[name]
    if isinstance(body, dict):
        body = {key: model if value == "{}" else value for key, value in body.items()}
        if "chat" in path:
            body.setdefault("messages", MESSAGES)
            limit = {"max_tokens": 6} if path.startswith("/v1") else {"options": {"num_predict": 6}}
            body |= limit
        body = json.dumps(body)
    return CLIENT.request(method, url + path, content=body)


def recorded(name: str) -> httpx.Response:
    """Read a recording."""
    data = (RECORDINGS / f"{name}.txt").read_bytes()
    head, body = re.split(rb"\r?\n\r?\n", data, maxsplit=1)
    first, *lines = head.decode().splitlines()
    answer = httpx.Response(int(first.split()[1]), content=body)
    answer.headers = httpx.Headers(dict(line.split(": ", 1) for line in lines))
    return answer


def form(value: Any) -> Any:
    """The form of a JSON value: members in their order, kinds of values, each kind once in lists.

    What only some models have is left out.
    """
    if isinstance(value, dict):
        return [(name, form(each)) for name, each in value.items() if name not in OF_SOME_MODELS]
    if isinstance(value, list):
        return [form(each) for each in value[:1]]
    return type(value).__name__ if not isinstance(value, int | float) else "number"


def form_of_body(answer: httpx.Response) -> Any:
    """The form of a body: of each different line of a stream, of an error its words."""
    kind = answer.headers["content-type"]
    if answer.status_code != 200:
        return answer.text
    if kind == "text/event-stream":
        events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
        assert events.pop() == "[DONE]"
        return unlike([form(json.loads(event)) for event in events])
    if kind == "application/x-ndjson":
        assert answer.text.endswith("}\n")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        errors = [line["error"] for line in lines if "error" in line]
        return errors, unlike([form(line) for line in lines])
    if "json" in kind:
        return form(answer.json()), answer.text.endswith("\n")
    return answer.text


def unlike(forms: list[Any]) -> list[Any]:
    """Leave out what is like the one before it."""
    return [each for at, each in enumerate(forms) if at == 0 or each != forms[at - 1]]


def assert_alike(name: str, answer: httpx.Response, real: httpx.Response) -> None:
    """Assert that an answer is like a real one, on the wire and in its form."""
    assert answer.status_code == real.status_code
    assert answer.headers["content-type"] == real.headers["content-type"]
    # How much a model has to say decides between a length and pieces.
    if name not in {"POST-api-show", "POST-api-embed", "GET-api-tags"}:
        framing = ("content-length" in answer.headers, "transfer-encoding" in answer.headers)
        assert framing == ("content-length" in real.headers, "transfer-encoding" in real.headers)
    assert form_of_body(answer) == form_of_body(real)


@pytest.mark.parametrize("name", ASKED)
def test_it_answers_as_was_recorded(name: str, url: str) -> None:
    if not RECORDINGS.is_dir():
        pytest.skip(MISSING)
    if name == "GET-api-ps-loaded":
        ask(url, "POST-api-chat-once")
    assert_alike(name, ask(url, name), recorded(name))


def assert_seen(name: str, url: str, model: str) -> None:
    """Assert that a server answers what was seen of a real one, digit for digit."""
    method, path, body, status, kind, expected = SEEN[name]
    if isinstance(expected, dict):
        end = "\n" if kind == OTHER else ""
        expected = json.dumps(expected, separators=(",", ":")) + end
    answer = CLIENT.request(method, url + path, content=body.replace('"{}"', f'"{model}"'))
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert answer.text == expected.replace('"{}"', f'"{model}"')


@pytest.mark.parametrize("name", SEEN)
def test_it_answers_as_was_seen(name: str, url: str) -> None:
    assert_seen(name, url, NAME)


# A real one, wherever one answers


@pytest.fixture(scope="module")
def real() -> str:
    """The address of a real Ollama 0.5.7 with a model."""
    address = (os.environ.get("OLLAMA_BASE_URL") or "http://127.0.0.1:11434").rstrip("/")
    try:
        version = CLIENT.get(f"{address}/api/version", timeout=5).json()["version"]
        models = CLIENT.get(f"{address}/api/tags", timeout=5).json()["models"]
    except (httpx.HTTPError, ValueError, KeyError):
        pytest.skip(f"no Ollama answers at {address} (OLLAMA_BASE_URL)")
    if version != VERSION:
        pytest.skip(f"the Ollama at {address} is {version}, and the double is {VERSION}")
    if not models:
        pytest.skip(f"the Ollama at {address} has no models")
    return address


@pytest.fixture(scope="module")
def real_model(real: str) -> str:
    """The name of its smallest model."""
    models = CLIENT.get(f"{real}/api/tags").json()["models"]
    return str(min(models, key=lambda model: model["size"])["name"])


@pytest.mark.parametrize("name", [*ASKED.keys() - {"POST-api-pull-offline"}])
def test_it_answers_as_a_real_one_does(name: str, url: str, real: str, real_model: str) -> None:
    if name in {"GET-api-ps", "GET-api-ps-loaded"}:
        for address, model in ((url, NAME), (real, real_model)):
            ask(address, "POST-api-chat-once", model)
    assert_alike(name, ask(url, name), ask(real, name, real_model))


@pytest.mark.parametrize("name", SEEN)
def test_a_real_one_answers_as_was_seen(name: str, real: str, real_model: str) -> None:
    assert_seen(name, real, real_model)


# What it is asked for by tests


def test_digests_are_those_of_the_manifests_as_they_are_now(url: str, store: OllamaStore) -> None:
    path = store.add("second/1b", {"model": b"GGUF others"})
    os.utime(path, (0, 0))

    def digests() -> dict[str, str]:
        models = CLIENT.get(f"{url}/api/tags").json()["models"]
        return {model["name"]: model["digest"] for model in models}

    first = (store.library / NAME / "latest").read_bytes()
    assert list(digests()) == [f"{NAME}:latest", "second:1b"]  # the newest first
    assert digests()[f"{NAME}:latest"] == hashlib.sha256(first).hexdigest()
    store.add(f"{NAME}/latest", {"model": b"GGUF changed"}, CONFIG)
    assert digests()[f"{NAME}:latest"] != hashlib.sha256(first).hexdigest()
    assert CLIENT.request("DELETE", f"{url}/api/delete", json={"model": NAME}).content == b""
    assert list(digests()) == ["second:1b"]


def test_names_of_elsewhere_are_shown_in_full(url: str, store: OllamaStore) -> None:
    data = (store.library / NAME / "latest").read_bytes()
    store.write_manifest(data, "../../models.example/team/third/latest")
    names = {model["name"] for model in CLIENT.get(f"{url}/api/tags").json()["models"]}
    assert names == {f"{NAME}:latest", "models.example/team/third:latest"}


def test_an_answer_by_each_way_is_the_same(url: str, state: State) -> None:
    streamed = [json.loads(line) for line in ask(url, "POST-api-chat-stream").text.splitlines()]
    assert "".join(line["message"]["content"] for line in streamed) == REPLY
    assert [line["done"] for line in streamed] == [False] * (len(streamed) - 1) + [True]
    assert len(streamed) > 3
    assert ask(url, "POST-api-chat-once").json()["message"]["content"] == REPLY
    events = ask(url, "POST-v1-chat-stream").text.split("\n\n")
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events[:-2]]
    assert "".join(delta["content"] for delta in deltas) == REPLY
    assert [body["messages"] for body in state.requests] == [MESSAGES] * 3
    assert state.cut == []


def test_signs_of_html_travel_as_go_writes_them(url: str) -> None:
    assert "\\u003cthis\\u003e \\u0026 that" in ask(url, "POST-api-chat-once").text


def test_tools_are_refused_where_the_template_has_no_place_for_them(
    url: str, store: OllamaStore
) -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    body = {"model": NAME, "messages": MESSAGES, "tools": [tool], "stream": False}
    answer = CLIENT.post(f"{url}/api/chat", json=body)
    assert answer.status_code == 400
    # As a real 0.5.7 said of this name.
    assert answer.json() == {
        "error": "registry.ollama.ai/library/smollm2:latest does not support tools"
    }
    assert CLIENT.post(f"{url}/api/chat", json=body | {"tools": []}).is_success
    store.add(f"{NAME}/latest", {**LAYERS, "template": b"{{ .Tools }}{{ .Prompt }}"}, CONFIG)
    assert CLIENT.post(f"{url}/api/chat", json=body).is_success


def test_what_is_wrong_with_a_request_is_told(url: str, state: State) -> None:
    state.fault = "too hot"
    answer = ask(url, "POST-api-chat-stream")
    assert (answer.status_code, answer.json()) == (500, {"error": "too hot"})


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_an_answer_that_is_broken_off_ends(url: str, state: State, path: str) -> None:
    state.delay = 0.01
    state.answer = "word " * 100_000
    body = {"model": NAME, "stream": True, "messages": MESSAGES}
    with CLIENT.stream("POST", url + path, json=body) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert CLIENT.get(f"{url}/cut").json() == []
    deadline = time.monotonic() + 60
    while not CLIENT.get(f"{url}/cut").json() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert CLIENT.get(f"{url}/cut").json() == [body]


def test_a_real_answer_that_is_broken_off_leaves_the_next_in_peace(
    real: str, real_model: str
) -> None:
    body = {"model": real_model, "messages": MESSAGES}
    with CLIENT.stream("POST", f"{real}/api/chat", json=body) as answer:
        next(answer.iter_raw())
    assert ask(real, "POST-api-chat-once", real_model).json()["done"]

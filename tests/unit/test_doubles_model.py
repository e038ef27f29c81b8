"""The stub model server speaks enough of the OpenAI protocol, and always says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from doubles import model, ollama, replies

MESSAGES = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "You said: Hello"},
    {"role": "user", "content": "Tell me\nmore,  please."},
]
REPLY = "You said: Tell me\nmore,  please."


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    state = model.State(delay=0)
    with TestClient(model.create_app(state)) as opened:
        yield opened


def complete(client: httpx.Client, stream: bool) -> httpx.Response:
    body = {"model": "stub", "messages": MESSAGES, "stream": stream}
    return client.post("/v1/chat/completions", json=body)


def test_there_is_one_model(client: httpx.Client) -> None:
    assert [entry["id"] for entry in client.get("/v1/models").json()["data"]] == ["stub"]


def test_a_reply_at_once(client: httpx.Client) -> None:
    answer = complete(client, stream=False).json()
    assert answer["object"] == "chat.completion"
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": REPLY}
    assert choice["finish_reason"] == "stop"


def test_a_streamed_reply(client: httpx.Client) -> None:
    answer = complete(client, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks) == REPLY
    assert len(chunks) > 3
    assert [chunk["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


def test_requests_are_remembered(client: httpx.Client) -> None:
    complete(client, stream=False)
    [request] = client.get("/requests").json()
    assert request["messages"] == MESSAGES
    client.post("/control", json={"clear": True})
    assert client.get("/requests").json() == []


def test_it_can_be_slowed(client: httpx.Client) -> None:
    assert client.post("/control", json={"delay": 0.01}).json() == {"delay": 0.01}
    assert complete(client, stream=True).text.endswith("data: [DONE]\n\n")


def test_it_says_what_it_shall(client: httpx.Client) -> None:
    client.post("/control", json={"answer": "<b>no</b>", "delay": 0})
    assert complete(client, stream=False).json()["choices"][0]["message"]["content"] == "<b>no</b>"
    client.post("/control", json={"clear": True})
    assert "<b>no</b>" in complete(client, stream=True).text
    client.post("/control", json={"answer": None})
    assert complete(client, stream=False).json()["choices"][0]["message"]["content"] == REPLY


def test_it_knows_what_to_say_to_some_words(client: httpx.Client) -> None:
    client.post("/control", json={"answers": {MESSAGES[-1]["content"]: "I know."}, "delay": 0})
    assert "I know." in complete(client, stream=False).text
    client.post("/control", json={"answers": {"something else": "I know."}, "answer": "Or not."})
    assert "Or not." in complete(client, stream=False).text


def test_it_says_what_is_wrong(client: httpx.Client) -> None:
    client.post("/control", json={"fault": "too hot"})
    answer = complete(client, stream=True)
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "too hot"}})
    client.post("/control", json={"fault": None})
    assert complete(client, stream=True).is_success


def test_an_order_that_it_does_not_know_is_refused(client: httpx.Client) -> None:
    assert client.post("/control", json={"models": ["another"]}).status_code == 400
    assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["stub"]


def test_it_hears_speaks_and_measures_texts(client: httpx.Client) -> None:
    client.post("/control", json={"spoken": "hello"})
    assert client.post("/v1/audio/transcriptions", content=b"RIFF").json() == {"text": "hello"}
    assert b"good bye" in client.post("/v1/audio/speech", json={"input": "good bye"}).content
    for texts, count in (("one", 1), (["one", "two"], 2)):
        answer = client.post("/v1/embeddings", json={"input": texts}).json()
        assert [each["index"] for each in answer["data"]] == list(range(count))


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert replies.reply_to([{"role": "user", "content": parts}]) == "You said: a  b"


@pytest.mark.parametrize(
    "arguments", [["doubles.model"], ["doubles.hostile", "--mode", "good"]], ids=lambda a: a[0]
)
def test_doubles_run_as_processes(arguments: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    try:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert line["event"] == "listening"
        path = "/seen" if "hostile" in arguments[0] else "/v1/models"
        assert httpx.get(line["url"] + path, trust_env=False).status_code == 200
    finally:
        process.terminate()
        process.wait(30)


def test_a_cloud_model_is_listed_as_a_local_one_and_says_where_it_answers() -> None:
    state = model.State(delay=0, cloud=["gpt-oss:20b-cloud"])
    with TestClient(model.create_app(state)) as client:
        (listed,) = client.get("/api/tags").json()["models"]
        shown = client.post("/api/show", json={"model": "gpt-oss:20b-cloud"}).json()
        for told in (listed, shown):
            assert (told["remote_model"], told["remote_host"]) == ("gpt-oss:20b", ollama.CLOUD)
        body = {"model": listed["name"], "messages": MESSAGES, "stream": False}
        answer = client.post("/api/chat", json=body).json()
    assert answer["message"]["content"] == REPLY
    assert state.requests == [body]

"""Python agrees with the vectors that the page's code reads too (tests/vectors/sealed.json)."""

from __future__ import annotations

from typing import Any

import pytest
from sealed_vectors import (
    EXCHANGES,
    VECTORS,
    config_of,
    decode,
    opener,
    read_whole,
    request_opener,
    sealer,
)

from quote_generator.sealing import binary_http, errors, frames, keyset, padding
from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from vectors import sealed as source
from vectors.sealed_formats import head_members, message_members

STEPS = (None, 1, 7)


def by_name(cases: Any) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.get("name", ""))


@by_name(VECTORS["keysets"]["good"])
def test_good_keysets(case: Any) -> None:
    read = keyset.parse_keyset(case["document"])
    assert (read.hash, read.not_after, read.preferred.id) == (
        case["hash"],
        case["not_after"],
        case["preferred"],
    )
    assert [
        (config.id, config.key_id, config.kem, config.public_key.hex(), list(config.aeads))
        for config in read.configs
    ] == [
        (known["id"], known["key_id"], known["kem"], known["public_key"], known["aeads"])
        for known in case["configs"]
    ]


@by_name(VECTORS["keysets"]["bad"])
def test_bad_keysets(case: Any) -> None:
    with pytest.raises(errors.SealingError) as caught:
        keyset.parse_keyset(case["document"])
    assert caught.value.code == case["code"]


@by_name(VECTORS["keysets"]["life"])
def test_how_long_a_keyset_counts(case: Any) -> None:
    if case["code"] is None:
        keyset.check_life(case["not_after"], case["now"])
        return
    with pytest.raises(errors.SealingError) as caught:
        keyset.check_life(case["not_after"], case["now"])
    assert caught.value.code == case["code"]


def test_the_drafts_example_is_the_drafts() -> None:
    case = EXCHANGES["the draft's example"]
    assert case["request"]["wire"] == source.DRAFT_REQUEST
    assert case["response"]["wire"] == source.DRAFT_RESPONSE


@by_name(VECTORS["exchanges"])
def test_what_is_sealed_is_what_stands_there(case: Any) -> None:
    writer, texts = sealer(case), [bytes.fromhex(text) for text in case["request"]["texts"]]
    wire = writer.start + b"".join(map(writer.chunk, texts[:-1])) + writer.final(texts[-1])
    assert wire.hex() == case["request"]["wire"]
    assert writer.enc.hex() == case["enc"]
    assert config_of(case).id == case["id"]

    reader = request_opener(case)
    read_whole(reader, wire)
    answer = reader.response(lambda size: bytes.fromhex(case["response"]["nonce"])[:size])
    texts = [bytes.fromhex(text) for text in case["response"]["texts"]]
    wire = answer.start + b"".join(map(answer.chunk, texts[:-1])) + answer.final(texts[-1])
    assert wire.hex() == case["response"]["wire"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("direction", ["request", "response"])
@by_name(VECTORS["exchanges"])
def test_what_is_opened_is_what_stands_there(case: Any, direction: str, step: int | None) -> None:
    wire = bytes.fromhex(case[direction]["wire"])
    text = read_whole(opener(case, direction), wire, step=step)
    assert text.hex() == "".join(case[direction]["texts"])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "case", VECTORS["hostile"], ids=lambda case: f"{case['direction']}: {case['name']}"
)
def test_spoiled_messages_are_refused(case: Any, step: int | None) -> None:
    reader = opener(EXCHANGES[case["exchange"]], case["direction"])
    with pytest.raises(errors.SealingError) as caught:
        read_whole(reader, bytes.fromhex(case["wire"]), step=step)
    assert caught.value.code == case["code"]


@pytest.mark.parametrize("case", VECTORS["binary_http"]["written"])
def test_messages_are_written_as_they_stand_there(case: Any) -> None:
    members = dict(case["head"])
    fields = tuple((name.encode(), bytes.fromhex(value)) for name, value in members.pop("fields"))
    pieces = [bytes.fromhex(piece) for piece in case["pieces"]]
    if "status" in members:
        kind, encoded = (
            "response",
            binary_http.encode_response_head(ResponseHead(members["status"], fields)),
        )
    else:
        kind, encoded = (
            "request",
            binary_http.encode_request_head(RequestHead(**members, fields=fields)),
        )
    message = encoded + b"".join(map(binary_http.encode_content, pieces)) + binary_http.END
    assert message.hex() == case["message"]
    for step in STEPS:
        head, content = decode(kind, message, step=step)
        assert (head_members(head), content) == (case["head"], b"".join(pieces))


@pytest.mark.parametrize("step", STEPS)
@by_name(VECTORS["binary_http"]["read"])
def test_messages_of_others_are_read(case: Any, step: int | None) -> None:
    head, content = decode(case["kind"], bytes.fromhex(case["message"]), step=step)
    assert head_members(head) == case["head"]
    assert content.hex() == case["content"]


@pytest.mark.parametrize("step", STEPS)
@by_name(VECTORS["binary_http"]["bad"])
def test_bad_messages_are_refused(case: Any, step: int | None) -> None:
    with pytest.raises(errors.SealingError) as caught:
        decode(case["kind"], bytes.fromhex(case["message"]), step=step)
    assert caught.value.code == case["code"]


def test_buckets_and_records() -> None:
    vectors = VECTORS["padding"]
    for length, bucket in vectors["buckets"]:
        assert padding.bucket(length) == bucket
    for case in vectors["records"]:
        assert padding.encode_record(bytes.fromhex(case["data"])).hex() == case["record"]
    for case in vectors["first_records"]:
        record = padding.encode_first_record(bytes.fromhex(case["data"]), case["beside"])
        assert len(record) == case["bytes"]


def unpad(encoded: bytes, step: int | None) -> bytes:
    decoder, size = padding.PaddedDecoder(), step or max(1, len(encoded))
    kept = [decoder.feed(encoded[at : at + size]) for at in range(0, len(encoded), size)]
    decoder.end()
    return b"".join(kept)


@pytest.mark.parametrize("step", STEPS)
def test_padded_bodies(step: int | None) -> None:
    for case in VECTORS["padding"]["bodies"]:
        assert unpad(bytes.fromhex(case["encoded"]), step).hex() == case["data"]


@pytest.mark.parametrize("step", STEPS)
@by_name(VECTORS["padding"]["bad"])
def test_bad_padded_bodies(case: Any, step: int | None) -> None:
    with pytest.raises(errors.SealingError) as caught:
        unpad(bytes.fromhex(case["encoded"]), step)
    assert caught.value.code == case["code"]


def message_of(members: Any) -> frames.Message:
    members = dict(members)
    kind = members.pop("type")
    if kind == "binary":
        return frames.Binary(bytes.fromhex(members["data"]))
    message: frames.Message = {"open": frames.Open, "text": frames.Text, "close": frames.Close}[
        kind
    ](**members)
    return message


@by_name(VECTORS["frames"]["good"])
def test_frames(case: Any) -> None:
    key = bytes.fromhex(case["key"])
    reader = frames.FrameOpener(key, expects_open=case["expects_open"])
    writer = frames.FrameSealer(key)
    for part in case["frames"]:
        frame = bytes.fromhex(part["frame"])
        messages = reader.open(frame)
        assert [message_members(message) for message in messages] == part["messages"]
        if case["written"]:
            assert writer.seal([message_of(members) for members in part["messages"]]) == [frame]
    assert reader.finished == (case["frames"][-1]["frame"][:2] == "01")


@by_name(VECTORS["frames"]["bad"])
def test_bad_frames(case: Any) -> None:
    *before, last = [*map(bytes.fromhex, case["frames"]), *[b""] * case["ends"]]
    reader = frames.FrameOpener(bytes.fromhex(case["key"]), expects_open=case["expects_open"])
    for frame in before:
        reader.open(frame)
    with pytest.raises(errors.SealingError) as caught:
        reader.end() if case["ends"] else reader.open(last)
    assert caught.value.code == case["code"]
    with pytest.raises(errors.Finished):
        reader.open(last)


def test_a_sockets_keys() -> None:
    vectors = VECTORS["frames"]
    secret = bytes.fromhex(vectors["secret"])
    keys = (vectors["client_to_server"], vectors["server_to_client"])
    assert tuple(key.hex() for key in frames.client_keys(secret)) == keys
    assert tuple(key.hex() for key in frames.server_keys(secret)) == keys[::-1]
    for other in (b"", secret[:-1], secret + b"\0"):
        with pytest.raises(errors.Malformed):
            frames.client_keys(other)

"""Binary HTTP, padding, frames and keysets: round trips, bounds, and what bad input gets."""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_vectors import VECTORS, decode

from quote_generator.evidence import canonical_json
from quote_generator.sealing import binary_http, errors, frames, keyset, padding
from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.hpke import Kem, PrivateKey
from vectors.sealed_formats import frame, record

# --- binary HTTP ----------------------------------------------------------------------------------

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=30)
VALUES = st.binary(max_size=80).filter(lambda value: not set(value) & set(b"\0\r\n"))
FIELDS = st.lists(st.tuples(TOKENS.map(str.encode), VALUES), max_size=20).map(tuple)
PATHS = st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) != "#"], max_size=90)
REQUESTS = st.builds(
    RequestHead,
    TOKENS,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["chat.example", "[::1]:8080", "a:1", ""]),
    PATHS.map("/".__add__),
    FIELDS,
)
RESPONSES = st.builds(ResponseHead, st.integers(200, 599), FIELDS)


def encoded(head: RequestHead | ResponseHead) -> bytes:
    if isinstance(head, RequestHead):
        return binary_http.encode_request_head(head)
    return binary_http.encode_response_head(head)


def kind_of(head: RequestHead | ResponseHead) -> str:
    return "request" if isinstance(head, RequestHead) else "response"


@settings(deadline=None)
@given(
    st.one_of(REQUESTS, RESPONSES),
    st.lists(st.binary(max_size=200)),
    st.integers(0, 300),
    st.integers(1, 90),
)
def test_messages_there_and_back(
    head: RequestHead | ResponseHead, pieces: list[bytes], zeros: int, step: int
) -> None:
    message = encoded(head) + b"".join(map(binary_http.encode_content, pieces)) + binary_http.END
    assert decode(kind_of(head), message + bytes(zeros), step=step) == (head, b"".join(pieces))


@given(REQUESTS, st.binary(max_size=50))
def test_a_message_that_is_cut_short_is_never_whole(head: RequestHead, content: bytes) -> None:
    """Cut in any place it is refused, or the same but for what an empty section may leave out."""
    message = encoded(head) + binary_http.encode_content(content) + binary_http.END
    for end in range(len(message)):
        try:
            got = decode("request", message[:end])
        except errors.Truncated:
            continue
        assert got[1] == content if end >= len(message) - 2 else not got[1]
        assert got[0].path == head.path
        assert got[0].fields in (head.fields, ())


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for kind in ("request", "response"):
        for begin in (b"", b"\x02\x03GET\x05https\x01a\x01/", b"\x03\x40\xc8"):
            try:
                head, content = decode(kind, begin + data)
            except (errors.Malformed, errors.Truncated):
                continue
            assert kind_of(head) == kind
            assert len(content) <= len(data)


@given(st.one_of(REQUESTS, RESPONSES), st.binary(max_size=60), st.data())
def test_the_size_of_the_pieces_does_not_matter(
    head: RequestHead | ResponseHead, content: bytes, data: st.DataObject
) -> None:
    message = encoded(head) + binary_http.encode_content(content) + binary_http.END
    at = data.draw(st.integers(0, len(message) - 1))
    spoiled = message[:at] + bytes([message[at] ^ data.draw(st.integers(1, 255))])
    spoiled += message[at + 1 :]

    def outcome(step: int | None) -> object:
        try:
            return decode(kind_of(head), spoiled, step=step)
        except errors.SealingError as error:
            return error.code

    assert outcome(None) == outcome(1) == outcome(13)


def test_what_cannot_be_said_is_not_written() -> None:
    good = RequestHead("GET", "https", "a.example", "/")
    for name, value in (
        ("method", "G T"),
        ("method", "GÉT"),
        ("method", "A" * 33),
        ("scheme", "HTTPS"),
        ("authority", "a b"),
        ("authority", "ü.example"),
        ("path", "a"),
        ("path", "/ä"),
        ("path", "/#"),
        ("path", "/\N{SNOWMAN}"),
        ("path", "/" + "a" * binary_http.PATH_MAX),
        ("fields", ((b"", b""),)),
        ("fields", ((b"a b", b""),)),
        ("fields", ((b"a", b"x\r\ny: z"),)),
        ("fields", ((b"a" * 257, b""),)),
        ("fields", ((b"a", b"b"),) * 257),
        ("fields", ((b"a", bytes([65]) * binary_http.FIELDS_BYTES_MAX),)),
    ):
        other: Any = {name: value}
        with pytest.raises(errors.Malformed):
            encoded(good._replace(**other))
    for status in (99, 100, 199, 600):
        with pytest.raises(errors.Malformed):
            encoded(ResponseHead(status))


def test_the_largest_message_that_is_written_is_read() -> None:
    fields = tuple((b"n" * 256, b"v" * 256) for _ in range(256))
    head = RequestHead("M" * 32, "https", "a" * 512, "/" + "p" * 65_535, fields)
    assert decode("request", encoded(head) + binary_http.END, step=4096)[0] == head


def test_content_comes_as_it_arrives() -> None:
    decoder = binary_http.RequestDecoder()
    head = encoded(RequestHead("POST", "https", "a", "/"))
    assert not decoder.head_seen
    assert len(decoder.feed(head + b"\x05ab")) == 2
    assert decoder.head_seen
    assert decoder.feed(b"c") == [b"c"]
    with pytest.raises(errors.Truncated):
        decoder.end()
    for call in (lambda: decoder.feed(b""), decoder.end):
        with pytest.raises(errors.Finished):
            call()


def test_a_refused_message_stays_refused() -> None:
    decoder = binary_http.RequestDecoder()
    with pytest.raises(errors.Malformed):
        decoder.feed(b"\x07")
    for call in (lambda: decoder.feed(b""), decoder.end):
        with pytest.raises(errors.Finished):
            call()


# --- padding --------------------------------------------------------------------------------------


def test_there_are_few_buckets() -> None:
    buckets = {padding.bucket(length) for length in range(16_385)}
    assert buckets == {256, 512, 1024, 2048, 4096, 8192, 16_384}
    assert {padding.bucket(length) for length in range(16_385, 65_537)} == {
        32_768,
        49_152,
        65_536,
    }


@given(st.integers(0, 1 << 24))
def test_a_bucket_holds_its_length(length: int) -> None:
    bucket = padding.bucket(length)
    assert bucket == length + padding.filling(length)
    assert length <= bucket == padding.bucket(bucket)
    assert bucket <= max(256, 2 * length)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=700)), st.integers(1, 300))
def test_bodies_there_and_back(texts: list[bytes], step: int) -> None:
    body = b"".join(map(padding.encode_record, texts))
    decoder = padding.PaddedDecoder()
    kept = [decoder.feed(body[at : at + step]) for at in range(0, len(body), step)]
    decoder.end()
    assert b"".join(kept) == b"".join(texts)
    assert len(body) == sum(padding.bucket(6 + len(text)) for text in texts)


@given(st.integers(0, 40_000), st.binary(max_size=400))
def test_a_head_and_its_first_record_are_a_bucket(beside: int, data: bytes) -> None:
    record = padding.encode_first_record(data, beside)
    whole = beside + len(binary_http.encode_content(record))
    assert whole == padding.bucket(whole)
    decoder = padding.PaddedDecoder()
    assert decoder.feed(record) == data
    decoder.end()


def test_no_size_of_head_is_left_without_a_record() -> None:
    for beside in range(17_000):
        whole = beside + len(binary_http.encode_content(padding.encode_first_record(b"", beside)))
        assert whole == padding.bucket(whole)


def test_large_bodies_are_cut_so_that_each_record_fits_a_chunk() -> None:
    data = os.urandom(200_000)
    records = padding.encode_records(data)
    assert all(len(binary_http.encode_content(record)) <= 65_536 for record in records)
    assert all(len(record) == padding.bucket(len(record)) for record in records)
    assert padding.PaddedDecoder().feed(b"".join(records)) == data
    assert padding.encode_records(b"") == []
    with pytest.raises(errors.TooLarge):
        padding.encode_record(bytes(padding.RECORD_DATA_MAX + 1))


def test_a_padded_body_that_failed_or_ended() -> None:
    for body in (b"\0\0\0\0\0\x01x", b""):
        decoder = padding.PaddedDecoder()
        try:
            decoder.feed(body)
            decoder.end()
        except errors.Malformed:
            pass
        for call in (lambda d=decoder: d.feed(b""), decoder.end):
            with pytest.raises(errors.Finished):
                call()


# --- the socket's frames --------------------------------------------------------------------------

KEY = bytes(range(32))
MESSAGES = st.one_of(
    st.builds(frames.Text, st.text(max_size=200)),
    st.builds(frames.Binary, st.binary(max_size=200)),
)


def received(reader: frames.FrameOpener, sealed: list[bytes]) -> list[frames.Message]:
    return [message for part in sealed for message in reader.open(part)]


@settings(deadline=None)
@given(st.lists(st.lists(MESSAGES, max_size=5), max_size=5), st.booleans())
def test_a_conversation(groups: list[list[frames.Message]], opens: bool) -> None:
    writer = frames.FrameSealer(KEY)
    reader = frames.FrameOpener(KEY, expects_open=opens)
    said: list[list[frames.Message]] = [[frames.Open("p")] if opens else [], *groups]
    said.append([frames.Close(1001, "away")])
    for group in said:
        sealed = writer.seal(group)
        assert all(len(part) == padding.bucket(len(part)) for part in sealed)
        assert received(reader, sealed) == group
    assert reader.finished
    reader.end()
    with pytest.raises(errors.Finished):
        writer.seal([])


@pytest.mark.parametrize("size", [65_508, 65_509, 65_510, 131_018, 131_019, 300_000])
def test_large_messages_go_in_parts(size: int) -> None:
    writer, reader = frames.FrameSealer(KEY), frames.FrameOpener(KEY, expects_open=False)
    group: list[frames.Message] = [
        frames.Text("ä" * (size // 2)),
        frames.Binary(bytes(size)),
        frames.Text("x"),
    ]
    sealed = writer.seal(group)
    assert all(len(part) <= 65_536 for part in sealed)
    assert received(reader, sealed) == group


def test_small_messages_share_a_frame() -> None:
    [sealed] = frames.FrameSealer(KEY).seal([frames.Text("a")] * 30)
    assert len(sealed) == 256


def test_a_message_is_bounded() -> None:
    reader = frames.FrameOpener(KEY, expects_open=False, message_max=100)
    writer = frames.FrameSealer(KEY)
    assert received(reader, writer.seal([frames.Binary(bytes(100))])) == [frames.Binary(bytes(100))]
    assert reader.open(frame(KEY, 1, record(6, bytes(60)))) == []
    with pytest.raises(errors.TooLarge):
        reader.open(frame(KEY, 2, record(6, bytes(41))))
    with pytest.raises(errors.TooLarge):
        frames.FrameSealer(KEY).seal([frames.Binary(bytes(frames.MESSAGE_MAX + 1))])


def test_a_frame_is_bounded() -> None:
    full = frame(KEY, 0, bytes(frames.FRAME_MAX - 17))
    assert frames.FrameOpener(KEY, expects_open=False).open(full) == []
    with pytest.raises(errors.TooLarge):
        frames.FrameOpener(KEY, expects_open=False).open(full + b"\0")


def test_each_byte_of_a_frame_flipped_or_the_last() -> None:
    [sealed] = frames.FrameSealer(KEY).seal([frames.Text("hello"), frames.Close(1000)])
    assert frames.FrameOpener(KEY, expects_open=False).open(sealed)
    spoiled = [sealed[:at] for at in range(len(sealed))]
    spoiled += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(256)]
    for part in spoiled:
        reader = frames.FrameOpener(KEY, expects_open=False)
        with pytest.raises(errors.SealingError):
            reader.open(part)
        assert not reader.finished
        with pytest.raises(errors.Finished):
            reader.open(sealed)
        with pytest.raises(errors.Truncated):
            reader.end()


@given(st.binary(max_size=200), st.booleans())
def test_any_text_of_a_frame_is_read_or_refused(text: bytes, final: bool) -> None:
    reader = frames.FrameOpener(KEY, expects_open=False)
    try:
        reader.open(frame(KEY, 0, text, final=final))
    except errors.SealingError:
        assert not reader.finished or text  # refused: no close counts
    assert reader.finished <= final


def test_a_message_that_cannot_be_said_changes_nothing() -> None:
    writer, reader = frames.FrameSealer(KEY), frames.FrameOpener(KEY, expects_open=False)
    bad: list[list[frames.Message]] = [
        [frames.Text("\ud800")],
        [frames.Close(999)],
        [frames.Close(5000)],
        [frames.Close(1000, "r" * 124)],
        [frames.Close(), frames.Text("after")],
        [frames.Open("p" * (frames.PROTOCOL_MAX + 1))],
    ]
    for group in bad:
        with pytest.raises(errors.Malformed):
            writer.seal(group)
    assert received(reader, writer.seal([frames.Text("fine")])) == [frames.Text("fine")]


# --- keysets --------------------------------------------------------------------------------------


def configs() -> list[keyset.KeyConfig]:
    return [
        keyset.make_key_config(number, PrivateKey.generate(kem))
        for number, kem in enumerate((Kem.P256, Kem.X25519))
    ]


def test_a_keyset_there_and_back() -> None:
    made = configs()
    document = keyset.make_keyset(made, 1_800_000_000.9)
    read = keyset.parse_keyset(document)
    assert (list(read.configs), read.not_after) == (made, 1_800_000_000)
    assert read.hash == keyset.keyset_hash(document)
    assert read.preferred is read.configs[1]
    assert len(canonical_json(document)) < 600


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_any_moment_there_and_back(moment: int) -> None:
    """Years 1 to 9999, all in four digits."""
    document = VECTORS["keysets"]["good"][0]["document"]
    end = keyset.make_keyset([], moment)["not_after"]
    assert keyset.parse_keyset({**document, "not_after": end}).not_after == moment


def test_sixteen_entries_are_read() -> None:
    made = [keyset.make_key_config(n, PrivateKey.generate(Kem.X25519)) for n in range(16)]
    assert len(keyset.parse_keyset(keyset.make_keyset(made, 0)).configs) == 16


def test_any_change_changes_the_hash() -> None:
    document = VECTORS["keysets"]["good"][0]["document"]
    seen = {keyset.keyset_hash(document)}
    for change in (
        {"not_after": "2027-01-15T09:00:01Z"},
        {"later": None},
        {"sign": [1]},
        {"seal": document["seal"][::-1]},
    ):
        seen.add(keyset.keyset_hash({**copy.deepcopy(document), **change}))
    assert len(seen) == 5


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_refused(value: Any) -> None:
    document = VECTORS["keysets"]["good"][0]["document"]
    for spoiled in (value, {**document, "seal": value}, {**document, "seal": [value]}):
        with pytest.raises((errors.KeysetMalformed, errors.KeysetUnusable)):
            keyset.parse_keyset(spoiled)


@given(st.binary(max_size=90))
def test_any_key_config_is_read_or_refused(data: bytes) -> None:
    try:
        config = keyset.parse_key_config(data)
    except errors.KeysetMalformed:
        return
    assert config is None or config.encode() == data


def test_what_has_no_canonical_json_is_refused() -> None:
    document = keyset.make_keyset(configs(), 0)
    for value in (1 << 60, float("nan"), "\ud800"):
        with pytest.raises(errors.KeysetMalformed):
            keyset.parse_keyset({**document, "later": value})


def test_when_keys_change_hands() -> None:
    end = 10_000.0
    assert keyset.is_served(end, 9_999)
    assert not keyset.is_served(end, 10_000)
    assert keyset.takes_over_at(end) == 9_700
    assert keyset.LIFE_SECONDS - keyset.TAKE_OVER_SECONDS > keyset.TAKE_OVER_SECONDS

"""Requests and answers in chunks: round trips, bounds, and every way to spoil them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_vectors import EXCHANGES, config_of, opener, private_key, read_whole, request_opener

from quote_generator.sealing import chunked_ohttp, errors, hpke, keyset
from quote_generator.sealing.chunked_ohttp import (
    CHUNK_MAX,
    SEALED_CHUNK_MAX,
    RequestOpener,
    RequestSealer,
)
from quote_generator.sealing.hpke import Aead, Kem, PrivateKey
from quote_generator.sealing.varint import read_varint, varint_bytes

KEYS = {kem: PrivateKey.from_bytes(kem, bytes([kem]) * 32) for kem in Kem}
SHORT = EXCHANGES["the draft's example"]
NAMES = [name for name in EXCHANGES if name != SHORT["name"]]


def written(writer: Any, texts: list[bytes], final: bytes) -> bytes:
    return b"".join([writer.start, *map(writer.chunk, texts), writer.final(final)])


def request(kem: Kem = Kem.X25519, aead: Aead = Aead.AES_128_GCM) -> RequestSealer:
    return RequestSealer(keyset.make_key_config(9, KEYS[kem]), aead=aead)


# --- round trips ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(Kem)),
    st.sampled_from(list(Aead)),
    st.lists(st.binary(max_size=300)),
    st.binary(max_size=300),
    st.lists(st.binary(max_size=300)),
    st.integers(1, 200),
)
def test_there_and_back(
    kem: Kem, aead: Aead, texts: list[bytes], final: bytes, answer: list[bytes], step: int
) -> None:
    sealer = request(kem, aead)
    reader = RequestOpener({9: KEYS[kem]})
    assert read_whole(reader, written(sealer, texts, final), step=step) == b"".join(texts) + final
    assert reader.start == sealer.start
    response = reader.response(os.urandom)
    wire = written(response, answer, b"")
    assert read_whole(sealer.response(), wire, step=step) == b"".join(answer)


def test_large_texts_are_cut_into_chunks() -> None:
    data = os.urandom(3 * CHUNK_MAX + 1)
    sealer = request()
    wire = sealer.start + sealer.chunks(data) + sealer.final()
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    assert [len(text) for text in reader.feed(wire)] == [CHUNK_MAX] * 3 + [1]
    assert reader.end() == b""


def test_each_answer_has_its_own_nonce_and_each_request_its_own_key() -> None:
    assert request().start != request().start
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    read_whole(reader, written(request(), [], b"x"))
    assert reader.response(os.urandom).start != reader.response(os.urandom).start


def test_a_message_opens_with_its_final_chunk_alone() -> None:
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    assert reader.feed(written(request(), [], b"all")) == []
    assert not reader.opened
    assert reader.end() == b"all"
    assert reader.opened


# --- spoiled --------------------------------------------------------------------------------------


def refuses(reader: Any, wire: bytes) -> bool:
    try:
        read_whole(reader, wire)
    except errors.SealingError:
        return True
    return False


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize("name", [SHORT["name"], "P256, AES_256_GCM"])
def test_each_byte_flipped(name: str, direction: str) -> None:
    case = EXCHANGES[name]
    wire = bytes.fromhex(case[direction]["wire"])
    assert not refuses(opener(case, direction), wire)
    for at in range(len(wire)):
        for bit in (0x01, 0x80):
            spoiled = wire[:at] + bytes([wire[at] ^ bit]) + wire[at + 1 :]
            assert refuses(opener(case, direction), spoiled), (at, bit)


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize("name", [SHORT["name"], "X25519, AES_256_GCM"])
def test_each_byte_the_last(name: str, direction: str) -> None:
    case = EXCHANGES[name]
    wire = bytes.fromhex(case[direction]["wire"])
    for end in range(len(wire)):
        assert refuses(opener(case, direction), wire[:end]), end
    assert refuses(opener(case, direction), wire + b"\0")


@pytest.mark.parametrize("direction", ["request", "response"])
def test_another_exchanges_message(direction: str) -> None:
    for name in NAMES:
        for other in NAMES:
            wire = bytes.fromhex(EXCHANGES[other][direction]["wire"])
            assert refuses(opener(EXCHANGES[name], direction), wire) == (name != other)


def test_an_answer_opens_under_its_own_request_only() -> None:
    one, two = request(), request()
    answers = []
    for sealer in (one, two):
        reader = RequestOpener({9: KEYS[Kem.X25519]})
        read_whole(reader, written(sealer, [], b"same"))
        answers.append(written(reader.response(lambda size: bytes(size)), [b"x"], b""))
    assert read_whole(one.response(), answers[0]) == b"x"
    assert refuses(one.response(), answers[1])


# --- who cannot open ------------------------------------------------------------------------------


def test_keys_that_are_not_the_one_are_one_error() -> None:
    wire = written(request(), [b"text"], b"")
    decoys = {kem: PrivateKey.generate(kem) for kem in Kem}
    other = PrivateKey.generate(Kem.X25519)
    seen = set()
    for keys in ({}, {8: KEYS[Kem.X25519]}, {9: other}, {9: KEYS[Kem.P256]}):
        for hidden in ({}, decoys):
            with pytest.raises(errors.KeyUnknown) as caught:
                read_whole(RequestOpener(keys, hidden), wire)
            seen.add((str(caught.value), caught.value.code))
    assert len(seen) == 1


def test_a_decoy_never_opens() -> None:
    """Not even what is sealed to it: only live keys answer."""
    sealer = RequestSealer(keyset.make_key_config(5, KEYS[Kem.X25519]))
    reader = RequestOpener({9: KEYS[Kem.P256]}, {Kem.X25519: KEYS[Kem.X25519]})
    with pytest.raises(errors.KeyUnknown):
        read_whole(reader, written(sealer, [b"text"], b""))
    assert not reader.opened
    with pytest.raises(errors.Truncated):
        reader.response(os.urandom)


def test_with_a_decoy_an_unknown_key_costs_a_whole_chunk() -> None:
    wire = written(request(), [b"text"], b"")
    decoys = {Kem.X25519: PrivateKey.generate(Kem.X25519)}
    reader = RequestOpener({}, decoys)
    assert reader.feed(wire[:59]) == []  # as with a known key: nothing shows before the chunk
    with pytest.raises(errors.KeyUnknown):
        reader.feed(wire[59:])


def test_no_answer_before_a_chunk_has_opened() -> None:
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    with pytest.raises(errors.Truncated):
        reader.response(os.urandom)
    wire = written(request(), [b"text"], b"")
    reader.feed(wire[:50])
    assert reader.start is not None
    with pytest.raises(errors.Truncated):
        reader.response(os.urandom)
    reader.feed(wire[50:])
    assert reader.response(os.urandom).start


def test_header_words_that_nobody_knows() -> None:
    wire = written(request(), [b"text"], b"")
    for at, word in ((1, 0x0021), (1, 0), (3, 2), (3, 0), (5, 3), (5, 0xFFFF), (5, 0)):
        spoiled = wire[:at] + word.to_bytes(2, "big") + wire[at + 2 :]
        with pytest.raises(errors.KeyUnknown):
            RequestOpener({9: KEYS[Kem.X25519]}).feed(spoiled)


def test_a_suite_that_only_the_header_names() -> None:
    """Sealed with HKDF-SHA256 under a header that speaks of another: no suite of the key's."""
    header = b"\x09\x00\x20\x00\x02\x00\x01"
    info = b"message/bhttp chunked request\0" + header
    sender = hpke.Sender(Kem.X25519, Aead.AES_128_GCM, KEYS[Kem.X25519].public_key, info)
    with pytest.raises(errors.KeyUnknown):
        RequestOpener({9: KEYS[Kem.X25519]}).feed(header + sender.enc + b"\x11" + sender.seal(b"x"))


# --- bounds ---------------------------------------------------------------------------------------


def test_a_chunk_is_written_up_to_the_bound() -> None:
    sealer = request()
    assert sealer.chunk(b"") == b""
    sealer.chunk(bytes(CHUNK_MAX))
    for write in (sealer.chunk, sealer.final):
        with pytest.raises(errors.TooLarge):
            write(bytes(CHUNK_MAX + 1))
    sealer.final(bytes(CHUNK_MAX))
    for write in (sealer.chunk, sealer.final):
        with pytest.raises(errors.Finished):
            write(b"x")


def big_chunk(sealer: RequestSealer, sealed_bytes: int, *, final: bool) -> bytes:
    text = bytes(sealed_bytes - hpke.TAG_BYTES)
    if final:
        return b"\0" + sealer._sender.seal(text, b"final")
    return varint_bytes(sealed_bytes) + sealer._sender.seal(text)


@pytest.mark.parametrize("final", [False, True])
def test_a_chunk_is_read_up_to_the_bound(final: bool) -> None:
    sealer = request()
    wire = sealer.start + big_chunk(sealer, SEALED_CHUNK_MAX, final=final)
    wire += b"" if final else sealer.final()
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    assert len(read_whole(reader, wire, step=65_537)) == SEALED_CHUNK_MAX - hpke.TAG_BYTES

    sealer = request()
    wire = sealer.start + big_chunk(sealer, SEALED_CHUNK_MAX + 1, final=final)
    with pytest.raises(errors.TooLarge):
        read_whole(RequestOpener({9: KEYS[Kem.X25519]}), wire, step=65_537)


def test_a_length_beyond_the_bound_is_refused_before_its_bytes_come() -> None:
    reader = RequestOpener({9: KEYS[Kem.X25519]})
    with pytest.raises(errors.TooLarge):
        reader.feed(request().start + varint_bytes(SEALED_CHUNK_MAX + 1))


def test_a_chunk_of_nothing_is_refused() -> None:
    sealer = request()
    wire = sealer.start + sealer.chunk(b"x") + varint_bytes(16) + sealer._sender.seal(b"")
    with pytest.raises(errors.NotAuthentic):
        RequestOpener({9: KEYS[Kem.X25519]}).feed(wire)


def test_after_an_error_there_is_only_that() -> None:
    reader = request_opener(SHORT)
    wire = bytes.fromhex(SHORT["request"]["wire"])
    with pytest.raises(errors.KeyUnknown):
        reader.feed(wire[:45] + b"\0" * 30)
    for call in (lambda: reader.feed(wire), reader.end):
        with pytest.raises(errors.Finished):
            call()


def test_after_the_end_there_is_nothing() -> None:
    reader = request_opener(SHORT)
    read_whole(reader, bytes.fromhex(SHORT["request"]["wire"]))
    for call in (lambda: reader.feed(b"x"), reader.end):
        with pytest.raises(errors.Finished):
            call()


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert refuses(request_opener(SHORT), data)
    assert refuses(request_opener(SHORT), request_opener_start() + data)
    assert refuses(opener(SHORT, "response"), data)


def request_opener_start() -> bytes:
    return RequestSealer(config_of(SHORT), ephemeral=private_key(SHORT, "ephemeral")).start


# --- integers of variable length ------------------------------------------------------------------


@given(st.integers(0, (1 << 62) - 1), st.binary(max_size=4))
def test_integers_of_variable_length(value: int, more: bytes) -> None:
    encoded = varint_bytes(value)
    assert read_varint(encoded + more, 0) == (value, len(encoded))
    for end in range(len(encoded)):
        assert read_varint(encoded[:end], 0) is None


def test_rfc_9000_examples() -> None:
    """RFC 9000, section A.1; the last of its examples has a shorter form, and is refused."""
    for encoded, value in (
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
    ):
        assert varint_bytes(value).hex() == encoded
        assert read_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)
    with pytest.raises(errors.Malformed):
        read_varint(bytes.fromhex("4025"), 0)


def test_each_limit_has_one_form() -> None:
    for limit, size in ((1 << 6, 2), (1 << 14, 4), (1 << 30, 8)):
        mark = (size.bit_length() - 1) << 8 * size - 2
        assert read_varint((mark | limit).to_bytes(size, "big"), 0) == (limit, size)
        with pytest.raises(errors.Malformed):
            read_varint((mark | limit - 1).to_bytes(size, "big"), 0)
    for value in (-1, 1 << 62):
        with pytest.raises(errors.Malformed):
            varint_bytes(value)


def test_media_types() -> None:
    assert chunked_ohttp.MEDIA_REQUEST == "message/ohttp-chunked-req"
    assert chunked_ohttp.MEDIA_RESPONSE == "message/ohttp-chunked-res"

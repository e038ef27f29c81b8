"""tdx_check_quote: only the whole quote that was asked for passes."""

from __future__ import annotations

import random

import pytest

from emulator import signers
from quote_generator.native import _tdx

REPORT_DATA = bytes(range(64))


def check(quote: bytes, report_data: bytes = REPORT_DATA) -> tuple[str | None, int]:
    """Return what is wrong with a quote, or None, and its exact size if nothing is."""
    size = _tdx.ffi.new("size_t *")
    wrong = _tdx.lib.tdx_check_quote(quote, len(quote), report_data, size)
    return (None if wrong == _tdx.ffi.NULL else _tdx.ffi.string(wrong).decode()), size[0]


def unsupported(quote: bytes) -> str | None:
    """Return which kind of quote it is, if one that is known and not supported."""
    kind = _tdx.lib.tdx_unsupported(quote, len(quote))
    return None if kind == _tdx.ffi.NULL else _tdx.ffi.string(kind).decode()


@pytest.fixture(params=signers.FORMS)
def quote(request: pytest.FixtureRequest) -> bytes:
    return signers.fixed(request.param)(REPORT_DATA)


def test_a_whole_quote_passes(quote: bytes) -> None:
    assert check(quote) == (None, len(quote))


def test_zeros_behind_it_are_padding(quote: bytes) -> None:
    assert check(quote + bytes(100)) == (None, len(quote))


def test_anything_else_behind_it_is_not(quote: bytes) -> None:
    assert "foreign" in str(check(quote + bytes(99) + b"\1")[0])


def test_every_cut_is_noticed(quote: bytes) -> None:
    assert [size for size in range(len(quote)) if check(quote[:size])[0] is None] == []


def test_every_bit_of_the_report_data_counts(quote: bytes) -> None:
    for bit in range(512):
        other = (int.from_bytes(REPORT_DATA, "little") ^ 1 << bit).to_bytes(64, "little")
        assert "report data" in str(check(quote, other)[0])


@pytest.mark.parametrize(
    ("form", "offset", "value", "word"),
    [
        ("v4", 0, b"\x03\x00", "version"),
        ("v4", 0, b"\x06\x00", "version"),
        ("v4", 2, b"\x03\x00", "P-256"),
        ("v5", 2, b"\x00\x00", "P-256"),
        ("v4", 4, b"\x00\x00\x00\x00", "TDX"),
        ("v4", 632, b"\xff\xff\xff\xff", "short"),
        ("v5", 48, b"\x01\x00", "body type"),
        ("v5", 48, b"\x04\x00", "size"),
        ("v5", 50, b"\x88\x02\x00\x00", "size"),
        ("v5-td15", 50, b"\x48\x02\x00\x00", "size"),
        ("v5-td15", 50, b"\xff\xff\xff\xff", "size"),
        ("v5-td15", 702, b"\xff\xff\xff\xff", "short"),
        ("v5-td15", 50, b"\x75\x03\x00\x00", "size"),
        ("v5-td15ex", 0, b"\x04\x00", "short"),
        ("v5-td15ex", 48, b"\x03\x00", "size"),
        ("v5-td15ex", 48, b"\x05\x00", "body type"),
        ("v5-td15ex", 48, b"\x04\x01", "body type"),
        ("v5-td15ex", 50, b"\x74\x03\x00\x00", "size"),
        ("v5-td15ex", 50, b"\x76\x03\x00\x00", "size"),
        ("v5-td15ex", 50, b"\x75\x03\x01\x00", "size"),
        ("v5-td15ex", 50, b"\x88\x02\x00\x00", "size"),
        ("v5-td15ex", 939, b"\xff\xff\xff\xff", "short"),
    ],
)
def test_a_false_field_is_named(form: str, offset: int, value: bytes, word: str) -> None:
    quote = signers.fixed(form)(REPORT_DATA)
    assert word in str(check(quote[:offset] + value + quote[offset + len(value) :])[0])


@pytest.mark.parametrize(
    ("form", "offset", "value", "word"),
    [
        ("v4", 0, b"\xd9\xd9\xf7", "DICE"),  # CBOR's own tag
        ("v4", 0, b"\xd2\x84", "DICE"),  # COSE_Sign1
        ("v4", 0, b"\xa3", "DICE"),  # a map
        ("v4", 2, b"\x03\x00", "P-384"),
        ("v5-td15", 2, b"\x03\x00", "P-384"),
        ("v5-td15ex", 2, b"\x03\x00", "P-384"),
        ("v5", 48, b"\x04\x00", None),
        ("v4", 2, b"\x04\x00", None),
        ("v4", 0, b"\x06\x00", None),
        ("v5", 48, b"\x05\x00", None),
        ("v4", 4, b"\x00\x00", None),
        ("v4", 0, b"", None),
    ],
)
def test_newer_kinds_of_quotes_are_recognised(
    form: str, offset: int, value: bytes, word: str | None
) -> None:
    quote = signers.fixed(form)(REPORT_DATA)
    kind = unsupported(quote[:offset] + value + quote[offset + len(value) :])
    assert kind is None if word is None else word in str(kind)


@pytest.mark.parametrize("form", signers.FORMS)
def test_no_cut_quote_is_taken_for_a_newer_kind(form: str) -> None:
    quote = signers.fixed(form)(REPORT_DATA)
    assert not any(unsupported(quote[:size]) for size in range(len(quote)))


def test_garbage_is_refused() -> None:
    generator = random.Random(1)
    for _ in range(2000):
        assert check(generator.randbytes(generator.randrange(2000)))[0] is not None

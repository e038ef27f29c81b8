"""quote_generator.quote: exactly one TDX quote is read, everything else is refused by name."""

from __future__ import annotations

import struct

import dcap_qvl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quote_generator.errors import BadInput
from quote_generator.quote import (
    BODY_TD10,
    BODY_TD15,
    BODY_TD15EX,
    INTEL_QE_VENDOR_ID,
    MAX_QUOTE_SIZE,
    parse_quote,
    strip_padding,
)
from quote_generator.simulator import Simulator
from quote_generator.simulator.quoting import DEFAULT_BODY

REPORT_DATA = bytes(range(64))
KINDS = [(4, BODY_TD10), (5, BODY_TD10), (5, BODY_TD15), (5, BODY_TD15EX)]

# What an extended body has behind that of TDX 1.5: field, offset, size.
EXTENSION = [
    ("vmid", 648, 1),
    ("td_id", 649, 32),
    ("devinfo", 681, 48),
    ("init_server_td_hash", 729, 48),
    ("init_server_td_attr", 777, 8),
    ("init_cpu_svn", 785, 16),
    ("init_tee_tcb_svn", 801, 16),
    ("init_tee_fmspc", 817, 12),
    ("curr_server_td_hash", 829, 48),
    ("curr_server_td_attr", 877, 8),
]

THEIR_NAMES = {
    "report_data": "report_data",
    "tee_tcb_svn2": "tee_tcb_svn2",
    "mr_servicetd": "mr_service_td",
    "td_id": "td_id",
    "devinfo": "dev_info",
    "init_server_td_hash": "init_service_td_hash",
    "init_server_td_attr": "init_service_td_attributes",
    "init_cpu_svn": "init_cpu_svn",
    "init_tee_tcb_svn": "init_tee_tcb_svn",
    "init_tee_fmspc": "init_tee_fmspc",
    "curr_server_td_hash": "cur_service_td_hash",
    "curr_server_td_attr": "cur_service_td_attributes",
}
"""What dcap-qvl calls them; its `vmid` is a number."""


@pytest.fixture(scope="module", params=KINDS, ids=["v4", "v5-td10", "v5-td15", "v5-td15ex"])
def raw(request: pytest.FixtureRequest, simulator: Simulator) -> bytes:
    version, body_type = request.param
    return simulator.quote(REPORT_DATA, version=version, body_type=body_type)


def test_fields_come_out_as_they_went_in(raw: bytes) -> None:
    quote = parse_quote(raw)
    assert quote.header.vendor_id == INTEL_QE_VENDOR_ID
    assert quote.body.report_data == REPORT_DATA
    for name in ("tee_tcb_svn", "mr_seam", "xfam", "td_attributes", "mr_td", "rtmr_0", "rtmr_3"):
        assert getattr(quote.body, name) == getattr(DEFAULT_BODY, name)
    assert raw.startswith(quote.signed_bytes)
    assert quote.signed_bytes.endswith(quote.body.pack())
    assert quote.signature.pck_chain_pem.count("-----BEGIN CERTIFICATE-----") == 3
    assert quote.raw == raw


def test_td15_fields_exist_only_in_td15_bodies(raw: bytes) -> None:
    quote = parse_quote(raw)
    is_td15 = quote.body_type in (BODY_TD15, BODY_TD15EX)
    assert (quote.body.mr_servicetd == bytes(48)) is is_td15
    assert (quote.body.tee_tcb_svn2 is None) is not is_td15
    assert ("mr_servicetd" in quote.body.to_dict()) is is_td15


def test_the_fields_of_the_extension_exist_only_in_extended_bodies(raw: bytes) -> None:
    body, is_extended = parse_quote(raw).body, parse_quote(raw).body_type == BODY_TD15EX
    for name, _, size in EXTENSION:
        assert (getattr(body, name) is not None) is is_extended
        assert (name in body.to_dict()) is is_extended
        assert not is_extended or len(getattr(body, name)) == size
    assert (len(body.pack()) == 885) is is_extended


def test_each_field_of_the_extension_is_at_its_place(simulator: Simulator) -> None:
    values = {name: bytes([at]) * size for at, (name, _, size) in enumerate(EXTENSION, start=1)}
    quote = simulator.quote(REPORT_DATA, version=5, body_type=BODY_TD15EX, measurements=values)
    described = parse_quote(quote).to_dict()
    assert (described["type"], described["size"]) == ("0400", "75030000")
    for name, offset, size in EXTENSION:
        at = 54 + offset  # behind header and body descriptor
        assert quote[at : at + size] == values[name]
        assert described["body"][name] == values[name].hex()  # type: ignore[index]
    assert EXTENSION[-1][1] + EXTENSION[-1][2] == 885


def test_another_reader_finds_the_same_in_an_extended_body(simulator: Simulator) -> None:
    values = {name: bytes([at]) * size for at, (name, _, size) in enumerate(EXTENSION, start=1)}
    values |= {"tee_tcb_svn2": b"\x51" * 16, "mr_servicetd": b"\x52" * 48}
    quote = simulator.quote(REPORT_DATA, version=5, body_type=BODY_TD15EX, measurements=values)
    ours, theirs = parse_quote(quote).body, dcap_qvl.Quote.parse(quote).report
    assert bytes([theirs.vmid]) == ours.vmid
    for name, their_name in THEIR_NAMES.items():
        assert getattr(theirs, their_name) == getattr(ours, name)


def test_to_dict_is_hex_in_the_quotes_byte_order(simulator: Simulator) -> None:
    described = parse_quote(simulator.quote(REPORT_DATA, version=5)).to_dict()
    assert described["header"] == {
        "version": "0500",
        "att_key_type": "0200",
        "tee_type": "81000000",
        "reserved": "00000000",
        "vendor_id": "939a7233f79c4ca9940a0db3957f0607",
        "user_data": "00" * 20,
    }
    assert described["type"] == "0300"
    assert described["size"] == "88020000"
    body = described["body"]
    assert isinstance(body, dict)
    assert body["mr_td"] == "7d" * 48
    assert body["report_data"] == REPORT_DATA.hex()
    assert body["td_attributes"] == "0000001000000000"


def test_every_truncation_is_refused(raw: bytes) -> None:
    for size in range(len(raw)):
        with pytest.raises(BadInput):
            parse_quote(raw[:size])


@pytest.mark.parametrize("tail", [b"\0", b"x", bytes(70), bytes(100)])
def test_trailing_bytes_are_refused(raw: bytes, tail: bytes) -> None:
    with pytest.raises(BadInput, match=f"{len(tail)} trailing bytes after the quote's end"):
        parse_quote(raw + tail)


def test_an_attester_may_strip_zeros_and_nothing_else(raw: bytes) -> None:
    assert strip_padding(raw) == raw
    assert strip_padding(raw + bytes(70)) == raw
    with pytest.raises(BadInput, match="other than padding"):
        strip_padding(raw + bytes(69) + b"\1")


def _patched(raw: bytes, offset: int, layout: str, value: int) -> bytes:
    changed = bytearray(raw)
    struct.pack_into(layout, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "field"),
    [
        (0, "<H", 3, "version at offset 0 is 3"),
        (0, "<H", 6, "version at offset 0 is 6"),
        (2, "<H", 3, "att_key_type at offset 2"),
        (4, "<I", 0, "tee_type at offset 4 is 0x0"),
        (632, "<I", 0xFFFFFFFF, "signature data at offset 636"),
        (632, "<I", 0, "trailing bytes|signature at offset 636"),
        (764, "<H", 5, "certification data type at offset 764 is 5"),
        (766, "<I", 0xFFFFFFFF, "certification data at offset 770"),
        (766, "<I", 1, "certification data at offset 770"),
        (770 + 448, "<H", 0xFFFF, "qe_auth_data at offset 1220"),
        (770 + 448 + 2 + 32 + 2, "<I", 0x7FFFFFFF, "QE certification data at offset 1258"),
    ],
)
def test_a_wrong_field_is_named_with_its_offset(
    simulator: Simulator, offset: int, layout: str, value: int, field: str
) -> None:
    with pytest.raises(BadInput, match=field):
        parse_quote(_patched(simulator.quote(REPORT_DATA), offset, layout, value))


@pytest.mark.parametrize(
    ("offset", "layout", "value", "field"),
    [
        (48, "<H", 1, "body type at offset 48 is 1"),
        (48, "<H", 4, "body size at offset 50 is 648: type 4 has 885"),
        (48, "<H", 5, "body type at offset 48 is 5: expected 2, 3 or 4"),
        (50, "<I", 584, "body size at offset 50 is 584"),
        (50, "<I", 0xFFFFFFFF, "body size at offset 50"),
    ],
)
def test_a_wrong_body_descriptor_is_named(
    simulator: Simulator, offset: int, layout: str, value: int, field: str
) -> None:
    quote = simulator.quote(REPORT_DATA, version=5)
    with pytest.raises(BadInput, match=field):
        parse_quote(_patched(quote, offset, layout, value))


@pytest.mark.parametrize(
    ("offset", "layout", "value", "field"),
    [
        (0, "<H", 4, "signature data at offset 636 needs"),
        (48, "<H", 3, "body size at offset 50 is 885: type 3 has 648"),
        (48, "<H", 5, "body type at offset 48 is 5"),
        (50, "<I", 884, "body size at offset 50 is 884: type 4 has 885"),
        (50, "<I", 886, "body size at offset 50 is 886"),
        (939, "<I", 0xFFFFFFFF, "signature data at offset 943 needs"),
    ],
)
def test_what_is_wrong_with_an_extended_quote_is_named(
    simulator: Simulator, offset: int, layout: str, value: int, field: str
) -> None:
    quote = simulator.quote(REPORT_DATA, version=5, body_type=BODY_TD15EX)
    with pytest.raises(BadInput, match=field):
        parse_quote(_patched(quote, offset, layout, value))


def test_an_extended_body_cut_short_is_named(simulator: Simulator) -> None:
    quote = simulator.quote(REPORT_DATA, version=5, body_type=BODY_TD15EX)
    with pytest.raises(BadInput, match="body at offset 54 needs 885 bytes, 884 are left"):
        parse_quote(quote[: 54 + 884])


@pytest.mark.parametrize(("version", "body_type"), [(4, 3), (4, 4), (5, 1), (5, 5), (3, 2)])
def test_no_other_kind_is_simulated(simulator: Simulator, version: int, body_type: int) -> None:
    with pytest.raises(BadInput, match=f"no version {version} quote with body type {body_type}"):
        simulator.quote(REPORT_DATA, version=version, body_type=body_type)


def test_other_certification_data_is_read_but_is_no_chain(simulator: Simulator) -> None:
    quote = _patched(simulator.quote(REPORT_DATA), 770 + 448 + 2 + 32, "<H", 3)
    signature = parse_quote(quote).signature
    assert signature.certification_type == 3
    with pytest.raises(BadInput, match="certification_type is 3"):
        _ = signature.pck_chain_pem


def test_an_oversized_input_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadInput, match="too many"):
        parse_quote(bytes(MAX_QUOTE_SIZE + 1))


def test_other_types_are_refused() -> None:
    with pytest.raises(BadInput, match="not str"):
        parse_quote("00")  # type: ignore[arg-type]


@given(st.binary(max_size=2048))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_quote(data)


@settings(max_examples=300)
@given(data=st.data())
def test_damage_is_refused_or_read_within_bounds(simulator: Simulator, data: st.DataObject) -> None:
    """Flipped bytes change values or are refused; no damage makes the parser read elsewhere."""
    version, body_type = data.draw(st.sampled_from(KINDS))
    raw = bytearray(simulator.quote(REPORT_DATA, version=version, body_type=body_type))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, 1300))] = data.draw(st.integers(0, 255))
    try:
        quote = parse_quote(bytes(raw))
    except BadInput:
        return
    signature = quote.signature
    rebuilt = (
        quote.signed_bytes
        + raw[len(quote.signed_bytes) :][:4]
        + signature.signature
        + signature.attestation_key
        + struct.pack("<HI", 6, 456 + len(signature.qe_auth_data + signature.certification_data))
        + signature.qe_report
        + signature.qe_report_signature
        + struct.pack("<H", len(signature.qe_auth_data))
        + signature.qe_auth_data
        + struct.pack("<HI", signature.certification_type, len(signature.certification_data))
        + signature.certification_data
    )
    assert rebuilt == raw


@pytest.mark.parametrize("name", ["trustee_tdx_quote_v4.bin", "trustee_aael_quote.bin"])
def test_real_quotes(sample, name: str) -> None:  # type: ignore[no-untyped-def]
    """A quote of a real machine; the second one came with 70 bytes of padding."""
    raw = strip_padding(sample(name))
    quote = parse_quote(raw)
    assert len(raw) == 4936
    assert quote.header.vendor_id == INTEL_QE_VENDOR_ID
    assert quote.signature.pck_chain_pem.count("BEGIN CERTIFICATE") == 3
    assert any(quote.body.mr_td)

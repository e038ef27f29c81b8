"""The Python parsers as fuzz targets: what must hold of whatever they are given.

    python tests/fuzz/python_targets.py TARGET [libFuzzer's options and corpus folders, or inputs]

A target takes bytes and says whether the parser accepted them; an exception that is not one of the
parser's own, or a property that does not hold, is a finding. The C core's check of a quote is
compared with the Python parser's here.
"""

from __future__ import annotations

import atexit
import base64
import json
import math
import re
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import atheris
import sealing_targets
import tcg2
from cryptography.hazmat.primitives.serialization import Encoding

with atheris.instrument_imports(include=["quote_generator", "cczoo_verifier"]):
    from cczoo_verifier import protocol, strictjson
    from cczoo_verifier.appraisal import Rejected

    from quote_generator import applog, eventlog, evidence
    from quote_generator.consistency import check_consistency, read_chain
    from quote_generator.errors import BadInput
    from quote_generator.eventtext import text_of, unproven
    from quote_generator.native import _tdx
    from quote_generator.quote import Quote, parse_quote, strip_padding
    from quote_generator.tdreport import parse_tdreport

T = TypeVar("T")

HERE = Path(__file__).resolve().parent


def without_blanks(parsed: Quote) -> tuple[bytes, object]:
    """Return what counts of a quote: white space and zeros in its chain do not."""
    signature = parsed.signature
    chain = b"".join(signature.certification_data.rstrip(b"\0").split())
    return parsed.signed_bytes, replace(signature, certification_data=chain)


GOOD_QUOTES = [
    without_blanks(parse_quote(path.read_bytes()))
    for path in (HERE / "corpus" / "quote").glob("good-*")
]

# --- quotes -------------------------------------------------------------------------------------

REPORT_DATA_AT = {4: 568, 5: 574}

_size = _tdx.ffi.new("size_t *")


def native_size(data: bytes, report_data: bytes) -> int | None:
    """Return the quote's exact size as the C core sees it, or None where it refuses."""
    wrong = _tdx.lib.tdx_check_quote(data, len(data), report_data, _size)
    return int(_size[0]) if wrong == _tdx.ffi.NULL else None


def quote(data: bytes) -> bool:
    at = REPORT_DATA_AT.get(int.from_bytes(data[:2], "little"), 0)
    own = data[at : at + 64].ljust(64, b"\0")
    exact = native_size(data, own)
    assert native_size(data, bytes([own[0] ^ 1]) + own[1:]) is None
    stripped, reason = tried(strip_padding, data)
    if stripped is not None:
        assert exact == len(stripped), "C refuses, or cuts elsewhere"
    elif exact is not None:
        # What C takes, Python may refuse: C does not read what is in the signature data.
        assert int(re.findall(r"offset (\d+)", reason)[0]) >= signature_data_at(data), reason
    parsed, reason = tried(parse_quote, data)
    if parsed is None:
        assert stripped != data
        assert "offset" in reason, f"the error does not say where: {reason}"
        return False
    assert stripped == data
    assert packed(parsed) == data
    assert parsed.body.report_data == own
    assert data.startswith(parsed.signed_bytes)
    json.dumps(parsed.to_dict())
    check_or_refuse(parsed)
    return True


def check_or_refuse(parsed: Quote) -> None:
    """Whatever the parser takes, its parts are judged, and nothing else is raised."""
    try:
        check_consistency(parsed)
    except BadInput:
        return
    assert without_blanks(parsed) in GOOD_QUOTES, "a quote that nobody signed holds together"


GOOD_CERTIFICATE = base64.b64decode(
    b"".join((HERE / "corpus" / "chain" / "good-one").read_bytes().splitlines()[1:-1])
)


def chain(data: bytes) -> bool:
    """Nothing but white space is in a chain beside what its certificates hold.

    Behind an E are edits of a good certificate: changes of its base64 would hardly ever pass.
    """
    text = edited_certificate(data[1:]) if data[:1] == b"E" else any_text(data)
    try:
        certificates = read_chain(text)
    except BadInput:
        return False
    whole = "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)
    assert "".join(whole.split()) == "".join(text.split())
    return True


def edited_certificate(edits: bytes) -> str:
    """Return the PEM of a good certificate with edits of three bytes each: where, and the value."""
    der = bytearray(GOOD_CERTIFICATE)
    for at, value in struct.iter_unpack(">HB", edits[: len(edits) // 3 * 3]):
        der[at % len(der)] = value
    text = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"


def tried(parse: Callable[[bytes], T], data: bytes) -> tuple[T | None, str]:
    """Return what a parser returns, or None and why it refuses."""
    try:
        return parse(data), ""
    except BadInput as error:
        return None, str(error)


def signature_data_at(data: bytes) -> int:
    """Return the offset of the signature data of a quote whose frame is right."""
    if data[0] == 4:
        return 48 + 584 + 4
    return 54 + int.from_bytes(data[50:54], "little") + 4


def packed(parsed: Quote) -> bytes:
    """Return the bytes of a quote, put together from its fields."""

    def sized(value: bytes, width: int = 4) -> bytes:
        return len(value).to_bytes(width, "little") + value

    header, body, signed = parsed.header, parsed.body.pack(), parsed.signature
    certification = signed.certification_type.to_bytes(2, "little")
    certification += sized(signed.certification_data)
    qe_report = signed.qe_report + signed.qe_report_signature
    qe_report += sized(signed.qe_auth_data, 2) + certification
    signature = signed.signature + signed.attestation_key + b"\6\0" + sized(qe_report)
    return b"".join(
        (
            header.version.to_bytes(2, "little"),
            header.att_key_type.to_bytes(2, "little"),
            header.tee_type.to_bytes(4, "little"),
            header.reserved + header.vendor_id + header.user_data,
            b"" if header.version == 4 else parsed.body_type.to_bytes(2, "little"),
            body if header.version == 4 else sized(body),
            sized(signature),
        )
    )


def tdreport(data: bytes) -> bool:
    try:
        report = parse_tdreport(data)
    except BadInput:
        assert len(data) != 1024 or data[0] != 0x81
        return False
    assert report.report_data == data[128:192]
    assert report.mac == data[224:256]
    fields = {name: bytes.fromhex(value) for name, value in report.to_dict().items()}
    names = list(fields)
    measured = b"".join(fields[name] for name in names[names.index("tee_tcb_svn") :])
    assert measured[:120] == data[264:384]
    assert measured[120:] == data[512 : 512 + len(measured) - 120]
    return True


# --- event logs ---------------------------------------------------------------------------------


def ccel(data: bytes) -> bool:
    try:
        events = eventlog.parse_ccel(data)
    except BadInput:
        return False
    log = ccel_bytes(events)
    for rest in (b"", bytes(8), b"\xff" * 8, bytes(100)):
        assert eventlog.parse_ccel(log + rest) == events
    registers = eventlog.replay_ccel(events)
    checks = eventlog.compare(registers, ccel=data)
    # The agent's header, unlike the firmware's, speaks of no register without events.
    assert {check.outcome for check in checks} <= {"match", "no-log"}
    for event in events:
        assert_told(event)
    json.dumps([event.to_dict() for event in events])
    return True


def assert_told(event: eventlog.Event) -> None:
    """What an event says of itself is a fact only where its digest is the hash of some text."""
    if not text_of(event).fact:
        return
    changed = replace(event, digest=bytes([event.digest[0] ^ 1]) + event.digest[1:])
    assert text_of(changed) == unproven(event)


def ccel_bytes(events: tuple[eventlog.Event, ...]) -> bytes:
    """Return a log of these events, with SHA-384 digests alone."""
    return tcg2.header({tcg2.SHA384: 48}) + b"".join(
        tcg2.event(event.register, event.event_type, {tcg2.SHA384: event.digest}, event.data)
        for event in events
    )


def aael(data: bytes) -> bool:
    text = any_text(data)
    try:
        log = eventlog.parse_aael(text)
    except BadInput:
        return False
    lines = [f"INIT sha384/{log.initial.hex()}", *(event.line for event in log.events)]
    assert "\n".join(lines) == text.removesuffix("\n")
    registers = dict.fromkeys(eventlog.REGISTERS, bytes(48)) | {"rtmr_3": log.replay()}
    (check,) = (c for c in eventlog.compare(registers, aael=text) if c.register == "rtmr_3")
    assert check.outcome == ("unexplained" if any(log.initial) else "match")
    assert_written(text.encode())
    return True


def application_entries(data: bytes) -> bool:
    """The application's log as TCG2 events, as evidence takes it and as its writer sees it."""
    if not eventlog.holds_tcg2_events(data):
        return False
    written = assert_written(data)
    joined, text = eventlog.join_logs(None, data)
    assert joined is not None
    assert text is None
    try:
        events = eventlog.parse_ccel(joined)
    except BadInput:
        return False
    for event in events:
        assert_told(event)
    registers = eventlog.replay_ccel(events)
    checks = eventlog.compare(registers, aael=data)
    assert {check.outcome for check in checks} <= {"match", "no-log"}
    if written.is_wrong or not written.values:
        return False
    # What its writer takes, verifiers take, but for an end that a crash has cut.
    assert written.count == len(events)
    if not str(eventlog.application_line(events[0])).startswith("cczoo begin "):
        assert written.values[-1] == registers["rtmr_3"]
    return True


def assert_written(data: bytes) -> applog.Replay:
    """A log leads to the same values read at once or in two parts, wherever it is cut."""
    whole = applog.replay(data)
    assert whole.size <= len(data)
    assert (whole.size == len(data)) != (whole.is_cut or whole.is_wrong or whole.is_open)
    assert whole.state(bytes(48)) in ("consistent", "unfinished", "diverged")
    known = applog.replay(data[: whole.size])
    assert applog.replay(data, known) == whole
    return whole


def any_text(data: bytes) -> str:
    """Return any bytes as text, lone surrogates included: JSON can bring them."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --- base64url and JSON -------------------------------------------------------------------------

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def base64url(data: bytes) -> bool:
    text = any_text(data)
    try:
        decoded = evidence.decode_base64url(text, "field")
    except BadInput:
        decoded = None
    assert (decoded is not None) == is_canonical(text)
    try:
        nonce = evidence.parse_nonce(text)
    except BadInput:
        assert decoded is None or not 16 <= len(decoded) <= 64
        return False
    assert nonce == decoded
    return True


def is_canonical(text: str) -> bool:
    """Say whether text is base64url with nothing that decoding would drop."""
    if any(char not in _ALPHABET for char in text):
        return False
    dropped = {0: 0, 1: None, 2: 0xF, 3: 0x3}[len(text) % 4]
    return dropped is not None and not (dropped and _ALPHABET.index(text[-1]) & dropped)


def strict_json(data: bytes) -> bool:
    try:
        value = strictjson.loads(data)
    except ValueError:
        return False
    assert value == json.loads(data.decode("utf-8")), "not UTF-8, or read in another way"
    assert all(math.isfinite(number) for number in numbers(value)), "a number that JSON cannot say"
    assert strictjson.loads(json.dumps(value)) == value
    return True


def numbers(value: Any) -> list[float]:
    """Return all floating-point numbers in a JSON value."""
    found, left = [], [value]
    while left:
        item = left.pop()
        if isinstance(item, float):
            found.append(item)
        elif isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return found


def body(data: bytes) -> bool:
    """A request of the Trustee protocol; after "E", the evidence within one."""
    if data[:1] == b"E":
        inner = base64.urlsafe_b64encode(data[1:]).rstrip(b"=").decode()
        data = json.dumps({"tee": "tdx", "evidence": inner, "policy_ids": []}).encode()
    try:
        parsed = protocol.parse_body(data)
    except (protocol.Malformed, Rejected):
        return False
    assert parsed == protocol.parse_body(data)
    assert 1 <= len(parsed.requests) <= protocol.MAX_REQUESTS
    for request in parsed.requests:
        assert all(len(item) == 64 for item in request.expected_report_data)
        appraise(request)
    return True


def appraise(request: protocol.Request) -> None:
    """Go on with a request as the service does, as far as no signature is concerned."""
    try:
        parsed = parse_quote(request.raw_quote)
        protocol.check_bindings(request, parsed)
        registers = {name: getattr(parsed.body, name) for name in eventlog.REGISTERS}
        eventlog.compare(registers, ccel=request.cc_eventlog, aael=request.aa_eventlog)
    except (BadInput, Rejected):
        return


# --- running ------------------------------------------------------------------------------------

TARGETS: dict[str, Callable[[bytes], bool]] = {
    "quote": quote,
    "chain": chain,
    "tdreport": tdreport,
    "ccel": ccel,
    "aael": aael,
    "aael_tcg2": application_entries,
    "base64url": base64url,
    "strict_json": strict_json,
    "body": body,
    **sealing_targets.TARGETS,
}


def main() -> None:
    target, accepted = TARGETS[sys.argv[1]], 0

    def run(data: bytes) -> None:
        nonlocal accepted
        accepted += target(data)

    def end() -> None:
        # Atheris's timer still ticks, and Python on its way out takes the alarm's handler away: an
        # alarm in between would kill a run that had ended well.
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(f"accepted: {accepted}", file=sys.stderr, flush=True)

    atexit.register(end)
    # libFuzzer would take files too, and end without the line above.
    inputs = [Path(argument) for argument in sys.argv[2:] if Path(argument).is_file()]
    for path in inputs:
        run(path.read_bytes())
    if inputs:
        return
    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

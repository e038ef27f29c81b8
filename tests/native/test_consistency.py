"""A quote's own parts: what does not hold together is not handed out, whoever made it."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from test_eventlog import sample

from emulator import signers
from quote_generator.consistency import check_consistency, read_chain
from quote_generator.errors import BadInput
from quote_generator.quote import Quote, Signature, parse_quote, strip_padding
from quote_generator.simulator import Simulator, pki

REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="module", params=signers.FORMS)
def quote(request: pytest.FixtureRequest) -> Quote:
    return parse_quote(signers.fixed(request.param)(REPORT_DATA))


def with_changes(quote: Quote, **changes: bytes) -> Quote:
    """Return the quote with other signature data, put together anew."""
    signature = replace(quote.signature, **changes)
    chain = sized(signature.certification_data, 4)
    certification = b"".join(
        (
            signature.qe_report,
            signature.qe_report_signature,
            sized(signature.qe_auth_data, 2),
            signature.certification_type.to_bytes(2, "little"),
            chain,
        )
    )
    data = signature.signature + signature.attestation_key + b"\6\0" + sized(certification, 4)
    return parse_quote(quote.signed_bytes + sized(data, 4))


def sized(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "little") + data


def test_a_whole_quote_passes_again_and_again(quote: Quote) -> None:
    assert with_changes(quote).raw == quote.raw
    for _ in range(3):
        check_consistency(quote)


def test_the_simulators_quotes_pass(tmp_path: Path) -> None:
    simulator = Simulator.open(tmp_path)
    for version, body_type in signers.FORMS.values():
        check_consistency(
            parse_quote(simulator.quote(REPORT_DATA, version=version, body_type=body_type))
        )


@pytest.mark.parametrize("name", ["trustee_tdx_quote_v4.bin", "trustee_aael_quote.bin"])
def test_real_quotes_pass(name: str) -> None:
    check_consistency(parse_quote(strip_padding(sample(name))))


PARTS = {
    "signature": "the quote's signature is wrong",
    "attestation_key": "not over the attestation key",
    "qe_report": "QE report",
    "qe_report_signature": "the QE report's signature is wrong",
    "qe_auth_data": "not over the attestation key",
    "certification_data": "chain|PEM",
}


def test_every_part_is_looked_at() -> None:
    assert set(PARTS) | {"certification_type"} == set(Signature.__dataclass_fields__)


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_byte_of_any_part_is_noticed(quote: Quote, part: str) -> None:
    generator = random.Random(part)
    good = getattr(quote.signature, part)
    for _ in range(100):
        at = generator.randrange(len(good))
        bad = bytearray(good)
        bad[at] ^= 1 << generator.randrange(8)
        with pytest.raises(BadInput, match=PARTS[part]):
            check_consistency(with_changes(quote, **{part: bytes(bad)}))


def test_a_changed_byte_of_what_is_signed_is_noticed(quote: Quote) -> None:
    generator = random.Random(1)
    for _ in range(100):
        at = generator.randrange(8, len(quote.signed_bytes))
        if quote.header.version == 5 and 48 <= at < 54:
            continue  # the body's type and size, which the parser holds
        raw = bytearray(quote.raw)
        raw[at] ^= 1 << generator.randrange(8)
        with pytest.raises(BadInput, match="the quote's signature is wrong"):
            check_consistency(parse_quote(bytes(raw)))


def test_a_good_quote_before_does_not_help(quote: Quote) -> None:
    """The chain of the last quotes is remembered; nothing else is."""
    check_consistency(quote)
    with pytest.raises(BadInput, match="signature"):
        check_consistency(with_changes(quote, signature=bytes(64)))
    other = parse_quote(signers.fixed("v4")(bytes(64)))
    with pytest.raises(BadInput, match="signature"):
        check_consistency(with_changes(quote, signature=other.signature.signature))


@pytest.mark.parametrize("value", [0, 1, 2**256 - 1])
def test_signatures_and_keys_that_are_none(quote: Quote, value: int) -> None:
    number = value.to_bytes(32, "big")
    for part in ("signature", "qe_report_signature"):
        with pytest.raises(BadInput, match="signature is wrong"):
            check_consistency(with_changes(quote, **{part: number * 2}))
    key = number * 2
    bound = hashlib.sha256(key + quote.signature.qe_auth_data).digest() + bytes(32)
    keys, _ = signers.own_pki()
    report = quote.signature.qe_report[:320] + bound
    signed = pki.sign_raw(keys["pck"], report)
    with pytest.raises(BadInput, match="no point of P-256"):
        check_consistency(
            with_changes(quote, attestation_key=key, qe_report=report, qe_report_signature=signed)
        )


# --- the chain: certificates, each issued by the next, and nothing that nobody signed -----------


def chain(*names: str, glue: str = "") -> str:
    _, certificates = signers.own_pki()
    return glue.join(pki.chain_pem(certificates[name]) for name in names)


WHOLE = ("pck", "platform", "root")
FOREIGN = "the guest's memory"


def with_extension(data: bytes) -> str:
    """A PEM certificate in which unsigned bytes stand between others."""
    lines = chain("pck").splitlines(keepends=True)
    return "".join([*lines[:3], base64.b64encode(data).decode() + "\n", *lines[3:]])


BAD_CHAINS: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "before": lambda: FOREIGN + chain(*WHOLE),
    "between": lambda: chain(*WHOLE, glue=FOREIGN),
    "behind": lambda: chain(*WHOLE) + FOREIGN,
    "zeros between": lambda: chain(*WHOLE, glue="\0"),
    "in a line": lambda: chain(*WHOLE).replace("MII", f"MI{FOREIGN}I", 1),
    "in the base64": lambda: with_extension(b"the guest's memory") + chain("platform", "root"),
    "unused bits": lambda: chain(*WHOLE).replace("==\n", "=\n", 1),
    "no certificate": lambda: chain(*WHOLE).replace("CERTIFICATE", "PRIVATE KEY"),
    "more than a chain has": lambda: chain(*WHOLE, "root", "root"),
    "without the root": lambda: chain("pck", "platform"),
    "without the CA": lambda: chain("pck", "root"),
    "the leaf alone": lambda: chain("pck"),
    "another order": lambda: chain("pck", "root", "platform"),
    "another leaf": lambda: chain("tcb", "root"),
}


@pytest.mark.parametrize("name", BAD_CHAINS)
def test_a_chain_with_anything_else_in_it_is_refused(quote: Quote, name: str) -> None:
    pem = BAD_CHAINS[name]().encode()
    assert pem != quote.signature.certification_data
    with pytest.raises(BadInput, match=r"chain|QE report's signature"):
        check_consistency(with_changes(quote, certification_data=pem))


@pytest.mark.parametrize("ending", ["", "\0", "\n", "\r\n\0"])
def test_a_chain_may_end_as_quoting_services_end_it(quote: Quote, ending: str) -> None:
    pem = chain(*WHOLE).removesuffix("\n") + ending
    check_consistency(with_changes(quote, certification_data=pem.encode()))
    crlf = chain(*WHOLE).replace("\n", "\r\n") + ending
    check_consistency(with_changes(quote, certification_data=crlf.encode()))


def test_a_leaf_with_a_key_of_another_curve_is_refused(quote: Quote) -> None:
    key = ec.derive_private_key(7, ec.SECP384R1())
    keys, _ = signers.own_pki()
    made = pki.make_certificates({**keys, "pck": key}, "TEST", 1.7e9)
    pem = pki.chain_pem(*(made[name] for name in WHOLE)).encode()
    with pytest.raises(BadInput, match="not one of ECDSA P-256"):
        check_consistency(with_changes(quote, certification_data=pem))


def test_certificates_are_read_in_order() -> None:
    _, certificates = signers.own_pki()
    assert read_chain(chain(*WHOLE)) == tuple(certificates[name] for name in WHOLE)
    der = certificates["pck"].public_bytes(Encoding.DER)
    assert x509.load_der_x509_certificate(der) == read_chain(chain("pck"))[0]

"""One bit of every byte that is signed, turned over: both verifiers notice each.

The first half does it to a synthetic quote with all of its collateral, the second to a real one,
for which there is no collateral here: so up to Intel's root, but not beyond.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import certificates, enclave
from conformance_adapters import OURS, PYTHON, TYPESCRIPT, batch, first_failure
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_der_x509_certificate

from cases.world import World
from quote_generator.quote import Quote, parse_quote, strip_padding

QE_REPORT, QE_SIGNATURE = 134, 134 + 384
"""Offsets in the signature data: after quote signature, key and the outer type and size."""

REAL_NOW = 1_750_000_000
"""2025-06-15: a moment in the life of the real quote's certificates."""

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "trustee_tdx_quote_v4.bin"


def flipped(data: bytes, offsets: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """For each offset, the data with one bit of that byte turned over: every bit in turn."""
    for at in offsets:
        yield at, data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def signed_end(quote: bytes) -> int:
    """Where the certification data begins, all before which is signed or a signature."""
    start = len(parse_quote(quote).signed_bytes) + 4
    size = struct.unpack_from("<H", quote, start + QE_SIGNATURE + 64)[0]
    return start + QE_SIGNATURE + 64 + 2 + int(size)


@cache
def changed(kind: str) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    """A good case, and all of it with a changed byte. TDX 1.5 differs in what is signed only."""
    case = World(kind).case()
    quote = base64.b64decode(case["quote_b64"])
    end = signed_end(quote) if kind == "v4" else len(parse_quote(quote).signed_bytes)
    return case, [
        (at, case | {"quote_b64": base64.b64encode(data).decode()})
        for at, data in flipped(quote, range(end))
    ]


@pytest.mark.parametrize("kind", ["v4", "v5-td15"])
@pytest.mark.parametrize("adapter", sorted(OURS))
def test_every_changed_byte_of_a_synthetic_quote_is_noticed(adapter: str, kind: str) -> None:
    case, mutations = changed(kind)
    assert len(mutations) > 600
    good, *bad = batch(OURS[adapter], [case, *(mutated for _, mutated in mutations)])
    assert good["exit"] == 0
    unnoticed = [at for (at, _), answer in zip(mutations, bad, strict=True) if answer["exit"] != 10]
    assert unnoticed == []
    assert {first_failure(answer) for answer in bad} == {"evidence-format", "quote-signature"}


@pytest.fixture(scope="module")
def real() -> bytes:
    """A real quote; skips the test where the samples are not at hand."""
    if not SAMPLE.exists():
        pytest.skip(f"real sample {SAMPLE.name} is not beside the project (../shared/data)")
    return strip_padding(SAMPLE.read_bytes())


def holds(quote: Quote, chain: tuple[Certificate, ...]) -> bool:
    """Whether the quote is signed up to the root of `chain`: checks 2, 6, 7 and 9."""
    signature = quote.signature
    report = enclave.read_report(signature.qe_report)
    key = certificates.point(chain[0])
    attestation_key = b"\4" + signature.attestation_key
    try:
        return (
            enclave.is_signed(signature.qe_report, signature.qe_report_signature, key)
            and enclave.vouches_for_key(signature, report)
            and enclave.is_signed(quote.signed_bytes, signature.signature, attestation_key)
        )
    except ValueError:
        return False


def test_every_changed_byte_of_a_real_quote_is_noticed(real: bytes) -> None:
    pem = parse_quote(real).signature.pck_chain_pem
    chain = certificates.read_chain(pem, certificates.PCK_CHAIN)
    certificates.check_path(chain, certificates.INTEL_ROOT_KEY, REAL_NOW)
    assert holds(parse_quote(real), chain)
    unnoticed = []
    for at, data in flipped(real, range(signed_end(real))):
        try:
            quote = parse_quote(data)
        except ValueError:
            continue
        if holds(quote, chain):
            unnoticed.append(at)
    assert unnoticed == []


def leads_to_intel(encoded: list[bytes]) -> bool:
    """Whether the certificates are a chain up to Intel's root."""
    try:
        chain = [load_der_x509_certificate(data) for data in encoded]
        certificates.check_path(chain, certificates.INTEL_ROOT_KEY, REAL_NOW)
    except certificates.UNREADABLE:
        return False
    return True


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_every_changed_byte_of_a_real_chain_is_noticed(real: bytes) -> None:
    pem = parse_quote(real).signature.pck_chain_pem
    chain = certificates.read_chain(pem, certificates.PCK_CHAIN)
    encoded = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    assert leads_to_intel(encoded)
    unnoticed = [
        (position, at)
        for position, whole in enumerate(encoded)
        for at, data in flipped(whole, range(len(whole)))
        if leads_to_intel([*encoded[:position], data, *encoded[position + 1 :]])
    ]
    assert unnoticed == []


def test_the_page_notices_every_changed_byte_of_a_real_quote(real: bytes) -> None:
    def case(quote: bytes) -> dict[str, Any]:
        encoded = base64.b64encode(quote).decode()
        return {"quote_b64": encoded, "collateral": {}, "now": REAL_NOW}

    mutations = list(flipped(real, range(signed_end(real))))
    good, *bad = batch(TYPESCRIPT, [case(real), *(case(data) for _, data in mutations)])
    assert "collateral" in _failed(good)  # there is none
    assert not _failed(good) & {"evidence-format", "quote-signature"}
    unnoticed = [
        at
        for (at, _), answer in zip(mutations, bad, strict=True)
        if not _failed(answer) & {"evidence-format", "quote-signature"}
    ]
    assert unnoticed == []


def test_a_real_quote_needs_collateral(real: bytes) -> None:
    case = World().case() | {"quote_b64": base64.b64encode(real).decode(), "now": REAL_NOW}
    del case["root_ca_pem"]
    for command in (PYTHON, TYPESCRIPT):
        [answer] = batch(command, [case])
        assert (answer["exit"], first_failure(answer)) == (10, "collateral")


def _failed(answer: dict[str, Any]) -> set[str]:
    return {check["id"] for check in answer["checks"] if check["outcome"] == "fail"}

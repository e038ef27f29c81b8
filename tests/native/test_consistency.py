"""A quote's own parts: what does not hold together is not handed out, whoever made it."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import itertools
import logging
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from test_eventlog import sample

from emulator import signers
from quote_generator import consistency
from quote_generator.attester import _check_quote
from quote_generator.consistency import check_consistency, read_chain
from quote_generator.errors import BadInput, CorruptAnswer, QuoteGeneratorError, ServiceFailed
from quote_generator.quote import MAX_QUOTE_SIZE, Quote, Signature, parse_quote, strip_padding
from quote_generator.simulator import Simulator, der, pki

REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="module", params=signers.FORMS)
def quote(request: pytest.FixtureRequest) -> Quote:
    return parse_quote(signers.fixed(request.param)(REPORT_DATA))


def with_changes(quote: Quote, **changes: bytes) -> Quote:
    """Return the quote with other signature data, put together anew."""
    return parse_quote(put_together(quote, **changes))


def put_together(quote: Quote, **changes: bytes) -> bytes:
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
    return quote.signed_bytes + sized(data, 4)


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
    """Where they are at hand. `test_a_chain_shaped_like_intels_passes` needs none of them."""
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


@pytest.mark.parametrize("rest", [bytes(31) + b"\1", b"\1" + bytes(31)], ids=["end", "start"])
def test_a_report_names_the_key_and_nothing_beside_it(quote: Quote, rest: bytes) -> None:
    """Report data is 64 bytes: the digest, and zeros. The report is signed as it should be."""
    data = quote.signature.attestation_key + quote.signature.qe_auth_data
    digest = hashlib.sha256(data).digest()
    check_consistency(with_report(quote, digest + bytes(32)))
    with pytest.raises(BadInput, match="not over the attestation key"):
        check_consistency(with_report(quote, digest + rest))


def with_report(quote: Quote, report_data: bytes) -> Quote:
    """Return the quote with other report data in its QE report, signed anew."""
    report = quote.signature.qe_report[:320] + report_data
    signed = pki.sign_raw(signers.own_pki()[0]["pck"], report)
    return with_changes(quote, qe_report=report, qe_report_signature=signed)


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


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def with_unused_bits() -> str:
    """The chain in another spelling: in a group that is not full, bits are set that say nothing."""
    spelt = re.sub(
        r"([A-Za-z0-9+/])(=+\n)",
        lambda found: ALPHABET[ALPHABET.index(found[1]) + 1] + found[2],
        chain(*WHOLE),
        count=1,
    )
    there, here = (
        [base64.b64decode(block) for block in re.findall(r"-\n([^-]+)\n-", text)]
        for text in (spelt, chain(*WHOLE))
    )
    assert there == here  # to who does not look closely
    return spelt


BAD_CHAINS: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "before": lambda: FOREIGN + chain(*WHOLE),
    "between": lambda: chain(*WHOLE, glue=FOREIGN),
    "behind": lambda: chain(*WHOLE) + FOREIGN,
    "zeros between": lambda: chain(*WHOLE, glue="\0"),
    "in a line": lambda: chain(*WHOLE).replace("MII", f"MI{FOREIGN}I", 1),
    "in the base64": lambda: with_extension(b"the guest's memory") + chain("platform", "root"),
    "unused bits": with_unused_bits,
    "too little padding": lambda: chain(*WHOLE).replace("==\n", "=\n", 1),
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


Key = Any  # a private key of any kind
P256 = ec.SECP256R1()


def issued(
    subject: str, public_key: Any, issuer: str, key: Key, algorithm: Any, memory: bytes = b""
) -> x509.Certificate:
    """A certificate with names as Intel's have them, and `memory` in an extension."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(intels_name(subject))
        .issuer_name(intels_name(issuer))
        .public_key(public_key)
        .serial_number(1 << 150)
        .not_valid_before(datetime.datetime(2024, 1, 1))
        .not_valid_after(datetime.datetime(2034, 1, 1))
        .add_extension(
            x509.CRLDistributionPoints(
                [
                    x509.DistributionPoint(
                        [x509.UniformResourceIdentifier("https://certificates.example/Root.der")],
                        None,
                        None,
                        None,
                    )
                ]
            ),
            critical=False,
        )
    )
    if memory:
        own = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), memory)
        builder = builder.add_extension(own, critical=False)
    return builder.sign(key, algorithm)


def intels_name(common_name: str) -> x509.Name:
    values = {
        NameOID.COMMON_NAME: f"TEST {common_name}",
        NameOID.ORGANIZATION_NAME: "TEST Corporation",
        NameOID.LOCALITY_NAME: "Santa Clara",
        NameOID.STATE_OR_PROVINCE_NAME: "CA",
        NameOID.COUNTRY_NAME: "US",
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in values.items()])


def chain_of(
    root: Key, ca: Key, algorithms: tuple[Any, Any, Any], leaf: Key | None = None
) -> bytes:
    """A chain whose leaf has the key of our own PCK or ``leaf``; algorithms from the root down."""
    pck = (leaf or signers.own_pki()[0]["pck"]).public_key()
    made = (
        issued("SGX PCK Certificate", pck, "SGX PCK Platform CA", ca, algorithms[2]),
        issued("SGX PCK Platform CA", ca.public_key(), "SGX Root CA", root, algorithms[1]),
        issued("SGX Root CA", root.public_key(), "SGX Root CA", root, algorithms[0]),
    )
    return pki.chain_pem(*made).encode()


SHA256 = hashes.SHA256()
GOOD = ec.derive_private_key(11, P256)
FOREIGN_KINDS = ["Ed25519", "RSA", "P-384", "secp256k1", "DSA"]


@functools.cache  # RSA and DSA take their time
def foreign_key(kind: str) -> Key:
    match kind:
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "P-384":
            return ec.derive_private_key(11, ec.SECP384R1())
        case "secp256k1":
            return ec.derive_private_key(11, ec.SECP256K1())
    return dsa.generate_private_key(1024)


@pytest.mark.parametrize("end", [b"\0", b"", b"\n\0"])
def test_a_chain_shaped_like_intels_passes(quote: Quote, end: bytes) -> None:
    """Names of five parts, a CRL's address, and the NUL that Intel's service ends it with."""
    pem = chain_of(GOOD, GOOD, (SHA256, SHA256, SHA256))
    check_consistency(with_changes(quote, certification_data=pem + end))


@pytest.mark.parametrize("place", ["root", "CA", "both"])
@pytest.mark.parametrize("kind", FOREIGN_KINDS)
def test_issuers_with_keys_of_another_kind_are_refused(quote: Quote, kind: str, place: str) -> None:
    """A signature of theirs may prove nothing: some keys verify whatever bytes there are."""
    key, algorithm = foreign_key(kind), None if kind == "Ed25519" else SHA256
    root = (GOOD, SHA256) if place == "CA" else (key, algorithm)
    ca = (GOOD, SHA256) if place == "root" else (key, algorithm)
    pem = chain_of(root[0], ca[0], (root[1], root[1], ca[1]))
    with pytest.raises(BadInput, match="not one of ECDSA P-256"):
        check_consistency(with_changes(quote, certification_data=pem))


@pytest.mark.parametrize("kind", FOREIGN_KINDS)
def test_a_leaf_with_a_key_of_another_kind_is_refused(quote: Quote, kind: str) -> None:
    """All else of it is as it must be: it issues nothing, so no signature shows its kind."""
    pem = chain_of(GOOD, GOOD, (SHA256, SHA256, SHA256), leaf=foreign_key(kind))
    with pytest.raises(BadInput, match="not one of ECDSA P-256"):
        check_consistency(with_changes(quote, certification_data=pem))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    "algorithm",
    [hashes.SHA224(), hashes.SHA384(), hashes.SHA512()],
    ids=["SHA-224", "SHA-384", "SHA-512"],
)
def test_certificates_signed_over_another_digest_are_refused(
    quote: Quote, algorithm: Any, place: int
) -> None:
    algorithms: list[Any] = [SHA256] * 3
    algorithms[place] = algorithm
    pem = chain_of(GOOD, GOOD, (algorithms[0], algorithms[1], algorithms[2]))
    with pytest.raises(BadInput, match="not one of ECDSA P-256 with SHA-256"):
        check_consistency(with_changes(quote, certification_data=pem))


# X.509 by hand: what no library signs any more.

ECDSA_SHA1 = der.sequence(der.oid("1.2.840.10045.4.1"))
ED25519 = der.sequence(der.oid("1.3.101.112"))


def by_hand(
    algorithm: bytes, public_key: bytes, sign: Callable[[bytes], bytes], memory: bytes = b""
) -> x509.Certificate:
    """A certificate with one name as subject and issuer, and `memory` in an extension."""
    text = der._tagged(0x0C, b"TEST")
    name = der.sequence(der._tagged(0x31, der.sequence(der.oid("2.5.4.3"), text)))
    times = der.sequence(*(der._tagged(0x17, year + b"0101000000Z") for year in (b"24", b"34")))
    own = der.sequence(der.oid("1.2.3.4"), der.octets(memory))
    extensions = der._tagged(0xA3, der.sequence(own)) if memory else b""
    body = der.sequence(
        der._tagged(0xA0, der.integer(2)),
        der.integer(1),
        algorithm,
        name,
        times,
        name,
        public_key,
        extensions,
    )
    signature = der._tagged(3, b"\0" + sign(body))
    return x509.load_der_x509_certificate(der.sequence(body, algorithm, signature))


def test_a_chain_signed_over_sha1_is_refused(quote: Quote) -> None:
    def sign(data: bytes) -> bytes:
        return key.sign(data, ec.ECDSA(hashes.SHA1()))

    key = signers.own_pki()[0]["pck"]
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = by_hand(ECDSA_SHA1, spki, sign)
    with pytest.raises(BadInput, match="not one of ECDSA P-256 with SHA-256"):
        check_consistency(with_changes(quote, certification_data=pki.chain_pem(made).encode()))


def test_an_issuer_whose_key_verifies_everything_is_refused(quote: Quote) -> None:
    """Ed25519 with the identity for a key and for R, and S = 0: true of each and every text."""
    identity = b"\1" + bytes(31)
    weak = der.sequence(ED25519, der._tagged(3, b"\0" + identity))
    key = signers.own_pki()[0]["pck"].public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    leaf = by_hand(ED25519, spki, lambda _: identity + bytes(32), FOREIGN.encode() * 30)
    ca = by_hand(ED25519, weak, lambda _: identity + bytes(32))
    leaf.verify_directly_issued_by(ca)  # so it seems
    with pytest.raises(BadInput, match="not one of ECDSA P-256"):
        check_consistency(with_changes(quote, certification_data=pki.chain_pem(leaf, ca).encode()))


# --- what is said of a quote that is thrown away: nothing that stands in it ----------------------

BUFFER = 8192 - 24
"""Bytes of a quote that the driver's first buffer holds; what follows them is guest memory."""


def spilt(auth_size: int, memory: bytes, *, size: int | None = None) -> bytes:
    """A quote by a host that makes it longer than its buffer, and knows what fits into that."""
    good = parse_quote(signers.fixed("v4")(REPORT_DATA))
    signature, signed = good.signature, good.signed_bytes
    before = len(signed) + 4 + 64 + 64 + 6 + 384 + 64 + 2
    left = max(0, BUFFER + len(memory) - before - auth_size - 6)
    inner = (
        sized(bytes(auth_size), 2)
        + (5).to_bytes(2, "little")
        + (left if size is None else size).to_bytes(4, "little")
    )
    certification = signature.qe_report + bytes(64) + inner
    data = bytes(64) + signature.attestation_key + b"\6\0"
    lengths = BUFFER + len(memory) - len(signed) - 4
    head = signed + lengths.to_bytes(4, "little") + data
    head += (lengths - len(data) - 4).to_bytes(4, "little") + certification
    return head.ljust(BUFFER, b"-")[:BUFFER] + memory


AUTH_AT = len(spilt(0, b"").rstrip(b"-")) - 6
ACROSS = range(BUFFER - AUTH_AT - 8, BUFFER - AUTH_AT + 8)
"""Sizes of qe_auth_data with which the fields behind it lie before, across and behind its end."""

MEMORIES = {
    "zeros": bytes(3000),
    "ones": b"\xff" * 3000,
    "secret": b"S3CRETpw" * 375,
    "as a host would like it": b"\5\0" + (2994).to_bytes(4, "little") + bytes(2994),
    "a chain": chain(*WHOLE).encode().ljust(3000, b"\0")[:3000],
}


@pytest.mark.parametrize("name", BAD_CHAINS)
def test_what_a_library_says_of_a_chain_is_not_shown(quote: Quote, name: str) -> None:
    """Its text could quote what it has read."""
    pem = BAD_CHAINS[name]().encode()
    with pytest.raises(BadInput) as caught:
        check_consistency(with_changes(quote, certification_data=pem))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def refusal(quote: bytes) -> QuoteGeneratorError:
    with pytest.raises(QuoteGeneratorError) as caught:
        _check_quote("configfs-tsm", quote, REPORT_DATA, "/path")
    return caught.value


def all_told(error: BaseException, logs: pytest.LogCaptureFixture) -> list[object]:
    """Everything of an error that a log, or a person, could be shown."""
    logs.clear()
    logging.getLogger("test").error("%s", error, exc_info=error)
    told: list[object] = [type(error), str(error), repr(error), error.args, vars(error)]
    return [*told, logs.text, error.__cause__, error.__context__]


@pytest.mark.parametrize("auth_size", ACROSS)
def test_nothing_is_told_of_the_memory_behind_a_hosts_buffer(
    auth_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    told = [
        all_told(refusal(spilt(auth_size, memory, size=size)), caplog)
        for memory in MEMORIES.values()
        for size in (None, 0, 1 << 16)
    ]
    assert all(one == told[0] for one in told)
    assert told[0][0] is CorruptAnswer


@pytest.mark.parametrize("auth_size", ACROSS)
def test_the_first_byte_behind_the_buffer_counts(auth_size: int) -> None:
    """The driver's page has 8,192 bytes, but 24 of them are its header."""
    memories = [pattern[:size] for pattern in MEMORIES.values() for size in (1, 2, 23, 24, 25)]
    told = {str(refusal(spilt(auth_size, memory))) for memory in memories}
    assert len(told) == 1


def test_a_quote_that_fills_the_buffer_is_the_hosts_from_end_to_end() -> None:
    good = parse_quote(signers.fixed("v4")(REPORT_DATA))
    room = BUFFER - len(good.raw)
    longer = good.signature.certification_data + b"\n" * room
    for fits, words in ((longer, "the quote's signature"), (longer + b"\n", "its parts do not")):
        quote = with_changes(good, certification_data=fits, signature=bytes(64)).raw
        assert (len(quote) == BUFFER) is (fits is longer)
        assert words in str(refusal(quote))


@pytest.mark.parametrize("over", [0, 1])
def test_a_quote_longer_than_relying_parties_read_is_not_handed_out(over: int) -> None:
    good = parse_quote(signers.fixed("v4")(REPORT_DATA))
    blank = b"\n" * (MAX_QUOTE_SIZE - len(good.raw) + over)
    quote = put_together(good, certification_data=good.signature.certification_data + blank)
    assert len(quote) == MAX_QUOTE_SIZE + over
    if over:
        assert "its parts do not hold together" in str(refusal(quote))
    else:
        _check_quote("configfs-tsm", quote, REPORT_DATA, "/path")


def numbers_in(text: str) -> list[str]:
    return re.findall(r"\d+", text.replace("P-256", "").replace("SHA-256", ""))


def test_a_quote_that_fits_is_refused_in_fixed_phrases(caplog: pytest.LogCaptureFixture) -> None:
    """There no memory can be, and the sentence says more; still nothing that stands in it."""
    told = {str(error): error for error in map(refusal, bad_quotes())}
    assert 8 <= len(told) <= 16
    for text, error in told.items():
        assert numbers_in(text) == []
        assert error.__cause__ is error.__context__ is None
        all_told(error, caplog)
        assert "The above exception" not in caplog.text
        assert "During handling" not in caplog.text
    assert {type(error) for error in told.values()} == {CorruptAnswer, ServiceFailed}


def bad_quotes() -> Iterator[bytes]:
    """Quotes with a byte changed wherever something is looked at, and with bad parts."""
    good = parse_quote(signers.fixed("v4")(REPORT_DATA))
    yield signers.fixed("v4")(bytes(64))
    for at, value in itertools.product((*range(0, 8), *range(600, 780)), (0, 3, 0xFF)):
        if good.raw[at] != value:
            yield good.raw[:at] + bytes([value]) + good.raw[at + 1 :]
    for size in (0, 47, 600, 700, len(good.raw) - 1):
        yield good.raw[:size]
    for part in PARTS:
        yield with_changes(good, **{part: bytes(len(getattr(good.signature, part)))}).raw
    for make in BAD_CHAINS.values():
        yield with_changes(good, certification_data=make().encode()).raw
    for kind in range(1, 8):
        if kind != 5:
            yield with_kind(good, kind)


def with_kind(quote: Quote, kind: int) -> bytes:
    at = quote.raw.index(quote.signature.certification_data) - 6
    return quote.raw[:at] + kind.to_bytes(2, "little") + quote.raw[at + 2 :]


def test_a_quote_without_a_chain_is_told_from_a_damaged_one_where_it_fits() -> None:
    good = parse_quote(signers.fixed("v4")(REPORT_DATA))
    assert type(refusal(with_kind(good, 3))) is ServiceFailed
    long = with_changes(good, certification_data=bytes(BUFFER))
    assert type(refusal(with_kind(long, 3))) is CorruptAnswer


def test_an_error_that_nobody_has_foreseen_tells_nothing_either(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Quote) -> None:
        raise RuntimeError("S3CRETpw")

    monkeypatch.setattr(consistency, "check_consistency", fail)
    error = refusal(signers.fixed("v4")(REPORT_DATA))
    assert type(error) is CorruptAnswer
    assert "S3CRETpw" not in str(all_told(error, caplog))


def test_certificates_are_read_in_order() -> None:
    _, certificates = signers.own_pki()
    assert read_chain(chain(*WHOLE)) == tuple(certificates[name] for name in WHOLE)
    der = certificates["pck"].public_bytes(Encoding.DER)
    assert x509.load_der_x509_certificate(der) == read_chain(chain("pck"))[0]

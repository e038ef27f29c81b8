"""What makes the emulator's quotes: report data in, quote out."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace

from quote_generator.quote import Body, parse_quote
from quote_generator.simulator import Simulator, pki
from quote_generator.simulator.quoting import DEFAULT_BODY, make_quote

Signer = Callable[[bytes], bytes]

# (version, body type) by the name that the command line uses.
FORMS = {"v4": (4, 2), "v5": (5, 2), "v5-td15": (5, 3), "v5-td15ex": (5, 4)}


def _put(at: int, value: int, size: int) -> Callable[[bytes], bytes]:
    field = value.to_bytes(size, "little")
    return lambda quote: quote[:at] + field + quote[at + size :]


# What is none, by the same kind of name: made of a good one with a body of type 4.
MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "td15ex-of-884": _put(50, 884, 4),
    "td15ex-of-886": _put(50, 886, 4),
    "td15ex-in-v4": _put(0, 4, 2),
    "td15ex-cut": lambda quote: quote[: 54 + 884],
    "type-3-of-885": _put(48, 3, 2),
    "type-5": _put(48, 5, 2),
}

SIGNATURE_SIZE = 64
LENGTH_SIZE = 4  # of the field before the signature data
_CERTIFIED_AT = 1_750_000_000.0
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@functools.cache
def own_pki() -> tuple[pki.Keys, pki.Certificates]:
    """The same keys and certificates on each run."""
    numbers = itertools.count()

    def rng(size: int) -> bytes:
        return hashlib.shake_256(b"emulator %d" % next(numbers)).digest(size)

    keys = pki.make_keys(rng)
    return keys, pki.make_certificates(keys, "TEST", _CERTIFIED_AT)


def _template(form: str, body: Body = DEFAULT_BODY) -> bytes:
    return make_quote(*own_pki(), body, *FORMS[form])


def _spoiled(sign: Signer, form: str) -> Signer:
    return lambda report_data: MALFORMED[form](sign(report_data))


def fixed(form: str = "v4") -> Signer:
    """Return a signer with the same keys on each run, whose root nobody trusts.

    Its quotes hold together, which is all that the attester looks at, unless the form is one of
    MALFORMED. The QE report and the chain are always the same, so that a quote costs one signature.
    """
    if form in MALFORMED:
        return _spoiled(fixed("v5-td15ex"), form)
    mark = b"\xff" * 64
    template = _template(form, replace(DEFAULT_BODY, report_data=mark))
    body = len(parse_quote(template).signed_bytes)
    report_data_at = template.index(mark)
    key = own_pki()[0]["attestation"]

    def sign(report_data: bytes) -> bytes:
        signed = template[:report_data_at] + report_data + template[report_data_at + 64 : body]
        signature = pki.sign_raw(key, signed)
        length = template[body : body + LENGTH_SIZE]
        return signed + length + signature + template[body + LENGTH_SIZE + SIGNATURE_SIZE :]

    return sign


def simulator(
    directory: str, prefix: str, form: str = "v4", rtmr_3: Callable[[], bytes] = lambda: bytes(48)
) -> Signer:
    """Return a signer that verifiers accept under the root in ``directory``.

    Its quotes carry the register that what runs here extends, as ``rtmr_3`` gives it.
    """
    if form in MALFORMED:
        return _spoiled(simulator(directory, prefix, "v5-td15ex", rtmr_3), form)
    machine = Simulator.open(directory, name=prefix)
    version, body_type = FORMS[form]

    def sign(report_data: bytes) -> bytes:
        measured = {"rtmr_3": rtmr_3()}
        return machine.quote(
            report_data, version=version, body_type=body_type, measurements=measured
        )

    return sign


def in_c() -> str:
    """Return C source of what signs as ``fixed`` does, where only digests can be made.

    A signature of the digest h with the secret number k is r = (k * G).x, s = (h + r * d) / k. With
    one k for all, which gives the private key d away, r, r * d and 1 / k are constants.
    """
    key = own_pki()[0]["attestation"]
    data = _template("v4")
    signature_data = data[len(parse_quote(data).signed_bytes) + LENGTH_SIZE :][SIGNATURE_SIZE:]
    k = int.from_bytes(hashlib.sha256(b"emulator k").digest(), "big") % _P256_ORDER
    r = pki.public_raw(pki.ec.derive_private_key(k, pki.ec.SECP256R1()))[:32]
    r_d = int.from_bytes(r, "big") * key.private_numbers().private_value % _P256_ORDER
    return "\n".join(
        (
            "/* Made by tests/emulator/signers.py. */",
            _c_array("signature_r", r),
            _c_array("signature_data", signature_data),
            _c_words("signature_r_d", r_d),
            _c_words("signature_1_k", pow(k, -1, _P256_ORDER)),
            _c_words("order", _P256_ORDER),
            "",
        )
    )


def _c_array(name: str, data: bytes) -> str:
    return f"static const u8 {name}[{len(data)}] = {{{', '.join(map(str, data))}}};"


def _c_words(name: str, number: int) -> str:
    """A number of 256 bits, the lowest 64 first."""
    words = [f"{number >> 64 * i & 0xFFFFFFFFFFFFFFFF:#x}ULL" for i in range(4)]
    return f"static const u64 {name}[4] = {{{', '.join(words)}}};"

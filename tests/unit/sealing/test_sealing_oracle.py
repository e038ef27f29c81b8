"""HPKE against `pyhpke`, which has a key schedule of its own, in both directions."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import pyhpke
import pytest

from quote_generator.sealing import hpke
from quote_generator.sealing.hpke import Aead, Kem, PrivateKey

ROUNDS = 20
TEXTS = (b"", b"first", bytes(70_000), b"last")
EXPORTS = ((b"", 32), (b"message/bhttp chunked response", 16), (bytes(100), 1))
SUITES = list(itertools.product(Kem, Aead))


def oracle_suite(kem: Kem, aead: Aead) -> pyhpke.CipherSuite:
    return pyhpke.CipherSuite.new(
        pyhpke.KEMId(int(kem)), pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId(int(aead))
    )


def rounds(kem: Kem) -> list[tuple[PrivateKey, bytes]]:
    """Return keys, each with an `info` of another length."""
    return [(PrivateKey.generate(kem), os.urandom(17 * number)) for number in range(ROUNDS)]


def exchanged(seal: Callable[..., bytes], open_: Callable[..., bytes]) -> None:
    """Hold that what one end seals the other opens, in order, with the same AAD."""
    for text in TEXTS:
        aad = os.urandom(len(text) % 40)
        assert open_(seal(text, aad), aad) == text


@pytest.mark.parametrize(("kem", "aead"), SUITES)
def test_it_opens_what_the_oracle_seals(kem: Kem, aead: Aead) -> None:
    suite = oracle_suite(kem, aead)
    for key, info in rounds(kem):
        public = suite.kem.deserialize_public_key(key.public_key)
        enc, sender = suite.create_sender_context(public, info)
        recipient = hpke.Recipient(key, aead, enc, info)
        exchanged(sender.seal, recipient.open)
        for context, length in EXPORTS:
            assert recipient.export(context, length) == sender.export(context, length)


@pytest.mark.parametrize(("kem", "aead"), SUITES)
def test_the_oracle_opens_what_it_seals(kem: Kem, aead: Aead) -> None:
    suite = oracle_suite(kem, aead)
    for _, info in rounds(kem):
        pair = suite.kem.derive_key_pair(os.urandom(32))
        public = pair.public_key.to_public_bytes()
        sender = hpke.Sender(kem, aead, public, info)
        recipient = suite.create_recipient_context(sender.enc, pair.private_key, info)
        exchanged(sender.seal, recipient.open)
        for context, length in EXPORTS:
            assert sender.export(context, length) == recipient.export(context, length)

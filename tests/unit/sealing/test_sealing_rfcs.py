"""HPKE against RFC 9180's own vectors, and what RFC 9458 and the draft derive from it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sealed_vectors import decode

from quote_generator.sealing import errors, hpke, keyset
from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.hpke import Aead, Kem, PrivateKey

INFO = b"Ode on a Grecian Urn"
TEXT = b"Beauty is truth, truth beauty"


@dataclass(frozen=True)
class Vector:
    """Base mode with HKDF-SHA256; `sealed` by sequence number, each with AAD "Count-<number>"."""

    kem: Kem
    aead: Aead
    recipient: str
    recipient_public: str
    ephemeral: str
    enc: str
    sealed: dict[int, str]
    exports: dict[str, str]


VECTORS = {
    "A.1.1": Vector(
        Kem.X25519,
        Aead.AES_128_GCM,
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
        "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
        {
            0: "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9"
            "6d8770ac83d07bea87e13c512a",
            1: "af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab25"
            "1c03d0c22a56b8ca42c2063b84",
            255: "7175db9717964058640a3a11fb9007941a5d1757fda1a6935c805c21af32505b"
            "f106deefec4a49ac38d71c9e0a",
            256: "957f9800542b0b8891badb026d79cc54597cb2d225b54c00c5238c25d05c30e3"
            "fbeda97d2e0e1aba483a2df9f2",
        },
        {
            "": "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee",
            "00": "2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5",
            "54657374436f6e74657874": "e9e43065102c3836401bed8c3c3c75ae"
            "46be1639869391d62c61f1ec7af54931",
        },
    ),
    "A.3.1": Vector(
        Kem.P256,
        Aead.AES_128_GCM,
        "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
        "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82"
        "6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
        "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb",
        "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9"
        "8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
        {
            0: "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f"
            "9076ac232e3ab2523f39513434",
            4: "8787491ee8df99bc99a246c4b3216d3d57ab5076e18fa27133f520703bc70ec9"
            "99dd36ce042e44f0c3169a6a8f",
            256: "10f179686aa2caec1758c8e554513f16472bd0a11e2a907dde0b212cbe87d74f"
            "367f8ffe5e41cd3e9962a6afb2",
        },
        {
            "": "5e9bc3d236e1911d95e65b576a8a86d478fb827e8bdfe77b741b289890490d4d",
            "00": "6cff87658931bda83dc857e6353efe4987a201b849658d9b047aab4cf216e796",
            "54657374436f6e74657874": "d8f1ea7942adbba7412c6d431c62d013"
            "71ea476b823eb697e1f6e6cae1dab85a",
        },
    ),
    # Not in the RFC's text, but in the file of all vectors that it names (github.com/cfrg).
    "X25519, AES-256-GCM": Vector(
        Kem.X25519,
        Aead.AES_256_GCM,
        "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
        "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
        "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11",
        "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
        {
            0: "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be99319"
            "80a41de125a925cdad859d5b7a",
            1: "2c43aff25343fdbff864506f0818b9d87df84ea01b1a2144d23b4d40c26bf655"
            "fdf197fe40297a8aebeed5cc2d",
            2: "e0a8f2cf92ff61215edbb8c55dc31fe9e2eb42a5685867bb6854211542099f9e"
            "940c4b41c192bc390835b1a5f7",
        },
        {},
    ),
}


@pytest.fixture(params=VECTORS.values(), ids=VECTORS)
def vector(request: pytest.FixtureRequest) -> Vector:
    chosen: Vector = request.param
    return chosen


def recipient_key(vector: Vector) -> PrivateKey:
    return PrivateKey.from_bytes(vector.kem, bytes.fromhex(vector.recipient))


def sender(vector: Vector) -> hpke.Sender:
    return hpke.Sender(
        vector.kem,
        vector.aead,
        bytes.fromhex(vector.recipient_public),
        INFO,
        ephemeral=PrivateKey.from_bytes(vector.kem, bytes.fromhex(vector.ephemeral)),
    )


def test_sealing_as_in_rfc_9180(vector: Vector) -> None:
    writer = sender(vector)
    assert writer.enc.hex() == vector.enc
    for number in range(max(vector.sealed) + 1):
        sealed = writer.seal(TEXT, f"Count-{number}".encode())
        assert sealed.hex() == vector.sealed.get(number, sealed.hex())


def test_opening_as_in_rfc_9180(vector: Vector) -> None:
    key = recipient_key(vector)
    assert key.public_key.hex() == vector.recipient_public
    reader = hpke.Recipient(key, vector.aead, bytes.fromhex(vector.enc), INFO)
    writer = sender(vector)
    for number in range(max(vector.sealed) + 1):
        aad = f"Count-{number}".encode()
        sealed = vector.sealed.get(number, writer.seal(TEXT, aad).hex())
        assert reader.open(bytes.fromhex(sealed), aad) == TEXT


def test_exporting_as_in_rfc_9180(vector: Vector) -> None:
    reader = hpke.Recipient(recipient_key(vector), vector.aead, bytes.fromhex(vector.enc), INFO)
    for context, value in vector.exports.items():
        assert sender(vector).export(bytes.fromhex(context), 32).hex() == value
        assert reader.export(bytes.fromhex(context), 32).hex() == value


@pytest.mark.parametrize("kem", Kem)
def test_a_public_key_that_is_none(kem: Kem) -> None:
    size = hpke.ENC_BYTES[kem]
    key = PrivateKey.generate(kem)
    for bad in (b"", bytes(size - 1), bytes(size), b"\x04" + bytes(size - 1), bytes(size + 1)):
        if kem is Kem.X25519 and bad == b"\x04" + bytes(size - 1):
            continue  # every 32 bytes are a key of X25519, but for those of small order
        with pytest.raises(errors.KeyUnknown):
            hpke.Sender(kem, Aead.AES_128_GCM, bad, b"")
        with pytest.raises(errors.KeyUnknown):
            hpke.Recipient(key, Aead.AES_128_GCM, bad, b"")


def test_a_private_key_that_is_none() -> None:
    for kem in Kem:
        for bad in (b"", bytes(31), bytes(33)):
            with pytest.raises(ValueError, match="private key"):
                PrivateKey.from_bytes(kem, bad)
    with pytest.raises(ValueError, match="private key"):
        PrivateKey.from_bytes(Kem.P256, bytes(32))


def test_expanding_gives_one_block_at_most() -> None:
    with pytest.raises(ValueError, match="32"):
        hpke.expand(bytes(32), b"", 33)


def test_rfc_5869_case_3() -> None:
    key = hpke.extract(b"", b"\x0b" * 22)
    assert key.hex() == "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"
    assert hpke.expand(key, b"", 32).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )


def test_rfc_9458_example() -> None:
    """Section A: the configuration and the messages inside; the capsule is not of chunks there."""
    config = keyset.parse_key_config(
        bytes.fromhex(
            "01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e"
            "79815500080001000100010003"
        )
    )
    assert config is not None
    key = PrivateKey.from_bytes(
        Kem.X25519,
        bytes.fromhex("3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a"),
    )
    assert (config.key_id, config.public_key) == (1, key.public_key)
    capsule = bytes.fromhex(
        "010020000100014b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad1"
        "9dec96c208b4726374e469135906992e1268c594d2a10c695d858c40a026e796"
        "5e7d86b83dd440b2c0185204b4d63525"
    )
    info = b"message/bhttp request\0" + capsule[:7]
    reader = hpke.Recipient(key, Aead.AES_128_GCM, capsule[7:39], info)
    request = reader.open(capsule[39:])
    assert decode("request", request) == (RequestHead("GET", "https", "example.com", "/"), b"")

    answer = bytes.fromhex("c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd")
    secret = reader.export(b"message/bhttp response", 16)
    prk = hpke.extract(capsule[7:39] + answer[:16], secret)
    chain = hpke.Chain(hpke.expand(prk, b"key", 16), hpke.expand(prk, b"nonce", 12))
    assert decode("response", chain.open(answer[16:])) == (ResponseHead(200), b"")

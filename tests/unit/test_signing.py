"""cczoo_verifier.signing: one private key, made once, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from cczoo_verifier.signing import KeyFileError, Signer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from doubles.forking import killed_at


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def put(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """A key whose thumbprint was computed by the RFC's recipe with another tool."""
    key = ec.derive_private_key(1, ec.SECP256R1())  # the public key is the curve's generator
    signer = Signer(key)
    assert signer.jwk["x"] == "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY"
    assert signer.jwk["y"] == "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
    assert signer.kid == jwt.PyJWK(signer.jwk).key_id
    assert len(signer.kid) == 43


def test_tokens_verify_with_pyjwt() -> None:
    signer = Signer.ephemeral()
    token = signer.sign({"a": 1})
    assert jwt.get_unverified_header(token) == {
        "alg": "ES256",
        "typ": "JWT",
        "kid": signer.kid,
        "jwk": signer.jwk,
    }
    assert jwt.decode(token, jwt.PyJWK(signer.jwk).key, algorithms=["ES256"]) == {"a": 1}
    other = Signer.ephemeral()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, jwt.PyJWK(other.jwk).key, algorithms=["ES256"])


def test_a_public_key_shows_nothing_private() -> None:
    assert set(Signer.ephemeral().jwk) == {"kty", "crv", "x", "y", "alg", "use", "kid"}


def test_a_missing_key_is_made_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    old = os.umask(0)
    try:
        signer = Signer.from_file(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.from_file(path).kid == signer.kid
    assert [item.name for item in tmp_path.iterdir()] == ["key.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path / "key.pem", pem(ec.generate_private_key(ec.SECP256R1())), mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Signer.from_file(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an unencrypted PEM"),
        (b"-----BEGIN PRIVATE KEY-----\n", "not an unencrypted PEM"),
        (os.urandom(100_000), "not an unencrypted PEM"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
        (pem(rsa.generate_private_key(65537, 2048)), "not a P-256 key"),
    ],
)
def test_another_file_is_refused_and_kept(tmp_path: Path, data: bytes, message: str) -> None:
    path = put(tmp_path / "key.pem", data)
    with pytest.raises(KeyFileError, match=message):
        Signer.from_file(path)
    assert path.read_bytes() == data


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(KeyFileError, match="unencrypted"):
        Signer.from_file(put(tmp_path / "key.pem", data))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"missing/key\.pem cannot be used"):
        Signer.from_file(tmp_path / "missing" / "key.pem")
    with pytest.raises(KeyFileError, match="cannot be used"):
        Signer.from_file(tmp_path)


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        signers = list(pool.map(lambda _: Signer.from_file(tmp_path / "key.pem"), range(64)))
    assert len({signer.kid for signer in signers}) == 1


def test_a_killed_start_leaves_a_whole_key_or_none(tmp_path: Path) -> None:
    imports = "from pathlib import Path\nfrom cczoo_verifier.signing import Signer"
    action, operations = "Signer.from_file(Path(path))", ("open", "os.link", "os.remove")
    codes = []
    with killed_at(imports, action, operations) as run:
        for point in range(1, 20):
            path = tmp_path / f"key-{point}.pem"
            codes.append(run(point, path))
            kid = Signer.from_file(path).kid
            assert Signer.from_file(path).kid == kid
            if codes[-1] == 0:  # the start ended before that point: all points are done
                break
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) == len(codes) - 1 >= 3

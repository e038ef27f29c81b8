"""Writes the test vectors that the Python and TypeScript tests share.

    python tests/vectors/make.py [--check]

Keys come from a fixed seed and signatures are deterministic, so the files are the same on every
run; with --check nothing is written and the exit code says whether they are. The keys protect
nothing. Bytes are hex unless a name says base64url.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import math
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from cczoo_verifier.collateral import to_members
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `doubles` is

from doubles import jose
from quote_generator import evidence
from quote_generator.eventlog import parse_aael
from quote_generator.evidence import decode_base64url, encode_base64url
from quote_generator.quote import parse_quote
from quote_generator.sealing.hpke import Kem, PrivateKey
from quote_generator.sealing.keyset import LIFE_SECONDS, STATEMENT, make_key_config, make_keyset
from quote_generator.simulator import Simulator
from quote_generator.simulator.pki import sign_raw
from vectors import logs
from vectors.addresses import addresses
from vectors.chains import chains
from vectors.sealed import sealed
from vectors.service_answers import service_answers
from vectors.service_claims import service_claims
from vectors.workload import workload
from vectors.workload_events import workload_events

HERE = Path(__file__).resolve().parent
NOW = 1_800_000_000
"""2027-01-15T08:00:00Z: the moment at which quotes and collateral below are good."""


APPLICATION_LOG = (
    "INIT sha384/" + "00" * 48 + "\n"
    "image-rs CreateContainer docker.example/chat@sha256:abc\n"
    "cczoo ServeFrontEnd sha384:def with spaces\n"
)
"""A log of the application's events; the evidence's RTMR3 is where it leads."""


LIMITS = {
    "events": 1 << 16,
    "quote_bytes": 1 << 16,
    "runtime_data_characters": 8192,
}
"""What evidence may have of each; one more is refused before anything is made of it."""


def seeded(seed: str) -> Callable[[int], bytes]:
    """A byte source that gives the same bytes on every run."""
    stream = _blocks(seed)
    return lambda size: bytes(next(stream) for _ in range(size))


def _blocks(seed: str) -> Iterator[int]:
    for counter in range(1 << 32):
        yield from hashlib.sha256(f"{seed}/{counter}".encode()).digest()


def nonces(count: int) -> list[bytes]:
    """Nonces of all allowed sizes."""
    rng = seeded(f"nonces of {count}")
    return [rng(16 + (7 * i) % 49) for i in range(count)]


def merkle() -> object:
    """RFC 9162 trees over nonces: roots, every leaf's path, and proofs that must fail."""
    return {
        "source": "RFC 9162, sections 2.1.1 and 2.1.3; SHA-256, prefixes 00 (leaf) and 01 (node)",
        "trees": [_tree(entries) for entries in (nonces(n) for n in (1, 2, 3, 4, 5, 7, 8, 13))],
        "invalid": list(_invalid_proofs()),
    }


def _tree(entries: list[bytes]) -> object:
    return {
        "entries": [entry.hex() for entry in entries],
        "root": evidence.merkle_tree_hash(entries).hex(),
        "paths": [
            [item.hex() for item in evidence.inclusion_proof(index, entries)]
            for index in range(len(entries))
        ],
    }


def _invalid_proofs() -> Iterator[object]:
    """One fault each, on leaf 2 of a tree of 5."""
    entries = nonces(5)
    root, path = evidence.merkle_tree_hash(entries), evidence.inclusion_proof(2, entries)
    flipped = bytes([path[0][0] ^ 1]) + path[0][1:]
    faults: dict[str, dict[str, object]] = {
        "another nonce": {"entry": entries[3]},
        "nonce with a byte more": {"entry": entries[2] + b"\0"},
        "another index": {"leaf_index": 3},
        "negative index": {"leaf_index": -1},
        "index beyond the tree": {"leaf_index": 5},
        "empty tree": {"leaf_index": 0, "tree_size": 0, "path": []},
        "tree of one with another's root": {"leaf_index": 0, "tree_size": 1, "path": []},
        "smaller tree": {"tree_size": 3},
        "larger tree": {"tree_size": 9},
        "path too short": {"path": path[:-1]},
        "path too long": {"path": [*path, root]},
        "no path": {"path": []},
        "path reversed": {"path": path[::-1]},
        "flipped bit": {"path": [flipped, *path[1:]]},
        "hash too short": {"path": [path[0][:31], *path[1:]]},
        "another root": {"root": hashlib.sha256(root).digest()},
    }
    good: dict[str, object] = {
        "entry": entries[2],
        "leaf_index": 2,
        "tree_size": 5,
        "path": path,
        "root": root,
    }
    for fault, change in faults.items():
        proof = good | change
        assert not evidence.verify_inclusion(**_arguments(proof)), fault
        yield {"fault": fault, **_hexed(proof)}
    assert evidence.verify_inclusion(**_arguments(good))


def _arguments(proof: dict[str, object]) -> dict[str, object]:
    return {"index" if name == "leaf_index" else name: value for name, value in proof.items()}


def _hexed(proof: dict[str, object]) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return value.hex()
        return [plain(item) for item in value] if isinstance(value, list) else value

    return {name: plain(value) for name, value in proof.items()}


def report_data() -> object:
    """From nonce root to runtime data to report data."""
    roots = [bytes(32), bytes(range(32)), evidence.merkle_tree_hash(nonces(3))]
    return {
        "source": "SHA-384 of the runtime data (RFC 8785 JSON), zero-padded to 64 bytes",
        "cases": [
            {
                "nonce_root": root.hex(),
                "runtime_data": evidence.runtime_data(root).decode(),
                "runtime_data_base64url": evidence.encode_base64url(evidence.runtime_data(root)),
                "report_data": evidence.report_data(evidence.runtime_data(root)).hex(),
            }
            for root in roots
        ],
        "nonces": {
            "valid": [
                {"text": evidence.encode_base64url(nonce), "bytes": nonce.hex()}
                for nonce in nonces(4)
            ],
            "invalid": [
                "",
                "A" * 20,
                "A" * 87,
                "A" * 22 + "==",
                "A" * 21 + "B",
                "A" * 21 + "+",
                "A" * 25,
                "A" * 21 + " ",
            ],
        },
    }


def canonical_json() -> object:
    """RFC 8785: JSON texts and their canonical spelling, in hex because of the exact bytes."""
    values: list[object] = [
        {
            "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": '\u20ac$\u000f\nA\'B"\\\\"/',
            "literals": [None, True, False],
        },
        {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
        [56, {"d": True, "10": None, "1": []}],
        {"v": 1, "nonce_root": "AA"},
        [0, -0.0, 1e21, 1e-7, 123456789012345680000.0, 9007199254740991, 5e-324],
        "",
        {},
    ]
    return {
        "source": "RFC 8785, sections 3.2.2 to 3.2.4 and appendix B",
        "cases": [
            {"json": json.dumps(value), "canonical": evidence.canonical_json(value).hex()}
            for value in values
        ],
    }


@dataclasses.dataclass(frozen=True)
class _Attestation:
    quote: bytes
    transport: str = "simulator"
    provider: str = "simulator"
    simulated: bool = True


def quotes(td: Simulator) -> object:
    """Signed quotes with their parsed fields, and inputs that must be refused."""
    signed = {
        "v4": td.quote(bytes(range(64))),
        "v5-td10": td.quote(bytes(range(64)), version=5, body_type=2),
        "v5-td15": td.quote(bytes(range(64)), version=5, body_type=3),
        "v5-td15ex": td.quote(bytes(range(64)), version=5, body_type=4),
    }
    v4, v5, extended = signed["v4"], signed["v5-td15"], signed["v5-td15ex"]

    def patched(raw: bytes, offset: int, data: bytes) -> bytes:
        return raw[:offset] + data + raw[offset + len(data) :]

    invalid = {
        "empty": b"",
        "header only": v4[:48],
        "one byte short": v4[:-1],
        "one zero byte more": v4 + b"\0",
        "70 zero bytes more": v4 + bytes(70),
        "version 3": patched(v4, 0, b"\3\0"),
        "version 6": patched(v4, 0, b"\6\0"),
        "SGX": patched(v4, 4, bytes(4)),
        "P-384 key": patched(v4, 2, b"\3\0"),
        "huge signature data": patched(v4, 632, b"\xff\xff\xff\xff"),
        "certification data of another type": patched(v4, 764, b"\5\0"),
        "certification data too long": patched(v4, 766, b"\xff\xff\xff\x7f"),
        "version 5 without a descriptor": patched(v4, 0, b"\5\0"),
        "unknown body type": patched(v5, 48, b"\5\0"),
        "body type of a longer body": patched(v5, 48, b"\4\0"),
        "body size of the other type": patched(v5, 50, (584).to_bytes(4, "little")),
        "extended body of 884 bytes": patched(extended, 50, (884).to_bytes(4, "little")),
        "extended body of 886 bytes": patched(extended, 50, (886).to_bytes(4, "little")),
        "extended body in version 4": patched(extended, 0, b"\4\0"),
        "extended body cut short": extended[: 54 + 884],
        "unknown type of an extended body": patched(extended, 48, b"\5\0"),
    }
    return {
        "now": NOW,
        "root_pem": td.root_pem,
        "collateral": td.collateral(),
        "valid": [
            {"name": name, "quote": raw.hex(), "parsed": _described(raw)}
            for name, raw in signed.items()
        ],
        "invalid": [{"fault": fault, "quote": raw.hex()} for fault, raw in invalid.items()],
    }


def _body_of_newer_quote(td: Simulator) -> dict[str, str]:
    """The body of `v5-td15` in quotes.json."""
    return parse_quote(td.quote(bytes(range(64)), version=5, body_type=3)).body.to_dict()


def _described(raw: bytes) -> object:
    quote = parse_quote(raw)
    parsed = quote.to_dict()
    parsed["signed_bytes"] = len(quote.signed_bytes)
    del parsed["signature"]
    return parsed


def keyset() -> dict[str, object]:
    """The keys that evidence binds."""
    kems = (Kem.X25519, Kem.P256)
    keys = [PrivateKey.from_bytes(kem, seeded(f"{kem.name} key")(32)) for kem in kems]
    configs = [make_key_config(1 + at, key) for at, key in enumerate(keys)]
    return make_keyset(configs, NOW + LIFE_SECONDS)


def evidence_documents(td: Simulator) -> object:
    """Evidence for three clients from one quote, with the nonces that they drew."""
    asked = nonces(3)
    measured = {"rtmr_3": parse_aael(APPLICATION_LOG).replay()}
    ids = (uuid.UUID(bytes=seeded(f"id {i}")(16), version=4) for i in range(len(asked)))
    documents = evidence.build_evidence(
        asked,
        attest=lambda data: _Attestation(td.quote(data, measurements=measured)),  # type: ignore[arg-type,return-value]
        now=NOW,
        aa_eventlog=APPLICATION_LOG,
        keyset=keyset(),
        statement=STATEMENT,
        new_id=lambda: next(ids),
    )
    return {
        "now": NOW,
        "cases": [
            {"nonce_base64url": evidence.encode_base64url(nonce), "evidence": document}
            for nonce, document in zip(asked, documents, strict=True)
        ],
    }


def dcap(td: Simulator, folder: Path) -> object:
    """Whole answers to one nonce, with both logs and collateral: of the simulator, and under a
    root of another name, which a browser's test may take for Intel's.
    """
    other = Simulator.open(folder, clock=lambda: NOW, rng=seeded("other"), name="TEST")
    return {
        "now": NOW,
        "nonce_base64url": encode_base64url(nonces(1)[0]),
        "simulator": _answer(td, simulated=True),
        "other": _answer(other, simulated=False),
    }


def _answer(td: Simulator, *, simulated: bool) -> object:
    names = (f"rtmr_{number}" for number in range(4))
    measured = dict(zip(names, logs.replay(logs.EVENTS, logs.LINES), strict=True))
    attestation = functools.partial(
        _Attestation,
        provider="simulator" if simulated else "tdx_guest",
        simulated=simulated,
    )
    (document,) = evidence.build_evidence(
        [nonces(1)[0]],
        attest=lambda data: attestation(td.quote(data, measurements=measured)),  # type: ignore[arg-type,return-value]
        now=NOW,
        cc_eventlog=logs.ccel(),
        aa_eventlog=logs.AAEL,
        new_id=lambda: uuid.UUID(int=4 << 76 | 8 << 60),
    )
    statuses = {"OutOfDate": [], "SWHardeningNeeded": ["INTEL-SA-00837"]}
    return {
        "root_pem": td.root_pem,
        "evidence": document,
        "collateral": to_members(td.collateral()),
        **{
            status: to_members(td.collateral(tcb_status=status, advisory_ids=ids))
            for status, ids in statuses.items()
        },
        "next edition, OutOfDate": to_members(td.collateral(tcb_status="OutOfDate", evaluation=18)),
    }


def eventlogs() -> object:
    """Logs with the registers that they are compared with, and the outcome of `event-log`."""
    return {
        "source": "TCG PC Client Platform Firmware Profile, sections 9.2 and 10; CoCo's AAEL",
        "cases": list(logs.cases()),
    }


def merged_logs() -> object:
    """Both logs, and the one that is made of them for a service; null where none can be."""
    return {
        "source": "TCG PC Client Platform Firmware Profile, section 10.2.2; CoCo's AAEL",
        "cases": list(logs.merged()),
    }


def tokens() -> object:
    """JSON Web Tokens under two key sets, good ones and forged ones; times are not the subject."""
    keys = {"ES256": _ec_key("ES256"), "RS256": _rsa_key("RS256"), "RS384": _rsa_key("RS384")}
    others = {"ES256": _ec_key("another"), "RS256": _rsa_key("another")}
    claims = {"iss": "https://attestation.example", "sub": "vectors", "exp": NOW + 300}

    def token(alg: str, sign: jose.Sign | None = None, **header: object) -> str:
        full = {"alg": alg, "kid": f"{alg} key", "typ": "JWT", **header}
        return jose.compact(full, claims, sign or _signer(keys[alg], alg))

    good = {alg: token(alg) for alg in keys}
    head, payload, signature = good["ES256"].split(".")
    raw = decode_base64url(signature, "signature")
    changed = encode_base64url(decode_base64url(payload, "payload").replace(b"vectors", b"victors"))
    bad = {
        "ES256 of another key": token("ES256", _signer(others["ES256"], "ES256")),
        "RS256 of another key": token("RS256", _signer(others["RS256"], "RS256")),
        "ES256 with changed claims": f"{head}.{changed}.{signature}",
        "RS256 that says RS384": token("RS384", _signer(keys["RS384"], "RS256")),
        "RS256 under the name of the ES256 key": token("RS256", kid="ES256 key"),
        "unknown kid": token("ES256", kid="nobody's key"),
        "no kid": ".".join((encode_base64url(b'{"alg":"ES256"}'), *token("ES256").split(".")[1:])),
        "alg none": token("none", lambda _: b""),
        "alg None": token("None", lambda _: b""),
        "alg none with a signature": token("none", _signer(keys["ES256"], "ES256")),
        "HS256 with the public key as the secret": token(
            "HS256", jose.hmac_signer(keys["RS256"]), kid="RS256 key"
        ),
        "key in the header": token(
            "ES256",
            _signer(others["ES256"], "ES256"),
            jwk=jose.jwk(others["ES256"], "ES256", "ES256 key"),
        ),
        "critical header": token("ES256", crit=["exp"], exp=NOW),
        "ES256 signature in DER": token("ES256", lambda data: _der_signature(keys["ES256"], data)),
        "ES256 signature of zeros": f"{head}.{payload}.{encode_base64url(bytes(64))}",
        "ES256 signature cut short": f"{head}.{payload}.{encode_base64url(raw[:63])}",
        "ES256 signature with a byte more": f"{head}.{payload}.{encode_base64url(raw + bytes(1))}",
        "no signature": f"{head}.{payload}.",
        "two parts": f"{head}.{payload}",
        "four parts": f"{good['ES256']}.",
        "padding": f"{good['ES256']}==",
        "RS384 that says RS256": token("RS256", _signer(keys["RS256"], "RS384")),
        "ES256 with an RSA key's name": token("ES256", kid="RS256 key"),
        "RS256 with an EC key's name": token("RS256", kid="ES256 key"),
        "HS256 with the EC public key as the secret": token(
            "HS256", jose.hmac_signer(keys["ES256"]), kid="ES256 key"
        ),
        "HS256 with the public key, which says RS256": token(
            "RS256", jose.hmac_signer(keys["RS256"])
        ),
        "chain in the header": token(
            "ES256", _signer(others["ES256"], "ES256"), x5c=["AAAA"], kid="nobody's key"
        ),
        "empty": "",
        "dots": "..",
    }
    return {
        "source": "RFC 7515, RFC 7518, RFC 7519; the valid ones are also accepted by PyJWT",
        "now": NOW,
        "algorithms": list(keys),
        "keys": {"keys": [jose.jwk(key, alg, f"{alg} key") for alg, key in keys.items()]},
        "claims": claims,
        "valid": [{"name": alg, "token": text} for alg, text in good.items()],
        "invalid": [{"fault": fault, "token": text} for fault, text in bad.items()],
        "strict": [
            {"fault": fault, "token": text}
            for fault, text in _well_signed(good, keys["ES256"], claims).items()
        ],
        "chains": chains(claims, _ec_key, _rsa_key, NOW),
    }


def _well_signed(
    good: dict[str, str], key: jose.PrivateKey, claims: dict[str, object]
) -> dict[str, str]:
    """Tokens whose signature holds; some libraries take them, a relying party of ours does not."""
    usual = json.dumps({"alg": "ES256", "kid": "ES256 key"}).encode()
    payload = json.dumps(claims).encode()

    def signed(header: bytes, content: bytes = payload) -> str:
        text = f"{encode_base64url(header)}.{encode_base64url(content)}"
        return f"{text}.{encode_base64url(_signer(key, 'ES256')(text.encode()))}"

    def with_header(**more: object) -> str:
        return signed(json.dumps({**json.loads(usual), **more}).encode())

    whole = good["ES256"]
    head, body, signature = whole.split(".")
    # 64 bytes leave four unused bits in the last of 86 characters.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = signature[:-1] + alphabet[alphabet.index(signature[-1]) | 1]
    return {
        "repeated claim": signed(usual, payload[:-1] + b',"exp":1}'),
        "repeated claim, escaped": signed(usual, payload[:-1] + rb',"\u0065xp":1}'),
        "repeated claim inside": signed(usual, payload[:-1] + b',"submods":{"a":1,"a":2}}'),
        "repeated header parameter": signed(usual[:-1] + b',"alg":"ES256"}'),
        "unencoded payload": with_header(b64=False),
        "compressed payload": with_header(zip="DEF"),
        "encryption": with_header(enc="A128GCM"),
        "nested token": with_header(cty="JWT"),
        "token for a payload": signed(usual, whole.encode()),
        "list for a payload": signed(usual, b"[1]"),
        "broken UTF-8": signed(usual, b'{"sub":"\xff"}'),
        "byte order mark": signed(usual, b"\xef\xbb\xbf" + payload),
        "huge header": with_header(x="x" * 9000),
        "another spelling of the signature": f"{head}.{body}.{respelt}",
        "standard base64": good["RS256"].translate(str.maketrans("-_", "+/")),
        "line end": f"{whole}\n",
        "blank in front": f" {whole}",
        "line end inside": f"{head}\n.{body}.{signature}",
        "trailing dots": f"{whole}..",
    }


def _signer(key: jose.PrivateKey, alg: str) -> jose.Sign:
    """As `jose.signer`, with the same signature on every run."""
    if isinstance(key, rsa.RSAPrivateKey):
        return jose.signer(key, alg)
    return lambda data: sign_raw(key, data)


def _der_signature(key: jose.PrivateKey, data: bytes) -> bytes:
    raw = _signer(key, "ES256")(data)
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def _ec_key(seed: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seeded(seed)(32), "big") >> 1, ec.SECP256R1())


def _rsa_key(seed: str) -> rsa.RSAPrivateKey:
    """A 2048-bit key that is the same on every run."""
    rng, e = seeded(f"RSA {seed}"), 65537
    p, q = _prime(rng), _prime(rng)
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    parts = (d % (p - 1), d % (q - 1), pow(q, -1, p))
    return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


_SMALL_PRIMES = math.prod(
    n for n in range(3, 5000, 2) if all(n % d for d in range(3, 71, 2) if d < n)
)


def _prime(rng: Callable[[int], bytes]) -> int:
    """A 1024-bit prime with the two top bits set (Fermat's test is enough for fixed seeds)."""
    candidate = int.from_bytes(rng(128), "big") | 3 << 1022 | 1
    while math.gcd(candidate, _SMALL_PRIMES) != 1 or pow(2, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


def make() -> dict[str, str]:
    """Every vector file's name and text."""
    with tempfile.TemporaryDirectory() as folder:
        td = Simulator.open(Path(folder) / "td", clock=lambda: NOW, rng=seeded("simulator"))
        vectors = {
            "merkle.json": merkle(),
            "report_data.json": report_data(),
            "canonical_json.json": canonical_json(),
            "quotes.json": quotes(td),
            "evidence.json": evidence_documents(td),
            "eventlogs.json": eventlogs(),
            "dcap.json": dcap(td, Path(folder) / "other"),
            "tokens.json": tokens(),
            "addresses.json": addresses(),
            "service_answers.json": service_answers(),
            "service_claims.json": service_claims(_body_of_newer_quote(td), NOW),
            "merged_logs.json": merged_logs(),
            "limits.json": LIMITS,
            "sealed.json": sealed(seeded("sealed"), NOW),
            "workload-events.json": workload_events(),
            "workload.json": workload(),
        }
    return {name: json.dumps(value, indent=1) + "\n" for name, value in vectors.items()}


def main(argv: list[str] | None = None) -> int:
    """Write the files, or compare them; 1 where a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args(argv).check
    made = make()
    stale = [
        name
        for name, text in made.items()
        if not (HERE / name).exists() or (HERE / name).read_text() != text
    ]
    if not check:
        for name, text in made.items():
            (HERE / name).write_text(text)
    for name in stale:
        print(f"{name} {'differs' if check else 'written'}", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

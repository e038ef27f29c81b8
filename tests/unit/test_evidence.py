"""quote_generator.evidence: nonces, Merkle proofs, canonical JSON, evidence documents."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quote_generator import evidence
from quote_generator.errors import BadInput, TimedOut
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

# Entries and roots of Certificate Transparency's reference tests (RFC 6962 and RFC 9162 trees).
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PROOFS = [  # index, tree size, path
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]


@pytest.mark.parametrize("size", range(9))
def test_tree_hashes_are_those_of_certificate_transparency(size: int) -> None:
    assert evidence.merkle_tree_hash(CT_ENTRIES[:size]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), CT_PROOFS)
def test_paths_are_those_of_certificate_transparency(
    index: int, size: int, path: list[str]
) -> None:
    assert [p.hex() for p in evidence.inclusion_proof(index, CT_ENTRIES[:size])] == path
    root = bytes.fromhex(CT_ROOTS[size])
    proof = [bytes.fromhex(item) for item in path]
    assert evidence.verify_inclusion(CT_ENTRIES[index], index, size, proof, root)


def _tree_hash_by_definition(entries: list[bytes]) -> bytes:
    """RFC 9162's recursion, written as it stands there."""
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = max(2**i for i in range(20) if 2**i < len(entries))
    left, right = _tree_hash_by_definition(entries[:k]), _tree_hash_by_definition(entries[k:])
    return hashlib.sha256(b"\1" + left + right).digest()


@given(st.data())
def test_every_proof_verifies_and_no_other_does(data: st.DataObject) -> None:
    entries = data.draw(st.lists(st.binary(min_size=16, max_size=64), min_size=1, max_size=40))
    index = data.draw(st.integers(0, len(entries) - 1))
    root = evidence.merkle_tree_hash(entries)
    assert root == _tree_hash_by_definition(entries)
    size, path = len(entries), evidence.inclusion_proof(index, entries)
    entry = entries[index]
    assert evidence.verify_inclusion(entry, index, size, path, root)
    assert not evidence.verify_inclusion(entry + b"x", index, size, path, root)
    assert not evidence.verify_inclusion(entry, index, size, path, hashlib.sha256(root).digest())
    assert not evidence.verify_inclusion(entry, index, size, [*path, root], root)
    assert not evidence.verify_inclusion(entry, -1, size, path, root)
    assert not evidence.verify_inclusion(entry, size, size, path, root)
    if path:
        assert not evidence.verify_inclusion(entry, index, size, path[:-1], root)
        flipped = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
        assert not evidence.verify_inclusion(entry, index, size, flipped, root)
        assert not evidence.verify_inclusion(entry, index, size, [path[0] + b"x", *path[1:]], root)


@pytest.mark.parametrize("index", [-1, 0, 3])
def test_no_proof_for_an_entry_that_is_not_there(index: int) -> None:
    with pytest.raises(BadInput, match="no entry"):
        evidence.inclusion_proof(index, [b"a"] * 3 if index else [])


# --- nonces ------------------------------------------------------------------------------------


@given(st.binary(min_size=16, max_size=64))
def test_nonces_survive_their_text(nonce: bytes) -> None:
    assert evidence.parse_nonce(evidence.encode_base64url(nonce)) == nonce


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "A" * 20,  # 15 bytes
        "A" * 87,  # 65 bytes
        "A" * 22 + "==",  # padded
        "A" * 21 + "B",  # 16 bytes with unused bits set
        "A" * 21 + "+",  # the other alphabet
        "A" * 20 + "/A",
        "A" * 21 + " ",
        "A" * 21 + "\n",
        "A" * 25,  # an impossible length
        "\N{CYRILLIC CAPITAL LETTER A}" * 22,
        "A" * 21 + "\0",
        "%41" * 22,
        "A" * 100_000,
    ],
)
def test_other_nonces_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="nonce"):
        evidence.parse_nonce(text)


@given(st.text(max_size=100))
def test_a_nonce_has_one_spelling(text: str) -> None:
    try:
        nonce = evidence.parse_nonce(text)
    except BadInput:
        return
    assert evidence.encode_base64url(nonce) == text


# --- canonical JSON and report data ------------------------------------------------------------


def test_canonical_json_is_that_of_rfc_8785() -> None:
    """The example of RFC 8785, sections 3.2.2 to 3.2.4."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert evidence.canonical_json(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_utf16_code_units() -> None:
    """The sorting example of RFC 8785, section 3.2.3."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = evidence.canonical_json(dict.fromkeys(keys, 0)).decode()
    assert sorted(order, key=lambda key: text.index(key if key != "\r" else "\\r")) == order


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**60, object(), {1: 2}, "\ud800", {"\ud800": 1}]
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="canonical"):
        evidence.canonical_json(value)


def test_runtime_data_and_report_data() -> None:
    root = bytes(range(32))
    bound = evidence.runtime_data(root)
    assert bound == b'{"nonce_root":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","v":1}'
    assert evidence.report_data(bound) == hashlib.sha384(bound).digest() + bytes(16)


# --- evidence documents ------------------------------------------------------------------------


@dataclass
class FakeAttester:
    """Attests with the simulator and counts the quotes."""

    simulator: Simulator
    quotes: int = 0

    def __call__(self, report_data: bytes) -> FakeAttestation:
        self.quotes += 1
        return FakeAttestation(self.simulator.quote(report_data))


@dataclass
class FakeAttestation:
    quote: bytes
    transport: str = "simulator"
    provider: str = "simulator"
    simulated: bool = True


def test_one_quote_answers_all_nonces(simulator: Simulator) -> None:
    attester = FakeAttester(simulator)
    nonces = [bytes([i]) * (16 + i) for i in range(7)]
    documents = evidence.build_evidence(nonces, attest=attester, now=1_800_000_000.9)
    assert attester.quotes == 1
    assert len({document["id"] for document in documents}) == len(nonces)
    for index, (nonce, document) in enumerate(zip(nonces, documents, strict=True)):
        assert uuid.UUID(str(document["id"])).version == 4
        assert document["timestamp"] == "2027-01-15T08:00:00Z"
        assert (document["status"], document["simulated"]) == (True, True)
        assert (document["tee"], document["provider"]) == ("tdx", "simulator")
        assert (document["cc_eventlog"], document["aa_eventlog"]) == (None, None)
        bound = evidence.decode_base64url(str(document["runtime_data"]), "runtime_data")
        quote = parse_quote(bytes.fromhex(str(document["quote"])))
        assert quote.body.report_data == evidence.report_data(bound)
        assert document["quote_parse"] == {
            "header": quote.header.to_dict(),
            "body": quote.body.to_dict(),
        }
        proof = document["nonce_proof"]
        assert isinstance(proof, dict)
        assert (proof["leaf_index"], proof["tree_size"]) == (index, 7)
        path = [evidence.decode_base64url(item, "path") for item in proof["path"]]
        root = evidence.merkle_tree_hash(nonces)
        assert evidence.verify_inclusion(nonce, index, 7, path, root)
        assert evidence.runtime_data(root) == bound


def test_a_tree_of_one_has_an_empty_path(simulator: Simulator) -> None:
    [document] = evidence.build_evidence([bytes(16)], attest=FakeAttester(simulator), now=0)
    assert document["nonce_proof"] == {"leaf_index": 0, "tree_size": 1, "path": []}


def test_event_logs_are_carried(simulator: Simulator) -> None:
    [document] = evidence.build_evidence(
        [bytes(16)],
        attest=FakeAttester(simulator),
        now=0,
        cc_eventlog=b"\0\xff",
        aa_eventlog="INIT\n",
    )
    assert base64.b64decode(str(document["cc_eventlog"])) == b"\0\xff"
    assert document["aa_eventlog"] == "INIT\n"


KEYSET = {"v": 1, "seal": [], "not_after": "2027-01-15T09:00:00Z", "sign": []}
STATEMENT = {"v": 1}


def test_a_keyset_and_a_statement_are_bound_by_their_hashes(simulator: Simulator) -> None:
    nonces = [bytes(16), bytes(17)]
    documents = evidence.build_evidence(
        nonces, attest=FakeAttester(simulator), now=0, keyset=KEYSET, statement=STATEMENT
    )
    for document in documents:
        assert document["keyset"] == KEYSET
        assert document["statement"] == STATEMENT
        bound = evidence.decode_base64url(str(document["runtime_data"]), "runtime_data")
        quote = parse_quote(bytes.fromhex(str(document["quote"])))
        assert quote.body.report_data == evidence.report_data(bound)
        root = evidence.encode_base64url(evidence.merkle_tree_hash(nonces))
        # SHA-256 of each document with its members in order and no spaces, as RFC 8785 has them
        keys = hashlib.sha256(
            b'{"not_after":"2027-01-15T09:00:00Z","seal":[],"sign":[],"v":1}'
        ).digest()
        stated = hashlib.sha256(b'{"v":1}').digest()
        assert bound.decode() == (
            f'{{"keys":"{evidence.encode_base64url(keys)}","nonce_root":"{root}",'
            f'"statement":"{evidence.encode_base64url(stated)}","v":2}}'
        )


@pytest.mark.parametrize("given", [{"keyset": KEYSET}, {"statement": STATEMENT}])
def test_neither_a_keyset_nor_a_statement_is_bound_alone(
    simulator: Simulator, given: dict[str, dict[str, object]]
) -> None:
    attester = FakeAttester(simulator)
    with pytest.raises(BadInput, match="together"):
        evidence.build_evidence([bytes(16)], attest=attester, now=0, **given)
    assert attester.quotes == 0


def test_without_keys_no_document_speaks_of_them(simulator: Simulator) -> None:
    [document] = evidence.build_evidence([bytes(16)], attest=FakeAttester(simulator), now=0)
    assert not document.keys() & {"keyset", "statement"}
    bound = evidence.decode_base64url(str(document["runtime_data"]), "runtime_data")
    assert bound.endswith(b'"v":1}')


@pytest.mark.parametrize("nonces", [[], [bytes(15)], [bytes(65)], [bytes(16), bytes(1)]])
def test_bad_nonces_cost_no_quote(simulator: Simulator, nonces: list[bytes]) -> None:
    attester = FakeAttester(simulator)
    with pytest.raises(BadInput, match="nonce"):
        evidence.build_evidence(nonces, attest=attester, now=0)
    assert attester.quotes == 0


def test_an_attesters_error_comes_through() -> None:
    def attest(report_data: bytes) -> FakeAttestation:
        raise TimedOut("too slow")

    with pytest.raises(TimedOut, match="too slow"):
        evidence.build_evidence([bytes(16)], attest=attest, now=0)

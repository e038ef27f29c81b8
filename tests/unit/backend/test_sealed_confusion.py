"""Keys taken for others, weaker words in the header, and paths that lead back into sealing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sealed_double import OHTTP, SealedClient, a_keyring, around, seal, sealed_client
from test_sealed_http import Untouched, assert_refused, config_of, posted
from test_sealed_socket import TICKETS, Socket, an_app, ticket

from quote_generator.sealing import frames
from quote_generator.sealing.hpke import Aead, Kem

OTHER_KEM = {Kem.X25519: Kem.P256, Kem.P256: Kem.X25519}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("named", ["id", "kem", "both", "tee-key", "all"])
def test_a_request_under_one_key_is_none_under_the_other(number: int, named: str) -> None:
    app, keys = Untouched(), a_keyring()
    config, other = config_of(keys, number), config_of(keys, 1 - number)
    asked = seal(config, "POST", "/echo", b"words")
    body, headers = bytearray(asked.body), dict(asked.headers)
    if named in ("id", "both", "all"):
        body[0] = other.key_id
    if named in ("kem", "both", "all"):
        body[1:3] = OTHER_KEM[Kem(config.kem)].to_bytes(2, "big")
    if named in ("tee-key", "all"):
        headers["tee-key"] = other.id
    status, _, told, _ = posted(around(app, keys), bytes(body), headers)
    # Where a longer key is read as a shorter one, what is left of it may be no chunk at all.
    assert (status, json.loads(told)["code"]) in ((422, "key-unknown"), (400, "sealed-malformed"))
    assert app.asked == 0


@pytest.mark.parametrize("kdf_and_aead", [(1, 2), (1, 3), (1, 0xFFFF), (2, 1), (3, 1), (0, 0)])
def test_the_header_cannot_be_talked_down(kdf_and_aead: tuple[int, int]) -> None:
    app, keys = Untouched(), a_keyring()
    asked = seal(config_of(keys), "POST", "/echo", b"words")
    assert asked.body[5:7] == Aead.AES_128_GCM.to_bytes(2, "big")
    suite = b"".join(number.to_bytes(2, "big") for number in kdf_and_aead)
    body = asked.body[:3] + suite + asked.body[7:]
    assert_refused(posted(around(app, keys), body, asked.headers), 422, "key-unknown")
    assert app.asked == 0


@pytest.fixture(scope="module")
def client() -> Iterator[SealedClient]:
    with sealed_client(an_app()) as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_ticket_inside_a_sealed_request_opens_nothing(client: SealedClient, method: str) -> None:
    given = ticket(client, "/ws/socket.io/")
    answer = client.ask(method, f"{TICKETS}/{given['ticket']}")
    assert (answer.status, json.loads(answer.content)["code"]) == (404, "not-found")
    socket = Socket(client, given)  # and it was not used up
    assert socket.next() == frames.Open("")
    socket.outer.shutdown()


@pytest.mark.parametrize("path", ["/api/v1/%74ee/ohttp", "/api/v1/tee/%6fhttp", f"{OHTTP}?x=1"])
def test_no_spelling_leads_back_into_sealing(client: SealedClient, path: str) -> None:
    asked = client.seal("GET", "/")
    fields = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
    assert client.ask("POST", path, asked.body, fields).status == 404
    assert client.post(asked).status_code == 200  # nobody has opened it meanwhile

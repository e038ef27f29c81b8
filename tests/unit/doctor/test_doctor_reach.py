"""The way to the server: real TLS servers, proxies and several servers as browsers meet them."""

from __future__ import annotations

import datetime
import email.utils
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cczoo_installer.doctor import reach
from cczoo_installer.doctor.asking import Answer
from cczoo_installer.doctor.findings import Finding, State
from cczoo_installer.doctor.processes import Process
from cczoo_installer.doctor.reach import certificate, compared_clock
from cczoo_installer.doctor.scene import Scene
from chat_double import KEYSET, Says, chat, with_the_kit
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MakeScene = Callable[..., Scene]
MakeTls = Callable[[int], ssl.SSLContext]


def the(findings: Sequence[Finding], id_: str) -> Finding:
    [found] = [one for one in findings if one.id == id_]
    return found


@pytest.fixture
def tls(tmp_path: Path) -> MakeTls:
    """Makes a server's context with a certificate of its own that ends in so many days."""

    def make(days: int) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=400))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(key, hashes.SHA256())
        )
        pem = tmp_path / "server.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    return make


# HTTPS


def test_http_at_an_address_of_the_network_is_red_for_ever(scene: MakeScene) -> None:
    # Documentation's own network (RFC 5737): nobody is asked anything there.
    [found, *_] = reach._https(scene(url="http://192.0.2.1:8080"), "http://192.0.2.1:8080")
    assert (found.id, found.state) == ("https", State.FAILURE)
    assert "red for ever" in found.text


def test_http_on_this_machine_is_a_note_that_asks_for_the_real_address(scene: MakeScene) -> None:
    with chat(with_the_kit()) as server:
        found = the(reach.look(scene(url=server.url)), "https")
    assert found.state is State.NOTE


def test_a_certificate_that_nobody_vouches_for_is_told_with_its_hash(
    scene: MakeScene, tls: MakeTls
) -> None:
    with chat(with_the_kit(), tls(100)) as server:
        found = reach.look(scene(url=server.url))
    assert the(found, "https").state is State.WARNING
    assert len(the(found, "https").detail["sha256"]) == 64
    assert the(found, "sealed-way").state is State.OK  # and the rest is asked all the same


def test_a_certificate_that_has_ended_is_a_failure(scene: MakeScene, tls: MakeTls) -> None:
    with chat(with_the_kit(), tls(-1)) as server:
        found = the(reach.look(scene(url=server.url)), "https")
    assert (found.state, found.cure) == (State.FAILURE, "Renew it.")


@pytest.mark.parametrize(("days", "state"), [(100, State.OK), (5, State.WARNING)])
def test_a_trusted_certificates_end(
    tls: MakeTls, tmp_path: Path, days: int, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tls(days)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    with chat({}, context) as server:
        seen = certificate("localhost", server.port)
    assert seen.problem == ""
    assert reach._judged("https://localhost", seen, time.time()).state is state


def test_what_speaks_no_tls_is_told(scene: MakeScene) -> None:
    with chat({}) as server:
        url = f"https://127.0.0.1:{server.port}"
        [found] = reach.look(scene(url=url))
    assert (found.id, found.state) == ("https", State.FAILURE)


# Proxies


def test_a_server_that_answers_itself(scene: MakeScene) -> None:
    with chat(with_the_kit()) as server:
        found = reach.look(scene(url=server.url))
    assert {one.id: one.state for one in found} == {
        "https": State.NOTE,
        "proxy": State.OK,
        "sealed-way": State.OK,
        "replicas": State.OK,
    }


@pytest.mark.parametrize("header", [{"Server": "nginx/1.22"}, {"Via": "1.1 x"}, {"CF-Ray": "1"}])
def test_a_proxy_that_shows_itself_is_told_with_what_it_does_not_see(
    scene: MakeScene, header: dict[str, str]
) -> None:
    keys = Says({"v": 1, "keyset": KEYSET}, headers=header)
    with chat(with_the_kit(keys=keys)) as server:
        found = the(reach.look(scene(url=server.url)), "proxy")
    assert (found.state, "do not see sealed requests" in found.text) == (State.NOTE, True)


@pytest.mark.parametrize(
    "says",
    [
        Says("<html>403 Forbidden</html>", 403),
        Says("<html>sign in</html>", 302, {"Location": "https://sign.in"}),
        Says("", 413),
        Says({"detail": "Method Not Allowed"}, 405),
        Says({"code": "key-unknown\n"}, 200),
    ],
)
def test_a_proxy_that_keeps_sealed_requests_away(scene: MakeScene, says: Says) -> None:
    with chat(with_the_kit(ohttp=says)) as server:
        found = the(reach.look(scene(url=server.url)), "sealed-way")
    assert (found.state, bool(found.cure)) == (State.FAILURE, True)


def test_where_nothing_is_sealed_no_sealed_request_is_judged(scene: MakeScene) -> None:
    changes = {"keys": Says({"v": 1, "keyset": None}), "ohttp": Says("", 404)}
    with chat(with_the_kit(**changes)) as server:
        found = reach.look(scene(url=server.url))
    assert {one.id for one in found} == {"https", "proxy"}


def test_sign_in_by_a_proxys_header_does_not_go_with_sealing(scene: MakeScene) -> None:
    environ = {"WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-Email", "WEBUI_AUTH_TRUSTED_NAME_HEADER": ""}
    server = Process(1, 0, ("python3",), "/", Path("/"), None, environ, frozenset())
    with chat(with_the_kit()) as chatting:
        found = reach.look(scene(url=chatting.url, servers=[server]))
    assert "WEBUI_AUTH_TRUSTED_EMAIL_HEADER:" in the(found, "trusted-headers").text


# Several servers


def keyset(*ids: str) -> Says:
    return Says({"v": 1, "keyset": {**KEYSET, "seal": [{"id": one} for one in ids]}})


@pytest.mark.parametrize(
    ("turns", "servers"),
    [
        ([keyset("a"), keyset("b")], 2),
        ([keyset("a"), keyset("b"), keyset("c")], 3),
        ([keyset("a"), keyset("a", "b")], 1),  # one server that renews its keys
        ([keyset("a"), keyset("a", "b"), keyset("b", "c")], 1),
        ([keyset("a"), Says("<html>", 502)], 1),
    ],
)
def test_several_servers_at_one_address(scene: MakeScene, turns: list[Says], servers: int) -> None:
    count = iter(range(10**6))

    def answers(path: str) -> Says | None:
        if path == "/api/v1/tee/keys":
            return turns[next(count) % len(turns)]
        return with_the_kit().get(path)

    with chat(answers) as server:
        found = the(reach.look(scene(url=server.url)), "replicas")
    if servers == 1:
        assert found.state is State.OK
    else:
        assert (found.state, found.detail) == (State.FAILURE, {"servers": servers})


@pytest.mark.parametrize(
    "keys",
    [{"seal": "x"}, {"seal": [1, None, {}]}, {"seal": [{"id": ["x"]}]}, [], "x", {"seal": {}}],
)
def test_keysets_that_are_none_break_nothing(scene: MakeScene, keys: object) -> None:
    with chat(with_the_kit(keys=Says({"v": 1, "keyset": keys}))) as server:
        found = reach.look(scene(url=server.url))
    assert the(found, "https").state is State.NOTE


def test_nothing_is_looked_at_where_no_address_is_known(scene: MakeScene) -> None:
    assert reach.look(scene()) == []


# The clock


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, State.OK), (60, State.WARNING), (-7200, State.FAILURE)]
)
def test_clocks_that_differ(seconds: int, state: State) -> None:
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    [found] = compared_clock(Answer(200, {"date": date}, b"", True), "somebody")
    assert found.state is state


def test_an_answer_without_a_date_says_nothing_of_clocks() -> None:
    assert list(compared_clock(Answer(200, {}, b"", True), "somebody")) == []

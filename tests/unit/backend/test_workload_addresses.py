"""Where an address leads, by its spelling and /etc/hosts alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cczoo_backend.workload.addresses import (
    LOOPBACK,
    MAX_SHOWN,
    NOT_KNOWN,
    OUTSIDE,
    HostsFile,
    parse,
    readable,
)

HOSTS = "127.0.0.1 localhost me\n::1 localhost ip6-localhost\n10.1.2.3 gpu.example.com # far\n"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> HostsFile:
    file = tmp_path_factory.mktemp("etc") / "hosts"
    file.write_text(HOSTS)
    return HostsFile.read(file)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:11434", "127.0.0.1:11434"),
        ("http://127.0.0.1:11434/v1?x=1#y", "127.0.0.1:11434"),
        ("http://LocalHost", "localhost:80"),
        ("https://localhost./v1", "localhost:443"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
        ("http://[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
        ("http://0.0.0.0:11434", "0.0.0.0:11434"),
        ("http://user:secret@127.0.0.1:1/", "127.0.0.1:1"),
    ],
)
def test_loopback(url: str, text: str, hosts: HostsFile) -> None:
    address = parse(url, hosts)
    assert (address.reach, address.text) == (LOOPBACK, text)
    assert all(ip.is_loopback for ip in address.ips)
    assert address.ips


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://api.openai.com/v1", "api.openai.com:443"),
        ("https://u:p%40ss@api.openai.com:8443/v1?key=k#f", "api.openai.com:8443"),
        ("http://10.0.2.2:11434", "10.0.2.2:11434"),
        ("http://192.168.1.5", "192.168.1.5:80"),
        ("http://[fe80::1%25eth0]:9", "[fe80::1]:9"),
        ("http://[64:ff9b::7f00:1]/", "[64:ff9b::7f00:1]:80"),
        ("https://bücher.example/", "xn--bcher-kva.example:443"),
        ("wss://browser.example", "browser.example:443"),
    ],
)
def test_outside(url: str, text: str, hosts: HostsFile) -> None:
    address = parse(url, hosts)
    assert (address.reach, address.text) == (OUTSIDE, text)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://172.17.0.1:11434", "container-bridge"),
        ("http://host.docker.internal:11434", "local-name"),
        ("http://ollama:11434", "local-name"),
        ("http://me", "local-name"),
        ("http://gpu.example.com", "local-name"),
        ("http://x.localhost", "local-name"),
        ("http://ollama-service.open-webui.svc.cluster.local:11434", "local-name"),
        ("http://127.1", "unreadable"),
        ("http://2130706433", "unreadable"),
        ("http://0x7f000001/", "unreadable"),
        ("http://0177.0.0.1/", "unreadable"),
        ("http://\uff11\uff12\uff17.0.0.1/", "unreadable"),
        ("http://[::1%25lo]:80", "unreadable"),
        ("http://127.0.0.1:11434\\@evil.example/", "unreadable"),
        ("http://127.0.0.1:0/", "unreadable"),
        ("http://127.0.0.1:99999/", "unreadable"),
        ("http://a@b@127.0.0.1/", "unreadable"),
        ("http://127.0.0.1 :80/", "unreadable"),
        (" http://127.0.0.1/", "unreadable"),
        ("http://127.0.0.1/\r\nHost: x", "unreadable"),
        ("http://\u202e127.0.0.1/", "unreadable"),
        ("127.0.0.1:11434", "unreadable"),
        ("unix:///run/ollama.sock", "unreadable"),
        ("file:///etc/passwd", "unreadable"),
        ("http://<b>x</b>/", "unreadable"),
        ("http://" + "a" * 3000, "unreadable"),
        ("http://" + "a" * 64 + ".example", "unreadable"),
        ("http://-x.example", "unreadable"),
        ("", "no-address"),
        ("  ", "no-address"),
        (None, "unreadable"),
        (7, "unreadable"),
    ],
)
def test_not_known(url: object, why: str, hosts: HostsFile) -> None:
    address = parse(url, hosts)
    assert (address.reach, address.why) == (NOT_KNOWN, why)


@pytest.mark.parametrize("url", ["http://u:pass/w@host", "u:pass@h:1", "http://a:pass@b@c/"])
def test_unreadable_address_shows_no_password(url: str, hosts: HostsFile) -> None:
    assert parse(url, hosts).text is None


@given(st.text(max_size=400))
def test_any_text_is_answered_shortly_and_shows(url: str) -> None:
    address = parse(f"http://{url}", HostsFile({}, is_whole=True))
    assert address.reach in (LOOPBACK, OUTSIDE, NOT_KNOWN)
    if address.text is not None:
        assert len(address.text) <= MAX_SHOWN
        assert address.text.isprintable()


@pytest.mark.parametrize(
    "text", ["127.0.0.1 localhost\n8.8.8.8 localhost\n", "x localhost\n", "", None, "# " * 40000]
)
def test_localhost_is_not_known_where_the_hosts_file_does_not_say_so(
    text: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "hosts"
    if text is not None:
        file.write_text(text + ("127.0.0.1 localhost\n" if len(text) > 1000 else ""))
    assert parse("http://localhost:11434", HostsFile.read(file)).reach == NOT_KNOWN


def test_readable_shows_what_hides() -> None:
    assert readable("a\u202eb\n\u200b\\\U000e0001 é😀") == r"a\u202eb\u000a\u200b\\\udb40\udc01 é😀"
    assert readable("\ud800") == r"\ud800"
    assert readable("<b>") == "<b>"
    assert len(readable("\n" * 10_000)) == MAX_SHOWN
    assert readable("x" * MAX_SHOWN) == "x" * MAX_SHOWN


@given(st.text(max_size=30), st.text(max_size=30))
def test_readable_keeps_different_texts_apart(one: str, other: str) -> None:
    assert (readable(one) == readable(other)) == (one == other)

"""Addresses of services as people write them."""

from __future__ import annotations

_ALIBABA = "https://attest.cn-beijing.aliyuncs.com"


def addresses() -> object:
    """One rule for page, command line and backend: spellings and refusals."""
    return {
        "source": "RFC 3986; docs/providers.md, section Addresses",
        "read": [*_alibaba(), *_trustee(), *_spellings()],
        "refused": _refused(),
    }


def _read(provider: str, text: str, address: str, *, private: bool = True) -> object:
    """`private`: keys may come from there; where not, they have to be pinned."""
    return {"provider": provider, "text": text, "address": address, "private": private}


def _alibaba() -> list[object]:
    endings = ("", "/", "//", "/v1/attestation", "/v1/attestation/", "//v1/attestation//")
    return [
        *(_read("alibaba", _ALIBABA + ending, _ALIBABA) for ending in endings),
        _read("alibaba", f"{_ALIBABA}/v1", f"{_ALIBABA}/v1"),
        _read("alibaba", f"{_ALIBABA}/attestation", f"{_ALIBABA}/attestation"),
        _read("alibaba", "https://proxy.example/as/v1/attestation", "https://proxy.example/as"),
    ]


def _trustee() -> list[object]:
    host = "https://as.example:8080"
    below = {
        "": "",
        "/": "",
        "/attestation": "",
        "/attestation/": "",
        "/attestation//": "",
        "/trustee": "/trustee",
        "/trustee/": "/trustee",
        "/trustee/attestation": "/trustee",
        "/trustee//attestation/": "/trustee",
        # once, so that a prefix of that name can be said
        "/attestation/attestation": "/attestation",
        # whole segments, and no other spelling
        "/my-attestation": "/my-attestation",
        "/Attestation": "/Attestation",
        "/attestation/policy": "/attestation/policy",
        "/v1/attestation": "/v1",
    }
    return [_read("trustee", host + path, host + base) for path, base in below.items()]


def _spellings() -> list[object]:
    private = {
        " https://AS.example/ ": "https://as.example",
        "\thttps://as.example/a\r\n": "https://as.example/a",
        "HTTPS://as.example:443/A/b": "https://as.example/A/b",
        "https://as.example:0443": "https://as.example",
        "https://as.example:80": "https://as.example:80",
        "https://as.example:65535": "https://as.example:65535",
        "https://as_1.example": "https://as_1.example",
        "https://as": "https://as",
        "https://192.0.2.1:8443": "https://192.0.2.1:8443",
        "https://[2001:DB8::1]:8443": "https://[2001:db8::1]:8443",
        "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
        "https://as.example/a%2Fb/~c;d=e,f/g@h:i!$&'()*+": (
            "https://as.example/a%2Fb/~c;d=e,f/g@h:i!$&'()*+"
        ),
        "https://as.example/...": "https://as.example/...",
        "http://localhost:8080": "http://localhost:8080",
        "http://127.0.0.1:80": "http://127.0.0.1",
        "http://127.8.9.1": "http://127.8.9.1",
        "http://[::1]:8080": "http://[::1]:8080",
    }
    plain = (
        "http://as.example",
        "http://192.0.2.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://[::2]",
    )
    return [
        *(_read("trustee", text, address) for text, address in private.items()),
        *(_read("trustee", text, text, private=False) for text in plain),
    ]


def _refused() -> list[str]:
    return [
        "",
        " ",
        "as.example",
        "as.example:8080",
        "/attestation",
        "//as.example",
        "https:as.example",
        "https:/as.example",
        "https://",
        "https:///attestation",
        "https://:8080",
        "ftp://as.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        # user, query, fragment, also empty ones
        "https://user@as.example",
        "https://:word@as.example",
        "https://user:word@as.example",
        "https://@as.example",
        "https://as.example?",
        "https://as.example?x=1",
        "https://as.example/attestation?x=1",
        "https://as.example#",
        "https://as.example/#x",
        "http://as.example/?http://localhost",
        # what readers differ on
        "https://as.example\\attestation",
        "https:\\\\as.example",
        "https://as.exa mple",
        "https://as.example/a b",
        "https://as.exa\tmple",
        "https://as.example/a\nb",
        "https://as.example/\x00",
        "https://as.example/%zz",
        "https://as.example/%2",
        "https://as.example/../attestation",
        "https://as.example/a/..",
        "https://as.example/./a",
        "https://as.example/%2e%2E/a",
        "https://as.example/.%2e",
        'https://as.example/"',
        "https://as.example/<a>",
        "https://as.example/{a}",
        "https://as%2eexample",
        "https://as..example",
        "https://.as.example",
        "https://b\u00fccher.example",
        "https://as.example/b\u00fccher",
        "https://\uff41s.example",
        "https://as\u3002example",
        "\u00a0https://as.example",
        # ports that do not exist
        "https://as.example:",
        "https://as.example:0",
        "https://as.example:65536",
        "https://as.example:123456",
        "https://as.example:-1",
        "https://as.example:80a",
        # IP addresses in another spelling than the usual one
        "https://1.2.3",
        "https://2130706433",
        "http://127.1",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "https://256.1.1.1",
        "https://1.2.3.4.5",
        "https://as.1",
        "https://as.0x",
        "https://[::1",
        "https://::1",
        "https://[0:0:0:0:0:0:0:1]",
        "https://[::1%25eth0]",
        "https://[::ffff:192.0.2.1]",
        "https://[]",
        "https://as.example/" + "a" * 2048,
    ]

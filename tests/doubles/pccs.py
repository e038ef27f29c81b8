"""A collateral service (PCCS) for the simulator's platform, with Intel's interface version 4.

    python -m doubles.pccs --simulator DIR [--port N]

It misbehaves in the one way that its `mode` says, and counts who asks for what.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote as percent_encode

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from quote_generator.simulator import Simulator

from .serving import command_line, run_double

GOOD, SLOW = "good", "slow"
PLATFORM = "535441474544"
UPDATES = ("early", "standard")
OLD_SECONDS = 31 * 24 * 3600
HANG_SECONDS = 300

TCB, IDENTITY = "/tdx/certification/v4/tcb", "/tdx/certification/v4/qe/identity"
PCK_CRL, ROOT_CRL = "/sgx/certification/v4/pckcrl", "/sgx/certification/v4/rootcacrl"
CHAINS = ("TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain", "SGX-PCK-CRL-Issuer-Chain")


@dataclass
class State:
    """How the service behaves now, and what it was asked."""

    url: str = ""
    mode: str = GOOD
    delay: float = HANG_SECONDS  # in mode slow
    also: frozenset[str] = frozenset()  # FMSPCs that it knows besides the simulator's
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # (address, headers)

    @property
    def count(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(address.split("?")[0] for address, _ in self.seen)


def create_app(td: Simulator, *, hex_lists: bool = True, state: State | None = None) -> FastAPI:
    """The service; with `hex_lists` revocation lists are hex, as caches send them."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    collateral = td.collateral()
    told = state or State()

    def listed(name: str, **headers: str) -> Response:
        text = collateral[name]
        return Response(text if hex_lists else bytes.fromhex(text), headers=headers)

    def signed(name: str, member: str, chain_header: str, content: str = "") -> Response:
        content = content or collateral[name]
        text = f'{{"{member}":{content},"signature":"{collateral[f"{name}_signature"]}"}}'
        chain = percent_encode(collateral[f"{name}_issuer_chain"])
        return Response(text, media_type="application/json", headers={chain_header: chain})

    @app.get(PCK_CRL)
    async def pck_crl(ca: str, encoding: str) -> Response:
        if ca != "platform" or encoding != "der":
            return Response(status_code=400)
        chain = percent_encode(collateral["pck_crl_issuer_chain"])
        return listed("pck_crl", **{"SGX-PCK-CRL-Issuer-Chain": chain})

    @app.get(ROOT_CRL)
    async def root_crl() -> Response:
        return listed("root_ca_crl")

    @app.get(TCB)
    async def tcb_info(fmspc: str, update: str = "standard") -> Response:
        if update not in UPDATES:
            return Response(status_code=400)
        fmspc = fmspc.upper()
        content = collateral["tcb_info"]
        if fmspc in told.also:
            # Not signed like that: for those who only pass it on.
            content = content.replace(PLATFORM, fmspc)
        elif fmspc != PLATFORM:
            return Response(status_code=404)
        return signed("tcb_info", "tcbInfo", "TCB-Info-Issuer-Chain", content)

    @app.get(IDENTITY)
    async def qe_identity(update: str = "standard") -> Response:
        if update not in UPDATES:
            return Response(status_code=400)
        return signed("qe_identity", "enclaveIdentity", "SGX-Enclave-Identity-Issuer-Chain")

    @app.middleware("http")
    async def misbehave(request: Request, good: Callable) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        told.seen.append((f"{request.url.path}{query}", dict(request.headers)))
        if told.mode == SLOW:
            await asyncio.sleep(told.delay)
        path, spoil = FAULTS.get(told.mode, ("", _same))
        answer = await good(request)
        return await spoil(answer) if path in ("", request.url.path) else answer

    return app


# --- misbehaviour: of one path, or of every ("") --------------------------------------------------


async def _same(answer: Response) -> Response:
    return answer


def _instead(
    body: bytes | str = b"", status: int = 200, **headers: str
) -> Callable[[Response], object]:
    """Another body under the good headers."""

    async def spoil(good: Response) -> Response:
        kept = {n: v for n, v in good.headers.items() if n != "content-length"}
        return Response(body, status_code=status, headers={**kept, **headers})

    return spoil


def _stream(pieces: Callable[[], AsyncIterator[bytes]]) -> Callable[[Response], object]:
    async def spoil(good: Response) -> Response:
        return StreamingResponse(pieces(), media_type="application/json")

    return spoil


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"A" * 65536
        await asyncio.sleep(0)


async def _trickle() -> AsyncIterator[bytes]:
    for _ in range(HANG_SECONDS * 20):
        yield b" "
        await asyncio.sleep(0.05)


async def _broken_off() -> AsyncIterator[bytes]:
    yield b'{"tcbInfo":'
    raise ConnectionResetError


async def _compressed(good: Response) -> Response:
    packed = gzip.compress(await _body(good))
    return await _instead(packed, **{"Content-Encoding": "gzip"})(good)


async def _bomb(good: Response) -> Response:
    return await _instead(gzip.compress(bytes(16 << 20)), **{"Content-Encoding": "gzip"})(good)


async def _without_chain(good: Response) -> Response:
    for name in CHAINS:
        if name in good.headers:
            del good.headers[name]
    return good


def _chain(text: str) -> Callable[[Response], object]:
    async def spoil(good: Response) -> Response:
        for name in CHAINS:
            if name in good.headers:
                good.headers[name] = text
        return good

    return spoil


async def _good_but_500(good: Response) -> Response:
    good.status_code = 500
    return good


def _edited(edit: Callable[[dict], None]) -> Callable[[Response], object]:
    """The JSON body with one thing changed."""

    async def spoil(good: Response) -> Response:
        document = json.loads(await _body(good))
        edit(document)
        return await _instead(json.dumps(document))(good)

    return spoil


async def _body(answer: Response) -> bytes:
    return b"".join([bytes(part) async for part in answer.body_iterator])


def _set(member: str, name: str, value: object) -> Callable[[dict], None]:
    return lambda document: document[member].update({name: value})


MARKUP = "<!doctype html><script>window.__pwned=1</script><h1>Sign in</h1>"

UNREACHABLE: dict[str, tuple[str, Callable]] = {
    "endless": ("", _stream(_endless)),
    "too-large": (PCK_CRL, _stream(lambda: _padding(8 << 20))),
    "broken-off": (TCB, _stream(_broken_off)),
    "huge-header": (TCB, _chain("A" * 40_000)),
}
"""Modes in which there is no whole answer of bounded size."""

UNUSABLE: dict[str, tuple[str, Callable]] = {
    "down": ("", _instead("maintenance", 503)),
    "good-but-500": ("", _good_but_500),
    "not-found": (TCB, _instead("", 404)),
    "redirect": (TCB, _instead("", 307, Location="/elsewhere")),
    "empty": ("", _instead("")),
    "garbage": ("", _instead(bytes(range(256)) * 8)),
    "html": ("", _instead(MARKUP)),
    "other-json": (TCB, _instead("[]")),
    "null": (TCB, _instead("null")),
    "deep": (TCB, _instead("[" * 100_000)),
    "long-number": (TCB, _instead('{"tcbInfo":' + "1" * 100_000)),
    "not-utf8": (IDENTITY, _instead(b'{"enclaveIdentity":{"id":"\xff"}}')),
    "more-members": (TCB, _edited(lambda document: document.update(more=1))),
    "no-signature": (TCB, _edited(lambda document: document.pop("signature"))),
    "short-signature": (TCB, _edited(lambda document: document.update(signature="00"))),
    "odd-signature": (TCB, _edited(lambda document: document.update(signature=["0" * 128]))),
    "content-is-text": (TCB, _edited(lambda document: document.update(tcbInfo="TDX"))),
    "sgx": (TCB, _edited(_set("tcbInfo", "id", "SGX"))),
    "other-platform": (TCB, _edited(_set("tcbInfo", "fmspc", "00806F050000"))),
    "other-enclave": (IDENTITY, _edited(_set("enclaveIdentity", "id", "QE"))),
    "no-date": (TCB, _edited(_set("tcbInfo", "nextUpdate", None))),
    "odd-date": (TCB, _edited(_set("tcbInfo", "nextUpdate", "tomorrow"))),
    "past-date": (IDENTITY, _edited(_set("enclaveIdentity", "nextUpdate", "2020-01-01T00:00:00Z"))),
    "compressed": (TCB, _compressed),
    "compressed-bomb": (TCB, _bomb),
    "list-is-text": (PCK_CRL, _instead("no list")),
    "list-is-short": (ROOT_CRL, _instead(b"\x30\x82\x01")),
    "list-is-padded": (ROOT_CRL, _instead(b"\x30\x80" + bytes(1000))),
    "missing-chain": (TCB, _without_chain),
    "missing-identity-chain": (IDENTITY, _without_chain),
    "missing-list-chain": (PCK_CRL, _without_chain),
    "odd-chain": (IDENTITY, _chain("%00%ff-----BEGIN CERTIFICATE-----")),
    "empty-chain": (PCK_CRL, _chain("")),
}
"""Modes in which an answer comes that is no collateral."""

FAULTS = {**UNREACHABLE, **UNUSABLE, "trickle": (TCB, _stream(_trickle))}


async def _padding(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        yield bytes(65536)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a simulator's collateral; revocation lists go out in DER."""
    parser = command_line(__doc__)
    parser.add_argument("--simulator", type=Path, metavar="DIR", required=True)
    options = parser.parse_args(argv)
    td = Simulator.open(options.simulator)
    return run_double(lambda _: create_app(td, hex_lists=False), options)


if __name__ == "__main__":
    sys.exit(main())

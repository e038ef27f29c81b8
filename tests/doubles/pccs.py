"""A collateral service (PCCS) for the simulator's platform, with Intel's interface version 4."""

from __future__ import annotations

from urllib.parse import quote as percent_encode

from fastapi import FastAPI, Response

from quote_generator.simulator import Simulator


def create_app(td: Simulator, *, hex_lists: bool = True) -> FastAPI:
    """The service; with `hex_lists` revocation lists are hex, as caches send them."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    collateral = td.collateral()

    def listed(name: str, **headers: str) -> Response:
        text = collateral[name]
        return Response(text if hex_lists else bytes.fromhex(text), headers=headers)

    def signed(name: str, member: str, chain_header: str) -> Response:
        text = f'{{"{member}":{collateral[name]},"signature":"{collateral[f"{name}_signature"]}"}}'
        chain = percent_encode(collateral[f"{name}_issuer_chain"])
        return Response(text, media_type="application/json", headers={chain_header: chain})

    @app.get("/sgx/certification/v4/pckcrl")
    async def pck_crl(ca: str, encoding: str) -> Response:
        if ca != "platform" or encoding != "der":
            return Response(status_code=400)
        chain = percent_encode(collateral["pck_crl_issuer_chain"])
        return listed("pck_crl", **{"SGX-PCK-CRL-Issuer-Chain": chain})

    @app.get("/sgx/certification/v4/rootcacrl")
    async def root_crl() -> Response:
        return listed("root_ca_crl")

    @app.get("/tdx/certification/v4/tcb")
    async def tcb_info(fmspc: str) -> Response:
        if fmspc != "53494D000000":
            return Response(status_code=404)
        return signed("tcb_info", "tcbInfo", "TCB-Info-Issuer-Chain")

    @app.get("/tdx/certification/v4/qe/identity")
    async def qe_identity() -> Response:
        return signed("qe_identity", "enclaveIdentity", "SGX-Enclave-Identity-Issuer-Chain")

    return app

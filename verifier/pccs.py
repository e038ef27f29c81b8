"""Collateral from Intel's provisioning certification service, or from a cache of it (PCCS).

Interface: Intel "SGX and TDX Provisioning Certification Service API" version 4. What comes back
is signed, and is only as good as the appraisal finds it: the service is trusted with nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from urllib.parse import unquote

from quote_generator.quote import Quote

from . import pck
from .certificates import PCK_CHAIN, read_chain
from .collateral import list_of, split_signed
from .fetching import Answer, get
from .problems import Unreachable
from .rejections import rejecting

INTEL_PCS = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

_UNREACHABLE = "collateral-unreachable"

Platform = tuple[str, str]
"""FMSPC (hex) and the kind of CA, as the interface names it."""


class CollateralSource:
    """Collateral by platform from one service.

    What was fetched is given again for `keep` seconds, and threads that need the same at the
    same time share one fetch. `update` says which edition is asked for: early or standard, or as
    the service likes where it is empty.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        keep: float = 0,
        update: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_url, self._timeout, self._keep, self._clock = base_url, timeout, keep, clock
        self._update = update
        self._lock = threading.Lock()
        self._fetched: dict[Platform, tuple[float, Future[dict[str, str]]]] = {}

    def collateral(self, quote: Quote) -> dict[str, str]:
        """The collateral for the platform that made the quote, in the JSON form of dcap-qvl.

        Raises Unreachable, and Rejected for a quote whose PCK certificate names no platform.
        """
        platform = platform_of(quote)
        with self._lock:
            since, future = self._fetched.get(platform, (-float("inf"), None))
            mine = future is None or (future.done() and self._clock() - since >= self._keep)
            if mine or future is None:
                future = Future()
                self._fetched[platform] = self._clock(), future
        if mine:
            self._fetch_into(future, platform)
        return future.result()

    def forget(self, quote: Quote) -> None:
        """Fetch anew for the quote's platform next time."""
        with self._lock:
            self._fetched.pop(platform_of(quote), None)

    def _fetch_into(self, future: Future[dict[str, str]], platform: Platform) -> None:
        try:
            future.set_result(
                fetch_collateral(
                    *platform, self._base_url, timeout=self._timeout, update=self._update
                )
            )
        except BaseException as error:
            with self._lock:
                if self._fetched.get(platform, (0, None))[1] is future:
                    del self._fetched[platform]
            future.set_exception(error)


def fetch_collateral(
    fmspc: str, authority: str, base_url: str, *, timeout: float, update: str = ""
) -> dict[str, str]:
    """Collateral for a platform, in the JSON form of dcap-qvl. Raises Unreachable.

    `update` is the service's parameter of that name: early asks for the documents of the newest
    TCB recovery at once, standard for those that Intel enforces after a time.
    """
    base_url = base_url.rstrip("/")
    sgx, tdx = (f"{base_url}/{tee}/certification/v4" for tee in ("sgx", "tdx"))
    root_crl = INTEL_ROOT_CRL if base_url == INTEL_PCS else f"{sgx}/rootcacrl"

    pck_crl = _fetch(f"{sgx}/pckcrl", timeout, {"ca": authority, "encoding": "der"})
    edition = {"update": update} if update else {}
    tcb_info = _fetch(f"{tdx}/tcb", timeout, {"fmspc": fmspc, **edition})
    qe_identity = _fetch(f"{tdx}/qe/identity", timeout, edition)
    tcb_text, tcb_signature = _signed(tcb_info, "tcbInfo")
    qe_text, qe_signature = _signed(qe_identity, "enclaveIdentity")
    return {
        "pck_crl_issuer_chain": _chain(pck_crl, "sgx-pck-crl-issuer-chain"),
        "root_ca_crl": _list(_fetch(root_crl, timeout, {})),
        "pck_crl": _list(pck_crl),
        "tcb_info_issuer_chain": _chain(
            tcb_info, "tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"
        ),
        "tcb_info": tcb_text,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": _chain(qe_identity, "sgx-enclave-identity-issuer-chain"),
        "qe_identity": qe_text,
        "qe_identity_signature": qe_signature,
    }


def platform_of(quote: Quote) -> Platform:
    """The platform, by the quote's PCK certificate. Raises Rejected."""
    with rejecting("pck-malformed"):
        leaf, *_ = read_chain(quote.signature.pck_chain_pem, PCK_CHAIN)
        fmspc = pck.platform_of(leaf).fmspc
        issuer = leaf.issuer.rfc4514_string()
    return fmspc.hex().upper(), "processor" if "Processor" in issuer else "platform"


def _fetch(url: str, timeout: float, params: Mapping[str, str]) -> Answer:
    answer = get(url, _UNREACHABLE, timeout=timeout, params=params)
    if answer.status != 200:
        raise Unreachable(_UNREACHABLE, f"{url} answered HTTP {answer.status}")
    return answer


def _chain(answer: Answer, *names: str) -> str:
    """A certificate chain from a header: PEM, percent-encoded."""
    for name in names:
        if chain := unquote(answer.headers.get(name, "")):
            return chain
    raise Unreachable(_UNREACHABLE, f"the collateral service sent no {names[0]} header")


def _list(answer: Answer) -> str:
    """A revocation list in hex; caches send hex or PEM where Intel sends DER."""
    try:
        return list_of(answer.body.strip() if answer.body[:1] != b"\x30" else answer.body).hex()
    except ValueError as error:
        raise Unreachable(_UNREACHABLE, f"the collateral service sent no list: {error}") from error


def _signed(answer: Answer, name: str) -> tuple[str, str]:
    """The exact text of a signed member, and the signature beside it (hex)."""
    try:
        return split_signed(answer.body.decode("utf-8"), name)
    except ValueError as error:
        raise Unreachable(_UNREACHABLE, f"the collateral service sent no usable {name}") from error

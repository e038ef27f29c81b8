"""What dcap-qvl, a verifier by others, says of the same quote.

It is asked last, with nothing but what our own steps have found good, and its answer is an input
to the verdict: where it refuses, or sees another state of the platform or other advisories, nothing
passes. Its words are shown and never interpreted. It is not asked where it is known to be stricter
than Intel's library, or to look at something else: `beyond_it` says where.
"""

from __future__ import annotations

from collections.abc import Iterator

import dcap_qvl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quote_generator.quote import Quote

from .grounds import Grounds
from .held import Chain, Held
from .rejections import rejected
from .signatures import Pck
from .tcb import Judgement

_SHOWN = 200
"""Characters of its words that anyone needs to see."""

_AUTH_DATA = 32
_MAX_PCE_SVN = 0x7FFF
_MUST, _MAY = 1 << 28, 1 << 28 | 1 << 30 | 1 << 31 | 1 << 63
"""TD attributes that it wants: SEPT_VE_DISABLE; and that it takes: PKS, KL and PERFMON besides."""


def beyond_it(quote: Quote, pck: Pck, held: Held, grounds: Grounds) -> str | None:
    """Why dcap-qvl 0.7.0 cannot be asked about this, or None.

    docs/verification.md lists where it does otherwise, and why ours do not.
    """
    return next(_reasons(quote, pck, held, grounds), None)


def _reasons(quote: Quote, pck: Pck, held: Held, grounds: Grounds) -> Iterator[str]:
    body, info = quote.body, held.tcb_info.value
    if grounds.ended:
        yield "collateral that has ended, and counts by the policy's grace only"
    bits = int.from_bytes(body.td_attributes, "little")
    if not bits & _MUST or bits & ~_MAY:
        yield "TD attributes that it leaves no policy to decide on"
    if any(body.mr_servicetd or b""):
        yield "a service TD, which it leaves no policy to decide on"
    if len(quote.signature.qe_auth_data) != _AUTH_DATA:
        yield f"QE authentication data of another length than {_AUTH_DATA} bytes"
    if pck.platform.pce_svn > _MAX_PCE_SVN:
        yield f"a PCESVN over {_MAX_PCE_SVN}"
    if pck.platform.cpu_svn != bytes(pck.platform.components):
        yield "a CPUSVN that is not that of its components, by which levels are judged"
    levels = [info.levels, *(module.levels for module in info.modules.values())]
    if not all(each.as_written for each in (*levels, held.qe_identity.value.identity.levels)):
        yield "levels in another order, of which it takes the first that is reached"
    roots = {chain[-1] for chain in (pck.chain, held.tcb_info.chain, held.qe_identity.chain)}
    if len(roots) != 1:
        yield "several certificates of the root"


def check(
    quote: Quote,
    pck: Pck,
    held: Held,
    pck_list: x509.CertificateRevocationList,
    judgement: Judgement,
    moment: int,
) -> None:
    """Raise Rejected (quote-rejected) where dcap-qvl does not come to the same judgement.

    `moment` is in whole seconds. The root is the chain's own certificate, whose key
    is the pinned one: one of another name would end the process.
    """
    root = pck.chain[-1].public_bytes(Encoding.DER)
    try:
        collateral = _collateral(pck, held, pck_list)
        report = dcap_qvl.verify_with_root_ca(quote.raw, collateral, root, moment)
    except (ValueError, TypeError) as error:
        raise rejected("quote-rejected", " ".join(str(error).split())[:_SHOWN]) from error
    if report.status != judgement.status:
        raise rejected("quote-rejected", f"{str(report.status)[:_SHOWN]}, not {judgement.status}")
    # It knows nothing of an updated host: its advisories are those of the start.
    theirs, ours = set(report.advisory_ids), set(judgement.launch.advisory_ids)
    if theirs != ours:
        differing = ", ".join(sorted(map(str, theirs ^ ours)))
        raise rejected("quote-rejected", f"not agreed on advisories: {differing}"[:_SHOWN])


def _collateral(
    pck: Pck, held: Held, pck_list: x509.CertificateRevocationList
) -> dcap_qvl.QuoteCollateralV3:
    """What was verified, as it takes it: PEM chains and JSON as text, lists in DER."""
    info, identity = held.tcb_info, held.qe_identity
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=_pem(pck.chain[1:]),
        root_ca_crl=held.root_list.public_bytes(Encoding.DER),
        pck_crl=pck_list.public_bytes(Encoding.DER),
        tcb_info_issuer_chain=_pem(info.chain),
        tcb_info=info.text,
        tcb_info_signature=info.signature,
        qe_identity_issuer_chain=_pem(identity.chain),
        qe_identity=identity.text,
        qe_identity_signature=identity.signature,
    )


def _pem(chain: Chain) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in chain)

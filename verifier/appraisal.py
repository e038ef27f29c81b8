"""The heart of verification: a quote, collateral, a root and a time in, a verdict out.

No network, no clock, no files: the service and the command line both stand on this. One
direction: the quote is parsed once, what it is signed with is checked, its TCB is judged,
dcap-qvl has to agree; then the policy judges the TD.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.x509.oid import NameOID

from quote_generator.errors import BadInput
from quote_generator.quote import INTEL_QE_VENDOR_ID, Quote, parse_header, parse_quote

from . import certificates, held, second_opinion, tcb
from .evaluations import Evaluation
from .grounds import Grounds
from .held import Terms
from .policy import DEFAULT, Policy
from .rejections import Rejected, rejected, rejecting
from .signatures import check_pck, check_signatures
from .tcb import Judgement
from .td import check_td

__all__ = ["Rejected", "Trust", "Verdict", "appraise", "read_quote", "verify"]

INTEL_ROOT_NAME = "Intel SGX Root CA"


@dataclass(frozen=True)
class Trust:
    """What a quote is held against.

    `root_der` is the root certificate, or None for Intel's, which counts by its key;
    `collateral` has the JSON form of dcap-qvl (PEM chains and JSON as text, lists and signatures
    in hex).
    """

    root_der: bytes | None
    collateral: Mapping[str, str]

    @property
    def root_name(self) -> str:
        """What to call the root: its common name, and who made it. For people only."""
        if self.root_der is None:
            return INTEL_ROOT_NAME
        try:
            subject = certificates.load(self.root_der).subject
        except certificates.UNREADABLE:  # it counts by its key
            return "a root whose name cannot be read"
        oids = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        names = [str(item.value) for oid in oids for item in subject.get_attributes_for_oid(oid)]
        return ", ".join(names) or subject.rfc4514_string()


@dataclass(frozen=True)
class Verdict:
    """A quote that holds, and the state of the platform that made it.

    `judgement` is what Intel says of platform, TDX module and quoting enclave, on these `grounds`;
    whether that is good enough is the caller's policy, and Revoked never gets here. `not_asked`
    says why dcap-qvl gave no second opinion, if so.
    """

    quote: Quote
    judgement: Judgement
    grounds: Grounds
    root_name: str
    not_asked: str | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Which edition of Intel's documents was used."""
        return self.grounds.evaluation

    @property
    def expires(self) -> float:
        """When the first of all that is in use ends, in seconds since 1970."""
        return self.grounds.expires

    @property
    def tcb_status(self) -> str:
        """One of Intel's names: UpToDate, SWHardeningNeeded, OutOfDate, TDRelaunchAdvised, ..."""
        return self.judgement.status

    @property
    def advisory_ids(self) -> tuple[str, ...]:
        """What applies to platform, TDX module or quoting enclave."""
        return self.judgement.advisory_ids

    @property
    def tcb_date(self) -> datetime.datetime:
        """The earliest date of the three."""
        return self.judgement.date

    @property
    def simulated(self) -> bool:
        """Whether another root than Intel's vouches for it, by its key: anybody can make names."""
        return self.evaluation.root_key != certificates.INTEL_ROOT_KEY


def appraise(raw_quote: bytes, trust: Trust, now: float, policy: Policy = DEFAULT) -> Verdict:
    """Verify a quote up to the root as of `now` (seconds since 1970), and the TD it is about.

    Raises Rejected, whose `check` is one of evidence-format, quote-signature, collateral,
    tcb-status and td-attributes. Whether the TCB status and the measurements are good enough
    is left to the caller.
    """
    verdict = verify(raw_quote, trust, now, policy)
    check_td(verdict.quote.body, policy)
    return verdict


def verify(raw_quote: bytes, trust: Trust, now: float, policy: Policy = DEFAULT) -> Verdict:
    """Verify a quote up to the root as of `now`, whatever it says of the TD.

    Of several failures the first in the order evidence-format, collateral, quote-signature,
    tcb-status is told; within a check, in that of docs/verification.md. Then dcap-qvl has to
    agree. Of the policy only the grace for collateral counts. Raises Rejected as `appraise` does,
    but for td-attributes.
    """
    quote = read_quote(raw_quote)  # (1)
    with rejecting("chain"):
        root_key = certificates.root_key(trust.root_der)
    terms = Terms(root_key, math.floor(now), policy.collateral_grace)
    found = held.check_collateral(trust.collateral, terms)  # (3) to (5)
    pck = check_pck(quote, terms, found.root)  # (2)
    pck_list, used = held.check_for_platform(found, pck.chain, pck.platform, terms)  # (3), (10)
    info, identity = found.tcb_info.value, found.qe_identity.value
    report = check_signatures(quote, pck, identity)  # (6) to (9)
    grounds = Grounds(
        evaluation=Evaluation(info.fmspc.hex(), info.evaluation, identity.evaluation, root_key),
        expires=held.first_end(used, terms),
        ended=held.ended(used, terms),
        flags=pck.platform.flags,
        pck_crl_number=certificates.list_number(pck_list),
        root_crl_number=certificates.list_number(found.root_list),
    )
    not_asked = second_opinion.beyond_it(quote, pck, found, grounds)
    try:
        levels = identity.identity.levels
        judgement = tcb.judge(info, levels, pck.platform, quote.body, report.isv_svn)
        if not_asked is None:
            second_opinion.check(quote, pck, found, pck_list, judgement, terms.now)
    except Rejected as error:
        error.grounds = grounds
        raise
    return Verdict(quote, judgement, grounds, trust.root_name, not_asked)


def read_quote(raw_quote: bytes) -> Quote:
    """A quote of Intel's quoting enclave, in form only. Raises Rejected (evidence-format)."""
    try:
        # Of another vendor's quotes nobody here knows what follows.
        vendor = parse_header(raw_quote).vendor_id
        if vendor != INTEL_QE_VENDOR_ID:
            raise rejected("vendor-unknown", f"vendor_id is {vendor.hex()}")
        # Stricter than dcap-qvl, which accepts bytes after the quote's end.
        quote = parse_quote(raw_quote)
        quote.signature.pck_chain_pem  # noqa: B018 - raises for another kind of certification data
    except BadInput as error:
        raise rejected("quote-malformed", str(error)) from error
    return quote

"""Where dcap-qvl by itself says something else than our two verifiers, and why.

The tests hold this list to what happens: a case that differs must be in it, and a line without a
case that differs fails. docs/verification.md repeats it for readers, which is tested too. Between
our two verifiers, and between them and the expectations of tests/cases, there is no difference.
"""

from __future__ import annotations

from dataclasses import dataclass

ACCEPTS, REFUSES, REPORTS = "accepts", "refuses", "reports another status"


@dataclass(frozen=True)
class Difference:
    """What dcap-qvl 0.7.0 does with some cases (fnmatch patterns of names), and our reason."""

    does: str
    what: str
    reason: str
    cases: tuple[str, ...]


DIFFERENCES = (
    Difference(
        ACCEPTS,
        "anything at all as the root certificate in a chain, or none",
        "it puts the pinned root in its place; we check what is there as well",
        (
            "certificate/root/*",
            "chain/*/another root",
            "chain/*/without the root",
            "crl/root_list/the root may not sign lists",
        ),
    ),
    Difference(
        ACCEPTS,
        "certificates that do not say what they are for, or say something else",
        "Intel's profile has key usage and basic constraints in each of them",
        (
            "certificate/*/no key usage",
            "certificate/*/no basic constraints",
            "certificate/*/cannot sign data",
        ),
    ),
    Difference(
        ACCEPTS,
        "chains with other certificates or other text in between, and a PCK as signer of TCB info",
        "it looks for any path; in Intel's PKI there is one, and a PCK signs QE reports only",
        (
            "chain/pck/CA twice",
            "chain/pck/text in between",
            "chain/pck/another kind of PEM",
            "chain/tcb info/text at the end",
            "chain/tcb info/signed by the PCK",
        ),
    ),
    Difference(
        ACCEPTS,
        "bytes after the end of a chain, and PEM with other white space or none where it must be",
        "nobody signs it; a chain has one spelling, with at most the one NUL of Intel's quotes",
        (
            "chain/pck/two NULs at the end",
            "chain/pck/a line after the NUL",
            "chain/*/* at the end",
            "chain/*/* after the end",
            "chain/*/* after BEGIN",
            "chain/tcb info/NBSP inside",
            "chain/*/a vertical tab inside",
            "chain/*/a form feed between",
        ),
    ),
    Difference(
        ACCEPTS,
        "SGX extensions with repeated, missing or mistyped fields, or bytes after them",
        "it looks up the fields that it needs; what is not DER of the profile is not Intel's",
        (
            "sgx extension/no SVN of component 16",
            "sgx extension/field with*value*",
            "sgx extension/field that is *",
            "sgx extension/field that begins *",
            "sgx extension/field of *",
            "sgx extension/FMSPC as a number",
            "sgx extension/FMSPC twice",
            "sgx extension/PCEID too long",
            "sgx extension/* SVN",
            "sgx extension/SVN over 255",
            "sgx extension/SVN with a zero too many",
            "sgx extension/trailing byte",
        ),
    ),
    Difference(
        REFUSES,
        "a PCESVN from 32768",
        "it does not expect the leading zero that such an INTEGER has",
        ("sgx extension/PCESVN of 40000",),
    ),
    Difference(
        ACCEPTS,
        "revocation lists that are not valid yet",
        "check 3 asks for both ends",
        ("crl/*/not yet valid",),
    ),
    Difference(
        ACCEPTS,
        "revocation lists without a number, or without a word on the key that signed them",
        "every list of Intel's profile has both",
        ("crl/*/without a number", "crl/*/without its issuer's key"),
    ),
    Difference(
        ACCEPTS,
        "later versions of the documents, and dates in other forms",
        "what a later version means is not known; Intel writes dates in one form",
        ("*/a later version", "*/date in another form", "*/* with milliseconds"),
    ),
    Difference(
        ACCEPTS,
        "TCB info of another `tcbType`",
        "how its levels are composed is not known; Intel's library reads type 0 only",
        ("tcb info/tcbType 1",),
    ),
    Difference(
        ACCEPTS,
        "modules and enclaves by the first level reached, in any order, and two levels of the same",
        "the highest that is reached counts, as in Intel's library; of two either could be meant",
        (
            "module/unordered levels, the highest one counts",
            "qe identity/unordered levels, the highest one counts",
            "*level*/two of the same",
            "*/two levels of the same",
        ),
    ),
    Difference(
        ACCEPTS,
        "TCB info for another PCEID",
        "check 10 asks for FMSPC and PCEID",
        ("tcb info/another PCEID", "pck/another PCEID"),
    ),
    Difference(
        ACCEPTS,
        "platforms that are out of date",
        "it returns the status and leaves the decision to a policy, which here is ours",
        (
            "tcb level/OutOfDate*",
            "tcb level/the second one matches and is out of date",
            "tcb level/unordered, the highest one is out of date",
            "module/OutOfDate",
            "qe identity/OutOfDate",
            "relaunch/*",
            "policy/TDRelaunchAdvised* is not OutOfDate",
            "merged/* + OutOfDate + *",
            "merged/* + OutOfDate",
        ),
    ),
    Difference(
        ACCEPTS,
        "what only a policy forbids",
        "it has no such policy",
        (
            "policy/only hardened",
            "policy/nothing passes",
            "policy/another advisory",
            "policy/no advisory at all",
            "policy/advisory of the QE",
            "policy/date *",
            "policy/evaluations *",
            "policy/one of two newer ones allowed",
            "policy/service TD that the quote cannot name/*",
            "policy/SEPT_VE_DISABLE must be off",
            "policy/* forbidden",
            "policy/* required",
            "reference values/*",
        ),
    ),
    Difference(
        REFUSES,
        "a TDX module or quoting enclave that needs hardening or configuration",
        "Intel gives these statuses to platforms; if one comes, it is merged like the others",
        (
            "module/SWHardeningNeeded",
            "module/Configuration*",
            "module/the second level matches",
            "qe identity/SWHardeningNeeded",
            "qe identity/ConfigurationAndSWHardeningNeeded",
            "qe identity/the second level matches",
            "merged/ConfigurationNeeded + SWHardeningNeeded + UpToDate",
        ),
    ),
    Difference(
        REPORTS,
        "the platform's status where the quoting enclave needs configuration",
        "it does not merge these two statuses of an enclave; here the worst wins",
        (
            "qe identity/ConfigurationNeeded",
            "qe identity/OutOfDateConfigurationNeeded",
            "merged/SWHardeningNeeded + UpToDate + ConfigurationNeeded",
            "merged/OutOfDate + UpToDate + OutOfDateConfigurationNeeded",
        ),
    ),
    Difference(
        REFUSES,
        "documents that name a status it does not know, wherever",
        "a status counts where its level matches, and fails there",
        ("tcb level/unknown status of another level",),
    ),
    Difference(
        ACCEPTS,
        "bytes after the quote, and any type of outer certification data",
        "a quote is exactly one quote (check 1)",
        ("quote/a byte more/*", "quote/100 bytes more/*", "quote/other certification data/*"),
    ),
    Difference(
        ACCEPTS,
        "QE reports over more than the attestation key",
        "check 7: the rest of the report data is zero",
        ("qe report/more after the digest/*",),
    ),
    Difference(
        REFUSES,
        "QE authentication data of another length than 32 bytes",
        "the quote says how long it is, and the QE report binds it",
        ("quote/auth data empty", "quote/auth data of 100 bytes"),
    ),
    Difference(
        ACCEPTS,
        "newer TD attributes, and any XFAM",
        "check 13: the policy says which attributes a TD may have, and XFAM is what it can have",
        ("td attributes/* that no policy allows", "xfam/*"),
    ),
    Difference(
        REFUSES,
        "TDs whose TEE_TCB_SVN2 matches no TCB level or TDX module",
        "the platform is judged by TEE_TCB_SVN, as it was when the TD was started",
        ("tee_tcb_svn2/*",),
    ),
    Difference(
        REFUSES,
        "TDs without SEPT_VE_DISABLE, with MIGRATABLE or with a service TD, whatever the policy",
        "it has no switch for them; a policy that names a service TD knows why",
        (
            "policy/migratable allowed",
            "policy/migratable there as required",
            "policy/SEPT_VE_DISABLE may be off",
            "policy/SEPT_VE_DISABLE is off as it must",
            "policy/service TD that is named",
        ),
    ),
)


def table() -> str:
    """The list as Markdown."""
    lines = ["| dcap-qvl 0.7.0 | what | why ours do not |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {d.does} | {d.what} | {d.reason} |" for d in DIFFERENCES)])

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
            "chain/pck/root signed by a stranger",
            "chain/*/without the root",
            "crl/root_list/the root may not sign lists",
            "crl/root_list/revokes the root of *",
        ),
    ),
    Difference(
        REFUSES,
        "a root that is pinned by a certificate of another name, and ends the process there",
        "roots count by their key alone; Python asks it under the chain's own root",
        (
            "chain/all/the pinned root has another name",
            "chain/all/the pinned root has a name that nothing can read",
            "root/without names",
        ),
    ),
    Difference(
        REFUSES,
        "a root that is pinned by a certificate with odd extensions or numbers, or a large one",
        "roots count by their key alone; the one in the chain is of the profile",
        (
            "root/a serial number of 30 bytes",
            "root/unknown critical extension",
            "root/an extension twice",
            "root/100,000 bytes",
        ),
    ),
    Difference(
        ACCEPTS,
        "moments before 2050 in the form for later ones, and identifiers and numbers of any length",
        "a moment has one form; some readers, itself for roots and PCKs, have no room for longer",
        (
            "certificate/*/a time before 2050 in the form for later ones",
            "certificate/*/extension of a type *",
            "certificate/*/serial number of 21 bytes",
            "crl/*/an end before 2050 in the form for later ones",
            "crl/*/extension of a type *",
        ),
    ),
    Difference(
        ACCEPTS,
        "certificates without the extensions and the names of their roles, and unreadable ones",
        "Intel's profile has five extensions and a common name in each of them",
        (
            "certificate/*/without *",
            "certificate/*/* twice",
            "certificate/*/* cut short",
            "certificate/*/* empty",
            "certificate/*/* of another type",
            "certificate/*/the name of its role in small letters",
            "certificate/*/two *",
            "certificate/*/common name *",
            "certificate/*/another name in *",
            "certificate/*/seventeen parts",
            "certificate/*/no distribution point",
            "certificate/*/negative serial number",
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
            "sgx extension/no entry [67]",
            "sgx extension/entry 4 once more in place of 7",
            "sgx extension/one entry more*",
            "sgx extension/PPID *",
            "sgx extension/instance id a byte more",
            "sgx extension/*SGX type*",
            "sgx extension/negative PCESVN",
            "sgx extension/*flag*",
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
        REFUSES,
        "a CPUSVN that is not that of the components",
        "levels are judged by the components, as in Intel's library",
        ("sgx extension/CPUSVN of zeros",),
    ),
    Difference(
        ACCEPTS,
        "revocation lists that are not valid yet",
        "check 3 asks for both ends",
        ("crl/*/not yet valid", "policy/grace is not for a * list to come"),
    ),
    Difference(
        ACCEPTS,
        "revocation lists without a number, or without a word on the key that signed them",
        "every list of Intel's profile has both, once and in form",
        (
            "crl/*/without a number",
            "crl/*/number twice",
            "crl/*/without its issuer's key",
            "crl/*/issuer's key *",
        ),
    ),
    Difference(
        ACCEPTS,
        "entries of a list with critical or other extensions than a reason, or odd serial numbers",
        "Intel's entries say whom they revoke, and perhaps why; another could be about others",
        (
            "crl/*/entry of a negative serial number",
            "crl/*/entry of a serial number with a zero too many",
            "crl/*/entry with a critical reason",
            "crl/*/entry with an unknown extension",
            "crl/*/entry with the date of its loss",
        ),
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
        REFUSES,
        "documents with white space that came in on their way",
        "Intel's library writes them out anew; the text without it is what was signed, and is read",
        ("*/re-indented on *", "*/re-indented by tabs and CR LF"),
    ),
    Difference(
        ACCEPTS,
        "other numbers in members that nobody reads, and any depth",
        "a document that is read in two ways by two programs is read by neither",
        ("*/number * somewhere", "*/33 values deep"),
    ),
    Difference(
        ACCEPTS,
        "some statuses that a level cannot have, and two TDX modules of one name",
        "Intel has no such documents",
        (
            "tcb level/TDRelaunchAdvised in another level",
            "tcb level/advisory 'INTEL*",
            "tcb level/advisory '*NTEL-SA-00837'",
            "qe identity/*ConfigurationNeeded",
            "module/a status of another identity that it cannot have",
            "module/two identities *",
        ),
    ),
    Difference(
        ACCEPTS,
        "SEAMATTRIBUTES that are not zero, and bits of an identity outside its mask",
        "no TDX module has attributes; what an identity asks for is compared whole, as by Intel",
        (
            "module/attributes outside the mask in the identity alone",
            "module/SEAMATTRIBUTES that the identity has",
            "qe identity/* outside the mask*",
        ),
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
            "module/the second level matches",
            "qe identity/the second level matches",
            "relaunch/*",
            "policy/TDRelaunchAdvised* is not OutOfDate",
            "merged/* + OutOfDate + *",
            "merged/* + OutOfDate",
            "merged/OutOfDate* + UpToDate + UpToDate",
            "short/*",
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
            "policy/*grace*",
            "policy/*advisory*",
            "policy/masked *",
            "policy/* forbidden, and not told",
            "policy/service TD of the start, where that of now is named",
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
        ACCEPTS,
        "quotes for nested guests, and service TDs that only an extended body tells of",
        "it does not look at these fields; a policy has to name them",
        ("body/a nested guest", "body/* of a service TD's *"),
    ),
    Difference(
        REFUSES,
        "collateral that has ended, whatever the grace",
        "a policy's grace is told, with the moment at which it ends; Python does not ask it then",
        ("policy/grace of an ended *", "policy/grace of a * list that ends now"),
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
            "policy/service TD that is named/*",
            "policy/servtd_ext allowed",
        ),
    ),
)


def table() -> str:
    """The list as Markdown."""
    lines = ["| dcap-qvl 0.7.0 | what | why ours do not |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {d.does} | {d.what} | {d.reason} |" for d in DIFFERENCES)])

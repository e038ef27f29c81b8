"""Where Intel's quote verification library says something else than our two verifiers, and why.

`make test-intel` holds this list to what happens: a case that differs must be in it, and a line
without a case that differs fails. docs/verification.md repeats it for readers, which is tested too.
It is that of the library's version 1.27.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "1.27"

ACCEPTS, REFUSES, REPORTS, FAILS = "accepts", "refuses", "reports otherwise", "fails"
"""What the library does: it gives a TCB status where ours give none, or none where ours give one;
gives another status, date, advisory or number; or crashes, or comes to no end."""


@dataclass(frozen=True)
class Difference:
    """What the library does with some cases (fnmatch patterns of names), and our reason."""

    does: str
    what: str
    reason: str
    cases: tuple[str, ...]


DIFFERENCES = (
    Difference(
        ACCEPTS,
        "certificates and documents that are not valid yet",
        "it looks at the end of their time only; Intel signs for both",
        (
            "certificate/*/not yet valid",
            "*/issued in a second",
            "*/issueDate of year 0",
            "policy/grace is not for a * to come",
        ),
    ),
    Difference(
        ACCEPTS,
        "revocation lists that end in this very second",
        "what ends now has ended, here as in everything else",
        ("crl/*/ends now",),
    ),
    Difference(
        ACCEPTS,
        "certificates and lists that are not strictly DER, or of another version",
        "whoever reads them otherwise would see something else; Intel writes strict DER, version 3",
        (
            "certificate/*/trailing byte",
            "certificate/*/* with a byte too many*",
            "certificate/*/indefinite length",
            "certificate/*/version * with extensions",
            "certificate/*/a time before 2050 in the form for later ones",
            "certificate/*/unique id of *",
            "crl/*/trailing byte",
            "crl/*/* with a byte too many*",
            "crl/*/indefinite length",
            "crl/*/without a version",
            "crl/*/an end before 2050 in the form for later ones",
        ),
    ),
    Difference(
        ACCEPTS,
        "extensions twice, or with something else in them; a subject with two common names",
        "it wants them there, and reads nothing of them but the first common name",
        (
            "certificate/*/repeated extension",
            "certificate/*/* twice",
            "certificate/*/* cut short",
            "certificate/*/* empty",
            "certificate/*/* of another type",
            "certificate/*/two common names",
            "crl/*/issuer's key cut short",
            "crl/*/issuer's key of another type",
            "crl/*/negative number",
        ),
    ),
    Difference(
        ACCEPTS,
        "numbers, dates and names that nothing of Intel's has, and foreign extensions",
        "what the profile leaves no room for has nobody who says what it means",
        (
            "certificate/*/no distribution point",
            "certificate/*/a path length over *",
            "certificate/*/negative serial number",
            "certificate/*/begins before 1970",
            "certificate/*/two names in one place",
            "certificate/*/another name in UTF-16",
            "certificate/*/another name in an older alphabet*",
            "certificate/*/seventeen parts",
            "certificate/*/serial number of 21 bytes",
            "certificate/*/extension of a type *",
            "crl/*/extension of a type *",
            "*/issueDate before 1970",
            "tcb level/date before 1970",
            "tcb level/advisory *",
            "crl/*/number of 21 bytes",
            "crl/*/of changes, not critical",
            "crl/*/of one distribution point, not critical",
        ),
    ),
    Difference(
        ACCEPTS,
        "entries of revocation lists with odd dates or numbers, or with more than one known reason",
        "who misreads an entry lets a revoked key pass; Intel's have a reason, and nothing else",
        ("crl/*/entry *",),
    ),
    Difference(
        ACCEPTS,
        "critical extensions that it does not know",
        "critical means that who does not know it must not go on (RFC 5280, section 4.2)",
        ("certificate/*/unknown critical extension", "crl/*/critical extension"),
    ),
    Difference(
        ACCEPTS,
        "certificates and lists that name another algorithm inside or outside, and SHA-384",
        "Intel's profile has ECDSA with SHA-256, named twice alike",
        (
            "certificate/*/another algorithm inside",
            "certificate/*/RSA inside and ECDSA outside",
            "crl/*/another algorithm *side",
            "crl/*/SHA-384",
        ),
    ),
    Difference(
        ACCEPTS,
        "certificates that say they are for something else",
        "it wants key usage and basic constraints, and does not read what they say",
        (
            "certificate/platform/not a CA",
            "certificate/platform/cannot sign certificates",
            "certificate/*/is a CA",
            "certificate/*/cannot sign data",
            "crl/pck_list/the CA may not sign lists",
        ),
    ),
    Difference(
        ACCEPTS,
        "a root list that revokes the root",
        "a root that takes itself back is no root",
        ("crl/root_list/revokes the root",),
    ),
    Difference(
        ACCEPTS,
        "chains in another order, with other text in between, or in PEM that is not quite PEM",
        "nobody signs it; a chain has one spelling, with at most the one NUL of Intel's quotes",
        (
            "chain/*/root first",
            "chain/*/text *",
            "chain/*/two NULs at the end",
            "chain/*/a line after the NUL",
            "chain/*/* after the end",
            "chain/*/* at the end",
            "chain/*/bits after the end of base64",
            "chain/*/a form feed between",
        ),
    ),
    Difference(
        ACCEPTS,
        "SGX extensions with entries out of their range, some twice, or that are not strictly DER",
        "it looks up what it needs, and cuts numbers; Intel's profile has a size for each entry",
        (
            "sgx extension/entry 4 once more in place of 7",
            "sgx extension/instance id a byte more",
            "sgx extension/SGX type over 255",
            "sgx extension/* flags",
            "sgx extension/flag *",
            "sgx extension/negative *",
            "sgx extension/PCESVN over 65535",
            "sgx extension/trailing byte",
            "sgx extension/length with a byte too many",
            "sgx extension/indefinite length",
            "sgx extension/field with a* length",
        ),
    ),
    Difference(
        ACCEPTS,
        "documents with other members beside the signed one, twice the same, or names with escapes",
        "the outer text is signed by nobody: it has two members, and one spelling",
        (
            "*/two signatures",
            "*/member more",
            "*/both members twice",
            "*/* spelled with an escape",
        ),
    ),
    Difference(
        ACCEPTS,
        "numbers that are not written as whole ones, or beyond 2^53, in members that nobody reads",
        "whole numbers up to there are the same to every reader",
        ("*/number * somewhere",),
    ),
    Difference(
        ACCEPTS,
        "two identities of one TDX module, or a status that no module has in another's identity",
        "it takes the first, and looks at the one that it needs; of two either could be meant",
        (
            "module/two identities *",
            "module/a status of another identity that it cannot have",
        ),
    ),
    Difference(
        ACCEPTS,
        "revocation lists in PEM with more behind them",
        "a list is one list",
        ("crl/*_crl as two in PEM", "crl/*_crl as PEM with * after"),
    ),
    Difference(
        ACCEPTS,
        "TCB levels with a component over 255",
        "it takes the lower bits, and a level would ask for less than it says",
        ("tcb level/SVN over 255",),
    ),
    Difference(
        ACCEPTS,
        "debug quoting enclaves where the identity or its mask lets them pass",
        "who can debug a quoting enclave has its key, whatever an identity says",
        ("qe report/debug that the identity allows", "qe report/debug outside the mask"),
    ),
    Difference(
        ACCEPTS,
        "QE reports over more than the attestation key",
        "check 7: the rest of the report data is zero",
        ("qe report/more after the digest/*",),
    ),
    Difference(
        ACCEPTS,
        "bytes after the quote",
        "a quote is exactly one quote (check 1)",
        ("quote/a byte more/*", "quote/100 bytes more/*"),
    ),
    Difference(
        ACCEPTS,
        "collateral without the chain of the PCK list",
        "it has no use for it, nor do we; but every collateral service sends it",
        ("collateral/without pck_crl_issuer_chain_pem",),
    ),
    Difference(
        ACCEPTS,
        "a TDX module that runs now and is revoked",
        "it tells that beside the status, which is that of the start; here it fails",
        ("relaunch/to a revoked module/*", "relaunch/from * to Revoked"),
    ),
    Difference(
        REFUSES,
        "documents that were signed with white space inside",
        "it writes a document anew and verifies that; here what came may be what was signed",
        ("*/white space inside",),
    ),
    Difference(
        REFUSES,
        "the trusted root where a chain has another certificate of the same key",
        "roots are told apart by their key, and the chain's own certificate is checked",
        (
            "certificate/root/unknown extension that is not critical",
            "certificate/root/extension of a type of 39 bytes",
            "certificate/root/serial number of 20 bytes and a zero in front",
            "root/*",
            "chain/all/the pinned root *",
        ),
    ),
    Difference(
        REFUSES,
        "revocation lists in PEM with white space in front",
        "white space around PEM changes nothing (RFC 7468)",
        ("crl/*_crl as PEM with blanks around",),
    ),
    Difference(
        REFUSES,
        "what has ended and is within a policy's grace",
        "the library by itself has no policy; Intel's policies know a `collateral_grace_period`",
        ("policy/grace of an ended *",),
    ),
)


def table() -> str:
    """The list as Markdown."""
    lines = [f"| QVL {VERSION} | what | why ours do not |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {d.does} | {d.what} | {d.reason} |" for d in DIFFERENCES)])

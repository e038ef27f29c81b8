"""What attestation services, and whoever is in their place, answer; and what each answer is.

The shapes are those of Trustee v0.13.0 and v0.21.0 (docs/providers.md), of `cczoo-verify serve` and
of Alibaba Cloud's service; every address and digest in them is made up.
"""

from __future__ import annotations

from collections.abc import Iterator

ADDRESS, UNREACHABLE = "service-address", "service-unreachable"
BROKEN, REJECTED, APPRAISAL = "service-broken", "service-rejected", "appraisal"

PAGE = "<!doctype html><title>Welcome</title>"


def service_answers() -> object:
    """Answers with their code, null for one that is to be read as a token."""
    return {
        "source": "docs/providers.md, section What an answer is",
        "about_evidence": [REJECTED, APPRAISAL],
        "cases": [
            {"status": status, "body": body, "code": code, "says": says}
            for status, body, code, says in (
                *_statuses(),
                *_not_its_words(),
                *_old_trustee(),
                *_new_trustee(),
                *_ours(),
                *_alibaba(),
            )
        ],
        "other_form": [
            [400, "Json deserialize error: missing field `tee` at line 1 column 8413"],
            [
                400,
                "Json deserialize error: missing field `verification_requests` at line 1 column 9",
            ],
        ],
        "same_form": [
            [400, "Json deserialize error: missing field `policy_ids` at line 1 column 9"],
            [400, "Json deserialize error: EOF while parsing an object at line 1 column 1"],
            [400, ""],
            [422, "missing field `tee`"],
            [500, "error: missing field `tee` at line 1"],
            [500, "Verifier evaluate failed: unknown field `cc_eventlog`, deserialize"],
            [200, "missing field `tee`"],
        ],
    }


Case = tuple[int, str, str | None, str]
"""Status, body, code, and what is said of it in words: part of them, or nothing."""


def _statuses() -> Iterator[Case]:
    for status in (301, 302, 303, 307, 308, 404, 405, 410):
        yield status, "", ADDRESS, ""
    for status in (401, 403, 407, 408, 425, 429, 502, 503, 504):
        yield status, "no", UNREACHABLE, ""
    for status in (201, 204, 400, 402, 406, 409, 415, 418, 422, 451, 500, 501, 505, 507, 520):
        yield status, "" if status == 204 else "no", BROKEN, ""
    yield 413, "", BROKEN, "larger than it takes"
    yield 413, PAGE, BROKEN, "larger than it takes"
    yield 404, '{"code":"x","message":"no such path"}', ADDRESS, ""
    yield 403, '{"code":"x","message":"who are you?"}', UNREACHABLE, ""
    yield 200, "a.b.c", None, ""
    yield 200, "", None, ""
    yield 200, "Verifier evaluate failed", None, ""


def _not_its_words() -> Iterator[Case]:
    """Pages for people, whose words count for nothing."""
    refusing = "<html>Verifier evaluate failed</html>"
    for status in (200, 201, 400, 402, 422):
        yield status, PAGE, ADDRESS, ""
    yield 200, "\n <html></html>", ADDRESS, ""
    yield 400, refusing, ADDRESS, ""
    for status in (500, 501, 520):
        yield status, PAGE, UNREACHABLE, ""
    yield 500, refusing, UNREACHABLE, ""
    # Another language's white space is none here.
    yield 500, "\ufeff<html>", BROKEN, ""
    yield 500, "\u00a0<html>", BROKEN, ""
    yield 500, "x" * 5000 + " Verifier evaluate failed", BROKEN, ""


def _old_trustee() -> Iterator[Case]:
    """v0.13.0, with the numbers of Intel's quote library."""

    def said(source: str, context: str = "attestation report evaluate") -> str:
        inside = f'        context: "{context}",\n        source: "{source}",\n'
        return f"InternalError(\n    Error {{\n{inside}    }},\n)"

    def failed(why: str) -> str:
        return said(f"Verifier evaluate failed: TDX Verifier: {why}")

    def quote_verification(number: str) -> str:
        return failed(f"tee_verify_quote failed: {number}")

    terminal = "Verification completed with Terminal result: "
    yield 500, quote_verification("0xe01b"), BROKEN, "no collateral"
    yield 500, quote_verification("0xe02c"), BROKEN, "expired"
    yield 500, quote_verification("0xe001"), BROKEN, ""
    yield 500, quote_verification("0xe022"), REJECTED, "do not lead to the root"
    yield 500, quote_verification("0xe031"), REJECTED, "revoked"
    yield 500, quote_verification("0xe032"), REJECTED, "revoked"
    yield 500, quote_verification("0xe068"), REJECTED, "signature"
    yield 500, failed(f"{terminal}a004"), REJECTED, "signature"
    yield 500, failed(f"{terminal}a005"), REJECTED, "revoked"
    yield 500, failed(f"{terminal}a006"), REJECTED, ""
    yield 500, failed(f"{terminal}a009"), REJECTED, "restart the TD"
    yield 500, failed(f"{terminal}a00a"), REJECTED, "restart the TD"
    size = "tee_get_quote_supplemental_data_size failed: 0xe002"
    yield 500, failed(size), REJECTED, "cannot read the quote"
    differs = "REPORT_DATA is different from that in TDX Quote"
    yield 500, failed(differs), REJECTED, "other report data"
    log = f"AA eventlog does not pass check. AAEL value : {'7a' * 48}, Quote value {'a3' * 48}"
    yield 500, failed(log), REJECTED, "event logs"
    firmware = "RTMR 0, 1, 2 values from TD quote is not equal with the values from EventLog"
    yield 500, failed(firmware), REJECTED, "event logs"
    yield 500, failed("something new"), REJECTED, ""
    yield 500, said("Generate reference data failed: tonic transport error"), BROKEN, "reference"
    policy = "Failed to read attestation service policy file: No such file"
    yield 500, said(policy), BROKEN, "policy"
    yield 500, said("Reject by policy default"), APPRAISAL, "policy does not accept"
    yield 500, said("something else", "new"), BROKEN, ""
    yield 400, "Json deserialize error: invalid type at line 1 column 1", BROKEN, "understand"


def _new_trustee() -> Iterator[Case]:
    """v0.21.0: a chain of sentences."""

    def said(*causes: str) -> str:
        chain = "\n".join(f"{at}: {cause}" for at, cause in enumerate(causes))
        return f"An internal error occured: \n{chain}"

    def failed(*why: str) -> str:
        lines = [f"    {at}: {cause}" for at, cause in enumerate(why)]
        causes = "\n".join(lines) if len(why) > 1 else f"    {why[0]}"
        verifier = f"Verifier evaluate failed: TDX Verifier\n\nCaused by:\n{causes}"
        return said("attestation report evaluate", verifier)

    url = "http://192.0.2.1/tdx/certification/v4/tcb?fmspc=000000000000"
    down = f"failed to send request to PCS: error sending request for url ({url})"
    for what in ("TcbInfo", "QeIdentity", "PCK CRL", "Root CA CRL"):
        yield 500, failed(f"failed to fetch {what}", down), BROKEN, "no collateral"
    terminal = "Verification completed with Terminal result: "
    for name, number, says in (
        ("INVALID_SIGNATURE", "a004", "signature"),
        ("REVOKED", "a005", "revoked"),
        ("UNSPECIFIED", "a006", ""),
    ):
        text = f"{terminal}SGX_QL_QV_RESULT_{name} (0x{number})"
        yield 500, failed(text), REJECTED, says
    quote = "tee_verify_quote failed: SGX_QL_"
    yield 500, failed(f"{quote}PCK_CERT_CHAIN_ERROR (0xe022)"), REJECTED, "do not lead to the root"
    yield 500, failed(f"{quote}UNABLE_TO_GET_COLLATERAL (0xe034)"), BROKEN, "no collateral"
    yield 500, failed(f"{quote}ERROR_UNEXPECTED (0xe001)"), BROKEN, ""
    yield 500, failed("REPORT_DATA is different from that in TDX Quote"), REJECTED, "report data"
    register = "CC Event Log Measurement Register [index = 4]"
    log = f"Eventlog does not pass measurement replay {register}. Calculated value: 00"
    yield 500, failed(log), REJECTED, "event logs"
    yield 500, failed("Parse CC Eventlog failed: Unknown event type"), REJECTED, "event logs"
    evaluate = "attestation report evaluate"
    for values in ("failed: transport error", "timeout: deadline has elapsed"):
        yield 500, said(evaluate, f"Get Reference Value from RVPS {values}"), BROKEN, "reference"
    yield 500, said(evaluate, "Policy `default` not found"), BROKEN, "policy"
    yield 500, said(evaluate, "Failed to eval policy: x"), BROKEN, ""
    yield 400, "Origin is not allowed to make this request", UNREACHABLE, ""


def _ours() -> Iterator[Case]:
    """`cczoo-verify serve`."""

    def said(check: str, code: str, why: str = "why") -> str:
        chain = f"0: attestation report evaluate\n1: {check}/{code}: {why}"
        return f"An internal error occured: \n{chain}"

    yield 500, said("quote-signature", "quote-forged"), REJECTED, ""
    yield 500, said("quote-signature", "internal", "the service failed; see its log"), BROKEN, ""
    yield 500, said("evidence-format", "quote-malformed"), REJECTED, ""
    yield 500, said("nonce-binding", "report-data-differs"), REJECTED, ""
    yield 500, said("td-attributes", "debug"), REJECTED, ""
    yield 500, said("tcb-status", "tcb-revoked"), REJECTED, ""
    yield 500, said("event-log", "log-differs"), REJECTED, "event logs"
    yield 500, said("collateral", "revoked"), REJECTED, "revoked"
    yield 500, said("collateral", "collateral-expired"), BROKEN, "no collateral"
    yield 500, said("collateral", "not-configured"), BROKEN, "no collateral"
    yield 500, said("appraisal", "policy-unknown"), BROKEN, "policy"


def _alibaba() -> Iterator[Case]:
    yield 400, '{"code":"InvalidParameter","message":"bad evidence"}', REJECTED, ""
    yield 400, ' {"message":"<b>bad</b>","code":"AttestationFailed","x":1}\n', REJECTED, ""
    yield 400, '{"code":1,"message":"bad evidence"}', BROKEN, ""
    yield 400, '{"code":"x"}', BROKEN, ""
    yield 400, '{"code":"x","code":"x","message":"twice"}', BROKEN, ""
    yield 400, '["code","message"]', BROKEN, ""
    yield 500, '{"code":"InternalError","message":"try again"}', BROKEN, ""

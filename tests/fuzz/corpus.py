"""Writes the seeds that the fuzz targets start from, one folder a corpus.

    python tests/fuzz/corpus.py [--check]

The simulator's keys come from a fixed seed here, so the files are the same on every run; with
--check nothing is written and the exit code says whether they are. A seed's name begins with
"good" where its targets must accept it, and with "bad" where they must not.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `emulator` and `vectors` are

import sealing_corpus
import tcg2

from emulator import device
from emulator.qgs import SPOILERS
from emulator.signers import FORMS, fixed
from quote_generator.simulator import Simulator
from vectors.make import APPLICATION_LOG, NOW, seeded

CORPUS = Path(__file__).resolve().parent / "corpus"
REPORT_DATA = bytes(64)
Seeds = dict[str, bytes]


# --- quotes, and the messages around them -------------------------------------------------------

V4_LENGTH_AT, V5_TD15_LENGTH_AT, V5_TD15EX_LENGTH_AT = 632, 702, 939


@functools.cache
def quotes() -> Seeds:
    with tempfile.TemporaryDirectory() as folder:
        td = Simulator.open(Path(folder) / "td", clock=lambda: NOW, rng=seeded("fuzz"))
        seeds = {
            f"good-{form}": td.quote(REPORT_DATA, version=version, body_type=body_type)
            for form, (version, body_type) in FORMS.items()
        }
    v4 = without_certificates(seeds["good-v4"], V4_LENGTH_AT)
    v5 = without_certificates(seeds["good-v5-td15"], V5_TD15_LENGTH_AT)
    extended = without_certificates(seeds["good-v5-td15ex"], V5_TD15EX_LENGTH_AT)
    return {
        **seeds,
        "good-v4-short": v4,
        "good-v5-td15-short": v5,
        "good-v5-td15ex-short": extended,
        "bad-body-size": put(v5, 50, "<I", 584),
        "bad-body-size-884": put(extended, 50, "<I", 884),
        "bad-body-size-886": put(extended, 50, "<I", 886),
        "bad-body-type": put(extended, 48, "<H", 5),
        "bad-cut": v4[:700],
        "bad-cut-body": extended[:900],
        "bad-extended-in-v4": put(extended, 0, "<H", 4),
        "bad-header-only": v4[:48],
        "bad-length": put(v4, V4_LENGTH_AT, "<I", 0xFFFFFFFF),
        "bad-tee": put(v4, 4, "<I", 0),
        "bad-version": put(v4, 0, "<H", 3),
        "bad-p384": put(v4, 2, "<H", 3),
        "bad-dice": b"\xd9\xd9\xf7\x84" + v4[:96],
    }


def without_certificates(quote: bytes, length_at: int) -> bytes:
    """Return a quote without its PCK chain, which makes out most of it."""
    end = quote.index(b"-----BEGIN")
    certification_at = length_at + 4 + 128  # behind signature and key
    quote = put(quote[:end], length_at, "<I", end - length_at - 4)
    quote = put(quote, certification_at + 2, "<I", end - certification_at - 6)
    return put(quote, end - 4, "<I", 0)


def put(data: bytes, at: int, form: str, value: int) -> bytes:
    field = struct.pack(form, value)
    return data[:at] + field + data[at + len(field) :]


def tiny_quote() -> bytes:
    """Return what the C core takes for a whole quote: it does not look into signature data."""
    size = 100
    return put(fixed()(REPORT_DATA)[: V4_LENGTH_AT + 4 + size], V4_LENGTH_AT, "<I", size)


PREFIX_SIZE = 4
# An answer can be right and what is in it no quote; the transport refuses it later.
RIGHT_ANSWERS = ("none", "other-minor", "with-an-id", "empty-quote")


def qgs_responses() -> Seeds:
    whole = device.qgs_response(tiny_quote())
    return {
        f"{'good' if name in RIGHT_ANSWERS else 'bad'}-{name}": spoil(whole)[PREFIX_SIZE:]
        for name, spoil in SPOILERS.items()
        if "prefix" not in name and name != "hang-up"
    }


def legacy_answers() -> Seeds:
    quote = tiny_quote()
    message = device.qgs_response(quote)
    answers = {
        "good-bare": quote,
        "good-message": message,
        "good-padded": quote + bytes(70),
        "bad-empty": b"",
        "bad-error": device.qgs_response(quote, error=0x12001),
        "bad-report-data": put(quote, 568, "<I", 1),
        "bad-sizes": device.qgs_response(quote, quote_size=len(quote) + 1),
    }
    seeds = {name: len(data).to_bytes(4, "little") + data for name, data in answers.items()}
    return {**seeds, "bad-too-long": (16361).to_bytes(4, "little") + quote}


def chains() -> Seeds:
    text = quotes()["good-v4"]
    pem = text[text.index(b"-----BEGIN") :]
    one = pem[: pem.index(b"-----END") + len(b"-----END CERTIFICATE-----\n")]
    last = len(base64.b64decode(b"".join(one.splitlines()[1:-1]))) - 1
    return {
        "good": pem,
        "good-edited": b"E" + struct.pack(">HB", last, 1),  # in its signature
        "good-edited-nowhere": b"E",
        "good-crlf": pem.replace(b"\n", b"\r\n"),
        "good-one": one,
        "good-no-line-end": one.rstrip(),
        "bad-behind": one + b"x",
        "bad-edited": b"E\0\0\0",
        "bad-empty": b"",
        "bad-key": one.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        "bad-unused-bits": one.replace(b"=\n---", b"\n---"),
        "bad-zero-between": one + b"\0" + one,
    }


def tdreports() -> Seeds:
    report = device.tdreport(REPORT_DATA, [bytes([n]) * 48 for n in range(4)])
    return {"good": report, "bad-type": b"\0" + report[1:], "bad-cut": report[:-1]}


def entry_names() -> Seeds:
    names = {
        "good": "cczoo-quote.4026531836.4026531834.77.1234.99.0123456789abcdef",
        "good-numbers-too-large": f"cczoo-quote.{'9' * 25}.0.{'1' * 9}.{'9' * 25}.-{'9' * 25}.0",
        "bad-another": "somebody-elses",
        "bad-longer": "cczoo-quote.4026531836.4026531834.77.1234.99.0123456789abcdef0",
        "bad-older": "cczoo-quote.4026531836.77.1234.99.0123456789abcdef",
        "bad-pid": "cczoo-quote.4026531836.4026531834.-77.1234.99.0123456789abcdef",
        "bad-random": "cczoo-quote.4026531836.4026531834.77.1234.99.",
    }
    return encoded(names)


# --- event logs ---------------------------------------------------------------------------------


def firmware_logs() -> Seeds:
    one = tcg2.header({tcg2.SHA384: 48})
    one += tcg2.event(1, 0x80000001, {tcg2.SHA384: b"\1" * 48}, b"variable")
    one += tcg2.event(2, tcg2.NO_ACTION, {tcg2.SHA384: b"\2" * 48}, b"")
    two = tcg2.header({tcg2.SHA256: 32, tcg2.SHA384: 48})
    both = {tcg2.SHA256: b"\3" * 32, tcg2.SHA384: b"\4" * 48}
    events = tcg2.application("coco.example start container-1") + tcg2.application("a b c")
    grub = tcg2.event(
        3, 0xD, {tcg2.SHA384: hashlib.sha384(b"root=/dev/vda1").digest()},
        b"kernel_cmdline: root=/dev/vda1\0",
    )  # fmt: skip
    two += tcg2.event(4, 6, both, b"data") + tcg2.event(0, 1, both, b"not an RTMR")
    return {
        "good-one-algorithm": one,
        "good-two-algorithms": two,
        "good-empty-table": one + b"\xff" * 64,
        "good-merged": one + grub + events + b"\xff" * 8,
        "good-agents-header": tcg2.agents_header({tcg2.SHA384: 48, 0x12: 32}) + events,
        "bad-another-header": tcg2.agents_header({tcg2.SHA384: 48}).replace(b"\0" * 24, b"\1" * 24),
        "bad-cut": one[:-1],
        "bad-digest": tcg2.header({tcg2.SHA384: 48}) + tcg2.event(1, 1, {tcg2.SHA256: b""}, b""),
        "bad-event-size": put(one, len(one) - 4, "<I", 0xFFFFFFFF),
        "bad-no-header": one[64:],
    }


def application_logs() -> Seeds:
    later = APPLICATION_LOG.replace("00", "ab", 48)
    texts = {
        "good": APPLICATION_LOG,
        "good-begins-later": later,
        "good-unfinished": APPLICATION_LOG.rstrip("\n"),
        "bad-algorithm": APPLICATION_LOG.replace("sha384", "sha256", 1),
        "bad-two-words": APPLICATION_LOG + "two words\n",
    }
    # What JSON can bring and UTF-8 cannot: half a surrogate pair.
    return encoded(texts) | {"bad-surrogate": APPLICATION_LOG.encode() + b"a b \xed\xa0\x80\n"}


def application_entries() -> Seeds:
    good = tcg2.application("coco.example start container-1") + tcg2.application("a b c")
    return {
        "good": good,
        "good-begins-later": tcg2.application("cczoo begin sha384/" + "ab" * 48) + good,
        "good-cut": good[:-1],
        "good-other-register": good + tcg2.application("d e f", 3),
        "bad-digest": put(good, 20, "<I", 0),
        "bad-tag": put(good, 66, "<I", 0),
        "bad-tag-alone": tcg2.event(4, tcg2.TAG, {tcg2.SHA384: bytes(48)}, b"LEAA"),
        "bad-text": b"INIT sha384/00\n",
        "bad-type": put(good, 4, "<I", 5),
    }


# --- base64url and JSON -------------------------------------------------------------------------


def base64url_texts() -> Seeds:
    texts = {
        "good-16": "AAECAwQFBgcICQoLDA0ODw",
        "good-17": "AAECAwQFBgcICQoLDA0ODxA",
        "good-64": "-_" * 43,
        "bad-alphabet": "AAECAwQFBgcICQoLDA0OD+",
        "bad-last-bits": "AAECAwQFBgcICQoLDA0ODx",
        "bad-padding": "AAECAwQFBgcICQoLDA0ODw==",
        "bad-short": "AAEC",
    }
    # The last character of 64 bytes holds four of its bits only.
    texts["good-64"] = texts["good-64"][:85] + "w"
    return encoded(texts)


def json_texts() -> Seeds:
    texts = {
        "good": '{"a":[1,-2.5e3,true,null],"\\u20ac":"\\ud83d\\ude00"}',
        "good-text": '"text"',
        "bad-infinite": '{"a":1e999}',
        "bad-nan": "[NaN]",
        "bad-open": '{"a":[1,2',
        "bad-repeated": '{"a":1,"a":2}',
    }
    return {**encoded(texts), "bad-utf-16": '{"a":1}'.encode("utf-16")}


def request_bodies() -> Seeds:
    inner = {
        "quote": base64.b64encode(quotes()["good-v4-short"]).decode(),
        "cc_eventlog": base64.b64encode(firmware_logs()["good-one-algorithm"]).decode(),
        "aa_eventlog": APPLICATION_LOG,
    }
    evidence = base64url(json.dumps(inner).encode())
    plain = {"tee": "tdx", "evidence": evidence, "policy_ids": ["default"]}
    raw = {**plain, "runtime_data": {"raw": base64url(bytes(48))}}
    structured = {
        **plain,
        "runtime_data": {"structured": {"nonce": "AA", "numbers": [1, 2.5]}},
        "runtime_data_hash_algorithm": "sha512",
        "init_data": {"structured": {"a": "b"}},
    }
    digest = {**plain, "init_data": {"init_data_digest": base64url(bytes(32))}}
    requests = {"verification_requests": [raw, structured], "policy_ids": []}
    bodies = {
        "good-digest": digest,
        "good-listed": requests,
        "good-raw": raw,
        "good-structured": structured,
        "bad-no-evidence": {"tee": "tdx", "policy_ids": []},
        "bad-runtime-data": {**plain, "runtime_data": {"raw": "AA", "structured": {}}},
        "bad-too-many": {"verification_requests": [{}] * 9, "policy_ids": []},
    }
    seeds = {name: json.dumps(body).encode() for name, body in bodies.items()}
    surrogate = inner | {"aa_eventlog": f"{APPLICATION_LOG}a b \ud800\n"}
    return {
        **seeds,
        "good-evidence": b"E" + json.dumps(inner).encode(),
        "good-evidence-surrogate": b"E" + json.dumps(surrogate).encode(),
        "bad-evidence-base64": b"E" + json.dumps(inner | {"quote": "?"}).encode(),
    }


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(texts: dict[str, str]) -> Seeds:
    return {name: text.encode() for name, text in texts.items()}


# --- writing ------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[], Seeds]] = {
    "aael": application_logs,
    "aael_tcg2": application_entries,
    "base64url": base64url_texts,
    "body": request_bodies,
    "ccel": firmware_logs,
    "chain": chains,
    "entry_name": entry_names,
    "legacy_answer": legacy_answers,
    "qgs_response": qgs_responses,
    "quote": quotes,
    "strict_json": json_texts,
    "tdreport": tdreports,
    **sealing_corpus.MAKERS,
}


def make() -> dict[Path, bytes]:
    """Return every seed's path and content."""
    return {
        CORPUS / folder / name: content
        for folder, maker in MAKERS.items()
        for name, content in maker().items()
    }


def main(argv: list[str] | None = None) -> int:
    """Write the seeds, or compare them; 1 where a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args(argv).check
    wanted = make()
    found = {path: path.read_bytes() for path in CORPUS.rglob("*") if path.is_file()}
    stale = [path for path in {**wanted, **found} if wanted.get(path) != found.get(path)]
    for path in stale:
        print(f"{path.relative_to(CORPUS)} {'differs' if check else 'written'}", file=sys.stderr)
        if not check:
            path.unlink(missing_ok=True)
            if path in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wanted[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

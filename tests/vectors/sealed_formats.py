"""The formats within sealed requests: binary HTTP, padded bodies, the socket's frames.

The first binary HTTP messages that are read are those of RFC 9292, section 5.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quote_generator.sealing import binary_http, frames, padding
from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.varint import varint_bytes

Random = Callable[[int], bytes]

RFC_9292_REQUEST_KNOWN = (
    "0003474554056874747073000a2f68656c6c6f2e747874406c0a757365722d6167656e74346375726c2f37"
    "2e31362e33206c69626375726c2f372e31362e33204f70656e53534c2f302e392e376c207a6c69622f312e"
    "322e3304686f73740f7777772e6578616d706c652e636f6d0f6163636570742d6c616e677561676506656e"
    "2c206d690000"
)
RFC_9292_REQUEST = (
    "0203474554056874747073000a2f68656c6c6f2e7478740a757365722d6167656e74346375726c2f372e31"
    "362e33206c69626375726c2f372e31362e33204f70656e53534c2f302e392e376c207a6c69622f312e322e"
    "3304686f73740f7777772e6578616d706c652e636f6d0f6163636570742d6c616e677561676506656e2c20"
    "6d6900000000000000000000000000"
)


def counted(data: bytes) -> bytes:
    """Data after its length."""
    return varint_bytes(len(data)) + data


def flipped(data: bytes, at: int) -> bytes:
    """Data with one bit turned round."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# --- binary HTTP ----------------------------------------------------------------------------------


def binary_http_vectors() -> object:
    """Messages written and read."""
    return {
        "written": [_written_message(*case) for case in _messages()],
        "read": [*_read_messages()],
        "bad": [
            {"name": name, "kind": kind, "message": message.hex(), "code": code}
            for name, kind, message, code in _bad_messages()
        ],
    }


def _messages() -> Iterator[tuple[RequestHead | ResponseHead, list[bytes]]]:
    fields = ((b"Accept", b"*/*"), (b"x-empty", b""), (b"set-cookie", b"a=1"))
    twice = ((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/"), (b"x-name", "ä".encode()))
    yield RequestHead("GET", "https", "chat.example", "/", fields), []
    yield RequestHead("POST", "http", "[::1]:8080", "/a?b=%20c", ()), [b"one", b"", b"two"]
    yield RequestHead("M-SEARCH", "https", "", "/" + "p" * 100, ()), [b"x" * 70]
    yield ResponseHead(200, twice), [b"data: 1\n\n", b"data: 2\n\n"]
    yield ResponseHead(204, ()), []
    yield ResponseHead(404, fields), [bytes(range(256))]


def _written_message(head: RequestHead | ResponseHead, pieces: list[bytes]) -> object:
    encoded = (
        binary_http.encode_request_head(head)
        if isinstance(head, RequestHead)
        else binary_http.encode_response_head(head)
    )
    content = b"".join(map(binary_http.encode_content, pieces))
    return {
        "head": head_members(head),
        "pieces": [piece.hex() for piece in pieces],
        "message": (encoded + content + binary_http.END).hex(),
    }


def head_members(head: RequestHead | ResponseHead) -> dict[str, object]:
    """A head as the vectors write it: names as text in lower case, values in hex."""
    members = head._asdict()
    members["fields"] = [[name.decode().lower(), value.hex()] for name, value in head.fields]
    return members


def _read_messages() -> Iterator[object]:
    curl = "curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l zlib/1.2.3"
    rfc = RequestHead(
        "GET",
        "https",
        "",
        "/hello.txt",
        (
            (b"user-agent", curl.encode()),
            (b"host", b"www.example.com"),
            (b"accept-language", b"en, mi"),
        ),
    )
    get = RequestHead("GET", "https", "example.com", "/")
    line = "0003474554056874747073 0b6578616d706c652e636f6d 012f"
    unknown = line.replace("00", "02", 1)
    answer = ResponseHead(200, ((b"a", b"b"),))
    cases: list[tuple[str, RequestHead | ResponseHead, bytes, str]] = [
        ("RFC 9292, known length", rfc, b"", RFC_9292_REQUEST_KNOWN),
        ("RFC 9292, indeterminate length and padding", rfc, b"", RFC_9292_REQUEST),
        ("all after the first line left out", get, b"", line),
        ("indeterminate, all after the first line left out", get, b"", unknown),
        ("fields only, of length zero", get, b"", line + "00"),
        ("zeros after a message that is cut short", get, b"", line + "00" * 9),
        ("content of known length", get, b"hey", line + "00 03686579"),
        ("content and trailers", get, b"hey", line + "00 03686579 04 0161 0162"),
        ("content in two pieces", get, b"heyho", unknown + "00 03686579 02686f 00 00"),
        ("trailers dropped", get, b"hey", unknown + "00 03686579 00 0161 0162 00 0000"),
        ("no trailers, and no end of them", get, b"hey", unknown + "00 03686579 00"),
        ("an answer's status alone", ResponseHead(200), b"", "0140c8"),
        ("an answer of known length", answer, b"x", "0140c8 04 01610162 0178 00"),
        ("informational answers", answer, b"", "03 4064 00 4067 01780179 00 40c8 01610162 00 00"),
        ("informational, known length", answer, b"", "01 4064 00 40c8 04 01610162"),
    ]
    for name, head, content, message in cases:
        yield {
            "name": name,
            "kind": "request" if isinstance(head, RequestHead) else "response",
            "message": message.replace(" ", ""),
            "head": head_members(head),
            "content": content.hex(),
        }


def _bad_messages() -> Iterator[tuple[str, str, bytes, str]]:
    malformed, large, cut = "sealed-malformed", "sealed-too-large", "sealed-truncated"
    line = bytes.fromhex("0203474554056874747073 0b6578616d706c652e636f6d 012f".replace(" ", ""))
    known = b"\0" + line[1:]
    yield "nothing", "request", b"", cut
    yield "an answer where a request belongs", "request", bytes.fromhex("0340c800"), malformed
    yield "a request where an answer belongs", "response", line, malformed
    yield "an unknown framing", "request", b"\x04" + line[1:], malformed
    yield "a framing in a longer form", "request", b"\x40\x02" + line[1:], malformed
    for end in range(1, len(line)):
        yield f"the first line cut at {end}", "request", line[:end], cut
    yield "cut within the fields", "request", line + bytes.fromhex("01610162"), cut
    yield "cut within a field", "request", line + bytes.fromhex("016101"), cut
    yield "cut within the content", "request", line + bytes.fromhex("0003686579"), cut
    yield "known length, cut within the fields", "request", known + b"\x04\x01a", cut
    yield "known length, cut within the content", "request", known + b"\0\x03he", cut
    yield "cut within the length of the fields", "request", known + b"\x40", cut
    yield "cut within the length of a name", "request", line + b"\x40", cut
    yield "cut within the length of the content", "request", line + b"\0\x40", cut
    yield "cut within the trailers", "request", line + bytes.fromhex("000001610162"), cut
    yield "only informational answers", "response", bytes.fromhex("03406400"), cut
    yield "something after the end", "request", line + bytes.fromhex("000000000001"), malformed
    yield "known length, something after the end", "request", known + b"\0\0\0\0\x07", malformed
    yield "a status cut short", "response", bytes.fromhex("0340"), cut
    for status in (0, 99, 600):
        yield f"status {status}", "response", b"\x03" + varint_bytes(status), malformed
    nine = bytes.fromhex("03" + "406400" * 9 + "40c8000000")
    yield "nine informational answers", "response", nine, large
    yield from _bad_fields(line, known)
    yield from _bad_control()


def _bad_fields(line: bytes, known: bytes) -> Iterator[tuple[str, str, bytes, str]]:
    malformed, large = "sealed-malformed", "sealed-too-large"
    for name, value in (
        (b"Upper", b"v"),
        (b":path", b"/"),
        (b"sp ace", b"v"),
        (b"n\xc3\xa4me", b"v"),
        (b"a\n", b"v"),
        (b"name", b"a\r\nb: c"),
        (b"name", b"a\nb"),
        (b"name", b"a\rb"),
        (b"name", b"a\0b"),
    ):
        field = counted(name) + counted(value)
        yield f"field {name!r}: {value!r}", "request", line + field + b"\0\0\0", malformed
    yield "a bad trailer", "request", line + b"\0\0\x01A\x01b\0", malformed
    yield "a field without a name", "request", known + b"\x02\0\0", malformed
    yield "a field beyond its section", "request", known + b"\x03\x01a\x02bc\0\0", malformed
    beyond = known + b"\x03\x01a\x02bc\x01d\x01e"
    yield "a field beyond its section, and another", "request", beyond, malformed
    yield "a name of 257 bytes", "request", line + counted(b"n" * 257) + b"\0\0\0\0", large
    yield "257 fields", "request", line + b"\x01a\x01b" * 257 + b"\0\0\0", large
    length = varint_bytes(binary_http.FIELDS_BYTES_MAX)
    yield "a value beyond the bound", "request", line + b"\x01a" + length, large
    section = varint_bytes(binary_http.FIELDS_BYTES_MAX + 8 * binary_http.FIELDS_MAX + 1)
    yield "a section beyond the bound", "request", known + section, large


def _bad_control() -> Iterator[tuple[str, str, bytes, str]]:
    malformed, large = "sealed-malformed", "sealed-too-large"
    good = {"method": b"GET", "scheme": b"https", "authority": b"a.example", "path": b"/"}
    for name, bad in (
        ("method", b""),
        ("method", b"G T"),
        ("method", b"GET\n"),
        ("scheme", b""),
        ("scheme", b"HTTPS"),
        ("scheme", b"1http"),
        ("authority", b"a b"),
        ("authority", b"u@a.example"),
        ("authority", b"a/b"),
        ("path", b""),
        ("path", b"a"),
        ("path", b"*"),
        ("path", b"/a b"),
        ("path", b"/#a"),
        ("path", b"/\xc3\xa4"),
        ("path", b"/a\n"),
    ):
        control = {**good, name: bad}.values()
        yield f"{name} {bad!r}", "request", b"\x02" + b"".join(map(counted, control)), malformed
    for name, most in (
        ("method", binary_http.METHOD_MAX),
        ("scheme", binary_http.SCHEME_MAX),
        ("authority", binary_http.AUTHORITY_MAX),
    ):
        control = {**good, name: b"a" * (most + 1)}.values()
        yield f"a {name} too long", "request", b"\x02" + b"".join(map(counted, control)), large
    begin = b"\x02" + b"".join(map(counted, list(good.values())[:3]))
    yield "a path too long", "request", begin + varint_bytes(binary_http.PATH_MAX + 1), large


# --- padding --------------------------------------------------------------------------------------


def padding_vectors(rng: Random) -> object:
    """Buckets, records and bodies."""
    lengths = sorted(
        {0, 1, 100, 40_000, 1 << 20, (1 << 20) + 1}
        | {edge + step for edge in (256, 512, 8192, 16_384, 32_768) for step in (-1, 0, 1)}
    )
    texts = [b"", b"a", rng(250), rng(251), rng(600)]
    records = [padding.encode_record(text) for text in texts]
    two = b"\0\0\x02\0\0\x03hi\0\0\0"
    return {
        "buckets": [[length, padding.bucket(length)] for length in lengths],
        "records": [
            {"data": text.hex(), "record": record.hex()}
            for text, record in zip(texts, records, strict=True)
        ],
        "first_records": [
            {"beside": beside, "data": text.hex(), "bytes": len(record)}
            for beside in (0, 5, 180, 191, 192, 200, 255, 256, 16_000)
            for text in texts[:3]
            for record in [padding.encode_first_record(text, beside)]
        ],
        "bodies": [
            {"name": "nothing", "encoded": "", "data": ""},
            {"name": "small records", "encoded": (two * 2).hex(), "data": b"hihi".hex()},
            {"name": "no padding", "encoded": "000001000000 78".replace(" ", ""), "data": "78"},
            {"name": "padding only", "encoded": "000000000002 0000".replace(" ", ""), "data": ""},
            {"name": "empty records", "encoded": bytes(12).hex(), "data": ""},
            {"name": "ours", "encoded": b"".join(records).hex(), "data": b"".join(texts).hex()},
        ],
        "bad": [
            *(
                {"name": f"cut at {end}", "encoded": two[:end].hex(), "code": "sealed-truncated"}
                for end in range(1, len(two))
            ),
            *(
                {
                    "name": f"padding with content at {at}",
                    "encoded": (two[:at] + b"\x01" + two[at + 1 :]).hex(),
                    "code": "sealed-malformed",
                }
                for at in range(8, len(two))
            ),
        ],
    }


# --- the socket's frames --------------------------------------------------------------------------


def frame_vectors(rng: Random) -> object:
    """A socket's frames."""
    secret = rng(frames.SECRET_BYTES)
    send, receive = frames.client_keys(secret)
    conversation: list[list[frames.Message]] = [
        [frames.Text("40")],
        [frames.Text("你好 😀"), frames.Binary(b"\0\x01"), frames.Text("")],
        [],
        [frames.Text("x" * 500)],
        [frames.Text("last"), frames.Close(1000, "bye")],
    ]
    return {
        "secret": secret.hex(),
        "client_to_server": send.hex(),
        "server_to_client": receive.hex(),
        "good": [
            _sealed_frames("client", send, conversation, expects_open=False),
            _sealed_frames(
                "server", receive, [[frames.Open("v1")], *conversation], expects_open=True
            ),
            _sealed_frames(
                "open with the first message",
                receive,
                [[frames.Open(), frames.Text("0{}")], [frames.Close(4000)]],
                expects_open=True,
            ),
            _parts(send),
        ],
        "bad": [*_bad_records(send), *_bad_order(send), *_bad_opening(receive)],
    }


def frame(key: bytes, number: int, text: bytes, *, final: bool = False) -> bytes:
    """A frame of any text, also of one that our own sealer would not write."""
    counter, flag = number.to_bytes(8, "big"), bytes([final])
    return flag + AESGCM(key).encrypt(bytes(4) + counter, text, counter + flag)


def record(kind: int, data: bytes) -> bytes:
    """A record of a frame's text."""
    return bytes([kind]) + len(data).to_bytes(4, "big") + data


def message_members(message: frames.Message) -> dict[str, object]:
    """A message as the vectors write it."""
    members = {"type": type(message).__name__.lower(), **dataclasses.asdict(message)}
    if isinstance(message, frames.Binary):
        members["data"] = message.data.hex()
    return members


def _sealed_frames(
    name: str, key: bytes, groups: list[list[frames.Message]], *, expects_open: bool
) -> object:
    """`written`: our own sealer makes these frames of these messages."""
    sealer = frames.FrameSealer(key)
    cases = [(group, sealer.seal(group)) for group in groups]
    return {
        "name": name,
        "key": key.hex(),
        "expects_open": expects_open,
        "written": True,
        "frames": [
            {
                "frame": sealed_frame.hex(),
                "messages": [message_members(message) for message in group],
            }
            for group, [sealed_frame] in cases
        ],
    }


def _parts(key: bytes) -> object:
    texts = [record(5, "ä".encode()[:1]), record(5, "ä".encode()[1:] + b"b"), record(1, b"c")]
    messages: list[list[frames.Message]] = [[], [frames.Text("äbc")], [frames.Binary(b"12")]]
    groups = [texts[0], texts[1] + texts[2], record(6, b"1") + record(2, b"2") + bytes(9)]
    return {
        "name": "parts of a message, in the middle of a character too",
        "key": key.hex(),
        "expects_open": False,
        "written": False,
        "frames": [
            {
                "frame": frame(key, number, text).hex(),
                "messages": [message_members(message) for message in group],
            }
            for number, (text, group) in enumerate(zip(groups, messages, strict=True))
        ],
    }


def _bad(
    name: str, key: bytes, sealed_frames: list[bytes], code: str, *, expects_open: bool = False
) -> object:
    """The last of the frames is refused, or the end after it where `ends`."""
    return {
        "name": name,
        "key": key.hex(),
        "expects_open": expects_open,
        "frames": [sealed_frame.hex() for sealed_frame in sealed_frames],
        "ends": code == "sealed-truncated",
        "code": code,
    }


def _bad_records(key: bytes) -> Iterator[object]:
    close = record(3, b"\x03\xe8")
    texts: dict[str, tuple[bytes, bool]] = {
        "an unknown type": (record(7, b""), False),
        "a record cut within its head": (b"\x01\0\0", False),
        "a record beyond its frame": (b"\x01\0\0\0\x05abcd", False),
        "padding with content": (record(1, b"a") + b"\0\0\x01", False),
        "a text that is not UTF-8": (record(1, b"\xff"), False),
        "a text with half a surrogate": (record(1, b"\xed\xa0\x80"), False),
        "a close in a data frame": (close, False),
        "a final frame without a close": (record(1, b"a"), True),
        "an empty final frame": (bytes(9), True),
        "a record after a close": (close + record(1, b"a"), True),
        "a close after a close": (close + close, True),
        "a close without a code": (record(3, b""), True),
        "a close with half a code": (record(3, b"\x03"), True),
        "a close with code 999": (record(3, b"\x03\xe7"), True),
        "a close with code 5000": (record(3, b"\x13\x88"), True),
        "a reason too long": (record(3, b"\x03\xe8" + b"r" * 124), True),
        "a reason that is not UTF-8": (record(3, b"\x03\xe8\xff"), True),
        "an open of a client": (record(4, b""), False),
        "an empty part": (record(5, b"") + record(1, b"a"), False),
        "parts of two kinds": (record(5, b"a") + record(2, b"b"), False),
        "a close within a message": (record(5, b"a") + close, True),
    }
    for name, (text, final) in texts.items():
        yield _bad(name, key, [frame(key, 0, text, final=final)], "sealed-malformed")
    yield _bad("an empty frame", key, [b""], "sealed-malformed")
    yield _bad("an unknown flag", key, [b"\x02" + bytes(32)], "sealed-malformed")
    yield _bad("a flag alone", key, [b"\0"], "sealed-not-authentic")


def _bad_order(key: bytes) -> Iterator[object]:
    sealer = frames.FrameSealer(key)
    [one], [two], [last] = (
        sealer.seal([message]) for message in (frames.Text("1"), frames.Text("2"), frames.Close())
    )
    forged = "sealed-not-authentic"
    yield _bad("a frame left out", key, [one, last], forged)
    yield _bad("the first frame left out", key, [two], forged)
    yield _bad("a frame twice", key, [one, one], forged)
    yield _bad("data said to be final", key, [one, b"\x01" + two[1:]], forged)
    yield _bad("final said to be data", key, [one, two, b"\0" + last[1:]], forged)
    yield _bad("a frame cut short", key, [one, two[:-1]], forged)
    yield _bad("a frame with more at its end", key, [one, two + b"\0"], forged)
    yield _bad("a bit of a frame", key, [one, flipped(two, 100)], forged)
    yield _bad("the other direction's key", bytes(32), [one], forged)
    yield _bad("a frame after the final one", key, [one, two, last, two], "sealed-finished")
    yield _bad("no final frame", key, [one, two], "sealed-truncated")
    yield _bad("no frame at all", key, [], "sealed-truncated")


def _bad_opening(key: bytes) -> Iterator[object]:
    opens = record(4, b"")
    for name, text in (
        ("no open", record(1, b"a")),
        ("two opens", opens + opens),
        ("an open after a message", record(1, b"a") + opens),
        ("an open that is not UTF-8", record(4, b"\xff")),
    ):
        yield _bad(name, key, [frame(key, 0, text)], "sealed-malformed", expects_open=True)
    long = record(4, b"p" * (frames.PROTOCOL_MAX + 1))
    yield _bad(
        "an open too long", key, [frame(key, 0, long)], "sealed-too-large", expects_open=True
    )

"""Oblivious HTTP in chunks, both ends (draft-ietf-ohai-chunked-ohttp-08, RFC 9458).

    request  = key id (1) KEM (2) KDF (2) AEAD (2) enc, then chunks
    response = nonce, then chunks
    chunks   = { length (varint, > 0), sealed chunk } ..., 0, sealed final chunk to the end

What a message says is whole only once its final chunk has opened (`end`): one that stops before is
an error, whatever has come until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from .errors import Finished, KeyUnknown, NotAuthentic, TooLarge, Truncated
from .hpke import (
    ENC_BYTES,
    HKDF_SHA256,
    KEY_BYTES,
    NONCE_BYTES,
    Aead,
    Buffer,
    Chain,
    Kem,
    PrivateKey,
    Recipient,
    Sender,
    expand,
    extract,
)
from .keyset import KeyConfig
from .varint import read_varint, varint_bytes

MEDIA_REQUEST = "message/ohttp-chunked-req"
MEDIA_RESPONSE = "message/ohttp-chunked-res"

CHUNK_MAX = 65_536
"""Bytes of text in a chunk that is written here."""

SEALED_CHUNK_MAX = 1 << 20
"""Bytes of a sealed chunk that is read here."""

_HEADER_BYTES = 7
_REQUEST_LABEL = b"message/bhttp chunked request"
_RESPONSE_LABEL = b"message/bhttp chunked response"
_RESPONSE_NONCE_BYTES = {aead: max(NONCE_BYTES, size) for aead, size in KEY_BYTES.items()}
_FINAL = b"final"
_LAST = varint_bytes(0)


class _Seals(Protocol):
    def seal(self, text: Buffer, aad: bytes = b"") -> bytes: ...


class _Opens(Protocol):
    def open(self, sealed: Buffer, aad: bytes = b"") -> bytes: ...


class _Exports(Protocol):
    enc: bytes

    def export(self, context: bytes, length: int) -> bytes: ...


class _ChunkWriter:
    """Writes a message: `start` first, then chunks, then the final one."""

    def __init__(self, start: bytes, cipher: _Seals) -> None:
        self.start = start
        self._cipher = cipher
        self._finished = False

    def chunk(self, text: Buffer) -> bytes:
        """One chunk of at most CHUNK_MAX bytes; nothing for no text. Raises TooLarge, Finished."""
        self._check(text)
        if not text:
            return b""
        sealed = self._cipher.seal(text)
        return varint_bytes(len(sealed)) + sealed

    def chunks(self, text: Buffer) -> bytes:
        """As many chunks as the text needs. Raises Finished."""
        view = memoryview(text)
        pieces = range(0, len(view), CHUNK_MAX)
        return b"".join([self.chunk(view[at : at + CHUNK_MAX]) for at in pieces])

    def final(self, text: Buffer = b"") -> bytes:
        """The last chunk, of at most CHUNK_MAX bytes, also none. Raises TooLarge, Finished."""
        self._check(text)
        self._finished = True
        return _LAST + self._cipher.seal(text, _FINAL)

    def _check(self, text: Buffer) -> None:
        if self._finished:
            raise Finished("the message has its final chunk already")
        if len(text) > CHUNK_MAX:
            raise TooLarge(f"a chunk has at most {CHUNK_MAX} bytes")


class _ChunkReader:
    """Reads a message that comes in pieces of any size; subclasses read what stands first."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._cipher: _Opens | None = None
        self._final = False
        self._failed = False

    def feed(self, data: Buffer) -> list[bytes]:
        """The texts of the chunks that are whole now, in order.

        Raises NotAuthentic, Malformed or TooLarge, a request also KeyUnknown; Finished after that.
        """
        if self._failed:
            raise Finished("the message has ended, or failed")
        self._buffer += data
        try:
            return self._texts()
        except BaseException:
            self._fail()
            raise

    def end(self) -> bytes:
        """The text of the final chunk, after the last byte. Raises as `feed`, and Truncated."""
        if self._failed:
            raise Finished("the message has ended, or failed")
        rest = self._buffer
        final = self._final
        self._fail()
        if not final:
            raise Truncated("the message ended before its final chunk")
        return self._open(rest, _FINAL)

    def _fail(self) -> None:
        self._failed = True
        self._buffer = bytearray()

    def _begin(self) -> int | None:
        """Read what stands before the chunks: where they begin, None where more has to come."""
        raise NotImplementedError

    def _texts(self) -> list[bytes]:
        at = 0
        if self._cipher is None:
            begin = self._begin()
            if begin is None:
                return []
            at = begin
        texts: list[bytes] = []
        while not self._final:
            length = read_varint(self._buffer, at)
            if length is None:
                break
            size, begin = length
            if size > SEALED_CHUNK_MAX:
                raise TooLarge(f"a sealed chunk has {size} bytes, and at most {SEALED_CHUNK_MAX}")
            end = begin + size
            if size == 0:
                self._final = True
            elif end > len(self._buffer):
                break
            else:
                with memoryview(self._buffer) as whole, whole[begin:end] as sealed:
                    texts.append(self._open(sealed, b""))
            at = end
        del self._buffer[:at]
        if self._final and len(self._buffer) > SEALED_CHUNK_MAX:
            raise TooLarge(f"the final chunk has more than {SEALED_CHUNK_MAX} bytes")
        return texts

    def _open(self, sealed: Buffer, aad: bytes) -> bytes:
        if self._cipher is None:
            raise Truncated("the message ended before its first chunk")
        text = self._cipher.open(sealed, aad)
        if not text and aad != _FINAL:
            raise NotAuthentic("a chunk before the last holds nothing")
        return text


class RequestSealer(_ChunkWriter):
    """A client's request under a key of the keyset, and what its answer is opened with."""

    def __init__(
        self, config: KeyConfig, *, aead: Aead | None = None, ephemeral: PrivateKey | None = None
    ) -> None:
        """`aead` is the first that the configuration names, if not given; so is a new `ephemeral`.

        Raises KeyUnknown for a public key that is none.
        """
        self._aead = aead or config.aeads[0]
        kem = Kem(config.kem)
        header = _header(config.key_id, kem, self._aead)
        self._sender = Sender(
            kem, self._aead, config.public_key, _info(header), ephemeral=ephemeral
        )
        super().__init__(header + self._sender.enc, self._sender)

    @property
    def enc(self) -> bytes:
        """The encapsulated key, by which a server remembers requests."""
        return self._sender.enc

    def response(self) -> ResponseOpener:
        """What opens the answer to this request, and no other."""
        return ResponseOpener(self._sender, self._aead)


class RequestOpener(_ChunkReader):
    """A server's reading of a request, and what seals its answer."""

    def __init__(
        self, keys: Mapping[int, PrivateKey], decoys: Mapping[Kem, PrivateKey] | None = None
    ) -> None:
        """`keys` are the live ones by key id.

        `decoys` are keys that nobody has been told of, one for each mechanism: a request that no
        live key is for costs the same work with them, and so does not show by the time it takes.
        """
        super().__init__()
        self._keys = keys
        self._decoys = decoys or {}
        self._recipient: Recipient | None = None
        self._aead = Aead.AES_128_GCM
        self._known = False
        self.start: bytes | None = None
        """Header and `enc`, once they are there: what a server remembers against replays."""
        self.opened = False
        """Whether a chunk has opened, and so somebody who knows the key sent the request."""

    def response(self, rng: Callable[[int], bytes]) -> ResponseSealer:
        """What seals the answer; `rng` gives as many random bytes as it is asked for.

        Raises Truncated before the first chunk has opened.
        """
        if self._recipient is None or not self.opened:
            raise Truncated("no chunk of the request has opened")
        return ResponseSealer(self._recipient, self._aead, rng)

    def _begin(self) -> int | None:
        if len(self._buffer) < _HEADER_BYTES:
            return None
        header = bytes(self._buffer[:_HEADER_BYTES])
        said = _read_header(header)
        begin = _HEADER_BYTES + ENC_BYTES[said.kem]
        if len(self._buffer) < begin:
            return None
        key = self._keys.get(said.key_id)
        self._known = key is not None and key.kem is said.kem
        if not self._known:
            key = self._decoys.get(said.kem)
        if key is None:
            raise KeyUnknown
        enc = bytes(self._buffer[_HEADER_BYTES:begin])
        self._aead = said.aead
        self._recipient = Recipient(key, said.aead, enc, said.info)
        self._cipher = self._recipient
        self.start = header + enc
        return begin

    def _open(self, sealed: Buffer, aad: bytes) -> bytes:
        if self.opened:
            return super()._open(sealed, aad)
        try:
            text = super()._open(sealed, aad)
        except NotAuthentic as error:
            raise KeyUnknown from error
        if not self._known:
            raise KeyUnknown
        self.opened = True
        return text


class ResponseSealer(_ChunkWriter):
    """A server's answer to one request."""

    def __init__(self, request: _Exports, aead: Aead, rng: Callable[[int], bytes]) -> None:
        nonce = rng(_RESPONSE_NONCE_BYTES[aead])
        super().__init__(nonce, _response_chain(request, aead, nonce))


class ResponseOpener(_ChunkReader):
    """A client's reading of the answer to its request."""

    def __init__(self, request: _Exports, aead: Aead) -> None:
        super().__init__()
        self._request = request
        self._aead = aead

    def _begin(self) -> int | None:
        begin = _RESPONSE_NONCE_BYTES[self._aead]
        if len(self._buffer) < begin:
            return None
        self._cipher = _response_chain(self._request, self._aead, bytes(self._buffer[:begin]))
        return begin


class _Header(NamedTuple):
    """What the first bytes of a request say, and what HPKE is told of them."""

    key_id: int
    kem: Kem
    aead: Aead
    info: bytes


@lru_cache(maxsize=64)  # requests under one key begin alike
def _read_header(header: bytes) -> _Header:
    """Raises KeyUnknown for a suite that is none of ours."""
    kem, kdf, aead = (int.from_bytes(header[at : at + 2], "big") for at in (1, 3, 5))
    if kem not in ENC_BYTES or kdf != HKDF_SHA256 or aead not in KEY_BYTES:
        raise KeyUnknown
    return _Header(header[0], Kem(kem), Aead(aead), _info(header))


def _header(key_id: int, kem: Kem, aead: Aead) -> bytes:
    ids = (kem, HKDF_SHA256, aead)
    return bytes([key_id]) + b"".join(number.to_bytes(2, "big") for number in ids)


def _info(header: bytes) -> bytes:
    return _REQUEST_LABEL + b"\0" + header


def _response_chain(request: _Exports, aead: Aead, nonce: bytes) -> Chain:
    """What seals and opens the answer's chunks (section 6.2 of the draft)."""
    secret = request.export(_RESPONSE_LABEL, _RESPONSE_NONCE_BYTES[aead])
    key = extract(request.enc + nonce, secret)
    return Chain(expand(key, b"key", KEY_BYTES[aead]), expand(key, b"nonce", NONCE_BYTES))

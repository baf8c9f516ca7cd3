"""Exchange: one request as bytes, and what a right answer to it looks like.

The native request is packed here by hand and not by `resolver.wire`: what measures a codec must not be built on it.
Layout: envelope 20 bytes, header 24, body, credential (RFC 3652 §2; the vectors in tests/conformance agree).
"""

import struct
from typing import NamedTuple
from urllib.parse import quote

_ENVELOPE = struct.Struct(">BBBBIIII")
_HEADER = struct.Struct(">IIIHBxII")
_RESOLVE, _SUCCESS = 1, 1
_NO_SERIAL, _NO_EXPIRY = 0xFFFF, 0x7FFFFFFF
_NO_INDEXES_NO_TYPES_NO_CREDENTIAL = bytes(12)

RECURSIVE_CACHE_CERTIFY_PUBLIC_ONLY = 0x19000000  # what hdllib and id-pointer send
AUTHORITATIVE = 0x80000000  # past every cache: the ordinary way to the database
ID_AT, ID_END = 8, 12
HEAD_BYTES = 28  # version, request id, length, opcode and response code: all of it is compared
BODY_AT = 40  # after flags, site serial and expiration, which may differ from answer to answer


class Exchange(NamedTuple):
    """A request and its right answer: `head` at byte 0, `tail` to the very end.

    Native messages: `head` is the first HEAD_BYTES, `tail` everything from BODY_AT (body length, body, credential).
    HTTP: `head` is the start of the status line, `tail` the body.
    """

    request: bytes
    head: bytes
    tail: bytes


def native_request(
    handle: bytes, request_id: int = 0, flags: int = RECURSIVE_CACHE_CERTIFY_PUBLIC_ONLY
) -> bytes:
    """Return a resolution request (opcode 1) in version 2.11 for all public values of a handle."""
    body = struct.pack(">I", len(handle)) + handle + _NO_INDEXES_NO_TYPES_NO_CREDENTIAL
    header = _HEADER.pack(_RESOLVE, 0, flags, _NO_SERIAL, 0, _NO_EXPIRY, len(body) - 4)
    return _ENVELOPE.pack(2, 11, 2, 11, 0, request_id, 0, len(header) + len(body)) + header + body


def native_exchange(request: bytes, answer: bytes) -> Exchange:
    """Return the exchange whose right answer is like `answer`, whatever its flags, serial, expiration and id.

    Raises ValueError when `answer` is not a whole message with opcode 1 and response code 1.
    """
    if len(answer) < BODY_AT + 8 or frame_length(answer) != len(answer):
        raise ValueError(f"not a whole message: {answer[:60].hex()}")
    if struct.unpack_from(">II", answer, 20) != (_RESOLVE, _SUCCESS):
        raise ValueError(f"not a resolution that succeeded: {answer[:60].hex()}")
    head = answer[:ID_AT] + request[ID_AT:ID_END] + answer[ID_END:HEAD_BYTES]
    return Exchange(request, head, answer[BODY_AT:])


def echo_exchange(request: bytes) -> Exchange:
    """Return the exchange with a server that sends every message back as it came."""
    return Exchange(request, request[:HEAD_BYTES], request[BODY_AT:])


def numbered(exchange: Exchange, request_id: int) -> Exchange:
    """Return the same native exchange under another request id (in the machine's byte order: see generator_udp)."""
    number = struct.pack("=I", request_id)
    request, head, tail = exchange
    return Exchange(
        request[:ID_AT] + number + request[ID_END:], head[:ID_AT] + number + head[ID_END:], tail
    )


def frame_length(frame: bytes, at: int = 0) -> int:
    """Return the length of the native message that starts at `at`, its envelope included (20 bytes must be there)."""
    return 20 + int.from_bytes(frame[at + 16 : at + 20], "big")


def http_request(handle: bytes, host: str, query: str = "") -> bytes:
    """Return `GET /api/handles/…` with the smallest header block that HTTP/1.1 allows."""
    path = quote(handle, safe="/:.-_~()!*,;=@$'")
    return f"GET /api/handles/{path}{query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def http_exchange(request: bytes, body: bytes) -> Exchange:
    """Return the exchange whose right answer is status 200 with this body."""
    return Exchange(request, b"HTTP/1.1 200", body)

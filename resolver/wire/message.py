"""A whole message: envelope, header, body, credential (RFC 3652 §2.2).

The body is kept as bytes here; `requests.py` and `answers.py` say what they mean.  What a digest or
a signature covers is `header_and_body`, the same bytes that came.
"""

from dataclasses import dataclass
from struct import Struct

from resolver.wire.constants import (
    MAX_MESSAGE_BYTES,
    MAX_U16,
    MAX_U32,
    UNKNOWN_SITE_SERIAL,
    Flag,
    ResponseCode,
)
from resolver.wire.cursor import Reader, Writer
from resolver.wire.digest import RequestDigest
from resolver.wire.envelope import Envelope
from resolver.wire.errors import WireError

_LAYOUT = Struct(">IIIHBBII")
_REQUEST_DIGEST = int(Flag.REQUEST_DIGEST)
_MAX_U8 = 0xFF


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a message (RFC 3652 §2.2.2).

    `flags` are bits of `Flag`; `expiration` is an epoch second (answers: it must lie ahead, or
    ID-SDK refuses them); encoding a `Message` sets `body_length`.  `reserved` is kept because
    digests and signatures cover it.
    """

    opcode: int
    response_code: int = 0
    flags: int = 0
    site_serial: int = UNKNOWN_SITE_SERIAL
    recursion: int = 0
    expiration: int = 0
    body_length: int = 0
    reserved: int = 0

    def __post_init__(self) -> None:
        if not (
            0 <= self.opcode <= MAX_U32
            and 0 <= self.response_code <= MAX_U32
            and 0 <= self.flags <= MAX_U32
            and 0 <= self.site_serial <= MAX_U16
            and 0 <= self.recursion <= _MAX_U8
            and 0 <= self.expiration <= MAX_U32
            and 0 <= self.body_length <= MAX_U32
            and 0 <= self.reserved <= _MAX_U8
        ):
            raise ValueError("a field of the header is out of its range")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is not encrypted.

    `credential` holds the bytes of that section without their length, empty when there is none.
    Some clients leave even the length out (`credential_omitted`), which is understood.  Encoding
    computes the three lengths, whatever the envelope and header say.
    """

    envelope: Envelope
    header: Header
    body: bytes
    credential: bytes = b""
    credential_omitted: bool = False

    @property
    def is_request(self) -> bool:
        """True for a request, false for an answer."""
        return self.header.response_code == ResponseCode.REQUEST

    @property
    def header_and_body(self) -> bytes:
        """What request digests, signatures and MACs cover."""
        return bytes(self._write_header_and_body())

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """Return the message that these bytes are, from its envelope to its last byte.

        Raises WireError, with the request id when the envelope could be read; also for an encrypted
        message, which its session opens first (`unwrap`, then `decode_content`).
        """
        envelope, content = unwrap(data)
        return cls.decode_content(envelope, content)

    @classmethod
    def decode_content(cls, envelope: Envelope, content: bytes) -> "Message":
        """Return the message whose readable content stood in this envelope.  Raises WireError."""
        try:
            return cls._read(envelope, Reader(content))
        except WireError as error:
            error.request_id = envelope.request_id
            raise

    def encode(self) -> bytes:
        """Return envelope, header, body and credential.  Raises ValueError when they are too long."""
        content = self.encode_content()
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(content)} bytes; {MAX_MESSAGE_BYTES} are allowed")
        return self.envelope.wrap(content)

    def encode_content(self) -> bytes:
        """Return header, body and credential: what a session encrypts."""
        writer = self._write_header_and_body()
        return bytes(writer if self.credential_omitted else writer.string(self.credential))

    def split_digest(self) -> tuple[RequestDigest | None, bytes]:
        """Return the request digest of an answer, if it has one, and the body after it.  Raises WireError."""
        if self.is_request or not self.header.flags & _REQUEST_DIGEST:
            return None, self.body
        reader = Reader(self.body)
        return RequestDigest.read(reader), reader.rest()

    @classmethod
    def _read(cls, envelope: Envelope, reader: Reader) -> "Message":
        if envelope.encrypted or envelope.compressed:
            raise WireError("an encrypted or compressed message where a plain one is due")
        opcode, code, flags, serial, recursion, reserved, expiration, length = reader.fields(
            _LAYOUT
        )
        header = Header(opcode, code, flags, serial, recursion, expiration, length, reserved)
        body = reader.take(length)
        if not reader.remaining:
            return cls(envelope, header, body, b"", credential_omitted=True)
        credential = reader.string()
        reader.finish()
        return cls(envelope, header, body, credential)

    def _write_header_and_body(self) -> Writer:
        header = self.header
        return (
            Writer()
            .fields(
                _LAYOUT,
                header.opcode,
                header.response_code,
                header.flags,
                header.site_serial,
                header.recursion,
                header.reserved,
                header.expiration,
                len(self.body),
            )
            .raw(self.body)
        )


def unwrap(data: bytes) -> tuple[Envelope, bytes]:
    """Return the envelope and the content of a whole message, encrypted or not.

    Raises WireError when the length is not the one that the envelope says, or above
    MAX_MESSAGE_BYTES.
    """
    reader = Reader(data)
    envelope = Envelope.read(reader)
    if envelope.message_length != reader.remaining:
        raise WireError(
            f"{reader.remaining} bytes where the envelope says {envelope.message_length}",
            request_id=envelope.request_id,
        )
    if reader.remaining > MAX_MESSAGE_BYTES:
        raise WireError(
            f"a message of {reader.remaining} bytes; {MAX_MESSAGE_BYTES} are allowed",
            request_id=envelope.request_id,
        )
    return envelope, reader.rest()

"""The envelope before every datagram and message, and the rules of versions (RFC 3652 §2.1).

What it says of length and sequence is for the transports; the version it suggests decides how the
answer is written.
"""

from dataclasses import dataclass
from struct import Struct

from resolver.wire.constants import (
    MAX_U32,
    NEW_CODES_VERSION,
    NEWEST_VERSION,
    SHA1_VERSION,
    SHA256_VERSION,
    DigestAlgorithm,
    EnvelopeFlag,
    ResponseCode,
)
from resolver.wire.cursor import Reader, Writer

Version = tuple[int, int]

_LAYOUT = Struct(">BBBBIIII")
_MAJOR_BITS = 0x03  # the suggested major version shares its byte with the flags
_COMPRESSED, _ENCRYPTED, _TRUNCATED = (int(flag) for flag in EnvelopeFlag)
_MAX_U8 = 0xFF
_OLDEST_VERSION = (1, 0)
_MISTAKEN_VERSION, _MEANT_VERSION = (5, 0), (2, 0)  # an old client's fault
_OLD_CODES: dict[int, int] = {
    ResponseCode.SERVER_BACKUP: 303,
    ResponseCode.INVALID_VALUE: 201,
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands before a message, or before each datagram of one (RFC 3652 §2.1).

    `message_length` counts the whole message after the envelope, all its datagrams together;
    encoding a `Message` sets it. A suggested major version of 0 means that the sender suggests its
    own.  Reserved bits are dropped.
    """

    major: int
    minor: int
    suggested_major: int
    suggested_minor: int
    session_id: int = 0
    request_id: int = 0
    sequence: int = 0
    message_length: int = 0
    compressed: bool = False
    encrypted: bool = False
    truncated: bool = False

    def __post_init__(self) -> None:
        if not (
            0 <= self.major <= _MAX_U8
            and 0 <= self.minor <= _MAX_U8
            and 0 <= self.suggested_major <= _MAJOR_BITS
            and 0 <= self.suggested_minor <= _MAX_U8
            and 0 <= self.session_id <= MAX_U32
            and 0 <= self.request_id <= MAX_U32
            and 0 <= self.sequence <= MAX_U32
            and 0 <= self.message_length <= MAX_U32
        ):
            raise ValueError("a field of the envelope is out of its range")

    @property
    def version(self) -> Version:
        """The version that the message is written in."""
        return self.major, self.minor

    def encode(self) -> bytes:
        """Return the 20 bytes."""
        return bytes(self._write(Writer(), self.message_length))

    def wrap(self, content: bytes) -> bytes:
        """Return the envelope and the content of its message, with the length that this has."""
        return bytes(self._write(Writer(), len(content)).raw(content))

    @classmethod
    def decode(cls, data: bytes) -> "Envelope":
        """Return the envelope at the front of some bytes; more may follow it.  Raises WireError."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> "Envelope":
        """Read an envelope."""
        major, minor, mixed, suggested_minor, session_id, request_id, sequence, length = (
            reader.fields(_LAYOUT)
        )
        return cls(
            major,
            minor,
            mixed & _MAJOR_BITS,
            suggested_minor,
            session_id,
            request_id,
            sequence,
            length,
            bool(mixed & _COMPRESSED),
            bool(mixed & _ENCRYPTED),
            bool(mixed & _TRUNCATED),
        )

    def _write(self, writer: Writer, message_length: int) -> Writer:
        flags = (
            (_COMPRESSED if self.compressed else 0)
            | (_ENCRYPTED if self.encrypted else 0)
            | (_TRUNCATED if self.truncated else 0)
        )
        return writer.fields(
            _LAYOUT,
            self.major,
            self.minor,
            flags | self.suggested_major,
            self.suggested_minor,
            self.session_id,
            self.request_id,
            self.sequence,
            message_length,
        )


def answer_version(envelope: Envelope) -> Version:
    """Return the version to answer in: the one that the requester suggests, 2.11 at most.

    Below 1.0 is no version at all; no rule is known for it, so it is taken as 1.0.
    """
    version = envelope.version
    if version == _MISTAKEN_VERSION:
        version = _MEANT_VERSION
    if envelope.suggested_major:
        version = envelope.suggested_major, envelope.suggested_minor
    return max(_OLDEST_VERSION, min(version, NEWEST_VERSION))


def digest_algorithm(version: Version) -> DigestAlgorithm:
    """Return how a request digest is made in an answer of this version."""
    if version >= SHA256_VERSION:
        return DigestAlgorithm.SHA256
    return DigestAlgorithm.SHA1 if version >= SHA1_VERSION else DigestAlgorithm.OLD_MD5


def response_code_in(version: Version, code: int) -> int:
    """Return the number by which a response code goes in answers of this version."""
    if version >= NEW_CODES_VERSION:
        return code
    return _OLD_CODES.get(code, code)

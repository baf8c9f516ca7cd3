"""The credential section of a message: a signature or a MAC over it (RFC 3652 §2.2.4)."""

from dataclasses import dataclass
from struct import Struct

from resolver.wire.constants import MAX_U32, SHA256_VERSION
from resolver.wire.cursor import Reader, Writer
from resolver.wire.envelope import Envelope, Version

HS_SIGNED = b"HS_SIGNED"
HS_MAC = b"HS_MAC"

_HEAD = Struct(">BBH")  # version, reserved, options: all 0 in every message known, so not kept
_WITH_SUGGESTED = Struct(">BBBBIII")
_WITHOUT_SUGGESTED = Struct(">BBIII")
_SIGN_SUGGESTED_VERSION = (2, 8)
_SIGN_ENVELOPE_VERSION = (2, 7)


@dataclass(frozen=True, slots=True)
class Credential:
    """A signature (`HS_SIGNED`) or MAC (`HS_MAC`) with the names that say how it was made.

    `counter` numbers the messages of a session; 0 outside one.  `signer` is empty in all messages
    seen.
    """

    kind: bytes
    counter: int
    hash_name: bytes
    signature: bytes
    signer: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.counter <= MAX_U32:
            raise ValueError(f"a session counter of {self.counter} is out of its range")

    def encode(self) -> bytes:
        """Return the section, without the length that the message puts before it."""
        section = bytes(Writer().string(self.hash_name).string(self.signature))
        writer = Writer().fields(_HEAD, 0, 0, 0).string(self.signer).u32(self.counter)
        return bytes(writer.string(self.kind).string(section))

    @classmethod
    def decode(cls, data: bytes) -> "Credential":
        """Return the credential of a section that is not empty.

        Raises WireError, also for the old kinds (HS_DSAPUBKEY) whose last part has another form.
        """
        reader = Reader(data)
        reader.fields(_HEAD)
        signer, counter, kind = reader.string(), reader.u32(), reader.string()
        section = Reader(reader.string())
        reader.finish()
        hash_name, signature = section.string(), section.string()
        section.finish()
        return cls(kind, counter, hash_name, signature, signer)


def signed_block(
    version: Version, envelope: Envelope, counter: int, header_and_body: bytes
) -> bytes:
    """Return the bytes that a signature or MAC covers in messages of this version.

    Below 2.7 that is header and body only.  Not reproduced: the reference's faults in signatures of
    2.6 and MACs of 2.5 and 2.6, which cover a wrong part of the message; no client known writes
    those versions.
    """
    ids = (envelope.session_id, envelope.request_id, counter)
    if version >= _SIGN_SUGGESTED_VERSION:
        suggested = (envelope.suggested_major, envelope.suggested_minor)
        head = Writer().fields(_WITH_SUGGESTED, *envelope.version, *suggested, *ids)
    elif version >= _SIGN_ENVELOPE_VERSION:
        head = Writer().fields(_WITHOUT_SUGGESTED, *envelope.version, *ids)
    else:
        head = Writer()
    return bytes(head.raw(header_and_body))


def signature_hash(version: Version) -> bytes:
    """Return the name of the hash with which HS_SIGNED answers of this version are made."""
    return b"SHA-256" if version >= SHA256_VERSION else b"SHA1"


def mac_hash(version: Version) -> bytes:
    """Return the name of the MAC with which HS_MAC messages of this version are made."""
    return b"HMAC-SHA256" if version >= SHA256_VERSION else b"SHA1"

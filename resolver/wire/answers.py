"""The bodies of answers, one class for each form (RFC 3652 §3).

The request digest that may stand before a body is `Message.split_digest`'s; what these classes
decode is what follows it.  As with requests, stray bytes after a body are kept in `slack`; a site
record must not have any (hdllib refuses them), and its body is `encode_site`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass

from resolver.wire.constants import NEW_CODES_VERSION, Opcode, ResponseCode
from resolver.wire.cursor import Reader, Writer
from resolver.wire.digest import RequestDigest
from resolver.wire.errors import WireError
from resolver.wire.message import Message
from resolver.wire.requests import read_handle
from resolver.wire.site import SiteData, decode_site
from resolver.wire.value import HandleValue, read_values, write_values

_SESSION_SLACK = bytes(2)  # as in a session setup


@dataclass(frozen=True, slots=True)
class ResolutionAnswer:
    """Values of a handle, which is spelled as in the request.  Also answers a password login (2000)."""

    handle: bytes
    values: tuple[HandleValue, ...]
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle)
        write_values(writer, self.values)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ResolutionAnswer":
        """Return what a body answers.  Raises WireError."""
        reader = Reader(body)
        return cls(read_handle(reader), read_values(reader), reader.slack())


def encode_resolution_answer(handle: bytes, values: bytes) -> bytes:
    """Return the body of a resolution answer from values that `encode_values` encoded before."""
    return bytes(Writer().string(handle).raw(values))


@dataclass(frozen=True, slots=True)
class CreateAnswer:
    """The handle that was created; None is the empty body that servers before 8.0 send."""

    handle: bytes | None
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return b"" if self.handle is None else bytes(Writer().string(self.handle).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "CreateAnswer":
        """Return what a body answers.  Raises WireError."""
        if not body:
            return cls(None)
        reader = Reader(body)
        return cls(read_handle(reader), reader.slack())


@dataclass(frozen=True, slots=True)
class EmptyAnswer:
    """Success with nothing to say: delete, add, modify, remove, home, unhome, session end, key login."""

    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return self.slack

    @classmethod
    def decode(cls, body: bytes) -> "EmptyAnswer":
        """Return what a body answers.  Raises WireError."""
        return cls(Reader(body).slack())


@dataclass(frozen=True, slots=True)
class NamesAnswer:
    """Handles or prefixes of a list.  The reference sends 50 a message, CONTINUOUS set on all but the last."""

    names: tuple[bytes, ...]
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().u32(len(self.names))
        for name in self.names:
            writer.string(name)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "NamesAnswer":
        """Return the names that a body lists.  Raises WireError."""
        reader = Reader(body)
        names = tuple([reader.string() for _ in range(reader.count(4))])
        return cls(names, reader.slack())


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Any other response code, with a text that may be empty.

    Before 2.1 an empty text may be an empty body; encoding always writes the four bytes of its
    length.
    """

    text: bytes = b""
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().string(self.text).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ErrorAnswer":
        """Return what a body says.  Raises WireError."""
        reader = Reader(body)
        return cls(reader.string(), reader.slack()) if body else cls()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Authentication is needed (402): sign or MAC this nonce and the digest that always stands before it."""

    nonce: bytes
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().string(self.nonce).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "Challenge":
        """Return the nonce of a body.  Raises WireError."""
        reader = Reader(body)
        return cls(reader.string(), reader.slack())


@dataclass(frozen=True, slots=True)
class VerifyAnswer:
    """Whether the secret-key answer was right."""

    is_valid: bool
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().u8(self.is_valid).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "VerifyAnswer":
        """Return the verdict of a body: only 1 is right, so no broken byte lets anybody in.  Raises WireError."""
        reader = Reader(body)
        return cls(reader.u8() == 1, reader.slack())


@dataclass(frozen=True, slots=True)
class ReferralAnswer:
    """Ask elsewhere: 302 names the handle of the service, 303 has an empty one.

    `values` are the HS_SITE or HS_SERV values to go by, None when the body ends after the handle.
    """

    handle: bytes
    values: tuple[HandleValue, ...] | None = None
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle)
        if self.values is not None:
            write_values(writer, self.values)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ReferralAnswer":
        """Return where a body refers to.  Raises WireError."""
        reader = Reader(body)
        handle = read_handle(reader)
        if not reader.remaining:
            return cls(handle)
        return cls(handle, read_values(reader), reader.slack())


@dataclass(frozen=True, slots=True)
class SessionSetupAnswer:
    """The server's half of a session setup; what `data` holds depends on the mode."""

    mode: int
    data: bytes
    slack: bytes = _SESSION_SLACK

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().u16(self.mode).string(self.data).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "SessionSetupAnswer":
        """Return what a body brings.  Raises WireError."""
        reader = Reader(body)
        return cls(reader.u16(), reader.string(), reader.slack())


def encode_session_key(cipher: int, public_key: bytes) -> bytes:
    """Return the data of a session setup answer in mode 4: the cipher's number, and HS_PUBKEY data to its end."""
    return bytes(Writer().u32(cipher).raw(public_key))


def decode_session_key(data: bytes) -> tuple[int, bytes]:
    """Return the cipher's number and the HS_PUBKEY data of a session setup answer in mode 4.  Raises WireError."""
    reader = Reader(data)
    return reader.u32(), reader.rest()


Answer = (
    ResolutionAnswer
    | SiteData
    | CreateAnswer
    | EmptyAnswer
    | NamesAnswer
    | ErrorAnswer
    | Challenge
    | VerifyAnswer
    | ReferralAnswer
    | SessionSetupAnswer
)

_OF_SUCCESS: dict[int, Callable[[bytes], Answer]] = {
    Opcode.RESOLUTION: ResolutionAnswer.decode,
    Opcode.GET_SITE_INFO: decode_site,
    Opcode.CREATE_HANDLE: CreateAnswer.decode,
    Opcode.LIST_HANDLES: NamesAnswer.decode,
    Opcode.VERIFY_RESPONSE: VerifyAnswer.decode,
    Opcode.LIST_HOMED_PREFIXES: NamesAnswer.decode,
    Opcode.SESSION_SETUP: SessionSetupAnswer.decode,
    Opcode.PASSWORD_LOGIN: ResolutionAnswer.decode,
}
_OF_CODE: dict[int, Callable[[bytes], Answer]] = {
    ResponseCode.SERVICE_REFERRAL: ReferralAnswer.decode,
    ResponseCode.PREFIX_REFERRAL: ReferralAnswer.decode,
    ResponseCode.AUTHENTICATION_NEEDED: Challenge.decode,
}


def decode_answer(message: Message) -> tuple[RequestDigest | None, Answer]:
    """Return the request digest of an answer, if it has one, and what it says.  Raises WireError.

    Below version 2.5 the code 303 means "server backup" and its body is a text.
    """
    try:
        digest, body = message.split_digest()
        return digest, _decoder(message)(body)
    except WireError as error:
        error.request_id = message.envelope.request_id
        raise


def _decoder(message: Message) -> Callable[[bytes], Answer]:
    code = message.header.response_code
    if code == ResponseCode.SUCCESS:
        return _OF_SUCCESS.get(message.header.opcode, EmptyAnswer.decode)
    is_old = message.envelope.version < NEW_CODES_VERSION
    if is_old and code == ResponseCode.PREFIX_REFERRAL:
        return ErrorAnswer.decode
    return _OF_CODE.get(code, ErrorAnswer.decode)

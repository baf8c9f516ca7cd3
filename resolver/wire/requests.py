"""The bodies of requests, one class for each form (RFC 3652 §3).

Every class encodes itself and decodes a body.  Real clients leave stray bytes after some bodies
(id-pointer four after a resolution request, Handle.Net two after a session setup), so each keeps
them in `slack`; more than MAX_SLACK_BYTES is refused.  Handles are at most MAX_HANDLE_BYTES, lists
at most MAX_VALUES long.
"""

from collections.abc import Callable
from dataclasses import dataclass

from resolver.wire.constants import (
    MAX_HANDLE_BYTES,
    MAX_VALUES,
    Opcode,
    ResponseCode,
    SessionMode,
)
from resolver.wire.cursor import Reader, Writer
from resolver.wire.errors import WireError
from resolver.wire.message import Message
from resolver.wire.value import HandleValue, read_values, write_values

_SESSION_SLACK = bytes(2)  # Handle.Net counts the mode as four bytes and writes two


@dataclass(frozen=True, slots=True)
class ResolutionRequest:
    """Asks for values of a handle; `indexes` and `types` form a union, and none at all means every
    value.

    Opcode 1.  Also the password login of ID-SDK (2000): user name as the handle, password as the
    only type.
    """

    handle: bytes
    indexes: tuple[int, ...] = ()
    types: tuple[bytes, ...] = ()
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle)
        _write_indexes(writer, self.indexes)
        writer.u32(len(self.types))
        for value_type in self.types:
            writer.string(value_type)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ResolutionRequest":
        """Return what a body asks for.  Raises WireError."""
        reader = Reader(body)
        handle, indexes = read_handle(reader), _read_indexes(reader)
        types = tuple([reader.string() for _ in range(reader.count(4, MAX_VALUES))])
        return cls(handle, indexes, types, reader.slack())


@dataclass(frozen=True, slots=True)
class NameRequest:
    """Names a handle and says no more: site info (2, `/`), delete (101), list (105), prefixes (300-302), end (401)."""

    handle: bytes
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().string(self.handle).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "NameRequest":
        """Return what a body names.  Raises WireError."""
        reader = Reader(body)
        return cls(read_handle(reader), reader.slack())


@dataclass(frozen=True, slots=True)
class ValuesRequest:
    """Creates a handle (100), or adds (102) or modifies (104) values of one."""

    handle: bytes
    values: tuple[HandleValue, ...]
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle)
        write_values(writer, self.values)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ValuesRequest":
        """Return what a body brings.  Raises WireError."""
        reader = Reader(body)
        return cls(read_handle(reader), read_values(reader), reader.slack())


@dataclass(frozen=True, slots=True)
class IndexesRequest:
    """Removes values of a handle (103)."""

    handle: bytes
    indexes: tuple[int, ...]
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle)
        _write_indexes(writer, self.indexes)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "IndexesRequest":
        """Return which values a body names.  Raises WireError."""
        reader = Reader(body)
        return cls(read_handle(reader), _read_indexes(reader), reader.slack())


@dataclass(frozen=True, slots=True)
class ChallengeAnswer:
    """Answers a challenge (200): `kind` is `HS_PUBKEY` or `HS_SECKEY`, the key value `index` of `handle`."""

    kind: bytes
    handle: bytes
    index: int
    answer: bytes
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.kind).string(self.handle).u32(self.index)
        return bytes(writer.string(self.answer).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "ChallengeAnswer":
        """Return what a body answers.  Raises WireError."""
        reader = Reader(body)
        kind, handle, index = reader.string(), read_handle(reader), reader.u32()
        return cls(kind, handle, index, reader.string(), reader.slack())


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """Asks whether a secret-key answer is right (201): nonce, digest and answer are those of the challenge."""

    handle: bytes
    index: int
    nonce: bytes
    digest: bytes
    answer: bytes
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().string(self.handle).u32(self.index)
        writer.string(self.nonce).string(self.digest).string(self.answer)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "VerifyRequest":
        """Return what a body asks.  Raises WireError."""
        reader = Reader(body)
        handle, index = read_handle(reader), reader.u32()
        nonce, digest, answer = reader.string(), reader.string(), reader.string()
        return cls(handle, index, nonce, digest, answer, reader.slack())


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """Asks for a session (400) in a `SessionMode`.

    `identity` and `identity_index` say who asks.  `public_key` (HS_PUBKEY data) is there in modes 1
    and 4, `key_handle` and `key_index` in mode 3.
    """

    mode: int
    timeout_seconds: int
    identity: bytes
    identity_index: int
    public_key: bytes = b""
    key_handle: bytes = b""
    key_index: int = 0
    slack: bytes = _SESSION_SLACK

    def encode(self) -> bytes:
        """Return the body."""
        writer = Writer().u16(self.mode).u32(self.timeout_seconds)
        writer.string(self.identity).u32(self.identity_index)
        if self.mode in _MODES_WITH_KEY:
            writer.string(self.public_key)
        elif self.mode == SessionMode.IDENTITY_KEY:
            writer.string(self.key_handle).u32(self.key_index)
        return bytes(writer.raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "SessionSetup":
        """Return what a body asks for.  Raises WireError."""
        reader = Reader(body)
        mode, timeout = reader.u16(), reader.u32()
        identity, index = read_handle(reader), reader.u32()
        if mode in _MODES_WITH_KEY:
            key = reader.string()
            return cls(mode, timeout, identity, index, key, slack=reader.slack())
        if mode == SessionMode.IDENTITY_KEY:
            key_handle, key_index = read_handle(reader), reader.u32()
            return cls(mode, timeout, identity, index, b"", key_handle, key_index, reader.slack())
        return cls(mode, timeout, identity, index, slack=reader.slack())


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """Brings a session key, encrypted with the server's key (402)."""

    key: bytes
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().string(self.key).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "KeyExchange":
        """Return the key that a body brings.  Raises WireError."""
        reader = Reader(body)
        return cls(reader.string(), reader.slack())


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Asks to log in (2001) with the key that stands at value `index` of `handle`; the answer is a challenge."""

    handle: bytes
    index: int
    slack: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return bytes(Writer().string(self.handle).u32(self.index).raw(self.slack))

    @classmethod
    def decode(cls, body: bytes) -> "LoginRequest":
        """Return who a body says is logging in.  Raises WireError."""
        reader = Reader(body)
        return cls(read_handle(reader), reader.u32(), reader.slack())


Request = (
    ResolutionRequest
    | NameRequest
    | ValuesRequest
    | IndexesRequest
    | ChallengeAnswer
    | VerifyRequest
    | SessionSetup
    | KeyExchange
    | LoginRequest
)

_MODES_WITH_KEY = (SessionMode.PUBLIC_KEY, SessionMode.DIFFIE_HELLMAN)
_DECODERS: dict[int, Callable[[bytes], Request]] = {
    Opcode.RESOLUTION: ResolutionRequest.decode,
    Opcode.GET_SITE_INFO: NameRequest.decode,
    Opcode.CREATE_HANDLE: ValuesRequest.decode,
    Opcode.DELETE_HANDLE: NameRequest.decode,
    Opcode.ADD_VALUE: ValuesRequest.decode,
    Opcode.REMOVE_VALUE: IndexesRequest.decode,
    Opcode.MODIFY_VALUE: ValuesRequest.decode,
    Opcode.LIST_HANDLES: NameRequest.decode,
    Opcode.CHALLENGE_RESPONSE: ChallengeAnswer.decode,
    Opcode.VERIFY_RESPONSE: VerifyRequest.decode,
    Opcode.HOME_PREFIX: NameRequest.decode,
    Opcode.UNHOME_PREFIX: NameRequest.decode,
    Opcode.LIST_HOMED_PREFIXES: NameRequest.decode,
    Opcode.SESSION_SETUP: SessionSetup.decode,
    Opcode.SESSION_TERMINATE: NameRequest.decode,
    Opcode.SESSION_EXCHANGE_KEY: KeyExchange.decode,
    Opcode.PASSWORD_LOGIN: ResolutionRequest.decode,
    Opcode.KEY_LOGIN: LoginRequest.decode,
}


def decode_request(message: Message) -> Request:
    """Return what a request asks.

    Raises WireError: "operation not supported" for an opcode that has no form here, "protocol
    error" for opcode 0 and for a body that is broken.
    """
    opcode = message.header.opcode
    request_id = message.envelope.request_id
    decode = _DECODERS.get(opcode)
    if decode is None:
        is_reserved = opcode == Opcode.RESERVED
        code = ResponseCode.PROTOCOL_ERROR if is_reserved else ResponseCode.OPERATION_NOT_SUPPORTED
        raise WireError(f"opcode {opcode} is not known", code=code, request_id=request_id)
    try:
        return decode(message.body)
    except WireError as error:
        error.request_id = request_id
        raise


def read_handle(reader: Reader) -> bytes:
    """Read a handle.  Raises WireError ("invalid handle") above MAX_HANDLE_BYTES; an empty one is let through."""
    handle = reader.string()
    if len(handle) > MAX_HANDLE_BYTES:
        raise WireError(
            f"a handle of {len(handle)} bytes; {MAX_HANDLE_BYTES} are allowed",
            code=ResponseCode.INVALID_HANDLE,
        )
    return handle


def _read_indexes(reader: Reader) -> tuple[int, ...]:
    return tuple([reader.u32() for _ in range(reader.count(4, MAX_VALUES))])


def _write_indexes(writer: Writer, indexes: tuple[int, ...]) -> None:
    writer.u32(len(indexes))
    for index in indexes:
        writer.u32(index)

"""Authorization: the credentials that an HTTP request carries, read from the header or from a session's JSON body.

Pure.  Forms (features-and-contracts §2.8): `Basic` with `index:handle` percent-encoded before the first raw colon;
`Bearer` with a token; `Handle` with the fields of a session, a signature, or the wish to use the TLS certificate.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from resolver.wire import MAX_HANDLE_BYTES
from resolver.wire.constants import MAX_U32

MAX_HEADER_BYTES = 16_384
MAX_FIELDS = 32
VERSION = "0"
KINDS = {"HS_SECKEY": b"HS_SECKEY", "HS_PUBKEY": b"HS_PUBKEY"}

_FIELD = re.compile(r'\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",]+)\s*(?:,\s*|$)')
_ESCAPED = re.compile(r"\\(.)")
_NUMBER_DIGITS = 9  # of iterations and length


class CredentialError(ValueError):
    """The credentials cannot be read; the message says which part and what would be right."""


@dataclass(frozen=True, slots=True)
class Name:
    """Whose key: that at value `index` of the record `handle`; index 0 is any key of it."""

    index: int
    handle: bytes


@dataclass(frozen=True, slots=True)
class Password:
    """`Basic`: a name and its secret key."""

    name: Name
    password: bytes


@dataclass(frozen=True, slots=True)
class BearerToken:
    """`Bearer`: an API token."""

    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A signature or MAC over the session's nonce and `cnonce`."""

    name: Name
    kind: bytes  # HS_PUBKEY or HS_SECKEY
    algorithm: str
    cnonce: bytes
    signature: bytes
    salt: bytes = b""  # these three: PBKDF2
    iterations: int = 0
    length: int = 0  # of the derived key, in bits


@dataclass(frozen=True, slots=True)
class SessionFields:
    """`Handle`, or the JSON body of a session request: which session, and what is proven or asked in it.

    `cnonce` without a proof asks this server to sign; `client_certificate` to take the certificate of the connection.
    """

    session: str = ""
    proof: Proof | None = None
    cnonce: bytes = b""
    client_certificate: bool = False


Credentials = Password | BearerToken | SessionFields


def read_authorization(header: str) -> Credentials:
    """Return what an Authorization header says.  Raises CredentialError."""
    if len(header) > MAX_HEADER_BYTES:
        raise CredentialError(f"the Authorization header is longer than {MAX_HEADER_BYTES} bytes")
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "basic":
            return _basic(rest.strip())
        case "bearer":
            return BearerToken(rest.strip())
        case "handle":
            return read_fields(_fields(rest.strip()), percent_encoded=True)
        case _:
            raise CredentialError("Authorization must be Basic, Handle or Bearer")


def read_fields(fields: Mapping[str, str], *, percent_encoded: bool = False) -> SessionFields:
    """Return what the fields of a header or of a JSON body say; `id` of a header is percent-encoded.

    Names compare without regard to case, unknown ones are passed over.  Raises CredentialError.
    """
    given = {name.lower(): value for name, value in fields.items()}
    if given.get("version", VERSION) != VERSION:
        raise CredentialError(f"version of Handle credentials must be {VERSION}")
    cnonce = _base64(given, "cnonce")
    proof = None
    if any(name in given for name in ("id", "type", "alg", "signature")):
        proof = _proof(given, cnonce, percent_encoded=percent_encoded)
    certificate = given.get("clientcert", "").lower() == "true"
    return SessionFields(given.get("sessionid", ""), proof, cnonce, certificate)


def read_name(text: bytes) -> Name:
    """Read `index:handle`, or a handle alone for any of its keys.  Raises CredentialError.

    Split at the first colon; what stands before it is an index only when all of it are digits.
    """
    index, colon, handle = text.partition(b":")
    if not colon or not index.isdigit():
        index, handle = b"0", text
    if len(index) > len(str(MAX_U32)) or int(index) > MAX_U32:
        raise CredentialError("the index before the handle is too large")
    if not handle or len(handle) > MAX_HANDLE_BYTES:
        raise CredentialError(f"name the key as index:handle, at most {MAX_HANDLE_BYTES} bytes")
    return Name(int(index), handle)


def _basic(text: str) -> Password:
    decoded = _decode(text, "Basic credentials")
    user, colon, password = decoded.partition(b":")
    if not colon:
        raise CredentialError("Basic credentials must be index%3Ahandle:password in base64")
    if user.isdigit():
        raise CredentialError("the colon behind the index must be percent-encoded: 300%3Ahandle")
    return Password(read_name(unquote_to_bytes(user)), password)


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _FIELD.match(text, position)
        if match is None or len(found) >= MAX_FIELDS:
            raise CredentialError('Handle credentials must be name="value", name="value", …')
        name, value = match.groups()
        found[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        position = match.end()
    return found


def _proof(given: Mapping[str, str], cnonce: bytes, *, percent_encoded: bool) -> Proof:
    missing = [name for name in ("id", "type", "alg", "cnonce", "signature") if not given.get(name)]
    if missing:
        raise CredentialError(f"Missing fields in authentication data: {', '.join(missing)}")
    if given["type"] not in KINDS:
        raise CredentialError(f"type must be {' or '.join(KINDS)}")
    name = given["id"].encode("utf-8", "surrogateescape")
    return Proof(
        read_name(unquote_to_bytes(name) if percent_encoded else name),
        KINDS[given["type"]],
        given["alg"],
        cnonce,
        _base64(given, "signature"),
        _base64(given, "salt"),
        _number(given, "iterations"),
        _number(given, "length"),
    )


def _number(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > _NUMBER_DIGITS:
        raise CredentialError(f"{name} must be a whole number")
    return int(text)


def _base64(given: Mapping[str, str], name: str) -> bytes:
    return _decode(given.get(name, ""), name)


def _decode(text: str, subject: str) -> bytes:
    """Base64 with either alphabet, with or without padding, as the reference takes it."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CredentialError(f"{subject} must be base64") from error

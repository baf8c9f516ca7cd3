"""Signature: who sent a message, when, and that it is whole; HTTP Message Signatures (RFC 9421), values in and out.

Covered are method and path (of an answer its status), the digest of the body (RFC 9530), and the signature's own
parameters: `created` (POSIX seconds), `nonce`, `keyid`, `alg`.  An answer bears the nonce of what it answers, so that
none can stand in for another.  `keyid` is the SHA-256 of the public key (DER SubjectPublicKeyInfo) in hex; a receiver
knows several keys at once, which is how one is changed for another.  That signatures have this form is our proposal.

Law: the clock is judged, and the nonce remembered, only of what is rightly signed: nobody else can use up our memory,
or have us say what time it is.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeAlias

MAX_SKEW_SECONDS = 300
MAX_HEADER_CHARACTERS = 8_192  # a signature of an RSA key with 8192 bits has 1,368
MAX_NONCES = 1_000_000  # in ten minutes; more are refused

LABEL = "idnode"
DIGEST, INPUT, SIGNATURE = "Content-Digest", "Signature-Input", "Signature"

_NAME = r"[a-z*][a-z0-9_.*-]*"
_INPUT = re.compile(
    rf'(?P<label>{_NAME})=(?P<params>\((?P<covered>"[^"\\]+"(?: +"[^"\\]+")*)\)'
    rf'(?P<of>(?:;{_NAME}=(?:[0-9]{{1,15}}|"[^"\\]*"))*))'
)
_PARAMETER = re.compile(rf';({_NAME})=(?:([0-9]+)|"([^"]*)")')
_SIGNATURE = re.compile(rf"(?P<label>{_NAME})=:(?P<bytes>[A-Za-z0-9+/]+=*):")
_DIGEST = re.compile(r"(?:^|, *)sha-256=:(?P<bytes>[A-Za-z0-9+/]+=*):(?= *(?:,|$))")
_CREATED = re.compile(r"[0-9]{1,15}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Fault(StrEnum):
    """What is wrong with a signature."""

    MISSING = "missing"
    MALFORMED = "malformed"
    DIGEST = "digest"  # the body is another
    KEY = "key"  # not one that is known here
    SIGNATURE = "signature"  # made by another key, or of something else
    CLOCK = "clock"
    REPLAYED = "replayed"


class SignatureFailed(Exception):
    """A message is not from whom it should be, or not now; `skew_seconds` when the clock was the reason."""

    def __init__(self, fault: Fault, text: str, skew_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.fault = fault
        self.skew_seconds = skew_seconds


class Signer(Protocol):
    """A private key."""

    @property
    def algorithm(self) -> str:
        """`ed25519`, `rsa-v1_5-sha256` (both of RFC 9421), or `sm2-sm3`."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public half, in hex."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""


class Verifier(Protocol):
    """A public key."""

    @property
    def algorithm(self) -> str:
        """The one way in which this key signs."""

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key signed this message; False for bytes that are no signature."""


class NonceMemory(Protocol):
    """What was seen of late."""

    def accept(self, key_id: str, nonce: str, now: float) -> bool:
        """Return whether this is new, and remember it for twice MAX_SKEW_SECONDS."""


class Request(NamedTuple):
    """A request as it arrives: the path has no query."""

    method: str
    path: str
    body: bytes

    def covered(self) -> dict[str, str]:
        """The components that are signed beside the body's digest."""
        return {"@method": self.method, "@path": self.path}


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    body: bytes

    def covered(self) -> dict[str, str]:
        """The components that are signed beside the body's digest."""
        return {"@status": str(self.status)}


Parts: TypeAlias = Request | Answer


class Verified(NamedTuple):
    """Whose key signed, with which nonce, and how far the signer's clock is ahead of ours (to a second)."""

    key_id: str
    nonce: str
    skew_seconds: float


class Nonces:
    """A memory of nonces for one process.  What does not fit is refused, so that nothing is taken twice."""

    def __init__(
        self, *, keep_seconds: float = 2.0 * MAX_SKEW_SECONDS, limit: int = MAX_NONCES
    ) -> None:
        self._keep_seconds = keep_seconds
        self._limit = limit
        self._known: set[tuple[str, str]] = set()
        self._ends: deque[tuple[float, tuple[str, str]]] = deque()

    def accept(self, key_id: str, nonce: str, now: float) -> bool:
        """See `NonceMemory`."""
        while self._ends and self._ends[0][0] <= now:
            self._known.discard(self._ends.popleft()[1])
        each = (key_id, nonce)
        if each in self._known or len(self._known) >= self._limit:
            return False
        self._known.add(each)
        self._ends.append((now + self._keep_seconds, each))
        return True


@dataclass(frozen=True, slots=True)
class Awaited:
    """The one nonce that the answer to a request has."""

    nonce: str

    def accept(self, _key_id: str, nonce: str, _now: float) -> bool:
        """See `NonceMemory`."""
        return nonce == self.nonce


def sign(parts: Parts, signer: Signer, *, created: int, nonce: str) -> dict[str, str]:
    """Return the headers that sign a message; `created` is in POSIX seconds."""
    digest = _digest(parts.body)
    components = {**parts.covered(), "content-digest": digest}
    covered = " ".join(f'"{name}"' for name in components)
    params = (
        f'({covered});created={created};nonce="{nonce}"'
        f';keyid="{signer.key_id}";alg="{signer.algorithm}"'
    )
    signature = b64encode(signer.sign(_base(components, params))).decode()
    return {
        DIGEST: digest,
        INPUT: f"{LABEL}={params}",
        SIGNATURE: f"{LABEL}=:{signature}:",
    }


def verify(
    parts: Parts,
    headers: Mapping[str, str],
    keys: Mapping[str, Verifier],
    *,
    now: float,
    seen: NonceMemory,
    max_skew: float = MAX_SKEW_SECONDS,
) -> Verified:
    """Return who signed; `headers` is asked for the names above in lower case, `keys` are by their `key_id`.

    Raises SignatureFailed.
    """
    given = _Given.read(headers)
    _check_digest(parts.body, given.digest)
    components = {**parts.covered(), "content-digest": given.digest}
    if set(given.covered) != set(components) or len(given.covered) != len(components):
        wanted = ", ".join(components)
        raise SignatureFailed(Fault.MALFORMED, f"the signature must cover {wanted}")
    key = keys.get(given.key_id)
    if key is None:
        raise SignatureFailed(Fault.KEY, f"the key {given.key_id:.64} is not known here")
    base = _base({name: components[name] for name in given.covered}, given.params)
    if key.algorithm != given.algorithm or not key.verify(given.signature, base):
        raise SignatureFailed(
            Fault.SIGNATURE, f"the signature is not the one of the key {given.key_id:.64}"
        )
    return _current(given, now, seen, max_skew)


def _current(given: "_Given", now: float, seen: NonceMemory, max_skew: float) -> Verified:
    skew = given.created - now
    if abs(skew) > max_skew:
        side = "ahead of" if skew > 0 else "behind"
        text = f"the signer's clock is {abs(skew):.0f} s {side} ours; {max_skew:.0f} s are allowed"
        raise SignatureFailed(Fault.CLOCK, text, skew)
    if not seen.accept(given.key_id, given.nonce, now):
        raise SignatureFailed(Fault.REPLAYED, f"the nonce {given.nonce} came before, or is not due")
    return Verified(given.key_id, given.nonce, skew)


class _Given(NamedTuple):
    """What the three headers say."""

    digest: str
    covered: tuple[str, ...]
    params: str
    created: int
    nonce: str
    key_id: str
    algorithm: str
    signature: bytes

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "_Given":
        """Read them.  Raises SignatureFailed."""
        digest, given, signature = (_header(headers, name) for name in (DIGEST, INPUT, SIGNATURE))
        found, signed = _INPUT.fullmatch(given), _SIGNATURE.fullmatch(signature)
        if found is None or signed is None or found["label"] != signed["label"]:
            raise SignatureFailed(
                Fault.MALFORMED, f"{INPUT} and {SIGNATURE} hold one signature of one label"
            )
        of = {name: number or text for name, number, text in _PARAMETER.findall(found["of"])}
        created, nonce = of.get("created", ""), of.get("nonce", "")
        if not _CREATED.fullmatch(created) or not _NONCE.fullmatch(nonce):
            raise SignatureFailed(
                Fault.MALFORMED, "a signature has created, and a nonce of 16 to 64 letters"
            )
        covered = tuple(re.findall(r'"([^"]+)"', found["covered"]))
        return cls(
            digest,
            covered,
            found["params"],
            int(created),
            nonce,
            of.get("keyid", ""),
            of.get("alg", ""),
            _base64(signed["bytes"]),
        )


def _header(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name.lower(), "").strip()
    if not text:
        raise SignatureFailed(Fault.MISSING, f"the header {name} is missing")
    if len(text) > MAX_HEADER_CHARACTERS:
        raise SignatureFailed(Fault.MALFORMED, f"the header {name} is too long")
    return text


def _check_digest(body: bytes, header: str) -> None:
    found = _DIGEST.search(header)
    if found is None:
        raise SignatureFailed(Fault.MALFORMED, f"{DIGEST} has no sha-256")
    if _base64(found["bytes"]) != sha256(body).digest():
        raise SignatureFailed(Fault.DIGEST, "the body is not the one that was signed")


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise SignatureFailed(Fault.MALFORMED, "this is no base64") from error


def _digest(body: bytes) -> str:
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def _base(components: Mapping[str, str], params: str) -> bytes:
    """What is signed (RFC 9421 §2.5)."""
    lines = [f'"{name}": {text}' for name, text in components.items()]
    return "\n".join([*lines, f'"@signature-params": {params}']).encode()

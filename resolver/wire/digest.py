"""Request digests: how an answer proves which request it belongs to (RFC 3652 §2.2.3,
"RequestDigest").

The digest covers header and body of the request, neither envelope nor credential.
"""

import hashlib
from dataclasses import dataclass

from resolver.wire.constants import MAX_ARRAY_BYTES, DigestAlgorithm
from resolver.wire.cursor import Reader, Writer
from resolver.wire.envelope import Version, digest_algorithm
from resolver.wire.errors import WireError

_SIZES: dict[int, int] = {
    DigestAlgorithm.MD5: 16,
    DigestAlgorithm.SHA1: 20,
    DigestAlgorithm.SHA256: 32,
}
_NAMES = {
    DigestAlgorithm.OLD_MD5: "md5",
    DigestAlgorithm.MD5: "md5",
    DigestAlgorithm.SHA1: "sha1",
    DigestAlgorithm.SHA256: "sha256",
}


@dataclass(frozen=True, slots=True)
class RequestDigest:
    """A digest of a request, as it stands at the front of an answer's body.

    Algorithm 0 is the form before version 2.1: an MD5 after four bytes of length, the first of
    which is that 0.
    """

    algorithm: int
    digest: bytes

    def __post_init__(self) -> None:
        size = len(self.digest)
        is_old = self.algorithm == DigestAlgorithm.OLD_MD5 and size <= MAX_ARRAY_BYTES
        if not is_old and _SIZES.get(self.algorithm) != size:
            raise ValueError(f"a digest of {size} bytes by algorithm {self.algorithm}")

    def encode(self) -> bytes:
        """Return the bytes that go before the rest of the body."""
        if self.algorithm == DigestAlgorithm.OLD_MD5:
            return bytes(Writer().string(self.digest))
        return bytes(Writer().u8(self.algorithm).raw(self.digest))

    @classmethod
    def read(cls, reader: Reader) -> "RequestDigest":
        """Read the digest at the front of a body."""
        algorithm = reader.peek_u8()
        if algorithm == DigestAlgorithm.OLD_MD5:
            return cls(algorithm, reader.string())
        if algorithm not in _SIZES:
            raise WireError(f"a request digest by algorithm {algorithm}, which is not known")
        return cls(reader.u8(), reader.take(_SIZES[algorithm]))


def digest_request(version: Version, header_and_body: bytes) -> RequestDigest:
    """Return the digest of a request as an answer of this version states it."""
    algorithm = digest_algorithm(version)
    made = hashlib.new(_NAMES[algorithm], header_and_body, usedforsecurity=False)
    return RequestDigest(algorithm, made.digest())

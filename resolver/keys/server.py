"""The key of this server: made at first start, used to sign answers (CERTIFY)."""

from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from resolver.keys.files import load_private, write_unless_there
from resolver.keys.private import KeyKind, make_private, rsa_numbers, to_pem
from resolver.wire import RsaPublicKey

_KEY_BITS = 2048  # what every known Handle client verifies; longer answers do not fit UDP


class ServerKey:
    """The RSA key of this server."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        """Wrap a private key; use `load_or_make`."""
        self._private = private

    @classmethod
    def load_or_make(cls, path: Path) -> "ServerKey":
        """Read the key file (PEM, PKCS #8), or make it, readable by its owner alone.

        Several processes may start at once: one key wins, all read that one.  Raises ValueError when the file is not a
        private RSA key, OSError when it cannot be read or written.
        """
        if not path.exists():
            write_unless_there(path, to_pem(make_private(KeyKind.RSA, _KEY_BITS)))
        private = load_private(path)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError(
                f"{path} does not hold a private RSA key; move it away to have one made"
            )
        return cls(private)

    def public_key(self) -> RsaPublicKey:
        """Return the public half, as it stands in our HS_SITE."""
        return rsa_numbers(self._private.public_key())

    def sign(self, block: bytes, *, sha256: bool) -> bytes:
        """Sign a block, PKCS #1 v1.5; SHA-1 only for clients older than protocol 2.7.  About 1 ms of work."""
        algorithm = hashes.SHA256() if sha256 else hashes.SHA1()  # noqa: S303  old clients verify nothing else
        return self._private.sign(block, padding.PKCS1v15(), algorithm)

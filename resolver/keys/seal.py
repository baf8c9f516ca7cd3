"""Seal: secret keys encrypted at rest, with a key that is not in the database.

Challenge-response needs the secret itself, so it cannot be hashed.  AES-SIV (RFC 5297) is deterministic: the same
secret of the same value gives the same bytes, so loading a file again changes nothing; what is sealed for one value
cannot be put into another (its record and index are authenticated with it).  Whoever has both the database and the key
file has the secrets; the file belongs in a backup of its own.
"""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_MARK = b"\x00sealed\x01"  # no text, so no secret that somebody types begins so
_SIV_KEY_BYTES = 64
_FILE_MODE = 0o600


class SealError(ValueError):
    """The key file is not one, or what was sealed does not open with it."""


class Seal:
    """Seals and opens secrets, and derives the node's other keys."""

    def __init__(self, key: bytes) -> None:
        """`key` is KEY_BYTES random bytes.  Raises SealError."""
        if len(key) != KEY_BYTES:
            raise SealError(f"a sealing key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = key
        self._siv = AESSIV(self.derive(b"values", _SIV_KEY_BYTES))

    @classmethod
    def load_or_make(cls, path: Path) -> "Seal":
        """Read the key file (hexadecimal), or make it, readable by its owner alone.

        Several processes may start at once: one key wins, all read that one.  Raises SealError, OSError.
        """
        if not path.exists():
            _write_once(path, secrets.token_hex(KEY_BYTES))
        try:
            return cls(bytes.fromhex(path.read_text("ascii")))
        except ValueError as error:
            raise SealError(
                f"{path} is not a sealing key ({2 * KEY_BYTES} hexadecimal digits); put back the one that was here"
            ) from error

    def seal(self, record_key: bytes, index: int, secret: bytes) -> bytes:
        """Return the sealed form of a secret, for the value at `index` of the record with this canonical key."""
        return _MARK + self._siv.encrypt(_padded(secret), _place(record_key, index))

    def open(self, record_key: bytes, index: int, data: bytes) -> bytes:
        """Return the secret.  Raises SealError: another key, another place, or not sealed at all."""
        if not data.startswith(_MARK):
            raise SealError("a secret key is stored that was never sealed; write it again")
        try:
            padded = self._siv.decrypt(data[len(_MARK) :], _place(record_key, index))
        except (InvalidTag, ValueError) as error:
            raise SealError(
                "a secret key does not open with this sealing key; is it another's database?"
            ) from error
        return padded[1:]

    @staticmethod
    def is_sealed(data: bytes) -> bool:
        """True for what `seal` has made, by whatever key."""
        return data.startswith(_MARK)

    def derive(self, label: bytes, size: int = KEY_BYTES) -> bytes:
        """Return a key for another purpose; the same label gives the same key."""
        return HKDF(SHA256(), size, salt=None, info=b"idnode " + label).derive(self._key)


def _padded(secret: bytes) -> bytes:
    """AES-SIV refuses to encrypt nothing, and an empty secret must be told apart from none."""
    return b"\x01" + secret


def _place(record_key: bytes, index: int) -> list[bytes]:
    return [record_key, b"%d" % index]


def _write_once(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    with open(draft, "w", opener=lambda name, flags: os.open(name, flags, _FILE_MODE)) as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        draft.unlink()

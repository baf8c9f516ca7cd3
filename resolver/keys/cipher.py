"""What two sides of a session do with their key: encrypt and decrypt messages, and MAC them.

A session key has 32 bytes.  All of them are the MAC key, the first 16 the AES key (handle-protocol §8).  An encrypted
message is IV ‖ ciphertext: AES-128-CBC with PKCS #7 padding (which Java calls PKCS5).  Law: check the MAC before you
look at what decryption gave, for CBC alone protects nothing from being changed.
"""

import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

SESSION_KEY_BYTES: Final = 32
IV_BYTES: Final = 16
AES_CIPHER: Final = 3  # the number by which session setup names AES

_AES_KEY_BYTES = 16
_BLOCK_BYTES = 16


def encrypt(key: bytes, plaintext: bytes, iv: bytes) -> bytes:
    """Return IV ‖ ciphertext.  The IV has 16 random bytes, never used before with this key.

    Raises ValueError for a key or IV of another length.
    """
    padder = PKCS7(_BLOCK_BYTES * 8).padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = _cipher(key, iv).encryptor()
    return iv + encryptor.update(padded) + encryptor.finalize()


def decrypt(key: bytes, data: bytes) -> bytes:
    """Return the plaintext of IV ‖ ciphertext.

    Raises ValueError when the data is not whole blocks, or its padding is wrong: the key is another one.
    """
    iv, ciphertext = data[:IV_BYTES], data[IV_BYTES:]
    if not ciphertext or len(ciphertext) % _BLOCK_BYTES:
        raise ValueError(f"{len(data)} bytes are no IV and whole blocks of AES")
    decryptor = _cipher(key, iv).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise ValueError("the message was not encrypted with this session's key") from error


def mac(key: bytes, block: bytes) -> bytes:
    """Return HMAC-SHA256 over the block of a message (handle-protocol §9), 32 bytes."""
    return hmac.digest(_session_key(key), block, "sha256")


def check_mac(key: bytes, block: bytes, given: bytes) -> bool:
    """Return whether this is the block's MAC; takes the same time whatever is wrong."""
    return hmac.compare_digest(mac(key, block), given)


def _cipher(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(_session_key(key)[:_AES_KEY_BYTES]), modes.CBC(iv))


def _session_key(key: bytes) -> bytes:
    if len(key) != SESSION_KEY_BYTES:
        raise ValueError(f"a session key has {SESSION_KEY_BYTES} bytes, not {len(key)}")
    return key

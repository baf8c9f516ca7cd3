"""Proofs: answers to a challenge, checked against a public or a secret key, and made (RFC 3652 §3.5).

A challenge is nonce ‖ request digest in the native protocol (`check_public`, `check_secret`), and nonce ‖ client nonce
over HTTP, where algorithms have names instead of numbers (`check_public_named`, `check_secret_named`).  Laws: any bytes
are proven right or are a ProofError, and nothing else; the cost of a check is bounded, whatever the other side asks
for; secrets are compared in constant time.
"""

from typing import Final

from resolver.keys import macs, signatures
from resolver.keys.macs import Derivation
from resolver.keys.private import PrivateKey
from resolver.wire import PublicKey, ResponseCode, WireError
from resolver.wire.cursor import Reader, Writer

PBKDF2_FORM: Final = 0x22  # what clients of 2.7 and later use
_PBKDF2 = "PBKDF2-HMAC-SHA1"
_FORMS: Final = {
    0x01: "MD5",
    0x02: "SHA-1",  # what clients of 2.1 to 2.6 use
    0x03: "SHA-256",
    0x12: "HMAC-SHA1",
    0x13: "HMAC-SHA256",
    PBKDF2_FORM: _PBKDF2,
}


class ProofError(Exception):
    """The answer does not prove the key: AUTHENTICATION_FAILED, or INVALID_CREDENTIAL for one that cannot be used."""

    def __init__(self, code: ResponseCode, message: str) -> None:
        """Keep the code that the other side is told, and why in words that may be shown to it."""
        super().__init__(message)
        self.code = code


def check_public(
    key: PublicKey, answer: bytes, challenge: bytes, *, signer: bytes, allow_weak: bool = False
) -> None:
    """Check a native answer: str hash name ‖ str signature.  `signer` is the handle whose key it is (the id of SM2).

    About 20 ms of work for SM2, below 1 ms for the others.  Raises ProofError.
    """
    name, signature = _read_public_answer(answer)
    check_public_named(key, name, signature, challenge, signer=signer, allow_weak=allow_weak)


def check_public_named(
    key: PublicKey,
    algorithm: str,
    signature: bytes,
    message: bytes,
    *,
    signer: bytes,
    allow_weak: bool = False,
) -> None:
    """Check a signature over the message with a named hash: SHA1, SHA256, SM3, with or without a dash.

    MD5 is accepted of RSA keys when weak algorithms are allowed.  Raises ProofError.
    """
    try:
        is_right = signatures.verify(
            key, algorithm, signature, message, signer=signer, allow_weak=allow_weak
        )
    except ValueError as error:
        raise _unusable(str(error)) from error
    _expect(is_right)


def check_secret(secret: bytes, answer: bytes, challenge: bytes, *, allow_weak: bool) -> None:
    """Check a native answer: one byte that says the form, then a digest, a MAC or a PBKDF2 blob.

    The other side chooses the work: up to 80 ms, 4 ms as clients do.  Raises ProofError.
    """
    name = _FORMS.get(int.from_bytes(answer[:1], "big"))
    if name is None:
        raise _unusable(f"proofs of form {answer[:1].hex() or 'nothing'} are not known")
    derivation, mac = Derivation(), answer[1:]
    if name == _PBKDF2:
        derivation, mac = _read_derivation(mac)
    _check_mac(secret, name, mac, challenge, derivation, allow_weak)


def check_secret_named(
    secret: bytes,
    algorithm: str,
    mac: bytes,
    message: bytes,
    *,
    salt: bytes = b"",
    iterations: int = 0,
    length: int = 0,
    allow_weak: bool,
) -> None:
    """Check a named digest or MAC of the message; salt, iterations and length (bits) are for PBKDF2-HMAC-SHA1.

    Raises ProofError.
    """
    _check_mac(secret, algorithm, mac, message, Derivation(salt, iterations, length), allow_weak)


def answer_public(
    private: PrivateKey, challenge: bytes, *, signer: bytes, algorithm: str = "SHA-256"
) -> bytes:
    """Answer a native challenge with a private key; an SM2 key says SM3, whatever the algorithm.

    Raises ValueError for an algorithm that is not known.
    """
    name, signature = signatures.sign(private, challenge, signer=signer, algorithm=algorithm)
    return bytes(Writer().string(name.encode()).string(signature))


def answer_secret(
    secret: bytes, challenge: bytes, *, form: int = PBKDF2_FORM, salt: bytes = b""
) -> bytes:
    """Answer a native challenge with a secret key; the salt is 16 random bytes, for PBKDF2 alone.

    Raises ValueError for a form that is not known.
    """
    if form not in _FORMS:
        raise ValueError(f"proofs of form {form:#x} are not known")
    derivation = Derivation(salt)
    mac = macs.compute(secret, _FORMS[form], challenge, derivation)
    writer = Writer().u8(form)
    if form != PBKDF2_FORM:
        return bytes(writer.raw(mac))
    return bytes(writer.string(salt).u32(derivation.iterations).u32(derivation.bits).string(mac))


def _read_public_answer(answer: bytes) -> tuple[str, bytes]:
    reader = Reader(answer)
    try:
        name, signature = reader.string(), reader.string()
        reader.slack()
        return name.decode("ascii"), signature
    except (WireError, UnicodeDecodeError) as error:
        raise _unusable("the answer is not a hash name and a signature") from error


def _read_derivation(blob: bytes) -> tuple[Derivation, bytes]:
    reader = Reader(blob)
    try:
        derivation = Derivation(reader.string(), reader.u32(), reader.u32())
        mac = reader.string()
        reader.slack()
        return derivation, mac
    except WireError as error:
        raise _unusable("the answer is not salt, iterations, key length and MAC") from error


def _check_mac(
    secret: bytes,
    algorithm: str,
    mac: bytes,
    message: bytes,
    derivation: Derivation,
    allow_weak: bool,
) -> None:
    try:
        is_right = macs.check(
            secret, algorithm, mac, message, derivation=derivation, allow_weak=allow_weak
        )
    except ValueError as error:
        raise _unusable(str(error)) from error
    _expect(is_right)


def _expect(is_right: bool) -> None:
    if not is_right:
        raise ProofError(
            ResponseCode.AUTHENTICATION_FAILED, "the answer does not prove that you hold the key"
        )


def _unusable(message: str) -> ProofError:
    return ProofError(ResponseCode.INVALID_CREDENTIAL, message)

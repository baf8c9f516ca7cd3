"""Key checks: what must hold of the key in a handle value for it to be the one that somebody claims to have.

Each function returns a check; a check raises ProofError or WireError for a value that is not the one.  `first_right`
tries several.
"""

from collections.abc import Callable, Sequence
from hmac import compare_digest

from resolver.authorization import Proof
from resolver.keys.proof import (
    ProofError,
    check_public,
    check_public_named,
    check_secret,
    check_secret_named,
)
from resolver.wire import (
    ChallengeAnswer,
    HandleValue,
    PublicKey,
    ResponseCode,
    WireError,
    decode_public_key,
)

SECRET_KEY, PUBLIC_KEY = b"HS_SECKEY", b"HS_PUBKEY"
NOT_VERIFIED = "Identity not verified"

Check = Callable[[HandleValue], None]


def is_password(password: bytes) -> Check:
    """The value is this secret key, byte for byte."""

    def check(value: HandleValue) -> None:
        if not compare_digest(value.data, password):
            raise ProofError(ResponseCode.AUTHENTICATION_FAILED, NOT_VERIFIED)

    return check


def is_public_key(key: PublicKey) -> Check:
    """The value is this public key; who has the private one was seen elsewhere."""

    def check(value: HandleValue) -> None:
        if decode_public_key(value.data) != key:
            raise ProofError(ResponseCode.AUTHENTICATION_FAILED, NOT_VERIFIED)

    return check


def answers(answer: ChallengeAnswer, challenge: bytes, *, allow_weak: bool) -> Check:
    """The answer to a native challenge was made with the value."""

    def check(value: HandleValue) -> None:
        if answer.kind == SECRET_KEY:
            check_secret(value.data, answer.answer, challenge, allow_weak=allow_weak)
        else:
            key, given = decode_public_key(value.data), answer.answer
            check_public(key, given, challenge, signer=answer.handle, allow_weak=allow_weak)

    return check


def proves(proof: Proof, message: bytes, *, allow_weak: bool) -> Check:
    """The signature or MAC of a message, whose algorithm is named, was made with the value."""

    def check(value: HandleValue) -> None:
        name, given = proof.algorithm, proof.signature
        if proof.kind == PUBLIC_KEY:
            key, signer = decode_public_key(value.data), proof.name.handle
            check_public_named(key, name, given, message, signer=signer, allow_weak=allow_weak)
            return
        check_secret_named(
            value.data,
            name,
            given,
            message,
            salt=proof.salt,
            iterations=proof.iterations,
            length=proof.length,
            allow_weak=allow_weak,
        )

    return check


def first_right(keys: Sequence[HandleValue], check: Check) -> HandleValue | ProofError:
    """Return the first key that the check takes, else what is wrong: a wrong answer before an unreadable one."""
    found: HandleValue | None = None
    wrong: list[ProofError] = []
    for value in keys:  # all of them, so that the time does not tell which was right
        try:
            check(value)
        except ProofError as error:
            wrong.append(error)
        except WireError:
            wrong.append(ProofError(ResponseCode.INVALID_CREDENTIAL, "the key cannot be read"))
        else:
            found = found or value
    return found or min(wrong, key=lambda error: error.code)

"""Proofs: which algorithms prove a key, which only by setting, and what is refused whatever the key."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from resolver.keys.macs import MAX_ITERATIONS
from resolver.keys.private import KeyKind, PrivateKey, make_private, public_half
from resolver.keys.proof import (
    ProofError,
    answer_public,
    answer_secret,
    check_public,
    check_public_named,
    check_secret,
    check_secret_named,
)
from resolver.keys.signatures import sign
from resolver.wire import DhPublicKey, DsaPublicKey, PublicKey, ResponseCode, RsaPublicKey
from resolver.wire.cursor import Writer

WRONG, UNUSABLE = ResponseCode.AUTHENTICATION_FAILED, ResponseCode.INVALID_CREDENTIAL
CHALLENGE = bytes(range(48))
SIGNER = b"88.1/ADMIN"
SECRET = b"secret-301"


@cache
def private_key(kind: KeyKind) -> PrivateKey:
    return make_private(kind)


def public_key(kind: KeyKind) -> PublicKey:
    return public_half(private_key(kind))


def refusal(check: Callable[[], None]) -> ResponseCode:
    with pytest.raises(ProofError) as caught:
        check()
    return caught.value.code


@pytest.mark.parametrize("kind", [KeyKind.RSA, KeyKind.DSA])
@pytest.mark.parametrize("algorithm", ["SHA1", "SHA-1", "SHA256", "SHA-256", "sha-256"])
def test_signature_with_a_known_hash_proves_the_key(kind: KeyKind, algorithm: str) -> None:
    answer = answer_public(private_key(kind), CHALLENGE, signer=SIGNER, algorithm=algorithm)
    check_public(public_key(kind), answer, CHALLENGE, signer=SIGNER)


def test_slack_behind_an_answer_is_tolerated() -> None:
    answer = answer_public(private_key(KeyKind.RSA), CHALLENGE, signer=SIGNER)
    check_public(public_key(KeyKind.RSA), answer + bytes(4), CHALLENGE, signer=SIGNER)


def test_sm2_key_says_sm3_and_binds_its_signer() -> None:
    algorithm, signature = sign(private_key(KeyKind.SM2), CHALLENGE, signer=SIGNER)
    key = public_key(KeyKind.SM2)
    assert algorithm == "SM3"
    check_public_named(key, "SM3", signature, CHALLENGE, signer=SIGNER)

    def with_signer(signer: bytes) -> Callable[[], None]:
        return lambda: check_public_named(key, "SM3", signature, CHALLENGE, signer=signer)

    assert refusal(with_signer(b"88.1/OTHER")) == WRONG
    assert refusal(with_signer(b"")) == UNUSABLE
    assert refusal(with_signer(bytes(5_000))) == UNUSABLE


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        (KeyKind.RSA, "SM3"),
        (KeyKind.RSA, "MD5"),
        (KeyKind.RSA, ""),
        (KeyKind.DSA, "MD5"),
        (KeyKind.SM2, "SHA256"),
    ],
)
def test_hash_that_does_not_fit_the_key_is_unusable(kind: KeyKind, algorithm: str) -> None:
    _, signature = sign(private_key(kind), CHALLENGE, signer=SIGNER)
    key = public_key(kind)
    assert (
        refusal(lambda: check_public_named(key, algorithm, signature, CHALLENGE, signer=SIGNER))
        == UNUSABLE
    )


def test_md5_of_an_rsa_key_is_taken_when_weak_ones_are_allowed() -> None:
    def check() -> None:
        key, signature = public_key(KeyKind.RSA), bytes(256)
        check_public_named(key, "MD5", signature, CHALLENGE, signer=SIGNER, allow_weak=True)

    assert refusal(check) == WRONG


def with_bits(kind: KeyKind, bits: int) -> PublicKey:
    """A key that is like a good one but for its size."""
    number = (1 << bits) - 1
    key = public_key(kind)
    if isinstance(key, RsaPublicKey):
        return replace(key, modulus=number)
    assert isinstance(key, DsaPublicKey)
    return replace(key, p=number)


@pytest.mark.parametrize(
    "key",
    [
        with_bits(KeyKind.RSA, 512),
        with_bits(KeyKind.RSA, 1023),
        with_bits(KeyKind.RSA, 16_384),
        RsaPublicKey(exponent=1 << 64, modulus=(1 << 2048) - 1),
        RsaPublicKey(exponent=1, modulus=(1 << 2048) - 1),
        RsaPublicKey(exponent=0, modulus=0),
        with_bits(KeyKind.DSA, 512),
        with_bits(KeyKind.DSA, 8192),
        DsaPublicKey(q=0, p=0, g=0, y=0),
        DhPublicKey(y=2, p=(1 << 1024) - 1, g=2),
    ],
)
def test_key_that_is_broken_costly_or_cannot_sign_is_unusable(key: PublicKey) -> None:
    answer = answer_public(private_key(KeyKind.RSA), CHALLENGE, signer=SIGNER)
    assert refusal(lambda: check_public(key, answer, CHALLENGE, signer=SIGNER)) == UNUSABLE


def test_dsa_key_whose_value_everybody_can_sign_for_is_unusable() -> None:
    key = public_key(KeyKind.DSA)
    assert isinstance(key, DsaPublicKey)
    for y in (0, 1, key.p - 1):
        spoilt = replace(key, y=y)
        answer = answer_public(private_key(KeyKind.DSA), CHALLENGE, signer=SIGNER)
        assert refusal(lambda: check_public(spoilt, answer, CHALLENGE, signer=SIGNER)) == UNUSABLE  # noqa: B023


@pytest.mark.parametrize("form", [0x03, 0x12, 0x13, 0x22])
def test_secret_key_is_proven_by_every_strong_form(form: int) -> None:
    answer = answer_secret(SECRET, CHALLENGE, form=form, salt=bytes(16))
    assert answer[0] == form
    check_secret(SECRET, answer, CHALLENGE, allow_weak=False)
    assert refusal(lambda: check_secret(SECRET, answer, CHALLENGE[1:], allow_weak=True)) == WRONG
    assert refusal(lambda: check_secret(b"other", answer, CHALLENGE, allow_weak=True)) == WRONG


@pytest.mark.parametrize(("form", "name"), [(0x01, "MD5"), (0x02, "SHA1")])
def test_weak_form_proves_a_secret_key_by_setting_alone(form: int, name: str) -> None:
    answer = answer_secret(SECRET, CHALLENGE, form=form)
    check_secret(SECRET, answer, CHALLENGE, allow_weak=True)
    check_secret_named(SECRET, name, answer[1:], CHALLENGE, allow_weak=True)
    assert refusal(lambda: check_secret(SECRET, answer, CHALLENGE, allow_weak=False)) == UNUSABLE
    assert (
        refusal(lambda: check_secret_named(SECRET, name, answer[1:], CHALLENGE, allow_weak=False))
        == UNUSABLE
    )


@pytest.mark.parametrize(
    ("form", "name"), [(0x03, "SHA-256"), (0x12, "HMAC-SHA1"), (0x13, "HMAC-SHA256")]
)
def test_native_forms_have_names_over_http(form: int, name: str) -> None:
    mac = answer_secret(SECRET, CHALLENGE, form=form)[1:]
    check_secret_named(SECRET, name, mac, CHALLENGE, allow_weak=False)


def test_derived_key_over_http_takes_salt_iterations_and_length_in_bits() -> None:
    mac = answer_secret(SECRET, CHALLENGE, salt=b"s" * 16)[-20:]

    def check(iterations: int = 10_000) -> None:
        check_secret_named(
            SECRET,
            "PBKDF2-HMAC-SHA1",
            mac,
            CHALLENGE,
            salt=b"s" * 16,
            iterations=iterations,
            length=160,
            allow_weak=False,
        )

    check()
    assert refusal(lambda: check(9_999)) == WRONG


def test_empty_secret_proves_nothing() -> None:
    """Whoever knows that a secret is empty could answer for it."""
    for form in (0x03, 0x13, 0x22):
        answer = answer_secret(b"", CHALLENGE, form=form)
        assert refusal(lambda: check_secret(b"", answer, CHALLENGE, allow_weak=True)) == WRONG  # noqa: B023


@pytest.mark.parametrize(
    ("iterations", "bits", "salt"),
    [
        (0, 160, b"salt"),
        (MAX_ITERATIONS + 1, 160, b"salt"),
        (0xFFFF_FFFF, 160, b"salt"),
        (10_000, 8, b"salt"),  # 256 tries would find the MAC
        (10_000, 161, b"salt"),
        (10_000, 0xFFFF_FFF8, b"salt"),
        (10_000, 160, bytes(2_000)),
    ],
)
def test_derivation_that_is_guessable_or_costly_is_unusable(
    iterations: int, bits: int, salt: bytes
) -> None:
    blob = Writer().u8(0x22).string(salt).u32(iterations).u32(bits).string(bytes(20))
    assert (
        refusal(lambda: check_secret(SECRET, bytes(blob), CHALLENGE, allow_weak=True)) == UNUSABLE
    )


@pytest.mark.parametrize("answer", [b"", b"\x00", b"\x11" + bytes(16), b"\x22", b"\xff" * 40])
def test_unknown_form_is_unusable(answer: bytes) -> None:
    assert refusal(lambda: check_secret(SECRET, answer, CHALLENGE, allow_weak=True)) == UNUSABLE


def test_unknown_algorithms_are_our_own_fault_when_we_answer() -> None:
    with pytest.raises(ValueError, match="not known"):
        answer_secret(SECRET, CHALLENGE, form=0x11)
    with pytest.raises(ValueError, match="not accepted"):
        answer_public(private_key(KeyKind.RSA), CHALLENGE, signer=SIGNER, algorithm="MD5")

"""Laws of keys: whatever is sent as a proof, as a key or as a session's bytes is right or refused, never a crash."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.keys.cipher import IV_BYTES, SESSION_KEY_BYTES, decrypt, encrypt
from resolver.keys.dh import DhSecret, agree, derive_session_key
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
from resolver.wire import DhPublicKey, DsaPublicKey, PublicKey, RsaPublicKey, Sm2PublicKey
from resolver.wire.cursor import Writer

HASH_NAMES = ["SHA1", "SHA-1", "SHA256", "SHA-256", "MD5", "SM3", "HMAC-SHA1", "PBKDF2-HMAC-SHA1"]
FORMS = [0x01, 0x02, 0x03, 0x12, 0x13, 0x22]
SIGNER = b"300:88.1/ADMIN"

some_bytes = st.binary(max_size=200)
hash_names = st.sampled_from(HASH_NAMES) | st.text(max_size=12)
large = st.integers(0, 1 << 2048).map(lambda number: number | 1 << 2047)
numbers = st.integers(0, 1 << 70) | large
sm2_keys = some_bytes | st.binary(min_size=65, max_size=65).map(
    lambda point: (
        bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200") + b"\x04" + point[1:]
    )
)
keys: st.SearchStrategy[PublicKey] = st.one_of(
    st.builds(RsaPublicKey, numbers, numbers),
    st.builds(DsaPublicKey, numbers, numbers, numbers, numbers),
    st.builds(DhPublicKey, numbers, numbers, numbers),
    st.builds(Sm2PublicKey, sm2_keys),
)


@cache
def private_key(kind: KeyKind) -> PrivateKey:
    return make_private(kind)


each_kind = pytest.mark.parametrize("kind", list(KeyKind))


def is_refused(check: Callable[[], None]) -> bool:
    """Whether a check raises ProofError; any other exception goes through."""
    try:
        check()
    except ProofError:
        return True
    return False


@given(keys, some_bytes, some_bytes, some_bytes)
def test_any_key_and_any_answer_are_refused(
    key: PublicKey, answer: bytes, challenge: bytes, signer: bytes
) -> None:
    assert is_refused(lambda: check_public(key, answer, challenge, signer=signer, allow_weak=True))


@given(keys, hash_names, some_bytes, some_bytes)
def test_any_key_and_any_signature_are_refused(
    key: PublicKey, algorithm: str, signature: bytes, signer: bytes
) -> None:
    assert is_refused(
        lambda: check_public_named(
            key, algorithm, signature, b"challenge", signer=signer, allow_weak=True
        )
    )


@each_kind
@given(algorithm=hash_names, signature=st.binary(max_size=300))
def test_any_signature_of_a_good_key_is_refused(
    kind: KeyKind, algorithm: str, signature: bytes
) -> None:
    key = public_half(private_key(kind))
    assert is_refused(
        lambda: check_public_named(
            key, algorithm, signature, b"challenge", signer=SIGNER, allow_weak=True
        )
    )


@each_kind
@settings(max_examples=10, deadline=None)
@given(challenge=some_bytes, other=some_bytes)
def test_answer_of_a_private_key_proves_it_for_its_challenge_alone(
    kind: KeyKind, challenge: bytes, other: bytes
) -> None:
    private = private_key(kind)
    answer = answer_public(private, challenge, signer=SIGNER)
    check_public(public_half(private), answer, challenge, signer=SIGNER)
    if other != challenge:
        assert is_refused(lambda: check_public(public_half(private), answer, other, signer=SIGNER))


@each_kind
@settings(max_examples=20, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_changed_signature_is_refused(kind: KeyKind, place: int, bit: int) -> None:
    private = private_key(kind)
    algorithm, made = sign(private, b"challenge", signer=SIGNER)
    changed = bytearray(made)
    changed[place % len(made)] ^= 1 << bit
    assert is_refused(
        lambda: check_public_named(
            public_half(private), algorithm, bytes(changed), b"challenge", signer=SIGNER
        )
    )


@given(some_bytes, some_bytes)
def test_any_answer_to_a_secret_key_is_refused(answer: bytes, challenge: bytes) -> None:
    assert is_refused(lambda: check_secret(b"secret", answer, challenge, allow_weak=True))


@given(
    salt=some_bytes,
    iterations=st.integers(0, 2**32 - 1).filter(lambda count: not 500 < count <= 20_000),
    bits=st.integers(0, 2**32 - 1) | st.integers(0, 400),
    mac=some_bytes,
)
def test_any_derivation_is_refused(salt: bytes, iterations: int, bits: int, mac: bytes) -> None:
    answer = bytes(Writer().u8(0x22).string(salt).u32(iterations).u32(bits).string(mac))
    assert is_refused(lambda: check_secret(b"secret", answer, b"challenge", allow_weak=True))


@given(hash_names, some_bytes, some_bytes, st.integers(-5, 500), st.integers(-8, 2**40))
def test_any_named_mac_is_refused(
    algorithm: str, mac: bytes, salt: bytes, iterations: int, length: int
) -> None:
    assert is_refused(
        lambda: check_secret_named(
            b"secret",
            algorithm,
            mac,
            b"challenge",
            salt=salt,
            iterations=iterations,
            length=length,
            allow_weak=True,
        )
    )


@settings(max_examples=30, deadline=None)
@given(
    st.binary(min_size=1, max_size=64), st.binary(max_size=64), st.sampled_from(FORMS), some_bytes
)
def test_answer_of_a_secret_key_proves_it_and_no_other(
    secret: bytes, challenge: bytes, form: int, other: bytes
) -> None:
    answer = answer_secret(secret, challenge, form=form, salt=bytes(16))
    check_secret(secret, answer, challenge, allow_weak=True)
    if other.rstrip(b"\x00") != secret.rstrip(b"\x00") and len(other) <= 64:
        # an HMAC key is filled up with zero bytes, so those at its end do not count
        assert is_refused(lambda: check_secret(other, answer, challenge, allow_weak=True))


@given(numbers, numbers, numbers)
def test_any_group_is_agreed_on_or_refused(y: int, p: int, g: int) -> None:
    with suppress(ValueError):
        public, key = agree(DhPublicKey(y=y, p=p, g=g), lambda size: b"\xa5" * size)
        assert len(key) == SESSION_KEY_BYTES
        assert 0 <= public.y < p


@given(st.binary(min_size=40, max_size=40), st.binary(min_size=40, max_size=40))
@settings(max_examples=20, deadline=None)
def test_both_sides_agree_on_one_key(ours: bytes, theirs: bytes) -> None:
    client = DhSecret.for_client(lambda _: theirs)
    public, key = agree(client.public, lambda _: ours)
    assert client.session_key(public) == key


@given(st.integers(1, 128), st.binary(min_size=128, max_size=128))
def test_session_key_is_cut_as_the_protocol_says(zeros: int, data: bytes) -> None:
    wide = bytes(zeros) + data[zeros:]
    remaining = wide
    while len(remaining) > SESSION_KEY_BYTES and remaining[0] == 0:
        remaining = remaining[1:]
    key = derive_session_key(int.from_bytes(wide, "big"), 1 << 1023)
    assert key == remaining[:SESSION_KEY_BYTES]


session_keys = st.binary(min_size=SESSION_KEY_BYTES, max_size=SESSION_KEY_BYTES)
ivs = st.binary(min_size=IV_BYTES, max_size=IV_BYTES)


@given(session_keys, st.binary(max_size=1000), ivs)
def test_what_is_encrypted_is_decrypted(key: bytes, plaintext: bytes, iv: bytes) -> None:
    assert decrypt(key, encrypt(key, plaintext, iv)) == plaintext


@given(session_keys, st.binary(max_size=100))
def test_any_ciphertext_is_decrypted_or_refused(key: bytes, data: bytes) -> None:
    with suppress(ValueError):
        assert len(decrypt(key, data)) < len(data)

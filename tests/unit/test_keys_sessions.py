"""Session keys: groups that are refused, and what their ciphers and MACs do."""

import hmac
from contextlib import suppress

import pytest

from resolver.keys.cipher import check_mac, decrypt, encrypt, mac
from resolver.keys.dh import MAX_GROUP_BITS, DhSecret, agree, derive_session_key
from resolver.wire import DhPublicKey

KEY = bytes(range(32))
IV = bytes(range(16))
GROUP = DhSecret.for_client(lambda size: b"\x5a" * size).public
P = GROUP.p


def some_random(size: int) -> bytes:
    return b"\xa5" * size


def no_random(_: int) -> bytes:
    raise AssertionError("an exponent was chosen for a group or value that has to be refused")


@pytest.mark.parametrize(
    ("theirs", "complaint"),
    [
        (DhPublicKey(y=2, p=(1 << 1023) - 1, g=2), "1023 bits"),
        (DhPublicKey(y=2, p=(1 << MAX_GROUP_BITS) + 1, g=2), f"{MAX_GROUP_BITS + 1} bits"),
        (DhPublicKey(y=2, p=P - 1, g=2), "even"),
        (DhPublicKey(y=2, p=P, g=0), "generator"),
        (DhPublicKey(y=2, p=P, g=1), "generator"),
        (DhPublicKey(y=2, p=P, g=P - 1), "generator"),
        (DhPublicKey(y=0, p=P, g=2), "value"),
        (DhPublicKey(y=1, p=P, g=2), "value"),
        (DhPublicKey(y=P - 1, p=P, g=2), "value"),
        (DhPublicKey(y=P + 2, p=P, g=2), "value"),
    ],
)
def test_insane_group_or_value_is_refused_before_any_work(
    theirs: DhPublicKey, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        agree(theirs, no_random)


def test_client_refuses_an_answer_of_another_group_or_a_known_value() -> None:
    secret = DhSecret.for_client(some_random)
    for answer in (DhPublicKey(y=GROUP.y, p=P - 2, g=2), DhPublicKey(y=1, p=P, g=2)):
        with pytest.raises(ValueError, match=r"group|value"):
            secret.session_key(answer)


def test_two_sessions_have_two_keys() -> None:
    first = agree(GROUP, lambda size: b"\x01" * size)
    second = agree(GROUP, lambda size: b"\x02" * size)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_leading_zeros_of_the_secret_go_while_more_than_32_bytes_remain() -> None:
    tail = bytes(range(1, 33))
    assert derive_session_key(int.from_bytes(tail, "big"), P) == tail
    assert derive_session_key(int.from_bytes(tail[1:], "big"), P) == b"\x00" + tail[1:]
    wide = bytes([9] * 128)
    assert derive_session_key(int.from_bytes(wide, "big"), P) == wide[:32]


def test_cipher_is_aes_cbc_of_the_first_16_bytes_with_the_iv_in_front() -> None:
    """NIST SP 800-38A, F.2.1: the first block of CBC-AES128."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c") + bytes(16)
    block = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    made = encrypt(key, block, IV)
    assert made[:16] == IV
    assert made[16:32].hex() == "7649abac8119b246cee98e9b12e9197d"
    assert len(made) == 48  # padding is a block of its own
    assert decrypt(key, made) == block


def test_ciphertext_of_another_key_is_refused_or_differs() -> None:
    made = encrypt(KEY, b"message", IV)
    with suppress(ValueError):
        assert decrypt(bytes(32), made) != b"message"


@pytest.mark.parametrize("size", [0, 15, 16, 17, 31, 33])
def test_what_is_not_whole_blocks_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="whole blocks"):
        decrypt(KEY, bytes(size))


def test_mac_is_hmac_sha256_with_the_whole_key() -> None:
    assert mac(KEY, b"block") == hmac.digest(KEY, b"block", "sha256")
    assert check_mac(KEY, b"block", mac(KEY, b"block"))
    assert not check_mac(KEY, b"block", mac(KEY[:16] + bytes(16), b"block"))
    assert not check_mac(KEY, b"block", b"")
    assert not check_mac(KEY, b"block", mac(KEY, b"block")[:-1])


def test_key_of_another_length_is_our_own_fault() -> None:
    for key in (b"", KEY[:16], KEY + b"x"):
        with pytest.raises(ValueError, match="32 bytes"):
            mac(key, b"block")
        with pytest.raises(ValueError, match="32 bytes"):
            encrypt(key, b"block", IV)

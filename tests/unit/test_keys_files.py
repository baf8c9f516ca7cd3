"""Keys on disk and in PEM: what is written is read by us and by OpenSSL, and what is no key gets a clear error."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from resolver.keys import ServerKey, sm
from resolver.keys.files import load_private, make_secret, replace, write_new, write_unless_there
from resolver.keys.private import KeyKind, from_pem, make_private, public_half, to_pem
from resolver.wire import Sm2PublicKey, decode_public_key, encode_public_key

# `openssl genpkey -algorithm SM2`, and `openssl dgst -sm3 -sign … -sigopt distid:0.NA/88.1` of "hello"; OpenSSL 3.0.19.
OPENSSL_PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqBHM9VAYItBG0wawIBAQQgOndS862OLYmNuh/W
dJxZ3pd4QJKHMijE0Ugw6AQ65d6hRANCAAQvPH/shFtdvBUTyII1DeDN5b7qjSHU
Bqqm1VDmkfdPku3TBbeML7tmcfxCbvNI1/4qzDXA3PGdeYPH0zHSLbG/
-----END PRIVATE KEY-----
"""
OPENSSL_PUBLIC = bytes.fromhex(
    "3059301306072a8648ce3d020106082a811ccf5501822d034200042f3c7fec845b5dbc1513c882350de0cde5beea8d21d406aa"
    "a6d550e691f74f92edd305b78c2fbb6671fc426ef348d7fe2acc35c0dcf19d7983c7d331d22db1bf"
)
OPENSSL_SIGNATURE = bytes.fromhex(
    "3045022001720e433532e9e0ba42e0b8b17540f7dae68f2f8f7dd6aaa6a5bc9ccb9ec94f02210080ebf9998d383b84e7a3b65b"
    "784e5e5eb7b46d734ec9a7498d7d963c583b27fd"
)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_private_key_comes_back_from_its_file(tmp_path: Path, kind: KeyKind) -> None:
    made = make_private(kind)
    write_new(tmp_path / "key.pem", to_pem(made))
    public = public_half(load_private(tmp_path / "key.pem"))
    assert public == public_half(made)
    assert decode_public_key(encode_public_key(public)) == public


def test_key_of_openssl_is_the_same_here() -> None:
    private = from_pem(OPENSSL_PRIVATE)
    assert public_half(private) == Sm2PublicKey(OPENSSL_PUBLIC)
    assert to_pem(private) == OPENSSL_PRIVATE


def test_signature_of_openssl_is_right_for_its_signer_alone() -> None:
    assert sm.verify(OPENSSL_PUBLIC, OPENSSL_SIGNATURE, b"hello", b"0.NA/88.1")
    assert not sm.verify(OPENSSL_PUBLIC, OPENSSL_SIGNATURE, b"hello", b"1234567812345678")


def test_sm3_of_the_standard() -> None:
    """GB/T 32905-2016, annex A.1."""
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm.sm3(b"abc").hex() == expected


def test_sm2_point_that_is_not_on_the_curve_is_refused() -> None:
    spoilt = OPENSSL_PUBLIC[:-1] + b"\x00"
    with pytest.raises(ValueError, match="not on the curve"):
        sm.verify(spoilt, OPENSSL_SIGNATURE, b"hello", b"0.NA/88.1")


def test_file_is_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_new(path, b"first")
    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    write_unless_there(path, b"third")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    replace(path, b"fourth")
    assert path.read_bytes() == b"fourth"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\n@@@\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA, DSA and SM2 are known"),
        (pem(rsa.generate_private_key(65537, 2048), b"password"), "is encrypted"),
        (bytes(100_000), "longer than"),
    ],
    ids=["empty", "spoilt", "elliptic", "encrypted", "long"],
)
def test_what_is_no_private_key_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, data: bytes, complaint: str
) -> None:
    (tmp_path / "key.pem").write_bytes(data)
    with pytest.raises(ValueError, match=rf"key\.pem: .*{complaint}"):
        load_private(tmp_path / "key.pem")


def test_short_rsa_key_is_not_made() -> None:
    with pytest.raises(ValueError, match="2048 to 8192"):
        make_private(KeyKind.RSA, 1024)


def test_secrets_are_long_and_differ() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 32 and secret.isascii() for secret in made)


def test_server_key_is_made_once_and_is_rsa(tmp_path: Path) -> None:
    path = tmp_path / "server-key.pem"
    first = ServerKey.load_or_make(path).public_key()
    assert ServerKey.load_or_make(path).public_key() == first
    path.write_bytes(OPENSSL_PRIVATE)
    with pytest.raises(ValueError, match="does not hold a private RSA key"):
        ServerKey.load_or_make(path)

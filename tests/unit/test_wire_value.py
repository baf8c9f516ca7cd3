"""Handle values and typed data: the forms that old and foreign programs write, and what is refused."""

import pytest

from resolver.wire import (
    MAX_VALUES,
    AdminData,
    HandleValue,
    Reference,
    RsaPublicKey,
    SiteData,
    SiteServer,
    Sm2PublicKey,
    WireError,
    decode_admin,
    decode_public_key,
    decode_site,
    decode_values,
    decode_vlist,
    encode_admin,
    encode_public_key,
    encode_site,
    encode_value,
    encode_values,
)

URL = HandleValue(1, b"URL", b"https://example.org/")
ADMIN = bytes.fromhex("0fff 00000004 302e4e41 0000012c")


def test_value_has_the_usual_defaults() -> None:
    assert (URL.ttl_type, URL.ttl, URL.timestamp, URL.permissions) == (0, 86_400, 0, 0x0E)
    assert URL.is_public
    assert not HandleValue(1, b"HS_SECKEY", b"secret", permissions=0x0C).is_public


def test_encoded_values_are_a_count_and_the_values() -> None:
    assert encode_values([URL, URL]) == b"\0\0\0\2" + encode_value(URL) * 2
    assert encode_values([]) == b"\0\0\0\0"


def test_decoded_value_equals_and_hashes_like_a_made_one() -> None:
    (decoded,) = decode_values(encode_values([URL]))

    assert decoded == URL
    assert hash(decoded) == hash(URL)
    assert repr(decoded) == repr(URL)


def test_type_that_is_no_utf8_is_kept_as_it_came() -> None:
    value = HandleValue(1, b"\xff\xfe", b"", references=(Reference(b"\xff", 0),))
    assert decode_values(encode_values([value])) == (value,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\1",
        encode_values([URL])[:-1],
        encode_values([URL]) + b"\0",
        b"\0\0\0\2" + encode_value(URL),
        b"\xff\xff\xff\xff" + encode_value(URL),
    ],
    ids=["empty", "no value", "cut", "stray byte", "one too few", "absurd count"],
)
def test_broken_value_list_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_values(data)


def test_more_values_than_allowed_are_refused_both_ways() -> None:
    values = [HandleValue(index, b"", b"") for index in range(MAX_VALUES + 1)]

    assert len(decode_values(encode_values(values[1:]))) == MAX_VALUES
    with pytest.raises(ValueError, match="2049 values"):
        encode_values(values)
    with pytest.raises(WireError):
        decode_values((MAX_VALUES + 1).to_bytes(4, "big") + b"".join(map(encode_value, values)))


@pytest.mark.parametrize(
    "fields",
    [
        {"index": -1},
        {"index": 1 << 32},
        {"ttl": 1 << 32},
        {"ttl": -1},
        {"timestamp": -1},
        {"ttl_type": 256},
        {"permissions": 256},
    ],
)
def test_value_that_does_not_fit_the_wire_is_not_made(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="out of its range"):
        HandleValue(**{"index": 1, "type": b"URL", "data": b"", **fields})  # type: ignore[arg-type]


def test_administrator_in_the_legacy_form_is_read_and_written_so() -> None:
    admin = AdminData(0xFFF, b"0.NA", 300)

    assert decode_admin(ADMIN) == admin
    assert decode_admin(ADMIN + b"\0\0") == AdminData(0xFFF, b"0.NA", 300, legacy=True)
    assert encode_admin(AdminData(0xFFF, b"0.NA", 300, legacy=True)) == ADMIN + b"\0\0"
    for stray in (b"\0", b"\0\0\0"):
        with pytest.raises(WireError):
            decode_admin(ADMIN + stray)


def test_value_list_data_is_read_to_its_end() -> None:
    assert decode_vlist(b"\0\0\0\1\0\0\0\1a\0\0\1\x2c") == (Reference(b"a", 300),)
    with pytest.raises(WireError):
        decode_vlist(b"\0\0\0\0\0")


def test_site_with_stray_bytes_is_refused() -> None:
    site = encode_site(SiteData(2, 11, 1, primary=True, multi_primary=False))

    assert decode_site(site).primary
    with pytest.raises(WireError):
        decode_site(site + b"\0\0")


def test_unknown_bits_of_a_site_are_dropped() -> None:
    site = SiteData(2, 11, 1, primary=False, multi_primary=True)
    encoded = bytearray(encode_site(site))
    encoded[6] |= 0x3F

    assert decode_site(bytes(encoded)) == site


def test_server_needs_an_address_of_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SiteServer(1, b"\x7f\0\0\1", b"", ())


def test_rsa_key_is_written_with_the_references_slack_and_read_without() -> None:
    key = RsaPublicKey(65_537, 0xC0FFEE)

    encoded = encode_public_key(key)

    assert encoded.endswith(b"\0\0\0\4\0\xc0\xff\xee" + bytes(4))
    assert decode_public_key(encoded) == key
    assert decode_public_key(encoded[:-4]) == key
    with pytest.raises(WireError):
        decode_public_key(encoded[:-1])


def test_key_number_without_leading_zero_is_taken_as_positive() -> None:
    data = b"\0\0\0\x0bRSA_PUB_KEY\0\0" + b"\0\0\0\1\3" + b"\0\0\0\1\xff"
    assert decode_public_key(data) == RsaPublicKey(3, 255)


def test_sm2_key_keeps_its_der_bytes_and_an_unknown_type_is_refused() -> None:
    key = Sm2PublicKey(b"\x30\x59")

    assert decode_public_key(encode_public_key(key)) == key
    with pytest.raises(WireError, match="SM9_PUB_KEY"):
        decode_public_key(b"\0\0\0\x0bSM9_PUB_KEY\0\0")


def test_negative_number_makes_no_key() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode_public_key(RsaPublicKey(3, -7))

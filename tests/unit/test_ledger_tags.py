"""Tags: known answers from the definition, the local day, and nonces."""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address

import pytest

from node.ledger.tags import (
    DAY_NS,
    SECOND_NS,
    DayKeys,
    DayTags,
    day_name,
    day_of,
    native_nonce,
    network_of,
    nonce_of,
    packed_address,
)

MONTH_KEY = bytes(range(32))
DAY = 20_760  # 2026-11-03
MIDNIGHT_NS = 1_793_635_200 * SECOND_NS  # 2026-11-03 00:00 in Shanghai


def keyed(*parts: bytes) -> bytes:
    k_day = hmac.new(MONTH_KEY, b"2026-11-03", "sha256").digest()
    return hmac.new(k_day, b"".join(parts), "sha256").digest()


def test_day_begins_at_midnight_in_shanghai() -> None:
    assert day_of(MIDNIGHT_NS) == DAY
    assert day_of(MIDNIGHT_NS - 1) == DAY - 1
    assert day_of(MIDNIGHT_NS + DAY_NS - 1) == DAY
    assert day_name(DAY) == "2026-11-03"


def test_tags_are_what_their_definition_says() -> None:
    tags, address, agent = DayTags(MONTH_KEY, DAY), bytes([198, 51, 100, 7]), b"gateway/2.1"

    assert tags.id_tag(b"88.118/A") == keyed(b"\1", b"88.118/A")[:8]
    assert tags.client_tag(address, agent) == keyed(b"\2", address, sha256(agent).digest())[:8]
    assert tags.net_tag(address) == keyed(b"\3", bytes([198, 51, 100]))[:4]


def test_networks_are_a_24_and_a_48() -> None:
    assert network_of(packed_address("198.51.100.7")) == bytes([198, 51, 100])
    assert network_of(packed_address("2001:db8:1:2::3")) == bytes.fromhex("20010db80001")
    assert network_of(b"") == b""


@pytest.mark.parametrize("text", ["::ffff:198.51.100.7", "198.51.100.7"])
def test_ipv4_inside_ipv6_is_the_same_client(text: str) -> None:
    assert packed_address(text) == bytes([198, 51, 100, 7])


def test_scope_of_an_address_does_not_matter_and_a_text_that_is_none_has_no_bytes() -> None:
    assert packed_address("fe80::1%eth0") == ip_address("fe80::1").packed
    assert packed_address("/run/socket") == packed_address("") == b""


def test_next_day_has_other_tags() -> None:
    keys = DayKeys(lambda _: MONTH_KEY)

    assert keys.of(DAY).id_tag(b"88.118/A") != keys.of(DAY + 1).id_tag(b"88.118/A")


def test_month_of_the_day_chooses_the_key_and_days_are_kept_once_made() -> None:
    asked: list[str] = []

    def month_key(month: str) -> bytes:
        asked.append(month)
        return sha256(month.encode()).digest()

    keys = DayKeys(month_key)
    october, november = keys.of(DAY - 3), keys.of(DAY - 2)

    assert asked == ["2026-10", "2026-11"]
    assert keys.of(DAY - 3) is october
    assert keys.of(DAY - 2) is november


def test_few_days_are_kept() -> None:
    keys = DayKeys(lambda _: MONTH_KEY)
    first = keys.of(DAY)
    for day in range(DAY + 1, DAY + 10):
        keys.of(day)

    assert keys.of(DAY) is not first


def test_key_that_cannot_be_had_is_asked_for_again() -> None:
    answers: Iterator[OSError | bytes] = iter([OSError("no room"), MONTH_KEY])

    def month_key(_: str) -> bytes:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    keys = DayKeys(month_key)
    with pytest.raises(OSError, match="no room"):
        keys.of(DAY)
    assert keys.of(DAY).day == DAY


def test_nonces_are_hashes_of_what_the_client_says() -> None:
    assert nonce_of(b"order-1") == sha256(b"order-1").digest()
    native = sha256(bytes.fromhex("9c40 00001234")).digest()
    assert native_nonce(40_000, bytes.fromhex("00001234")) == native


def test_two_clients_that_count_from_one_behind_one_address_have_different_nonces() -> None:
    assert native_nonce(40_000, b"\0\0\0\1") != native_nonce(40_001, b"\0\0\0\1")

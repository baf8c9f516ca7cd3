"""The record: its bytes as the specification has them, and which bytes are taken for records."""

import struct
from zlib import crc32

import pytest

from node.ledger.record import (
    BODY_LAYOUT,
    RECORD_BYTES,
    TAGS_LAYOUT,
    Class,
    Proto,
    Record,
    RecordFlag,
    decode,
    decode_all,
    encode,
    scan,
    seed_of,
)

LANE, EPOCH = 3, 41


def record(seq: int) -> Record:
    return Record(
        seq=seq,
        t_us=1_795_416_749_252_528 + seq,
        mono_ms=1_000 + seq,
        class_=Class.ROBOT,
        proto=Proto.UDP,
        result=302,
        id_tag=0x0102030405060708,
        client_tag=0x1112131415161718,
        net_tag=0x21222324,
        prefix_no=0x31323334,
        policy=0x4142,
        campaign=0x5152,
        flags=RecordFlag.SUCCESS | RecordFlag.PREFIX,
        ua=0x6162,
        nonce=0x71727374,
    )


def lane(count: int, epoch: int = EPOCH) -> bytes:
    return b"".join(encode(record(seq), seed_of(LANE, epoch)) for seq in range(1, count + 1))


def test_every_field_stands_where_the_specification_has_it() -> None:
    data = encode(record(7), seed_of(LANE, EPOCH))

    assert len(data) == RECORD_BYTES
    numbers = {
        0: 8,
        8: 8,
        16: 4,
        20: 1,
        21: 1,
        22: 2,
        24: 8,
        32: 8,
        40: 4,
        44: 4,
        48: 2,
        50: 2,
        52: 2,
        54: 2,
        56: 4,
    }
    read = [int.from_bytes(data[at : at + size], "little") for at, size in numbers.items()]
    assert read == list(record(7))
    seed = crc32(struct.pack("<HI", LANE, EPOCH))
    assert int.from_bytes(data[60:], "little") == crc32(data[:60], seed)


def test_decode_inverts_encode() -> None:
    data = lane(3)

    assert decode(data[:RECORD_BYTES]) == record(1)
    assert list(decode_all(data)) == [record(1), record(2), record(3)]


def test_the_eleven_pieces_that_are_appended_are_the_same_bytes() -> None:
    one = record(7)

    tags = TAGS_LAYOUT.pack(one.client_tag, one.net_tag)
    head = one.class_ | one.proto << 8 | one.result << 16
    rule = one.policy | one.campaign << 16
    pieces = (
        one.seq,
        one.t_us,
        one.mono_ms,
        head,
        one.id_tag,
        tags,
        one.prefix_no,
        rule,
        one.flags,
        one.ua,
        one.nonce.to_bytes(4, "little") + b"of which no more counts",
    )

    assert BODY_LAYOUT.pack(*pieces) == encode(one, 0)[:60]


def test_scan_takes_what_follows_the_record_asked_for() -> None:
    data = lane(5)

    assert scan(data, LANE, EPOCH).records == 5
    assert scan(data[2 * RECORD_BYTES :], LANE, EPOCH, after_seq=2).data == data[2 * RECORD_BYTES :]
    assert scan(data, LANE, EPOCH, after_seq=1).records == 0


def test_records_of_another_lane_or_epoch_never_count() -> None:
    data = lane(2)

    assert scan(data, LANE, EPOCH + 1).records == 0
    assert scan(data, LANE + 1, EPOCH).records == 0


def test_stale_bytes_behind_the_last_record_are_torn() -> None:
    stale = lane(4, epoch=EPOCH - 1)[2 * RECORD_BYTES :]

    found = scan(lane(2) + stale + bytes(RECORD_BYTES), LANE, EPOCH)

    assert (found.records, found.torn) == (2, 2 * RECORD_BYTES)


def test_nothing_behind_a_hole_counts() -> None:
    data = lane(5)
    hole = data[: 2 * RECORD_BYTES] + bytes(RECORD_BYTES) + data[3 * RECORD_BYTES :]
    left_out = data[: 2 * RECORD_BYTES] + data[3 * RECORD_BYTES :]

    assert scan(hole, LANE, EPOCH) == (data[: 2 * RECORD_BYTES], 3 * RECORD_BYTES)
    assert scan(left_out, LANE, EPOCH).records == 2


def test_empty_room_is_not_torn() -> None:
    assert scan(lane(2) + bytes(640), LANE, EPOCH).torn == 0


@pytest.mark.parametrize("cut", range(4 * RECORD_BYTES + 1))
def test_whatever_is_cut_off_the_whole_records_before_it_count(cut: int) -> None:
    data = lane(4)[:cut]

    found = scan(data, LANE, EPOCH)

    assert found.data == data[: cut - cut % RECORD_BYTES]


@pytest.mark.parametrize("at", range(4 * RECORD_BYTES))
def test_whichever_byte_is_damaged_its_record_and_all_behind_it_do_not_count(at: int) -> None:
    data = bytearray(lane(4))
    data[at] ^= 0x10

    found = scan(bytes(data), LANE, EPOCH)

    assert found.records == at // RECORD_BYTES
    assert found.torn == len(data) - len(found.data)

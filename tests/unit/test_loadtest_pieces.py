"""Answers of several datagrams are put together, or refused; records of a known size have answers of that size."""

import pytest

from loadtest.exchange import native_request
from loadtest.generator_pieces import join_pieces
from loadtest.sized import SIZES, TYPE, sized_records, text_bytes
from loadtest.streams import WrongAnswer
from resolver.wire import HandleValue, encode_values
from resolver.wire.connection import split_datagrams

HEADER, HANDLE_AND_LENGTH, CREDENTIAL = 24, 4, 4


def message(length: int) -> bytes:
    """A message whose body is as long, under the envelope of a request."""
    envelope = bytearray(native_request(b"a/b", 7)[:20])
    envelope[16:20] = length.to_bytes(4, "big")
    return bytes(envelope) + bytes(number % 251 for number in range(length))


@pytest.mark.parametrize("length", [24, 492, 493, 984, 1_380])
def test_pieces_make_the_message_again(length: int) -> None:
    whole = message(length)
    pieces = list(split_datagrams(whole))

    joined = join_pieces(b"".join(map(bytes, pieces)))

    assert joined is not None
    assert joined[20:] == whole[20:]
    assert joined[8:12] == whole[8:12]
    if len(pieces) > 1:
        assert join_pieces(b"".join(map(bytes, pieces[:-1]))) is None


def test_pieces_out_of_order_and_bytes_too_many_are_refused() -> None:
    first, second, *rest = split_datagrams(message(1_380))

    with pytest.raises(WrongAnswer):
        join_pieces(b"".join(map(bytes, (second, first, *rest))))
    with pytest.raises(WrongAnswer):
        join_pieces(message(30) + b"x")


@pytest.mark.parametrize("name", SIZES)
def test_answer_about_a_sized_record_has_that_size(name: str) -> None:
    (record,) = sized_records(name, SIZES[name], 1)
    handle = str(record["handle"]).encode()
    values = record["values"]
    assert isinstance(values, list)
    packed = encode_values([HandleValue(1, TYPE.encode(), values[0]["data"].encode())])

    answer = 20 + HEADER + HANDLE_AND_LENGTH + len(handle) + len(packed) + CREDENTIAL

    assert answer == SIZES[name]


def test_answer_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer"):
        text_bytes("88.118.8/A", 60)

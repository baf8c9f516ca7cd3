"""Datagrams and frames: whole messages out of pieces, and the bounds on what waits."""

from time import process_time

import pytest

from resolver.wire import (
    MAX_MESSAGE_BYTES,
    DatagramJoiner,
    Envelope,
    FrameBuffer,
    Header,
    Message,
    WireError,
    split_datagrams,
)


def message_of(body_length: int, request_id: int = 7) -> bytes:
    body = bytes(index % 251 for index in range(body_length))
    return Message(Envelope(2, 11, 2, 11, 0, request_id), Header(1), body).encode()


LONG = message_of(1200)  # 1228 bytes of content: three pieces
FIRST, SECOND, THIRD = split_datagrams(LONG)


def test_message_of_492_bytes_is_one_datagram_as_it_is() -> None:
    whole = message_of(492 - 28)
    assert split_datagrams(whole) == [whole]
    assert len(split_datagrams(message_of(493 - 28))) == 2


def test_pieces_are_numbered_flagged_and_full_but_the_last() -> None:
    envelopes = [Envelope.decode(piece) for piece in (FIRST, SECOND, THIRD)]

    assert [envelope.sequence for envelope in envelopes] == [0, 1, 2]
    assert all(envelope.truncated for envelope in envelopes)
    assert {envelope.message_length for envelope in envelopes} == {1228}
    assert [len(piece) for piece in (FIRST, SECOND, THIRD)] == [512, 512, 264]


def test_broken_message_is_not_split() -> None:
    with pytest.raises(WireError):
        split_datagrams(LONG + b"\0")


def test_pieces_join_backwards() -> None:
    joiner = DatagramJoiner()

    assert joiner.add("a", THIRD, 0.0) is None
    assert joiner.add("a", FIRST, 0.1) is None
    assert joiner.add("a", SECOND, 0.2) == LONG
    assert (len(joiner), joiner.waiting_bytes) == (0, 0)


def test_whole_message_passes_even_with_the_truncated_flag_or_above_512_bytes() -> None:
    flagged = bytearray(message_of(10))
    flagged[2] |= 0x20

    assert DatagramJoiner().add("a", bytes(flagged), 0.0) == bytes(flagged)
    assert DatagramJoiner().add("a", LONG, 0.0) == LONG


def test_pieces_join_without_the_truncated_flag() -> None:
    joiner = DatagramJoiner()
    plain = [bytes([*piece[:2], piece[2] & ~0x20, *piece[3:]]) for piece in (FIRST, SECOND, THIRD)]

    assert [joiner.add("a", piece, 0.0) for piece in plain] == [None, None, LONG]


def test_pieces_of_two_sources_are_not_mixed() -> None:
    joiner = DatagramJoiner()

    assert joiner.add("a", FIRST, 0.0) is None
    assert joiner.add("b", SECOND, 0.0) is None
    assert joiner.add("b", THIRD, 0.0) is None
    assert len(joiner) == 2


def test_repeated_piece_is_counted_once() -> None:
    joiner = DatagramJoiner()

    for _ in range(5):
        assert joiner.add("a", FIRST, 0.0) is None

    assert joiner.waiting_bytes == 492


def test_request_id_used_again_for_another_message_starts_afresh() -> None:
    joiner, other = DatagramJoiner(), split_datagrams(message_of(600))

    assert joiner.add("a", FIRST, 0.0) is None
    assert joiner.add("a", other[0], 0.0) is None
    assert joiner.add("a", other[1], 0.0) == message_of(600)
    assert joiner.waiting_bytes == 0


def test_old_pieces_are_forgotten() -> None:
    joiner = DatagramJoiner(max_age=5.0)
    joiner.add("a", FIRST, 100.0)

    assert joiner.add("b", FIRST, 105.1) is None
    assert len(joiner) == 1
    assert joiner.add("a", SECOND, 105.2) is None


def test_oldest_waiting_message_goes_when_there_are_too_many() -> None:
    joiner = DatagramJoiner(max_messages=3)

    for source in range(10):
        joiner.add(source, FIRST, 0.0)

    assert (len(joiner), joiner.waiting_bytes) == (3, 3 * 492)
    joiner.add(9, SECOND, 0.0)
    assert joiner.add(9, THIRD, 0.0) == LONG


def test_waiting_bytes_are_bounded() -> None:
    joiner = DatagramJoiner(max_messages=1000, max_bytes=5000)

    for source in range(100):
        joiner.add(source, FIRST, 0.0)
        joiner.add(source, SECOND, 0.0)

    assert joiner.waiting_bytes <= 5000


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        LONG[:19],
        FIRST[:-1],
        THIRD + b"\0",
        FIRST[:12] + b"\0\0\0\x03" + FIRST[16:],
        FIRST[:12] + b"\xff\xff\xff\xff" + FIRST[16:],
        FIRST[:16] + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + FIRST[20:],
        message_of(10)[:12] + b"\0\0\0\1" + message_of(10)[16:],
    ],
    ids=["nothing", "runt", "short", "long", "sequence", "far sequence", "huge", "second of one"],
)
def test_datagram_that_fits_no_message_is_refused(datagram: bytes) -> None:
    joiner = DatagramJoiner()
    with pytest.raises(WireError) as refusal:
        joiner.add("a", datagram, 0.0)
    assert refusal.value.request_id == (7 if len(datagram) >= 20 else None)
    assert len(joiner) == 0


def test_empty_piece_past_the_end_does_not_wait() -> None:
    empty = Envelope(2, 11, 2, 11, 0, 7, sequence=1, message_length=492).encode()
    with pytest.raises(WireError):
        DatagramJoiner().add("a", empty, 0.0)


def test_frames_come_out_one_by_one() -> None:
    frames = FrameBuffer()
    frames.feed(message_of(5) + message_of(0) + message_of(9)[:-1])

    assert frames.next_message() == message_of(5)
    assert frames.next_message() == message_of(0)
    assert frames.next_message() is None
    frames.feed(message_of(9)[-1:])
    assert frames.next_message() == message_of(9)
    assert len(frames) == 0


def test_frame_without_content_is_a_frame() -> None:
    frames, bare = FrameBuffer(), Envelope(2, 11, 2, 11).encode()
    frames.feed(bare + bare)
    assert [frames.next_message() for _ in range(3)] == [bare, bare, None]


def test_frame_in_one_piece_is_not_copied() -> None:
    frames, message = FrameBuffer(), message_of(100)
    frames.feed(message)
    assert frames.next_message() is message


def test_frame_above_the_limit_ends_the_stream() -> None:
    frames = FrameBuffer(limit=100)
    frames.feed(message_of(100 - 28))
    assert frames.next_message() is not None

    frames.feed(message_of(101 - 28)[:20])

    for _ in range(2):
        with pytest.raises(WireError) as refusal:
            frames.next_message()
        assert refusal.value.request_id == 7
    frames.feed(message_of(1))
    with pytest.raises(WireError):
        frames.next_message()


def test_another_protocol_on_the_port_is_refused_at_once() -> None:
    frames = FrameBuffer()
    frames.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(WireError):
        frames.next_message()


def test_long_message_by_single_bytes_takes_time_in_proportion() -> None:
    message, frames = message_of(MAX_MESSAGE_BYTES - 28), FrameBuffer()
    began = process_time()

    found = None
    for index in range(len(message)):
        frames.feed(message[index : index + 1])
        found = frames.next_message()

    assert found == message
    assert process_time() - began < 5.0  # 0.1 s; copying all at each byte would take 30 GB of moves

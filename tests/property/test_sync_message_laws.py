"""Messages are read as they were written, and any other bytes are refused with MessageError."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.change import MAX_SERIAL, Change, Operation, Place, Rejection, Row, Span, TableDigest
from sync.message import (
    Ack,
    Delta,
    Digests,
    Hello,
    Message,
    MessageError,
    Reply,
    Reset,
    SnapshotPart,
    Welcome,
    encode,
    parse_message,
    parse_reply,
)

NUMBERS = st.integers(0, MAX_SERIAL)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
TABLES = st.sampled_from(["1", "6", "11", "M1", "E"])
PLACES = st.builds(Place, TABLES, TEXTS)
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.encode)
REJECTIONS = st.lists(st.builds(Rejection, NUMBERS, TABLES, TEXTS, TEXTS, TEXTS), max_size=3)


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    serials = sorted(draw(st.sets(NUMBERS, min_size=2, max_size=6)))
    after, *between, until = serials
    changes = [
        Change(serial, draw(TABLES), Operation.UPSERT, draw(TEXTS), draw(BODIES))
        if draw(st.booleans())
        else Change(serial, draw(TABLES), Operation.DELETE, draw(TEXTS), b"")
        for serial in between
    ]
    return Delta(draw(NUMBERS), draw(TEXTS), after, until, tuple(changes))


@st.composite
def pages(draw: st.DrawFn) -> Digests | SnapshotPart:
    after, *between, until = sorted(draw(st.sets(PLACES, min_size=2, max_size=6)))
    start = (draw(NUMBERS), draw(TEXTS), draw(NUMBERS), Span(after, until))
    if draw(st.booleans()):
        return Digests(*start, (TableDigest("6", draw(NUMBERS), "0" * 64),))
    return SnapshotPart(*start, tuple(Row(*place, draw(BODIES)) for place in between))


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, NUMBERS, TEXTS, NUMBERS),
    st.builds(Reset, NUMBERS, TEXTS, NUMBERS, TEXTS),
    deltas(),
    pages(),
)
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Welcome, NUMBERS, TEXTS, NUMBERS, PLACES),
    st.builds(Ack, NUMBERS, TEXTS, NUMBERS, PLACES, st.booleans(), REJECTIONS.map(tuple)),
)


@given(MESSAGES)
def test_message_is_read_as_it_was_written(message: Message) -> None:
    assert parse_message(encode(message)) == message


@given(REPLIES)
def test_reply_is_read_as_it_was_written(reply: Reply) -> None:
    assert parse_reply(encode(reply)) == reply


@given(st.one_of(MESSAGES, REPLIES), st.data())
def test_damaged_bytes_are_a_message_or_refused(
    message: Message | Reply, data: st.DataObject
) -> None:
    good = bytearray(encode(message))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    for parse in (parse_message, parse_reply):
        with suppress(MessageError):
            assert encode(parse(bytes(good))) == bytes(good)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_with_a_message_error(data: bytes) -> None:
    for parse in (parse_message, parse_reply):
        with pytest.raises(MessageError):
            parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"changes":[],"after":1,"kind":"delta","number":1,"session":"s","until":2}',
        b'{"kind":"hello","number":1,"serial":1,"serial":1,"session":"s"}',
        b'{"kind":"hello","number":1.5,"serial":1,"session":"s"}',
        b'{"kind":"hello","number":true,"serial":1,"session":"s"}',
        b'{"kind":"hello","number":1,"serial":9007199254740992,"session":"s"}',
        b'{"kind":"hello","more":1,"number":1,"serial":1,"session":"s"}',
        b'{"kind":"hello","number":1,"session":"s"}',
        b'{"kind":"farewell","number":1}',
        b'{"after":2,"changes":[[2,"6","upsert","a","b"]],"kind":"delta","number":1,"session":"s","until":3}',
        b'{"after":2,"changes":[[3,"6","merge","a","b"]],"kind":"delta","number":1,"session":"s","until":3}',
        b'{"after":2,"changes":[[3,"6","upsert","a","b"],[3,"6","upsert","a","b"]],"kind":"delta","number":1,"session":"s","until":3}',
        b'{"after":4,"changes":[],"kind":"delta","number":1,"session":"s","until":3}',
        b'{"after":1,"changes":[],"kind":"delta","number":1,"session":"","until":3}',
        b'{"kind":"snapshot","number":1,"rows":[["6","c","x"]],"serial":1,"session":"s","span":[["6","a"],["6","b"]]}',
        b'{"kind":"snapshot","number":1,"rows":[],"serial":1,"session":"s","span":[["6","b"],["6","a"]]}',
        b'{"kind":"snapshot","number":1,"rows":[],"serial":1,"session":"s","span":[["6","b"]]}',
        b"[" * 5_000,
    ],
)
def test_message_that_means_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        parse_message(data)

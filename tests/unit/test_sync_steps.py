"""The sending session, step by step: what it asks for after what it is given."""

from sync.change import END, START, Change, Operation, Place, Span
from sync.message import Ack, Digests, Hello, Message, Welcome
from sync.session import SendingSession, Steps
from sync.step import (
    Acknowledge,
    Batch,
    Demand,
    Exchange,
    Finish,
    Listen,
    OutboxStanding,
    Page,
    ReadChanges,
    ReadPage,
    ReadStanding,
    Rest,
    Resume,
    Settle,
)

STANDING = OutboxStanding("s", serial=7, kept_from=0, acknowledged=5, complete=True)
CHANGES = tuple(Change(serial, "6", Operation.UPSERT, "a", b"") for serial in (6, 7))


def greeted() -> tuple[Steps[None], int]:
    """A conversation that waits for the answer to its hello, and the hello's number."""
    conversation = SendingSession(100).converse()
    assert next(conversation) == ReadStanding()
    return conversation, sent(conversation.send(STANDING), Hello).number


def met(serial: int, position: Place = END) -> tuple[Steps[None], Demand]:
    conversation, number = greeted()
    assert conversation.send(Welcome(number, "s", serial, position)) == ReadStanding()
    return conversation, conversation.send(STANDING)


def sent(demand: Demand, kind: type[Message]) -> Message:
    assert isinstance(demand, Exchange)
    assert isinstance(demand.message, kind)
    return demand.message


def test_reply_to_an_older_message_is_not_taken() -> None:
    conversation, number = greeted()
    assert conversation.send(Welcome(number - 1, "s", 5, END)) == Listen()
    assert conversation.send(Welcome(number, "s", 5, END)) == ReadStanding()


def test_ack_that_falls_short_of_the_delta_acknowledges_nothing() -> None:
    conversation, demand = met(serial=5)
    assert demand == ReadChanges(5)
    batch = Batch("s", 5, 7, CHANGES)
    exchange = conversation.send(batch)
    assert isinstance(exchange, Exchange)
    short = Ack(exchange.message.number, "s", 6, END, True, ())
    assert conversation.send(short) == Rest(lost=True)


def test_ack_of_the_delta_is_stored_before_more_is_read() -> None:
    conversation, _ = met(serial=5)
    batch = Batch("s", 5, 7, CHANGES)
    exchange = conversation.send(batch)
    assert isinstance(exchange, Exchange)
    ack = Ack(exchange.message.number, "s", 7, END, True, ())
    assert conversation.send(ack) == Acknowledge(batch, ())
    assert conversation.send(None) == ReadChanges(7)


def test_peer_that_is_ahead_of_what_we_stored_is_told_the_same_again() -> None:
    _, demand = met(serial=7)
    assert demand == ReadChanges(5)  # its verdicts were not heard


def test_peer_that_fell_back_is_resumed_there_and_walked() -> None:
    conversation, demand = met(serial=3)
    assert demand == Resume("s", 3)
    assert conversation.send(None) == ReadPage(START)


def test_page_of_another_session_is_not_shown() -> None:
    conversation, demand = met(serial=5, position=START)
    assert demand == ReadPage(START)
    page = Page("another", 5, Span(START, END), ())
    assert conversation.send(page) == Rest(lost=True)


def test_walk_ends_only_where_the_peer_says_it_is_complete() -> None:
    for position in (END, Place("6", "a")):
        conversation, _ = met(serial=5, position=START)
        demand = conversation.send(Page("s", 5, Span(START, END), ()))
        number = sent(demand, Digests).number
        demand = conversation.send(Ack(number, "s", 5, position, True, ()))
        if position == END:
            assert demand == Settle("s", Span(START, END), ())
            assert isinstance(conversation.send(None), Finish)
        else:
            assert demand == Rest(lost=True)

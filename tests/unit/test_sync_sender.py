"""The sender over a peer in memory that misbehaves; and what the conversation does in single cases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from sync.change import END, START, Place
from sync.message import Ack, Delta, Hello, Message, PeerUnavailable, Reply, Welcome
from sync.sender import Sender, backoff
from sync.testing import MemoryInbox, MemoryOutbox, TopLevelNode
from tests.support import syncing
from tests.support.syncing import rejects_bad

QUICK = 0.002  # seconds
ROW = Place("6", "91370700MA3")


@asynccontextmanager
async def sending(outbox: MemoryOutbox, peer: TopLevelNode) -> AsyncIterator[Sender]:
    """A sender that greets soon, and does not wait for long."""
    names = count(1)
    async with syncing.sending(
        outbox,
        peer,
        greeting_seconds=QUICK * 3,
        exchange_seconds=QUICK * 20,
        new_session=lambda: f"renewed-{next(names)}",
    ) as sender:
        yield sender


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is in the peer, which tells nobody
            await asyncio.sleep(QUICK)


def are_equal(outbox: MemoryOutbox, peer: TopLevelNode) -> bool:
    stands = peer.inbox.stands == (outbox.session, outbox.serial, END)
    return stands and peer.inbox.rows() == outbox.rows and outbox.complete


def filled(rows: int = 7) -> MemoryOutbox:
    outbox = MemoryOutbox(most=3)
    for number in range(rows):
        outbox.write(Place("9", f"88.1/{number}"), b"%d" % number)
    return outbox


async def test_rows_and_changes_reach_the_peer() -> None:
    outbox, peer = filled(), TopLevelNode()
    async with sending(outbox, peer) as sender:
        await until(lambda: are_equal(outbox, peer))
        outbox.write(ROW, b"new")
        sender.hint()
        await until(lambda: outbox.acknowledged == outbox.serial)
    assert peer.inbox.held[ROW].body == b"new"
    assert sum(each.rows for each in outbox.evidence[0].digests) == 7


@pytest.mark.parametrize(
    "fault", ["lose_messages", "lose_replies", "delay_messages", "garble_replies"]
)
async def test_peer_is_equal_after_a_fault(fault: str) -> None:
    outbox, peer = filled(), TopLevelNode()
    peer.faults.doubles = True
    async with sending(outbox, peer) as sender:
        for number in range(6):
            setattr(peer.faults, fault, 2)
            outbox.write(ROW, b"%d" % number)
            await until(lambda: getattr(peer.faults, fault) == 0 and sender.failures == 0)
        await until(lambda: are_equal(outbox, peer))
    serials = [change.serial for _, change in peer.inbox.applied]
    assert serials == sorted(set(serials))


async def test_peer_that_was_down_gets_all_and_failures_are_counted() -> None:
    outbox, peer = filled(), TopLevelNode()
    peer.faults.is_down = True
    async with sending(outbox, peer) as sender:
        await until(lambda: sender.failures >= 3)
        assert sender.trouble == "nobody answers"
        peer.faults.is_down = False
        await until(lambda: are_equal(outbox, peer))
        assert (sender.failures, sender.trouble) == (0, "")


async def test_peer_that_forgot_at_rest_is_found_by_the_next_greeting() -> None:
    outbox, peer = filled(), TopLevelNode()
    async with sending(outbox, peer):
        await until(lambda: are_equal(outbox, peer))
        old = peer.backup()
        outbox.write(ROW, b"new")
        await until(lambda: are_equal(outbox, peer))
        peer.forget(old)
        await until(lambda: are_equal(outbox, peer))
        outbox.prune(outbox.serial)
        peer.forget(old)
        await until(lambda: are_equal(outbox, peer))
        assert outbox.session == "renewed-1"  # the changes since were gone
        peer.forget()
        await until(lambda: are_equal(outbox, peer))


async def test_rejected_change_delays_none_and_is_corrected_by_the_next_of_its_key() -> None:
    outbox, peer = filled(), TopLevelNode(MemoryInbox(rejects_bad))
    async with sending(outbox, peer) as sender:
        await until(lambda: are_equal(outbox, peer))
        outbox.write(ROW, b"good")
        outbox.write(ROW, b"bad")
        behind = outbox.write(Place("6", "other"), b"good")
        await until(lambda: outbox.acknowledged == behind.serial)
        assert outbox.aside[ROW].reason == "invented"
        assert peer.inbox.held[ROW].body == b"good"
        sender.verify()
        await until(lambda: len(outbox.evidence) == 2)
        assert outbox.evidence[1].repaired == 0  # both know what was sent, and that it is rejected
        outbox.write(ROW, b"corrected")
        await until(lambda: outbox.acknowledged == outbox.serial)
    assert outbox.aside == {}
    assert peer.inbox.held[ROW].body == b"corrected"


async def test_walk_finds_a_row_that_drifted_and_repairs_its_page_alone() -> None:
    outbox, peer = filled(30), TopLevelNode()
    async with sending(outbox, peer) as sender:
        await until(lambda: are_equal(outbox, peer))
        peer.corrupt(Place("9", "88.1/5"), b"flipped")
        peer.corrupt(Place("M1", "never sent"), b"flipped")
        sender.verify()
        await until(lambda: len(outbox.evidence) == 2)
        assert are_equal(outbox, peer)
    assert outbox.evidence[1].repaired == 2
    assert outbox.evidence[1].digests == outbox.evidence[0].digests


async def test_changes_flow_on_during_a_walk() -> None:
    outbox, peer = filled(300), TopLevelNode()
    async with sending(outbox, peer):
        await until(lambda: peer.inbox.stands.position > Place("9", ""))
        change = outbox.write(ROW, b"new")
        await until(lambda: outbox.acknowledged >= change.serial)
        await until(lambda: are_equal(outbox, peer))


async def test_node_that_was_restored_without_a_new_session_takes_one_when_the_peer_is_ahead() -> (
    None
):
    outbox, peer = filled(), TopLevelNode()
    async with sending(outbox, peer):
        await until(lambda: are_equal(outbox, peer))
    old = outbox.restored(outbox.session)
    outbox.write(ROW, b"lost")
    async with sending(outbox, peer):
        await until(lambda: are_equal(outbox, peer))
    async with sending(old, peer):
        await until(lambda: are_equal(old, peer))
    assert old.session == "renewed-1"
    assert ROW not in peer.inbox.rows()


async def test_peer_that_is_not_complete_is_walked_though_its_serial_is_ours() -> None:
    outbox, peer = filled(), TopLevelNode()
    async with sending(outbox, peer):
        await until(lambda: are_equal(outbox, peer))
        peer.inbox.held.clear()
        peer.inbox.stands = peer.inbox.stands._replace(position=START)
        await until(lambda: are_equal(outbox, peer))


class Stubborn:
    """A peer that answers everything with the same."""

    def __init__(self, answer: Callable[[Message], Reply]) -> None:
        self.answer = answer
        self.asked = 0

    async def exchange(self, message: Message) -> Reply:
        self.asked += 1
        return self.answer(message)


@pytest.mark.parametrize(
    "answer",
    [
        lambda message: Welcome(message.number, "other", 5, END),
        lambda message: Welcome(message.number, "session-0", 2**53 - 1, END),
        lambda message: Ack(message.number, "session-0", 7, END, True, ()),
        lambda message: Welcome(message.number - 1, "session-0", 7, END),
        lambda message: (
            Welcome(message.number, message.session, message.serial, END)
            if isinstance(message, Hello)
            else Ack(message.number, message.session, 0, END, True, ())
        ),
    ],
    ids=["another session", "the future", "acknowledges a hello", "an older number", "never moves"],
)
async def test_peer_that_makes_no_sense_is_believed_nothing(
    answer: Callable[[Message], Reply],
) -> None:
    outbox, peer = filled(), Stubborn(answer)
    sender = Sender(
        outbox, peer, random=lambda: 0.5, new_session=lambda: "renewed", backoff_seconds=QUICK
    )
    task = asyncio.create_task(sender.run())
    await until(lambda: peer.asked > 5)
    task.cancel()
    assert not outbox.complete


async def test_exchange_that_takes_too_long_is_given_up() -> None:
    class Slow:
        async def exchange(self, message: Message) -> Reply:
            await asyncio.Event().wait()
            raise PeerUnavailable("never reached")

    sender = Sender(
        MemoryOutbox(),
        Slow(),
        random=lambda: 0.5,
        new_session=str,
        exchange_seconds=QUICK,
        backoff_seconds=QUICK,
    )
    task = asyncio.create_task(sender.run())
    await until(lambda: sender.failures > 1)
    task.cancel()
    assert "no answer within" in sender.trouble


def test_backoff_doubles_from_a_second_to_a_minute_and_varies_by_half() -> None:
    assert [backoff(failures, 0.0) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(10_000, 0.0) == 60
    assert backoff(1, 0.999) == pytest.approx(0.5, abs=0.01)


async def test_delta_holds_at_most_what_one_message_takes() -> None:
    outbox, peer = filled(0), TopLevelNode()
    sizes: list[int] = []

    class Watching:
        async def exchange(self, message: Message) -> Reply:
            if isinstance(message, Delta):
                sizes.append(len(message.changes))
            return await peer.exchange(message)

    sender = Sender(outbox, Watching(), random=lambda: 0.5, new_session=str, poll_seconds=QUICK)
    task = asyncio.create_task(sender.run())
    await until(lambda: outbox.complete)
    for number in range(10):
        outbox.write(Place("9", f"{number}"), b"")
    await until(lambda: outbox.acknowledged == outbox.serial)
    task.cancel()
    assert max(sizes) <= outbox.most

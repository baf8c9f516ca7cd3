"""Whatever is written, sent, lost, doubled, delayed, killed, restored and corrupted, in whatever order: the peer has
each change once and in order, what is acknowledged is stored, and at rest both sides are equal.

A state machine drives both sides over a network that keeps every message until it is delivered or lost, and may deliver
it again later.  Each demand of the sending side is a step of its own, and so is each half of storing at the peer.
"""

from collections.abc import Coroutine
from copy import deepcopy
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sync.change import END, Change, Place
from sync.inbox import Moved
from sync.message import MessageError, PeerUnavailable, Reply, encode, parse_message, parse_reply
from sync.receiver import carry_out, receive
from sync.session import ReceivingSession, SendingSession
from sync.step import (
    Acknowledge,
    Demand,
    Exchange,
    Finish,
    Given,
    Listen,
    Plan,
    ReadChanges,
    ReadPage,
    ReadStanding,
    Rest,
    Restart,
    Resume,
    Settle,
)
from sync.testing import Held, MemoryInbox, MemoryOutbox

EXAMPLES, STEPS = 150, 70
BATCH_ITEMS = 2
STEPS_TO_REST = 400
PLACES = [Place(table, key) for table in ("1", "6", "9") for key in ("a", "b")]
PLACE = st.sampled_from(PLACES)
PICK = st.integers(0, 1000)

Result = TypeVar("Result")


def judge(place: Place, body: bytes | None) -> str:
    """Some bodies are rejected, and no row may be deleted from table 6."""
    if body is None:
        return "has prefixes" if place.table == "6" else ""
    return "invented" if b"bad" in body else ""


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    raise AssertionError("it waits")


class Conversation(RuleBasedStateMachine):
    """One node, one peer, and the network between them."""

    demand: Demand

    def __init__(self) -> None:
        super().__init__()
        self.outbox = MemoryOutbox(most=BATCH_ITEMS)
        self.inbox = MemoryInbox(judge)
        self.outbox_backups: list[MemoryOutbox] = []
        self.inbox_backups: list[MemoryInbox] = []
        self.upwards: list[bytes] = []
        self.downwards: list[bytes] = []
        self.storing: list[tuple[ReceivingSession, Plan]] = []
        self.names = self.lives = self.bodies = 0
        self.may_drift = self.drifted = False
        self.truth: dict[tuple[str, int], dict[Place, bytes]] = {}
        self.written: dict[tuple[str, int], Change] = {}
        self.reached: dict[str, int] = {}
        self.remember()
        self.start()

    @initialize(may_drift=st.booleans())
    def begin(self, may_drift: bool) -> None:
        self.may_drift = may_drift

    # what the node does

    @rule(place=PLACE, kind=st.sampled_from(["good", "good", "bad", "deleted"]))
    def write(self, place: Place, kind: str) -> None:
        if kind == "deleted" and place not in self.outbox.rows:
            return
        self.bodies += 1
        change = self.outbox.write(
            place, None if kind == "deleted" else b"%s %d" % (kind.encode(), self.bodies)
        )
        self.written[self.outbox.session, change.serial] = change
        self.remember()

    @precondition(lambda self: not self.waits)
    @rule(times=st.integers(1, 6))
    def step(self, times: int) -> None:
        for _ in range(times):
            if not self.waits:
                self.advance(self.perform())

    @precondition(lambda self: self.waits)
    @rule()
    def give_up_waiting(self) -> None:
        self.demand = self.conversation.throw(PeerUnavailable("nobody answers"))
        self.post()

    @rule()
    def greet(self) -> None:
        self.sending.greet()

    @rule()
    def verify(self) -> None:
        self.sending.verify()

    @rule()
    def kill_the_sender(self) -> None:
        self.start()

    @rule(serial=st.integers(0, 20))
    def prune(self, serial: int) -> None:
        self.outbox.prune(serial)

    @rule()
    def back_up_the_node(self) -> None:
        self.outbox_backups.append(deepcopy(self.outbox))

    @precondition(lambda self: self.outbox_backups)
    @rule(pick=PICK)
    def restore_the_node(self, pick: int) -> None:
        backup = self.outbox_backups[pick % len(self.outbox_backups)]
        self.outbox = backup.restored(self.name())
        self.remember()
        self.start()

    # what the network does

    @precondition(lambda self: self.upwards)
    @rule(pick=PICK, again=st.booleans())
    def deliver(self, pick: int, again: bool) -> None:
        message = parse_message(self.draw(self.upwards, pick, again))
        self.downwards.append(encode(run(receive(message, self.inbox))))
        self.note_reached()

    @precondition(lambda self: self.upwards)
    @rule(pick=PICK, again=st.booleans())
    def deliver_half(self, pick: int, again: bool) -> None:
        message = parse_message(self.draw(self.upwards, pick, again))
        session = ReceivingSession(self.inbox.stands, message)
        self.storing.append((session, session.plan()))

    @precondition(lambda self: self.storing)
    @rule(pick=PICK)
    def deliver_other_half(self, pick: int) -> None:
        session, plan = self.storing.pop(pick % len(self.storing))
        try:
            reply = run(carry_out(session, plan, self.inbox))
        except Moved:
            return
        self.downwards.append(encode(reply))
        self.note_reached()

    @precondition(lambda self: self.downwards)
    @rule(pick=PICK, again=st.booleans(), garble=st.sampled_from([False] * 9 + [True]))
    def reply(self, pick: int, again: bool, garble: bool) -> None:
        data = self.draw(self.downwards, pick, again)
        if not self.waits:
            return
        try:
            self.advance(parse_reply(data[:-1] if garble else data))
        except MessageError:
            self.give_up_waiting()

    @precondition(lambda self: self.upwards)
    @rule(pick=PICK)
    def lose_message(self, pick: int) -> None:
        self.draw(self.upwards, pick, again=False)

    @precondition(lambda self: self.downwards)
    @rule(pick=PICK)
    def lose_reply(self, pick: int) -> None:
        self.draw(self.downwards, pick, again=False)

    @rule()
    def talk_to_rest(self) -> None:
        self.come_to_rest()

    # what the peer does

    @rule()
    def back_up_the_peer(self) -> None:
        self.inbox_backups.append(deepcopy(self.inbox))

    @precondition(lambda self: self.inbox_backups)
    @rule(pick=PICK)
    def restore_the_peer(self, pick: int) -> None:
        self.inbox = deepcopy(self.inbox_backups[pick % len(self.inbox_backups)])
        self.storing.clear()

    @rule()
    def lose_the_peers_store(self) -> None:
        self.inbox = MemoryInbox(judge)
        self.storing.clear()

    @precondition(lambda self: self.may_drift)
    @rule(place=PLACE)
    def corrupt_a_row(self, place: Place) -> None:
        self.inbox.held[place] = Held(b"flipped bits")
        self.drifted = True

    # what always holds

    @invariant()
    def rows_up_to_the_position_are_those_of_the_session_at_its_serial(self) -> None:
        session, serial, position = self.inbox.stands
        if session and not self.drifted:
            truth = self.truth[session, serial]
            assert _up_to(position, self.inbox.rows()) == _up_to(position, truth)

    @invariant()
    def each_change_was_applied_once_in_order_and_as_it_was_written(self) -> None:
        sessions = list(dict.fromkeys(session for session, _ in self.inbox.applied))
        order = [(sessions.index(session), each.serial) for session, each in self.inbox.applied]
        assert order == sorted(set(order))
        for session, change in self.inbox.applied:
            assert change == self.written[session, change.serial]

    @invariant()
    def what_is_acknowledged_was_stored(self) -> None:
        if self.outbox.complete and self.outbox.session in self.reached:
            assert self.outbox.acknowledged <= self.reached[self.outbox.session]

    def teardown(self) -> None:
        while self.upwards:
            self.deliver(pick=0, again=False)
        self.come_to_rest()
        if not self.drifted:
            self.assert_equal()
        self.sending.verify()
        self.come_to_rest()
        self.assert_equal()

    def assert_equal(self) -> None:
        assert self.inbox.stands == (self.outbox.session, self.outbox.serial, END)
        assert self.inbox.rows() == self.outbox.rows
        assert (self.outbox.acknowledged, self.outbox.complete) == (self.outbox.serial, True)
        assert self.outbox.aside.keys() == self.inbox.rejections().keys()
        rows = self.outbox.rows.items()
        assert {place for place, body in rows if judge(place, body)} == {
            place for place in self.outbox.aside if place in self.outbox.rows
        }
        assert all(
            self.inbox.held[place].body == body for place, body in rows if not judge(place, body)
        )

    # how it is driven

    @property
    def waits(self) -> bool:
        return isinstance(self.demand, Exchange | Listen)

    def start(self) -> None:
        self.lives += 1
        self.sending = SendingSession(self.lives * 1_000_000)
        self.conversation = self.sending.converse()
        self.demand = next(self.conversation)
        self.post()

    def advance(self, given: Given) -> None:
        self.demand = self.conversation.send(given)
        self.post()

    def post(self) -> None:
        if isinstance(self.demand, Exchange):
            self.upwards.append(encode(self.demand.message))

    def perform(self) -> Given:
        demand, outbox = self.demand, self.outbox
        match demand:
            case ReadStanding():
                return run(outbox.standing())
            case ReadChanges():
                return run(outbox.pending(demand.after, demand.until))
            case ReadPage():
                return run(outbox.page(demand.after))
            case Restart():
                standing = run(outbox.restart(self.name() if demand.renewed else None))
                self.remember()
                return standing
            case Resume():
                run(outbox.resume(demand.serial))
            case Acknowledge():
                assert demand.batch.until <= self.reached[demand.batch.session]
                run(outbox.acknowledge(demand.batch, demand.rejected))
            case Settle():
                run(outbox.settle(demand.span, demand.rejected))
            case Finish():
                run(outbox.finish(demand.evidence))
            case _:
                assert demand in (Rest(), Rest(lost=True))
        return None

    def come_to_rest(self) -> None:
        """Both sides talk without faults until there is nothing left to say, and once more after a greeting."""
        if self.waits:
            self.give_up_waiting()
        self.talk()
        self.sending.greet()
        self.advance(self.perform())
        self.talk()

    def talk(self) -> None:
        for _ in range(STEPS_TO_REST):
            if self.demand == Rest():
                return
            self.advance(self.answer(self.upwards.pop()) if self.waits else self.perform())
        raise AssertionError("they never come to rest")

    def answer(self, data: bytes) -> Reply:
        reply = run(receive(parse_message(data), self.inbox))
        self.note_reached()
        return reply

    def draw(self, messages: list[bytes], pick: int, again: bool) -> bytes:
        place = pick % len(messages)
        return messages[place] if again else messages.pop(place)

    def name(self) -> str:
        self.names += 1
        return f"session-{self.names}"

    def remember(self) -> None:
        self.truth[self.outbox.session, self.outbox.serial] = dict(self.outbox.rows)

    def note_reached(self) -> None:
        session, serial, _ = self.inbox.stands
        self.reached[session] = max(serial, self.reached.get(session, 0))


def _up_to(position: Place, rows: dict[Place, bytes]) -> dict[Place, bytes]:
    return {place: body for place, body in rows.items() if place <= position}


@pytest.mark.parametrize("steps", [20, STEPS])
def test_any_interleaving_delivers_each_change_once_in_order_and_ends_equal(steps: int) -> None:
    run_state_machine_as_test(
        Conversation,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

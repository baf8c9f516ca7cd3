"""Whatever is written, sent, lost, doubled, delayed, killed, restored and corrupted, in whatever order: the peer has
each change once and in order, what is acknowledged is stored, and at rest both sides are equal.

A state machine drives both sides over a network that keeps every message until it is delivered or lost, and may deliver
it again later.  Each demand of the sending side is a step of its own, and so is each half of storing at the peer.
"""

from collections.abc import Callable, Coroutine
from copy import deepcopy
from random import Random
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

EXAMPLES, STEPS = 100, 50
WALKS, WALK_STEPS = 400, 120
BATCH_ITEMS = 2
STEPS_TO_REST = 400
PLACES = [Place(table, key) for table in ("1", "6", "E") for key in ("a", "b")]
PLACE = st.sampled_from(PLACES)
PICK = st.integers(0, 5)
KINDS = ["good", "good", "bad", "deleted"]
KIND = st.sampled_from(KINDS)
AGE = st.one_of(st.just(0), st.integers(0, 4), st.integers(0, 40))

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
        self.outbox = self.make_outbox()
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

    def make_outbox(self) -> MemoryOutbox:
        return MemoryOutbox(most=BATCH_ITEMS)

    @initialize(may_drift=st.booleans(), written=st.booleans(), met=st.booleans())
    def begin(self, may_drift: bool, written: bool, met: bool) -> None:
        self.may_drift = may_drift
        for place in PLACES if written else ():
            self.write_one(place, "good")
        if met:
            self.talk()
            self.back_up_the_peer()
            self.back_up_the_node()

    # what the node does

    @rule(writes=st.lists(st.tuples(PLACE, KIND), min_size=1, max_size=5))
    def write(self, writes: list[tuple[Place, str]]) -> None:
        for place, kind in writes:
            self.write_one(place, kind)

    def write_one(self, place: Place, kind: str) -> None:
        if kind == "deleted" and place not in self.outbox.rows:
            return
        self.bodies += 1
        change = self.outbox.write(
            place, None if kind == "deleted" else b"%s %d" % (kind.encode(), self.bodies)
        )
        self.written[self.outbox.session, change.serial] = change
        self.remember()

    @precondition(lambda self: not self.waits)
    @rule()
    def step(self) -> None:
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
    @rule(pick=PICK, killed=st.booleans())
    def restore_the_node(self, pick: int, killed: bool) -> None:
        backup = self.outbox_backups[pick % len(self.outbox_backups)]
        self.outbox = backup.restored(self.name())
        self.remember()
        if killed:
            self.start()

    # what the network does: it keeps what was ever sent, and delivers any of it, late and again, or never

    @rule(times=st.integers(1, 8))
    def talk_on(self, times: int) -> None:
        for _ in range(times):
            self.advance(self.answer(self.upwards[-1]) if self.waits else self.perform())

    @rule()
    def talk_to_rest(self) -> None:
        self.talk()

    @precondition(lambda self: self.upwards)
    @rule(age=AGE)
    def deliver(self, age: int) -> None:
        self.answer(self.upwards[-1 - age % len(self.upwards)])

    @precondition(lambda self: self.upwards)
    @rule(age=AGE, many=st.integers(1, 8))
    def replay(self, age: int, many: int) -> None:
        start = max(0, len(self.upwards) - 1 - age)
        for message in self.upwards[start : start + many]:
            self.answer(message)

    @precondition(lambda self: self.upwards)
    @rule(age=AGE)
    def deliver_half(self, age: int) -> None:
        message = parse_message(self.upwards[-1 - age % len(self.upwards)])
        session = ReceivingSession(self.inbox.stands, message)
        self.storing.append((session, session.plan()))

    @precondition(lambda self: self.storing)
    @rule()
    def deliver_other_half(self) -> None:
        session, plan = self.storing.pop(0)
        try:
            reply = run(carry_out(session, plan, self.inbox))
        except Moved:
            return
        self.downwards.append(encode(reply))
        self.note_reached()

    @precondition(lambda self: self.waits and self.downwards)
    @rule(age=AGE)
    def reply(self, age: int) -> None:
        self.advance(parse_reply(self.downwards[-1 - age % len(self.downwards)]))

    @precondition(lambda self: self.waits)
    @rule()
    def garble_the_reply(self) -> None:
        with pytest.raises(MessageError):
            parse_reply(encode(self.answer(self.upwards[-1]))[:-1])
        self.give_up_waiting()

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

    def check(self) -> None:
        self.rows_up_to_the_position_are_those_of_the_session_at_its_serial()
        self.each_change_was_applied_once_in_order_and_as_it_was_written()
        self.what_is_acknowledged_was_stored()

    def teardown(self) -> None:
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
                run(outbox.resume(demand.session, demand.serial))
            case Acknowledge():
                assert demand.batch.until <= self.reached[demand.batch.session]
                run(outbox.acknowledge(demand.batch, demand.rejected))
            case Settle():
                run(outbox.settle(demand.session, demand.span, demand.rejected))
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
            self.advance(self.answer(self.upwards[-1]) if self.waits else self.perform())
        raise AssertionError("they never come to rest")

    def answer(self, data: bytes) -> Reply:
        before = self.inbox.stands
        reply = run(receive(parse_message(data), self.inbox))
        assert (reply.session, reply.serial, reply.position) == self.inbox.stands
        if self.inbox.stands.session == before.session:
            assert self.inbox.stands >= before  # in serial and position it only goes on
            assert self.inbox.stands.position >= before.position
        self.downwards.append(encode(reply))
        self.note_reached()
        return reply

    def name(self) -> str:
        self.names += 1
        return f"session-{self.names}"

    def remember(self) -> None:
        self.truth[self.outbox.session, self.outbox.serial] = dict(self.outbox.rows)

    def note_reached(self) -> None:
        session, serial, _ = self.inbox.stands
        self.reached[session] = max(serial, self.reached.get(session, 0))


def walk(seed: int, world_of: Callable[[], Conversation] = Conversation) -> None:
    """One long random walk through the same rules; hypothesis looks for short ways, this for long ones."""
    random = Random(seed)  # noqa: S311 - a walk, not a secret
    world = world_of()
    world.begin(random.random() < 0.3, random.random() < 0.8, random.random() < 0.8)
    weights, actions, allowed = zip(*WALK, strict=True)
    for _ in range(WALK_STEPS):
        number = random.choices(range(len(WALK)), weights)[0]
        if allowed[number](world):
            actions[number](world, random)
            world.check()
    world.teardown()


def _write_some(world: Conversation, random: Random) -> None:
    some = range(random.randint(1, 3))
    world.write([(random.choice(PLACES), random.choice(KINDS)) for _ in some])


def _always(_world: Conversation) -> bool:
    return True


# How often, what, and when it can be.
Action = Callable[[Conversation, Random], None]
WALK: list[tuple[int, Action, Callable[[Conversation], object]]] = [
    (8, _write_some, _always),
    (12, lambda world, random: world.talk_on(random.randint(1, 12)), _always),
    (6, lambda world, _: world.step(), lambda world: not world.waits),
    (6, lambda world, random: world.deliver(_age(random)), lambda world: world.upwards),
    (2, lambda w, random: w.replay(_age(random), random.randint(1, 8)), lambda w: w.upwards),
    (3, lambda world, random: world.deliver_half(_age(random)), lambda world: world.upwards),
    (3, lambda world, _: world.deliver_other_half(), lambda world: world.storing),
    (5, lambda w, random: w.reply(_age(random)), lambda w: w.waits and w.downwards),
    (3, lambda world, _: world.give_up_waiting(), lambda world: world.waits),
    (1, lambda world, _: world.garble_the_reply(), lambda world: world.waits),
    (1, lambda world, _: world.greet(), _always),
    (1, lambda world, _: world.verify(), _always),
    (1, lambda world, _: world.kill_the_sender(), _always),
    (1, lambda world, _: world.back_up_the_peer(), _always),
    (1, lambda world, _: world.back_up_the_node(), _always),
    (2, lambda world, random: world.prune(random.randint(0, world.outbox.serial)), _always),
    (1, lambda w, random: w.restore_the_peer(random.randint(0, 5)), lambda w: w.inbox_backups),
    (
        1,
        lambda w, random: w.restore_the_node(random.randint(0, 5), random.random() < 0.5),
        lambda w: w.outbox_backups,
    ),
    (1, lambda w, random: w.corrupt_a_row(random.choice(PLACES)), lambda w: w.may_drift),
    (1, lambda world, _: world.lose_the_peers_store(), _always),
    (1, lambda world, _: world.talk_to_rest(), _always),
]


def _age(random: Random) -> int:
    return random.choice((0, 0, 1, 2, random.randint(0, 40)))


def _up_to(position: Place, rows: dict[Place, bytes]) -> dict[Place, bytes]:
    return {place: body for place, body in rows.items() if place <= position}


def test_any_interleaving_delivers_each_change_once_in_order_and_ends_equal() -> None:
    run_state_machine_as_test(
        Conversation,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_long_random_walks_end_equal_too() -> None:
    for seed in range(WALKS):
        try:
            walk(seed)
        except Exception as error:
            error.add_note(f"walk({seed})")
            raise

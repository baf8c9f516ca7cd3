"""The finder: what is looked up together is answered as it comes, and what is slow holds up nothing."""

import asyncio
from time import perf_counter_ns

import pytest

from resolver import finder
from resolver.answer import Answer, Status
from resolver.finder import MAX_KEYS, Finder, Found, Sought
from resolver.freshness import Freshness
from resolver.hot.wire import HotWire
from resolver.observe import Protocol
from resolver.service import Resolver
from resolver.wire import (
    Envelope,
    Flag,
    HandleValue,
    Header,
    Message,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    encode_values,
)
from tests.support.memory import MemoryStore
from tests.support.sources import HeldSource, absence, record, turns
from tests.support.waiting import until
from tests.support.web import SITE


def message(handle: bytes, *, public_only: bool = True, number: int = 1) -> bytes:
    flags = Flag.PUBLIC_ONLY if public_only else Flag(0)
    envelope = Envelope(2, 11, 2, 11, request_id=number)
    body = ResolutionRequest(handle).encode()
    return Message(envelope, Header(Opcode.RESOLUTION, flags=int(flags)), body).encode()


class Bench:
    """A finder over a source that the test answers for."""

    def __init__(self) -> None:
        self.below = HeldSource()
        names = MemoryStore()
        names.homed.add(b"88.1")
        self.hot = HotWire(Freshness(), max_entries=100, max_bytes=1_000_000)
        self.tasks: list[asyncio.Future[None]] = []
        self.found: list[Found] = []
        self.left: list[tuple[Sought, Answer | None]] = []
        self.finder = Finder(
            Resolver(self.below, names, names, SITE),
            self.hot,
            Protocol.UDP,
            lambda coroutine: self.tasks.append(asyncio.ensure_future(coroutine)),
            self.found.extend,
            lambda sought, answer: self.left.append((sought, answer)),
        )
        for public_only in (True, False):
            self._answer_once(public_only)

    def _answer_once(self, public_only: bool) -> None:
        """Have such requests been answered before, as only they are understood."""
        request = message(b"88.1/before", public_only=public_only)
        body = ResolutionAnswer(b"88.1/before", (HandleValue(1, b"URL", b"x"),)).encode()
        header = Header(Opcode.RESOLUTION, response_code=ResponseCode.SUCCESS)
        self.hot.remember(
            request,
            Message(Envelope(2, 11, 2, 11), header, body).encode(),
            public_only=public_only,
            restricted=False,
            expires_ns=2**62,
            cell=0,
            key=b"88.1/BEFORE",
            serial=0,
            era=self.hot.era,
        )

    async def ask(self, *handles: bytes, public_only: bool = True) -> None:
        for handle in handles:
            assert self.finder.add(message(handle, public_only=public_only), handle)
        self.finder.start()
        await turns()

    def give(self, key: bytes, *, restricted: bool = False) -> None:
        """Answer the question for a key: there is a record, which is spelled as its key."""
        stored = record(1, restricted=restricted)._replace(handle=key)
        next(each for each in self.below.calls if each.key == key).give(stored)

    def replies(self) -> list[bytes]:
        """Return whose questions were answered, with a record of theirs, so far."""
        for each in self.found:
            body = Message.decode(each.reply).body
            assert body.startswith(len(each.sought.back).to_bytes(4, "big") + each.sought.back)
            assert body.find(encode_values([HandleValue(1, b"URL", b"at 1")])) > 0
        return [each.sought.back for each in self.found]


@pytest.fixture(autouse=True)
def _nothing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "_SLOW_SECONDS", 60.0)


async def test_each_is_answered_as_soon_as_its_record_is_there() -> None:
    bench = Bench()
    await bench.ask(b"88.1/1", b"88.1/2", b"88.1/1")
    assert [each.key for each in bench.below.calls] == [b"88.1/1", b"88.1/2"]
    bench.give(b"88.1/1")
    await turns()
    assert bench.replies() == [b"88.1/1", b"88.1/1"]
    assert bench.finder.sought == 1
    bench.give(b"88.1/2")
    await turns()
    assert bench.replies() == [b"88.1/1", b"88.1/1", b"88.1/2"]
    assert bench.finder.sought == 0
    ready = bench.hot.reply(message(b"88.1/2", number=9), perf_counter_ns())
    assert ready is not None
    assert ready[1][:8] == bench.found[-1].reply[:8]


async def test_what_is_not_a_plain_question_for_a_record_of_ours_is_not_taken() -> None:
    bench = Bench()
    for handle in (b"0.NA/88.1", b"99.1/x", b"88.1", b"\xff/x"):
        assert not bench.finder.add(message(handle), None)
    assert bench.finder.sought == 0


async def test_there_is_none_is_left_with_its_answer_and_what_needs_a_second_look_without() -> None:
    bench = Bench()
    await bench.ask(b"88.1/none", b"88.1/SPELLED", b"88.1/spelled")
    bench.below.calls[0].give(absence(1))
    bench.give(b"88.1/SPELLED")
    await turns()
    assert bench.replies() == [b"88.1/SPELLED"]
    statuses = {each.back: answer and answer.status for each, answer in bench.left}
    assert statuses == {b"88.1/none": Status.NO_SUCH_HANDLE, b"88.1/spelled": None}


async def test_restricted_values_are_for_the_ordinary_way_unless_the_public_ones_are_asked_for() -> (
    None
):
    bench = Bench()
    await bench.ask(b"88.1/1", public_only=False)
    bench.give(b"88.1/1", restricted=True)
    await turns()
    assert (bench.found, [answer for _, answer in bench.left]) == ([], [None])


async def test_when_the_store_is_away_all_that_is_left_is_told_so() -> None:
    bench = Bench()
    await bench.ask(b"88.1/1", b"88.1/2")
    bench.give(b"88.1/1")
    bench.below.calls[1].fail()
    await turns()
    assert bench.replies() == [b"88.1/1"]
    assert [(each.back, answer and answer.status) for each, answer in bench.left] == [
        (b"88.1/2", Status.UNAVAILABLE)
    ]
    assert bench.finder.sought == 0


async def test_a_fault_sends_all_the_ordinary_way() -> None:
    bench = Bench()
    await bench.ask(b"88.1/1")
    bench.below.calls[0].answer.set_exception(ValueError("broken"))
    await turns()
    assert [answer for _, answer in bench.left] == [None]
    assert bench.finder.sought == 0


async def test_questions_gather_while_two_look_ups_are_under_way() -> None:
    bench = Bench()
    for handle in (b"88.1/1", b"88.1/2", b"88.1/3", b"88.1/4"):
        await bench.ask(handle)
    assert len(bench.below.calls) == 2
    bench.give(b"88.1/1")
    await turns()
    assert [each.key for each in bench.below.calls[2:]] == [b"88.1/3", b"88.1/4"]


async def test_nobody_waits_for_look_ups_that_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "_SLOW_SECONDS", 0.02)
    bench = Bench()
    for handle in (b"88.1/1", b"88.1/2", b"88.1/3"):
        await bench.ask(handle)
    await until(lambda: len(bench.below.calls) == 3)
    bench.give(b"88.1/3")
    await turns()
    assert bench.replies() == [b"88.1/3"]


async def test_a_look_up_that_ends_badly_is_not_under_way_for_ever() -> None:
    bench = Bench()
    for handle in (b"88.1/1", b"88.1/2"):
        await bench.ask(handle)
    for task in bench.tasks:
        task.cancel()
    await turns()
    await bench.ask(b"88.1/3")
    bench.give(b"88.1/3")
    await turns()
    assert bench.replies() == [b"88.1/3"]
    assert bench.finder.sought == 0


async def test_no_look_up_is_for_more_than_its_share() -> None:
    bench = Bench()
    handles = [b"88.1/%d" % number for number in range(2 * MAX_KEYS + 1)]
    await bench.ask(*handles)
    assert len(bench.below.calls) == 2 * MAX_KEYS
    for handle in handles[:-1]:
        bench.give(handle)
    await turns()
    bench.give(handles[-1])
    await turns()
    assert sorted(bench.replies()) == sorted(handles)

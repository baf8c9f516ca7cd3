"""The memory tier: one flight per key, TTL, bounds, and nothing older than what the worker knows or gave."""

import asyncio
import gc
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.freshness import Freshness
from resolver.source import NEWEST, SourceUnavailable
from resolver.tiers.memory import MemoryTier
from tests.support.sources import HeldSource, absence, record, turns

KEY = b"88.1/X"


@dataclass
class Bench:
    """A memory tier over a source that the test answers for, with a clock that the test sets."""

    max_entries: int = 100
    max_bytes: int = 1_000_000
    now: float = 1_000.0
    below: HeldSource = field(default_factory=HeldSource)
    freshness: Freshness = field(default_factory=Freshness)
    newer: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tier = MemoryTier(
            self.below,
            self.freshness,
            lambda: self.now,
            max_entries=self.max_entries,
            max_bytes=self.max_bytes,
            on_newer=self.newer.append,
        )

    async def ask(self, key: bytes = KEY, at_least: int = 0) -> "asyncio.Task[Stored]":
        return await begin(self.tier.lookup(key, at_least=at_least))

    async def keep(self, stored: Stored, key: bytes = KEY) -> None:
        """Have a record read, and so kept."""
        asking = await self.ask(key)
        self.below.calls[-1].give(stored)
        await asking

    async def is_kept(self, key: bytes = KEY) -> bool:
        before = len(self.below.calls)
        asking = await self.ask(key)
        asking.cancel()
        await turns()
        return len(self.below.calls) == before


async def begin(looking: Coroutine[Any, Any, Stored]) -> "asyncio.Task[Stored]":
    task = asyncio.create_task(looking)
    await turns()
    return task


async def test_a_record_is_read_once_and_then_given_from_memory() -> None:
    bench = Bench()
    await bench.keep(record(1))

    again = await bench.tier.lookup(KEY)

    assert (again.wire, again.tier) == (record(1).wire, Tier.MEMORY)
    assert len(bench.below.calls) == 1


async def test_all_who_ask_for_a_key_share_one_flight() -> None:
    bench = Bench()
    asking = [await bench.ask() for _ in range(50)]
    assert len(bench.below.calls) == 1

    bench.below.calls[0].give(record(1))

    assert {each.wire for each in await asyncio.gather(*asking)} == {record(1).wire}


async def test_other_keys_fly_by_themselves() -> None:
    bench = Bench()
    first, second = await bench.ask(b"A"), await bench.ask(b"B")

    bench.below.calls[1].give(record(1, b"of B"))

    assert (await second).wire == record(1, b"of B").wire
    assert not first.done()
    first.cancel()


async def test_when_the_leader_is_cancelled_another_flies_and_the_rest_join() -> None:
    bench = Bench()
    leader, *others = [await bench.ask() for _ in range(5)]
    leader.cancel()
    await turns()
    assert len(bench.below.calls) == 2

    bench.below.calls[1].give(record(1))

    assert {each.wire for each in await asyncio.gather(*others)} == {record(1).wire}
    assert leader.cancelled()


async def test_cancelling_one_who_joined_disturbs_nobody() -> None:
    bench = Bench()
    leader, one, another = [await bench.ask() for _ in range(3)]
    one.cancel()
    await turns()

    bench.below.calls[0].give(record(1))

    assert (await leader).serial == (await another).serial == 1
    assert one.cancelled()
    assert len(bench.below.calls) == 1


async def test_when_all_are_cancelled_together_all_end() -> None:
    """As at the end of a worker: nobody may take it for the end of another one, and fly again."""
    bench = Bench()
    asking = [await bench.ask() for _ in range(5)]
    for task in asking:
        task.cancel()
    await turns()

    assert all(task.cancelled() for task in asking)
    assert len(bench.below.calls) == 1


async def test_an_outage_is_told_to_all_who_wait_and_not_kept() -> None:
    bench = Bench()
    asking = [await bench.ask() for _ in range(3)]
    bench.below.calls[0].fail()

    found = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(each) for each in found] == [SourceUnavailable] * 3
    await bench.keep(record(1))
    assert await bench.is_kept()


async def test_an_outage_that_nobody_else_waited_for_is_no_surprise_to_the_loop() -> None:
    surprises: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: surprises.append(context))

    async def fail_alone() -> None:
        bench = Bench()
        asking = await bench.ask()
        bench.below.calls[0].fail()
        await asyncio.wait([asking])
        assert isinstance(asking.exception(), SourceUnavailable)

    await fail_alone()
    gc.collect()

    assert surprises == []


async def test_what_is_kept_goes_on_during_an_outage() -> None:
    bench = Bench()
    await bench.keep(record(1))
    other = await bench.ask(b"OTHER")
    bench.below.calls[-1].fail()

    with pytest.raises(SourceUnavailable):
        await other

    assert (await bench.tier.lookup(KEY)).serial == 1


async def test_a_record_is_forgotten_at_the_end_of_its_ttl() -> None:
    bench = Bench()
    await bench.keep(record(1, ttl=300))
    bench.now += 299
    assert await bench.is_kept()

    bench.now += 1

    assert not await bench.is_kept()
    assert len(bench.tier) == 0


async def test_what_is_left_of_the_ttl_is_passed_on_and_no_more() -> None:
    bench = Bench()
    await bench.keep(record(1, ttl=300))
    bench.now += 100

    assert (await bench.tier.lookup(KEY)).ttl_seconds == 200


async def test_nothing_is_kept_for_more_than_two_days() -> None:
    bench = Bench()
    await bench.keep(record(1, ttl=10**9))
    assert (await bench.tier.lookup(KEY)).ttl_seconds == MAX_TTL_SECONDS

    bench.now += MAX_TTL_SECONDS

    assert not await bench.is_kept()


async def test_a_record_without_ttl_is_not_kept() -> None:
    bench = Bench()
    await bench.keep(record(1, ttl=0))

    assert not await bench.is_kept()


async def test_a_negative_answer_is_kept_for_its_short_ttl() -> None:
    bench = Bench()
    await bench.keep(absence(1)._replace(ttl_seconds=86_400))
    bench.now += NEGATIVE_TTL_SECONDS - 1
    assert (await bench.tier.lookup(KEY)).handle is None

    bench.now += 1

    assert not await bench.is_kept()


async def test_dropping_says_whether_there_was_something() -> None:
    bench = Bench()
    await bench.keep(record(1))

    assert bench.tier.drop(KEY)
    assert not bench.tier.drop(KEY)
    assert not await bench.is_kept()


async def test_an_answer_older_than_the_newest_known_change_is_read_again() -> None:
    bench = Bench()
    asking = await bench.ask()
    bench.freshness.learn(5, [(5, KEY)])
    bench.below.calls[0].give(record(4))
    await turns()
    assert not asking.done()
    assert bench.below.calls[1].at_least == 5

    bench.below.calls[1].give(record(5))

    assert (await asking).serial == 5


async def test_those_who_joined_get_the_newer_answer_too() -> None:
    bench = Bench()
    asking = [await bench.ask() for _ in range(3)]
    bench.freshness.learn(5, [(5, KEY)])
    bench.below.calls[0].give(record(4))
    await turns()
    bench.below.calls[1].give(record(6))

    assert {each.wire for each in await asyncio.gather(*asking)} == {record(6).wire}


async def test_a_record_that_changes_faster_than_it_is_read_makes_the_asker_wait_for_another_time() -> (
    None
):
    bench = Bench()
    asking = await bench.ask()
    for serial in range(5, 8):
        bench.freshness.learn(serial, [(serial, KEY)])
        bench.below.calls[-1].give(record(serial - 1))
        await turns()

    with pytest.raises(SourceUnavailable):
        await asking


async def test_an_answer_from_before_the_window_is_read_again() -> None:
    """Its change may have been told and forgotten while it was on its way."""
    bench = Bench(freshness=Freshness(window_keys=1))
    asking = await bench.ask()
    bench.freshness.learn(2, [(1, KEY), (2, b"A")])
    bench.freshness.learn(4, [(3, b"B"), (4, b"C")])
    assert bench.freshness.floor(KEY) == 0  # forgotten

    bench.below.calls[0].give(record(0))
    await turns()
    assert not asking.done()
    bench.below.calls[1].give(record(4))

    assert (await asking).serial == 4


async def test_an_answer_of_another_life_is_read_again() -> None:
    bench = Bench()
    bench.freshness.restart(10)
    asking = await bench.ask()
    bench.freshness.restart(3)
    bench.below.calls[0].give(record(10, b"of the database before"))
    await turns()
    assert not asking.done()

    bench.below.calls[1].give(record(3, b"of this one"))

    assert (await asking).wire == record(3, b"of this one").wire


async def test_authoritative_questions_ask_below_though_the_record_is_kept() -> None:
    bench = Bench()
    await bench.keep(record(1))
    asking = await bench.ask(at_least=NEWEST)
    assert bench.below.calls[-1].at_least == NEWEST

    bench.below.calls[-1].give(record(2))

    assert (await asking).serial == 2
    assert (await bench.tier.lookup(KEY)).wire == record(2).wire


async def test_authoritative_questions_do_not_join_a_flight_that_began_before_them() -> None:
    bench = Bench()
    first = await bench.ask()
    second = await bench.ask(at_least=NEWEST)
    bench.below.calls[0].give(record(1))
    await turns()
    assert first.done()
    assert not second.done()

    bench.below.calls[1].give(record(2))

    assert (await second).serial == 2


async def test_authoritative_questions_share_the_next_flight() -> None:
    """However many wait: else a flood of them would be one query each, and each would wake all others."""
    bench = Bench()
    first = await bench.ask()
    others = [await bench.ask(at_least=NEWEST) for _ in range(100)]
    bench.below.calls[0].give(record(1))
    await turns()
    bench.below.calls[1].give(record(2))
    await turns()

    assert first.done()
    assert {(await each).serial for each in others} == {2}
    assert len(bench.below.calls) == 2


async def test_authoritative_questions_do_not_share_the_flight_of_one_who_takes_any_answer() -> (
    None
):
    bench = Bench()
    leader = await bench.ask()
    careless, careful = await bench.ask(), await bench.ask(at_least=NEWEST)
    leader.cancel()
    await turns()
    assert [call.at_least for call in bench.below.calls] == [0, 0]
    bench.below.calls[1].give(record(1))
    await turns()
    assert careless.done()

    bench.below.calls[2].give(record(2))

    assert (await careful).serial == 2


async def test_an_answer_ahead_of_the_feed_drops_the_ready_replies_of_its_key() -> None:
    bench = Bench()
    bench.freshness.learn(3, [])
    await bench.keep(record(3), b"KNOWN")
    assert bench.newer == []

    await bench.keep(record(4))

    assert bench.newer == [KEY]


async def test_after_an_answer_ahead_of_the_feed_nothing_older_is_taken() -> None:
    """Redis may still hold what was true before."""
    bench = Bench()
    bench.freshness.learn(3, [])
    await bench.keep(record(4))
    bench.tier.clear()
    asking = await bench.ask()
    bench.below.calls[-1].give(record(3))
    await turns()
    assert not asking.done()

    bench.below.calls[-1].give(record(4))

    assert (await asking).serial == 4


async def test_a_kept_record_is_true_for_all_that_the_worker_has_seen_since() -> None:
    bench = Bench()
    bench.freshness.learn(3, [])
    await bench.keep(record(3))
    bench.freshness.learn(9, [(9, b"OTHER")])

    assert (await bench.tier.lookup(KEY)).serial == 9


async def test_number_of_records_is_bounded_and_those_in_use_stay() -> None:
    bench = Bench(max_entries=20)
    await bench.keep(record(1))
    for number in range(200):
        await bench.keep(record(1), b"K%d" % number)
        await bench.tier.lookup(KEY)
        assert len(bench.tier) <= 20

    assert await bench.is_kept()
    assert await bench.is_kept(b"K199")
    assert not await bench.is_kept(b"K0")


async def test_size_is_bounded_whatever_the_records_weigh() -> None:
    bench = Bench(max_entries=1_000, max_bytes=100_000)
    for number in range(50):
        await bench.keep(record(1, bytes(10_000)), b"K%d" % number)
        assert bench.tier.size_bytes <= 100_000 + 11_000

    assert await bench.is_kept(b"K49")


@pytest.mark.parametrize("count", range(10, 40, 3))
async def test_size_is_that_of_what_is_kept(count: int) -> None:
    bench = Bench(max_entries=20)
    for number in range(count):
        await bench.keep(record(1, bytes(number)), b"K%d" % (number % 30))
        if number % 7 == 0:
            await bench.tier.lookup(b"K%d" % max(0, number - 7))
    for number in range(30):
        bench.tier.drop(b"K%d" % number)

    assert (len(bench.tier), bench.tier.size_bytes) == (0, 0)


async def test_clearing_forgets_everything() -> None:
    bench = Bench()
    await bench.keep(record(1))
    bench.tier.clear()

    assert (len(bench.tier), bench.tier.size_bytes) == (0, 0)
    assert not await bench.is_kept()


async def test_a_bound_of_nothing_keeps_nothing() -> None:
    bench = Bench(max_entries=0)
    await bench.keep(record(1))

    assert not await bench.is_kept()

"""The memory tier asked for several keys at once: given in portions, one flight a key, nothing old."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from resolver.answer import Stored
from resolver.source import SourceUnavailable
from tests.support.sources import HeldSource, absence, record, turns
from tests.unit.test_tier_memory import Bench

ONE, TWO, THREE = b"88.1/1", b"88.1/2", b"88.1/3"


class Asking:
    """A question for several keys, and what was given so far, portion by portion."""

    def __init__(self, bench: Bench, *keys: bytes) -> None:
        self.portions: list[dict[bytes, Stored]] = []
        self.task = asyncio.create_task(bench.tier.gather(keys, self._take))

    def _take(self, found: Mapping[bytes, Stored]) -> None:
        self.portions.append(dict(found))

    @property
    def given(self) -> dict[bytes, int]:
        """The serials of the answers, by key."""
        return {key: stored.serial for each in self.portions for key, stored in each.items()}


async def ask(bench: Bench, *keys: bytes) -> Asking:
    asking = Asking(bench, *keys)
    await turns()
    return asking


def call(source: HeldSource, key: bytes) -> Any:
    """Return the newest question for a key."""
    return next(each for each in reversed(source.calls) if each.key == key)


async def test_what_is_there_does_not_wait_for_what_is_not() -> None:
    bench = Bench()
    await bench.keep(record(1), ONE)
    asking = await ask(bench, ONE, TWO, THREE)
    assert asking.given == {ONE: 1}
    call(bench.below, THREE).give(record(2))
    await turns()
    assert asking.given == {ONE: 1, THREE: 2}
    call(bench.below, TWO).give(absence(3))
    await asking.task
    assert asking.given == {ONE: 1, THREE: 2, TWO: 3}


async def test_one_who_asks_for_a_key_under_way_shares_its_flight() -> None:
    bench = Bench()
    asking = await ask(bench, ONE, TWO)
    alone, others = await bench.ask(ONE), await ask(bench, TWO, THREE)
    assert [each.key for each in bench.below.calls] == [ONE, TWO, THREE]
    for key in (ONE, TWO, THREE):
        call(bench.below, key).give(record(5))
    assert (await alone).serial == 5
    await asyncio.gather(asking.task, others.task)
    assert (asking.given, others.given) == ({ONE: 5, TWO: 5}, {TWO: 5, THREE: 5})


async def test_what_others_fetch_slowly_holds_up_nothing() -> None:
    bench = Bench()
    slow = await ask(bench, ONE)
    asking = await ask(bench, ONE, TWO)
    call(bench.below, TWO).give(record(1))
    await turns()
    assert asking.given == {TWO: 1}
    call(bench.below, ONE).give(record(1))
    await asyncio.gather(slow.task, asking.task)
    assert asking.given == {TWO: 1, ONE: 1}


async def test_an_answer_older_than_a_known_change_is_read_again_and_the_others_are_given() -> None:
    bench = Bench()
    asking = await ask(bench, ONE, TWO)
    joined = await bench.ask(ONE)
    bench.freshness.learn(7, [(7, ONE)])
    for key in (ONE, TWO):
        call(bench.below, key).give(record(6))
    await turns()
    assert asking.given == {TWO: 6}
    call(bench.below, ONE).give(record(7))
    await asking.task
    assert asking.given == {TWO: 6, ONE: 7}
    assert (await joined).serial == 7


async def test_what_cannot_be_read_is_not_given_and_the_rest_is() -> None:
    bench = Bench()
    asking = await ask(bench, ONE, TWO)
    joined = await bench.ask(ONE)
    call(bench.below, TWO).give(record(2))
    call(bench.below, ONE).fail()
    with pytest.raises(SourceUnavailable):
        await asking.task
    with pytest.raises(SourceUnavailable):
        await joined
    assert asking.given == {TWO: 2}
    assert not await bench.is_kept(ONE)
    assert await bench.is_kept(TWO)


async def test_when_it_is_cancelled_those_who_joined_fly_again() -> None:
    bench = Bench()
    asking = await ask(bench, ONE, TWO)
    joined = await bench.ask(ONE)
    asking.task.cancel()
    await turns()
    call(bench.below, ONE).give(record(3))
    assert (await joined).serial == 3
    assert [each.key for each in bench.below.calls] == [ONE, TWO, ONE]


async def test_two_who_ask_in_one_turn_share_flights_though_one_also_joins_another() -> None:
    bench = Bench()
    before = await bench.ask(ONE)
    first, second = Asking(bench, ONE, TWO, THREE), Asking(bench, TWO, THREE)
    alone = await bench.ask(TWO)
    assert sorted(each.key for each in bench.below.calls) == [ONE, TWO, THREE]
    for each in bench.below.calls:
        each.give(record(1))
    await asyncio.gather(before, first.task, second.task, alone)
    assert first.given == {ONE: 1, TWO: 1, THREE: 1}
    assert second.given == {TWO: 1, THREE: 1}


async def test_a_failure_of_what_was_joined_is_told_when_the_rest_has_come() -> None:
    bench = Bench()
    before = await bench.ask(ONE)
    asking = await ask(bench, ONE, TWO)
    call(bench.below, ONE).fail()
    await turns()
    assert not asking.task.done()
    call(bench.below, TWO).give(record(2))
    with pytest.raises(SourceUnavailable):
        await asking.task
    with pytest.raises(SourceUnavailable):
        await before
    assert asking.given == {TWO: 2}

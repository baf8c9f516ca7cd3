"""The Redis tier on a real server and on a real cluster: its laws, and every way to be away, slow, empty or old."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from resolver.answer import NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.source import NEWEST, SourceUnavailable
from tests.support.clusters import ValkeyCluster
from tests.support.servers import ValkeyServer
from tests.support.sources import HeldSource
from tests.support.truth import Member, Truth, member
from tests.support.waiting import until

pytestmark = pytest.mark.cache

KEY, OTHER, ABSENT = (
    b"88.1/X",
    b"88.1/J",
    b"88.1/MISSING",
)  # of one lot of a cluster: asked for, put and applied together
MANY = [b"88.1/%d" % number for number in range(60)]
Pair = tuple[Member, Member]
Servers = ValkeyServer | ValkeyCluster


@pytest.fixture(params=["server", "cluster"])
def redis_url(request: pytest.FixtureRequest, redis_url: str) -> str:
    """A Redis-compatible server, and a cluster of three."""
    if request.param == "server":
        return redis_url
    cluster: ValkeyCluster = request.getfixturevalue("own_cluster")
    return cluster.url


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tier wait for an answer as long as a busy machine may need."""
    monkeypatch.setattr("resolver.tiers.redis._READ_SECONDS", 30.0)
    monkeypatch.setattr("resolver.tiers.redis._WRITE_SECONDS", 30.0)


@pytest.fixture(params=["server", "cluster"])
def own_servers(request: pytest.FixtureRequest) -> Servers:
    """The same, to stop and start."""
    name = {"server": "own_valkey", "cluster": "own_cluster"}[request.param]
    servers: Servers = request.getfixturevalue(name)
    return servers


@pytest.fixture
def truth() -> Truth:
    made = Truth()
    made.write(KEY, OTHER, *MANY)
    return made


@pytest.fixture
async def pair(truth: Truth, redis_url: str) -> AsyncIterator[Pair]:
    """Two workers on one Redis, which knows where they stand."""
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(member(truth, redis_url)) for _ in range(2)]
        await one.applied(truth.serial)
        yield one, two


@pytest.fixture
async def own_pair(truth: Truth, own_servers: Servers) -> AsyncIterator[Pair]:
    """Two workers on a Redis that the test may do anything to."""
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(member(truth, own_servers.url)) for _ in range(2)
        ]
        await one.applied(truth.serial)
        yield one, two


@pytest.mark.usefixtures("patient")
class TestSharing:
    async def test_what_one_worker_read_the_other_finds(self, pair: Pair, truth: Truth) -> None:
        one, two = pair
        await one.share(KEY)
        asked = truth.asked

        found = await two.ask(KEY)

        assert found == truth.read(KEY)._replace(ttl_seconds=found.ttl_seconds, tier=Tier.REDIS)
        assert truth.asked == asked

    async def test_negative_answers_are_shared_for_their_short_ttl(self, pair: Pair) -> None:
        one, two = pair
        await one.share(ABSENT)

        found = await two.ask(ABSENT)

        assert (found.handle, found.tier) == (None, Tier.REDIS)
        assert 0 < found.ttl_seconds <= NEGATIVE_TTL_SECONDS
        assert 0 < await one.client.ttl(one.name(ABSENT)) <= NEGATIVE_TTL_SECONDS

    async def test_only_what_is_left_of_the_ttl_is_given(self, redis_url: str) -> None:
        class Brief(Truth):
            def read(self, key: bytes) -> Stored:
                return super().read(key)._replace(ttl_seconds=20, restricted=True)

        brief = Brief()
        brief.write(KEY)
        async with member(brief, redis_url) as one, member(brief, redis_url) as two:
            await one.applied(1)
            await one.share(KEY)

            found = await two.ask(KEY)
            kept_for = await one.client.ttl(one.name(KEY))

        assert (found.tier, found.restricted) == (Tier.REDIS, True)
        assert 15 <= found.ttl_seconds <= 20
        assert 15 <= kept_for <= 20

    async def test_a_record_without_ttl_is_not_shared(self, redis_url: str) -> None:
        class Fleeting(Truth):
            def read(self, key: bytes) -> Stored:
                return super().read(key)._replace(ttl_seconds=0 if key == KEY else 60)

        fleeting = Fleeting()
        fleeting.write(KEY, OTHER)
        async with member(fleeting, redis_url) as one:
            await one.applied(2)
            await one.ask(KEY)
            await one.share(OTHER)

            assert await one.peek(KEY) is None

    async def test_authoritative_questions_pass_by(self, pair: Pair) -> None:
        one, _ = pair
        await one.share(KEY)

        assert (await one.caches.memory.lookup(KEY, at_least=NEWEST)).tier is Tier.POSTGRES

    async def test_all_misses_of_one_turn_are_one_question(self, pair: Pair) -> None:
        one, _ = pair
        await one.share(*MANY)
        before = await one.questions()

        found = await asyncio.gather(*map(one.ask, MANY))

        assert [each.wire for each in found] == [one.truth.read(key).wire for key in MANY]
        assert await one.questions() == before + one.lots(*MANY)

    async def test_when_the_truth_is_away_what_is_shared_goes_on(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, _ = pair
        await one.share(KEY)
        away = HeldSource()
        async with member(truth, redis_url, source=away) as two:
            assert (await two.ask(KEY)).tier is Tier.REDIS

            asking = asyncio.create_task(two.ask(ABSENT))
            await until(lambda: bool(away.calls))
            away.calls[0].fail()
            with pytest.raises(SourceUnavailable):
                await asking


@pytest.mark.usefixtures("patient")
class TestLaws:
    async def test_a_change_leaves_a_tombstone_for_those_who_have_not_heard(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        await one.share(KEY)
        truth.write(KEY)
        one.poll()
        await one.applied(truth.serial)
        assert await one.is_tombstone(KEY)

        assert two.caches.freshness.seen < truth.serial
        assert await two.is_current(KEY)

    async def test_who_has_heard_takes_nothing_older_though_redis_has_not_been_told(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        await one.share(KEY)
        redis = two.caches.redis
        assert redis is not None
        truth.write(KEY)

        two.caches.freshness.learn(truth.serial, truth.changes)  # learnt, and not yet applied

        assert not await one.is_tombstone(KEY)
        assert await two.is_current(KEY)

    async def test_a_slow_reader_cannot_put_an_old_record_over_a_tombstone(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, two = pair
        held = HeldSource()
        async with member(truth, redis_url, source=held) as slow:
            reading = [asyncio.create_task(slow.ask(key)) for key in (KEY, OTHER)]
            await until(lambda: len(held.calls) == 2)
            old = truth.read(KEY)
            truth.write(KEY)
            one.poll()
            await one.applied(truth.serial)

            held.calls[0].give(old)
            held.calls[1].give(truth.read(OTHER))
            await asyncio.gather(*reading)
            await slow.stands(OTHER)  # put together with the other one, and accepted

            assert await one.is_tombstone(KEY)
            assert await two.is_current(KEY)

    async def test_nor_where_the_tombstone_is_gone(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, two = pair
        held = HeldSource()
        async with member(truth, redis_url, source=held) as slow:
            reading = [asyncio.create_task(slow.ask(key)) for key in (KEY, OTHER)]
            await until(lambda: len(held.calls) == 2)
            old = truth.read(KEY)
            truth.write(KEY)
            one.poll()
            await one.applied(truth.serial)
            await one.client.delete(one.name(KEY))

            held.calls[0].give(old)
            held.calls[1].give(truth.read(OTHER))
            await asyncio.gather(*reading)
            await slow.stands(OTHER)

            assert await one.peek(KEY) is None
            assert await two.is_current(KEY)

    async def test_a_slow_reader_cannot_put_an_old_record_over_a_newer_one(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        """Even when nobody has applied the change yet."""
        one, _ = pair
        held = HeldSource()
        async with member(truth, redis_url, source=held) as slow:
            reading = [asyncio.create_task(slow.ask(key)) for key in (KEY, OTHER)]
            await until(lambda: len(held.calls) == 2)
            old = truth.read(KEY)
            truth.write(KEY)
            await one.share(KEY)
            newer = await one.peek(KEY)

            held.calls[0].give(old)
            held.calls[1].give(truth.read(OTHER))
            await asyncio.gather(*reading)
            await slow.stands(OTHER)

            assert await one.peek(KEY) == newer

    async def test_after_an_answer_ahead_of_the_feed_the_older_entry_is_not_taken(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        await one.share(KEY)
        old = await one.peek(KEY)
        truth.write(KEY)
        await two.caches.memory.lookup(KEY, at_least=NEWEST)
        await two.stands(KEY)
        assert old is not None
        await two.client.set(two.name(KEY), old)  # as if its put had been lost

        assert await two.is_current(KEY)

    async def test_changes_are_applied_once_by_whoever_comes_first(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        await one.share(*MANY)
        for key in MANY:
            truth.write(key)
            (one, two)[truth.serial % 2].poll()
            if truth.serial % 3 == 0:
                (two, one)[truth.serial % 2].poll(truth.serial - 1)
        one.poll()
        await one.applied(truth.serial)

        assert all([await one.is_tombstone(key) for key in MANY])
        assert await one.state() == (62, truth.serial)
        assert await two.is_current(*MANY)

    async def test_a_thousand_changes_come_in_parts_and_count_when_all_are_there(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        await one.share(KEY)
        truth.write(KEY, *(b"88.1/BULK%d" % number for number in range(12_000)))
        one.poll()
        await one.applied(truth.serial)

        assert await one.is_tombstone(KEY)
        assert await one.is_tombstone(b"88.1/BULK11999")
        assert await two.is_current(KEY, b"88.1/BULK0")

    async def test_a_gap_makes_everything_before_it_worthless(
        self, truth: Truth, redis_url: str
    ) -> None:
        async with member(truth, redis_url) as gone:
            await gone.applied(truth.serial)
            await gone.share(KEY, OTHER)
        truth.write(KEY)  # nobody is there to apply it

        async with member(truth, redis_url) as late:
            await late.applied(truth.serial)
            assert await late.state() == (truth.serial, truth.serial)
            assert await late.is_current(KEY, OTHER)

    async def test_what_was_put_long_ago_is_as_new_as_the_changes_applied_since(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, _ = pair
        await one.share(OTHER)
        truth.write(KEY)
        one.poll()
        await one.applied(truth.serial)
        async with member(truth, redis_url) as late:
            found = await late.ask(OTHER)

        assert (found.tier, found.serial) == (Tier.REDIS, truth.serial)

    async def test_changes_are_not_applied_to_a_redis_that_went_back_in_between(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        """Else it would claim changes that it has not been told of."""
        one, _ = pair
        await one.share(KEY)
        old_state, old_entry = await one.peek(b"state"), await one.peek(KEY)
        truth.write(KEY)
        one.poll()
        await one.applied(truth.serial)
        truth.write(OTHER)
        assert old_state is not None
        assert old_entry is not None
        done = asyncio.Event()

        async def go_back() -> None:
            await one.client.set(one.name(b"state"), old_state)
            await one.client.set(one.name(KEY), old_entry)
            done.set()

        one.meddled.meddle = go_back
        one.poll()
        await done.wait()
        one.poll()
        await one.applied(truth.serial)

        async with member(truth, redis_url) as late:
            assert await late.is_current(KEY, OTHER)

    async def test_a_worker_that_lags_does_not_take_back_what_was_applied(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, two = pair
        truth.write(KEY, OTHER)
        done = asyncio.Event()

        async def overtake() -> None:
            two.poll()
            await two.applied(truth.serial)
            done.set()

        one.meddled.meddle = overtake
        one.poll(truth.serial - 1)
        await done.wait()
        await one.share(ABSENT)  # which comes after what it applies

        assert await one.state() == (62, truth.serial)

    async def test_changes_of_another_life_are_not_applied_to_this_one(
        self, pair: Pair, truth: Truth
    ) -> None:
        one, _ = pair
        old = one.name(b"state")
        truth.write(KEY)
        done = asyncio.Event()

        async def begin_anew() -> None:
            truth.epoch, truth.serial = Truth().epoch, 5
            one.restart()
            done.set()

        one.meddled.meddle = begin_anew
        one.poll()
        await done.wait()
        await one.applied(5)

        assert await one.client.get(old) == b"%016x%016x" % (62, 62)
        assert await one.state() == (5, 5)

    async def test_a_worker_that_starts_gives_the_others_time_to_fill_the_gap(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, _ = pair
        await one.share(OTHER)
        truth.write(KEY)
        async with member(truth, redis_url) as late:
            assert await late.is_current(KEY, OTHER)
            one.poll()
            await one.applied(truth.serial)

            assert await one.state() == (62, truth.serial)  # `base` did not move
            assert (await late.ask(OTHER)).tier is Tier.REDIS

    async def test_a_worker_whose_window_does_not_reach_back_takes_nothing(
        self, pair: Pair, truth: Truth, redis_url: str
    ) -> None:
        one, _ = pair
        await one.share(KEY, OTHER)
        truth.write(KEY)
        async with member(truth, redis_url) as late:
            found = await asyncio.gather(*map(late.ask, (KEY, OTHER)))

        assert [each.tier for each in found] == [Tier.POSTGRES] * 2

    async def test_entries_of_another_epoch_do_not_exist(self, pair: Pair, redis_url: str) -> None:
        one, _ = pair
        await one.share(KEY)
        other = Truth()
        other.write(*[b"88.1/FILL"] * 100)
        async with member(other, redis_url) as restored:
            assert await restored.is_current(KEY)
            await restored.applied(100)
            assert (await restored.ask(KEY)).handle is None

    async def test_what_was_read_before_the_epoch_changed_is_not_put_under_the_new_one(
        self, truth: Truth, redis_url: str
    ) -> None:
        held = HeldSource()
        async with member(truth, redis_url, source=held) as one:
            await one.applied(truth.serial)
            reading = asyncio.create_task(one.ask(KEY))
            await until(lambda: bool(held.calls))
            old = truth.read(KEY)
            truth.epoch, truth.serial = Truth().epoch, 5
            one.restart()
            await one.applied(5)

            held.calls[0].give(old)
            await until(lambda: len(held.calls) == 2)  # of another life: read again
            held.calls[1].give(truth.read(OTHER))
            await reading
            await one.stands(KEY)

            assert (await one.peek(KEY) or b"").startswith(b"%016x" % 5)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("redis_url", ["server"], indirect=True)
class TestNotOurs:
    """Law 4: somebody else's values under our names, or half of ours."""

    @pytest.mark.parametrize(
        "value",
        [b"", b"x", b"00", b"zz" * 8, b"0" * 15, b"f" * 17, b"0" * 20, bytes(64), b"%016x" % 99],
    )
    async def test_garbage_is_no_record(self, pair: Pair, value: bytes) -> None:
        one, two = pair
        await one.client.set(one.name(KEY), value)

        assert await one.is_current(KEY)
        assert await two.is_current(KEY)

    @pytest.mark.parametrize("state", [b"", b"x", b"0" * 31, b"z" * 32, b"%016x" % 5])
    async def test_garbage_is_no_state_and_is_replaced(
        self, pair: Pair, truth: Truth, state: bytes
    ) -> None:
        one, two = pair
        await one.share(KEY)
        await one.client.set(one.name(b"state"), state)
        truth.write(KEY)

        assert await two.is_current(KEY, OTHER)
        one.poll()
        await one.applied(truth.serial)
        assert await two.is_current(KEY, OTHER)

    async def test_another_kind_of_value_is_no_record(self, pair: Pair) -> None:
        one, two = pair
        await one.client.rpush(one.name(KEY), b"a", b"b")

        assert await two.is_current(KEY, OTHER)
        await two.ask(OTHER)
        assert await two.is_current(KEY, OTHER)


class TestTrouble:
    async def test_flushed_in_the_middle(self, own_pair: Pair, truth: Truth) -> None:
        one, two = own_pair
        await one.share(*MANY)

        await one.client.flushall()

        assert await two.is_current(*MANY)
        truth.write(*MANY[:10])
        assert (await one.ask(KEY)).tier is Tier.POSTGRES
        two.poll()
        await two.applied(truth.serial)
        await two.share(*MANY)
        assert await two.is_current(*MANY)
        one.poll()
        assert (await one.ask(MANY[0])).tier is Tier.REDIS

    async def test_losing_the_state_alone(self, own_pair: Pair, truth: Truth) -> None:
        one, two = own_pair
        truth.write(OTHER)
        one.poll()
        two.poll()
        await two.applied(truth.serial)
        await one.share(KEY, OTHER)
        truth.write(KEY)
        await one.client.delete(one.name(b"state"))

        assert await one.is_current(KEY, OTHER)
        two.poll()
        await two.applied(truth.serial)

        assert await one.is_current(KEY, OTHER)
        assert (await one.state() or (0,))[0] >= truth.serial - 1  # entries of before are worthless

    async def test_gone_and_back_empty(
        self, own_pair: Pair, truth: Truth, own_servers: Servers
    ) -> None:
        one, two = own_pair
        await one.share(*MANY)
        own_servers.stop()
        try:
            truth.write(*MANY[:10])
            one.poll()
            assert await two.is_current(*MANY[10:])
            assert await one.is_current(*MANY)
            await until(lambda: one.errors() > 0)
            assert not one.is_up()
        finally:
            own_servers.start()

        await one.applied(truth.serial)
        await until(one.is_up)
        await one.share(*MANY)
        two.poll()
        assert await two.is_current(*MANY)

    async def test_stopped_for_a_while_costs_a_moment_and_mixes_nothing_up(
        self, own_pair: Pair, truth: Truth, own_servers: Servers
    ) -> None:
        """The connections are cut in the middle of answers, which must not be taken for those to later questions."""
        one, two = own_pair
        await one.share(*MANY)
        with paused(own_servers):
            truth.write(*MANY[:10])
            one.poll()
            began = monotonic()
            assert await one.is_current(*MANY)
            assert monotonic() - began < 5

        await one.applied(truth.serial)
        for _ in range(3):
            assert await one.is_current(*MANY)
            two.poll()
            assert await two.is_current(*MANY)

    @pytest.mark.parametrize(
        "own_servers", ["server"], indirect=True
    )  # slow, and alike on a cluster
    async def test_pauses_at_any_moment_mix_nothing_up(
        self, own_pair: Pair, truth: Truth, own_servers: Servers
    ) -> None:
        one, two = own_pair
        for round_number in range(4):
            asking = [asyncio.create_task(each.is_current(*MANY)) for each in (one, two)]
            await asyncio.sleep(0.0005 * round_number)
            with paused(own_servers):
                assert await asyncio.gather(*asking) == [True, True]
            truth.write(MANY[round_number])
            one.poll()
            two.poll()

        await one.applied(truth.serial)
        assert await one.is_current(*MANY)
        assert await two.is_current(*MANY)

    async def test_back_from_an_old_file(
        self, own_pair: Pair, truth: Truth, own_servers: Servers
    ) -> None:
        one, two = own_pair
        await one.share(KEY, OTHER, *MANY)
        await one.client.save()
        truth.write(KEY, *MANY[:5])
        truth.remove(OTHER)
        one.poll()
        await one.applied(truth.serial)
        await one.share(KEY, OTHER, *MANY)

        own_servers.stop()
        own_servers.start()  # from the file
        try:
            assert (await one.state() or (0, 0))[1] < truth.serial
            for each in (one, two):
                each.poll()
                assert await each.is_current(KEY, OTHER, *MANY)
            async with member(truth, own_servers.url) as new:
                assert await new.is_current(KEY, OTHER, *MANY)
                await one.applied(truth.serial)
                assert await new.is_current(KEY, OTHER, *MANY)
        finally:
            own_servers.forget()

    @pytest.mark.parametrize(
        "own_servers", ["server"], indirect=True
    )  # slow, and alike on a cluster
    async def test_back_from_an_old_file_that_nobody_can_bring_up_to_date(
        self, truth: Truth, own_servers: Servers
    ) -> None:
        async with member(truth, own_servers.url) as gone:
            await gone.applied(truth.serial)
            await gone.share(KEY, OTHER)
            await gone.client.save()
        truth.write(KEY)
        own_servers.stop()
        own_servers.start()
        try:
            truth.remove(OTHER)
            async with member(truth, own_servers.url) as new:
                assert await new.is_current(KEY, OTHER)
                await new.applied(truth.serial)
                assert await new.is_current(KEY, OTHER)
        finally:
            own_servers.forget()

    async def test_cut_off_from_one_worker_only(
        self, own_pair: Pair, truth: Truth, tmp_path: Path
    ) -> None:
        one, two = own_pair
        async with member(truth, f"unix://{tmp_path}/nothing") as cut_off:
            assert await cut_off.is_current(KEY, OTHER)
            await one.share(KEY, OTHER)
            truth.write(KEY)
            one.poll()
            await one.applied(truth.serial)
            cut_off.poll()

            assert await cut_off.is_current(KEY, OTHER)
            assert await two.is_current(KEY, OTHER)
            await until(lambda: not cut_off.is_up())


@contextmanager
def paused(servers: Servers) -> Iterator[None]:
    """Have the servers do nothing while their sockets stay open."""
    servers.send(signal.SIGSTOP)
    try:
        yield
    finally:
        servers.send(signal.SIGCONT)

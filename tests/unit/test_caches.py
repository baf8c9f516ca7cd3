"""All that a worker keeps, together: what a change, a prefix and a fresh answer do to it."""

from collections.abc import Iterator

import pytest

from node.readpath import Caches
from resolver.answer import Tier
from resolver.hot.table import HotTable, Ready
from resolver.observe import CELL_COUNT, Event, Gauge, Tally, event_cell, gauge_cell
from resolver.source import NEWEST
from tests.support.memory import MemoryStore

FAR = 2**62


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tally() -> Tally:
    return Tally([0] * CELL_COUNT)


@pytest.fixture
def caches(store: MemoryStore, tally: Tally) -> Caches:
    made = Caches(store, None, tally, lambda _: None, hot_entries=100, memory_entries=100)
    made.restart("epoch", store.serial)
    return made


def keep_ready(caches: Caches, key: bytes, serial: int = 1) -> None:
    ready: Ready = (FAR, 0, False, b"", b"", key, serial, b"", None)
    for table in caches.hot_tables:
        table.put(b"request of " + key, ready, table.era)


def ready_keys(caches: Caches) -> Iterator[set[bytes]]:
    for table in caches.hot_tables:
        yield {entry[5] for entry in table.young.values()}


async def test_a_change_drops_the_record_and_its_replies_and_is_counted_once(
    caches: Caches, tally: Tally
) -> None:
    await caches.memory.lookup(b"88.1/A")
    keep_ready(caches, b"88.1/A")
    keep_ready(caches, b"88.1/B")

    caches.learn(2, [(2, b"88.1/A")])

    assert list(ready_keys(caches)) == [{b"88.1/B"}] * 2
    assert len(caches.memory) == 0
    assert tally.cells[event_cell(Event.CACHE_INVALIDATED)] == 1


async def test_an_answer_read_ahead_of_the_feed_takes_the_older_replies_away(
    caches: Caches, store: MemoryStore
) -> None:
    """Else an authoritative answer, or one for other values, would be followed by an older one."""
    keep_ready(caches, b"88.1/A")
    keep_ready(caches, b"88.1/B")
    store.serial += 1

    await caches.memory.lookup(b"88.1/A", at_least=NEWEST)

    assert list(ready_keys(caches)) == [{b"88.1/B"}] * 2
    keep_ready(caches, b"88.1/A")  # read before, and late
    assert list(ready_keys(caches)) == [{b"88.1/B"}] * 2


async def test_what_others_have_written_ends_all_that_was_read_before(
    caches: Caches, store: MemoryStore
) -> None:
    await caches.memory.lookup(b"88.1/A")
    keep_ready(caches, b"88.1/B")
    store.serial += 1

    caches.written_up_to(store.serial)

    assert list(ready_keys(caches)) == [set()] * 2
    keep_ready(caches, b"88.1/B")  # read before, and late
    assert list(ready_keys(caches)) == [set()] * 2
    assert (await caches.memory.lookup(b"88.1/A")).serial == store.serial

    caches.learn(store.serial, [])
    keep_ready(caches, b"88.1/B", store.serial)
    caches.written_up_to(store.serial)  # the feed has told it
    assert list(ready_keys(caches)) == [{b"88.1/B"}] * 2


async def test_a_record_that_has_a_ready_reply_is_let_go(caches: Caches) -> None:
    await caches.memory.lookup(b"88.1/A")
    await caches.memory.lookup(b"88.1/B")

    keep_ready(caches, b"88.1/A")

    assert len(caches.memory) == 1


async def test_a_record_that_is_needed_beside_its_ready_replies_stays(
    caches: Caches, store: MemoryStore
) -> None:
    """Else whoever asks in a way that has no ready replies would have the store read each time."""
    keep_ready(caches, b"88.1/A")
    await caches.memory.lookup(b"88.1/A")

    keep_ready(caches, b"88.1/A")
    store.is_down = True

    assert (await caches.memory.lookup(b"88.1/A")).tier is Tier.MEMORY


async def test_a_record_stays_where_there_is_more_room(store: MemoryStore, tally: Tally) -> None:
    caches = Caches(store, None, tally, lambda _: None, hot_entries=99, memory_entries=100)
    await caches.memory.lookup(b"88.1/A")

    keep_ready(caches, b"88.1/A")

    assert len(caches.memory) == 1


def test_a_restart_forgets_everything(caches: Caches) -> None:
    keep_ready(caches, b"88.1/A")

    caches.restart("another", 7)

    assert list(ready_keys(caches)) == [set(), set()]
    assert caches.freshness.seen == 7


@pytest.mark.parametrize(
    ("prefix", "dropped", "kept"),
    [
        (b"88.118", [b"88.118/X", b"0.NA/88.118"], [b"88.1188/X", b"88.118.8/X", b"0.NA/88.118.8"]),
        (b"10.1234", [b"10.1234/ABC"], [b"10.12345/ABC"]),
        (b"OID:1.2.156", [b"oid:1.2.156.7", b"0.NA/OID:1.2.156"], [b"88.1/OID", b"gs1:01/1"]),
        (b"GS1:6901234", [b"gs1:01/06901234000016/21/X"], [b"oid:1.2.3", b"88.1/X"]),
        (b"ECODE:11234", [b"ecode:1123400000001"], [b"88.1/X"]),
        (b"DID:BID:BY01", [b"did:bid:by01:ef2x", b"0.NA/DID:BID:BY01"], [b"88.1/X"]),
    ],
)
def test_a_prefix_that_changed_takes_the_replies_below_it_away(
    caches: Caches, prefix: bytes, dropped: list[bytes], kept: list[bytes]
) -> None:
    for key in dropped + kept:
        keep_ready(caches, key)

    caches.learn(2, [], {prefix})

    assert list(ready_keys(caches)) == [set(kept)] * 2


def test_a_reply_decided_before_a_prefix_changed_comes_too_late(caches: Caches) -> None:
    hot: HotTable = caches.hot_wire
    era = hot.era
    caches.learn(2, [], {b"88.118"})

    hot.put(b"request", (FAR, 0, False, b"", b"", b"88.118/X", 9, b"", None), era)

    assert len(hot) == 0


def test_what_has_been_heard_is_shown_at_once(caches: Caches, tally: Tally) -> None:
    caches.restart("epoch", 7)
    heard = [tally.cells[gauge_cell(Gauge.FEED_SERIAL)]]
    caches.learn(9, [(8, b"88.1/A"), (9, b"88.1/B")])
    heard.append(tally.cells[gauge_cell(Gauge.FEED_SERIAL)])
    assert heard == [7, 9]


async def test_levels_show_how_full_everything_is(caches: Caches, tally: Tally) -> None:
    await caches.memory.lookup(b"88.1/A")
    keep_ready(caches, b"88.1/B")
    caches.learn(5, [])

    caches.tick()

    def level(gauge: Gauge) -> int:
        return tally.cells[gauge_cell(gauge)]

    assert (level(Gauge.HOT_ENTRIES), level(Gauge.MEMORY_ENTRIES)) == (2, 1)
    assert level(Gauge.HOT_BYTES) == sum(table.size_bytes for table in caches.hot_tables) > 0
    assert level(Gauge.MEMORY_BYTES) == caches.memory.size_bytes > 0
    assert (level(Gauge.FEED_SERIAL), level(Gauge.REDIS_UP)) == (5, 0)

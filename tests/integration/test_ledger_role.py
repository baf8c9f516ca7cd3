"""The ledger's role: what it says by itself, what it is asked for, and who has it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path

import pytest

from node.counters import Counters, slot_path
from node.ledger.agents import AgentNotes
from node.ledger.announced import AnnouncedNumbers, read_announced
from node.ledger.announcer import Terms
from node.ledger.checkpoint import Checkpoint
from node.ledger.classes import Robots
from node.ledger.follower import Moment
from node.ledger.inbox import DIRECTORY, NotTaken, Told, ask
from node.ledger.leaf import (
    Anchor,
    Block,
    CountPolicy,
    Dictionary,
    Epoch,
    Genesis,
    Leaf,
    Meters,
    MonthKey,
    parse,
)
from node.ledger.logfiles import LogFiles
from node.ledger.record import PENDING_PREFIX, UNKNOWN_PREFIX
from node.ledger.role import Conduct, LedgerRole, State
from node.store.database import Database, connect
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from resolver.observe import CELL_COUNT, Tally
from resolver.recorder import MOST_AT_ONCE
from tests.support.ledgers import ORIGIN, START_US, LaneFile, stored_lines
from tests.support.waiting import until

pytestmark = pytest.mark.db

ROBOTS = Robots(1, (b"bot",), "ab" * 32)
TERMS = Terms("test node", "", (), False, ROBOTS)
ANCHOR = Anchor(anchor="rfc3161", day="2026-11-03", sha256="0" * 64, file="a.tsr")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 600.0

    def __call__(self) -> Moment:
        return Moment(START_US + int(self.seconds * 1e6), self.seconds)


def role_of(
    database: Database,
    directory: Path,
    *,
    terms: Terms = TERMS,
    slots: Sequence[Counters] = (),
    clock: Clock | None = None,
    sm2: bool = False,
) -> LedgerRole:
    conduct = Conduct(directory, ORIGIN, terms, sm2)
    tally = Tally([0] * CELL_COUNT)
    return LedgerRole(database, conduct, slots, tally, clock=clock or Clock(), round_seconds=0.01)


@asynccontextmanager
async def running(role: LedgerRole) -> AsyncIterator[LedgerRole]:
    task = asyncio.create_task(role.run())
    try:
        await until(lambda: role.standing().state is not State.STANDBY or task.done(), 20)
        yield role
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def asked(directory: Path, leaf: Leaf | None = None) -> Told:
    return await asyncio.to_thread(ask, directory, leaf)


async def stored(url: str) -> list[Leaf]:
    return [parse(line) for line in await stored_lines(url)]


async def test_new_log_says_whose_it_is_and_how_it_counts(
    database: Database, tmp_path: Path
) -> None:
    async with running(role_of(database, tmp_path, sm2=True)):
        await asked(tmp_path)
    genesis, policy, key, meters = (await stored(database.dsn))[:4]
    assert isinstance(genesis, Genesis)
    assert [text.split("+")[0] for text in genesis.keys] == [ORIGIN, ORIGIN]
    assert "".join(f"{text}\n" for text in genesis.keys) == (tmp_path / "keys/log.vkey").read_text()
    assert genesis.policy == "".join(f"log {text}\n" for text in genesis.keys) + "quorum none\n"
    assert isinstance(policy, CountPolicy)
    assert policy.number == 1
    assert isinstance(key, MonthKey)
    assert isinstance(meters, Meters)
    assert (tmp_path / "keys/log.key").stat().st_mode & 0o077 == 0


async def test_restart_says_nothing_again(database: Database, tmp_path: Path) -> None:
    for _ in range(2):
        async with running(role_of(database, tmp_path)):
            await asked(tmp_path)
    kinds = [leaf.kind for leaf in await stored(database.dsn)]
    assert kinds == ["gen", "pol", "key", "met", "met"]


async def test_policy_of_other_settings_begins_later_than_its_leaf(
    database: Database, tmp_path: Path
) -> None:
    clock = Clock()
    async with running(role_of(database, tmp_path, clock=clock)):
        await asked(tmp_path)
    terms = TERMS._replace(own_networks=(ip_network("192.0.2.0/24"),))
    async with running(role_of(database, tmp_path, terms=terms, clock=clock)):
        await asked(tmp_path)
        announced = read_announced(tmp_path, ROBOTS)
    policies = [leaf for leaf in await stored(database.dsn) if isinstance(leaf, CountPolicy)]
    assert [policy.number for policy in policies] == [1, 2]
    assert policies[1].since > clock().wall_us
    assert [policy.no for policy in announced.policies] == [1, 2]
    assert announced.policies[1].own_networks == terms.own_networks


async def test_prefixes_get_numbers_that_stay(database: Database, tmp_path: Path) -> None:
    async def home(name: bytes) -> None:
        async with database.transaction() as connection:
            await write_prefixes(connection, [PrefixRow(name, name.decode(), PrefixState.HOMED)])

    await home(b"88.118")
    async with running(role_of(database, tmp_path)):
        await asked(tmp_path)
        await home(b"OID:1.2.156")
        await asked(tmp_path)
    async with running(role_of(database, tmp_path)):
        await asked(tmp_path)
    found = [leaf for leaf in await stored(database.dsn) if isinstance(leaf, Dictionary)]
    rows = [row for leaf in found for row in leaf.prefixes]
    assert rows == [(1, "handle", "88.118"), (2, "oid", "OID:1.2.156")]
    numbers = AnnouncedNumbers(read_announced(tmp_path, ROBOTS), lambda name: name == b"86.1")
    assert numbers.prefix_no(b"88.118.3/A") == 1
    assert numbers.prefix_no(b"oid:1.2.156.7") == 2
    assert numbers.prefix_no(b"86.1/A") == PENDING_PREFIX
    assert numbers.prefix_no(b"77/A") == UNKNOWN_PREFIX


async def test_user_agents_get_numbers_that_stay(database: Database, tmp_path: Path) -> None:
    notes = AgentNotes(tmp_path, 0)
    for agents in ((b"Pump/1", b"Valve/2"), (b"Valve/2", b"Press/3")):
        async with running(role_of(database, tmp_path)):
            for agent in agents:
                notes.met(agent)
            notes.write()
            await asked(tmp_path)
    found = [leaf for leaf in await stored(database.dsn) if isinstance(leaf, Dictionary)]
    rows = [row for leaf in found for row in leaf.agents]
    assert rows == [(1, "Pump/1"), (2, "Valve/2"), (3, "Press/3")]
    numbers = AnnouncedNumbers(read_announced(tmp_path, ROBOTS), lambda _: False)
    assert [numbers.agent_no(each) for each in (b"Valve/2", b"Press/3")] == [2, 3]


async def test_meters_show_both_counts_of_each_worker(database: Database, tmp_path: Path) -> None:
    counters = Counters.open(slot_path(tmp_path, 0))
    counters.cells[3] = 25
    counters.cells[5] = 17
    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(40)
        async with running(role_of(database, tmp_path, slots=[counters])):
            await asked(tmp_path)
    counters.close()
    meters = [leaf for leaf in await stored(database.dsn) if isinstance(leaf, Meters)]
    assert meters[0].workers == ((0, 0, 1, 42, 40, MOST_AT_ONCE),)


async def test_end_seals_and_publishes_all_that_was_recorded(
    database: Database, tmp_path: Path
) -> None:
    role = role_of(database, tmp_path)
    with LaneFile(tmp_path / "lanes") as lane:
        async with running(role):
            lane.append(7)
            lane.say_closed()
            await role.end()
            assert role.standing().state is State.STANDBY
    leaves = await stored(database.dsn)
    assert sum(sum(leaf.records) for leaf in leaves if isinstance(leaf, Block)) == 7
    assert [leaf.state for leaf in leaves if isinstance(leaf, Epoch)] == ["open", "close"]
    note = LogFiles(tmp_path).published()
    assert note is not None
    assert Checkpoint.parse(note.text).size == len(leaves)
    assert not lane.path.exists()


async def test_end_of_who_does_not_write_waits_for_nothing(
    database: Database, tmp_path: Path
) -> None:
    other = role_of(database, tmp_path)
    async with running(role_of(database, tmp_path)) as one:
        await asked(tmp_path)
        await other.end()
        assert one.standing().state is State.WRITING
    assert await stored(database.dsn)


async def test_lane_beats_once_though_somebody_asks_at_that_moment(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "x.ask").touch()
    with LaneFile(tmp_path / "lanes"):
        async with running(role_of(database, tmp_path)):
            await until((tmp_path / DIRECTORY / "x.told").exists)
    assert len([leaf for leaf in await stored(database.dsn) if isinstance(leaf, Block)]) == 1


async def test_silence_of_witnesses_is_measured_by_the_clock_of_the_role(
    database: Database, tmp_path: Path
) -> None:
    clock = Clock()
    role = role_of(database, tmp_path, clock=clock)
    async with running(role):
        await asked(tmp_path)
        witnesses = role.standing().witnesses
    assert witnesses is not None
    assert witnesses.met_at == clock().wall_us / 1e6


async def test_leaf_that_is_asked_for_twice_is_in_the_log_once(
    database: Database, tmp_path: Path
) -> None:
    async with running(role_of(database, tmp_path)):
        first = await asked(tmp_path, ANCHOR)
        again = await asked(tmp_path, ANCHOR)
    assert first.at == again.at
    assert first.at is not None
    assert first.size > first.at
    leaves = await stored(database.dsn)
    assert leaves[first.at] == ANCHOR
    assert leaves.count(ANCHOR) == 1
    assert list((tmp_path / DIRECTORY).iterdir()) == []


async def test_counts_cannot_be_asked_for(database: Database, tmp_path: Path) -> None:
    async with running(role_of(database, tmp_path)):
        with pytest.raises(NotTaken, match="node's own"):
            await asked(tmp_path, Meters(time=1, workers=()))
        (tmp_path / DIRECTORY / "x.ask").write_bytes(b"{}")
        told = tmp_path / DIRECTORY / "x.told"
        await until(told.exists)
        assert "refused" in json.loads(told.read_bytes())


async def test_nobody_to_ask_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotTaken, match="start the node"):
        ask(tmp_path, seconds=0.1)
    (tmp_path / DIRECTORY).mkdir()
    with pytest.raises(NotTaken, match="did not answer"):
        ask(tmp_path, seconds=0.1)
    assert list((tmp_path / DIRECTORY).iterdir()) == []


async def test_second_keeper_stands_by_and_takes_over(database: Database, tmp_path: Path) -> None:
    other = role_of(database, tmp_path)
    async with running(role_of(database, tmp_path)) as one:
        await asked(tmp_path)
        await other.hold()
        assert other.standing().state is State.STANDBY
        assert one.standing().state is State.WRITING
    async with running(other):
        await asked(tmp_path)
        assert other.standing().state is State.WRITING


async def test_keeper_of_another_machine_stands_by(database: Database, tmp_path: Path) -> None:
    async with running(role_of(database, tmp_path / "one")):
        await role_of(database, tmp_path / "other").hold()
    assert not (tmp_path / "other" / "keys" / "log.key").exists()


async def test_lost_connection_is_gone_on_from(database: Database, tmp_path: Path) -> None:
    role = role_of(database, tmp_path)
    async with running(role):
        await asked(tmp_path)
        killer = await connect(database.dsn)
        await killer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await killer.close()
        await until(lambda: role.standing().state is not State.WRITING, 20)
    async with running(role_of(database, tmp_path)):
        await asked(tmp_path, ANCHOR)


async def test_log_whose_key_is_gone_is_stopped(database: Database, tmp_path: Path) -> None:
    async with running(role_of(database, tmp_path)):
        await asked(tmp_path)
    (tmp_path / "keys/log.key").unlink()
    role = role_of(database, tmp_path)
    async with running(role):
        assert role.standing().state is State.STOPPED
        assert "put it back" in role.standing().reason
    assert not (tmp_path / "keys/log.key").exists()


async def test_idle_log_grows_by_one_checkpoint_a_minute(
    database: Database, tmp_path: Path
) -> None:
    clock = Clock()
    sizes: set[int] = set()
    with LaneFile(tmp_path / "lanes"), LaneFile(tmp_path / "lanes", 1):
        role = role_of(database, tmp_path, clock=clock)
        async with running(role):
            for _ in range(10):
                clock.seconds += 30
                await asyncio.sleep(0.15)
                sizes.add(role.standing().size)
    assert 4 <= len(sizes) <= 7


async def test_log_that_a_witness_refuses_is_not_written(
    database: Database, tmp_path: Path
) -> None:
    async with running(role_of(database, tmp_path)):
        await asked(tmp_path)
    before = await stored_lines(database.dsn)
    (tmp_path / "refused").mkdir()
    (tmp_path / "refused" / "aabbccdd.json").write_text('{"why": "w has seen another history"}')
    role = role_of(database, tmp_path)
    async with running(role):
        assert role.standing().state is State.STOPPED
        assert "another history" in role.standing().reason
    assert await stored_lines(database.dsn) == before

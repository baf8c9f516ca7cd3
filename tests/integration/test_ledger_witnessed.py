"""The ledger's writer and its witnesses: heads are cosigned as it writes, and a refusal stops the writing."""

import asyncio
from pathlib import Path

import pytest

from node.ledger.agreement import Disagreement
from node.ledger.announcer import Terms
from node.ledger.block import MAX_RECORDS
from node.ledger.checkpoint import Checkpoint
from node.ledger.classes import Robots
from node.ledger.cosigning import Cosigning
from node.ledger.heads import HeadFiles
from node.ledger.inbox import ask
from node.ledger.leaf import Block, parse
from node.ledger.logfiles import LogFiles
from node.ledger.role import Conduct, LedgerRole, State
from node.store.database import Database
from resolver.observe import CELL_COUNT, Tally
from tests.support.ledgers import ORIGIN, LaneFile, stored_lines
from tests.support.waiting import until
from tests.support.witnesses import ScriptedWitness, serving

pytestmark = pytest.mark.db


def role_of(database: Database, directory: Path, witness: ScriptedWitness) -> LedgerRole:
    policy = f"witness w {witness.cosigner.key} {witness.url}\nquorum w\n"
    terms = Terms("test node", policy, (), False, Robots(1, (b"bot",), "ab" * 32))
    conduct = Conduct(directory, ORIGIN, terms)
    return LedgerRole(database, conduct, (), Tally([0] * CELL_COUNT), round_seconds=0.01)


def ask_now(role: LedgerRole) -> None:
    """Do not wait for the minute."""
    cosigning = role._cosigning
    assert isinstance(cosigning, Cosigning)
    cosigning.ask_now()


def cosigned_size(role: LedgerRole) -> int:
    witnesses = role.standing().witnesses
    return witnesses.size if witnesses is not None else 0


async def test_heads_are_cosigned_and_blocks_carry_the_newest(
    database: Database, tmp_path: Path
) -> None:
    witness = ScriptedWitness("top")
    async with serving(witness):
        role = role_of(database, tmp_path, witness)
        writing = asyncio.create_task(role.run())
        await until(lambda: role.standing().size > 0, 20)
        await asyncio.to_thread(ask, tmp_path, None)
        ask_now(role)
        await until(lambda: cosigned_size(role) > 0)
        beacon = HeadFiles(tmp_path).beacon()
        assert beacon is not None
        LaneFile(tmp_path / "lanes").append(10)
        await asyncio.to_thread(ask, tmp_path, None)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    blocks = [
        leaf for leaf in map(parse, await stored_lines(database.dsn)) if isinstance(leaf, Block)
    ]
    head = Checkpoint.parse(beacon.note.text)
    assert [block.beacon for block in blocks if sum(block.records)] == [(head.size, head.root)]


async def test_after_an_outage_no_head_is_cosigned_without_what_has_waited(
    database: Database, tmp_path: Path
) -> None:
    """A head that was published and not yet cosigned would say that older records came after it."""
    witness = ScriptedWitness("top", lambda _asked: (503, b""))
    async with serving(witness):
        role = role_of(database, tmp_path, witness)
        writing = asyncio.create_task(role.run())
        await until(lambda: role.standing().size > 0, 20)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        LaneFile(tmp_path / "lanes").append(MAX_RECORDS + 10)
        witness.answer = witness.cosigns
        role = role_of(database, tmp_path, witness)
        writing = asyncio.create_task(role.run())
        await until(lambda: cosigned_size(role) > 0, 20)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    leaves = list(map(parse, await stored_lines(database.dsn)))
    last = max(index for index, leaf in enumerate(leaves) if isinstance(leaf, Block))
    assert min(LogFiles(tmp_path).head_sizes()) > last


async def test_refusal_stops_the_writing_until_a_person_has_looked(
    database: Database, tmp_path: Path
) -> None:
    witness = ScriptedWitness("top")
    async with serving(witness):
        role = role_of(database, tmp_path, witness)
        writing = asyncio.create_task(role.run())
        await until(lambda: role.standing().state is State.WRITING, 20)
        witness.answer = lambda _asked: (422, b"another root\n")
        await until(lambda: role.standing().size > 0)
        ask_now(role)
        await until(lambda: role.standing().state is State.STOPPED)
        assert "another history" in role.standing().reason
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        asked, stored = len(witness.asked), len(await stored_lines(database.dsn))
        LaneFile(tmp_path / "lanes").append(10)
        with pytest.raises(Disagreement, match="another history"):
            await role.hold()
        assert (len(witness.asked), len(await stored_lines(database.dsn))) == (asked, stored)


async def test_log_that_a_witness_has_seen_larger_is_not_opened(
    database: Database, tmp_path: Path
) -> None:
    witness = ScriptedWitness("top")
    witness.answer = lambda _asked: (409, b"1000000\n")
    async with serving(witness):
        role = role_of(database, tmp_path, witness)
        with pytest.raises(Disagreement, match="an old copy was restored"):
            await role.hold()
    assert await stored_lines(database.dsn) == []

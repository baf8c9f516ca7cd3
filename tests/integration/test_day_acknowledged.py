"""A day of a node, over its midnight: what the ledger counted, what 表3 and 表8 say at the top-level node, and R4.

The answers are recorded as a worker does, the log is written, cosigned and closed as the keeper does, on one clock that
the test moves over midnight in Shanghai; Postgres, the files, HTTPS and `idnode toplevel` are real.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.daily import Daily
from node.ledger.agents import AgentNotes
from node.ledger.announced import AnnouncedNumbers, read_announced
from node.ledger.announcer import Terms
from node.ledger.count import DAY_US
from node.ledger.counting import Counter
from node.ledger.day import DayDetail, start_of
from node.ledger.follower import Moment
from node.ledger.inbox import ask
from node.ledger.keys import VerifierKey
from node.ledger.lane import Lane
from node.ledger.laneterms import LaneTerms
from node.ledger.leaf import Acknowledgement, Day, parse
from node.ledger.logfiles import KEYS, LANES, LogFiles
from node.ledger.monthkeys import MonthKeys
from node.ledger.record import Class
from node.ledger.role import Conduct, LedgerRole
from node.ledger.signing import PUBLIC, load_signers
from node.ledger.sources import SourceNotes
from node.ledger.submission import ADD_PATH, Submission
from node.ledger.tags import DayKeys
from node.ledger.verify.command import main as verify
from node.recording import Notes, Recording, robots
from node.settings import Settings
from node.store.daycounts import untold_days
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from node.store.synced import SyncedRows
from node.upstream.counting import DayCounts
from node.upstream.dayclaims import DayClaims
from node.upstream.role import SyncRole
from resolver.answer import Status, Tier
from resolver.identifier import Scheme
from resolver.observe import CELL_COUNT, RESOLUTIONS, Protocol
from resolver.observe import Tally as Cells
from tests.support.lanes import Time
from tests.support.ledgers import ORIGIN
from tests.support.objects import admit, grant, objects_on
from tests.support.outboxes import sender_pool
from tests.support.registry import SEAL
from tests.support.toplevels import TopLevelProcess
from tests.support.waiting import until
from tests.support.witnesses import ScriptedWitness, serving

pytestmark = pytest.mark.db

DAY = date(2027, 2, 3)  # behind the steps of objects, by whose clock
MIDNIGHT_US = start_of((DAY - date(1970, 1, 1)).days) + DAY_US
OURS = "88.118.9"  # an enterprise's; what else is asked for is under 88.118, the node's own
ASKED = ((f"{OURS}/a", True), (f"{OURS}/b", False), ("88.118/n", True))


def _cell(status: Status) -> int:
    return RESOLUTIONS.index((Protocol.UDP, Scheme.HANDLE, status, Tier.POSTGRES))


CELLS = {True: _cell(Status.FOUND), False: _cell(Status.NO_SUCH_HANDLE)}


@dataclass
class Life:
    """The node's ledger, its clock, and how many answers it gave on the day: (prefix, in all, of them found)."""

    directory: Path
    clock: Time
    recording: Recording
    given: dict[str, list[int]] = field(default_factory=dict)

    def answer(self, times: int, *, is_counted: bool) -> None:
        """Answer each question so often, to clients of three addresses; a second goes by between two."""
        for number in range(times):
            self.clock.pass_by(1)
            self.recording.tick()
            for key, is_found in ASKED:
                self._one(number, key, is_found)
                if is_counted:
                    sums = self.given.setdefault(key.partition("/")[0], [0, 0])
                    sums[0] += 1
                    sums[1] += is_found

    def _one(self, number: int, key: str, is_found: bool) -> None:
        party = self.recording.sender(f"198.51.100.{number % 3}")
        subject = self.recording.subject(key.encode())
        asked = f"{key} {self.clock.wall_ns}".encode()
        now_ns = self.clock.monotonic_ns
        assert self.recording.native(party, asked, subject, CELLS[is_found], now_ns) > 0

    async def seal(self) -> None:
        """Have everything sealed and published."""
        await asyncio.to_thread(ask, self.directory)


def recording_on(directory: Path, clock: Time) -> Recording:
    """Return what a worker records with, on this clock."""
    announced = read_announced(directory, robots())
    lane = Lane.open(
        directory / LANES, 0, lambda _: None, terms=LaneTerms(origin=ORIGIN), clocks=clock.clocks()
    )
    notes = Notes(SourceNotes(directory, 0), AgentNotes(directory, 0))
    numbers = AnnouncedNumbers(announced, lambda _: True, notes.agents.met)
    keys = DayKeys(MonthKeys(directory / KEYS).key)
    counter = Counter(lane, keys, announced.policies, numbers=numbers, met=notes.sources.met)
    return Recording(directory, counter, numbers, notes)


@asynccontextmanager
async def living(database: Any, directory: Path, policy: str, clock: Time) -> AsyncIterator[Life]:
    """A node's ledger while the block runs."""
    terms = Terms("test node", policy, (), False, robots())
    role = LedgerRole(
        database,
        Conduct(directory, ORIGIN, terms),
        (),
        Cells([0] * CELL_COUNT),
        clock=lambda: Moment(clock.wall_ns // 1_000, clock.monotonic_ns / 1e9),
        round_seconds=0.02,
    )
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(role.run())
        await until(lambda: role.standing().size > 0, 20)
        life = Life(directory, clock, recording_on(directory, clock))
        try:
            yield life
        finally:
            await role.end()
            await writing


def settings_of(top: TopLevelProcess, directory: Path, database_url: str) -> Settings:
    issue = top.directory / "issue"
    return Settings(
        data_dir=directory,
        database_url=database_url,
        sync_url=top.url,
        sync_certificate=issue / "node.pem",
        sync_authority=issue / "authority.crt",
        sync_signing_key=issue / "signing.pem",
        sync_peer_keys=issue / "toplevel.pub",
    )


async def rows_at(top: TopLevelProcess, number: str) -> list[dict[str, Any]]:
    """Return the rows of a table as the top-level node shows them."""
    async with httpx.AsyncClient(base_url=top.page, trust_env=False) as page:
        answer = (await page.get(f"/tables/{number}")).raise_for_status()
    return [row["body"] for row in answer.json()["rows"]]


@asynccontextmanager
async def ended(top: TopLevelProcess) -> AsyncIterator[None]:
    """End it, whatever happens."""
    try:
        yield
    finally:
        top.end()


async def in_step(top: TopLevelProcess, settings: Settings, *, days: Sequence[str]) -> None:
    """Send all there is, until the top-level node shows these days in 表3."""
    role = SyncRole(settings, SEAL)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(role.run())
        async with asyncio.timeout(60):
            while [row["day"] for row in await rows_at(top, "3")] != list(days):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        await role.end()
        await sending


def counted_on_the_day(directory: Path) -> dict[str, list[int]]:
    """Return what the file of the day says of each prefix: all in production, and successes, each retry once."""
    detail = DayDetail.parse((directory / "days" / f"{DAY}.json").read_bytes())
    found: dict[str, list[int]] = {}
    for cell, tally in detail.counted.cells.items():
        assert cell.class_ == Class.PRODUCTION
        sums = found.setdefault(detail.prefixes[cell.prefix_no][1], [0, 0])
        sums[0] += tally.requests
        sums[1] += tally.raw if cell.is_resolution else 0
    return found


def leaves_of(directory: Path) -> list[object]:
    files = LogFiles(directory)
    size = max(files.head_sizes())
    return [parse(line) for line in files.lines(0, size)]


async def test_the_top_level_node_has_the_ledgers_figures_of_a_day_and_acknowledges_them(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "ledger"
    directory.mkdir(mode=0o700)
    [signer] = load_signers(directory / KEYS, ORIGIN, sm2=False, is_new=True)
    clock = Time(wall_ns=(MIDNIGHT_US - 60_000_000) * 1_000)
    witness = ScriptedWitness("w")
    witness.answer = lambda asked: (
        200,
        witness.line(asked, clock.wall_ns // 10**9).line.encode(),
    )
    top = TopLevelProcess(tmp_path / "top", "--log", str(signer.key))
    async with sender_pool(database_url) as database, serving(witness), ended(top):
        objects = objects_on(database)
        await admit(objects)
        await grant(objects, OURS)
        names = [OURS.encode(), b"88.118"]
        async with database.transaction() as connection:
            await write_prefixes(
                connection, [PrefixRow(name, name.decode(), PrefixState.HOMED) for name in names]
            )
        await asyncio.to_thread(top.start)
        key = VerifierKey.parse((await told_by(top))["key"])
        quorum = f"witness w {witness.cosigner.key} {witness.url}\nquorum w\n"
        policy = f"log {signer.key}\nwitness top {key} {top.page}\n{quorum}"
        (tmp_path / "policy").write_text(policy)
        async with living(database, directory, quorum, clock) as life:
            life.answer(20, is_counted=True)
            await life.seal()
            clock.pass_by(60)
            life.answer(5, is_counted=False)  # past midnight
            await life.seal()
            clock.pass_by(150)
            life.recording.close()
            await Daily(database, directory).round(clock.wall_ns // 1_000)
            assert await untold_days(database) == [DAY]
            await DayCounts(database, SyncedRows(SEAL), directory, "88.118").round()
            await in_step(top, settings_of(top, tmp_path, database_url), days=[str(DAY)])
            await have_cosigned(top, directory)
            claims = DayClaims(directory, tmp_path / "policy")
            assert await asyncio.to_thread(claims.round) == [str(DAY)]
            assert await asyncio.to_thread(claims.round) == []
            await life.seal()
        [node], enterprises = await rows_at(top, "3"), await rows_at(top, "8")

    [day] = [leaf for leaf in leaves_of(directory) if isinstance(leaf, Day)]
    assert [isinstance(leaf, Acknowledgement) for leaf in leaves_of(directory)].count(True) == 1
    given = life.given
    assert counted_on_the_day(directory) == given
    assert day.raw == sum(successes for _, successes in given.values())
    requests = sum(requests for requests, _ in given.values())
    assert (node["requests"], node["successes"]) == (requests, day.raw)
    assert sum(source["resolutions"] for source in node["sources"]) == node["requests"]
    assert [(row["prefix"], row["requests"], row["successes"]) for row in enterprises] == [
        (OURS, *given[OURS])
    ]

    words = ["verify", str(directory), "--log-key", str(directory / KEYS / PUBLIC)]
    code = verify([*words, "--policy", str(tmp_path / "policy"), "--toplevel", "top"])
    printed = capsys.readouterr().out
    assert "R4 PASS  1 days and 0 load tests acknowledged, 40 successes" in printed, printed
    assert code <= 1, printed


async def have_cosigned(top: TopLevelProcess, directory: Path) -> None:
    """Show the top-level node the newest head; its clock is not ours, so the node would not take its line."""
    note = LogFiles(directory).published()
    assert note is not None
    async with httpx.AsyncClient(base_url=top.page, trust_env=False) as page:
        (await page.post(ADD_PATH, content=Submission(0, (), note).encode())).raise_for_status()


async def told_by(top: TopLevelProcess) -> dict[str, Any]:
    """Return what the top-level node says of itself as a witness."""
    async with httpx.AsyncClient(base_url=top.page, trust_env=False) as page:
        state: dict[str, Any] = (await page.get("/state")).raise_for_status().json()
    witness: dict[str, Any] = state["witness"]
    return witness

"""A whole node that reads from a streaming replica: right and in time, whatever becomes of that."""

import asyncio
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtest.stale import campaign, limit_seconds
from loadtest.stand import Node, get, open_stand
from tests.support.replicas import replica_of, run_on
from tests.support.servers import PostgresServer, temporary_postgres

pytestmark = pytest.mark.slow

SECONDS = 6.0
WRITERS = 2
RECOVERS_SECONDS = 30.0
USED, AWAY, BEHIND = 1.0, 2.0, 3.0
DATABASE = "postgres"


@dataclass
class Served:
    """A node of two workers, and the replica that it reads."""

    node: Node
    standby: PostgresServer

    def states(self) -> set[float]:
        """Return how the replica stands, as the workers say it."""
        lines = get(self.node.admin, "/metrics")[1].decode().splitlines()
        return {float(line.split()[-1]) for line in lines if line[:21] == "idnode_replica_state{"}

    async def becomes(self, state: float) -> None:
        """Wait until all workers say so."""
        await until(lambda: self.states() == {state})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECOVERS_SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  it asks, each time
            await asyncio.sleep(0.05)


@pytest.fixture
def served() -> Iterator[Served]:
    with ExitStack() as stack:
        lent = stack.enter_context(tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp"))
        directory = Path(lent)
        directory.chmod(0o755)
        (directory / "primary").mkdir()
        primary = stack.enter_context(temporary_postgres(directory / "primary"))
        standby = stack.enter_context(replica_of(primary, directory / "standby"))
        urls = {
            "DATABASE_URL": primary.url(DATABASE),
            "DATABASE_READ_URL": standby.url(DATABASE),
        }
        stand = stack.enter_context(open_stand())
        yield Served(stand.start_node("replica", {"WORKERS": "2", **urls}), standby)


async def test_changes_are_seen_in_time_whatever_becomes_of_the_replica(served: Served) -> None:
    """Replay is paused, the replica left out and taken back, killed and started again, while records change."""

    async def disturb() -> None:
        await served.becomes(USED)
        await run_on(served.standby.url(DATABASE), "select pg_wal_replay_pause()")
        await served.becomes(BEHIND)
        status, body = await asyncio.to_thread(get, served.node.admin, "/readyz")
        assert (status, b"more than 2 s behind; the primary is read" in body) == (200, True)
        await run_on(served.standby.url(DATABASE), "select pg_wal_replay_resume()")
        await served.becomes(USED)
        await asyncio.to_thread(served.standby.stop, signal.SIGQUIT)
        await served.becomes(AWAY)
        await asyncio.to_thread(served.standby.start)
        await served.becomes(USED)

    findings = await campaign(
        served.node,
        seconds=SECONDS,
        writers=WRITERS,
        seed=30,
        limit=limit_seconds(),
        disturb=disturb,
    )

    print(findings.summary())  # noqa: T201  figures to look at, with -s
    assert findings.faults[:10] == []
    assert min(findings.answers.values()) > 100
    assert findings.oldest_seconds <= limit_seconds()

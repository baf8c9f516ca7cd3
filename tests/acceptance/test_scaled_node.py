"""A whole node on a Valkey Cluster and a streaming replica: right and in time, whatever becomes of these."""

import asyncio
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtest.stale import LIMIT_ON_A_BUSY_MACHINE_SECONDS, campaign
from loadtest.stand import Node, answers_by_tier, get, open_stand
from tests.support.clusters import ValkeyCluster, temporary_cluster, wait_until
from tests.support.replicas import replica_of, run_on
from tests.support.servers import PostgresServer, temporary_postgres

pytestmark = pytest.mark.slow

SECONDS = 6.0
WRITERS = 2
RECOVERS_SECONDS = 60.0
USED, AWAY, BEHIND = 1.0, 2.0, 3.0
DATABASE = "postgres"


@dataclass
class Scaled:
    """A node of two workers, the cluster that they share, and the replica that they read."""

    node: Node
    cluster: ValkeyCluster
    standby: PostgresServer

    def levels(self, gauge: str) -> set[float]:
        """Return a level as the workers say it."""
        lines = get(self.node.admin, "/metrics")[1].decode().splitlines()
        return {float(line.split()[-1]) for line in lines if line.startswith(f"idnode_{gauge}{{")}

    async def replica_is(self, state: float) -> None:
        """Wait until all workers say so."""
        await until(lambda: self.levels("replica_state") == {state})

    async def replay(self, verb: str) -> None:
        """Pause or resume the replica."""
        await run_on(self.standby.url(DATABASE), f"select pg_wal_replay_{verb}()")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECOVERS_SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  it asks, each time
            await asyncio.sleep(0.05)


@pytest.fixture
def scaled() -> Iterator[Scaled]:
    with ExitStack() as stack:
        lent = stack.enter_context(tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp"))
        directory = Path(lent)
        directory.chmod(0o755)
        (directory / "primary").mkdir()
        clusters = temporary_cluster(directory / "cluster")
        with ThreadPoolExecutor() as beside:
            forming = beside.submit(stack.enter_context, clusters)
            primary = stack.enter_context(temporary_postgres(directory / "primary"))
            standby = stack.enter_context(replica_of(primary, directory / "standby"))
            cluster = forming.result()
        settings = {
            "WORKERS": "2",
            "DATABASE_URL": primary.url(DATABASE),
            "DATABASE_READ_URL": standby.url(DATABASE),
            "REDIS_URL": cluster.url,
        }
        node = stack.enter_context(open_stand()).start_node("scaled", settings)
        yield Scaled(node, cluster, standby)


async def test_changes_are_seen_in_time_whatever_becomes_of_cluster_and_replica(
    scaled: Scaled,
) -> None:
    """A node of the cluster is killed; the replica stands still, is killed; both come back, while records change."""
    lost = scaled.cluster.nodes[1]

    async def disturb() -> None:
        await until(lambda: scaled.levels("redis_up") == {1.0})
        await scaled.replica_is(USED)
        lost.stop()
        await scaled.replay("pause")
        await scaled.replica_is(BEHIND)
        status, body = await asyncio.to_thread(get, scaled.node.admin, "/readyz")
        assert (status, b"more than 2 s behind; the primary is read" in body) == (200, True)
        lost.start()
        await scaled.replay("resume")
        await scaled.replica_is(USED)
        await asyncio.to_thread(scaled.standby.stop, signal.SIGQUIT)
        await scaled.replica_is(AWAY)
        await asyncio.to_thread(scaled.standby.start)
        await scaled.replica_is(USED)
        await asyncio.to_thread(wait_until, lost.is_ready)
        await until(lambda: scaled.levels("redis_up") == {1.0})

    findings = await campaign(
        scaled.node,
        seconds=SECONDS,
        writers=WRITERS,
        seed=30,
        limit=LIMIT_ON_A_BUSY_MACHINE_SECONDS,  # five servers start and stop beside it
        disturb=disturb,
    )

    print(findings.summary())  # noqa: T201  figures to look at, with -s
    assert findings.faults[:10] == []
    assert min(findings.answers.values()) > 100
    assert findings.oldest_seconds <= LIMIT_ON_A_BUSY_MACHINE_SECONDS
    assert answers_by_tier(scaled.node.admin)["redis"] > 0

"""A whole node on a Valkey Cluster: right and in time through every worker, also while one of its nodes is dead."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.stale import campaign, limit_seconds
from loadtest.stand import Node, answers_by_tier, open_stand
from tests.support.clusters import ValkeyCluster, temporary_cluster, wait_until

pytestmark = pytest.mark.slow

SECONDS = 3.0
WRITERS = 2


@pytest.fixture
def cluster() -> Iterator[ValkeyCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as directory,
        temporary_cluster(Path(directory)) as cluster,
    ):
        yield cluster


@pytest.fixture
def running(cluster: ValkeyCluster) -> Iterator[Node]:
    with open_stand() as stand:
        yield stand.start_node("cluster", {"WORKERS": "2", "REDIS_URL": cluster.url})


async def test_changes_are_seen_in_time_while_a_node_of_the_cluster_comes_and_goes(
    running: Node, cluster: ValkeyCluster
) -> None:
    lost = cluster.nodes[1]

    async def lose_and_regain() -> None:
        await asyncio.sleep(SECONDS / 6)
        lost.stop()
        await asyncio.sleep(SECONDS / 6)
        lost.start()
        await asyncio.to_thread(wait_until, lost.is_ready)

    findings = await campaign(
        running,
        seconds=SECONDS,
        writers=WRITERS,
        seed=20,
        limit=limit_seconds(),
        disturb=lose_and_regain,
    )

    assert findings.faults[:10] == []
    assert min(findings.answers.values()) > 100
    assert answers_by_tier(running.admin)["redis"] > 0

"""Under load no connection ever gives an older answer after a newer one, and all give the newer one within a second."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from loadtest.stale import WORKERS, campaign, limit_seconds
from loadtest.stand import Node, open_stand

pytestmark = pytest.mark.slow

SECONDS = 5.0
WRITERS = 4
LEAST_CHANGES_SEEN = 500  # over all readers: fewer would prove nothing


@pytest.fixture
def started() -> Iterator[Node]:
    with open_stand() as stand:
        yield stand.start_node("consistency", {"WORKERS": str(WORKERS)})


def test_changes_are_seen_by_every_connection_in_time_and_never_taken_back(started: Node) -> None:
    """Records counted up; records that come and go; prefixes homed, let go and delegated."""
    limit = limit_seconds()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        findings = runner.run(campaign(started, seconds=SECONDS, writers=WRITERS, limit=limit))

    print(findings.summary())  # noqa: T201  figures to look at, with -s
    assert findings.faults[:10] == []
    assert len(findings.delays) > LEAST_CHANGES_SEEN
    assert set(findings.answers) == {"udp", "tcp", "http_json"}
    assert findings.oldest_seconds <= limit

"""Settings reach what they are for, in a worker put together as the node does it."""

from pathlib import Path

import pytest

from node.config import Settings
from tests.support.workers import running_worker

pytestmark = [pytest.mark.db, pytest.mark.cache]


@pytest.mark.parametrize("case_sensitive", [True, False])
async def test_local_parts_compare_as_the_setting_says(
    database_url: str, redis_url: str, tmp_path: Path, case_sensitive: bool
) -> None:
    settings = Settings(
        database_url=database_url, redis_url=redis_url, case_sensitive=case_sensitive
    )
    async with running_worker(settings, tmp_path) as running:
        one, other = [running.worker.service.identify(each) for each in (b"88.1/a", b"88.1/A")]

    assert (one.key != other.key) == case_sensitive

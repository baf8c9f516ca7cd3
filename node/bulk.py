"""Bulk: what the keeper has for jobs and exports, put together once."""

from collections.abc import Sequence

from node.config import Settings
from node.counters import Counters
from node.registry.jobfiles import JobFiles
from node.registry.jobrun import Means
from node.registry.jobrunner import JobRunner
from node.registry.jobs import Jobs
from node.registry.operators import Operators
from node.web.exports import ExportApi
from node.web.jobs import JobsApi
from node.web.operators import OperatorDesk
from node.writepath import WritePath, policy_of
from resolver.observe import Gauge, gauge_cell
from resolver.service import Resolver


class Bulk:
    """The runner of jobs, and the two interfaces."""

    def __init__(
        self,
        settings: Settings,
        writing: WritePath,
        service: Resolver,
        desk: OperatorDesk,
        answering: Sequence[Counters],
    ) -> None:
        """`answering` are the counters of all processes that answer, this one's too."""
        files = JobFiles(settings.data_dir)
        means = Means(
            files,
            policy_of(settings),
            Operators(policy_of(settings), writing.keys),
            writing.seal,
            settings.seal_path,
            case_sensitive=settings.case_sensitive,
        )
        self.runner = JobRunner(writing.database, means, lambda: _heard_upto(answering))
        self.jobs = JobsApi(Jobs(writing.database, files), desk, self.runner.wake)
        self.exports = ExportApi(
            settings.database_url,
            desk,
            service.identify,
            case_sensitive=settings.case_sensitive,
        )


def _heard_upto(answering: Sequence[Counters]) -> int:
    """Return the newest change that all of these processes have taken in."""
    there = [each.cells for each in answering if not each.is_vacant]
    return min(cells[gauge_cell(Gauge.FEED_SERIAL)] for cells in there)

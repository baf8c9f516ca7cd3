"""Bulk: what the keeper has for jobs and exports, put together once."""

from node.config import Settings
from node.registry.jobfiles import JobFiles
from node.registry.jobrun import Means
from node.registry.jobrunner import JobRunner
from node.registry.jobs import Jobs
from node.registry.operators import Operators
from node.web.exports import ExportApi
from node.web.jobs import JobsApi
from node.web.operators import OperatorDesk
from node.writepath import WritePath, policy_of
from resolver.service import Resolver


class Bulk:
    """The runner of jobs, and the two interfaces."""

    def __init__(
        self, settings: Settings, writing: WritePath, service: Resolver, desk: OperatorDesk
    ) -> None:
        files = JobFiles(settings.data_dir)
        means = Means(
            files,
            policy_of(settings),
            Operators(policy_of(settings), writing.keys),
            writing.seal,
            settings.seal_path,
            case_sensitive=settings.case_sensitive,
        )
        self.runner = JobRunner(writing.database, means)
        self.jobs = JobsApi(Jobs(writing.database, files), desk, self.runner.wake)
        self.exports = ExportApi(
            settings.database_url,
            desk,
            service.identify,
            case_sensitive=settings.case_sensitive,
        )

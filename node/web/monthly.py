"""`/v1/sync/reports/{month}` on the admin listener: the figures of a month, for whoever hands them in."""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response

from node.store.database import Database
from node.upstream.report import Month, read_report
from node.web.asked import Asked, respond
from node.web.operations import OPERATOR_PROBLEMS, Operation, in_path
from node.web.operators import OperatorDesk
from node.web.row import Row, Section
from resolver.registrar import Caller
from resolver.target import TargetError

ROOT = b"/v1/sync/reports"

_SHOW = Operation(
    "The figures of a month (annex 3): SLA, latencies, uptime, stops, emergencies",
    (in_path("month", "A month in China, `2026-11`."),),
    {
        200: "The report; not `complete` while the month runs",
        400: "This is no month, or it has not begun",
        **OPERATOR_PROBLEMS,
    },
    tag="Sync with the top-level node",
)


def _now() -> datetime:
    return datetime.now(UTC)


class ReportsApi:
    """The endpoint."""

    def __init__(
        self,
        database: Database,
        node_prefix: str,
        desk: OperatorDesk,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._node_prefix = node_prefix
        self._desk = desk
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """GET `/v1/sync/reports/{month}`."""
        return await self._desk.serve(request, ROOT, self._show)

    async def _show(self, asked: Asked, _caller: Caller) -> Response:
        now = self._clock()
        month = _month(asked.name)
        if month > Month.of(now):
            raise TargetError(f"{month} has not begun")
        found = await read_report(self._database, self._node_prefix, month, now)
        return respond(200, found)


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise TargetError("give a month as 2026-11") from error


def reports_section(api: ReportsApi) -> Section:
    """Return the rows."""
    path = "/v1/sync/reports/{month}"
    return Section((Row("GET", path, api.show, _SHOW), Row("HEAD", path, api.show)))

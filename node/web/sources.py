"""`/v1/sources` on the admin listener: who asked on a day, for the lists that the top-level node wants.

The tables hold addresses, which are personal data: networks are shown, unless `full` is asked for, and who asks for
that stands in the log of the node.
"""

import logging
from datetime import date

from fastapi import Request
from fastapi.responses import Response

from node.store.database import Database
from node.store.sources import list_sources
from node.web.asked import Asked, respond
from node.web.operators import OperatorDesk
from resolver.registrar import Caller
from resolver.target import Parameters, TargetError

ROOT = b"/v1/sources"
MAX_LISTED = 1_000  # of one page
MAX_AFTER = 1_000_000

log = logging.getLogger(__name__)


class SourcesApi:
    """The endpoint; it is handed a request and returns the response."""

    def __init__(self, database: Database, desk: OperatorDesk) -> None:
        self._database = database
        self._desk = desk

    async def list(self, request: Request) -> Response:
        """GET `/v1/sources?day=`: a day's sources, the busiest first."""
        return await self._desk.serve(request, ROOT, self._list)

    async def _list(self, asked: Asked, caller: Caller) -> Response:
        parameters = asked.parameters
        day, full = _day(parameters), parameters.flag(b"full")
        skip = _number(parameters, b"after", 0, MAX_AFTER) or 0
        most = _number(parameters, b"limit", 1, MAX_LISTED) or MAX_LISTED
        wanted = _prefix(parameters)
        if full:
            told = {"caller": caller.name, "day": day.isoformat(), "prefix": wanted}
            log.warning("addresses are listed", extra=told)
        async with self._database.connection() as connection:
            found = await list_sources(connection, day, wanted, full=full, skip=skip, most=most)
        body: dict[str, object] = {"day": day.isoformat(), "full": full}
        body["sources"] = [each._asdict() for each in found]
        if len(found) == most:
            body["after"] = skip + most
        return respond(200, body)


def _day(parameters: Parameters) -> date:
    text = (parameters.first(b"day") or b"").decode("utf-8", "replace")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise TargetError(f"day is missing, or none: {text!r}; such as ?day=2026-11-03") from error


def _prefix(parameters: Parameters) -> str | None:
    found = parameters.first(b"prefix")
    if found is not None and b"\0" in found:
        raise TargetError("prefix is none")
    return None if found is None else found.decode("utf-8", "replace")


def _number(parameters: Parameters, name: bytes, least: int, most: int) -> int | None:
    found = parameters.indexes(name)
    if found and not least <= found[0] <= most:
        raise TargetError(f"{name.decode()} must be from {least} to {most}")
    return found[0] if found else None

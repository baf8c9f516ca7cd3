"""DayCounts: the top-level node acknowledges what it holds of a closed day, where the node's log says the same.

Beside `/add-count`, and as little believing: the leaf of the day is proven from a tree that was cosigned here, and the
figures are those of 表3 as it was synced.  What was signed is kept in no file: the same claim is judged again.
"""

import sqlite3
from collections.abc import Callable
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from node.ledger.acknowledging import Claim, confirm
from node.ledger.checkpoint import Checkpoint
from node.ledger.dayacknowledging import Held, day_of, judge_day
from node.toplevel.claims import answer_claim, answer_signed
from node.toplevel.database import Database, DatabaseFailed
from node.toplevel.desk import refuse
from node.toplevel.journal import Journal
from node.toplevel.watch import Watch

ROWS = (
    "SELECT body FROM row WHERE number = '3' AND substr(key, instr(key, '|') + 1, 10) = ?"
    " AND body IS NOT NULL"
)
"""Of one day, by the index `row_day`: a key of 表3 is prefix, day and part (`Table.key_of`)."""


class DayCounts:
    """The endpoint; `clock` gives POSIX seconds."""

    def __init__(
        self, database: Database, watch: Watch, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._watch = watch
        self._journal = journal
        self._clock = clock

    async def add(self, request: Request) -> Response:
        """POST `/add-day`: 200 with the signed note; 409 with the size that a claim has to be of; 422; 503."""
        try:
            return await answer_claim(request, self._watch, self._journal, self._answer)
        except DatabaseFailed as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))

    async def _answer(self, claim: Claim, newest: Checkpoint) -> Response:
        day = day_of(claim, newest).day
        held = await self._database.read_newest(lambda connection: held_of(connection, day))
        if held is None:
            said = f"there is no row of 表3 of {day} yet"
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_here", said)
        told = judge_day(claim, newest, held)
        self._journal.note("count", f"{told.origin} {day}: {held.successes}")
        note = confirm(told, self._watch.cosigner, int(self._clock()))
        return answer_signed(note)


def held_of(connection: sqlite3.Connection, day: str) -> Held | None:
    """Return what 表3 says of a day; None before it is here.  Each part of a long row has the same totals."""
    for (body,) in connection.execute(ROWS, (day,)):
        row = orjson.loads(body)
        if row["day"] == day:
            return Held(row["requests"], row["successes"])
    return None

"""DayCounts: the top-level node acknowledges what it holds of a closed day, where the node's log says the same.

Beside `/add-count`, and as little believing: the leaf of the day is proven from a tree that was cosigned here, and the
figures are those of 表3 as it was synced.  What was signed is kept in no file: the same claim is judged again.
"""

import sqlite3
from collections.abc import Callable
from http import HTTPStatus

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.ledger.acknowledging import MAX_CLAIM_BYTES, Claim, ClaimError
from node.ledger.dayacknowledging import Held, day_of, judge_day
from node.ledger.keys import NoteError
from node.ledger.submission import SIZE_TYPE
from node.ledger.witnessing import TEXT_TYPE
from node.toplevel.database import Database, DatabaseFailed
from node.toplevel.desk import NO_STORE, refuse
from node.toplevel.journal import Journal
from node.toplevel.watch import Watch
from resolver.target import BodyTooLarge, read_body
from sync.channels.tables import NODE_COUNT

_ROWS = "SELECT body FROM row WHERE number = ? AND body IS NOT NULL"


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
            claim = Claim.parse(await read_body(request.stream(), MAX_CLAIM_BYTES))
            return await self._answer(claim)
        except (ClaimError, NoteError) as error:
            self._journal.note("count", str(error), is_fault=True)
            return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong", str(error))
        except BodyTooLarge as error:
            return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", str(error))
        except DatabaseFailed as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))
        except ClientDisconnect:
            return refuse(HTTPStatus.BAD_REQUEST, "cut_off", "the request was cut off")

    async def _answer(self, claim: Claim) -> Response:
        newest = self._watch.newest(claim.origin)
        if newest is None:
            return refuse(HTTPStatus.NOT_FOUND, "not_found", "nothing of this log was cosigned")
        if newest.size != claim.size:
            return Response(f"{newest.size}\n", 409, NO_STORE, media_type=SIZE_TYPE)
        day = day_of(claim, newest).day
        held = await self._database.read_newest(lambda connection: held_of(connection, day))
        if held is None:
            said = f"there is no row of 表3 of {day} yet"
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_here", said)
        told = judge_day(claim, newest, held)
        self._journal.note("count", f"{told.origin} {day}: {held.successes}")
        note = told.signed(self._watch.cosigner, int(self._clock()))
        return Response(note.encode(), 200, NO_STORE, media_type=TEXT_TYPE)


def held_of(connection: sqlite3.Connection, day: str) -> Held | None:
    """Return what 表3 says of a day; None before it is here.  Each part of a long row has the same totals."""
    for (body,) in connection.execute(_ROWS, (NODE_COUNT.number,)):
        row = orjson.loads(body)
        if row["day"] == day:
            return Held(row["requests"], row["successes"])
    return None

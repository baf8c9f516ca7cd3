"""Inbox: what one sender has sent, in SQLite.  Implements `sync.inbox.Inbox`, with its laws.

A correction may be demanded by hand: the row is then rejected as it is, though it was taken; the next change of its
key that says something else lifts the demand.  So that the sender hears of it, and of rows that were rejected and are
taken now, this side then stands before the first such place, and `is_unsettled` until the sender was told so: it then
walks along all rows.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from node.toplevel.database import Database
from node.toplevel.judging import CORRECTION, Objection
from node.toplevel.rows import (
    Held,
    Shelf,
    digest_of,
    digests_within,
    drop_demand,
    places_within,
    read_demand,
    read_held,
    read_standing,
    rejection_at,
    rejections_within,
    write_demand,
    write_standing,
)
from sync.change import END, EVERYTHING, MAX_REASON_CHARACTERS, Operation, Place, Rejection, Span
from sync.inbox import Moved
from sync.message import MAX_REJECTIONS
from sync.step import Adopt, Apply, Compare, InboxStanding, Replace

Verdicts = Callable[[Place, bytes | None], Objection | None]
MAX_RECONSIDERED = 10_000


class NoSuchRow(Exception):
    """There is no row there that could be corrected."""


class _Sent(NamedTuple):
    """What came of a key: its serial, and its body, None for a deletion."""

    place: Place
    body: bytes | None
    serial: int


class SqliteInbox:
    """What one sender has sent; `judge` decides what is taken, `clock` gives POSIX seconds."""

    def __init__(self, database: Database, judge: Verdicts, clock: Callable[[], float]) -> None:
        self._database = database
        self._judge = judge
        self._clock = clock
        self.is_unsettled = False

    async def standing(self) -> InboxStanding:
        """See `Inbox`."""
        return await self._database.read_newest(read_standing)

    async def adopt(self, plan: Adopt) -> None:
        """See `Inbox`."""

        def work(connection: sqlite3.Connection) -> None:
            _expect(connection, plan.expected)
            write_standing(connection, plan.then, self._clock())

        await self._database.write(work)

    async def apply(self, plan: Apply) -> None:
        """See `Inbox`."""
        sent = [
            _Sent(
                change.place,
                None if change.operation is Operation.DELETE else change.body,
                change.serial,
            )
            for change in plan.changes
        ]

        def work(connection: sqlite3.Connection) -> None:
            _expect(connection, plan.expected)
            self._take_all(connection, sent)
            write_standing(connection, plan.then, self._clock())

        await self._database.write(work)

    async def compare(self, plan: Compare) -> bool:
        """See `Inbox`."""

        def work(connection: sqlite3.Connection) -> bool:
            _expect(connection, plan.expected)
            agreed = digests_within(connection, plan.span) == plan.tables
            if agreed and plan.then != plan.expected:
                self._reach(connection, plan.then)
            return agreed

        return await self._database.write(work)

    async def replace(self, plan: Replace) -> None:
        """See `Inbox`."""

        def work(connection: sqlite3.Connection) -> None:
            _expect(connection, plan.expected)
            given = {row.place: row.body for row in plan.rows}
            others = [each for each in places_within(connection, plan.span) if each not in given]
            sent = [_Sent(place, None, plan.then.serial) for place in others]
            sent += [_Sent(place, body, plan.then.serial) for place, body in given.items()]
            self._take_all(connection, sent)
            self._reach(connection, plan.then)

        await self._database.write(work)

    async def rejected_at(self, places: tuple[Place, ...]) -> tuple[Rejection, ...]:
        """See `Inbox`."""

        def work(connection: sqlite3.Connection) -> tuple[Rejection, ...]:
            found = (rejection_at(connection, place) for place in dict.fromkeys(places))
            return tuple(each for each in found if each is not None)

        return await self._database.read_newest(work)

    async def rejected_within(self, span: Span) -> tuple[Rejection, ...]:
        """See `Inbox`; the first MAX_REJECTIONS, which is what a reply holds."""
        return await self._database.read_newest(
            lambda connection: rejections_within(connection, span, MAX_REJECTIONS)
        )

    async def demand_correction(self, place: Place, reason: str) -> Rejection:
        """Reject a row as it is.  Raises NoSuchRow."""

        def work(connection: sqlite3.Connection) -> Rejection:
            held, standing = read_held(connection, place), read_standing(connection)
            body = held.sent
            if body is None:
                raise NoSuchRow(f"table {place.table} has no row with this key")
            said = reason[:MAX_REASON_CHARACTERS]
            write_demand(connection, place, body, said)
            rejected = Held(held.body, body, CORRECTION, said, standing.serial)
            shelf = Shelf(connection, self._clock())
            shelf.put(place, held, rejected)
            shelf.close()
            _stand_before(connection, [place])
            return Rejection(standing.serial, *place, CORRECTION, said)

        rejection = await self._database.write(work)
        self.is_unsettled = True
        return rejection

    async def reconsider(self, codes: tuple[str, ...]) -> int:
        """Judge anew the rows that were rejected for these codes; return how many are taken now."""

        def work(connection: sqlite3.Connection) -> int:
            found = rejections_within(connection, EVERYTHING, MAX_RECONSIDERED)
            places = [each.place for each in found if each.code in codes]
            rows = [(place, read_held(connection, place)) for place in places]
            taken = [(place, held) for place, held in rows if not self._judge(place, held.refused)]
            shelf = Shelf(connection, self._clock())
            for place, held in taken:
                shelf.put(place, held, Held(held.refused, serial=held.serial))
            shelf.close()
            _stand_before(connection, [place for place, _ in taken])
            return len(taken)

        count = await self._database.write(work)
        self.is_unsettled = self.is_unsettled or count > 0
        return count

    def _take_all(self, connection: sqlite3.Connection, sent: list[_Sent]) -> None:
        shelf = Shelf(connection, self._clock())
        for each in sent:
            before = read_held(connection, each.place)
            objection = None
            if shelf.has_demands:
                objection = _demanded(connection, each)
            objection = objection or self._judge(each.place, each.body)
            shelf.put(each.place, before, _held(before, each, objection))
        shelf.close()

    def _reach(self, connection: sqlite3.Connection, then: InboxStanding) -> None:
        now = self._clock()
        write_standing(connection, then, now)
        if then.position == END:
            connection.execute("UPDATE standing SET complete_at = ?", (now,))


def _held(before: Held, sent: _Sent, objection: Objection | None) -> Held:
    """Return what is held of a row once it was judged."""
    if objection is None:
        return Held(sent.body, serial=sent.serial)
    return Held(before.body, sent.body, *objection, serial=sent.serial)


def _demanded(connection: sqlite3.Connection, sent: _Sent) -> Objection | None:
    """Return the correction that is still demanded; what says something else lifts it."""
    demand = read_demand(connection, sent.place)
    if demand is None:
        return None
    if sent.body is not None and digest_of(sent.body) == demand[0]:
        return Objection(CORRECTION, demand[1])
    drop_demand(connection, sent.place)
    return None


def _expect(connection: sqlite3.Connection, expected: InboxStanding) -> None:
    if read_standing(connection) != expected:
        raise Moved


def _stand_before(connection: sqlite3.Connection, places: Iterable[Place]) -> None:
    """Say no longer that rows from the first of these places on are right."""
    first = min(places, default=None)
    if first is None:
        return
    before = Place(first.table, first.key[:-1])
    position = min(read_standing(connection).position, before)
    connection.execute("UPDATE standing SET position_table = ?, position_key = ?", position)

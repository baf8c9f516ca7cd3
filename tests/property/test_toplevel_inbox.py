"""The inbox in SQLite does what the one in memory does, whatever it is told, and whenever it is opened anew."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from node.toplevel.database import Database
from node.toplevel.inbox import SqliteInbox
from node.toplevel.judging import Objection
from node.toplevel.rows import SCHEMA, digests_within, rejections_within
from node.toplevel.shown import read_counts
from sync.change import END, EVERYTHING, START, Change, Operation, Place, Row, Span, digest_rows
from sync.inbox import Inbox, Moved
from sync.step import Adopt, Apply, Compare, InboxStanding, Replace
from sync.testing import MemoryInbox

PLACES = [Place(table, key) for table in ("1", "6", "9") for key in ("a", "b", "é", "\U0001f600")]
PLACE = st.sampled_from(PLACES)
BODY = st.sampled_from([b"good 1", b"good 2", b"bad 1", b"bad 2", None])
ENDS = st.sampled_from([START, *PLACES, END])


def why(place: Place, body: bytes | None) -> str:
    if body is None:
        return "has prefixes" if place.table == "6" else ""
    return "invented" if b"bad" in body else ""


def objection(place: Place, body: bytes | None) -> Objection | None:
    reason = why(place, body)
    return Objection("2306", reason) if reason else None


class Step(NamedTuple):
    """What is done, to which rows or within which span."""

    kind: str
    span: Span
    changes: list[tuple[Place, bytes | None]]


@st.composite
def plans(draw: st.DrawFn) -> list[Step]:
    kinds = st.sampled_from(["apply", "replace", "compare", "adopt", "moved", "reopen"])
    found: list[Step] = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=12)):
        after, until = sorted((draw(ENDS), draw(ENDS)))
        changes = draw(st.lists(st.tuples(PLACE, BODY), max_size=6))
        found.append(Step(kind, Span(after, until), changes))
    return found


@settings(max_examples=40, deadline=None)
@given(plans())
def test_it_does_what_the_one_in_memory_does(steps: list[Step]) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(compare_both(Path(directory) / "toplevel.db", steps))


async def compare_both(path: Path, steps: list[Step]) -> None:
    memory, database = MemoryInbox(why), Database.open(path, SCHEMA)
    try:
        for step in steps:
            if step.kind == "reopen":
                database.close()
                database = Database.open(path, SCHEMA)
            inbox = SqliteInbox(database, objection, lambda: 1_000.0)
            await carry_out(step, memory, inbox)
            await are_equal(memory, inbox, database)
    finally:
        database.close()


async def carry_out(step: Step, memory: MemoryInbox, inbox: SqliteInbox) -> None:
    kind, span, changes = step
    expected = memory.stands
    serial = expected.serial + max(1, len(changes))
    then = InboxStanding("s", serial, span.until if span.after < span.until else expected.position)
    both: tuple[Inbox, Inbox] = (memory, inbox)
    for each in both:
        match kind:
            case "apply":
                made = tuple(
                    Change(
                        expected.serial + number,
                        place.table,
                        Operation.DELETE if body is None else Operation.UPSERT,
                        place.key,
                        body or b"",
                    )
                    for number, (place, body) in enumerate(changes, 1)
                )
                places = tuple(change.place for change in made)
                await each.apply(Apply(expected, then, made, places))
            case "replace" if span.after < span.until:
                rows = {p: b for p, b in changes if b is not None and span.holds(p)}
                await each.replace(
                    Replace(expected, then, span, tuple(Row(*p, rows[p]) for p in sorted(rows)))
                )
            case "compare" if span.after < span.until:
                held = memory.rows()
                rows_there = [Row(*p, held[p]) for p in sorted(held) if span.holds(p)]
                right = digest_rows(rows_there)
                assert await each.compare(Compare(memory.stands, memory.stands, span, right))
                wrong = digest_rows([*rows_there, Row("Z", "more", b"")])
                assert not await each.compare(Compare(memory.stands, then, span, wrong))
            case "adopt":
                await each.adopt(Adopt(expected, InboxStanding("new", 7)))
            case "moved":
                elsewhere = expected._replace(serial=expected.serial + 1)
                try:
                    await each.apply(Apply(elsewhere, then, (), ()))
                except Moved:
                    continue
                raise AssertionError("it should have moved")


async def are_equal(memory: MemoryInbox, inbox: SqliteInbox, database: Database) -> None:
    assert await inbox.standing() == memory.stands
    digests = await database.read(lambda c: digests_within(c, EVERYTHING))
    rows = memory.rows()
    assert digests == digest_rows([Row(*place, rows[place]) for place in sorted(rows)])
    rejections = memory.rejections()
    found = await database.read(lambda c: rejections_within(c, EVERYTHING, 1_000))
    assert found == tuple(rejections[place] for place in sorted(rejections))
    assert set(await inbox.rejected_at(tuple(PLACES))) == set(rejections.values())
    held = await database.read(
        lambda c: {
            Place(n, k): body for n, k, body in c.execute("SELECT number, key, body FROM row")
        }
    )
    assert held == {place: each.body for place, each in memory.held.items()}
    await counts_are_right(memory, database)


async def counts_are_right(memory: MemoryInbox, database: Database) -> None:
    standing = await read_counts(database)
    for number, counts in standing.tables.items():
        assert counts.rows == sum(place.table == number for place in memory.rows())
        assert counts.rejected == sum(place.table == number for place in memory.rejections())

"""The log's one writer: leaves -> rows -> tiles -> head -> signature -> checkpoint, in this order and no other.

    append    the lines are in the database, each with its index           (rows)
    publish   tiles and entries are on the disk                            (tiles)
              the head moves by compare-and-swap, or somebody else writes   (head)
              the head is signed                                            (signed)
              the checkpoint is put in place by a rename                    (published)

A crash between any two is followed by `open`, which does what is left; see docs/cycles/audit.md.  Laws.  A checkpoint
is never signed over bytes that the disk may not have.  A row is never changed.  After any error the object is used no
more: what is true is in files and database, and `open` reads it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import NamedTuple, Self, TypeVar

from node.ledger.agreement import Disagreement, Facts, agree
from node.ledger.block import NO_TOTAL
from node.ledger.checkpoint import Checkpoint, read_checkpoint
from node.ledger.leaf import Block, Head, Leaf, parse
from node.ledger.logfiles import LogFiles
from node.ledger.note import Note, Signer
from node.ledger.rows import row_of
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.tree import Tree
from node.store.database import Connection, store_errors
from node.store.ledger import (
    LeafRow,
    add_head,
    add_leaves,
    greatest_cosigned,
    move_head,
    newest_block_line,
    note_head,
    read_extent,
    read_head,
    read_lines,
)

ROWS_AT_ONCE = 256  # in one statement
LEAVES_AT_ONCE = 4_096  # under one new checkpoint, so that much that has waited is signed in pieces

T = TypeVar("T")


class Step(StrEnum):
    """What has just been done for good; a test may stop there."""

    BODY = "body"
    ROWS = "rows"
    TILES = "tiles"
    HEAD = "head"
    SIGNED = "signed"
    PUBLISHED = "published"


Reached = Callable[[Step], None]


class Place(NamedTuple):
    """Where a log is kept, under which name, and who signs it."""

    origin: str
    files: LogFiles
    signers: tuple[Signer, ...]
    connection: Connection  # that holds the lock of this origin


def go_on(_step: Step) -> None:
    """Stop nowhere."""


async def to_its_end(write: Callable[[], T]) -> T:
    """Write files in a thread.  Who is cancelled meanwhile, even twice, waits: nothing is written without the lock."""
    writing = asyncio.create_task(asyncio.to_thread(write))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        while not writing.done():
            with suppress(asyncio.CancelledError):  # it is raised below
                await asyncio.wait([writing])
        raise


class Log:
    """A log that is open for writing; one task uses it."""

    def __init__(self, place: Place, tree: Tree, reached: Reached) -> None:
        """Use `open`."""
        self.place = place
        self.head = tree.head  # the newest that is published, once `open` has returned
        self.total = NO_TOTAL  # successes of each class over all leaves, those without a head too
        self._tree = tree
        self._pending: list[bytes] = []  # lines that no head has
        self._reached = reached

    @classmethod
    async def open(cls, place: Place, *, witnessed: int = 0, reached: Reached = go_on) -> Self:
        """Take up the log where it was left, and finish what a crash has cut short.

        `witnessed` is the largest size that any witness says it has seen.  Raises Disagreement, LogDamaged or NoteError
        when the log cannot be gone on with; StoreUnavailable, StoreError, OSError.
        """
        head = await _agreed(place, witnessed)
        tree = await asyncio.to_thread(Tree.load, place.files, head)
        opened = cls(place, tree, reached)
        await opened._resume()
        return opened

    @property
    def end(self) -> int:
        """The index that the next leaf gets."""
        return self.head[0] + len(self._pending)

    @property
    def is_behind(self) -> bool:
        """True when there are leaves that no checkpoint has."""
        return bool(self._pending)

    async def append(self, leaves: Sequence[Leaf]) -> int:
        """Store leaves behind all others, and return the index of the first.

        Raises Disagreement when another leaf stands in its place; StoreUnavailable, StoreError, LeafError.
        """
        first = self.end
        lines = [leaf.line() for leaf in leaves]
        rows = [
            row_of(first + place, leaf, line)
            for place, (leaf, line) in enumerate(zip(leaves, lines, strict=True))
        ]
        for at in range(0, len(rows), ROWS_AT_ONCE):
            await self._store(rows[at : at + ROWS_AT_ONCE])
        self._reached(Step.ROWS)
        self._pending += lines
        totals = [leaf.total for leaf in leaves if isinstance(leaf, Block)]
        self.total = totals[-1] if totals else self.total
        return first

    async def publish(self) -> Checkpoint | None:
        """Publish a checkpoint over what was appended, at most LEAVES_AT_ONCE of it; None when there is nothing new.

        Raises Disagreement, LogDamaged, StoreUnavailable, StoreError, OSError.
        """
        lines = self._pending[:LEAVES_AT_ONCE]
        if not lines:
            return None
        old = self.head
        new = await to_its_end(partial(self._tree.grow, lines))
        self._reached(Step.TILES)
        await self._move(old, new)
        self._reached(Step.HEAD)
        checkpoint = await self._sign(new)
        del self._pending[: len(lines)]
        await to_its_end(partial(self._tree.tidy, old[0]))
        return checkpoint

    async def _resume(self) -> None:
        """Read what no head has, compare the edge that files and database both have, sign a head that was not."""
        place, size = self.place, self.head[0]
        start = size - len(self._tree.edge)
        with store_errors():
            extent = await read_extent(place.connection, place.origin)
            stored = await read_lines(place.connection, place.origin, start, extent.end)
            newest = await newest_block_line(place.connection, place.origin)
        if [stored[index] for index in range(start, size)] != self._tree.edge:
            raise Disagreement(
                f"the database has other leaves from {start} to {size - 1} than the files; `idnode audit rebuild-db`"
                " makes the database's part again from the files"
            )
        self._pending = [stored[index] for index in range(size, extent.end)]
        if newest is not None and isinstance(block := parse(newest), Block):
            self.total = block.total
        if size and await asyncio.to_thread(_published, place) != self.head:
            await self._sign(self.head)

    async def _store(self, rows: Sequence[LeafRow]) -> None:
        place, start, end = self.place, rows[0].idx, rows[-1].idx + 1
        with store_errors():
            if await add_leaves(place.connection, place.origin, rows) == len(rows):
                return
            stored = await read_lines(place.connection, place.origin, start, end)
        if stored != {row.idx: row.line for row in rows}:
            raise Disagreement(
                f"other leaves than these stand at {start} to {end - 1}, or these stand elsewhere: stop one of the two"
                " writers of this log"
            )

    async def _move(self, old: Head, new: Head) -> None:
        place = self.place
        with store_errors():
            if not await move_head(place.connection, place.origin, old, new):
                raise Disagreement(
                    "somebody else has moved the head of this log: stop one of its two writers"
                )

    async def _sign(self, head: Head) -> Checkpoint:
        place = self.place
        checkpoint = Checkpoint(place.origin, *head)
        lines = [signer.sign(checkpoint.text) for signer in place.signers]
        note = Note(checkpoint.text).signed(*lines)
        self._reached(Step.SIGNED)
        await to_its_end(partial(place.files.publish, note))
        self._reached(Step.PUBLISHED)
        self.head = head
        with store_errors():
            await note_head(place.connection, place.origin, head[0], note.encode().decode())
        return checkpoint


async def _agreed(place: Place, witnessed: int) -> Head:
    """Return the head to go on from, of which the database has a row then."""
    files, origin, connection = place.files, place.origin, place.connection
    published = await asyncio.to_thread(_published, place)
    has_tiles = await asyncio.to_thread(files.has_tiles)
    kept = await asyncio.to_thread(files.head_sizes)
    with store_errors():
        row = await read_head(connection, origin)
        extent = await read_extent(connection, origin)
        cosigned = await greatest_cosigned(connection, origin)
        seen = max(witnessed, cosigned, *kept[-1:], 0)
        known = None if row is None else (row.size, row.root)
        head = agree(Facts(published, has_tiles, known, extent.stored, extent.end, seen))
        await add_head(connection, origin, *head)
    return head


def _published(place: Place) -> Head | None:
    """The checkpoint in the files.  Raises NoteError when it is not ours."""
    note = place.files.published()
    if note is None:
        return None
    checkpoint = read_checkpoint(note, [each.key for each in place.signers], CHECKS_WITH_SM2)
    return checkpoint.size, checkpoint.root

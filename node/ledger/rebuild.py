"""Rebuild: the database's part of a log, made again from its files alone: leaves, head and cosignatures.

Everything is checked on the way: the checkpoint is ours, the entries have its root.  Leaves that only the database had,
those under no checkpoint, are not made again: the lane files still have their records, and the sealer takes them up.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint, read_checkpoint
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.leaf import parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import cosigned_at
from node.ledger.quorum import Policy
from node.ledger.rows import row_of
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.tiles import Frontier
from node.ledger.tlog import leaf_hash
from node.store.database import OwnConnection, store_errors
from node.store.ledger import (
    Cosignature,
    LeafRow,
    add_cosignatures,
    add_head,
    add_leaves,
    clear_ledger,
    note_head,
    release_ledger_lock,
    try_ledger_lock,
)

ROWS_AT_ONCE = 1_000


class LogInUse(Exception):
    """A keeper writes this log: stop the node first."""


class Rebuilt(NamedTuple):
    """What was made again."""

    origin: str
    leaves: int
    cosignatures: int


async def rebuild(
    connection: OwnConnection, files: LogFiles, keys: Sequence[VerifierKey], policy: Policy | None
) -> Rebuilt:
    """Replace the rows of a log by those that its files make: all of them, or none.

    `policy` says which cosignatures to keep, None: those of nobody.  Raises LogInUse, LogDamaged, NoteError, LeafError,
    StoreUnavailable, StoreError, OSError.
    """
    note = files.published()
    if note is None:
        raise LogDamaged(f"{files.checkpoint_path} is missing: there is no log to rebuild from")
    checkpoint = read_checkpoint(note, keys, CHECKS_WITH_SM2)
    _check_root(files, checkpoint)
    origin = checkpoint.origin
    cosignatures = list(_cosignatures(files, policy))
    files.drop_beyond(checkpoint.size)  # tiles of leaves that only the old database had
    with store_errors():
        if not await try_ledger_lock(connection, origin):
            raise LogInUse(f"a keeper writes {origin}; stop the node first")
        try:
            async with connection.transaction():
                await clear_ledger(connection, origin)
                for rows in _batches(files, checkpoint.size):
                    if await add_leaves(connection, origin, rows) != len(rows):
                        raise LogDamaged(f"the log has a block twice, before {rows[-1].idx + 1}")
                await add_head(connection, origin, checkpoint.size, checkpoint.root)
                await note_head(connection, origin, checkpoint.size, note.encode().decode())
                await add_cosignatures(connection, origin, cosignatures)
        finally:
            await release_ledger_lock(connection, origin)
    return Rebuilt(origin, checkpoint.size, len(cosignatures))


def _check_root(files: LogFiles, checkpoint: Checkpoint) -> None:
    frontier = Frontier()
    frontier.extend(map(leaf_hash, files.lines(0, checkpoint.size)))
    if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
        raise LogDamaged(
            "the entries of the log do not have the root of its checkpoint; restore them from a copy"
        )


def _batches(files: LogFiles, size: int) -> Iterator[list[LeafRow]]:
    rows: list[LeafRow] = []
    for index, line in enumerate(files.lines(0, size)):
        rows.append(row_of(index, parse(line), line))
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def _cosignatures(files: LogFiles, policy: Policy | None) -> Iterator[Cosignature]:
    if policy is None:
        return
    names = {(each.key.name, each.key.id): each.name for each in policy.witnesses}
    for size in files.head_sizes():
        note = files.head(size)
        if note is None or Checkpoint.parse(note.text).size != size:
            raise NoteError(f"heads/{size}.note is no checkpoint of {size} leaves")
        for line in note.signatures:
            name = names.get((line.name, line.key_id))
            if name is not None:
                yield Cosignature(size, name, cosigned_at(line.data), line.line)

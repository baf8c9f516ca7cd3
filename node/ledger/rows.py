"""Rows of leaves: what the database finds them by.  The same for a leaf that is new and for one that is read again."""

from node.ledger.leaf import Block, Dictionary, Epoch, Gap, Leaf, MonthKey
from node.ledger.tlog import leaf_hash
from node.store.ledger import LeafRow

OPENED, CLOSED = 0, 1  # in the place of a block's number, of leaves about an epoch


def row_of(index: int, leaf: Leaf, line: bytes) -> LeafRow:
    """Return the row of the leaf that this line says."""
    row = LeafRow(
        index, leaf.kind, None, None, None, None, None, _time(leaf), line, leaf_hash(line)
    )
    match leaf:
        case Block():
            return row._replace(
                lane=leaf.lane,
                epoch=leaf.epoch,
                block=leaf.block,
                first_seq=leaf.sequence[0],
                last_seq=leaf.sequence[1],
            )
        case Epoch():
            number = OPENED if leaf.state == "open" else CLOSED
            return row._replace(lane=leaf.lane, epoch=leaf.epoch, block=number)
        case Gap():
            return row._replace(lane=leaf.lane, epoch=leaf.epoch)
    return row


def _time(leaf: Leaf) -> int | None:
    """When it ended or happened, µs; None when it does not say."""
    match leaf:
        case Block() | Gap():
            return leaf.span[1]
        case MonthKey() | Dictionary():
            return None
    found: int | None = getattr(leaf, "time", None)
    return found

"""A closed day, acknowledged: the top-level node confirms that its rows of a day say what the log's leaf says.  Ours.

The claim is that of `node.ledger.acknowledging`, with the leaf of the day in the place of the closing one.  The
top-level node adds what it holds itself: requests and successes of 表3, which came over the sync, not with the claim.
Only where both agree it signs, so that R4 has a counterpart that the node cannot write.

    idnode acknowledgement of a day       always
    log.example/ledger                    origin
    1234 2/nIdUfE3OUfXDYNKAoZeY9E…        size and root of the tree that was cosigned
    day 2026-11-22 leaf 1230              and the index of the leaf that closes it
    requests 1302                         of 表3, as the top-level node holds it: all in production
    successes 1180                        of 表3; exactly the `raw` of the leaf
    totals 0 1000000 4000 0 0 0           successes per class, over the whole log up to the last block

It is signed like a cosignature/v1, with the key of the witness.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from node.ledger.acknowledging import Claim, ClaimError, check_newest, checked, claim_of, last_leaf
from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import NoteError, from_base64, to_base64
from node.ledger.leaf import Block, Day
from node.ledger.tlog import HashReader

DAY_CLAIM_PATH = "/add-day"

_HEAD = "idnode acknowledgement of a day"
_TEXT = re.compile(
    rf"{_HEAD}\n(?P<origin>[^\n]+)\n(?P<size>[0-9]{{1,19}}) (?P<root>[A-Za-z0-9+/]{{43}}=)\n"
    r"day (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}) leaf (?P<leaf>[0-9]{1,19})\n"
    r"requests (?P<requests>[0-9]{1,19})\nsuccesses (?P<successes>[0-9]{1,19})\n"
    r"totals (?P<totals>[0-9]{1,19}(?: [0-9]{1,19}){5})\n",
    re.ASCII,
)


class Held(NamedTuple):
    """What the top-level node holds of a day in 表3."""

    requests: int
    successes: int


class DayAcknowledged(NamedTuple):
    """What was acknowledged; see the text above."""

    origin: str
    size: int
    root: bytes
    day: str
    leaf: int
    held: Held
    totals: tuple[int, ...]

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (
            _HEAD,
            self.origin,
            f"{self.size} {to_base64(self.root)}",
            f"day {self.day} leaf {self.leaf}",
            f"requests {self.held.requests}",
            f"successes {self.held.successes}",
            f"totals {' '.join(map(str, self.totals))}",
        )
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "DayAcknowledged":
        """Read the text of a note.  Raises NoteError when it acknowledges no day."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NoteError("this note acknowledges no day")
        return cls(
            found["origin"],
            int(found["size"]),
            from_base64(found["root"]),
            found["day"],
            int(found["leaf"]),
            Held(int(found["requests"]), int(found["successes"])),
            tuple(map(int, found["totals"].split(" "))),
        )


def make_day_claim(
    checkpoint: Checkpoint, day: str, lines: Sequence[bytes], read: HashReader
) -> Claim:
    """Return the claim for a closed day from all leaves of a tree that was cosigned.  Raises ClaimError."""
    closing = last_leaf(lines, Day, lambda leaf: leaf.day == day)
    return claim_of(checkpoint, closing, lines, read)


def day_of(claim: Claim, cosigned: Checkpoint) -> Day:
    """Return the leaf of the day that is claimed, proven.  Raises ClaimError."""
    check_newest(claim, cosigned)
    leaf = checked(claim.closing, cosigned)
    if not isinstance(leaf, Day):
        raise ClaimError("the first leaf closes no day")
    return leaf


def judge_day(claim: Claim, cosigned: Checkpoint, held: Held) -> DayAcknowledged:
    """Return what is acknowledged of a day by who holds these figures of it.  Raises ClaimError."""
    leaf, block = day_of(claim, cosigned), checked(claim.block, cosigned)
    if not isinstance(block, Block) or claim.block.at >= claim.closing.at:
        raise ClaimError("the second leaf is no block before the first")
    if leaf.raw != held.successes:
        raise ClaimError(
            f"the log says {leaf.raw} successes of {leaf.day}, and 表3 says {held.successes}"
        )
    if leaf.requests < held.requests:
        raise ClaimError(
            f"the log says {leaf.requests} requests of {leaf.day}, and 表3 says {held.requests}"
        )
    return DayAcknowledged(
        cosigned.origin,
        cosigned.size,
        cosigned.root,
        leaf.day,
        claim.closing.at,
        held,
        block.total,
    )

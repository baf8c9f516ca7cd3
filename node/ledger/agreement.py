"""Whether the files of the log and the database may be gone on from: every difference is a crash's, or nothing is done.

What a crash explains, in the order of a step: leaves in the database that no head has (rows, then the head); a head
that is larger than the published checkpoint (the head, then the signature).  What none explains is a restored backup, a
lost disk, or a second writer: going on would sign another history, so the log stops and says what to do.
"""

from typing import NamedTuple

from node.ledger.leaf import Head
from node.ledger.tlog import EMPTY_ROOT

EMPTY: Head = (0, EMPTY_ROOT)
_REBUILD = "`idnode audit rebuild-db` makes the database's part again from the files"


class Disagreement(Exception):
    """Files, database and witnesses do not belong together; the text says how, and what to do."""


class Facts(NamedTuple):
    """What was found at the start."""

    published: Head | None  # the checkpoint in the files, with our signature
    has_tiles: bool
    head: Head | None  # the database's
    stored: int  # leaves in the database
    end: int  # index behind the last of them
    witnessed: int  # the largest size that a witness says it has seen


def agree(facts: Facts) -> Head:
    """Return the head to go on from.  Raises Disagreement."""
    if facts.stored != facts.end:
        raise Disagreement(f"leaves are missing in the database; {_REBUILD}")
    head = _agreed(facts)
    if facts.end < head[0]:
        raise Disagreement(f"the database has {facts.end} leaves of a log of {head[0]}; {_REBUILD}")
    if facts.witnessed > head[0]:
        raise Disagreement(
            f"a witness has seen {facts.witnessed} leaves of this log, which has {head[0]} here: an old copy was"
            " restored. Bring back the newest files; this log cannot be continued without them"
        )
    return head


def _agreed(facts: Facts) -> Head:
    if facts.head is None:
        if facts.published is not None or facts.has_tiles or facts.stored:
            raise Disagreement(
                f"the database does not know the log that is in the files; {_REBUILD}"
            )
        return EMPTY
    if facts.published is None:
        if facts.head != EMPTY and not facts.has_tiles:
            raise Disagreement(
                f"the database knows a log of {facts.head[0]} leaves, and its files are not here: bring back the"
                " directory `ledger`, or give this node another origin"
            )
        return facts.head
    if facts.published[0] > facts.head[0]:
        raise Disagreement(
            f"the database has a head of {facts.head[0]} leaves, and one of {facts.published[0]} was published:"
            f" an old database was restored; {_REBUILD}"
        )
    if facts.published[0] == facts.head[0] and facts.published != facts.head:
        raise Disagreement(
            f"the database and the published checkpoint have two roots for {facts.head[0]} leaves: two logs were"
            " written under one origin; keep both, and ask the witnesses which one they have seen"
        )
    return facts.head

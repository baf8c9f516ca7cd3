"""Who asks, what is asked and how it was answered, as the ready parts of their records.

Front ends may keep an Asker or a Subject for as long as they like.  The lane has an Asker decided afresh in the first
record of every clock minute, and a Subject when it bears another stamp than the lane: after midnight, when the keys
change, and when the dictionary has changed.  Times are microseconds since 1970 UTC, as in a record.
"""

from collections.abc import Callable, Sequence

from node.ledger.classes import Identity
from node.ledger.record import MAX_FLAGS, MAX_PROTO, MAX_RESULT, RecordFlag


class Budget:
    """How many more answers one network may have as production in this minute."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


UNLIMITED = 2**30 - 1  # nobody has so many in a minute; greater numbers cost more


class Asker:
    """A caller.  `head`, `tags`, `rule` and `agent_no` are parts of its records, see `node.ledger.lane`.

    `excess` is what is added to `head` when `budget` is used up.  `day` is that of `tags`.
    """

    __slots__ = (
        "agent_no",
        "budget",
        "day",
        "excess",
        "head",
        "renew",
        "rule",
        "tags",
        "until_us",
        "who",
    )

    def __init__(self, who: Identity, renew: "Callable[[Asker, int], None]") -> None:
        """`renew(asker, now_us)` decides everything else, and until when it holds; called before the first use."""
        self.who = who
        self.renew = renew
        self.until_us = 0
        self.day = -1
        self.head = self.excess = self.rule = self.agent_no = 0
        self.tags = b""
        self.budget = _NO_LIMIT


Subject = tuple[int, int, int, int, bytes]
"""An identifier that is asked for: stamp, id_tag, prefix_no, the flags that follow from it, its canonical key.

A plain tuple of plain things, one beside each ready reply: an answer then touches little memory, and the garbage
collector leaves all of them alone.
"""

NO_STAMP = 0
"""The stamp of a subject about which nothing was decided yet."""

Outcome = tuple[int, int]
"""How a question was answered, as two parts of a record; made once by `outcome` and used again.

A plain tuple of plain numbers: a named one, and flags as an enumeration, cost more than all the rest of a record.
"""

Requester = tuple[Asker, bytes | None, Sequence[Outcome]]
"""Who sent a request: the caller, the nonce of its id (of which the first four bytes count; None: draw one), and the
outcomes that its answers may have, by number."""

Counted = tuple[Requester, bytes, Subject, int]
"""An answer of a batch: who asked, the sender's port and the request's id as on the wire, for what, and the number of
its outcome.  Who asked over HTTP has neither port nor id (b""): the nonce is that of the requester."""


def outcome(proto: int, result: int, flags: int) -> Outcome:
    """Return an outcome: a `Proto`, a Handle response code, `RecordFlag`s but for those that others know.

    Raises ValueError when one does not fit its field, or somebody else knows the flag: the lane adds theirs.
    """
    fits = 0 <= proto <= MAX_PROTO and 0 <= result <= MAX_RESULT and 0 <= flags <= MAX_FLAGS
    if not fits or flags & _OF_OTHERS:
        raise ValueError(f"no record holds protocol {proto}, result {result}, flags {flags}")
    return int(proto << 8 | result << 16), int(flags)


_OF_OTHERS = int(RecordFlag.CLOCK_STEPPED | RecordFlag.PREFIX)
_NO_LIMIT = Budget(UNLIMITED)

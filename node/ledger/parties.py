"""Who asks and what is asked, as the ready bytes of their records.

Front ends may keep an Asker or a Subject for as long as they like: the lane has each decided afresh in the first record
of every clock minute, and so at midnight, when the keys change.  Times are nanoseconds since 1970 UTC.
"""

from collections.abc import Callable

from node.ledger.classes import Identity


class Budget:
    """How many more answers one network may have as production in this minute."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


UNLIMITED = 2**62


class Asker:
    """A caller.  `head`, `tags`, `rule` and `tail` are parts of its records, see `node.ledger.lane`.

    `excess` is what is added to `head` when `budget` is used up.  `day` is that of `tags`.
    """

    __slots__ = (
        "budget",
        "day",
        "excess",
        "head",
        "renew",
        "rule",
        "tags",
        "tail",
        "until_ns",
        "who",
    )

    def __init__(self, who: Identity, renew: "Callable[[Asker, int], None]") -> None:
        """`renew(asker, now)` decides everything else, and until when it holds; it is called before the first use."""
        self.who = who
        self.renew = renew
        self.until_ns = 0
        self.day = -1
        self.head = self.excess = self.rule = self.tail = 0
        self.tags = b""
        self.budget = _NO_LIMIT


class Subject:
    """An identifier that is asked for, by its canonical key; `flags` are those that follow from it."""

    __slots__ = ("day", "flags", "id_tag", "key", "prefix_no", "renew", "until_ns")

    def __init__(self, key: bytes, renew: "Callable[[Subject, int], None]") -> None:
        """See `Asker`."""
        self.key = key
        self.renew = renew
        self.until_ns = 0
        self.day = -1
        self.flags = self.id_tag = self.prefix_no = 0


_NO_LIMIT = Budget(UNLIMITED)

"""Tested: how many records the log has of each load test, so that none is closed, or acknowledged, with more.

Two bounds.  The leaves of the blocks say how many records there are of class test, whatever bodies are here.  Where
every such record since the opening was looked at, the bodies say of which load test and protocol each is.  What is
sealed between the counting and the closing leaf is not in its count, so the log may have more, and never less.
"""

from collections import Counter

from node.ledger.leaf import Block, Campaign
from node.ledger.record import CLASS_AT, PROTO_AT, RECORD_BYTES, Class, Proto
from node.ledger.verify.bodies import Records


class Tested:
    """Counts what it is shown, leaves and bodies in the order of the log."""

    def __init__(self) -> None:
        self._sealed = self._seen = 0  # records of class test: in leaves, in bodies
        self._found: dict[int, Counter[str]] = {}
        self._opened: dict[int, tuple[int, int]] = {}

    def block(self, leaf: Block) -> None:
        """Take a block."""
        self._sealed += leaf.records[Class.TEST]

    def look(self, _index: int, _leaf: Block, records: Records) -> None:
        """Take the records of a block."""
        if not any(kind.campaign for kind in records.kinds):
            return
        self._seen += records.body[CLASS_AT::RECORD_BYTES].count(Class.TEST)
        protocols = records.body[PROTO_AT::RECORD_BYTES]
        for (protocol, number), count in Counter(
            zip(protocols, records.campaigns, strict=True)
        ).items():
            if number:
                self._found.setdefault(number, Counter())[_name(protocol)] += count

    def open(self, number: int) -> None:
        """Take the opening of a load test."""
        self._opened.setdefault(number, (self._sealed, self._seen))

    def excess(self, closing: Campaign) -> str:
        """Say by what a closing leaf says more than the log has; nothing when it does not."""
        sealed, seen = self._opened.get(closing.number, (0, 0))
        most, observed = self._sealed - sealed, closing.observed or 0
        if observed > most:
            return f"{observed} records, and the log has {most} of class test since it was opened"
        if self._seen - seen == most:
            return self._excess_of(closing)
        return ""

    def _excess_of(self, closing: Campaign) -> str:
        found = self._found.get(closing.number, Counter())
        for name, count in (closing.protocols or {}).items():
            if count > found[name]:
                return f"{count} records over {name}, and the log has {found[name]}"
        observed = closing.observed or 0
        return f"{observed} records, and the log has {found.total()}" * (observed > found.total())


def _name(protocol: int) -> str:
    try:
        return Proto(protocol).name.lower()
    except ValueError:
        return str(protocol)

"""The rate rule: of one network, in one epoch of a lane and one minute, so many answers are production and no more.

A minute that has no more records than that is not looked at; of one that has, every record is.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import compress

from node.ledger.leaf import Block
from node.ledger.record import Class
from node.ledger.verify.bodies import Records

MINUTE_US = 60_000_000
MAX_NETWORKS = 65_536  # that a worker watches; beyond them it limits nobody
_PRODUCTION = int(Class.PRODUCTION)


@dataclass(slots=True)
class _Run:
    """Blocks of an epoch, each beginning in the minute in which the one before ended."""

    epoch: int
    minute: int = -1  # in which the newest ended
    waiting: list[Records] = field(default_factory=list)
    records: int = 0
    networks: Counter[int] = field(default_factory=Counter)  # of the newest minute


class Rates:
    """Counts what lanes have of each network in a minute."""

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}

    def is_over(self, leaf: Block, records: Records, limit: int) -> bool:
        """Take the next block of a lane; return whether a network has more than it may in one of its minutes."""
        first, last = (time // MINUTE_US for time in records.span)
        run = self._runs.get(leaf.lane)
        if run is None or run.epoch != leaf.epoch or run.minute != first:
            run = self._runs[leaf.lane] = _Run(leaf.epoch, first)
        run.waiting.append(records)
        run.records += len(records.times)
        if run.records <= limit:
            if first != last:  # nothing before this block is in its last minute
                run.waiting, run.records = [records], len(records.times)
            run.minute = last
            return False
        counted = [_count(run, each) for each in run.waiting]
        run.waiting = []
        if max(counted) <= limit or len(run.networks) >= MAX_NETWORKS:
            return False
        run.networks.clear()
        return True


def _count(run: _Run, records: Records) -> int:
    """Count a block, and return the most that a network has in one of its minutes."""
    most = 0
    for minute, networks in _by_minute(records):
        if minute != run.minute:
            run.minute = minute
            run.networks.clear()
        run.networks.update(networks)
        most = max(most, max(run.networks.values(), default=0))
    return most


def _by_minute(records: Records) -> list[tuple[int, Counter[int]]]:
    """Count the networks of production by minute, in order of time."""
    first, last = (time // MINUTE_US for time in records.span)
    if first == last and all(kind.class_ == _PRODUCTION for kind in records.kinds):
        return [(first, records.by_network)]
    is_counted = [class_ == _PRODUCTION for class_ in records.classes]
    minutes = [time // MINUTE_US for time in records.times]
    pairs = Counter(compress(zip(minutes, records.networks, strict=True), is_counted))
    found: dict[int, Counter[int]] = {minute: Counter() for minute in sorted(set(minutes))}
    for (minute, network), count in pairs.items():
        found[minute][network] = count
    return list(found.items())

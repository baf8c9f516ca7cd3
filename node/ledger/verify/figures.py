"""V9: figures that nothing judges, for a person to look at: who asks most, for what, and when."""

from collections import Counter
from collections.abc import Mapping

from node.ledger.leaf import Block
from node.ledger.record import Class
from node.ledger.tags import ZONE_NS
from node.ledger.verify.bodies import Records
from node.ledger.verify.findings import Findings, Status, grouped

HOUR_US = 3_600_000_000
MAX_KEPT = (
    100_000  # of each kind; beyond that the rarest are dropped, and shares are a little too small
)
_PRODUCTION = int(Class.PRODUCTION)


class FigureRules:
    """Counts callers, networks, prefixes and hours of production."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._clients: Counter[int] = Counter()
        self._networks: Counter[int] = Counter()
        self._prefixes: Counter[int] = Counter()
        self._hours: Counter[int] = Counter()
        self._total = 0

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block; all of them count here when one is of production."""
        if not leaf.records[_PRODUCTION]:
            return
        self._total += len(records.times)
        for counter, column in (
            (self._clients, records.by_client),
            (self._networks, records.by_network),
            (self._prefixes, records.by_prefix),
        ):
            counter.update(column)
            _prune(counter)
        first, last = records.span
        if first // HOUR_US == last // HOUR_US:
            self._hours[_hour(first)] += len(records.times)
        else:
            self._hours.update(map(_hour, records.times))

    def finish(self, figures: Mapping[str, int]) -> None:
        """Say what was found; `figures` are what the days come to."""
        if not self._total:
            self._findings.tell("V9", "no record of production was looked at", Status.INFO)
            return
        parts = [
            f"top client {self._share(self._clients)}",
            f"network {self._share(self._networks)}",
            f"prefix {self._share(self._prefixes)}",
            f"again within 30 s {_percent(figures['raw'] - figures['filtered'], figures['raw'])}",
            f"busiest hour {self._hours.most_common(1)[0][0]:02}:00 {self._share(self._hours)}",
            f"of {grouped(self._total)} records",
        ]
        self._findings.tell("V9", ", ".join(parts), Status.INFO)

    def _share(self, counter: Counter[int]) -> str:
        return _percent(counter.most_common(1)[0][1], self._total)


def _percent(part: int, whole: int) -> str:
    tenths = part * 1_000 // max(whole, 1)
    return f"{tenths // 10}.{tenths % 10} %"


def _hour(time: int) -> int:
    return (time + ZONE_NS // 1_000) // HOUR_US % 24


def _prune(counter: Counter[int]) -> None:
    if len(counter) > 2 * MAX_KEPT:
        kept = counter.most_common(MAX_KEPT)
        counter.clear()
        counter.update(dict(kept))

"""DayCounts: 表3 and 表8 of a day, from the day's file of the ledger and from what was registered.

`requests` are all production records of the ledger, `successes` what it calls raw: successful look-ups of identifiers
in production, each retry once; so the top-level node's figure is that of the day's leaf, which anybody can check.  The
sources add up to `requests`.  What lies below an enterprise's prefix counts as the enterprise's.

Which of the ledger's figures the tables mean is not public; this is our reading (docs/reference/tables.md).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from node.ledger.count import NOTHING, Tally, sum_cells
from node.ledger.day import DayDetail
from node.ledger.record import Class
from node.store.daycounts import Registered
from node.store.sources import Source
from node.store.synced import RowChange
from sync.channels.tables import ENTERPRISE_COUNT, MAX_SOURCES, NODE_COUNT, Table

Fields = dict[str, object]


class Owners:
    """Whose a prefix is: the enterprise's that it is, or lies below."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._prefixes = frozenset(prefixes)

    def of(self, prefix: str) -> str:
        """Return the enterprise's prefix; empty for what is nobody's."""
        name = prefix
        while name and name not in self._prefixes:
            name = name.rpartition(".")[0]
        return name

    def sum(self, counts: Mapping[str, int]) -> Counter[str]:
        """Return the sums by enterprise's prefix."""
        sums: Counter[str] = Counter()
        for name, count in counts.items():
            sums[self.of(name)] += count
        return sums


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger says of a prefix: requests, successes, and requests by address."""

    requests: int = 0
    successes: int = 0
    sources: Counter[str] = field(default_factory=Counter)


def _found(detail: DayDetail, sources: Iterable[Source], owners: Owners) -> dict[str, Found]:
    """Return what was found of each enterprise's prefix, and under the empty name of all else."""
    addresses = defaultdict[str, Counter[str]](Counter)
    for source in sources:
        addresses[owners.of(source.prefix)][str(source.address)] += source.requests
    owner_of = {number: owners.of(name) for number, (_, name) in detail.prefixes.items()}
    production = {
        cell: tally
        for cell, tally in detail.counted.cells.items()
        if cell.class_ == Class.PRODUCTION
    }
    sums = sum_cells(
        production, lambda cell: (owner_of.get(cell.prefix_no, ""), cell.is_resolution)
    )
    names = {name for name, _ in sums} | addresses.keys()
    return {name: _of(name, sums, addresses[name]) for name in sorted(names)}


def _of(name: str, sums: Mapping[tuple[str, bool], Tally], addresses: Counter[str]) -> Found:
    resolved, other = sums.get((name, True), NOTHING), sums.get((name, False), NOTHING)
    return Found(resolved.requests + other.requests, resolved.raw, addresses)


def _total(found: Iterable[Found]) -> Found:
    requests = successes = 0
    sources: Counter[str] = Counter()
    for each in found:
        requests, successes = requests + each.requests, successes + each.successes
        sources.update(each.sources)
    return Found(requests, successes, sources)


def rows_of_day(
    node_prefix: str,
    day: date,
    detail: DayDetail,
    sources: Iterable[Source],
    registered: Registered,
) -> list[RowChange]:
    """Return the rows of both tables.  Raises Fault when a row cannot be said."""
    owners = Owners(registered.prefixes)
    found = _found(detail, sources, owners)
    fields: Fields = {
        "prefix": node_prefix,
        "day": day.isoformat(),
        "new_prefixes": registered.new_prefixes,
        "prefixes": len(registered.prefixes),
    }
    rows = list(_parts(NODE_COUNT, fields, _total(found.values())))
    new, existing = owners.sum(registered.new_identifiers), owners.sum(registered.identifiers)
    for prefix, spelling in registered.prefixes.items():
        fields = {
            "prefix": spelling,
            "day": day.isoformat(),
            "new_identifiers": new[prefix],
            "identifiers": existing[prefix],
        }
        rows += _parts(ENTERPRISE_COUNT, fields, found.get(prefix, Found()))
    return rows


def _parts(table: Table, fields: Fields, found: Found) -> Iterator[RowChange]:
    """Yield the rows of one prefix; a long list of sources is cut, each part with the same totals."""
    listed = iter(found.sources.most_common())
    parts = max(1, -(-len(found.sources) // MAX_SOURCES))
    for part in range(1, parts + 1):
        some = [{"ip": ip, "resolutions": n} for ip, n in islice(listed, MAX_SOURCES)]
        row = {
            **fields,
            "requests": found.requests,
            "successes": found.successes,
            "part": part,
            "parts": parts,
            "sources": some or None,
        }
        yield RowChange(table.number, table.key_of(row), table.encode(row))

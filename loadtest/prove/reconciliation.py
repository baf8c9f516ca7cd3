"""Reconciliation: four counts of the same answers, held against each other by protocol and in sum, to the last one.

    client          right answers that came to who asked
    ledger          records of the campaign in the evidence, counted offline from the bodies of its blocks
    Prometheus      what the node's metrics gained, without what the same blocks have that is not of the campaign
    top-level node  what it acknowledges, and has signed

The ledger and the metrics count at two places of the request's path; the client is another process; the top-level node
has what the log had committed to before it was asked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadtest.prove.traffic import PROTOCOLS

Counts = Mapping[str, int]

CLIENT, LEDGER, PROMETHEUS, TOP_LEVEL = "client", "ledger", "prometheus", "toplevel"
NAMES = {
    CLIENT: "the client",
    LEDGER: "the ledger",
    PROMETHEUS: "Prometheus",
    TOP_LEVEL: "the top-level node",
}
SUM = "sum"


@dataclass(frozen=True, slots=True)
class FourCounts:
    """The counts by protocol.  `metrics` is what the node's metrics gained, `others` what is not of the campaign.

    `toplevel` is None when the top-level node has acknowledged nothing: a count that is missing, not one of nothing.
    """

    client: Counts
    ledger: Counts
    metrics: Counts
    toplevel: Counts | None
    others: Counts = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Counter[str]]:
        """The columns that there are, in their order; each also has the sum."""
        prometheus = Counter(self.metrics)
        prometheus.subtract(self.others)
        columns = {
            CLIENT: Counter(self.client),
            LEDGER: Counter(self.ledger),
            PROMETHEUS: prometheus,
        }
        if self.toplevel is not None:
            columns[TOP_LEVEL] = Counter(self.toplevel)
        return {name: _with_sum(column) for name, column in columns.items()}

    @property
    def protocols(self) -> list[str]:
        """All that anybody has counted anything of, those that were asked first; then the sum."""
        found = set().union(*self.columns.values()) - {SUM, *PROTOCOLS}
        return [*PROTOCOLS, *sorted(found), SUM]

    def differences(self) -> Iterator[str]:
        """Say, a sentence each, where a column is not what the client has."""
        columns = self.columns
        for protocol in self.protocols:
            ours = columns[CLIENT][protocol]
            for name, column in columns.items():
                if column[protocol] != ours:
                    yield (
                        f"{_place(protocol)}: {NAMES[CLIENT]} has {ours:,}, {NAMES[name]} has "
                        f"{column[protocol]:,} ({column[protocol] - ours:+,})"
                    )


def unacknowledged(why: str) -> str:
    """Say that the fourth count is missing."""
    return f"the top-level node has not acknowledged the count: {why or 'no reason is given'}"


def _with_sum(column: Counter[str]) -> Counter[str]:
    kept = Counter({name: count for name, count in column.items() if count})
    kept[SUM] = sum(column.values())
    return kept


def _place(protocol: str) -> str:
    return "in sum" if protocol == SUM else f"over {protocol}"

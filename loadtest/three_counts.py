"""Three counts of the same answers: by who asked, by the audit ledger, and by Prometheus; and where they differ."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.accounts import bodies_of
from loadtest.stand import Node, get
from loadtest.streams import Address
from node.ledger.record import CLASS_AT, PROTO_AT, RECORD_BYTES, Class
from node.recording import PROTOS
from resolver.observe import Protocol

_SERIES = re.compile(r'idnode_resolutions_total\{.*?protocol="(\w+)".*\} (\S+)')

Counts = Counter[Protocol]


@dataclass(slots=True)
class ThreeCounts:
    """What was counted, the records by class, and the totals that were scraped, with their times (POSIX seconds)."""

    client: Counts = field(default_factory=Counter)
    ledger: Counts = field(default_factory=Counter)
    prometheus: Counts = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    scrapes: list[tuple[float, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def scrape(node: Node) -> Counts:
    """Return what the node's metrics say, by protocol."""
    return scrape_at(node.admin)


def scrape_at(admin: Address) -> Counts:
    """Return what the metrics of the node with this admin listener say, by protocol."""
    counts: Counts = Counter()
    for protocol, value in _SERIES.findall(get(admin, "/metrics")[1].decode()):
        counts[Protocol(protocol)] += int(float(value))
    return counts


def in_ledger(directory: Path) -> tuple[Counts, Counter[int]]:
    """Return the records that a ledger has, by protocol and by class."""
    protocols = {int(proto): protocol for protocol, proto in PROTOS.items()}
    protos, classes = Counter[int](), Counter[int]()
    for body in bodies_of(directory):
        protos.update(body[PROTO_AT::RECORD_BYTES])
        classes.update(body[CLASS_AT::RECORD_BYTES])
    return Counter({protocols[proto]: count for proto, count in protos.items()}), classes


def differences(when: str, ledger: Counts, other: Counts) -> list[str]:
    """Say over which protocols two counts are not the same."""
    return [
        f"{when}: {ledger[protocol]} in the ledger, {other[protocol]} counted elsewhere, over {protocol}"
        for protocol in Protocol
        if ledger[protocol] != other[protocol]
    ]


def write_scrapes(path: Path, tally: ThreeCounts) -> None:
    """Write the scrapes as Prometheus would answer a range query."""
    values = [[f"{at:.6f}", str(total)] for at, total in tally.scrapes]
    path.write_text(json.dumps({"data": {"result": [{"values": values}]}}))


def table(tally: ThreeCounts) -> Iterator[str]:
    """Return the counts, a line for each protocol that was asked, one for all, one for the classes."""
    yield f"{'':12} {'client':>11} {'ledger':>11} {'Prometheus':>11}"
    for protocol in tally.client:
        yield _row(
            protocol, tally.client[protocol], tally.ledger[protocol], tally.prometheus[protocol]
        )
    yield _row("in all", tally.client.total(), tally.ledger.total(), tally.prometheus.total())
    sums = ", ".join(f"{Class(no).name.lower()} {n:,}" for no, n in sorted(tally.classes.items()))
    yield f"records by class, all that the node ever gave: {sums}"


def _row(title: str, *counts: int) -> str:
    return f"{title:12} " + " ".join(f"{count:11,}" for count in counts)

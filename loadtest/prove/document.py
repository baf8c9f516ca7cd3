"""The document of a proof, `report.json`: canonical JSON (RFC 8785), of which all else is made.

Times are µs since 1970, durations and latencies µs, shares in millionths, processor time in thousandths of a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from loadtest.prove.confirmation import Confirmation
from loadtest.prove.evidence import Verdict
from loadtest.prove.reconciliation import FourCounts
from loadtest.prove.sampling import Sample
from loadtest.prove.traffic import PROTOCOLS, Asked
from node.ledger.canonical import Json, canonical
from node.ledger.leaf import Campaign

SCHEMA = "idnode-proof-1"
PERCENTILES = (50, 90, 99, 99.9)
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Log:
    """Where the campaign stands in the log, and what the top-level node has confirmed."""

    origin: str
    opened: int
    counted_from: int  # the first leaf behind what was counted before the campaign asked
    closed: int
    confirmed: Confirmation
    head: str  # the newest cosigned head, a note
    leaves: int


@dataclass(slots=True)
class Findings:
    """All that was found; `document` makes the report of it."""

    campaign: Campaign
    log: Log
    counts: FourCounts
    asked: Mapping[str, Asked]
    samples: Sequence[Sample]
    verdict: Verdict
    faults: Sequence[str]
    times: Mapping[str, int]  # µs since 1970 of: started, asking, asked, finished
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    workers: int
    is_own: bool
    command: str
    digests: Mapping[str, str] = field(default_factory=dict)


def document(found: Findings) -> bytes:
    """Return the report."""
    campaign, log = found.campaign, found.log
    return canonical(
        {
            "schema": SCHEMA,
            "origin": log.origin,
            "is_production": False,
            "campaign": {
                "number": campaign.number,
                "class": "test",
                "networks": list(campaign.networks),
                "planned": campaign.planned,
                "from": campaign.time,
                "until": campaign.until,
                "opened_leaf": log.opened,
                "closed_leaf": log.closed,
            },
            "times": dict(found.times),
            "counts": counts_in(found.counts, found.log.counted_from),
            "asked": [_asked(name, found.asked[name]) for name in PROTOCOLS],
            "samples": _samples(found.samples),
            "log": {"leaves": log.leaves, "head": log.head},
            "acknowledgement": _acknowledgement(log.confirmed),
            "verification": {
                "exit_code": found.verdict.code,
                "lines": list(found.verdict.lines),
                "took": _us(found.verdict.seconds),
            },
            "machine": dict(found.machine),
            "versions": dict(found.versions),
            "node": {"workers": found.workers, "own": found.is_own},
            "command": found.command,
            "digests": dict(found.digests),
            "faults": list(found.faults)[:MAX_FAULTS],
        }
    )


def counts_in(counts: FourCounts, start: int) -> Json:
    """Return the counts that there are, by protocol and in sum, and what the node answered beside the campaign."""
    columns = counts.columns
    rows: list[Json] = [
        {"protocol": name, **{column: columns[column][name] for column in columns}}
        for name in counts.protocols
    ]
    others = {name: count for name, count in sorted(counts.others.items()) if count}
    return {"from_leaf": start, "rows": rows, "others": others}


def _acknowledgement(confirmed: Confirmation) -> Json:
    """Return the leaf and the note; in their place, why there are none."""
    if confirmed.leaf is None:
        return {"note": "", "missing": confirmed.missing}
    return {"leaf": confirmed.leaf, "note": confirmed.note, "witness": confirmed.witness}


def _asked(name: str, asked: Asked) -> Json:
    times = asked.histogram
    return {
        "protocol": name,
        "answers": asked.answers,
        "closed_loop": {"answers": asked.closed, "took": _us(asked.seconds)},
        "open_loop": {
            "rate": round(asked.rate),
            "answers": len(times),
            "percentiles": {str(each): _us(times.percentile(each)) for each in PERCENTILES},
            "longest": _us(times.longest),
            "late_by_generator": round(asked.behind * 1_000_000),
        },
        "wrong": asked.wrong,
        "lost": asked.lost,
        "repeated": asked.repeated,
        "reconnects": asked.reconnects,
        "unasked": asked.unasked,
    }


def _samples(samples: Sequence[Sample]) -> Json:
    """Return what happened between one row and the next, and the memory at its end."""
    begin = samples[0].at if samples else 0.0
    return [
        {
            "at": _us(after.at - begin),
            "lasted": _us(after.at - before.at),
            "answers": {
                name: max(after.answers.get(name, 0) - before.answers.get(name, 0), 0)
                for name in PROTOCOLS
            },
            "cpu": {
                group: max(round(1_000 * (spent - before.cpu_seconds.get(group, 0.0))), 0)
                for group, spent in after.cpu_seconds.items()
            },
            "memory": dict(after.resident),
        }
        for before, after in pairwise(samples)
    ]


def _us(seconds: float) -> int:
    return round(seconds * 1e6)

"""The document: a month's figures as canonical JSON, from which HTML, PDF and tables are rendered, and nothing else.

Fields stand as docs/reference/report.md has them.  There are no fractions and no null in it: shares are in millionths,
and what is not there is left out or empty.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from node.ledger.canonical import Json, canonical
from node.ledger.count import NOTHING, Cell, Tally, sum_cells
from node.ledger.leaf import Campaign, Report
from node.ledger.record import Class, Proto
from node.ledger.report.figures import LedgerMonth
from node.ledger.report.thresholds import Metric, Profile, Scope, judge
from node.ledger.report.words import LIMITS
from node.ledger.sample import ORIGIN as SAMPLE_ORIGIN

SCHEMA = "idnode-report-1"
TIME_ZONE = "Asia/Shanghai"
CLASSES = {
    Class.PRODUCTION: "production",
    Class.TEST: "test",
    Class.SELF: "self",
    Class.ROBOT: "robot",
    Class.SUSPECT: "suspect",
    Class.RESERVED: "reserved",
}
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier said of a rule when the report was made; an auditor asks it himself."""

    rule: str
    status: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What is not in the ledger: who runs the node, which version of the report this is, and the verifier's words."""

    operator: str = ""
    licence: str = ""
    version: int = 1
    supersedes: str = ""  # SHA-256 of the version before
    verdicts: Sequence[Verdict] = ()
    profiles: Sequence[Profile] = field(default_factory=tuple)


def document(month: LedgerMonth, issue: Issue) -> bytes:
    """Return the document.  Raises as `LedgerMonth`."""
    cells = _cells(month)
    witnesses, first_head, last_head = month.witnesses()
    answered, blocks = month.answered()
    value: dict[str, Json] = {
        "schema": SCHEMA,
        "report_version": issue.version,
        "sample": month.genesis.origin == SAMPLE_ORIGIN,
        "origin": month.genesis.origin,
        "node": _node(month, issue),
        "period": _period(month),
        "log": {
            "size": month.size,
            "first_index": month.leaves[0],
            "last_index": month.leaves[1],
            "blocks": blocks,
            "answered": answered,
            "first_head": first_head,
            "last_head": last_head,
            "prev_report_digest": _previous(month),
        },
        "totals": _totals(month, cells),
        "cumulative": _cumulative(month),
        "by_day": _by_day(month),
        "by_hour_profile": _by_hour(cells),
        "by_class": _by_class(cells),
        "by_proto": _by_proto(cells),
        "by_scheme": _by_scheme(month, cells),
        "by_result": _by_result(month, cells),
        "by_prefix": _by_prefix(month, cells),
        "thresholds": [judge(each, month.value, month.crossed) for each in issue.profiles],
        "gaps": [
            {
                "leaf": at,
                "lane": gap.lane,
                "epoch": gap.epoch,
                "from": gap.span[0],
                "to": gap.span[1],
                "bound": gap.bound,
                "cause": gap.cause,
            }
            for at, gap in month.gaps
        ],
        "uncounted_upper_bound": sum(gap.bound for _, gap in month.gaps),
        "campaigns": _campaigns(month),
        "policies": [
            {
                "no": leaf.number,
                "leaf": at,
                "from": leaf.since,
                "sha256": sha256(leaf.line()).hexdigest(),
            }
            for at, leaf in month.policies
        ],
        "rules": {"text": month.policies[-1][1].text if month.policies else ""},
        "witnesses": [
            {
                "name": each.name,
                "key": each.key,
                "cosigned_heads": each.heads,
                "longest_gap_s": each.longest_gap_s,
            }
            for each in witnesses
        ],
        "anchors": [
            {"leaf": at, "kind": leaf.anchor, "day": leaf.day, "file": leaf.file}
            for at, leaf in month.anchors
        ],
        "acknowledgements": [
            {"leaf": at, "size": leaf.size, "t": leaf.time} for at, leaf in month.acknowledgements
        ],
        "reconciliation": [
            {"rule": each.rule, "verdict": each.status, "text": each.text}
            for each in issue.verdicts
        ],
        "statistics": _statistics(month, cells),
        "limits": {language: list(texts) for language, texts in LIMITS.items()},
    }
    if issue.supersedes:
        value["supersedes"] = issue.supersedes
    return canonical(value)


def _node(month: LedgerMonth, issue: Issue) -> Json:
    rows = sorted((scheme, name) for scheme, name in month.prefixes.values())
    listed = canonical([list(row) for row in rows])
    return {
        "name": month.genesis.node,
        "operator": issue.operator,
        "licence": issue.licence,
        "keys": list(month.genesis.keys),
        "prefixes": len(rows),
        "prefixes_sha256": sha256(listed).hexdigest(),
    }


def _period(month: LedgerMonth) -> Json:
    return {
        "month": month.month,
        "start": month.start,
        "end": month.end,
        "tz": TIME_ZONE,
        "utc": [_utc(month.start), _utc(month.end)],
        "days": [leaf.day for _, leaf in month.days],
        "complete": month.is_complete,
    }


def _previous(month: LedgerMonth) -> str:
    """The digest of the newest report of an earlier month."""
    earlier = [
        (leaf.period, leaf.version, leaf.sha256)
        for _, leaf in month.reports
        if leaf.period < month.month
    ]
    return max(earlier)[2] if earlier else ""


def newest_report(month: LedgerMonth) -> Report | None:
    """Return the newest report of this month that the log has, which another one would replace."""
    own = [leaf for _, leaf in month.reports if leaf.period == month.month]
    return max(own, key=lambda leaf: leaf.version, default=None)


def _cells(month: LedgerMonth) -> dict[Cell, Tally]:
    found: dict[Cell, Tally] = {}
    for detail in month.details:
        for cell, tally in detail.counted.cells.items():
            found[cell] = found.get(cell, NOTHING) + tally
    return found


def _sum(cells: Mapping[Cell, Tally]) -> Tally:
    return sum(cells.values(), NOTHING)


def _of(cells: Mapping[Cell, Tally], class_: int) -> dict[Cell, Tally]:
    return {cell: tally for cell, tally in cells.items() if cell.class_ == class_}


def _totals(month: LedgerMonth, cells: Mapping[Cell, Tally]) -> Json:
    """`requests` counts every record; raw and filtered are those of production, the classes by their own raw.

    The bridge: answered (what the blocks' leaves add up to) = raw + prefix_lookups + repeats + carried.
    """
    production = _of(cells, Class.PRODUCTION)
    found = _sum({cell: tally for cell, tally in production.items() if cell.is_resolution})
    prefixes = _sum(
        {cell: tally for cell, tally in production.items() if cell.is_success and cell.is_prefix}
    )
    failures = _sum({cell: tally for cell, tally in production.items() if not cell.is_success})
    repeats = found.requests - found.raw + prefixes.requests - prefixes.raw
    carried = month.answered()[0] - found.requests - prefixes.requests
    days = [leaf for _, leaf in month.days]
    return {
        "requests": _sum(cells).requests,
        "raw": found.raw,
        "filtered": found.filtered,
        "test": sum(leaf.test for leaf in days),
        "self": sum(leaf.own for leaf in days),
        "robot": sum(leaf.robot for leaf in days),
        "suspect": sum(leaf.suspect for leaf in days),
        "failures": failures.raw,
        "prefix_lookups": prefixes.raw,
        "repeats": repeats,
        "carried": [max(carried, 0), max(-carried, 0)],
        "identifiers_daily": [
            max((leaf.identifiers for leaf in days), default=0),
            _mean(leaf.identifiers for leaf in days),
        ],
        "clients_daily": [
            max((leaf.clients for leaf in days), default=0),
            _mean(leaf.clients for leaf in days),
        ],
    }


def _mean(numbers: Iterable[int]) -> int:
    listed = list(numbers)
    return round(sum(listed) / len(listed)) if listed else 0


def _cumulative(month: LedgerMonth) -> Json:
    since = month.all_days[0][1].day if month.all_days else ""
    sums: dict[str, Json] = {
        scope: {metric: month.value(metric, scope) for metric in Metric} for scope in Scope
    }
    return {"since": since, **sums}


def _by_day(month: LedgerMonth) -> Json:
    return [
        {
            "day": leaf.day,
            "leaf": at,
            "requests": leaf.requests,
            "raw": leaf.raw,
            "filtered": leaf.filtered,
            "identifiers": leaf.identifiers,
            "clients": leaf.clients,
            "test": leaf.test,
            "self": leaf.own,
            "robot": leaf.robot,
            "suspect": leaf.suspect,
            "answered": detail.answered,
            "detail": leaf.detail,
        }
        for (at, leaf), detail in zip(month.days, month.details, strict=True)
    ]


def _by_hour(cells: Mapping[Cell, Tally]) -> Json:
    sums = sum_cells(_resolutions(cells), lambda cell: cell.hour)
    return [
        {"raw": sums.get(hour, NOTHING).raw, "filtered": sums.get(hour, NOTHING).filtered}
        for hour in range(24)
    ]


def _by_class(cells: Mapping[Cell, Tally]) -> Json:
    sums = sum_cells(cells, lambda cell: (cell.class_, cell.is_success))
    return [
        {
            "class": CLASSES[class_],
            "requests": sums.get((class_, True), NOTHING).requests
            + sums.get((class_, False), NOTHING).requests,
            "successes": sums.get((class_, True), NOTHING).requests,
        }
        for class_ in Class
    ]


def _by_proto(cells: Mapping[Cell, Tally]) -> Json:
    sums = sum_cells(_of(cells, Class.PRODUCTION), lambda cell: cell.proto)
    found = sum_cells(_resolutions(cells), lambda cell: cell.proto)
    return [
        {"proto": _proto(no), **_tally(sums[no], found.get(no, NOTHING))} for no in sorted(sums)
    ]


def _by_scheme(month: LedgerMonth, cells: Mapping[Cell, Tally]) -> Json:
    def scheme(cell: Cell) -> str:
        return month.prefixes.get(cell.prefix_no, ("", ""))[0]

    sums = sum_cells(_of(cells, Class.PRODUCTION), scheme)
    found = sum_cells(_resolutions(cells), scheme)
    return [
        {"scheme": name, **_tally(sums[name], found.get(name, NOTHING))} for name in sorted(sums)
    ]


def _by_result(month: LedgerMonth, cells: Mapping[Cell, Tally]) -> Json:
    names = month.policies[-1][1].results if month.policies else {}
    sums = sum_cells(_of(cells, Class.PRODUCTION), lambda cell: cell.result)
    return [
        {"result": result, "name": names.get(str(result), ""), "requests": sums[result].requests}
        for result in sorted(sums)
    ]


def _by_prefix(month: LedgerMonth, cells: Mapping[Cell, Tally]) -> Json:
    """Each prefix, the busiest first; number 0 is what no registered prefix was asked for."""
    production = _of(cells, Class.PRODUCTION)
    sums = sum_cells(production, lambda cell: cell.prefix_no)
    found = sum_cells(_resolutions(cells), lambda cell: cell.prefix_no)
    failed = {cell: tally for cell, tally in production.items() if not cell.is_success}
    failures = sum_cells(failed, lambda cell: cell.prefix_no)
    most: dict[int, int] = {}
    for detail in month.details:
        for no, distinct in detail.counted.identifiers.items():
            most[no] = max(distinct, most.get(no, 0))
    order = sorted(sums, key=lambda no: (-found.get(no, NOTHING).raw, no))
    return [
        {
            "no": no,
            "scheme": month.prefixes.get(no, ("", ""))[0],
            "prefix": month.prefixes.get(no, ("", ""))[1],
            **_tally(sums[no], found.get(no, NOTHING)),
            "failures": failures.get(no, NOTHING).raw,
            "identifiers_daily": most.get(no, 0),
        }
        for no in order
    ]


def _resolutions(cells: Mapping[Cell, Tally]) -> dict[Cell, Tally]:
    return {
        cell: tally for cell, tally in _of(cells, Class.PRODUCTION).items() if cell.is_resolution
    }


def _tally(everything: Tally, found: Tally) -> dict[str, Json]:
    return {"requests": everything.requests, "raw": found.raw, "filtered": found.filtered}


def _proto(number: int) -> str:
    known = {each.value: each.name.lower() for each in Proto}
    return known.get(number, str(number))


def _campaigns(month: LedgerMonth) -> Json:
    told: list[Json] = []
    for no, (opened, closed) in sorted(month.campaigns.items()):
        said: dict[str, Json] = {"no": no, "opened_leaf": opened.at}
        if isinstance(opened.leaf, Campaign):
            said |= {
                "from": opened.leaf.time,
                "until": opened.leaf.until,
                "planned": opened.leaf.planned,
            }
        if closed is not None and isinstance(closed.leaf, Campaign):
            said |= {"closed_leaf": closed.at, "observed": closed.leaf.observed or 0}
        told.append(said)
    return told


def _statistics(month: LedgerMonth, cells: Mapping[Cell, Tally]) -> Json:
    """Figures that nothing judges: they show whether traffic looks like that of many."""
    found = _sum(_resolutions(cells))
    by_prefix = sum_cells(_resolutions(cells), lambda cell: cell.prefix_no)
    busiest = max((leaf for _, leaf in month.days), key=lambda leaf: leaf.raw, default=None)
    return {
        "repeats_ppm": _share(found.requests - found.raw, found.requests),
        "within_window_ppm": _share(found.raw - found.filtered, found.raw),
        "busiest_prefix_ppm": _share(
            max((tally.raw for tally in by_prefix.values()), default=0), found.raw
        ),
        "busiest_day": busiest.day if busiest else "",
        "prefixes_asked_for": len(by_prefix),
    }


def _share(part: int, whole: int) -> int:
    """A share in millionths."""
    return round(part * MILLION / whole) if whole else 0


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // MILLION, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

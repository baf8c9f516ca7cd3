"""R3: a Prometheus that is not the node's has counted too; both must agree over the time that it has watched.

The file is the answer of its HTTP API to a range query for the counter, a JSON matrix.  A counter that falls was reset,
and begins at nothing.  Between two scrapes nobody knows more, so each reset makes what one interval brings at the
busiest time uncertain, and both ends what a second does.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from node.ledger.leaf import Block
from node.ledger.verify.bodies import Records
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.trust import WrongUse

SECOND_US = 1_000_000
MAX_SAMPLES = 5_000_000

Series = Sequence[tuple[int, int]]
"""Times, µs, and values."""


def parse_scrape(data: bytes) -> list[Series]:
    """Read the answer to a range query.  Raises WrongUse."""
    try:
        document = json.loads(data)
        found = [_series(each["values"]) for each in document["data"]["result"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise WrongUse(f"--prom is no answer to a range query: {error!r}") from error
    series = [each for each in found if len(each) > 1]
    if not series:
        raise WrongUse("--prom has no series of two samples")
    return series


class ScrapeRules:
    """Counts the records in the time that was watched, and compares."""

    def __init__(self, series: Sequence[Series] | None, findings: Findings) -> None:
        self._series = series
        self._findings = findings
        self._first = min((each[0][0] for each in series), default=0) if series else 0
        self._last = max((each[-1][0] for each in series), default=0) if series else 0
        self._counted = 0
        self._seconds: dict[int, int] = {}

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block."""
        if self._series is None:
            return
        first, last = records.span
        if self._first < first and last <= self._last:
            self._counted += len(records.times)
        elif self._first < last and first <= self._last:
            self._counted += sum(self._first < time <= self._last for time in records.times)

    def finish(self, uncounted: int, *, has_bodies: bool) -> None:
        """Compare; `uncounted` is what gaps disclose."""
        if self._series is None:
            self._findings.tell("R3", "no counterpart: no --prom", Status.NONE)
            return
        if not has_bodies:
            text = "records were not looked at: not compared"
            self._findings.tell("R3", text, Status.SKIP)
            return
        scraped = sum(_increase(each) for each in self._series)
        slack = sum(_slack(each) for each in self._series)
        text = f"scraped {grouped(scraped)}, ledger {grouped(self._counted)}, resolution ± {grouped(slack)}"
        difference = scraped - self._counted
        if difference > slack + uncounted or -difference > slack:
            self._findings.fail(Check.R3_DIFFERENCE, text)
        self._findings.tell("R3", text)


def _series(values: Any) -> Series:
    if not isinstance(values, list) or len(values) > MAX_SAMPLES:
        raise ValueError(f"a series has at most {MAX_SAMPLES} samples")
    found = [(round(float(time) * SECOND_US), int(float(value))) for time, value in values]
    if any(after[0] <= before[0] for before, after in pairwise(found)):
        raise ValueError("the times of a series rise")
    return found


def _increase(series: Series) -> int:
    return sum(
        after - before if after >= before else after for (_, before), (_, after) in pairwise(series)
    )


def _slack(series: Series) -> int:
    """What one interval at the busiest time is worth, at each reset; a second of it at both ends."""
    rises = [
        (after - before, end - start)
        for (start, before), (end, after) in pairwise(series)
        if after >= before
    ]
    resets = len(series) - 1 - len(rises)
    peak = max((rise for rise, _ in rises), default=0)
    a_second = max((-(-rise * SECOND_US // width) for rise, width in rises), default=0)
    return resets * peak + 2 * min(a_second, peak)

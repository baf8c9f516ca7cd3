"""Months of the local calendar, `2026-11`."""

import re
from datetime import date

from node.ledger.day import start_of

_MONTH = re.compile("([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_EPOCH = date(1970, 1, 1).toordinal()


def days_of(month: str) -> range:
    """Return the numbers of a month's local days.  Raises ValueError for what is no month."""
    found = _MONTH.fullmatch(month)
    if found is None:
        raise ValueError(f"{month} is no month such as 2026-11")
    year, number = int(found[1]), int(found[2])
    first = date(year, number, 1)
    following = date(year + number // 12, number % 12 + 1, 1)
    return range(first.toordinal() - _EPOCH, following.toordinal() - _EPOCH)


def span_of(month: str) -> tuple[int, int]:
    """Return when a month begins and when the next one does, µs.  Raises ValueError."""
    days = days_of(month)
    return start_of(days.start), start_of(days.stop)

"""The period that is judged: a month, or all that the log has.  Days and months are those of Asia/Shanghai."""

import re
from dataclasses import dataclass
from datetime import date

from node.ledger.tags import day_name

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Period:
    """A month such as `2026-11`; empty: everything."""

    month: str = ""

    def __post_init__(self) -> None:
        if self.month and not is_month(self.month):
            raise ValueError(f"a period is a month such as 2026-11, not {self.month!r}")

    def has_day(self, day: int) -> bool:
        """True for a day of the period."""
        return not self.month or day_name(day)[:7] == self.month

    def has_span(self, first_day: int, last_day: int) -> bool:
        """True when one of these days is in the period."""
        if not self.month:
            return True
        return day_name(first_day)[:7] <= self.month <= day_name(last_day)[:7]


def is_month(text: str) -> bool:
    """True for a month such as `2026-11`."""
    return _MONTH.fullmatch(text) is not None


def day_number(name: str) -> int | None:
    """Return the number of a day such as `2026-11-03`, None when there is none."""
    try:
        return date.fromisoformat(name).toordinal() - _EPOCH_DAY
    except ValueError:
        return None

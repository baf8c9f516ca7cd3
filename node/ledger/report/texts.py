"""How numbers and times are written in a report: thousands with commas, times of China."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

Document: TypeAlias = "dict[str, Any]"
"""The parsed document, or a part of it.  Its shape is that of node.ledger.report.document, which made it."""

_ZONE = timedelta(hours=8)


def count(number: int) -> str:
    """Return 1,043,377."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """Return a share with one digit behind the point."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def per_million(share: int) -> str:
    """Return a share in millionths as percent."""
    return f"{share / 10_000:.2f} %"


def local(time_us: int) -> datetime:
    """Return a time as China's clocks show it."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC) + _ZONE


def moment(time_us: int) -> str:
    """Return 2026-10-29 14:09:27."""
    return f"{local(time_us):%Y-%m-%d %H:%M:%S}"


def day(time_us: int) -> str:
    """Return 2026-10-29."""
    return f"{local(time_us):%Y-%m-%d}"

"""Quiet: when all rows are compared with the peer's: once a day, while most people in China sleep."""

from datetime import UTC, datetime, time, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991
HOUR = time(3, 30)


def last_due(now: datetime) -> datetime:
    """Return the newest quiet hour that is not after now, which has a time zone."""
    there = now.astimezone(SHANGHAI)
    today = datetime.combine(there.date(), HOUR, SHANGHAI)
    due = today if today <= there else today - timedelta(days=1)
    return due.astimezone(UTC)


def is_due(now: datetime, verified_at: datetime | None) -> bool:
    """Return whether rows that were compared once have not been since the newest quiet hour.

    Before the first time (None) a walk is under way anyway.
    """
    return verified_at is not None and verified_at < last_due(now)

"""Cadence: how late a channel may be.

The words are those of annex 1 of the national access guide (secondary-node §5.2).  The guide gives no seconds for
"real time"; the five seconds here are ours.  Each change is sent at once whatever its cadence: the cadence is the
latest time, and the time of the daily comparison.
"""

from enum import Enum


class Cadence(Enum):
    """How late a change may arrive, in the guide's word and in seconds."""

    REAL_TIME = ("实时", 5)
    HOURLY = ("每小时", 3_600)
    DAILY = ("每日", 86_400)
    MONTHLY = ("每月", 31 * 86_400)

    def __init__(self, chinese: str, latest_seconds: int) -> None:
        self.chinese = chinese
        self.latest_seconds = latest_seconds

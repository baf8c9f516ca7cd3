"""Tombstone: what is left of a deleted record: when it was deleted, and why; pure.

The tiers keep it in the negative answer: `Stored.json` is then `{"at": epoch second, "reason": text}`.  The web side
says so (410); to the Handle protocol and its JSON API a deleted record is one that does not exist (100).
"""

from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from resolver.answer import Answer, Status


class Tombstone(NamedTuple):
    """When a record was deleted (epoch second), and why: the words of who did it, empty if there were none."""

    at: int
    reason: str = ""

    @property
    def moment(self) -> str:
        """When, in ISO 8601, UTC."""
        return datetime.fromtimestamp(self.at, UTC).isoformat()[:19] + "Z"

    def sentence(self) -> str:
        """Say it in English."""
        return f"This record was deleted at {self.moment}" + (
            f", because: {self.reason}" if self.reason else ""
        )


def tombstone_of(answer: Answer) -> Tombstone | None:
    """Return what is left of the record that was asked for, None when it is there or has never been."""
    stored = answer.stored
    if answer.status is not Status.NO_SUCH_HANDLE or stored is None or not stored.json:
        return None
    content = orjson.loads(stored.json)
    return Tombstone(int(content["at"]), str(content["reason"]))

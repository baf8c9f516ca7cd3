"""Inbox: the port through which the receiving side takes changes and rows, each once.

Its laws.  What a plan says is carried out in one transaction, which holds the standing against other writers and
raises Moved, with nothing done, unless it is the expected one.  Who owns the inbox decides what is taken.  Of a row
that is rejected both is kept: what was taken before, which stays in force, and what was sent, which digests count.
Digests are computed from the bodies, never from digests that were kept, or drift would stay unseen.
"""

from typing import Protocol

from sync.change import Place, Rejection, Span
from sync.step import Adopt, Apply, Compare, InboxStanding, Replace


class Moved(Exception):
    """The inbox no longer stands where the plan expected it; plan again."""


class Inbox(Protocol):
    """What one sender has sent."""

    async def standing(self) -> InboxStanding:
        """Return where this side stands."""

    async def adopt(self, plan: Adopt) -> None:
        """Take another session; the rows stay until a walk has checked them.  Raises Moved."""

    async def apply(self, plan: Apply) -> None:
        """Take or reject each change, in order; a change ends its key's former rejection.  Raises Moved."""

    async def compare(self, plan: Compare) -> bool:
        """Return whether the digests within the span are the plan's, and if so stand at `then`.  Raises Moved."""

    async def replace(self, plan: Replace) -> None:
        """Take or reject each row, and the deletion of each other row of the span, all anew.  Raises Moved."""

    async def rejected_at(self, places: tuple[Place, ...]) -> tuple[Rejection, ...]:
        """Return the rejections that hold at these places."""

    async def rejected_within(self, span: Span) -> tuple[Rejection, ...]:
        """Return the rejections that hold within a span."""

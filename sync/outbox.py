"""Outbox: the port through which the sending side reads what is to be sent, and stores what it was told of it.

Its laws.  A change is written in the transaction that changes its row, and takes its serial from a counter row as that
transaction's last statement, so serials become visible in their order (ADR 0004).  Standing, batch and page are each
read in one snapshot, session and serial included.  Acknowledged changes may be removed from the oldest on, which raises
`kept_from`; others never.  Whoever restores a backup gives the outbox a new session before it is read; a sender may
still run then, so what is to be stored of another session than the present one is passed over.
"""

from typing import Protocol

from sync.change import Place, Rejection, Span
from sync.step import Batch, Evidence, OutboxStanding, Page


class Outbox(Protocol):
    """What waits for one peer.  Each method is one transaction."""

    async def standing(self) -> OutboxStanding:
        """Return where we stand."""

    async def pending(self, after: int, until: int | None) -> Batch:
        """Return changes after a serial, in order, as many as one message takes (`fill_batch`), none above `until`.

        When they are all there are, the batch ends at `until`, or at the newest serial; else at its last change's, or
        behind it at the last serial that was looked at: not all that has a serial is synced.
        When some after it were removed it begins at `kept_from`, so that the session sees it: they may be removed
        between two readings.
        """

    async def page(self, after: Place) -> Page:
        """Return the rows behind a place, in the order of their places, as many as one message takes, with the serial
        of this state.  When they are all there are, the span ends at END; else at the last one's place."""

    async def acknowledge(self, batch: Batch, rejected: tuple[Rejection, ...]) -> None:
        """Store that the peer has the batch: its rejected keys are set aside, its others no longer."""

    async def settle(self, session: str, span: Span, rejected: tuple[Rejection, ...]) -> None:
        """Store which keys within a span are set aside, those that have no row included; no others are."""

    async def resume(self, session: str, serial: int) -> None:
        """Store that the peer has the changes up to this serial, be it lower or higher than was stored."""

    async def restart(self, session: str | None) -> OutboxStanding:
        """Store that the peer is not complete, and the name of a new session if one is given."""

    async def finish(self, evidence: Evidence) -> None:
        """Store that the peer is complete, and keep what the walk found."""

"""Link: what is done towards the top-level node while this instance is the one that does it.

The sender, a heartbeat, the daily comparison, and whatever else speaks over the same transport, side by side.  The
first that ends ends all: when the outbox fails, when a file of the credentials was replaced, when the lock is gone.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from secrets import token_hex
from time import monotonic
from typing import Any, NamedTuple

from node.store.outbox import PostgresOutbox
from node.upstream.credentials import CredentialFiles, Credentials, Mark
from sync.message import PeerUnavailable
from sync.sender import Sender
from sync.step import Batch, OutboxStanding
from sync.transport import HttpsTransport

POLL_SECONDS = 0.25  # between two looks for changes, at rest
GATHER_SECONDS = 0.2  # between two batches, so that one brings what came together
FULL_ENOUGH = 500  # changes of a batch, after which the next one is read at once
BEAT_SECONDS = 30.0

log = logging.getLogger(__name__)

Beside = Callable[[HttpsTransport], Coroutine[Any, Any, None]]
"""What else is done over the transport until cancelled; it never ends by itself, nor raises PeerUnavailable."""


class GatheringOutbox:
    """An outbox that is not asked for changes too often: each batch costs a transaction on both sides.

    Implements `sync.outbox.Outbox` by another one.
    """

    def __init__(self, outbox: PostgresOutbox, gather_seconds: float = GATHER_SECONDS) -> None:
        self._outbox = outbox
        self._gather_seconds = gather_seconds
        self._next_at = 0.0
        self.standing = outbox.standing
        self.page = outbox.page
        self.acknowledge = outbox.acknowledge
        self.settle = outbox.settle
        self.resume = outbox.resume
        self.restart = outbox.restart
        self.finish = outbox.finish

    async def pending(self, after: int, until: int | None) -> Batch:
        """See `Outbox`; during a walk (`until`) nothing is waited for."""
        if until is None:
            await asyncio.sleep(max(0.0, self._next_at - monotonic()))
        batch = await self._outbox.pending(after, until)
        is_full = len(batch.changes) >= FULL_ENOUGH
        self._next_at = monotonic() + (0.0 if is_full else self._gather_seconds)
        return batch


class Heart(NamedTuple):
    """What a heartbeat says beside where the sync stands."""

    node_prefix: str
    started_at: float  # by the monotonic clock


class Link:
    """One time of being connected.  `beat_at` is the POSIX second of the last heartbeat that was heard, 0 for none."""

    def __init__(
        self,
        outbox: PostgresOutbox,
        transport: HttpsTransport,
        credentials: Credentials,
        heart: Heart,
        sender: Sender,
    ) -> None:
        self._outbox = outbox
        self._heart = heart
        self.transport = transport
        self.credentials = credentials
        self.sender = sender
        self.beat_at = 0.0

    async def beat(self) -> None:
        """Say twice a minute how we are, until cancelled."""
        while True:
            with suppress(PeerUnavailable):  # the sender says why
                await self.transport.heartbeat(self._values(await self._outbox.standing()))
                self.beat_at = self.transport.answered_at
            await asyncio.sleep(BEAT_SECONDS)

    def _values(self, standing: OutboxStanding) -> dict[str, object]:
        end = self.credentials.certificate_end
        return {
            "node_prefix": self._heart.node_prefix,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": version("idnode"),
            "uptime_seconds": int(monotonic() - self._heart.started_at),
            "session": standing.session,
            "serial": standing.serial,
            "acknowledged": standing.acknowledged,
            "complete": standing.complete,
            "certificate_end": end.isoformat(timespec="seconds") if end else "",
            "signing_key": self.credentials.signer.key_id,
        }


async def until_replaced(files: CredentialFiles, mark: Mark, pause_seconds: float) -> None:
    """Return when a file of the credentials is another one than at `mark`."""
    while await asyncio.to_thread(files.mark) == mark:  # noqa: ASYNC110  files tell nobody
        await asyncio.sleep(pause_seconds)
    log.info("credentials were replaced; they are read again")


def session_name(node_prefix: str, now: datetime) -> str:
    """Return a name that no session ever had."""
    return f"{node_prefix}-{now:%Y%m%dT%H%M%SZ}-{token_hex(6)}"

"""DayClaims: has each closed day acknowledged by the top-level node, once its rows of 表3 are there.

The top-level node is the witness `toplevel` of the log's policy, or its first one that has a URL.  What it signs goes
into the log, so that an auditor has it (R4).  Who acknowledges no days is asked again after an hour at most; nothing
else waits for it, and no day for another one that is refused.

    acknowledged/<day>    the day is acknowledged: a note to ourselves, which may be lost
"""

import asyncio
import logging
import time
from pathlib import Path

from node.ledger.acknowledging import ClaimError
from node.ledger.claiming import NotAcknowledged, Refused, acknowledge_day
from node.ledger.closing import DAYS
from node.ledger.durable import make_directory
from node.ledger.inbox import NotTaken
from node.ledger.logfiles import LogDamaged
from node.ledger.quorum import Policy
from node.together import apart

ROUND_SECONDS = 60.0
MOST_SECONDS = 3_600.0  # between two rounds, when it is refused again and again
PAUSE_SECONDS = 1.0  # for a newer cosigned head
MOST_DAYS = 35  # the newest
ACKS = "acknowledged"

_FAILURES = (NotAcknowledged, NotTaken, ClaimError, LogDamaged, ValueError, OSError)

log = logging.getLogger(__name__)


class DayClaims:
    """One round after the other, by whoever calls `run`; `witnesses` is the file of the log's policy."""

    def __init__(self, directory: Path, witnesses: Path) -> None:
        """`directory` is that of the ledger."""
        self._directory = directory
        self._witnesses = witnesses

    async def run(self) -> None:
        """Go on until cancelled; what fails is told once, and tried again, later each time.

        A round is left where it is: what it has asked for is answered or not, and asked for again at the next start.
        """
        said, pause = "", ROUND_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                await apart(self.round)
                said, pause = "", ROUND_SECONDS
            except _FAILURES as error:
                if str(error) != said:
                    log.info("a day is not acknowledged yet", extra={"reason": str(error)})
                said, pause = str(error), min(2 * pause, MOST_SECONDS)

    def round(self) -> list[str]:
        """Have what is due acknowledged, and return the days; blocks.  What is refused is told when all are asked for.

        Raises NotAcknowledged, NotTaken, ClaimError, LogDamaged; ValueError, OSError for files.
        """
        closed = sorted(path.stem for path in (self._directory / DAYS).glob("????-??-??.json"))
        acks = self._directory / ACKS
        due = [day for day in closed[-MOST_DAYS:] if not (acks / day).exists()]
        if not due:
            return []
        policy = Policy.parse(self._witnesses.read_bytes())
        make_directory(acks)
        refused = [error for day in due if (error := self._claim(day, policy)) is not None]
        if refused:
            raise refused[0]
        return due

    def _claim(self, day: str, policy: Policy) -> Refused | None:
        try:
            acknowledge_day(self._directory, day, policy, lambda: time.sleep(PAUSE_SECONDS))
        except Refused as error:
            return error
        (self._directory / ACKS / day).touch()
        log.info("the top-level node has acknowledged a day", extra={"day": day})
        return None

"""A process that seals and publishes a ledger until it is killed, by others or by itself.

    python -m tests.support.ledger_child URL DIRECTORY [STEP TIMES]

With a step it kills itself, with SIGKILL, when that step is reached for that many times.  It says "ready" when the log
is open.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from node.ledger.follower import Moment, Wish
from node.ledger.log import Step
from node.ledger.sealer import Around, Sealer
from node.ledger.tlog import EMPTY_ROOT
from tests.support.ledgers import opened_log


def now() -> Moment:
    return Moment(time.time_ns() // 1_000, time.monotonic())


async def seal_for_ever(url: str, directory: Path, step: str, times: int) -> None:
    left = times

    def reached(which: Step) -> None:
        nonlocal left
        left -= which == step
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async with opened_log(url, directory, reached=reached) as log:
        sealer = await Sealer.open(log, now(), reached=reached)
        print("ready", flush=True)  # noqa: T201
        while True:
            await sealer.round(now(), Around((0, EMPTY_ROOT), 1), Wish(hurry=True))
            while await log.publish() is not None:
                pass
            sealer.sweep()


if __name__ == "__main__":
    given = sys.argv[1:]
    wanted = (given[2], int(given[3])) if len(given) > 2 else ("", -1)
    asyncio.run(seal_for_ever(given[0], Path(given[1]), *wanted))

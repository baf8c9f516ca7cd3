"""Signs: what the monitoring watches: the counters of all processes, the checks of `/readyz`, and who still hears."""

from collections.abc import Callable, Sequence

from node.counters import Counters
from node.siblings import Siblings
from node.upstream.monitoring import WORKERS
from node.upstream.troubles import Sign
from node.web.health import Check
from resolver.observe import Gauge, gauge_cell

HEARD_SECONDS = 1.0
POSTGRES, FEED, LEDGER = "postgres", "change feed", "ledger"


class Signs:
    """Reads them for one keeper."""

    def __init__(
        self,
        siblings: Siblings,
        workers: Sequence[Counters],
        keeper: Counters,
        checks: Callable[[], list[Check]],
    ) -> None:
        """`siblings` are its own for this; `checks` are those of `/readyz`."""
        self._siblings = siblings
        self._workers = workers
        self._checks = checks
        self.slots = (*workers, keeper)

    def running_since(self) -> float:
        """Return when the oldest worker began, in POSIX seconds; 0 while there is none."""
        began = [each.cells[gauge_cell(Gauge.STARTED_AT)] for each in self._workers]
        return float(min((at for at in began if at), default=0))

    async def read(self) -> list[Sign]:
        """Return how all stands.  While no worker answers, nothing is said of what only they know."""
        hearing = await self._siblings.count_hearing(HEARD_SECONDS)
        return signs_of(hearing, self._checks())

    async def close(self) -> None:
        """Let go of the workers."""
        await self._siblings.close()


def signs_of(hearing: int, checks: list[Check]) -> list[Sign]:
    """Put together how many workers hear, and the checks; one trouble is not told by two signs."""
    known = {check.name: check for check in checks}
    workers = f"{hearing} workers answer" if hearing else "no worker answers"
    found = [Sign(WORKERS, hearing > 0, workers, is_vital=True)]
    postgres, feed, ledger = known[POSTGRES], known[FEED], known.get(LEDGER)
    found.append(Sign(POSTGRES, postgres.ok if hearing else None, _say(postgres), is_vital=True))
    is_feed_judged = hearing > 0 and postgres.ok
    found.append(Sign(FEED, feed.ok if is_feed_judged else None, _say(feed), is_vital=True))
    if ledger is not None:
        found.append(Sign(LEDGER, ledger.ok, _say(ledger)))
    return found


def _say(check: Check) -> str:
    return f"{check.name}: {check.reason}"

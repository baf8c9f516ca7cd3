"""The campaign of a proof: announced, settled, and concluded with its count.

Everything here is what `idnode audit announce` and `conclude` do, by the same functions.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from loadtest.prove.scene import NoScene, Scene
from loadtest.prove.traffic import now_us
from loadtest.stand import get
from loadtest.three_counts import scrape_at
from node.ledger.campaigns import MINUTE_US, Wish, announce, close, next_minute
from node.ledger.inbox import ask
from node.ledger.leaf import Campaign

MINUTES = 60  # that the campaign may last
HEARD_SECONDS = 60.0  # in which every worker has to have heard of it; they look once a second
CLOCKS_SECONDS = 1.0  # that a worker's clock may be behind
QUIET_TRIES = 50
_PAUSE_SECONDS = 0.2
_HEARD = re.compile(rb"^idnode_campaign\{.*\} (\S+)$", re.MULTILINE)


class Announced(NamedTuple):
    """A campaign in the log: its leaf, where that stands, and the addresses that are its own."""

    leaf: Campaign
    at: int
    sources: tuple[str, ...]


class Mark(NamedTuple):
    """A moment at which nobody was answered: leaves of the log with all that was counted, and the metrics."""

    size: int
    metrics: Counter[str]


def open_campaign(scene: Scene, planned: int) -> Announced:
    """Announce a campaign from a network of this machine that is nobody else's.  Raises NotTaken, OSError.

    A node of its own has no callers whose minute has begun, so the present minute can be the campaign's.
    """
    third = secrets.randbelow(254) + 1
    since = now_us() if scene.is_own else next_minute(now_us())
    wish = Wish(since, since + MINUTES * MINUTE_US, planned, (f"127.84.{third}.0/24",))
    leaf, at = announce(scene.ledger, wish)
    sources = tuple(f"127.84.{third}.{last}" for last in range(1, 255))
    return Announced(leaf, at, sources)


def wait_until_open(scene: Scene, campaign: Announced, waiting: Callable[[float], None]) -> None:
    """Wait until the campaign has begun, and every worker says that it goes by it.

    `waiting` is told how many seconds are left to the beginning.  Raises NoScene, OSError.
    """
    opens = time.monotonic() + (campaign.leaf.time - now_us()) / 1e6 + CLOCKS_SECONDS
    while (left := opens - time.monotonic()) > 0:
        waiting(left)
        time.sleep(min(left, _PAUSE_SECONDS))
    deadline = time.monotonic() + HEARD_SECONDS
    while not is_heard(scene, campaign.leaf.number):
        if time.monotonic() > deadline:
            raise NoScene(_unheard(scene, campaign.leaf.number))
        time.sleep(_PAUSE_SECONDS / 4)


def is_heard(scene: Scene, number: int) -> bool:
    """Return whether every worker goes by this campaign.  Raises OSError."""
    told = _heard(scene)
    return len(told) > 0 and all(each >= number for each in told)


def _heard(scene: Scene) -> list[float]:
    """Return by which campaign each worker goes; a reply without any of it has none."""
    return [float(each) for each in _HEARD.findall(get(scene.admin, "/metrics")[1])]


def _unheard(scene: Scene, number: int) -> str:
    told = _heard(scene)
    if not told:
        return "the node has no metric idnode_campaign: it is older than this proof, or has stopped"
    goes = ", ".join(f"{each:g}" for each in told)
    return f"not every worker goes by campaign {number}: they go by {goes}"


def quiet_mark(scene: Scene) -> Mark:
    """Seal all there is at a moment when nothing is answered.  Raises NoScene, NotTaken, OSError."""
    for _ in range(QUIET_TRIES):
        before = scrape_at(scene.admin)
        size = ask(scene.ledger).size
        if scrape_at(scene.admin) == before:
            return Mark(size, Counter({str(name): count for name, count in before.items()}))
        time.sleep(_PAUSE_SECONDS)
    raise NoScene("the node answers others all the while: its metrics have no moment to compare")


def conclude(scene: Scene, number: int) -> tuple[Campaign, int]:
    """Close the campaign; return its closing leaf and where that stands.  Raises as `campaigns.close`."""
    return close(scene.ledger, number, now_us)

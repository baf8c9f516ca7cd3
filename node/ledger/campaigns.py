"""Campaigns: a load test is announced in the log before it begins, and closed with the count that the ledger has of it.

Laws.  Whoever announces takes the next number, one process at a time.  A campaign that is closed says how many records
the ledger has of it, in all and by protocol, from the bodies of the blocks themselves; what comes behind that, in the
rest of the minute, is a test all the same.  No record of a campaign is ever production.
"""

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from node.ledger.announced import FILE
from node.ledger.durable import read_if_there
from node.ledger.inbox import NotTaken, append, ask
from node.ledger.leaf import Block, Campaign, parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.record import PROTO_AT, RECORD_BYTES, Proto, numbers
from node.ledger.tags import MINUTE_NS

MINUTE_US = MINUTE_NS // 1_000
ADOPTED_US = (
    10_000_000  # in which a leaf is in the log, and every worker goes by it; see `next_minute`
)
_LOCK_FILE = "campaigns.lock"
_CAMPAIGN_PLACE = 25  # of the numbers of 16 bits in a record
_BLOCK, _CAMPAIGN = b'"k":"blk"', b'"k":"cmp"'


class CampaignError(Exception):
    """No such campaign can be announced or closed; the text says why."""


class Wish(NamedTuple):
    """A campaign to be announced.  `token` is the SHA-256 of a token, empty for none; times are µs since 1970."""

    since: int
    until: int
    planned: int
    networks: tuple[str, ...] = ()
    token: str = ""


class Counted(NamedTuple):
    """Records by protocol: those of one campaign, and all others that stand in the same blocks."""

    protocols: Counter[str]
    others: Counter[str]

    @classmethod
    def nothing(cls) -> "Counted":
        """Return sums of no block."""
        return cls(Counter(), Counter())


def next_minute(now_us: int) -> int:
    """Return when a campaign that is announced now can begin: with the next full minute that is far enough away.

    Workers look once a second, and go by what they find at once: a leaf that came to them in the first seconds of its
    minute would leave what the callers of the campaign had asked in these in production.
    """
    heard_us = now_us + ADOPTED_US
    return heard_us - heard_us % MINUTE_US + MINUTE_US


def campaigns(directory: Path) -> list[Campaign]:
    """Return the campaign leaves that the log has, in their order; `directory` is that of the ledger.

    Raises LeafError, OSError.
    """
    leaves = map(parse, (read_if_there(directory / FILE) or b"").splitlines())
    return [leaf for leaf in leaves if isinstance(leaf, Campaign)]


def announce(directory: Path, wish: Wish) -> tuple[Campaign, int]:
    """Put the opening of a campaign into the log; return it and its index.

    Raises CampaignError, NotTaken, LeafError, OSError.
    """
    if wish.until <= wish.since:
        raise CampaignError("a campaign ends after it begins")
    if not wish.networks and not wish.token:
        raise CampaignError("a campaign is told by its networks or by its token; give one")
    with _alone(directory):
        number = max((each.number for each in campaigns(directory)), default=0) + 1
        leaf = Campaign(
            number=number,
            state="open",
            time=wish.since,
            token=wish.token,
            listener="",
            networks=wish.networks,
            until=wish.until,
            planned=wish.planned,
        )
        return leaf, append(directory, leaf)


def close(directory: Path, number: int, clock: Callable[[], int]) -> tuple[Campaign, int]:
    """Have all sealed, count the campaign's records, and put its closing into the log; return it and its index.

    `clock` gives µs since 1970; it is read when all is counted, since workers hear of the closing only then.
    Raises CampaignError, NotTaken, LogDamaged, LeafError, OSError.
    """
    with _alone(directory):  # two closings at once would be two counts of one campaign
        return _close(directory, number, clock)


def _close(directory: Path, number: int, clock: Callable[[], int]) -> tuple[Campaign, int]:
    leaves = [each for each in campaigns(directory) if each.number == number]
    if not leaves:
        raise CampaignError(f"campaign {number} was never announced")
    if any(each.state == "close" for each in leaves):
        raise CampaignError(f"campaign {number} is closed already")
    size, files = ask(directory).size, LogFiles(directory)
    found = count(files, number, _opened_at(files, number, size), size).protocols
    closing = replace(
        leaves[0],
        state="close",
        time=clock() + ADOPTED_US,  # by when every worker has heard; it is a test until then
        observed=found.total(),
        protocols=dict(sorted(found.items())),
    )
    return closing, append(directory, closing)


def count(files: LogFiles, number: int, start: int, size: int) -> Counted:
    """Count the records in the blocks of these leaves: those of a campaign, and all others, by protocol.

    Raises LogDamaged, LeafError, OSError.
    """
    counted = Counted.nothing()
    for line in files.lines(start, size):
        leaf = parse(line) if _BLOCK in line else None
        if isinstance(leaf, Block) and any(leaf.records):
            add_body(counted, number, _body(files, leaf))
    return counted


def _opened_at(files: LogFiles, number: int, size: int) -> int:
    """Return where the opening of a campaign stands; it is looked for from the end, since it was not long ago."""
    leaves = files.leaves(size)
    for at in range(size - 1, -1, -1):
        leaf = parse(leaves[at]) if _CAMPAIGN in leaves[at] else None
        if isinstance(leaf, Campaign) and (leaf.number, leaf.state) == (number, "open"):
            return at
    raise CampaignError(f"campaign {number} is not in the published log")


def _body(files: LogFiles, leaf: Block) -> bytes:
    body = files.read_body(leaf)
    if body is None:
        raise LogDamaged(f"the records of block {leaf.lane}.{leaf.epoch}.{leaf.block} are gone")
    return body


def add_body(counted: Counted, number: int, body: bytes) -> None:
    """Add the records of a block.  Columns are slices, so a million records cost a quarter of a second."""
    protocols = body[PROTO_AT::RECORD_BYTES]
    marks: Sequence[int] = numbers("H", body)[_CAMPAIGN_PLACE :: RECORD_BYTES // 2]
    for (protocol, mark), records in Counter(zip(protocols, marks, strict=True)).items():
        found = counted.protocols if mark == number else counted.others
        found[_name(protocol)] += records


def _name(protocol: int) -> str:
    return Proto(protocol).name.lower()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else announces meanwhile."""
    try:
        file = open(directory / _LOCK_FILE, "wb")  # noqa: SIM115  it is closed below
    except FileNotFoundError as error:
        raise NotTaken(f"{directory} is not there: start the node with its ledger on") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

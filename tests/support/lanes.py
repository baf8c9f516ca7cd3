"""Lanes for tests: clocks that stand still, one of which can be set, a counter over a lane, and what a lane holds."""

from dataclasses import dataclass
from pathlib import Path

from node.ledger.classes import Policy
from node.ledger.counting import Counter
from node.ledger.lane import Lane
from node.ledger.lanefile import LaneReader, lane_files
from node.ledger.laneterms import Clocks, LaneTerms
from node.ledger.parties import Counted, outcome
from node.ledger.record import Proto, Record, RecordFlag, decode_all
from node.ledger.tags import DayKeys
from resolver.observe import Event

MONTH_KEY = bytes(range(32))
ADDRESS, KEY = "198.51.100.7", b"88.118.8/PUMP-1"
FOUND = outcome(Proto.UDP, 1, RecordFlag.SUCCESS)
START_NS = 1_793_635_200 * 10**9 + 9 * 3_600 * 10**9  # 2026-11-03 09:00 in Shanghai


@dataclass
class Time:
    """Two clocks that a test moves."""

    monotonic_ns: int = 5_000_000_000
    wall_ns: int = START_NS

    def pass_by(self, seconds: float) -> None:
        """Let time go on."""
        self.monotonic_ns += int(seconds * 1e9)
        self.wall_ns += int(seconds * 1e9)

    def clocks(self) -> Clocks:
        """Return them as a lane takes them."""
        return Clocks(lambda: self.monotonic_ns, lambda: self.wall_ns)


class Ledger:
    """A counter over a lane in a directory, and the events that it tells."""

    def __init__(
        self,
        directory: Path,
        *policies: Policy,
        terms: LaneTerms = LaneTerms(capacity=1_000),  # noqa: B008  an immutable value
        lane: int = 0,
        time: Time | None = None,
    ) -> None:
        self.directory = directory
        self.time = time or Time()
        self.events: list[Event] = []
        self.lane = Lane.open(
            directory, lane, self.events.append, terms=terms, clocks=self.time.clocks()
        )
        self.counter = Counter(self.lane, DayKeys(lambda _: MONTH_KEY), policies or [Policy(no=1)])

    def count(self, nonce: int = 0, address: str = ADDRESS, key: bytes = KEY) -> int:
        """Count one answer to a native client, now."""
        counter = self.counter
        asker, subject = counter.asker(address), counter.subject(key)
        return counter.append(
            asker, subject, FOUND, nonce.to_bytes(4, "little"), self.time.monotonic_ns
        )

    def answers(self, *asked: bytes) -> list[Counted]:
        """Return answers to native messages of one client that may be counted together."""
        party = self.counter.asker(ADDRESS), None, (FOUND,)
        return [(party, each, self.counter.subject(KEY), 0) for each in asked]

    def count_all(self, answers: list[Counted]) -> int:
        """Count answers that belong together, now; return how many may be given."""
        return self.counter.append_all(answers, self.time.monotonic_ns)

    def tick(self) -> None:
        """Let a second's work be done."""
        self.counter.tick(self.time.wall_ns)

    def records(self) -> list[Record]:
        """Return what the lane's epochs hold, in order."""
        return records_in(self.directory)


def records_in(directory: Path) -> list[Record]:
    """Return all records of all epochs, in order."""
    found: list[Record] = []
    for name in lane_files(directory):
        with LaneReader.open(name.path) as reader:
            after = 0
            while data := reader.read(after).data:
                found += decode_all(data)
                after = found[-1].seq
    return found

"""R1 and R2: the running total against the blocks, exactly; and the workers' own counts against their lanes.

A snapshot has of each worker what its Prometheus counter says, which goes on through the epochs of its lane and begins
at nothing with the node, and so with an epoch; and where its lane is: epoch and newest record.  The two are counted by
separate code.  What both have gained since the counter began must agree but for the answers that were being given just
then, or when a worker was killed, and for what gaps disclose.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, Self

from node.ledger.block import NO_TOTAL
from node.ledger.leaf import Block, Meters
from node.ledger.verify.checks import Check
from node.ledger.verify.epochstate import EpochState
from node.ledger.verify.findings import Findings, Status, grouped

AT_ONCE = 64  # answers that a worker records before it counts them
SNAPSHOT_DUE_US = 600_000_000  # an epoch that has been written for as long as this has one

Epochs = Mapping[tuple[int, int], EpochState]


class _Snapshot(NamedTuple):
    leaf: int
    epoch: int
    prometheus: int
    ledger: int
    flying: int


class _Place(NamedTuple):
    """Where a lane's epoch begins: records, and gaps' bounds, of all epochs before it, and how many those are."""

    records: int
    bound: int
    no: int


_Places = Mapping[tuple[int, int], _Place]


class _Beginning(NamedTuple):
    """An epoch with which a worker's counter may have begun, and what follows from that for one snapshot.

    `excess` is by how much both counts are further apart than they may be.  Answers are recorded before they are
    counted, AT_ONCE together, so each kill may leave the ledger so many ahead; nothing leaves it behind but what gaps
    disclose.
    """

    epoch: int
    difference: int
    disclosed: int
    excess: int

    @classmethod
    def of(cls, epoch: int, snapshot: _Snapshot, among: tuple[int, Epochs, _Places]) -> Self:
        """`among` is the lane, its epochs, and where these begin."""
        lane, epochs, places = among
        start, place = places[lane, epoch], places[lane, snapshot.epoch]
        difference = snapshot.prometheus - (place.records + snapshot.ledger - start.records)
        disclosed = place.bound + epochs[lane, snapshot.epoch].bound - start.bound
        slack = snapshot.flying + 1
        killed = AT_ONCE * (place.no - start.no)
        excess = max(0, difference - slack - disclosed, -difference - slack - killed)
        return cls(epoch, difference, disclosed, excess)

    @classmethod
    def still_to_come(cls, snapshot: _Snapshot) -> Self:
        """The epoch of the snapshot was over, and whoever writes the next one had not begun."""
        return cls(0, snapshot.prometheus, 0, max(0, snapshot.prometheus - snapshot.flying - 1))


class MeterRules:
    """Judges totals and snapshots."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._total = NO_TOTAL
        self._snapshots: defaultdict[tuple[int, int], list[_Snapshot]] = defaultdict(list)
        self._count = 0
        self._largest = 0

    def block(self, index: int, leaf: Block) -> None:
        """Take a block."""
        expected = tuple(map(sum, zip(self._total, leaf.successes, strict=True)))
        if leaf.total != expected:
            self._findings.fail(
                Check.R1_TOTAL,
                f"the total at leaf {index} is {list(leaf.total)}, its blocks come to {list(expected)}",
                leaf=index,
            )
        self._total = leaf.total

    def meters(self, index: int, leaf: Meters) -> None:
        """Take a snapshot."""
        self._count += 1
        for slot, lane, epoch, prometheus, ledger, flying in leaf.workers:
            found = _Snapshot(index, epoch, prometheus, ledger, flying)
            self._snapshots[slot, lane].append(found)

    def finish(self, epochs: Epochs) -> None:
        """Compare with what the lanes have come to."""
        self._findings.tell("R1", f"Σ blocks = {grouped(sum(self._total))} = running total")
        places = _places(epochs)
        for (slot, lane), snapshots in sorted(self._snapshots.items()):
            self._compare(slot, lane, snapshots, epochs, places)
        self._check_lanes(epochs)
        if not self._count:
            self._findings.tell("R2", "the log has no snapshots", Status.NONE)
            return
        text = f"{grouped(self._count)} snapshots, largest difference {self._largest}"
        self._findings.tell("R2", text)

    def _compare(
        self,
        slot: int,
        lane: int,
        snapshots: list[_Snapshot],
        epochs: Epochs,
        places: _Places,
    ) -> None:
        begun, before = 0, _Snapshot(0, 0, 0, 0, 0)
        for each in snapshots:
            if (lane, each.epoch) not in places:
                text = (
                    f"a worker writes to epoch {each.epoch} of lane {lane}, which was never opened"
                )
                self._findings.fail(Check.R2_LANE, text, leaf=each.leaf)
                continue
            beginnings = [
                _Beginning.of(epoch, each, (lane, epochs, places))
                for epoch in _beginnings(begun, before, each, (lane, places))
            ]
            if epochs[lane, each.epoch].is_over and each.ledger == epochs[lane, each.epoch].last:
                beginnings.append(_Beginning.still_to_come(each))
            best = min(beginnings, key=lambda beginning: beginning.excess)
            begun, before = best.epoch, each
            self._largest = max(self._largest, abs(best.difference))
            if best.excess:
                self._findings.fail(
                    Check.R2_DIFFERENCE,
                    f"worker {slot}, lane {lane} epoch {each.epoch}: Prometheus and ledger are {best.difference} "
                    f"apart, with {each.flying} in flight and {best.disclosed} disclosed",
                    leaf=each.leaf,
                )

    def _check_lanes(self, epochs: Epochs) -> None:
        told: dict[tuple[int, int], int] = {}
        for (_, lane), snapshots in self._snapshots.items():
            for each in snapshots:
                key = lane, each.epoch
                told[key] = max(told.get(key, 0), each.ledger)
        for (lane, epoch), state in epochs.items():
            count = told.get((lane, epoch))
            if count is None and state.ended - state.begun >= SNAPSHOT_DUE_US and state.last:
                self._findings.fail(
                    Check.R2_MISSING, f"lane {lane} epoch {epoch} has no snapshot of its worker"
                )
            if count is not None and state.is_over and count > state.last + state.bound:
                self._findings.fail(
                    Check.R2_LANE,
                    f"a worker had counted {grouped(count)} in lane {lane} epoch {epoch}, which has "
                    f"{grouped(state.last)}, and gaps of {grouped(state.bound)}",
                )


def _beginnings(
    begun: int, before: _Snapshot, each: _Snapshot, among: tuple[int, _Places]
) -> list[int]:
    """Return the epochs with which the counter of a snapshot may have begun, the likeliest first.

    With the one before, unless it fell; or with any epoch since: a node that starts begins its counters, and an epoch.
    """
    lane, places = among
    since = sorted(no for its, no in places if its == lane and before.epoch < no <= each.epoch)
    if begun and each.prometheus >= before.prometheus:
        return [begun, *since]
    return since or [each.epoch]


def _places(epochs: Epochs) -> dict[tuple[int, int], _Place]:
    found: dict[tuple[int, int], _Place] = {}
    reached: dict[int, _Place] = {}
    for (lane, epoch), state in sorted(epochs.items()):
        place = found[lane, epoch] = reached.get(lane, _Place(0, 0, 0))
        records, bound = place.records + state.last, place.bound + state.bound
        reached[lane] = _Place(records, bound, place.no + 1)
    return found

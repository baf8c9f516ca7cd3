"""R1 and R2: the running total against the blocks, exactly; and the workers' own counts against their lanes.

A snapshot has of each worker what its Prometheus counter says, which goes on through the epochs of its lane and begins
at nothing with the node, and where its lane is: epoch and newest record.  The two are counted by separate code.  What
both have gained since the counter began must agree but for the answers that were being given just then, and for what
gaps disclose.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from node.ledger.block import NO_TOTAL
from node.ledger.leaf import Block, Meters
from node.ledger.verify.checks import Check
from node.ledger.verify.epochstate import EpochState
from node.ledger.verify.findings import Findings, Status, grouped

SNAPSHOT_DUE_US = 600_000_000  # an epoch as long as this has one

Epochs = Mapping[tuple[int, int], EpochState]


class _Snapshot(NamedTuple):
    leaf: int
    epoch: int
    prometheus: int
    ledger: int
    flying: int


class _Place(NamedTuple):
    """Where a lane's epoch begins: records, and gaps' bounds, of all epochs before it."""

    records: int
    bound: int


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
        places: Mapping[tuple[int, int], _Place],
    ) -> None:
        before = 0
        start: _Place | None = None
        for each in snapshots:
            place = places.get((lane, each.epoch))
            if place is None:
                text = (
                    f"a worker writes to epoch {each.epoch} of lane {lane}, which was never opened"
                )
                self._findings.fail(Check.R2_LANE, text, leaf=each.leaf)
                continue
            if start is None or each.prometheus < before:
                start = place
            before = each.prometheus
            difference = each.prometheus - (place.records + each.ledger - start.records)
            self._largest = max(self._largest, abs(difference))
            disclosed = place.bound + epochs[lane, each.epoch].bound - start.bound
            if not -each.flying - 1 <= difference <= each.flying + 1 + disclosed:
                self._findings.fail(
                    Check.R2_DIFFERENCE,
                    f"worker {slot}, lane {lane} epoch {each.epoch}: Prometheus and ledger are {difference} apart, "
                    f"with {each.flying} in flight and {disclosed} disclosed",
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
            if count is None and state.ended - state.opened >= SNAPSHOT_DUE_US and state.last:
                self._findings.fail(
                    Check.R2_MISSING, f"lane {lane} epoch {epoch} has no snapshot of its worker"
                )
            if count is not None and state.is_over and count > state.last + state.bound:
                self._findings.fail(
                    Check.R2_LANE,
                    f"a worker had counted {grouped(count)} in lane {lane} epoch {epoch}, which has "
                    f"{grouped(state.last)}, and gaps of {grouped(state.bound)}",
                )


def _places(epochs: Epochs) -> dict[tuple[int, int], _Place]:
    found: dict[tuple[int, int], _Place] = {}
    reached: dict[int, _Place] = {}
    for (lane, epoch), state in sorted(epochs.items()):
        before = reached.get(lane, _Place(0, 0))
        found[lane, epoch] = before
        reached[lane] = _Place(before.records + state.last, before.bound + state.bound)
    return found

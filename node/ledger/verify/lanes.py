"""V4: what is said of each lane follows on from what was said before: epochs, blocks, records, hashes, times, gaps.

After a fault it goes on from what the leaf says, so that one fault is one finding.
"""

from dataclasses import dataclass, field

from node.ledger.block import FIRST_PREVIOUS
from node.ledger.leaf import Block, Epoch, Gap
from node.ledger.verify.checks import Check
from node.ledger.verify.epochstate import EpochState
from node.ledger.verify.findings import Findings, grouped
from node.ledger.verify.times import WITNESSES_SILENT

LOST = frozenset({"lane file missing", "lane file damaged"})  # causes that end an epoch


@dataclass(slots=True)
class _Lane:
    previous: bytes = FIRST_PREVIOUS
    epoch: int = -1  # the newest
    epochs: dict[int, EpochState] = field(default_factory=dict)


class LaneRules:
    """Judges the leaves that belong to lanes, in their order."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._lanes: dict[int, _Lane] = {}
        self._gaps: list[str] = []
        self._bound = 0
        self._blocks = 0

    @property
    def epochs(self) -> dict[tuple[int, int], EpochState]:
        """All epochs, by lane and number."""
        return {
            (number, epoch): state
            for number, lane in self._lanes.items()
            for epoch, state in lane.epochs.items()
        }

    def state(self, lane: int, epoch: int) -> EpochState | None:
        """Return where an epoch has come to."""
        return self._lanes[lane].epochs.get(epoch) if lane in self._lanes else None

    def epoch(self, index: int, leaf: Epoch) -> None:
        """Take the opening or closing of an epoch."""
        if leaf.state == "open":
            self._open(index, leaf.lane, leaf.epoch, leaf.time)
            return
        state = self._present(index, leaf.lane, leaf.epoch)
        if leaf.last != state.last:
            self._findings.fail(
                Check.V4_LAST,
                f"{_name(leaf)} closes with record {leaf.last}, and its blocks end with {state.last}",
                leaf=index,
            )
        state.is_over = True

    def gap(self, index: int, leaf: Gap) -> None:
        """Take a gap; one of the whole log is of no lane."""
        if leaf.cause == WITNESSES_SILENT:
            return
        lane = self._lanes.get(leaf.lane)
        is_unknown = lane is None or leaf.epoch not in lane.epochs
        if leaf.cause in LOST and is_unknown:  # a file that could never be read is all there is
            self._open(index, leaf.lane, leaf.epoch, leaf.span[0])
        state = self._present(index, leaf.lane, leaf.epoch)
        if leaf.last != state.last:
            self._findings.fail(
                Check.V4_GAP,
                f"a gap of {_name(leaf)} stands behind record {leaf.last}, and its blocks end with {state.last}",
                leaf=index,
            )
        state.is_over = leaf.cause in LOST and is_unknown
        state.bound += leaf.bound
        self._bound += leaf.bound
        text = (
            f"lane {leaf.lane} epoch {leaf.epoch} {leaf.cause}, ≤ {grouped(leaf.bound)} uncounted"
        )
        self._gaps.append(text)
        del self._gaps[3:]
        self._findings.disclose("V4", text, leaf=index)

    def block(self, index: int, leaf: Block, hashed: bytes) -> EpochState:
        """Take a block, and return its epoch as it was before."""
        self._blocks += 1
        state = self._present(index, leaf.lane, leaf.epoch)
        before = EpochState(state.opened, state.ended, state.block, state.last)
        self._check(index, leaf, state)
        lane = self._lanes[leaf.lane]
        if leaf.previous != lane.previous:
            self._findings.fail(
                Check.V4_CHAIN, f"{_name(leaf)} names another block before itself", leaf=index
            )
        lane.previous = hashed
        if not state.last:
            state.begun = leaf.span[1]
        state.block, state.last, state.ended = leaf.block, leaf.sequence[1], leaf.span[1]
        return before

    def finish(self) -> None:
        """Say what was found."""
        epochs = sum(len(lane.epochs) for lane in self._lanes.values())
        count = self._findings.disclosed("V4")
        text = f"{grouped(self._blocks)} blocks of {epochs} epochs of {len(self._lanes)} lanes"
        if count:
            shown = "; ".join(self._gaps) + ("; …" if count > len(self._gaps) else "")
            text = f"{count} gap{'s' if count > 1 else ''}: {shown}"
        self._findings.tell("V4", text)

    @property
    def uncounted(self) -> int:
        """How many answers may be missing at most."""
        return self._bound

    def _open(self, index: int, number: int, epoch: int, time: int) -> None:
        lane = self._lanes.setdefault(number, _Lane())
        name = f"epoch {epoch} of lane {number}"
        before = lane.epochs.get(lane.epoch)
        if epoch <= lane.epoch:
            self._findings.fail(
                Check.V4_OPENED, f"{name} is opened behind epoch {lane.epoch}", leaf=index
            )
        elif before is not None and not before.is_over:
            self._findings.fail(
                Check.V4_CLOSED,
                f"{name} is opened, and epoch {lane.epoch} was never closed",
                leaf=index,
            )
            before.is_over = True
        if epoch not in lane.epochs:
            lane.epochs[epoch] = EpochState(time, time)
        lane.epoch = max(lane.epoch, epoch)

    def _present(self, index: int, number: int, epoch: int) -> EpochState:
        """The state of an epoch of which something is said; it must be open."""
        lane = self._lanes.setdefault(number, _Lane())
        name = f"epoch {epoch} of lane {number}"
        if epoch not in lane.epochs:
            self._findings.fail(Check.V4_OPENED, f"{name} was never opened", leaf=index)
            lane.epochs[epoch] = EpochState(0, 0)
            lane.epoch = max(lane.epoch, epoch)
        state = lane.epochs[epoch]
        if state.is_over:
            self._findings.fail(Check.V4_CLOSED, f"{name} was over before leaf {index}", leaf=index)
            state.is_over = False
        return state

    def _check(self, index: int, leaf: Block, state: EpochState) -> None:
        name, (first, last) = _name(leaf), leaf.sequence
        if leaf.block != state.block + 1:
            self._findings.fail(
                Check.V4_BLOCK, f"{name} follows block {state.block} of its epoch", leaf=index
            )
        if first != state.last + 1 or sum(leaf.records) != last - first + 1:
            self._findings.fail(
                Check.V4_SEQUENCE,
                f"{name} has the records {first} to {last}, behind {state.last}, and counts {sum(leaf.records)}",
                leaf=index,
            )
        start, end = leaf.span
        if (state.opened or state.block) and not (start <= state.ended <= end):
            self._findings.fail(
                Check.V4_SPAN,
                f"{name} does not begin when its epoch had come to {state.ended}, but at {start}",
                leaf=index,
            )


def _name(leaf: Block | Epoch | Gap) -> str:
    if isinstance(leaf, Block):
        return f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
    return f"epoch {leaf.epoch} of lane {leaf.lane}"

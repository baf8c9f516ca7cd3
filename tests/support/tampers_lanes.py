"""Tampers of lanes, bodies and times (V4, V5, V6)."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from node.ledger.leaf import Block, Epoch, Gap, Head, Leaf, Pruning
from node.ledger.record import Record, seed_of
from node.ledger.tags import day_name
from node.ledger.verify.checks import Check
from tests.support.evidence import FIRST_DAY, MINUTE, Evidence, Maker, Story, moved
from tests.support.tampers import Lie, Tamper, edit, edit_block, edit_records, flip, lie

_LATE = 62  # a block of the day that is not closed
_OTHER_HASH, _OTHER_DIGEST = bytes(32), "00" * 32


def _skip_records(node: Maker, number: int) -> None:
    """Five records are taken out before anybody seals them, and out of the worker's count."""
    if number == 5:
        state = node.lanes[0]
        state.chain = replace(state.chain, last=state.chain.last + 5)
        node.counted[0] += 5


def _drop(*wanted: Callable[[Leaf], bool]) -> Callable[[], Story]:
    def leaves(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
        return [] if any(each(leaf) for each in wanted) else [leaf]

    return lie(leaves=leaves)


def _is_epoch(lane: int, epoch: int, state: str) -> Callable[[Leaf], bool]:
    def is_it(leaf: Leaf) -> bool:
        found = isinstance(leaf, Epoch) and (leaf.lane, leaf.epoch, leaf.state)
        return found == (lane, epoch, state)

    return is_it


def _is_power_loss(leaf: Leaf) -> bool:
    return isinstance(leaf, Gap) and leaf.cause == "power loss"


def _block_twice() -> Story:
    """The tenth block of the log is put into it a second time, at the end."""
    blocks: list[Block] = []

    def leaves(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
        if isinstance(leaf, Block):
            blocks.append(leaf)
            if len(blocks) == 40:
                return [leaf, replace(blocks[9], total=leaf.total)]
        return [leaf]

    return Lie(leaves=leaves)


def _first_body(evidence: Evidence) -> str:
    """The path of the first body, which has no canary."""
    found = sorted((evidence.directory / "bodies").rglob("*.rec"), key=lambda path: path.name)
    sizes = [path for path in found if path.stat().st_size == 10 * 64]
    return str(sizes[0].relative_to(evidence.directory))


def _remove_body(evidence: Evidence) -> None:
    (evidence.directory / _first_body(evidence)).unlink()


def _prune_early(node: Maker, number: int) -> None:
    if number == 30:
        node.append(Pruning(until=day_name(FIRST_DAY), policy=2, time=node.now))


def _alter_body(evidence: Evidence) -> None:
    path = _first_body(evidence)
    evidence.write(path, flip(evidence.read(path), 100))


def _one_more(sums: tuple[int, ...]) -> tuple[int, ...]:
    """A probe of the node's own counts as production."""
    return (sums[0] + 1, sums[1], sums[2] - 1, *sums[3:])


def _all_moved(microseconds: int) -> Callable[[list[Record]], list[Record]]:
    return lambda records: [moved(record, microseconds) for record in records]


def _one_moved(records: list[Record]) -> list[Record]:
    """The wall clock was set for one record, and the record does not say so."""
    last = records[-1]
    return [*records[:-1], last._replace(t_us=last.t_us + 3_000_000)]


def _number_twice(records: list[Record]) -> list[Record]:
    return [*records[:4], records[4]._replace(seq=records[3].seq), *records[5:]]


def _old_beacon() -> Story:
    """All blocks name the first head, as if they had been made then."""
    first: list[Head] = []

    def beacon(node: Maker) -> Head:
        first.append(node.head)
        return first[0]

    return Lie(beacon=beacon)


def _strange_beacon() -> Story:
    calls: list[Head] = []

    def beacon(node: Maker) -> Head:
        calls.append(node.head)
        size, root = node.head
        return (size, flip(root)) if len(calls) == 9 else node.head

    return Lie(beacon=beacon)


def _beacon_ahead() -> Story:
    """A block names a head that has the block itself: nobody can do that, but for lies about the head."""
    calls: list[Head] = []

    def beacon(node: Maker) -> Head:
        calls.append(node.head)
        return (len(node.lines) + 50, node.head[1]) if len(calls) == 9 else node.head

    return Lie(beacon=beacon)


def _add_later(node: Maker, number: int) -> None:
    """An hour after, a block of the first day is made, in an epoch of its own."""
    if number != 18:
        return
    node.close_epoch(1)
    node.open_epoch(1, 3)
    state = node.lanes[1]
    state.opened -= 50 * MINUTE
    back = node.now - 50 * MINUTE
    node.seal(1, node.some_traffic(1, back))


TAMPERS = (
    Tamper("an epoch that nobody opened", Check.V4_OPENED, (), _drop(_is_epoch(0, 2, "open"))),
    Tamper(
        "a power cut that nobody mentions",
        Check.V4_CLOSED,
        ("T15",),
        _drop(_is_epoch(1, 1, "close"), _is_power_loss),
    ),
    Tamper("an epoch that is never closed", Check.V4_CLOSED, (), _drop(_is_epoch(0, 1, "close"))),
    Tamper(
        "an epoch that closes with records that are in no block",
        Check.V4_LAST,
        ("T15", "T16"),
        edit(Epoch, lambda leaf: replace(leaf, last=leaf.last + 5), 3),
    ),
    Tamper("a block left out", Check.V4_BLOCK, ("T2",), edit_block(9, block=lambda b: b.block + 1)),
    Tamper("a block sealed twice", Check.V4_BLOCK, ("T4",), _block_twice, is_found_by_others=True),
    Tamper("records taken out before sealing", Check.V4_SEQUENCE, ("T2",), lie(step=_skip_records)),
    Tamper(
        "a lane that begins anew",
        Check.V4_CHAIN,
        ("T4",),
        edit_block(9, previous=lambda _: _OTHER_HASH),
    ),
    Tamper(
        "a time that no block covers",
        Check.V4_SPAN,
        ("T10",),
        edit_block(9, span=lambda b: (b.span[0] + 1_000_000, b.span[1])),
    ),
    Tamper(
        "a gap in another place",
        Check.V4_GAP,
        ("T15",),
        edit(Gap, lambda leaf: replace(leaf, last=leaf.last - 2)),
    ),
    Tamper(
        "a number given to two records", Check.V4_RECORD, ("T4",), edit_records(9, _number_twice)
    ),
    Tamper(
        "records of an old epoch in a new one",
        Check.V4_RECORD,
        ("T4",),
        lie(seed=lambda node, lane, epoch: seed_of(lane, 1)),
    ),
    Tamper("a body taken away", Check.V5_MISSING, after=_remove_body),
    Tamper(
        "bodies pruned as soon as they are counted", Check.V5_PRUNED, (), lie(step=_prune_early)
    ),
    Tamper(
        "a record altered", Check.V5_SHA256, ("T2",), after=_alter_body, is_found_by_others=True
    ),
    Tamper(
        "another SHA-256 in the leaf",
        Check.V5_SHA256,
        (),
        edit_block(9, sha256=lambda _: _OTHER_DIGEST),
    ),
    Tamper("another SM3 in the leaf", Check.V5_SM3, (), edit_block(9, sm3=lambda _: _OTHER_DIGEST)),
    Tamper(
        "another root in the leaf",
        Check.V5_ROOT,
        (),
        edit_block(9, record_root=lambda _: _OTHER_HASH),
    ),
    Tamper(
        "a probe summed as production",
        Check.V5_SUMS,
        ("T2",),
        edit_block(9, records=lambda b: _one_more(b.records)),
    ),
    Tamper(
        "records dated back",
        Check.V6_EARLY,
        ("T1", "T10"),
        edit_records(13, _all_moved(-7 * MINUTE)),
    ),
    Tamper("records dated ahead", Check.V6_LATE, ("T10",), edit_records(9, _all_moved(5 * MINUTE))),
    Tamper(
        "a record outside its block",
        Check.V6_RECORD,
        ("T10",),
        edit_block(_LATE, span=lambda b: (b.span[0], b.span[1] - 1_000_000)),
    ),
    Tamper("a head that nobody cosigned as beacon", Check.V6_BEACON, ("T1",), _strange_beacon),
    Tamper("a beacon from the future", Check.V6_BEACON, ("T1",), _beacon_ahead),
    Tamper("blocks made in advance", Check.V6_STALE, ("T1",), _old_beacon),
    Tamper("a clock that was set", Check.V6_DRIFT, ("T10",), edit_records(9, _one_moved)),
    Tamper(
        "a block of yesterday's records made today",
        Check.V6_EARLY,
        ("T1",),
        lie(step=_add_later),
        is_found_by_others=True,
    ),
)

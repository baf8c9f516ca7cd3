"""Tampers of rules, figures and other counts (V7, V8, R1, R2, R3, R4, R7)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from node.ledger.acknowledging import confirm, leaf_of
from node.ledger.checkpoint import Cosigner
from node.ledger.day import DayDetail
from node.ledger.dayacknowledging import DayAcknowledged, Held
from node.ledger.leaf import Block, Campaign, CountPolicy, Day, Leaf, Meters, MonthKey, parse
from node.ledger.record import Class, Record
from node.ledger.verify.checks import Check
from tests.support.evidence import FIRST_DAY, ORIGIN, STEP, Evidence, Maker, Story, moved
from tests.support.logs import seed
from tests.support.tampers import Lie, Tamper, edit, edit_record, edit_records, flip, lie, without


def _of_class(class_: Class) -> Callable[[Record], bool]:
    return lambda record: record.class_ == class_


def _every(change: Callable[[Record], Record]) -> Callable[[], Story]:
    return lie(records=lambda node, lane, records: [change(record) for record in records])


def _test_as_production(record: Record) -> Record:
    if record.class_ != Class.TEST:
        return record
    return record._replace(class_=Class.PRODUCTION, campaign=0)


def _all_as_production() -> Story:
    """The load test is closed with no records, since the log has none of it then."""
    close = edit(Campaign, lambda leaf: replace(leaf, observed=0), 2)()
    return Lie(
        records=lambda node, lane, records: [_test_as_production(record) for record in records],
        leaves=close.leaves,
    )


def _class_as_production(class_: Class) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        return record._replace(class_=Class.PRODUCTION) if record.class_ == class_ else record

    return change


def _flood(records: list[Record]) -> list[Record]:
    """One network asks fifty times in a second."""
    last = records[-1]
    more = [
        moved(last, 1_000 * each)._replace(seq=last.seq + each, nonce=900_000 + each)
        for each in range(1, 51)
    ]
    return [*records, *more]


def _other_robots(evidence: Evidence) -> None:
    (path,) = (evidence.directory / "policy").glob("robots-*.json")
    path.write_bytes(path.read_bytes().replace(b"examplebot", b"nobody"))


def _flood_all() -> Story:
    calls = 0

    def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
        nonlocal calls
        calls += 1
        if calls != 9:
            return found
        flooded = _flood(found)
        node.answered += [record.t_us for record in flooded[len(found) :]]
        return flooded

    return Lie(records=records)


def acknowledge(
    node: Maker, successes: int = 0, *, by: Cosigner | None = None, root: bytes | None = None
) -> None:
    """Put the top-level node's acknowledgement of the first day into the log, with so many successes more."""
    at, day = next(
        (at, leaf) for at, leaf in enumerate(map(parse, node.lines)) if isinstance(leaf, Day)
    )
    blocks = [leaf for leaf in map(parse, node.lines[:at]) if isinstance(leaf, Block)]
    cells = DayDetail.parse(node.files[f"days/{day.day}.json"]).counted.cells
    requests = sum(each.requests for cell, each in cells.items() if cell.class_ == Class.PRODUCTION)
    size, true_root = node.head
    held = Held(requests, day.raw + successes)
    told = DayAcknowledged(ORIGIN, size, root or true_root, day.day, at, held, blocks[-1].total)
    note = confirm(told, by or node.witnesses[0], node.now // 1_000_000)
    node.append(leaf_of(note, told))


def acknowledged(**lies: Any) -> Callable[[], Story]:
    """Return a story in which the first day is acknowledged, with these lies."""

    def step(node: Maker, number: int) -> None:
        if number == 30:
            acknowledge(node, **lies)

    return lie(step=step)


def _backdate_policy() -> Story:
    """The second policy is in force from two minutes before it is in the log, when nobody happened to ask."""

    def leaves(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
        if isinstance(leaf, CountPolicy) and leaf.number == 2:
            node.policy = 2
            return [replace(leaf, since=node.now - 125_000_000)]
        return [leaf]

    def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
        is_before = node.lanes[0].chain.epoch == 2 and node.policy == 1
        return found[:4] if is_before and node.now > node.start + 13 * STEP else found

    return Lie(leaves=leaves, records=records)


def _close_early() -> Story:
    """A day is closed at midnight, and one of its records is sealed after that."""
    closed: list[int] = []

    def step(node: Maker, number: int) -> None:
        if number != 10:
            return
        node.close_day(FIRST_DAY)

    def told(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
        if isinstance(leaf, Day):
            closed.append(1)
            return [leaf] if len(closed) != 2 else []
        return [leaf]

    def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
        is_first = closed == [1] and lane == 0 and node.now == node.start + 11 * STEP
        return [moved(found[0], -11_000_000), *found[1:]] if is_first else found

    return Lie(step=step, leaves=told, records=records)


def _without_detail(evidence: Evidence) -> None:
    path = next((evidence.directory / "days").iterdir())
    path.write_bytes(flip(path.read_bytes(), 40))


def _report_more(node: Maker, document: dict[str, Any]) -> dict[str, Any]:
    totals = document["totals"]
    return {**document, "totals": {**totals, "raw": totals["raw"] + 1}}


def _count_more(number: int, lane: int, count: int) -> Callable[[], Story]:
    """From a step on, a worker's Prometheus has more than its lane."""

    def step(node: Maker, at: int) -> None:
        if at == number:
            node.counted[lane] += count

    return lie(step=step)


def _last_snapshot(leaf: Meters) -> Meters:
    """A worker has counted twenty more, in both counts, than its lane then has."""
    first, *others = leaf.workers
    slot, lane, epoch, prometheus, ledger, flying = first
    more = (slot, lane, epoch, prometheus + 20, ledger + 20, flying)
    return replace(leaf, workers=(more, *others))


def _no_snapshots(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
    if not isinstance(leaf, Meters):
        return [leaf]
    rows = tuple(row for row in leaf.workers if row[1:3] != (1, 2))
    return [replace(leaf, workers=rows)]


def _drop_a_third() -> Story:
    """Records are dropped before anybody seals them, and the node's own meters follow."""

    def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
        if lane == 0 and len(found) == 10:
            return without(lambda record: record.seq % 3 == 0)(found)
        return found

    return Lie(records=records)


def _canary_twice() -> Story:
    canaries: list[Record] = []

    def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
        mine = [record for record in found if record.ua == 0xFFFF]
        if lane == 0 and mine and not canaries:
            canaries.extend(mine)
        elif lane == 1 and mine and len(canaries) == 1:
            last = found[-1]
            copy = canaries[0]._replace(seq=last.seq + 1, mono_ms=canaries[0].mono_ms)
            canaries.append(copy)
            return [*found, copy]
        return found

    return Lie(records=records)


def _total_more(block: Block) -> Block:
    return replace(block, total=(block.total[0] + 5, *block.total[1:]))


def _canary(record: Record) -> bool:
    return record.ua == 0xFFFF


def _over_tcp(leaf: Campaign) -> Campaign:
    """Not too many, but over a protocol that nobody asked."""
    return replace(leaf, observed=1, protocols={"tcp": 1})


TAMPERS = (
    Tamper(
        "a load test closed with records that the log has not",
        Check.R4_TESTED,
        ("T7",),
        edit(Campaign, lambda leaf: replace(leaf, observed=1_000_000), 2),
    ),
    Tamper(
        "a load test closed with records over a protocol that was not asked",
        Check.R4_TESTED,
        ("T7",),
        edit(Campaign, _over_tcp, 2),
    ),
    Tamper(
        "an acknowledgement that the node has signed itself",
        Check.R4_SIGNATURE,
        story=acknowledged(by=Cosigner("top.example/w", seed("nobody"))),
    ),
    Tamper(
        "day acknowledged by another witness than the top-level node",
        Check.R4_SIGNATURE,
        story=acknowledged(by=Cosigner("auditor.example/w", seed("auditor"))),
    ),
    Tamper(
        "an acknowledgement of another tree",
        Check.R4_HEAD,
        story=acknowledged(root=bytes(32)),
    ),
    Tamper(
        "a day of which the top-level node has another count",
        Check.R4_TOTAL,
        story=acknowledged(successes=1),
    ),
    Tamper(
        "records of a policy that is not in force",
        Check.V7_POLICY,
        ("T20",),
        edit_record(9, lambda _: True, policy=2),
    ),
    Tamper("a policy from before its leaf", Check.V7_BACKDATED, ("T20",), _backdate_policy),
    Tamper("a month without a key", Check.V7_KEY, (), edit(MonthKey, lambda _: None)),
    Tamper(
        "a month with another key",
        Check.V7_KEY,
        (),
        edit(MonthKey, lambda leaf: replace(leaf, sha256="11" * 32)),
    ),
    Tamper(
        "a load test that nobody announced",
        Check.V7_CAMPAIGN,
        ("T7",),
        edit(Campaign, lambda _: None),
    ),
    Tamper(
        "a load test announced afterwards",
        Check.V7_ANNOUNCED,
        ("T7",),
        edit(Campaign, lambda leaf: replace(leaf, time=leaf.time - 4 * STEP)),
    ),
    Tamper("a load test counted as production", Check.V7_TESTED, ("T7",), _all_as_production),
    Tamper(
        "own probes counted as production",
        Check.V7_OWN,
        ("T8",),
        _every(_class_as_production(Class.SELF)),
    ),
    Tamper(
        "robots counted as production",
        Check.V7_ROBOT,
        ("T9",),
        _every(_class_as_production(Class.ROBOT)),
    ),
    Tamper("another list of robots than the policy's", Check.V7_LIST, ("T9",), after=_other_robots),
    Tamper("a flood counted as production", Check.V7_RATE, ("T9",), _flood_all),
    Tamper(
        "a prefix that nobody registered",
        Check.V7_ROW,
        (),
        edit_record(9, lambda _: True, prefix_no=999),
    ),
    Tamper(
        "a user agent that no leaf explains",
        Check.V7_ROW,
        ("T9",),
        edit_record(9, lambda _: True, ua=77),
    ),
    Tamper(
        "more clients than there were",
        Check.V8_DAY,
        (),
        edit(Day, lambda leaf: replace(leaf, clients=leaf.clients + 1)),
    ),
    Tamper(
        "retries counted as resolutions",
        Check.V8_DAY,
        ("T5", "T17"),
        edit(Day, lambda leaf: replace(leaf, raw=leaf.raw + 20)),
        is_found_by_others=True,
    ),
    Tamper("a day left out", Check.V8_MISSING, ("T2",), edit(Day, lambda _: None)),
    Tamper("a record for a day that is closed", Check.V8_LATE, ("T1",), _close_early),
    Tamper("the file of a day altered", Check.V8_DETAIL, ("T2",), after=_without_detail),
    Tamper("a report that says more", Check.V8_REPORT, ("T20",), lie(report=_report_more)),
    Tamper("a total that jumps", Check.R1_TOTAL, ("T1",), edit(Block, _total_more, 9)),
    Tamper(
        "answers that were not counted, and no gap says so",
        Check.R2_DIFFERENCE,
        ("T16",),
        _count_more(9, 0, 50),
    ),
    Tamper(
        "a worker that had counted more", Check.R2_LANE, ("T15",), edit(Meters, _last_snapshot, 35)
    ),
    Tamper("a worker without snapshots", Check.R2_MISSING, ("T22",), lie(leaves=_no_snapshots)),
    Tamper("meters doctored to match", Check.R3_DIFFERENCE, ("T22",), _drop_a_third),
    Tamper(
        "canaries dropped",
        Check.R7_MISSING,
        ("T3",),
        edit_records(5, without(_canary)),
    ),
    Tamper("a canary copied into another lane", Check.R7_TWICE, ("T5",), _canary_twice),
)

"""A recount under the auditor's own rules: the same records, other windows, other classes in, prefixes in or out.

His policy file is JSON: {"window_s": 30, "nonce_s": 30, "classes": [0], "prefixes": false, "failures": false}; what he
leaves out is as the node counts.  A record is a repeat when the same client asked for the same with the same nonce at
most `nonce_s` before; it is within when the same client asked for the same at most `window_s` before.  0 switches a
window off.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

from node.ledger.count import DAY_US
from node.ledger.day import day_at, start_of
from node.ledger.leaf import Block
from node.ledger.record import RecordFlag, decode_all
from node.ledger.tags import day_name
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.trust import WrongUse

SECOND_US = 1_000_000
_MAX_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class RecountRules:
    """What the auditor counts."""

    window_s: int = 30
    nonce_s: int = 30
    classes: tuple[int, ...] = (0,)
    prefixes: bool = False
    failures: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "RecountRules":
        """Read a policy file.  Raises WrongUse."""
        try:
            read = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise WrongUse(f"the policy file is no JSON: {error}") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(read, dict) or not read.keys() <= known:
            raise WrongUse(f"the policy file is an object with some of {', '.join(sorted(known))}")
        classes = read.get("classes", [0])
        if not isinstance(classes, list) or not all(type(each) is int for each in classes):
            raise WrongUse("classes is a list of numbers from 0 to 5")
        for name in ("window_s", "nonce_s"):
            if type(read.get(name, 30)) is not int or not 0 <= read.get(name, 30) <= _MAX_SECONDS:
                raise WrongUse(f"{name} is a number of seconds, at most a day")
        for name in ("prefixes", "failures"):
            if not isinstance(read.get(name, False), bool):
                raise WrongUse(f"{name} is true or false")
        return cls(**{**read, "classes": tuple(classes)})


class DayFigures(NamedTuple):
    """What a day comes to under these rules."""

    day: str
    records: int
    raw: int
    filtered: int


class _Row(NamedTuple):
    time: int
    lane: int
    epoch: int
    seq: int
    pair: tuple[int, int, int, int]
    nonce: int
    is_wanted: bool


def recount(
    blocks: Iterable[tuple[int, Block]], files: EvidenceFiles, rules: RecountRules
) -> Iterator[DayFigures]:
    """Count again, day by day; `blocks` are in the order of the log.  Raises Unreadable.

    A day is counted when no lane can add to it any more, as far as the log goes.
    """
    waiting: defaultdict[int, list[Block]] = defaultdict(list)
    newest: dict[int, int] = {}
    for _, leaf in blocks:
        newest[leaf.lane] = max(leaf.span[1], newest.get(leaf.lane, 0))
        for day in range(day_at(leaf.span[0]), day_at(leaf.span[1]) + 1):
            if leaf.sequence[1] >= leaf.sequence[0]:
                waiting[day].append(leaf)
        horizon = day_at(min(newest.values())) - 1
        for day in sorted(day for day in waiting if day < horizon):
            yield _count(day, waiting.pop(day), files, rules)
    for day in sorted(waiting):
        yield _count(day, waiting[day], files, rules)


def _count(day: int, blocks: list[Block], files: EvidenceFiles, rules: RecountRules) -> DayFigures:
    rows = sorted(_rows(day, blocks, files, rules))
    raw = filtered = 0
    last: dict[tuple[int, int, int, int], int] = {}
    nonces: dict[tuple[tuple[int, int, int, int], int], int] = {}
    for row in rows:
        before, same = last.get(row.pair), nonces.get((row.pair, row.nonce))
        last[row.pair] = nonces[row.pair, row.nonce] = row.time
        if same is not None and rules.nonce_s and row.time - same <= rules.nonce_s * SECOND_US:
            continue
        raw += row.is_wanted
        if (
            before is not None
            and rules.window_s
            and row.time - before <= rules.window_s * SECOND_US
        ):
            continue
        filtered += row.is_wanted
    return DayFigures(day_name(day), len(rows), raw, filtered)


def _rows(
    day: int, blocks: list[Block], files: EvidenceFiles, rules: RecountRules
) -> Iterator[_Row]:
    start = start_of(day)
    for leaf in blocks:
        body = files.body(leaf)
        if body is None:
            name = f"{leaf.lane}.{leaf.epoch}.{leaf.block}"
            raise Unreadable(f"the body of block {name} is not here")
        for record in decode_all(body):
            if not start <= record.t_us < start + DAY_US:
                continue
            kind = record.flags & (RecordFlag.SUCCESS | RecordFlag.PREFIX)
            is_wanted = (
                record.class_ in rules.classes
                and (rules.failures or bool(kind & RecordFlag.SUCCESS))
                and (rules.prefixes or not kind & RecordFlag.PREFIX)
            )
            pair = record.client_tag, record.id_tag, record.class_, int(kind)
            yield _Row(
                record.t_us, leaf.lane, leaf.epoch, record.seq, pair, record.nonce, is_wanted
            )

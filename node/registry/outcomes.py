"""Outcomes: what became of each row of a job, as its result file says it; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from node.registry.batches import Batch
from node.registry.chunks import RowError
from node.registry.loading import Effect
from node.registry.merging import Difference
from node.registry.resultlines import end_line, whole_line
from resolver.identifier import PREFIX_HANDLE


class Outcome(StrEnum):
    """What became of a row; in a dry run, what would."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"  # a later row is about the same handle
    REFUSED = "refused"


class RowResult(NamedTuple):
    """One line of the result file; sorts by row."""

    row: int
    handle: str
    outcome: Outcome
    difference: Difference = Difference()
    reason: str = ""
    code: int = 0  # the Handle response code of a refused operation

    def encode(self) -> bytes:
        """Return the line; what is empty is left out."""
        return whole_line(*self)


class Told(NamedTuple):
    """What became of some rows: their lines in the result file, and how many had which outcome."""

    lines: bytes
    outcomes: Mapping[str, int]


def tell(results: Sequence[RowResult]) -> Told:
    """Put results into lines, in their order."""
    return Told(b"".join([each.encode() for each in results]), _count(results))


def tell_of_load(batch: Batch, effect: Effect) -> Told:
    """Return what became of the rows of a batch, in the order of the file."""
    others = _apart(batch, effect)
    if not others and len(effect.created) == len(batch.rows):
        end = end_line(Outcome.CREATED)
        lines = end.join([*batch.begins, b""])
        return Told(lines, {Outcome.CREATED.value: len(batch.rows)} if batch.rows else {})
    ends = [_end(key, effect) for key in batch.rows]
    found = [begin + end for begin, (_, end) in zip(batch.begins, ends, strict=True)]
    outcomes = Counter([outcome.value for outcome, _ in ends])
    if others:
        outcomes.update(_count(others))
        numbered = [*zip(batch.rows.values(), found, strict=True)]
        numbered += [(each.row, each.encode()) for each in others]
        found = [line for _, line in sorted(numbered)]
    return Told(b"".join(found), outcomes)


def add_up(before: Mapping[str, int], told: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of outcomes with these added."""
    return {name: before.get(name, 0) + told.get(name, 0) for name in {**before, **told}}


def _end(key: bytes, effect: Effect) -> tuple[Outcome, bytes]:
    if key in effect.created:
        return Outcome.CREATED, end_line(Outcome.CREATED)
    difference = effect.changed.get(key)
    if difference is None:
        return Outcome.UNCHANGED, end_line(Outcome.UNCHANGED)
    return Outcome.CHANGED, end_line(Outcome.CHANGED, difference)


def _apart(batch: Batch, effect: Effect) -> list[RowResult]:
    """Return the results of rows that gave no record."""
    found = [_of_error(each, Outcome.REFUSED) for each in batch.errors]
    found += [_of_error(each, Outcome.SUPERSEDED) for each in batch.superseded]
    for row, handle in batch.bare.items():
        name = handle.encode().upper().removeprefix(PREFIX_HANDLE)
        homed = Outcome.CHANGED if name in effect.prefixes else Outcome.UNCHANGED
        found.append(RowResult(row, handle, homed))
    return found


def refusals(errors: Sequence[RowError]) -> list[RowResult]:
    """Return the results of rows that cannot be read, in their order."""
    return sorted(_of_error(each, Outcome.REFUSED) for each in errors)


def _count(results: Sequence[RowResult]) -> Mapping[str, int]:
    return Counter([each.outcome.value for each in results])


def _of_error(error: RowError, outcome: Outcome) -> RowResult:
    return RowResult(error.row, error.handle, outcome, reason=error.reason)

"""Outcomes: what became of each row of a job, as its result file says it; pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import orjson

from node.registry.batches import Batch
from node.registry.chunks import RowError
from node.registry.loading import Effect
from node.registry.merging import Difference
from resolver.identifier import PREFIX_HANDLE

MAX_SHOWN_CHARACTERS = 2_048  # of a handle, which may be anything where a row was refused


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
        handle = self.handle[:MAX_SHOWN_CHARACTERS]
        line: dict[str, object] = {"row": self.row, "handle": handle, "outcome": self.outcome}
        line |= {name: value for name, value in self.difference._asdict().items() if value}
        line |= {"code": self.code} if self.code else {}
        line |= {"reason": self.reason} if self.reason else {}
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def results_of_load(batch: Batch, effect: Effect) -> list[RowResult]:
    """Return what became of the rows of a batch, in the order of the file."""
    found = [_of_error(each, Outcome.REFUSED) for each in batch.errors]
    found += [_of_error(each, Outcome.SUPERSEDED) for each in batch.superseded]
    for row, handle in batch.bare.items():
        name = handle.encode().upper().removeprefix(PREFIX_HANDLE)
        homed = Outcome.CHANGED if name in effect.prefixes else Outcome.UNCHANGED
        found.append(RowResult(row, handle, homed))
    for key, row in batch.rows.items():
        handle = batch.records[key].handle.decode()
        if key in effect.created:
            found.append(RowResult(row, handle, Outcome.CREATED))
        elif key in effect.changed:
            found.append(RowResult(row, handle, Outcome.CHANGED, effect.changed[key]))
        else:
            found.append(RowResult(row, handle, Outcome.UNCHANGED))
    return sorted(found)


def refusals(errors: Sequence[RowError]) -> list[RowResult]:
    """Return the results of rows that cannot be read, in their order."""
    return sorted(_of_error(each, Outcome.REFUSED) for each in errors)


def count(outcomes: dict[str, int], results: Sequence[RowResult]) -> dict[str, int]:
    """Return the counts with these results added."""
    found = dict(outcomes)
    for each in results:
        found[each.outcome.value] = found.get(each.outcome.value, 0) + 1
    return found


def _of_error(error: RowError, outcome: Outcome) -> RowResult:
    return RowResult(error.row, error.handle, outcome, reason=error.reason)

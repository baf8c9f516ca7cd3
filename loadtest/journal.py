"""Journal: what writers asked for and what they were told, and whether the versions of a record say the same.

Every write has a text of its own, so that no two of them leave the same behind.  `explain` walks the versions of a
record and finds for each the one write that turns what was there into what is there now, in the order of each writer.
Laws: an acknowledged write is found once, one without an answer once or not at all, a refused one never; and there is
no version that nobody wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

State = Mapping[int, str] | None
"""Texts of a record's values by index; None while there is no record."""


class Kind(StrEnum):
    """What a write does; a version calls it by one of the operations behind it."""

    CREATE = "create"  # refused when there is a record
    REPLACE = "replace"  # the whole record, or a new one
    ADD = "add"  # refused when there is such a value
    MODIFY = "modify"  # values that are there
    REMOVE = "remove"
    DELETE = "delete"


OPERATIONS = {
    Kind.CREATE: {"create"},
    Kind.REPLACE: {"create"},
    Kind.ADD: {"add"},
    Kind.MODIFY: {"modify", "add"},  # over HTTP it is an addition that may overwrite
    Kind.REMOVE: {"remove"},
    Kind.DELETE: {"delete"},
}


class Outcome(StrEnum):
    """What the writer was told."""

    UNKNOWN = "unknown"  # nothing, or "busy": it may have been done
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


@dataclass(slots=True)
class Entry:
    """One write of a journal; `version` as the answer told it, 0 when it did not."""

    kind: Kind
    pairs: tuple[tuple[int, str], ...] = ()
    numbers: tuple[int, ...] = ()
    outcome: Outcome = Outcome.UNKNOWN
    version: int = 0

    def turns(self, before: State, after: State) -> bool:
        """True when this write makes `after` out of `before`."""
        put = dict(self.pairs)
        match self.kind:
            case Kind.CREATE:
                return before is None and after == put
            case Kind.REPLACE:
                return after == put
            case Kind.DELETE:
                return before is not None and after is None
        if before is None or after is None:
            return False
        if self.kind is Kind.REMOVE:
            left = {index: text for index, text in before.items() if index not in self.numbers}
            return len(left) + len(self.numbers) == len(before) and after == left
        is_free = not before.keys() & put.keys()
        return is_free == (self.kind is Kind.ADD) and after == {**before, **put}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record: what the database says was done, and what it left behind."""

    number: int
    operation: str
    after: State


Journal = Mapping[str, Sequence[Entry]]
"""By writer, in the order of writing, all that one record was asked to become."""


def explain(versions: Sequence[Version], journal: Journal) -> Iterator[str]:
    """Say what does not fit between the versions of a record, from the first on, and its journal."""
    reached = dict.fromkeys(journal, 0)
    before: State = None
    for place, version in enumerate(versions, 1):
        if version.number != place:
            yield f"version {version.number} stands where {place} belongs"
        found = _find(version, before, journal, reached)
        if found is None:
            yield f"version {version.number} ({version.operation}) is nobody's write, or one done twice"
        else:
            reached[found[0]] = found[1] + 1
        before = version.after
    for writer, entries in journal.items():
        for entry in entries[reached[writer] :]:
            if entry.outcome is Outcome.ACKNOWLEDGED:
                yield f"lost: {writer} was told that this is done, and there is no version of it: {entry}"


def _find(
    version: Version, before: State, journal: Journal, reached: Mapping[str, int]
) -> tuple[str, int] | None:
    """Return whose write it was, and the place of it; none that was acknowledged is passed over."""
    for writer, entries in journal.items():
        for place in range(reached[writer], len(entries)):
            entry = entries[place]
            if _is_it(entry, version, before):
                return writer, place
            if entry.outcome is Outcome.ACKNOWLEDGED:
                break
    return None


def _is_it(entry: Entry, version: Version, before: State) -> bool:
    return (
        entry.outcome is not Outcome.REFUSED
        and version.operation in OPERATIONS[entry.kind]
        and entry.version in (0, version.number)
        and entry.turns(before, version.after)
    )

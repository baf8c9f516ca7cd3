"""Counting: from the records of one local day to what they come to, under the rules of a policy leaf.

The rules, in this order, over records sorted by (time, lane, epoch, number); classes apart, successes and failures
apart, look-ups of prefixes and of identifiers apart:

    repeat   the same client, identifier and nonce as one at most 30 s before: a retry.  In no figure but `requests`.
    within   of the others, the same client and identifier as one at most 30 s before.  In `raw`, not in `filtered`.

"Before" is the last such record, whatever became of it: who asks every ten seconds for an hour has asked once.  Windows
end at midnight, since tags do.  Identifiers and clients are distinct tags among the successful look-ups of identifiers
in production.

Memory does not grow with the records: those of at most READ_AHEAD and of the blocks that overlap, the pairs of the last
30 s, and 0.1 KB for each distinct identifier and client of the day.  Speed: about a million records in two seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from struct import Struct
from typing import NamedTuple, TypeVar

from node.ledger.record import RECORD_BYTES, RecordFlag

WINDOW_US = 30_000_000
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
HOURS = 24
READ_AHEAD = 65_536  # records that are held to be put in order

_FORGET_FROM = 65_536  # pairs, below which none is forgotten
_SUCCESS, _PREFIX = (
    int(RecordFlag.SUCCESS),
    int(RecordFlag.PREFIX),
)  # arithmetic with the enum is slow
_RESOLUTION = 1  # the kind of a successful look-up of an identifier
# seq, t, class, proto, result, id_tag, client_tag, prefix_no, flags, nonce
_ROW = Struct("<QQ4xBBHQQ4xI4xH2xI4x")

Fields = tuple[int, ...]
Row = tuple[Fields, int]  # the fields above, and the index of the leaf
Key = TypeVar("Key", bound=Hashable)


class CountError(Exception):
    """The records cannot be counted; the text says which are not what their leaf says."""


class Piece(NamedTuple):
    """A block: where it stands, from when to when its records are (µs, both inclusive), and how to get them."""

    lane: int
    epoch: int
    block: int
    span: tuple[int, int]
    read: Callable[[], bytes]
    leaf: int = 0  # its index in the log


class Cell(NamedTuple):
    """What is counted apart.  `kind` has 1 for success and 2 for a look-up of a prefix; `hour` is 0 to 23."""

    prefix_no: int
    proto: int
    result: int
    class_: int
    kind: int
    hour: int

    @property
    def is_success(self) -> bool:
        """True for answers that gave what was asked for."""
        return bool(self.kind & 1)

    @property
    def is_prefix(self) -> bool:
        """True for look-ups of prefixes."""
        return bool(self.kind & 2)

    @property
    def is_resolution(self) -> bool:
        """True for what `raw` counts, of whatever class: a successful look-up of an identifier."""
        return self.kind == _RESOLUTION


class Tally(NamedTuple):
    """What a cell comes to.  `requests` are all records; `raw` has no repeats, `filtered` nothing within either."""

    requests: int
    raw: int
    filtered: int

    def __add__(self, other: object) -> "Tally":
        """Add field by field."""
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(*map(sum, zip(self, other, strict=True)))


NOTHING = Tally(0, 0, 0)


@dataclass(slots=True)
class DayCount:
    """What a day came to.  `identifiers` says how many distinct ones each prefix had; each is in one of them."""

    cells: dict[Cell, Tally] = field(default_factory=dict)
    identifiers: dict[int, int] = field(default_factory=dict)
    clients: int = 0

    def total(self, wanted: Callable[[Cell], bool]) -> Tally:
        """Return the sum over the cells that are wanted."""
        return sum((tally for cell, tally in self.cells.items() if wanted(cell)), NOTHING)

    def resolutions(self, class_: int = 0) -> Tally:
        """Return the successful look-ups of identifiers in a class: `raw` and `filtered` of production."""
        return self.total(lambda cell: cell.is_resolution and cell.class_ == class_)


class Event(NamedTuple):
    """A resolution in production that is in `raw`, the leaf it is in, and whether it is in `filtered` too."""

    time: int
    leaf: int
    is_filtered: bool


def count_day(pieces: Iterable[Piece], start: int) -> DayCount:
    """Count the records of the day that begins then (µs).  Raises CountError, and what `read` raises."""
    requests: defaultdict[Fields, int] = defaultdict(int)
    repeats: Counter[Fields] = Counter()
    within: Counter[Fields] = Counter()
    identifiers: dict[int, int] = {}
    clients: set[int] = set()
    for (
        _,
        time,
        class_,
        proto,
        result,
        id_tag,
        client_tag,
        no,
        _,
        _,
    ), _, kind, standing in _judged(pieces, start):
        cell = (no, proto, result, class_, kind, (time - start) // HOUR_US)
        requests[cell] += 1
        if standing == _REPEAT:
            repeats[cell] += 1
        elif standing == _WITHIN:
            within[cell] += 1
        if kind == _RESOLUTION and not class_:
            identifiers[id_tag] = no
            clients.add(client_tag)
    cells = {
        Cell(*cell): Tally(count, raw := count - repeats[cell], raw - within[cell])
        for cell, count in sorted(requests.items())
    }
    return DayCount(cells, dict(sorted(Counter(identifiers.values()).items())), len(clients))


def events(pieces: Iterable[Piece], start: int) -> Iterator[Event]:
    """Yield the resolutions of a day in the order in which they are counted.  Raises as `count_day`."""
    for fields, index, kind, standing in _judged(pieces, start):
        if kind == _RESOLUTION and not fields[2] and standing != _REPEAT:
            yield Event(fields[1], index, standing == _NEW)


def crossing(pieces: Iterable[Piece], start: int, number: int, *, is_filtered: bool) -> Event:
    """Return the resolution of a day that is the `number`th, from 1.  Raises CountError when there are fewer."""
    for event in events(pieces, start):
        number -= event.is_filtered or not is_filtered
        if not number:
            return event
    raise CountError("the day has fewer resolutions than that")


def count_clients(pieces: Iterable[Piece], start: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Return requests and successes in production of each client tag and prefix number, of one day, no rule applied.

    Memory grows with the clients: 0.3 KB for each and each of its prefixes.  Raises as `count_day`.
    """
    requests: Counter[tuple[int, int]] = Counter()
    successes: Counter[tuple[int, int]] = Counter()
    for piece in pieces:
        rows = [fields for fields, _ in _rows(piece, start) if not fields[2]]
        requests.update((fields[6], fields[7]) for fields in rows)
        successes.update((fields[6], fields[7]) for fields in rows if fields[8] & _SUCCESS)
    return {key: (number, successes[key]) for key, number in requests.items()}


def sum_cells(cells: Mapping[Cell, Tally], key: Callable[[Cell], Key]) -> dict[Key, Tally]:
    """Return the sums of cells that have the same key."""
    found: dict[Key, Tally] = defaultdict(lambda: NOTHING)
    for cell, tally in cells.items():
        found[key(cell)] += tally
    return dict(found)


_REPEAT, _WITHIN, _NEW = 0, 1, 2  # what a record is to those before it
_Seen = tuple[
    int, int | dict[int, int]
]  # when a pair was seen last; its nonce, or each nonce and when


def _judged(pieces: Iterable[Piece], start: int) -> Iterator[tuple[Fields, int, int, int]]:
    """Yield the fields of each record in order, the index of its leaf, its kind, and its standing."""
    seen: dict[tuple[int, int, int, int], _Seen] = {}
    forget_from = _FORGET_FROM
    for rows in _in_order(pieces, start):
        for fields, index in rows:
            _, time, class_, _, _, id_tag, client_tag, _, flags, nonce = fields
            kind = flags & _SUCCESS | (flags & _PREFIX) >> 7
            pair = (id_tag, client_tag, class_, kind)
            before = seen.get(pair)
            if before is None or time - before[0] > WINDOW_US:
                seen[pair] = time, nonce
                yield fields, index, kind, _NEW
            else:
                is_repeat, seen[pair] = _again(before, time, nonce)
                yield fields, index, kind, _REPEAT if is_repeat else _WITHIN
        if len(seen) > forget_from:
            horizon = rows[-1][0][1] - WINDOW_US
            seen = {pair: last for pair, last in seen.items() if last[0] >= horizon}
            forget_from = max(_FORGET_FROM, 2 * len(seen))


def _again(before: _Seen, time: int, nonce: int) -> tuple[bool, _Seen]:
    """Say whether a record within the window of its pair repeats a nonce, and what to remember of the pair.

    The nonces stand in the order of their last use, so that forgetting them costs no more than taking them in.
    """
    last, known = before
    nonces = known if isinstance(known, dict) else {known: last}
    used = nonces.pop(nonce, None)
    nonces[nonce] = time
    while time - nonces[oldest := next(iter(nonces))] > WINDOW_US:
        del nonces[oldest]
    return used is not None and time - used <= WINDOW_US, (time, nonces)


def _in_order(pieces: Iterable[Piece], start: int) -> Iterator[list[Row]]:
    """Yield the rows of the day, sorted, in lists.

    A row may be yielded when every block that is still to come begins after it.
    """
    waiting: dict[tuple[int, int], list[Row]] = defaultdict(list)
    held, enough = 0, READ_AHEAD
    for piece in sorted(pieces, key=_begins):
        if held >= enough:
            yield _ready(waiting, piece.span[0])
            held = sum(map(len, waiting.values()))
            enough = max(READ_AHEAD, 2 * held)
        rows = _rows(piece, start)
        waiting[piece.lane, piece.epoch] += rows
        held += len(rows)
    yield _ready(waiting, start + DAY_US)


def _ready(waiting: dict[tuple[int, int], list[Row]], before: int) -> list[Row]:
    """Take out the rows with times before that one, sorted by (time, lane, epoch, number)."""
    ready: list[Row] = []
    for lane in sorted(waiting):
        rows = waiting[lane]
        ready += [row for row in rows if row[0][1] < before]
        waiting[lane] = [row for row in rows if row[0][1] >= before]
    ready.sort(key=_time)  # stable, and numbers rise within a lane
    return ready


def _rows(piece: Piece, start: int) -> list[Row]:
    body, (first, last) = piece.read(), piece.span
    if len(body) % RECORD_BYTES:
        raise CountError(f"block {piece.lane}.{piece.epoch}.{piece.block} has no whole records")
    rows = list(zip(_ROW.iter_unpack(body), repeat(piece.leaf), strict=False))
    end = start + DAY_US
    if first < start or last >= end:
        rows = [row for row in rows if start <= row[0][1] < end]
    times = [row[0][1] for row in rows]
    if times and not first <= min(times) <= max(times) <= last:
        raise CountError(
            f"a record of block {piece.lane}.{piece.epoch}.{piece.block} is not of its time"
        )
    return rows


def _time(row: Row) -> int:
    return row[0][1]


def _begins(piece: Piece) -> tuple[int, int, int, int]:
    return piece.span[0], piece.lane, piece.epoch, piece.block

"""Agents: which user agents get a row in the log's dictionary, and what such a row says.

A record has the number of its caller's user agent, so that an auditor can judge robots by any list.  A worker notes
agents that have no row in `agents/<slot>`, the keeper gives numbers to them in a `dict` leaf, and workers use a number
when its leaf is in the log.

Laws.  Leaves are public and for ever, so a row never says what may tell a person: addresses of mail, what follows a
question mark, and long numbers and tokens (of telephones, devices, accounts) are one `*`; what is not printable ASCII
gets no row.  Anybody can send any user agent, so rows are bounded: MAX_AGENTS of a log, AGENTS_A_MINUTE new ones, those
first that most callers have.  Who has no row is OTHER_AGENT; its class was decided by its full text all the same.
"""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from node.ledger.canonical import canonical
from node.ledger.classes import MAX_AGENT_BYTES
from node.ledger.durable import PRIVATE_DIRECTORY
from node.ledger.leaf import Dictionary

DIRECTORY = "agents"
MAX_AGENTS = 4_096
AGENTS_A_MINUTE = 64
MAX_NOTED = 256  # agents that one worker notes a second
LEAF_BYTES = 3_500  # of rows in one leaf

_MEANT = re.compile(rb"[\x21-\x7e][\x20-\x7e]*")
_PRIVATE = re.compile(
    rb"\S*@\S*"  # an address of mail
    rb"|\?\S*"  # what a URL asks
    rb"|[0-9]{9,}"  # a telephone, a device, an account
    rb"|[0-9A-Za-z+=_-]{24,}"  # a UUID, a key, a session
)
_HIDDEN = b"*"
_DRAFT = ".new"


def row_of(agent: bytes) -> bytes:
    """Return what a row says of a user agent, of which MAX_AGENT_BYTES are looked at; nothing: it gets no row."""
    cut = agent[:MAX_AGENT_BYTES]
    return _PRIVATE.sub(_HIDDEN, cut) if _MEANT.fullmatch(cut) else b""


class AgentNotes:
    """What one worker has met since it last wrote."""

    def __init__(self, directory: Path, slot: int) -> None:
        """`directory` is that of the ledger."""
        self._path = directory / DIRECTORY / str(slot)
        self._notes: Counter[bytes] = Counter()

    def met(self, row: bytes) -> None:
        """Note a caller whose user agent has no row yet."""
        if row in self._notes or len(self._notes) < MAX_NOTED:
            self._notes[row] += 1

    def write(self) -> None:
        """Write what was noted, in the place of what the keeper has not taken; each minute notes it again."""
        if not self._notes:
            return
        notes, self._notes = self._notes, Counter()
        draft = self._path.with_name(self._path.name + _DRAFT)
        with suppress(OSError):  # a full disk costs rows, never a count
            self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            draft.write_bytes(b"".join(b"%d %s\n" % (n, row) for row, n in notes.items()))
            draft.replace(self._path)


def take_notes(directory: Path) -> Counter[bytes]:
    """Return what all workers have noted, how often each, and remove the files.  Raises OSError."""
    found: Counter[bytes] = Counter()
    place = directory / DIRECTORY
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.suffix != _DRAFT:
            for line in path.read_bytes().splitlines()[:MAX_NOTED]:
                count, _, row = line.partition(b" ")
                if count.isdigit() and row and row_of(row) == row:
                    found[row] += int(count[:9])
            path.unlink(missing_ok=True)
    return found


class AgentRows:
    """The keeper's side: which rows there are, and how many more there may be in this minute."""

    def __init__(self) -> None:
        self._rows: set[bytes] = set()
        self._next = 1
        self._minute = -1
        self._left = 0

    def told(self, rows: Iterable[tuple[int, str]]) -> None:
        """Take rows that are in the log."""
        for number, text in rows:
            self._rows.add(text.encode())
            self._next = max(self._next, number + 1)

    def due(self, noted: Mapping[bytes, int], minute: int) -> list[Dictionary]:
        """Return the leaves of new rows; they are taken by `told`."""
        if minute != self._minute:
            self._minute, self._left = minute, AGENTS_A_MINUTE
        fresh = {row: count for row, count in noted.items() if row not in self._rows}
        room = min(self._left, MAX_AGENTS + 1 - self._next)
        chosen = heapq.nsmallest(max(room, 0), fresh, key=lambda row: (-fresh[row], row))
        self._left -= len(chosen)
        rows = [(number, row.decode("ascii")) for number, row in enumerate(chosen, self._next)]
        return [Dictionary(agents=tuple(each)) for each in _leaves(rows)]


def _leaves(rows: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Rows by the leaf that has room for them."""
    found: list[tuple[int, str]] = []
    size = 0
    for row in rows:
        more = len(canonical(list(row)))
        if found and size + more > LEAF_BYTES:
            yield found
            found, size = [], 0
        found.append(row)
        size += more + 1
    if found:
        yield found

"""Sources: which addresses are behind the client tags of a day, and what each came to; nothing of it is in the ledger.

A worker notes each tag once a day and writes the notes of a minute to a file of its own, `sources/<slot>-<time>`.  The
keeper takes the files into Postgres; when the day is closed, it counts its records by tag and puts addresses in the
place of tags.  So the table agrees with the ledger to the last request, and no answer pays for it.

Limits: MAX_NOTES of a worker a minute, MAX_SOURCES rows a day; what is beyond is counted under OTHERS.  A file may be
taken twice: the same tag has the same address.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from ipaddress import ip_address
from pathlib import Path

from node.ledger.day import Prefix
from node.ledger.durable import PRIVATE_DIRECTORY
from node.ledger.tags import MINUTE_NS, day_name, packed_address
from node.store.sources import OTHERS, Address, Client, Source

DIRECTORY = "sources"
MAX_NOTES = 65_536
MAX_SOURCES = 100_000

_SIGN, _RANGE = 2**63, 2**64
_DRAFT = ".new"


class SourceNotes:
    """What one worker has met since it last wrote."""

    def __init__(self, directory: Path, slot: int) -> None:
        """`directory` is that of the ledger."""
        self._directory = directory / DIRECTORY
        self._slot = slot
        self._notes: dict[bytes, str] = {}
        self._minute = -1  # of the last writing

    def met(self, day: int, client_tag: bytes, address: str) -> None:
        """Note who is behind a tag."""
        if len(self._notes) < MAX_NOTES:
            self._notes[client_tag] = f"{day_name(day)} {client_tag.hex()} {address}\n"

    def is_due(self, now_ns: int) -> bool:
        """True when a minute is over since the last writing."""
        return bool(self._notes) and now_ns // MINUTE_NS != self._minute

    def write(self, now_ns: int) -> None:
        """Write what was noted, without waiting for the disk; a full one costs addresses, never a count."""
        notes, self._notes, self._minute = self._notes, {}, now_ns // MINUTE_NS
        path = self._directory / f"{self._slot}-{now_ns}"
        draft = path.with_name(path.name + _DRAFT)
        if not notes:
            return
        with suppress(OSError):
            self._directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            draft.write_text("".join(notes.values()), "ascii")
            draft.replace(path)


def written_notes(directory: Path) -> Iterator[tuple[Path, list[Client]]]:
    """Return the files of all workers and what they say; what is no note is left out.  Raises OSError."""
    place = directory / DIRECTORY
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.suffix != _DRAFT:
            lines = path.read_text("ascii", errors="replace").splitlines()
            yield path, [client for line in lines if (client := _client(line)) is not None]


def sources_of(
    counted: Mapping[tuple[int, int], tuple[int, int]],
    addresses: Mapping[int, Address],
    prefixes: Mapping[int, Prefix],
) -> list[Source]:
    """Put addresses in the place of tags, and prefixes in that of numbers; the busiest rows, and the sum of the others.

    `counted` is of `node.ledger.count.count_clients`, `addresses` by signed tag.
    """
    sums: dict[tuple[str, Address], list[int]] = {}
    for (tag, number), (requests, successes) in counted.items():
        key = prefixes.get(number, ("", ""))[1], addresses.get(signed(tag), OTHERS)
        found = sums.setdefault(key, [0, 0])
        found[0] += requests
        found[1] += successes
    rows = [Source(prefix, address, *sum_) for (prefix, address), sum_ in sums.items()]
    if len(rows) <= MAX_SOURCES:
        return rows
    kept = set(
        heapq.nlargest(MAX_SOURCES, (row for row in rows if row.address != OTHERS), key=_requests)
    )
    return [*kept, *_others(row for row in rows if row not in kept)]


def signed(tag: int) -> int:
    """Return a tag as the signed number that a database holds."""
    return tag - _RANGE if tag >= _SIGN else tag


def _others(rows: Iterable[Source]) -> Iterator[Source]:
    sums: dict[str, list[int]] = {}
    for row in rows:
        found = sums.setdefault(row.prefix, [0, 0])
        found[0] += row.requests
        found[1] += row.successes
    return (Source(prefix, OTHERS, *sum_) for prefix, sum_ in sums.items())


def _requests(row: Source) -> int:
    return row.requests


def _client(line: str) -> Client | None:
    try:
        day, tag, address = line.split(" ")
        packed = packed_address(address)
        number = int.from_bytes(bytes.fromhex(tag), "little")
        return (
            Client(date.fromisoformat(day), signed(number), ip_address(packed)) if packed else None
        )
    except ValueError:
        return None

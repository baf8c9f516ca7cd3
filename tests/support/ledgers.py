"""Ledgers for tests: a log on real files and a real database, and lanes with records in them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from node.ledger.lanefile import (
    HEADER_BYTES,
    Cause,
    Durability,
    Header,
    LaneReader,
    Line,
    boot_id,
    lane_path,
    lock_lane,
    make_file,
)
from node.ledger.log import Log, Place, Reached, go_on
from node.ledger.logfiles import LogFiles
from node.ledger.note import Ed25519Signer, Signer
from node.ledger.record import RECORD_BYTES, Class, Proto, Record, RecordFlag, encode, seed_of
from node.ledger.tlog import leaf_hash, root_from
from node.store.database import connect
from node.store.ledger import read_extent, read_lines

ORIGIN = "log.example"
SIGNER: Signer = Ed25519Signer(ORIGIN, bytes(range(32)))
START_US = 1_790_000_000_000_000


def record(seq: int, *, class_: int = Class.PRODUCTION, is_success: bool = True) -> Record:
    """A record, a millisecond after the one before."""
    return Record(
        seq=seq,
        t_us=START_US + seq * 1_000,
        mono_ms=seq,
        class_=class_,
        proto=Proto.UDP,
        result=1,
        id_tag=seq % 7,
        client_tag=seq % 5,
        net_tag=seq % 3,
        prefix_no=1,
        policy=1,
        campaign=0,
        flags=RecordFlag.SUCCESS if is_success else 0,
        ua=0xFFFF,
        nonce=seq * 2_654_435_761 % 2**32,
    )


def body(first: int, count: int, *, lane: int = 0, epoch: int = 1) -> bytes:
    """The bytes of records that follow one another."""
    seed = seed_of(lane, epoch)
    return b"".join(encode(record(seq), seed) for seq in range(first, first + count))


class LaneFile:
    """A lane file that is written as a worker's is, without its process; in a `with` block it has its writer."""

    def __init__(
        self,
        directory: Path,
        lane: int = 0,
        epoch: int = 1,
        *,
        capacity: int = 50_000,
        boot: bool = False,
    ) -> None:
        """`boot`: it was made since the machine started."""
        directory.mkdir(parents=True, exist_ok=True)
        self.lane, self.epoch, self.last = lane, epoch, 0
        self.path = lane_path(directory, lane, epoch)
        self._lock: int | None = None
        made = boot_id() if boot else bytes(16)
        header = Header(lane, epoch, capacity, START_US, made, Durability.GROUP, ORIGIN)
        make_file(self.path, header)
        self._file = self.path.open("r+b", buffering=0)
        self._reader = LaneReader.open(self.path)

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def __del__(self) -> None:
        self._file.close()
        self._reader.close()

    def hold(self) -> None:
        """Have a writer that lives."""
        self._lock = lock_lane(self.path.parent, self.lane)
        assert self._lock is not None

    def let_go(self) -> None:
        """Have the writer die."""
        assert self._lock is not None
        os.close(self._lock)

    def append(self, count: int, *, class_: int = 0, is_success: bool = True) -> None:
        """Add records."""
        seed = seed_of(self.lane, self.epoch)
        numbers = range(self.last + 1, self.last + count + 1)
        made = (record(seq, class_=class_, is_success=is_success) for seq in numbers)
        self.write_at(self.last, b"".join(encode(each, seed) for each in made))
        self.last += count

    def write_at(self, after: int, data: bytes) -> None:
        """Write any bytes where the record behind this one belongs."""
        self._file.seek(HEADER_BYTES + after * RECORD_BYTES)
        self._file.write(data)

    def write_line(self, line: Line, *numbers: int) -> None:
        """Write a line of the header."""
        self._reader.write_line(line, *numbers)

    def say_closed(self) -> None:
        """End the epoch as its writer does."""
        self.write_line(Line.CLOSING, self.last, START_US + 10**6, 0, 0, Cause.CLOSED)


@asynccontextmanager
async def opened_log(
    url: str, directory: Path, *, reached: Reached = go_on, signers: tuple[Signer, ...] = (SIGNER,)
) -> AsyncIterator[Log]:
    """A log that is open, on a connection of its own."""
    files = LogFiles(directory)
    files.make()
    connection = await connect(url)
    try:
        yield await Log.open(Place(ORIGIN, files, signers, connection), reached=reached)
    finally:
        connection.terminate()


async def stored_lines(url: str) -> list[bytes]:
    """All leaves that the database has."""
    connection = await connect(url)
    try:
        extent = await read_extent(connection, ORIGIN)
        found = await read_lines(connection, ORIGIN, 0, extent.end)
    finally:
        await connection.close()
    return [found[index] for index in range(extent.end)]


def root_of(lines: list[bytes]) -> bytes:
    """The root over lines, worked out afresh."""
    return root_from(map(leaf_hash, lines))

"""Ledgers for tests: a log on real files and a real database, and lanes with records in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from node.ledger.lanefile import Durability, Header, lane_path, make_file
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
    """A lane file that is written as a worker's is, without its process."""

    def __init__(
        self, directory: Path, lane: int = 0, epoch: int = 1, *, capacity: int = 100_000
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.lane, self.epoch, self.last = lane, epoch, 0
        self.path = lane_path(directory, lane, epoch)
        self._header = Header(lane, epoch, capacity, START_US, bytes(16), Durability.GROUP, ORIGIN)
        make_file(self.path, self._header)

    def append(self, count: int) -> None:
        """Add records."""
        data = body(self.last + 1, count, lane=self.lane, epoch=self.epoch)
        self.write_at(self.last, data)
        self.last += count

    def write_at(self, after: int, data: bytes) -> None:
        """Write any bytes where the record behind this one belongs."""
        with self.path.open("r+b") as file:
            file.seek(4_096 + after * RECORD_BYTES)
            file.write(data)


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

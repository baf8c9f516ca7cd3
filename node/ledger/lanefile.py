"""Lane files: `LANE-EPOCH.lane`, a header of 4,096 bytes and room for so many records, which only its writer fills.

The header is written once.  Four lines in it change, each written twice in turns with a number that grows and a CRC,
so that a crash in the middle leaves the one before: how far the disk has the records (the writer's flusher), how far
they are sealed (the sealer), what could not be counted, and how the epoch ended.

Laws.  A file is made once and its room is taken from the disk then; its epoch is never used again.  A line is a hint:
whether a record is there, only its CRC says.  Readers read the file and never map it, so that a damaged disk is an
OSError here and no signal.
"""

import fcntl
import os
import re
import struct
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

from node.ledger.record import RECORD_BYTES, Scanned, scan, seed_of

HEADER_BYTES = 4_096
MAX_CAPACITY = 2**24  # records: a gigabyte
MAX_LANE = 2**16 - 1
MAX_EPOCH = 2**32 - 1
MAX_ORIGIN_BYTES = 255
READ_RECORDS = 4_096  # that `read` returns when it is not told otherwise: one full block

_FILE_MODE = 0o600
_NAME = re.compile(r"(0|[1-9]\d{0,4})-([1-9]\d{0,9})\.lane")
_MAGIC = b"IDNL1\0"
_HEADER = struct.Struct("<6sHIHIQ16s16s256p")
_CRC = struct.Struct("<I")
_LINE = struct.Struct("<I5QI")
_LINE_BYTES = 64
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LaneError(Exception):
    """A lane file or directory that cannot be used; the text says which, why, and what to do."""


class Durability(StrEnum):
    """When a record is safe (setting `ledger_durability`)."""

    PROCESS = "process"  # once it is in memory: outlives the process, not the machine
    GROUP = "group"  # once the disk has it, a tenth of a second later
    STRICT = "strict"  # the answer waits for the disk


class Cause(IntEnum):
    """How an epoch ended."""

    CLOSED = 1  # by its writer
    KILLED = 2  # the writer died, the machine went on: nothing that was counted is lost
    POWER = 3  # the machine stopped
    DISK = 4  # the disk did not take the records


class Line(IntEnum):
    """Where each changing line stands in the file."""

    DURABLE = 1_024
    SEALED = 1_280
    UNCOUNTED = 1_536
    CLOSING = 1_792


class Header(NamedTuple):
    """What is fixed when an epoch is opened.  `boot_id` names the run of the machine."""

    lane: int
    epoch: int
    capacity: int
    created_us: int
    boot_id: bytes
    durability: Durability
    origin: str


class Durable(NamedTuple):
    """How far the disk has the records; `exposed` is how many records it lacked at most, in the last hour."""

    seq: int = 0
    t_us: int = 0
    exposed: int = 0


class Sealed(NamedTuple):
    """How far the records are in blocks."""

    seq: int = 0
    t_us: int = 0


class Uncounted(NamedTuple):
    """Answers that were given and could not be recorded, and between when."""

    answers: int = 0
    from_us: int = 0
    to_us: int = 0


class Closing(NamedTuple):
    """How an epoch ended: its last record, what lies broken behind it in bytes, and how many answers may be lost."""

    last: int
    t_us: int
    torn: int
    bound: int
    cause: Cause


class LaneName(NamedTuple):
    """A lane file that is there."""

    lane: int
    epoch: int
    path: Path


def lane_path(directory: Path, lane: int, epoch: int) -> Path:
    """Return the file of an epoch."""
    return directory / f"{lane}-{epoch}.lane"


def lane_files(directory: Path) -> list[LaneName]:
    """Return all lane files, by lane and then in the order of their epochs.  Raises OSError."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(LaneName(int(name[1]), int(name[2]), path) for name, path in found if name)


def boot_id() -> bytes:
    """Return what names this run of the machine; 16 bytes, zero where the kernel does not say."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))
    except OSError:
        return bytes(16)


def make_file(path: Path, header: Header) -> None:
    """Make a lane file with all its room, and have the disk keep it.  Raises OSError; then nothing is left.

    It has its name only once it is whole.  What a crash leaves is taken away the next time, and never written into: it
    may be a whole file that has its true name, too.
    """
    draft = path.with_name(f"{header.lane}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        os.posix_fallocate(descriptor, 0, HEADER_BYTES + header.capacity * RECORD_BYTES)
        os.pwrite(descriptor, encode_header(header), 0)
        os.fsync(descriptor)
        os.link(draft, path)  # fails where an epoch has that name already
    finally:
        os.close(descriptor)
        draft.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the disk keep the names in a directory.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LaneReader:
    """A lane file as its sealer sees it, in whatever process, while its writer goes on or after that."""

    def __init__(self, path: Path, descriptor: int, header: Header) -> None:
        """Use `open`."""
        self.path = path
        self.header = header
        self._descriptor = descriptor
        self._seed = seed_of(header.lane, header.epoch)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a lane file.  Raises LaneError when it is none, or not the one that its name says; OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = _decode_header(path, os.pread(descriptor, HEADER_BYTES, 0))
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, header)

    def read(self, after_seq: int, limit: int = READ_RECORDS) -> Scanned:
        """Return the whole records behind number `after_seq`, as many as are there and at most `limit`.

        `torn` counts what is not empty behind them, as far as was read; it means something when the epoch has ended.
        Raises OSError.
        """
        data = self.raw(after_seq, limit)
        return scan(data, self.header.lane, self.header.epoch, after_seq)

    def raw(self, after_seq: int, limit: int) -> bytes:
        """Return the bytes behind number `after_seq`, records or not.  Raises OSError."""
        room = min(limit, self.header.capacity - after_seq)
        size, at = max(room, 0) * RECORD_BYTES, HEADER_BYTES + after_seq * RECORD_BYTES
        return os.pread(self._descriptor, size, at)

    def flush(self) -> None:
        """Have the disk keep every record that `read` has returned until now.  Raises OSError."""
        os.fdatasync(self._descriptor)

    @property
    def durable(self) -> Durable:
        """How far the writer knows the disk to have the records."""
        return Durable(*self.line(Line.DURABLE)[:3])

    @property
    def sealed(self) -> Sealed:
        """What `mark_sealed` was told last."""
        return Sealed(*self.line(Line.SEALED)[:2])

    def mark_sealed(self, seq: int, t_us: int) -> None:
        """Note how far the records are in blocks; the sealer alone does it.  Raises OSError."""
        self.write_line(Line.SEALED, seq, t_us)

    @property
    def uncounted(self) -> Uncounted:
        """What the writer could not record while this was its newest epoch."""
        return Uncounted(*self.line(Line.UNCOUNTED)[:3])

    @property
    def closing(self) -> Closing | None:
        """How the epoch ended; None while it is being written, or nobody has looked (`settle`)."""
        last, t_us, torn, bound, cause = self.line(Line.CLOSING)
        return Closing(last, t_us, torn, bound, Cause(cause)) if cause else None

    def line(self, line: Line) -> tuple[int, ...]:
        """Return the five numbers of a line, all 0 while it was never written.  Raises OSError."""
        return newest_line(os.pread(self._descriptor, 2 * _LINE_BYTES, line), self._seed)[1]

    def write_line(self, line: Line, *numbers: int) -> None:
        """Write a line that is this process's to write.  Raises OSError."""
        turn, _ = newest_line(os.pread(self._descriptor, 2 * _LINE_BYTES, line), self._seed)
        data = encode_line(turn + 1, numbers, self._seed)
        os.pwrite(self._descriptor, data, line_at(line, turn + 1))

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encode_line(turn: int, numbers: tuple[int, ...], seed: int) -> bytes:
    """Return the bytes of a line: its turn and up to five numbers."""
    body = _LINE.pack(turn, *numbers, *[0] * (5 - len(numbers)), 0)[: -_CRC.size]
    return body + _CRC.pack(crc32(body, seed))


def line_at(line: Line, turn: int) -> int:
    """Return where in the file the line is written at this turn."""
    return line + turn % 2 * _LINE_BYTES


def newest_line(data: bytes, seed: int) -> tuple[int, tuple[int, ...]]:
    """Return turn and numbers of the newer of both copies of a line; turn 0 when neither is whole."""
    found: tuple[int, tuple[int, ...]] = (0, (0, 0, 0, 0, 0))
    for at in (0, _LINE_BYTES):
        copy = data[at : at + _LINE.size]
        turn, *numbers, checked = _LINE.unpack(copy)
        if turn > found[0] and checked == crc32(copy[: -_CRC.size], seed):
            found = (turn, tuple(numbers))
    return found


def lock_lane(directory: Path, lane: int) -> int | None:
    """Return a descriptor that holds the lane for this process until it is closed; None: another process has it.

    The file is the epoch counter.  Raises OSError.
    """
    path = directory / f"{lane}.epoch"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def encode_header(header: Header) -> bytes:
    """Return the bytes that a lane file begins with."""
    body = _HEADER.pack(
        _MAGIC,
        header.lane,
        header.epoch,
        RECORD_BYTES,
        header.capacity,
        header.created_us,
        header.boot_id,
        header.durability.encode(),
        header.origin.encode(),
    )
    return body + _CRC.pack(crc32(body))


def _decode_header(path: Path, data: bytes) -> Header:
    body, checked = data[: _HEADER.size], data[_HEADER.size : _HEADER.size + _CRC.size]
    if len(data) < HEADER_BYTES or checked != _CRC.pack(crc32(body)) or body[:6] != _MAGIC:
        raise LaneError(f"{path} is no lane file, or its header is damaged")
    _, lane, epoch, size, capacity, created_us, boot, durability, origin = _HEADER.unpack(body)
    if size != RECORD_BYTES or path.name != lane_path(path.parent, lane, epoch).name:
        raise LaneError(f"{path} holds epoch {epoch} of lane {lane}: it was renamed, or copied")
    kind = Durability(durability.rstrip(b"\0").decode())
    return Header(lane, epoch, capacity, created_us, boot, kind, origin.decode())

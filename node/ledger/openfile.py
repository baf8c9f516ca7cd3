"""OpenFile: a lane file as its writer has it, mapped; and the numbers of epochs, which are given out once.

The event loop's thread writes records and the line of what was not counted, the flusher's thread the other two lines
that a writer writes: no two threads write the same bytes.
"""

import ctypes
import mmap
import os
from pathlib import Path
from typing import Self

from node.ledger.lanefile import (
    HEADER_BYTES,
    MAX_EPOCH,
    Header,
    LaneError,
    Line,
    encode_line,
    lane_files,
    lane_path,
    line_at,
    make_file,
)
from node.ledger.record import RECORD_BYTES, seed_of

_POPULATE_WRITE = 23  # of madvise, since Linux 5.14; Python has no name for it
_COUNTER_BYTES = 11  # ten digits and the end of the line


class OpenFile:
    """One epoch being written.  `opened_ns` is when it was made, on the monotonic clock."""

    def __init__(
        self, path: Path, header: Header, descriptor: int, mapping: mmap.mmap, opened_ns: int
    ) -> None:
        """Use `make`."""
        self._path = path
        self.header = header
        self.mapping = mapping
        self.seed = seed_of(header.lane, header.epoch)
        self.opened_ns = opened_ns
        self.durable = 0  # records that the disk has; the flusher's
        self.is_damaged = False  # the disk did not take something; the flusher's
        self._descriptor = descriptor
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        self._released = mmap.PAGESIZE  # the first page has the header, which is written again
        self._turns = dict.fromkeys(Line, 0)

    @classmethod
    def make(cls, directory: Path, header: Header, opened_ns: int) -> Self:
        """Make the file on the disk and map it.  Raises OSError."""
        path = lane_path(directory, header.lane, header.epoch)
        make_file(path, header)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            mapping = mmap.mmap(descriptor, HEADER_BYTES + header.capacity * RECORD_BYTES)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, header, descriptor, mapping, opened_ns)

    def write_line(self, line: Line, *numbers: int) -> None:
        """Write one of the lines of the header."""
        turn = self._turns[line] = self._turns[line] + 1
        data, at = encode_line(turn, numbers, self.seed), line_at(line, turn)
        self.mapping[at : at + len(data)] = data

    def sync(self) -> None:
        """Have the disk keep what was written.  Raises OSError."""
        os.fdatasync(self._descriptor)

    def release(self, last: int) -> None:
        """Let go of the memory that whole pages up to this record take; the file keeps what they hold."""
        upto = (HEADER_BYTES + last * RECORD_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE
        if upto > self._released:
            self.mapping.madvise(mmap.MADV_DONTNEED, self._released, upto - self._released)
            self._released = upto

    def expect(self, last: int, records: int) -> bool:
        """Have the kernel map the pages of so many records behind this one for writing; False where it cannot.

        Whoever touches a page first waits for the file system, some µs each time and more between two answers than
        for many pages at once.
        """
        start = (HEADER_BYTES + last * RECORD_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE
        end = min(HEADER_BYTES + (last + records) * RECORD_BYTES, len(self.mapping))
        size = max(end - start, 0)
        return bool(_madvise(self._address + start, size, _POPULATE_WRITE) == 0)

    def remove(self) -> None:
        """Unmap the file, which holds nothing, and take it off the disk."""
        self.close()
        self._path.unlink()

    def close(self) -> None:
        """Unmap the file."""
        self.mapping.close()
        os.close(self._descriptor)


class EpochNumbers:
    """The counter of a lane's epochs, in the file that `lock_lane` has locked."""

    def __init__(self, directory: Path, lane: int, descriptor: int) -> None:
        self._directory = directory
        self._lane = lane
        self._descriptor = descriptor

    def take(self) -> int:
        """Return a number that was never returned before; the disk has it when this returns.

        Raises OSError, and LaneError when the counter is damaged.
        """
        number = max(self.last_taken(), self._last_seen()) + 1
        if number > MAX_EPOCH:
            raise LaneError(f"lane {self._lane} has used up its epochs; use another lane number")
        text = f"{number:0{_COUNTER_BYTES - 1}d}\n".encode()
        os.pwrite(self._descriptor, text, 0)
        os.fsync(self._descriptor)
        return number

    def last_taken(self) -> int:
        """Return the highest number that was given out, 0 for none.  Raises OSError, and LaneError as `take` does."""
        text = os.pread(self._descriptor, _COUNTER_BYTES + 1, 0)
        if text and not (
            len(text) == _COUNTER_BYTES and text[:-1].isdigit() and text[-1:] == b"\n"
        ):
            raise LaneError(
                f"{self._directory}/{self._lane}.epoch does not hold the number of the lane's last epoch; write into "
                "it the highest that the log shows for this lane, as ten digits and the end of a line"
            )
        return int(text or b"0")

    def _last_seen(self) -> int:
        return max(
            (each.epoch for each in lane_files(self._directory) if each.lane == self._lane),
            default=0,
        )


_madvise = ctypes.CDLL(
    None
).madvise  # lets other threads run meanwhile, which `mmap.madvise` does not
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

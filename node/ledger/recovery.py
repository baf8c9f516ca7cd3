"""Recovery: epochs that nobody closed, because their writer was killed or the machine stopped, are closed here.

Their records count up to the first that is not whole; nothing behind it does.  What may be lost is stated: when the
machine went on, nothing that was counted; when it stopped, what the disk lacked at most at any time of the last hour.
"""

import logging
import os
from pathlib import Path

from node.ledger.lanefile import (
    Cause,
    Closing,
    LaneError,
    LaneReader,
    Line,
    boot_id,
    lane_files,
    lock_lane,
)
from node.ledger.record import RECORD_BYTES

_SCANNED = 65_536  # records that are read at once: 4 MiB

log = logging.getLogger(__name__)


def settle(directory: Path, lane: int, now_us: int) -> bool:
    """Close what is open of a lane that no process has; False when one has it.  Raises OSError."""
    lock = lock_lane(directory, lane)
    if lock is None:
        return False
    try:
        settle_epochs(directory, lane, now_us)
    finally:
        os.close(lock)
    return True


def settle_epochs(directory: Path, lane: int, now_us: int) -> None:
    """Close every open epoch of a lane, in their order, for the process that has the lane.  Raises OSError.

    A file that cannot be read as one is left as it is, and told: whoever seals the lane has to say that it is missing.
    """
    for name in lane_files(directory):
        if name.lane != lane:
            continue
        try:
            with LaneReader.open(name.path) as reader:
                if reader.closing is None:
                    _close(reader, now_us)
        except LaneError as error:
            log.exception("an epoch of the ledger is lost", extra={"reason": str(error)})


def closing_of(reader: LaneReader, now_us: int) -> Closing:
    """Return how an epoch ended that nobody writes any more.  Raises OSError."""
    last, torn = _last_record(reader)
    durable = reader.durable
    missing = max(durable.seq - last, 0)  # the disk had them, and has them no more
    if missing:
        return Closing(last, now_us, torn, missing + durable.exposed, Cause.DISK)
    if reader.header.boot_id != boot_id():
        return Closing(last, now_us, torn, durable.exposed, Cause.POWER)
    return Closing(last, now_us, torn, 0, Cause.KILLED)


def _close(reader: LaneReader, now_us: int) -> None:
    closing = closing_of(reader, now_us)
    reader.flush()
    reader.write_line(Line.CLOSING, *closing)
    reader.flush()
    log.warning(
        "an epoch of the ledger was left open",
        extra={
            "file": reader.path.name,
            "cause": closing.cause.name.lower(),
            "last": closing.last,
            "torn_bytes": closing.torn,
            "lost_at_most": closing.bound,
        },
    )


def _last_record(reader: LaneReader) -> tuple[int, int]:
    """Return the number of the last record, and how many bytes up to the last that is not empty are behind it."""
    last = 0
    while records := reader.read(last, _SCANNED).records:
        last += records
    at, torn = last, 0
    while at < reader.header.capacity:
        data = reader.raw(at, _SCANNED)
        if filled := len(data.rstrip(b"\0")):
            torn = (at - last) * RECORD_BYTES + filled
        at += _SCANNED
    return last, torn

"""Blocks: consecutive records of one lane, committed to by one leaf; and the check of a body against its leaf.

Laws.  A body is the records' bytes and nothing else, so that `sha256sum` checks it.  Blocks of a lane's epoch are
numbered from 1 and cover its records from 1 without a hole.  They tile the time of their epoch: a block begins where
the one before ended; when a clock stepped back it begins earlier, at its first record, and never later.  Every record's
time lies inside its block.  `prev` is the hash of the lane's previous block, through all its epochs; zeros mean none.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SM3, Hash

from node.ledger.leaf import CLASSES, Block, Head
from node.ledger.record import RECORD_BYTES, RecordFlag, scan
from node.ledger.tlog import HASH_BYTES, inclusion_proof, leaf_hash, root_from

MAX_RECORDS = 4_096  # in a block
FIRST_PREVIOUS = bytes(HASH_BYTES)  # of a lane's first block
NO_TOTAL = (0,) * CLASSES
_ZONE_US = 8 * 3_600_000_000  # of Asia/Shanghai, which has had no summer time since 1991
_DAY_US = 24 * 3_600_000_000

_SUCCESS = int(RecordFlag.SUCCESS)  # arithmetic with the enum is slow
_LEAF = b"\x00"
_WHOLE = Struct(f"{RECORD_BYTES}s")
_SUMMED = Struct("<QQ4xB31xH10x")  # of a record: seq, t_us, class, flags


class BlockError(Exception):
    """A body is not what its leaf says; the text says how."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the blocks of an epoch have come to: what the next one has to follow."""

    lane: int
    epoch: int
    ended_at: int  # µs: the end of the last block, or the opening of the epoch
    previous: bytes = FIRST_PREVIOUS
    block: int = 0
    last: int = 0  # record

    @classmethod
    def after(cls, leaf: Block) -> "Chain":
        """Return what follows a block."""
        hashed = leaf_hash(leaf.line())
        return cls(leaf.lane, leaf.epoch, leaf.span[1], hashed, leaf.block, leaf.sequence[1])


class Circumstances(NamedTuple):
    """What a leaf says besides its records."""

    now: int  # µs; a block without records ends here
    beacon: Head
    total: tuple[int, ...]  # successes of each class over the whole log until now
    policy: int


class Sums(NamedTuple):
    """What records come to."""

    records: tuple[int, ...]
    successes: tuple[int, ...]
    first_time: int
    last_time: int


def seal(body: bytes, chain: Chain, around: Circumstances) -> Block:
    """Return the leaf over records that follow the chain; `body` was accepted by `scan`, and may be empty."""
    count = len(body) // RECORD_BYTES
    sums = sum_up(body) if count else Sums(NO_TOTAL, NO_TOTAL, chain.ended_at, around.now)
    return Block(
        lane=chain.lane,
        epoch=chain.epoch,
        block=chain.block + 1,
        sequence=(chain.last + 1, chain.last + count),
        span=(min(chain.ended_at, sums.first_time), max(chain.ended_at, sums.last_time)),
        records=sums.records,
        successes=sums.successes,
        record_root=record_root(body),
        sha256=sha256(body).hexdigest(),
        sm3=sm3(body),
        previous=chain.previous,
        beacon=around.beacon,
        total=tuple(map(sum, zip(around.total, sums.successes, strict=True))),
        policy=around.policy,
    )


def check(leaf: Block, body: bytes) -> None:
    """Check a body against its leaf, all that one can say without other leaves.  Raises BlockError."""
    check_digests(leaf, body)
    check_records(leaf, body)


def check_digests(leaf: Block, body: bytes) -> None:
    """Check the two digests and the root over the records.  Raises BlockError."""
    for name, found, said in (
        ("SHA-256", sha256(body).hexdigest(), leaf.sha256),
        ("SM3", sm3(body), leaf.sm3),
        ("root", record_root(body).hex(), leaf.record_root.hex()),
    ):
        if found != said:
            raise BlockError(f"the {name} of {_name(leaf)} is {found}, its leaf says {said}")


def check_records(leaf: Block, body: bytes) -> None:
    """Check that the records are whole, of this epoch, the ones numbered, and come to the sums.  Raises BlockError."""
    first, last = leaf.sequence
    if len(body) != (last - first + 1) * RECORD_BYTES:
        raise BlockError(f"{_name(leaf)} has {len(body)} bytes for the records {first} to {last}")
    accepted = scan(body, leaf.lane, leaf.epoch, first - 1)
    if len(accepted.data) != len(body):
        raise BlockError(f"{_name(leaf)}: record {first + accepted.records} is not whole")
    if not body:
        _check_empty(leaf)
        return
    sums = sum_up(body)
    if sums.records != leaf.records or sums.successes != leaf.successes:
        raise BlockError(f"the records of {_name(leaf)} do not come to its sums")
    if sums.first_time < leaf.span[0] or sums.last_time > leaf.span[1]:
        raise BlockError(f"a record of {_name(leaf)} is not of its time")


def sum_up(body: bytes) -> Sums:
    """Count records and successes of each class, and find the earliest and latest time.  A body without any: zeros."""
    counts, successes = [0] * CLASSES, [0] * CLASSES
    times = []
    for _, time, class_, flags in _SUMMED.iter_unpack(body):
        times.append(time)
        place = min(class_, CLASSES - 1)  # a class of a later version is a reserved one
        counts[place] += 1
        successes[place] += flags & _SUCCESS
    if not times:
        return Sums(NO_TOTAL, NO_TOTAL, 0, 0)
    return Sums(tuple(counts), tuple(successes), min(times), max(times))


def record_root(body: bytes) -> bytes:
    """Return the RFC 6962 root over the records."""
    return root_from(_record_hashes(body))


def record_path(body: bytes, number: int) -> list[bytes]:
    """Return the audit path of the record with this number in the body, from 0.  Raises ValueError."""
    hashes = _record_hashes(body)

    def read(level: int, index: int) -> bytes:
        return root_from(hashes[index << level : (index + 1) << level])

    return inclusion_proof(number, len(hashes), read)


def sm3(data: bytes) -> str:
    """Return the SM3 of some bytes, hexadecimal."""
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize().hex()


def body_path(leaf: Block) -> str:
    """Return where the body lies below the directory of bodies: by the local day on which the block ended."""
    return f"{_day_path((leaf.span[1] + _ZONE_US) // _DAY_US)}/{leaf.sha256}.rec"


def reopened(chain: Chain, epoch: int, opened_at: int) -> Chain:
    """Return where the next epoch of a lane begins."""
    return replace(chain, epoch=epoch, ended_at=opened_at, block=0, last=0)


@lru_cache
def _day_path(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY_US // 1_000_000, UTC):%Y/%m/%d}"


def _record_hashes(body: bytes) -> list[bytes]:
    whole = len(body) - len(body) % RECORD_BYTES
    records = _WHOLE.iter_unpack(memoryview(body)[:whole])
    hashes = [
        sha256(_LEAF + record).digest() for (record,) in records
    ]  # as `leaf_hash`, in half the time
    return [*hashes, leaf_hash(body[whole:])] if whole < len(body) else hashes


def _check_empty(leaf: Block) -> None:
    if any(leaf.records) or any(leaf.successes):
        raise BlockError(f"{_name(leaf)} has no records, and sums")


def _name(leaf: Block) -> str:
    return f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
